"""The demo's pictures. The code in this package draws all of them, so the project may ship them.

``python -m tests.drawing.pictures DIR`` draws them again.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from engine.images.codec import encode
from tests.drawing import brush, glass, scene
from tests.drawing.noise import Array

FOLDER = Path(__file__).parents[2] / "bot" / "demo"
CONTENT = FOLDER / "content.jpg"
"""A town on a lake, 960 x 720 pixels."""
STYLE = FOLDER / "style.jpg"
"""An oil painting in thick curved strokes, 768 x 768 pixels."""
STYLE_GLASS = FOLDER / "style-glass.jpg"
"""A stained-glass window, 768 x 768 pixels."""

MOST_BYTES = 250_000
"""Largest size of a file, in bytes: the files are part of every installation."""


def content(width: int = 960) -> Image.Image:
    """The scene, four to three, ``width`` pixels wide."""
    return _image(scene.render(width, width * 3 // 4))


def style(side: int = 768) -> Image.Image:
    """The painting, ``side`` pixels high and wide."""
    return _image(brush.paint(side))


def style_glass(side: int = 768) -> Image.Image:
    """The window, ``side`` pixels high and wide."""
    return _image(glass.glaze(side))


DRAWN: dict[Path, Callable[[], Image.Image]] = {CONTENT: content, STYLE: style, STYLE_GLASS: style_glass}


def file_of(image: Image.Image, most: int | None = None) -> bytes:
    """A JPEG of the best quality that stays within ``most`` bytes, by default :data:`MOST_BYTES`."""
    most = MOST_BYTES if most is None else most
    for quality in range(92, 40, -2):
        data = encode(image, "jpeg", quality=quality)
        if len(data) <= most:
            return data
    raise ValueError(f"no JPEG of {image.size} fits into {most} bytes")


def main() -> None:
    """Draw all pictures into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Draw the demonstration pictures.")
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for path, draw in DRAWN.items():
        (folder / path.name).write_bytes(file_of(draw()))


def _image(colours: Array) -> Image.Image:
    return Image.fromarray((colours * 255 + 0.5).astype(np.uint8))


if __name__ == "__main__":
    main()
