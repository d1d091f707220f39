"""What the first bytes of a picture's file say, read without a decoder: its format and its size.

The bytes are untrusted; every reader looks only where the file's own lengths lead and stops at its end. Each raises
:class:`~engine.errors.PictureDamaged`, ``struct.error`` or ``IndexError`` where the bytes end too early.
"""

import re
import struct
from enum import StrEnum

from engine.errors import PictureDamaged

MAX_SCANS = 64
"""Scans of a progressive JPEG. Encoders write about ten; each costs a pass over all pixels."""

MAX_SEGMENTS = 4096
"""Segments of a JPEG. Each holds up to 64 KiB; millions of empty ones would keep Pillow's Python loop busy."""

MAX_JUNK = 64 * 2**10
"""Bytes before the pixels of a JPEG or GIF that belong to nothing; Pillow walks them one by one in Python."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNKS = frozenset({b"PLTE", b"tRNS", b"IDAT", b"eXIf"})
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})


class Format(StrEnum):
    """The accepted formats, by Pillow's names."""

    PNG = "PNG"
    JPEG = "JPEG"
    WEBP = "WEBP"
    AVIF = "AVIF"
    GIF = "GIF"
    BMP = "BMP"


def sniff(data: bytes) -> Format | None:
    """The format that the first bytes mark, if it is an accepted one."""
    for mark, format in (
        (_PNG_SIGNATURE, Format.PNG),
        (b"\xff\xd8\xff", Format.JPEG),
        (b"GIF87a", Format.GIF),
        (b"GIF89a", Format.GIF),
    ):
        if data.startswith(mark):
            return format
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return Format.WEBP
    # "BM" alone would claim every text about BMW.
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return Format.BMP
    # HEIC shares the container and the brand mif1, so the list of compatible brands has to be asked.
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)] if data[4:8] == b"ftyp" else b""
    is_avif = {brands[i : i + 4] for i in range(0, len(brands), 4)} & {b"avif", b"avis"}
    return Format.AVIF if is_avif else None


def size_of(format: Format, data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, or None for AVIF: opening one only parses its boxes, so its decoder may be asked."""
    match format:
        case Format.PNG:
            return _png_size(data)
        case Format.JPEG:
            return _jpeg_size(data)
        case Format.WEBP:
            return _webp_size(data)
        case Format.GIF:
            return _gif_size(data)
        case Format.BMP:
            return _bmp_size(data)
        case Format.AVIF:
            return None


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _webp_size(data: bytes) -> tuple[int, int]:
    """The canvas, for which libwebp allocates memory as soon as it is opened (RFC 9649, 2.5 to 2.7)."""
    match data[12:16]:
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X" if len(data) >= 30:
            return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    raise PictureDamaged("WebP without a first image chunk")


def _gif_size(data: bytes) -> tuple[int, int]:
    """The logical screen, grown to the first frame as Pillow does; it fills the frame already when opening."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    junk = 0
    while data[at] != 0x2C:
        if data[at] == 0x3B or junk > MAX_JUNK:
            raise PictureDamaged("GIF without a frame")
        if data[at] == 0x21:  # an extension: a label, then blocks up to an empty one
            at += 2
            while data[at]:
                at += 1 + data[at]
        else:
            junk += 1
        at += 1
    left, top, frame_width, frame_height = struct.unpack_from("<HHHH", data, at + 1)
    return max(width, left + frame_width), max(height, top + frame_height)


def _bmp_size(data: bytes) -> tuple[int, int]:
    if int.from_bytes(data[14:18], "little") == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)  # a negative height means that the first row is the top one


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Of the first frame header, after a walk over all segments and scans of the first image."""
    size: tuple[int, int] | None = None
    at, segments, scans, junk = 2, 0, 0, 0
    while found := _JPEG_MARKER.search(data, at):
        segments += 1
        if not scans:
            junk += found.start() - at
        marker, at = found[1][0], found.end()
        if marker == 0xD9 or segments > MAX_SEGMENTS or scans > MAX_SCANS or junk > MAX_JUNK:
            break
        if marker in {0x01, 0xD8}:  # these stand alone
            continue
        (length,) = struct.unpack_from(">H", data, at)
        if marker in _JPEG_FRAMES and size is None:
            height, width = struct.unpack_from(">HH", data, at + 3)
            size = width, height
        scans += marker == 0xDA
        at += max(length, 2)
    if segments > MAX_SEGMENTS or scans > MAX_SCANS or junk > MAX_JUNK:
        raise PictureDamaged(f"JPEG with {segments} segments, {scans} scans, {junk} stray bytes")
    if size is None or not scans:
        raise PictureDamaged("JPEG without a frame")
    return size


def bare_png(data: bytes) -> bytes:
    """The PNG with only the chunks that decide its pixels.

    What falls away could inflate without end (text, profile), is read elsewhere (colours: :mod:`engine.colour_tags`)
    or belongs to an animation, whose default image is all that is wanted.

    :raises PictureDamaged: a chunk reaches past the end, or there is no end chunk.
    """
    parts = [data[:8]]
    at = 8
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        chunk = data[at : at + 12 + length]
        if len(chunk) < 12 + length:
            break
        at += len(chunk)
        first = len(parts) == 1
        if name in _PNG_CHUNKS or (name == b"IHDR" and first):
            parts.append(chunk)
        elif name == b"IEND":
            return b"".join([*parts, chunk])
    raise PictureDamaged("PNG without its end")
