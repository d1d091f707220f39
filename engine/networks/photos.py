"""The pictures that a network is trained on: photos from a folder, and pictures that are drawn here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SCALES: Final = (1.0, 3.5)
"""The shorter sides to which they are scaled before a square is cut out, in sides of the square: from most of a photo
to a part of it. A style's colours are spread over what a square shows, as over a whole painting."""
DRAWN: Final = 32
"""Drawn pictures, where there are no photos."""
_DRAWN_SIDE: Final = 640
_SHAPES: Final = 900
"""In a drawn picture."""


@dataclass(frozen=True, slots=True)
class Photos:
    """Pictures for a training, all in memory: 1.2 MB each."""

    pictures: Sequence[Image.Image]
    """At least one, in mode ``RGB``, with sides of at least 16 pixels."""

    def crop(self, chance: np.random.Generator, side: int) -> Image.Image:
        """A square of ``side`` pixels, from a random picture at a random size and place; half of them are mirrored."""
        picture = self.pictures[int(chance.integers(len(self.pictures)))]
        low, high = SCALES
        factor = side * low * (high / low) ** chance.random() / min(picture.size)
        # Only what is cut out is scaled.
        cut = min(side / factor, *picture.size)
        left, top = (chance.uniform(0, each - cut) if each > cut else 0.0 for each in picture.size)
        box = (left, top, left + cut, top + cut)
        found = picture.resize((side, side), Image.Resampling.BICUBIC, box=box, reducing_gap=None)
        return found.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if chance.random() < 0.5 else found


def drawn(number: int, seed: int) -> list[Image.Image]:
    """Pictures with the statistics of photos, though not their contents: dead leaves.

    Shapes of random colour cover each other. Their sizes follow a power law, as in Lee, Mumford and Huang, "Occlusion
    Models for Natural Images" (IJCV 2001). Networks for vision learn from such pictures: Baradad et al., "Learning to
    See by Looking at Noise" (NeurIPS 2021).
    """
    return [_leaves(np.random.default_rng((seed, 2, index))) for index in range(number)]


def _leaves(chance: np.random.Generator) -> Image.Image:
    hues = chance.uniform(0, 255, (6, 3))
    picture = Image.new("RGB", (_DRAWN_SIDE, _DRAWN_SIDE), _colour(chance, hues))
    draw = ImageDraw.Draw(picture)
    for _ in range(_SHAPES):
        # The inverse of the distribution function of radii r with a density of r⁻³, from 6 to 300 pixels.
        radius = 1 / np.sqrt(chance.uniform(1 / 300**2, 1 / 6**2))
        x, y = chance.uniform(0, _DRAWN_SIDE, 2)
        corners = int(chance.integers(3, 9))
        angles = np.sort(chance.uniform(0, 2 * np.pi, corners))
        stretch = chance.uniform(0.4, 1.0)
        places = np.stack((x + radius * np.cos(angles), y + radius * stretch * np.sin(angles)), axis=1)
        if chance.random() < 0.5:
            draw.ellipse((x - radius, y - radius * stretch, x + radius, y + radius * stretch), _colour(chance, hues))
        else:
            draw.polygon([(float(each[0]), float(each[1])) for each in places], _colour(chance, hues))
    return _lit(picture, chance)


def _lit(picture: Image.Image, chance: np.random.Generator) -> Image.Image:
    """With light that falls off across the picture, a little out of focus and with a little noise."""
    blurred = picture.filter(ImageFilter.GaussianBlur(float(chance.uniform(0.4, 2.0))))
    pixels = np.asarray(blurred, dtype=np.float32)
    rise = np.linspace(-1, 1, _DRAWN_SIDE, dtype=np.float32)
    across, down = chance.uniform(-0.4, 0.4, 2).astype(np.float32)
    light = 1 + across * rise[None, :, None] + down * rise[:, None, None]
    noise = chance.normal(0, 3, pixels.shape).astype(np.float32)
    return Image.fromarray((pixels * light + noise).clip(0, 255).astype(np.uint8))


def _colour(chance: np.random.Generator, hues: NDArray[np.float64]) -> tuple[int, int, int]:
    hue = hues[chance.integers(len(hues))] * chance.uniform(0.3, 1.1) + chance.normal(0, 12, 3)
    red, green, blue = hue.clip(0, 255)
    return int(red), int(green), int(blue)
