"""The decoded pixels of a file that may be truncated."""

from dataclasses import dataclass
from typing import Final

from PIL import Image

from engine.errors import PictureTruncated

LEAST_SHOWN: Final = 2 / 3
"""Share of its rows that a truncated file must hold to be painted. With less, a member would hardly recognise the
picture, and should send the file again.
"""

_EMPTY: Final = bytes(64)

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels."""


@dataclass(frozen=True, slots=True)
class Raster:
    """``image`` is what was decoded. Outside of the box ``seen``, if there is one, it counts as transparent.

    ``shown`` is the share of the rows that a truncated file holds, :data:`LEAST_SHOWN` to 1; None for a whole file.
    """

    image: Image.Image
    seen: Box | None = None
    shown: float | None = None


def written(data: bytes) -> bytes:
    """Compressed bytes without the zeros that a broken copy left at their end. Compressed data has no run as long."""
    return data.rstrip(b"\0") if data.endswith(_EMPTY) else data


def checked(shown: float) -> float | None:
    """The share of the rows that the file holds, or None for all. Raises PictureTruncated if they are too few."""
    if shown < LEAST_SHOWN:
        raise PictureTruncated(shown)
    return None if shown == 1 else shown
