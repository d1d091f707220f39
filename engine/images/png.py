"""A PNG as one still picture that Pillow reads: see :func:`still`. Nothing is decoded here.

The bytes are untrusted; a length is followed only as far as the file goes.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engine.errors import PictureDamaged
from engine.images.raster import written

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

GREY: Final = 0
GREY_AND_ALPHA: Final = 4
"""Colour types (PNG specification, third edition, 11.2.1)."""

_KEPT: Final = frozenset({b"PLTE", b"tRNS", b"eXIf"})
"""Chunks that say how the pixels are shown. :mod:`engine.images.colour_tags` reads the colours. Texts are left out, as
they may inflate without limit.
"""

_OF_ANIMATION: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"IDAT", b"IEND"})
"""Chunks that the frames of an animation are made of."""

_BLOCK: Final = 2**20
_ZLIB: Final = b"\x78\x01"
"""The header of a zlib stream (RFC 1950)."""

Chunk = tuple[bytes, bytes, bool, bool]
"""Name, payload, whether the file holds all of the chunk, and whether its checksum is right (true if it is missing)."""


@dataclass(frozen=True, slots=True)
class Still:
    """A PNG without animation, ``data``. Its pixels lie at ``offset`` on a transparent canvas of ``canvas`` pixels."""

    data: bytes
    canvas: tuple[int, int]
    offset: tuple[int, int] = (0, 0)
    apple: int | None = None
    """The flags of Apple's variant, a ``CGBitmapInfo``; None for a usual PNG."""
    ended: bool = True
    """Whether the file has its end chunk."""

    @property
    def depth(self) -> int:
        """Bits of a channel, or of an index into the palette: 1, 2, 4, 8 or 16."""
        return self.data[24]

    @property
    def colour(self) -> int:
        """The colour type."""
        return self.data[25]

    @property
    def is_deep(self) -> bool:
        """Whether the channels have 16 bits, in PNG's order, and cover the canvas."""
        return self.depth == 16 and self.apple is None and self.canvas == size(self.data)


def size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels.

    Raises:
        PictureDamaged: the file doesn't begin with ``IHDR``, nor with Apple's ``CgBI`` before it.
        struct.error: ``IHDR`` is cut off.
    """
    _, (_, header, *_) = _beginning(chunks(data))
    width, height = struct.unpack_from(">II", header)
    return width, height


def still(data: bytes) -> Still:
    """The picture that browsers show first: of an animation the first frame, which may differ from the default image.

    A truncated file gets an end behind the pixels that it holds. Pixels from a chunk with a wrong checksum on are left
    out, unless the checksum of the whole stream is right. Apple's stream gets the zlib header that it lacks.

    Raises:
        PictureDamaged, struct.error: as :func:`size`.
    """
    found = chunks(written(data))
    apple, header = _beginning(found)
    width, height = struct.unpack_from(">II", header[1])
    kept = [_packed(*header)]
    pixels, frames = list[Chunk](), list[Chunk]()
    animated = hidden = ended = False
    for chunk in found:
        name, payload, whole, sound = chunk
        if name == b"IDAT":
            hidden = hidden or (animated and not pixels and not frames)
            pixels.append(chunk)
        elif name in {b"fcTL", b"fdAT"}:
            frames.append(chunk)
        elif name == b"IEND":
            ended = True
        elif not whole or (name[0] & 0x20 and not sound):
            pass  # a damaged ancillary chunk is left out
        elif name == b"acTL":
            animated = not pixels and payload[:4] != bytes(4)
        elif name in _KEPT:
            kept.append(_packed(*chunk))
    place: tuple[int, int, int, int] | None = None
    if hidden and (first := _first_frame(frames, width, height)):
        place, pixels = first
        size = struct.pack(">II", *place[:2])
        kept[0] = _packed(header[0], size + header[1][8:], whole=True, sound=header[3])
    stream = _stream(pixels)
    if apple is not None and not _is_zlib(stream):
        stream = _ZLIB + stream
    else:
        apple = None
    end = _packed(b"IDAT", stream) + _packed(b"IEND", b"")
    offset = place[2:] if place else (0, 0)
    return Still(b"".join([SIGNATURE, *kept, end]), (width, height), offset, apple, ended)


def animation(data: bytes) -> bytes | None:
    """The same file without chunks that change no pixel and no time; None if it is not animated."""
    found = [chunk for chunk in chunks(data) if chunk[0] in _OF_ANIMATION]
    animated = any(name == b"acTL" for name, *_ in found)
    return b"".join([SIGNATURE, *(_packed(*chunk) for chunk in found)]) if animated else None


def chunks(data: bytes) -> Iterator[Chunk]:
    """All chunks up to the end chunk, or to where the file ends or is not a PNG any more."""
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if not name.isalpha():
            return
        payload = data[at + 8 : at + 8 + length]
        stored = data[at + 8 + length : at + 12 + length]
        whole = len(stored) == 4
        yield name, payload, whole, not whole or zlib.crc32(payload, zlib.crc32(name)) == int.from_bytes(stored, "big")
        if name == b"IEND":
            return
        at += 12 + length


def _beginning(found: Iterator[Chunk]) -> tuple[int | None, Chunk]:
    """The flags of Apple's first chunk, if it is there, and ``IHDR``."""
    apple = None
    first = next(found, None)
    if first and first[0] == b"CgBI":
        apple = int.from_bytes(first[1][:4], "big")
        first = next(found, None)
    if not first or first[0] != b"IHDR":
        raise PictureDamaged(f"PNG that begins with {first and first[0]!r}")
    return apple, first


def _first_frame(frames: list[Chunk], width: int, height: int) -> tuple[tuple[int, int, int, int], list[Chunk]] | None:
    """Width, height, left and top of the first frame (``fcTL``), and its pixels; None if it breaks the rules.

    Then only the default image can be shown: PNG specification, third edition, 11.3.6, "APNG".
    """
    name, control, whole, sound = frames[0] if frames else (b"", b"", False, False)
    if name != b"fcTL" or not whole or not sound or len(control) != 26:
        return None
    sequence, *place = struct.unpack_from(">5I", control)
    frame_width, frame_height, left, top = place
    fits = sequence == 0 and 0 < frame_width <= width - left and 0 < frame_height <= height - top
    pixels = list[Chunk]()
    for name, payload, whole, sound in frames[1:]:
        if name != b"fdAT":
            break
        sequence += 1
        if int.from_bytes(payload[:4], "big") != sequence:
            return None
        pixels.append((name, payload[4:], whole, sound))
    return ((frame_width, frame_height, left, top), pixels) if fits and pixels else None


def _stream(pixels: list[Chunk]) -> bytes:
    """The compressed pixels up to the first damaged chunk, or all if they inflate to their end."""
    stream = b"".join(payload for _, payload, _, _ in pixels)
    wrong = next((at for at, (*_, sound) in enumerate(pixels) if not sound), None)
    if wrong is None or _inflates(stream):
        return stream
    return b"".join(payload for _, payload, _, _ in pixels[:wrong])


def _is_zlib(stream: bytes) -> bool:
    return len(stream) > 1 and stream[0] & 15 == 8 and int.from_bytes(stream[:2], "big") % 31 == 0


def _inflates(stream: bytes) -> bool:
    """Whether the stream is whole and its own checksum is right."""
    inflater = zlib.decompressobj()
    try:
        inflater.decompress(stream, _BLOCK)
        while inflater.unconsumed_tail:
            inflater.decompress(inflater.unconsumed_tail, _BLOCK)
    except zlib.error:
        return False
    return inflater.eof


def _packed(name: bytes, payload: bytes, whole: bool = True, sound: bool = True) -> bytes:
    """The chunk as bytes. A wrong checksum stays wrong."""
    right = zlib.crc32(payload, zlib.crc32(name))
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", right if sound else ~right & 0xFFFFFFFF)
