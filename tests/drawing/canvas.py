"""What the built-in styles are drawn with: coordinates, colours, paper, outlines, lines and a landscape."""

import numpy as np
from PIL import Image, ImageDraw

from tests.drawing.noise import Array, band, fractal, mix, sample, smooth


def grid(side: int) -> tuple[Array, Array]:
    """The centres of the pixels, x to the right and y down, from 0 to 1."""
    y, x = np.mgrid[0.5 / side : 1 - 0.5 / side : side * 1j, 0.5 / side : 1 - 0.5 / side : side * 1j]
    return x, y


def rgb(*codes: str) -> Array:
    """Colours (n, 3) of hexadecimal codes, 0 to 1; a single one is (3,)."""
    colours = np.array([[int(code[at : at + 2], 16) / 255 for at in (0, 2, 4)] for code in codes])
    return np.asarray(colours[0] if len(codes) == 1 else colours, np.float64)


def over(below: Array, colour: Array, share: Array) -> Array:
    """Lay a colour over a picture, opaque by ``share`` (side, side)."""
    return mix(below, np.broadcast_to(colour, below.shape), np.clip(share, 0, 1))


def paper(x: Array, y: Array, seed: int, colour: Array, rough: float = 0.03) -> Array:
    """Paper with fibres and stains."""
    fibres = sample(fractal(seed, 40, 4, 0.8), x * 1.7, y * 1.7) + 0.6 * sample(fractal(seed + 50, 3, 3), x, y)
    return np.asarray(colour + rough * 0.6 * fibres[..., None], np.float64)


def grain(x: Array, y: Array, seed: int, waves: float = 60) -> Array:
    """The tooth of rough paper, of mean 0 and variance 1."""
    return sample(fractal(seed, waves, 3, 0.7), x * 1.5, y * 1.5)


def warped(x: Array, y: Array, seed: int, amount: float, waves: float = 4) -> tuple[Array, Array]:
    """Coordinates that wander by ``amount``."""
    dx, dy = sample(fractal(seed, waves, 3), x, y), sample(fractal(seed + 20, waves, 3), x, y)
    return x + amount * dx, y + amount * dy


def edges(labels: Array, width: float, seed: int) -> Array:
    """Lines where labels (side, side) differ, about ``width`` of the side thick, as an uneven hand draws them."""
    side = len(labels)
    differs = np.zeros(labels.shape, bool)
    differs[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    differs[1:] |= labels[1:] != labels[:-1]
    near = blurred(differs.astype(float), width * side) * width * side * 2.2
    x, y = grid(side)
    return smooth(0.45, 0.75, near * (1 + 0.35 * sample(fractal(seed, 7, 3), x, y)))


def blurred(values: Array, pixels: float) -> Array:
    """A Gaussian blur, periodic."""
    side = len(values)
    frequency = np.square(np.fft.fftfreq(side))[:, None] + np.square(np.fft.rfftfreq(side))[None, :]
    spectrum = np.fft.rfft2(values) * np.exp(-2 * np.square(np.pi * pixels) * frequency)
    return np.asarray(np.fft.irfft2(spectrum, values.shape), np.float64)


def lit(relief: Array, strength: float) -> Array:
    """How much brighter than flat a relief is under a lamp at the upper left; heights in fractions of the side."""
    down, across = np.gradient(relief * len(relief))
    return np.asarray(np.clip(1 - strength * (across + down), 0.3, 1.7), np.float64)


def drawn(side: int, lines: list[tuple[Array, float]], scale: int = 2) -> Array:
    """How much ink there is where tapered lines are drawn: points (n, 2) and the largest width, both in sides."""
    image = Image.new("L", (side * scale, side * scale))
    pen = ImageDraw.Draw(image)
    for points, width in lines:
        taper = np.sin(np.linspace(0.15, np.pi - 0.05, len(points))) ** 0.7
        for (x, y), radius in zip(points * side * scale, taper * width / 2 * side * scale, strict=True):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(image.resize((side, side), Image.Resampling.BOX), np.float64) / 255


def landscape(x: Array, y: Array) -> tuple[Array, Array]:
    """Labels of what is there, and the depth from 0 (its upper edge) within it.

    0 sky, 1 sun, 2 to 4 mountains from far to near, 5 water, 6 shore, 7 trees.
    """
    labels, depth = np.zeros(x.shape), y.copy()

    def lay(number: int, inside: Array) -> None:
        labels[inside > 0] = number
        depth[inside > 0] = inside[inside > 0]

    lay(1, 0.115 - np.hypot(x - 0.68, y - 0.24))
    for number, (height, rise, seed) in enumerate(((0.36, 0.10, 301), (0.47, 0.085, 304), (0.575, 0.05, 307)), 2):
        crest = height - rise * (np.cos(2 * np.pi * (x * (0.9 + 0.25 * number) + 0.19 * number)))
        lay(number, y - crest - 0.03 * sample(fractal(seed, 5, 5, 0.55), x, np.zeros_like(x)))
    lay(5, y - 0.635 - 0.004 * np.sin(40 * x))
    lay(6, y - 0.86 + 0.10 * np.sin(2.6 * x + 0.4) - 0.006 * sample(band(310, 24), x, np.zeros_like(x)))
    for at, foot, size in ((0.13, 0.86, 0.34), (0.27, 0.90, 0.24), (0.90, 0.88, 0.30)):
        up = (foot - y) / size
        wide = size * 0.17 * np.clip(1 - up, 0, 1) * (0.62 + 0.38 * np.abs(((up * 6) % 1) * 1.0 - 1))
        ragged = 0.006 * sample(fractal(311, 30, 3), x, y)
        lay(7, np.where((up > -0.02) & (up < 1), wide + ragged - np.abs(x - at), -1))
    return labels, depth
