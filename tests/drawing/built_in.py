"""The pictures of the built-in styles: ``python -m tests.drawing.built_in DIR`` draws them again."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from tests.drawing import brush, glass, handmade, printed
from tests.drawing.noise import Array
from tests.drawing.pictures import file_of

SIDE: Final = 512
"""Pixels."""
MOST_BYTES: Final = 124_000
"""Largest size of a file. All twelve together stay within 1.5 MB."""
THUMBNAIL_SIDE: Final = 256
"""Pixels. The pictures have fine texture, so larger ones would take most of their bytes."""
MOST_BYTES_OF_THUMBNAIL: Final = 32_000
DRAWN: Final[Mapping[str, Callable[[int], Array]]] = {
    "impasto": brush.paint,
    "glass": glass.glaze,
    "woodblock": printed.woodblock,
    "watercolour": handmade.watercolour,
    "pointillism": handmade.pointillism,
    "mosaic": printed.mosaic,
    "cubism": handmade.cubism,
    "ink-wash": handmade.ink_wash,
    "pencil": handmade.pencil,
    "linocut": printed.linocut,
    "risograph": printed.risograph,
    "gold-leaf": printed.gold_leaf,
}
"""By the ids of the styles. Each draws a square of a side in pixels: (side, side, 3) in sRGB, about 0 to 1."""


def draw(style: str, side: int = SIDE) -> Image.Image:
    """The picture of a style, drawn twice as large so that its edges are smooth."""
    colours = np.clip(DRAWN[style](2 * side), 0, 1)
    large = Image.fromarray((colours * 255 + 0.5).astype(np.uint8))
    return large.resize((side, side), Image.Resampling.LANCZOS)


def thumbnail(picture: Image.Image) -> bytes:
    """The file of a small picture of a style."""
    small = picture.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return file_of(small, MOST_BYTES_OF_THUMBNAIL)


def main() -> None:
    """Draw all pictures into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Draw the pictures of the built-in styles.")
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    (folder / "thumbnails").mkdir(parents=True, exist_ok=True)
    for style in DRAWN:
        drawn = draw(style)
        (folder / f"{style}.jpg").write_bytes(file_of(drawn, MOST_BYTES))
        (folder / "thumbnails" / f"{style}.jpg").write_bytes(thumbnail(drawn))


if __name__ == "__main__":
    main()
