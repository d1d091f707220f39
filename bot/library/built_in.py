"""The styles that everybody has. ``tests/drawing/built_in.py`` draws their pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

PICTURES: Final = Path(__file__).parent / "pictures"


@dataclass(frozen=True, slots=True)
class BuiltInStyle:
    """A style of every member and server."""

    id: str
    """Unique, and the name of its file."""
    name: str

    @property
    def filename(self) -> str:
        """What a file of the picture would be called for members."""
        return f"{self.name}.jpg"

    @property
    def file(self) -> Path:
        """The picture: a JPEG of at most 512 pixels on its longer side."""
        return PICTURES / f"{self.id}.jpg"


BUILT_IN: Final = (
    BuiltInStyle("impasto", "Impasto swirls"),
    BuiltInStyle("glass", "Stained glass"),
    BuiltInStyle("woodblock", "Woodblock print"),
    BuiltInStyle("watercolour", "Watercolour"),
    BuiltInStyle("pointillism", "Pointillism"),
    BuiltInStyle("mosaic", "Mosaic"),
    BuiltInStyle("cubism", "Cubist facets"),
    BuiltInStyle("ink-wash", "Ink wash"),
    BuiltInStyle("pencil", "Pencil hatching"),
    BuiltInStyle("linocut", "Linocut flowers"),
    BuiltInStyle("risograph", "Risograph dots"),
    BuiltInStyle("gold-leaf", "Gold leaf"),
)
