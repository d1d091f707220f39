"""Tileable noise: the only source of irregularity in the demo's pictures."""

import functools

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

SIDE = 512
"""Texels of a tile's side."""


@functools.cache
def band(seed: int, waves: float) -> Array:
    """Noise around ``waves`` waves for each tile, of variance 1 and mean 0, periodic in both directions."""
    white = np.fft.rfft2(np.random.default_rng(seed).standard_normal((SIDE, SIDE)))
    frequency = np.hypot(np.fft.fftfreq(SIDE, 1 / SIDE)[:, None], np.fft.rfftfreq(SIDE, 1 / SIDE)[None, :])
    weight = np.exp(-np.square(np.log(np.maximum(frequency, 0.25) / waves) / 0.45))
    weight[0, 0] = 0
    tile = np.fft.irfft2(white * weight, (SIDE, SIDE))
    return np.asarray(tile / tile.std(), np.float64)


@functools.cache
def fractal(seed: int, waves: float = 4, octaves: int = 6, gain: float = 0.5) -> Array:
    """Fractional Brownian motion: octaves of :func:`band`, each ``gain`` times as strong as the one before."""
    total = np.sum([gain**k * band(seed + k, waves * 2**k) for k in range(octaves)], axis=0)
    return np.asarray(total / total.std(), np.float64)


@functools.cache
def ridged(seed: int, waves: float = 3, octaves: int = 6, gain: float = 0.5) -> Array:
    """Ridged multifractal, 0 to 1 (Musgrave 1993): crests where a band crosses zero, rough on the heights only."""
    total, weight = np.zeros((SIDE, SIDE)), np.ones((SIDE, SIDE))
    for k in range(octaves):
        crest = np.square(np.clip(1 - np.abs(band(seed + k, waves * 2**k)) / 1.6, 0, 1))
        total += gain**k * crest * weight
        weight = np.clip(crest * 1.6, 0.15, 1)
    total -= total.min()
    return np.asarray(total / total.max(), np.float64)


def sample(tile: Array, x: Array, y: Array) -> Array:
    """The tile, bilinear, at ``x`` to the right and ``y`` down, both in tiles; it repeats without end."""
    height, width = tile.shape
    column, row = (x % 1.0) * width, (y % 1.0) * height
    left, top = column.astype(np.intp), row.astype(np.intp)
    across, down = column - left, row - top
    left, top = left % width, top % height
    right, bottom = (left + 1) % width, (top + 1) % height
    upper = tile[top, left] * (1 - across) + tile[top, right] * across
    lower = tile[bottom, left] * (1 - across) + tile[bottom, right] * across
    return np.asarray(upper * (1 - down) + lower * down, np.float64)


def hashed(*keys: Array) -> Array:
    """A hash from 0 to 1 of each tuple of whole numbers."""
    mixed = np.zeros(np.broadcast_shapes(*(key.shape for key in keys)))
    for key, factor in zip(keys, (127.1, 311.7, 74.7), strict=False):
        mixed = mixed + np.floor(key) * factor
    return np.asarray((np.sin(mixed) * 43758.5453) % 1.0, np.float64)


def smooth(low: float | Array, high: float | Array, value: Array) -> Array:
    """0 under ``low``, 1 over ``high``, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float64)


def mix(first: Array, second: Array, share: Array) -> Array:
    """Colours (…, 3), of the ``second`` one a ``share`` (…)."""
    return np.asarray(first + (second - first) * share[..., None], np.float64)
