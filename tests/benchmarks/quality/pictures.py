"""Which contents and styles are painted, in which order, and how pictures become what the measures look at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image

from engine.images.codec import Picture, decode, fitted
from tests.drawing import collection
from tests.drawing.pictures import CONTENT, STYLE, STYLE_GLASS

OWN_CONTENTS: Final[Mapping[str, Callable[[], Picture]]] = {
    "town": lambda: decode(CONTENT.read_bytes()),
    "portrait": lambda: Picture(collection.portrait()),
    "still-life": lambda: Picture(collection.still_life()),
}
OWN_STYLES: Final[Mapping[str, Callable[[], Picture]]] = {
    "oil": lambda: decode(STYLE.read_bytes()),
    "glass": lambda: decode(STYLE_GLASS.read_bytes()),
    "woodcut": lambda: Picture(collection.woodcut()),
}
"""The project's own pictures, drawn by its code. Those without a file take some seconds."""


@dataclass(frozen=True, slots=True)
class Named:
    """A picture and its name in the tables."""

    name: str
    picture: Picture


@dataclass(frozen=True, slots=True)
class Pair:
    """A content to be painted in a style."""

    content: Named
    style: Named

    @property
    def name(self) -> str:
        """The name for files and tables."""
        return f"{self.content.name}-{self.style.name}"


def contents(given: Sequence[Path] | None) -> tuple[Named, ...]:
    """``given``, or else the project's own three."""
    return _chosen(given, OWN_CONTENTS)


def styles(given: Sequence[Path] | None) -> tuple[Named, ...]:
    """``given``, or else the project's own three."""
    return _chosen(given, OWN_STYLES)


def _chosen(given: Sequence[Path] | None, own: Mapping[str, Callable[[], Picture]]) -> tuple[Named, ...]:
    if given:
        return tuple(Named(path.stem, decode(path.read_bytes())) for path in given)
    return tuple(Named(name, make()) for name, make in own.items())


def pairs(contents: Sequence[Named], styles: Sequence[Named]) -> tuple[Pair, ...]:
    """Each content in each style, ordered so that the first pairs have as many different pictures as possible."""
    longer = max(len(contents), len(styles))
    order = ((first, (first + shift) % longer) for shift in range(longer) for first in range(longer))
    return tuple(
        Pair(contents[content], styles[style])
        for content, style in order
        if content < len(contents) and style < len(styles)
    )


def scaled(image: Image.Image, longer_side: int) -> Image.Image:
    """As the engine does it."""
    return image.resize(fitted(image.size, longer_side), Image.Resampling.LANCZOS)


def image_of(data: bytes) -> Image.Image:
    """The picture of a result in RGB."""
    with Image.open(BytesIO(data)) as image:
        return image.convert("RGB")
