"""Which contents and styles are painted, in which order, and how pictures become what the measures look at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from engine.images.codec import Picture, decode, fitted
from tests.drawing import collection
from tests.drawing.pictures import CONTENT, STYLE, STYLE_GLASS

SHARED: Final = Path(__file__).parents[3].parent / "shared" / "images"
"""Photographs and paintings beside the repository, where somebody put them: ``content/*.jpg`` and ``style/*.jpg``."""


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
"""The project's own, drawn by its code; those that are no files take some seconds."""


@dataclass(frozen=True, slots=True)
class Named:
    """A picture and what the tables call it."""

    name: str
    picture: Picture


@dataclass(frozen=True, slots=True)
class Pair:
    """A content to be painted in a style."""

    content: Named
    style: Named

    @property
    def name(self) -> str:
        """For files and tables."""
        return f"{self.content.name}-{self.style.name}"


def opened(path: Path) -> Named:
    """Decode a file, under its name without the ending."""
    return Named(path.stem, decode(path.read_bytes()))


def contents(given: Sequence[Path], folder: Path) -> tuple[Named, ...]:
    """``given``, or else those of ``folder``, or else the project's own three."""
    return _chosen(given, folder / "content", OWN_CONTENTS)


def styles(given: Sequence[Path], folder: Path) -> tuple[Named, ...]:
    """``given``, or else those of ``folder``, or else the project's own three."""
    return _chosen(given, folder / "style", OWN_STYLES)


def _chosen(given: Sequence[Path], folder: Path, own: Mapping[str, Callable[[], Picture]]) -> tuple[Named, ...]:
    if paths := given or sorted(folder.glob("*.jpg")):
        return tuple(opened(path) for path in paths)
    return tuple(Named(name, make()) for name, make in own.items())


def pairs(contents: Sequence[Named], styles: Sequence[Named]) -> tuple[Pair, ...]:
    """Each content in each style, in an order in which any beginning has as many different ones as can be."""
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


def tensor(image: Image.Image, device: torch.device) -> Tensor:
    """(1, 3, height, width) in [0, 1]."""
    pixels: Tensor = pil_to_tensor(image.convert("RGB"))
    return pixels[None].to(device).float() / 255


def image_of(data: bytes) -> Image.Image:
    """A result's picture in RGB."""
    with Image.open(BytesIO(data)) as image:
        return image.convert("RGB")
