"""The styles that everybody has. ``tests/drawing/built_in.py`` draws their pictures."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bot.locales import N_, gettext
from engine.networks.file import NetworkFile

PICTURES: Final = Path(__file__).parent / "pictures"
TRAINED: Final = Path(__file__).parent / "trained" / "built-in.safetensors"
"""The network that learned some of them. The README beside it says from what."""
_PAINTED: Final = {"gold-leaf", "linocut", "mosaic", "risograph"}
"""The styles that this network paints better than an optimisation in a second does. It also knows others."""


@dataclass(frozen=True, slots=True)
class BuiltInStyle:
    """A style of every member and server."""

    id: str
    """Unique, and the name of its file."""
    english_name: str

    @property
    def name(self) -> str:
        """What members call it, in the language that applies."""
        return gettext(self.english_name)

    @property
    def filename(self) -> str:
        """What a file of the picture would be called for members."""
        return f"{self.name}.jpg"

    @property
    def file(self) -> Path:
        """The picture: a JPEG of at most 512 pixels on its longer side."""
        return PICTURES / f"{self.id}.jpg"

    @property
    def thumbnail(self) -> Path:
        """The same with 256 pixels on its longer side."""
        return PICTURES / "thumbnails" / f"{self.id}.jpg"

    def network(self) -> bytes | None:
        """The trained network that paints this style, as a file that workers take as its picture; None if none does."""
        if self.id not in _PAINTED:
            return None
        trained = _trained()
        return trained.only(trained.card.styles.index(self.id.replace("-", " ").capitalize())).write()


BUILT_IN: Final = (
    BuiltInStyle("impasto", N_("Impasto swirls")),
    BuiltInStyle("glass", N_("Stained glass")),
    BuiltInStyle("woodblock", N_("Woodblock print")),
    BuiltInStyle("watercolour", N_("Watercolour")),
    BuiltInStyle("pointillism", N_("Pointillism")),
    BuiltInStyle("mosaic", N_("Mosaic")),
    BuiltInStyle("cubism", N_("Cubist facets")),
    BuiltInStyle("ink-wash", N_("Ink wash")),
    BuiltInStyle("pencil", N_("Pencil hatching")),
    BuiltInStyle("linocut", N_("Linocut flowers")),
    BuiltInStyle("risograph", N_("Risograph dots")),
    BuiltInStyle("gold-leaf", N_("Gold leaf")),
)


@cache
def _trained() -> NetworkFile:
    return NetworkFile.read(TRAINED.read_bytes())
