"""A clip whose motion is known: the camera circles over the demo's town while a balloon flies by, and both come back.

``python -m tests.drawing.balloon FILE`` writes it, as GIF, WebP or PNG by the name of the file. In another clip, the
camera circles over the town under a large sky of one colour, without a balloon.
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

from engine.images.animation import Clip
from engine.images.animation_encoding import encode_clip
from engine.images.codec import Picture
from tests.drawing.pictures import CONTENT

MILLISECONDS: Final = 80
SIZE: Final = (320, 240)
_PAN: Final = (22.0, 14.0)
"""Pixels between the middle of the camera's circle and its sides, at :data:`SIZE`."""
_SKY: Final = (118, 160, 212)
_HORIZON: Final = (
    (0, 30), (60, 20), (165, 105), (190, 250), (200, 215), (255, 265), (310, 220), (385, 290), (475, 290), (478, 145),
    (513, 12), (551, 145), (551, 215), (605, 240), (660, 240), (665, 265), (715, 235), (775, 255), (960, 232),
)  # fmt: skip
"""The outline of trees and houses in the demo's town, in its pixels. What is above becomes sky."""
_HIGHER: Final = 660
"""The pixels of sky above that picture."""
_FINER: Final = 4
"""The balloon is drawn this many times as large, and scaled down."""


@dataclass(frozen=True, slots=True)
class Flight:
    """The frames, and where everything is in them."""

    frames: list[Image.Image]
    cameras: list[tuple[float, float]]
    """The place, in the town, of each frame's upper left corner."""
    balloons: list[tuple[float, float]]
    """The balloon's place in each frame."""
    masks: list[Tensor]
    """Where the balloon is: shape (height, width)."""
    skies: list[Tensor]
    """Where the sky of one colour is, likewise."""

    def motion(self, later: int, earlier: int) -> tuple[Tensor, Tensor]:
        """Where the pixels of a frame were in another one, and whether they were visible there.

        Returns:
            The flow, shape (1, 2, height, width), in pixels, and a mask, shape (1, 1, height, width), 0 or 1.
        """
        town = np.subtract(self.cameras[later], self.cameras[earlier])
        balloon = np.subtract(self.balloons[earlier], self.balloons[later])
        on_balloon = self.masks[later]
        flow = torch.stack([torch.where(on_balloon, float(balloon[k]), float(town[k])) for k in range(2)])
        height, width = on_balloon.shape
        x, y = torch.arange(width) + flow[0], torch.arange(height)[:, None] + flow[1]
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        there = self.masks[earlier][y.round().long().clamp(0, height - 1), x.round().long().clamp(0, width - 1)]
        return flow[None], (inside & (there == on_balloon)).float()[None, None]


def fly(frames: int = 24, size: tuple[int, int] = SIZE, *, sky: bool = False) -> Flight:
    """Draw the clip: the one with the balloon, or the one with the large sky."""
    width, height = size
    factor = width / SIZE[0]
    pan = [each * factor for each in _PAN]
    with Image.open(CONTENT) as file:
        town = file.convert("RGB")
    town, above = _under_sky(town) if sky else (town, Image.new("L", town.size))
    whole = round(width + 2 * pan[0]) + 4, round(height + 2 * pan[1]) + 4
    town, above = town.resize(whole), above.resize(whole)
    flight = Flight([], [], [], [], [])
    for index in range(frames):
        angle = 2 * math.pi * index / frames
        camera = pan[0] * (1 - math.cos(angle)), pan[1] * (1 + math.sin(angle))
        balloon = width * (0.45 + 0.22 * math.sin(angle)), height * (0.3 + 0.06 * math.sin(2 * angle))
        image, shown = (
            each.transform(size, Image.Transform.AFFINE, (1, 0, camera[0], 0, 1, camera[1]), Image.Resampling.BICUBIC)
            for each in (town, above)
        )
        layer = Image.new("RGBA", size) if sky else _balloon(size, balloon, 34 * factor)
        image.paste(layer, mask=layer.getchannel("A"))
        flight.frames.append(image)
        flight.cameras.append(camera)
        flight.balloons.append(balloon)
        flight.masks.append(torch.from_numpy(np.array(layer.getchannel("A")) > 127))
        flight.skies.append(torch.from_numpy(np.array(shown) > 254))
    return flight


def _under_sky(town: Image.Image) -> tuple[Image.Image, Image.Image]:
    """The houses under a plain sky of the same proportions, and a mask of the sky, 255 where it is."""
    height = town.height + _HIGHER
    width = height * town.width // town.height
    wide = Image.new("RGB", (2 * town.width, town.height))
    wide.paste(town)
    wide.paste(ImageOps.mirror(town), (town.width, 0))
    outline = [(x, y) for x, y in _HORIZON] + [(2 * town.width - x, y) for x, y in reversed(_HORIZON)]
    houses = Image.new("L", wide.size)
    ImageDraw.Draw(houses).polygon([(0, town.height), *outline, (wide.width, town.height)], fill=255)
    whole, above = Image.new("RGB", (width, height), _SKY), Image.new("L", (width, height), 255)
    whole.paste(wide, (0, _HIGHER), houses)
    above.paste(0, (0, _HIGHER), houses)
    return whole, above


def clip(flight: Flight) -> Clip:
    """The flight as a clip without an end."""
    return Clip(tuple(Picture(frame) for frame in flight.frames), (MILLISECONDS,) * len(flight.frames))


def _balloon(size: tuple[int, int], centre: tuple[float, float], radius: float) -> Image.Image:
    """A striped balloon with its basket, on nothing."""
    layer = Image.new("RGBA", (size[0] * _FINER, size[1] * _FINER))
    draw = ImageDraw.Draw(layer)
    (x, y), r = (each * _FINER for each in centre), radius * _FINER
    for side in (-0.45, 0.45):
        draw.line((x + side * r, y + 0.8 * r, x + side * 0.45 * r, y + 1.65 * r), fill=(70, 50, 30), width=_FINER)
    draw.rectangle((x - 0.25 * r, y + 1.6 * r, x + 0.25 * r, y + 1.95 * r), fill=(120, 80, 40))
    for share, colour in (
        (1.0, (205, 45, 40)),
        (0.72, (250, 225, 120)),
        (0.42, (205, 45, 40)),
        (0.14, (250, 225, 120)),
    ):
        draw.ellipse((x - share * r, y - r, x + share * r, y + 1.1 * r), fill=colour)
    return layer.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def main() -> None:
    """Write the clip to the file that the command line names."""
    parser = argparse.ArgumentParser(description="Draw the clip of a balloon over a town.")
    parser.add_argument("file", type=Path)
    file: Path = parser.parse_args().file
    formats = {".gif": "gif", ".webp": "webp", ".png": "png"}
    file.write_bytes(encode_clip(clip(fly()), formats[file.suffix]))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
