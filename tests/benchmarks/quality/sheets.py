"""Contact sheets and crops, for people to judge."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BACKGROUND: Final = (24, 24, 26)
INK: Final = (235, 235, 235)
FONT_SIZE: Final = 15
GAP: Final = 8
NARROWEST: Final = 230
"""The minimum width of a column in pixels, for its lines of text."""
CROP, ZOOM = 112, 4
"""Side of a crop, in pixels of the painting, and the pixels of the sheet that each becomes in both directions."""
LARGEST_CELL: Final = 400
"""The maximum size in pixels on a contact sheet. Larger paintings are scaled down; crops never are."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A picture and the lines under it; None leaves the place empty."""

    image: Image.Image | None
    lines: tuple[str, ...] = ()


def sheet(rows: Sequence[Sequence[Cell]], title: str, largest: int | None = LARGEST_CELL) -> Image.Image:
    """Cells in rows and columns, each with its lines under it."""
    font = ImageFont.load_default(FONT_SIZE)
    line = FONT_SIZE + 5
    pictures = [[_within(cell.image, largest) for cell in row] for row in rows]
    columns = max(len(row) for row in rows)
    widths = [
        max(NARROWEST, *(row[column].width for row in pictures if column < len(row))) for column in range(columns)
    ]
    heights = [max(picture.height for picture in row) for row in pictures]
    texts = [line * max(len(cell.lines) for cell in row) for row in rows]
    size = sum(widths) + GAP * (columns + 1), line + GAP + sum(heights) + sum(texts) + GAP * (len(rows) + 1)
    whole = Image.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(whole)
    pen.text((GAP, GAP // 2), title, INK, font)
    top = line + GAP
    for row, drawn, height, text in zip(rows, pictures, heights, texts, strict=True):
        left = GAP
        for cell, picture, width in zip(row, drawn, widths, strict=False):
            whole.paste(picture, (left, top))
            for number, told in enumerate(cell.lines):
                place = (left, top + picture.height + 2 + number * line)
                pen.text(place, _fitting(told, width, font), INK, font)
            left += width + GAP
        top += height + text + GAP
    return whole


def _within(image: Image.Image | None, largest: int | None) -> Image.Image:
    if image is None:
        return Image.new("RGB", (1, 1), BACKGROUND)
    if largest is None or max(image.size) <= largest:
        return image
    factor = largest / max(image.size)
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)


def _fitting(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """``text``, shortened to ``width`` pixels."""
    while text and font.getlength(text) > width:
        text = text.removesuffix("…")[:-1] + "…" if len(text) > 1 else ""
    return text


def places(content: Image.Image, side: int) -> dict[str, tuple[int, int]]:
    """The left and top edges of the crops, which are squares of ``side`` pixels.

    The upper left corner shows frames, the plainest place of the content grey patches and grain, and the busiest place
    fine details.
    """
    grey = np.asarray(content.convert("L"), np.float64)
    step = max(1, side // 8)
    edge = max(1, min(16, (min(grey.shape) - side) // 2))
    tops = range(edge, max(edge + 1, grey.shape[0] - side - edge + 1), step)
    lefts = range(edge, max(edge + 1, grey.shape[1] - side - edge + 1), step)
    deviation = {(left, top): grey[top : top + side, left : left + side].std() for top in tops for left in lefts}
    return {
        "corner": (0, 0),
        "plainest": min(deviation, key=lambda place: deviation[place]),
        "busiest": max(deviation, key=lambda place: deviation[place]),
    }


def crop(image: Image.Image, place: tuple[int, int], side: int) -> Image.Image:
    """A square at 1:1, each pixel shown as :data:`ZOOM` × :data:`ZOOM`."""
    left, top = place
    part = image.crop((left, top, min(left + side, image.width), min(top + side, image.height)))
    return part.resize((part.width * ZOOM, part.height * ZOOM), Image.Resampling.NEAREST)
