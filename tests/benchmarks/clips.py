"""How much a painted clip flickers, against painting each of its frames by itself; and the time of a frame.

``python -m tests.benchmarks.clips`` draws a clip whose motion is known (:mod:`tests.drawing.balloon`), paints it both
ways, and prints a table. The warping error is the mean square of the difference between a painted frame and the one
before it, moved along, over the pixels that are visible in both (Lai et al., "Learning Blind Video Temporal
Consistency", ECCV 2018). It is measured with the motion as it was drawn, and with the flow that the painter uses.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, cast

import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from engine.images.animation import Clip, decode_frames
from engine.images.codec import Picture, decode
from engine.images.optical_flow import optical_flow, visible, warped
from engine.painting import clip as painter
from engine.painting.loop import paint
from engine.presets import PRESETS, Quality, with_frames
from engine.recipe import MOST_FRAMES, Inputs, Recipe
from engine.runtime.devices import choose, set_threads
from engine.runtime.malloc import keep_large_blocks
from engine.vgg.vgg19 import load_cached
from tests.benchmarks.machine import STYLE, described, followed
from tests.drawing.balloon import Flight, clip, fly
from tests.drawing.noise import Array

_SHEET: Final = 4
"""Frames side by side in the sheets that ``--out`` gets."""


def main(
    frames: Annotated[int, typer.Option(min=2, max=MOST_FRAMES)] = 12,
    quality: Annotated[str, typer.Option(help="quick, standard or fine.")] = "standard",
    style: Annotated[Path, typer.Option(help="The style picture.")] = STYLE,
    out: Annotated[Path | None, typer.Option(help="A folder for the clips and sheets of frames.")] = None,
    apart: Annotated[bool, typer.Option(help="Also paint each frame by itself.")] = True,
) -> None:
    """The flicker of a painted clip, and the time of a frame."""
    keep_large_blocks()
    set_threads(None)
    compute = choose("cpu")
    network = load_cached("embedded", compute.device, compute.dtype)
    recipe = with_frames(Recipe(**PRESETS["cpu-bfloat16"][cast(Quality, quality)].fields()), frames)
    height = recipe.size * 3 // 4
    flight = fly(frames, (recipe.size, height))
    styles = [decode(style.read_bytes(), longer_side=recipe.longest_style)]
    table = Table("", "known motion", "its own flow", "last to first", "processor's time", "a frame")
    whole = time.process_time()
    result = followed(painter.paint(Inputs(clip(flight), tuple(styles)), recipe, network))
    whole = time.process_time() - whole
    together = _pictures(decode_frames(result.picture, MOST_FRAMES))
    ways = {"as a clip": (together, whole)}
    if apart:
        still = recipe.model_copy(update={"frames": 1})
        began = time.process_time()
        each = [
            followed(paint(Inputs(Picture(frame), tuple(styles)), still, network)).picture for frame in flight.frames
        ]
        ways["each frame by itself"] = [decode(data).rgb for data in each], time.process_time() - began
    for name, (pictures, seconds) in ways.items():
        known, own = errors(flight, pictures)
        table.add_row(
            name,
            f"{known[:-1].mean():.1f}",
            f"{own[:-1].mean():.1f}",
            f"{known[-1]:.1f}",
            f"{seconds:.1f} s",
            f"{seconds / frames:.2f} s",
        )
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            stem = name.replace(" ", "-")
            sheet(pictures).save(out / f"{stem}.png")
            pictures[0].save(out / f"{stem}.webp", save_all=True, append_images=pictures[1:], duration=80, quality=90)
    console = Console()
    console.print(described(), highlight=False, markup=False)
    console.print(table)


def errors(flight: Flight, pictures: Sequence[Image.Image]) -> tuple[Array, Array]:
    """The warping error of each frame and the next one, in squared grey levels. The last one is that of the loop.

    Returns:
        By the known motion, and by the flow between the frames of the content.
    """
    known, own = [], []
    for later in [*range(1, len(pictures)), 0]:
        earlier = later - 1 if later else len(pictures) - 1
        painted, before = _tensor(pictures[later]), _tensor(pictures[earlier])
        known.append(_error(painted, before, *flight.motion(later, earlier)))
        here, there = _tensor(flight.frames[later]), _tensor(flight.frames[earlier])
        flow, back = optical_flow(here, there)
        own.append(_error(painted, before, flow, visible(here, there, flow, back)))
    return np.array(known), np.array(own)


def sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Frames in even distances, row by row."""
    width, height = pictures[0].size
    rows = min(3, -(-len(pictures) // _SHEET))
    made = Image.new("RGB", (width * _SHEET, height * rows))
    for place in range(rows * _SHEET):
        picture = pictures[place * len(pictures) // (rows * _SHEET)]
        made.paste(picture, (place % _SHEET * width, place // _SHEET * height))
    return made


def _error(painted: Tensor, before: Tensor, flow: Tensor, seen: Tensor) -> float:
    squares = (255 * (painted - warped(before, flow).clamp(0, 1))).square().mean(1, keepdim=True)
    return float((squares * seen).sum() / seen.sum())


def _pictures(found: Clip | Picture) -> list[Image.Image]:
    return [picture.rgb for picture in found.frames] if isinstance(found, Clip) else [found.rgb]


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


if __name__ == "__main__":
    typer.run(main)
