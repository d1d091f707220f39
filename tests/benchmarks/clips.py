"""How much a painted clip flickers, against painting each of its frames by itself; and the time of a frame.

``python -m tests.benchmarks.clips`` draws a clip whose motion is known (:mod:`tests.drawing.balloon`), paints it both
ways, and prints a table. The warping error is the mean square of the difference between a painted frame and the one
before it, moved along, over the pixels that are visible in both (Lai et al., "Learning Blind Video Temporal
Consistency", ECCV 2018). It is measured with the motion as it was drawn, and with the flow that the painter uses.

What comes into view in a frame was not painted in the one before. Its distance from the style is that of
:mod:`tests.benchmarks.measures`, over these places of all frames together: 1 for the content, 0 for the style.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Final, cast

import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from engine.images.animation import Clip, decode_frames
from engine.images.codec import Picture, decode, fitted
from engine.images.optical_flow import optical_flow, visible, warped
from engine.painting import clip as painter
from engine.painting.loop import paint
from engine.presets import PRESETS, Quality, with_frames
from engine.recipe import MOST_FRAMES, Inputs, Recipe
from engine.runtime.devices import choose, set_threads
from engine.runtime.malloc import keep_large_blocks
from engine.vgg.vgg19 import VGG19, load_cached
from tests.benchmarks.machine import STYLE, described, followed
from tests.benchmarks.measures import STYLE_LAYERS, distance, statistics
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
    sky: Annotated[bool, typer.Option(help="A town under a large sky of one colour, without a balloon.")] = False,
) -> None:
    """The flicker of a painted clip, and the time of a frame."""
    keep_large_blocks()
    set_threads(None)
    compute = choose("cpu")
    network = load_cached("embedded", compute.device, compute.dtype)
    recipe = with_frames(Recipe(**PRESETS["cpu-bfloat16"][cast(Quality, quality)].fields()), frames)
    height = recipe.size * 3 // 4
    flight = fly(frames, (recipe.size, height), sky=sky)
    styles = [decode(style.read_bytes(), longer_side=recipe.longest_style)]
    judge = load_cached("embedded", compute.device, torch.float32)
    table = Table(
        "",
        "known motion",
        *(["in the sky"] if sky else []),
        "its own flow",
        "last to first",
        "new places",
        "others",
        "a frame",
    )
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
        known, plain, own = errors(flight, pictures)
        new, others = style_distances(flight, pictures, styles[0].rgb, judge)
        table.add_row(
            name,
            f"{known[:-1].mean():.1f}",
            *([f"{plain[:-1].mean():.1f}"] if sky else []),
            f"{own[:-1].mean():.1f}",
            f"{known[-1]:.1f}",
            f"{new:.2f}",
            f"{others:.2f}",
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


def errors(flight: Flight, pictures: Sequence[Image.Image]) -> tuple[Array, Array, Array]:
    """The warping error of each frame and the next one, in squared grey levels. The last one is that of the loop.

    Returns:
        By the known motion; by the same in the sky of one colour; and by the flow between the frames of the content.
    """
    known, plain, own = [], [], []
    for later in [*range(1, len(pictures)), 0]:
        earlier = later - 1 if later else len(pictures) - 1
        painted, before = _tensor(pictures[later]), _tensor(pictures[earlier])
        motion, seen = flight.motion(later, earlier)
        known.append(_error(painted, before, motion, seen))
        plain.append(_error(painted, before, motion, seen * flight.skies[later]))
        here, there = _tensor(flight.frames[later]), _tensor(flight.frames[earlier])
        flow, back = optical_flow(here, there)
        own.append(_error(painted, before, flow, visible(here, there, flow, back)))
    return np.array(known), np.array(plain), np.array(own)


def style_distances(
    flight: Flight, pictures: Sequence[Image.Image], style: Image.Image, judge: VGG19
) -> tuple[float, float]:
    """The distance from the style of what comes into view in a frame, and of the other places."""
    longest = max(pictures[0].size)
    target = judge.features(_tensor(style.resize(fitted(style.size, longest))), STYLE_LAYERS)
    moments = {
        (whose, where): {layer: _Moments() for layer in STYLE_LAYERS}
        for whose in ("ours", "content")
        for where in ("new", "other")
    }
    for later in range(1, len(pictures)):
        _, seen = flight.motion(later, later - 1)
        for whose, picture in (("ours", pictures[later]), ("content", flight.frames[later])):
            for layer, features in judge.features(_tensor(picture), STYLE_LAYERS).items():
                moments[whose, "new"][layer].add(features, 1 - seen)
                moments[whose, "other"][layer].add(features, seen)
    distances = {key: [each[layer].distance(target[layer]) for layer in STYLE_LAYERS] for key, each in moments.items()}
    new, other = (
        fmean(
            ours / content for ours, content in zip(distances["ours", where], distances["content", where], strict=True)
        )
        for where in ("new", "other")
    )
    return new, other


class _Moments:
    """Mean and covariance of features over the same places of several frames."""

    def __init__(self) -> None:
        self._weight, self._sum, self._squares = 0.0, torch.zeros(()), torch.zeros(())

    def add(self, features: Tensor, cover: Tensor) -> None:
        """Add a frame's features, shape (1, channels, …), at the places of a mask, shape (1, 1, height, width)."""
        weights = F.interpolate(cover, features.shape[-2:], mode="bilinear", antialias=True).flatten()
        rows = features[0].float().flatten(1).T
        self._weight += float(weights.sum())
        self._sum = self._sum + weights @ rows
        self._squares = self._squares + (weights[:, None] * rows).T @ rows

    def distance(self, style: Tensor) -> float:
        """See :func:`tests.benchmarks.measures.style_distance`."""
        mean = self._sum / self._weight
        covariance = self._squares / self._weight - torch.outer(mean, mean)
        return distance((mean, covariance), statistics(style))


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
