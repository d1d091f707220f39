"""Pictures that can be distinguished after they were painted: each job's content has its own pattern."""

import io
import random
from typing import Final

import numpy as np
from PIL import Image

CELLS: Final = 6
SIDE: Final = 96
"""Pixels."""


def _pattern(number: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    rng = random.Random(f"pattern {number}")
    half = CELLS * CELLS // 2
    signs = [1.0] * half + [-1.0] * half
    rng.shuffle(signs)
    return np.array(signs).reshape(CELLS, CELLS)


def drawn(number: int) -> bytes:
    """The content of the job of this number, as PNG: light and dark cells."""
    rng = random.Random(f"tints {number}")
    pixels = np.empty((CELLS, CELLS, 3))
    for (row, column), sign in np.ndenumerate(_pattern(number)):
        pixels[row, column] = [(190 if sign > 0 else 60) + rng.randint(-25, 25) for _ in range(3)]
    image = Image.fromarray(pixels.astype(np.uint8), "RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def likeness(picture: bytes, number: int) -> float:
    """How much a painting resembles the content with this number: up to 1 for its own, about 0 for another."""
    with Image.open(io.BytesIO(picture)) as image:
        cells = np.asarray(image.convert("L").resize((CELLS, CELLS), Image.Resampling.BOX), dtype=np.float64)
    return float(np.corrcoef(cells.ravel(), _pattern(number).ravel())[0, 1])
