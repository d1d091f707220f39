"""Reads a picture's format, size, orientation and number of frames, and the layout of a JPEG, without a decoder.

The bytes are untrusted; every reader looks only where the file's own lengths lead and stops at its end. Each raises
:class:`~engine.errors.PictureDamaged`, ``struct.error`` or ``IndexError`` where the bytes end too early.
"""

import re
import struct
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from engine.errors import PictureDamaged
from engine.images import bmp, png

MAX_SCANS = 64
"""Scans of a progressive JPEG. Encoders write about ten; each costs a pass over all pixels."""

MAX_SEGMENTS = 4096
"""Segments of a JPEG. Each holds up to 64 KiB; millions of empty ones would keep Pillow's Python loop busy."""

MAX_JUNK = 64 * 2**10
"""Bytes before the pixels of a JPEG or GIF that belong to no segment. Pillow reads them one by one in Python."""

MAX_BLOCKS = 2**18
"""Blocks of a GIF, WebP or PNG that are searched for frames. They take a tenth of a second."""

_JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ALL_COEFFICIENTS = (1 << 64) - 1
_ORIENTATION = 0x0112
_SHORT = 3


class Format(StrEnum):
    """The accepted formats, by Pillow's names."""

    PNG = "PNG"
    JPEG = "JPEG"
    WEBP = "WEBP"
    AVIF = "AVIF"
    GIF = "GIF"
    BMP = "BMP"


@dataclass(frozen=True, slots=True)
class Jpeg:
    """How far a JPEG goes."""

    size: tuple[int, int]
    """Width and height in pixels, as stored."""
    ended: bool
    """Whether the file has its end marker."""
    data: bytes
    """The file without a segment that is cut off at its end."""
    scan: int
    """Where in ``data`` the last scan begins."""
    progressive: bool
    complete_before: bool
    """Whether the scans before the last have each coefficient except its last bit: the last scan only refines."""
    complete: bool
    """Whether all scans together have each coefficient except its last bit."""
    exact: bool
    """Whether all scans together have each coefficient with its last bit."""


def sniff(data: bytes) -> Format | None:
    """The format that the first bytes mark, if it is an accepted one."""
    for mark, format in (
        (png.SIGNATURE, Format.PNG),
        (b"\xff\xd8\xff", Format.JPEG),
        (b"GIF87a", Format.GIF),
        (b"GIF89a", Format.GIF),
    ):
        if data.startswith(mark):
            return format
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return Format.WEBP
    # "BM" alone would claim every text about BMW.
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in bmp.HEADERS:
        return Format.BMP
    # HEIC shares the container and the brand mif1, so only the list of compatible brands tells the two apart.
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)] if data[4:8] == b"ftyp" else b""
    is_avif = {brands[i : i + 4] for i in range(0, len(brands), 4)} & {b"avif", b"avis"}
    return Format.AVIF if is_avif else None


def size_of(format: Format, data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, or None for AVIF: opening one only parses its boxes, so its decoder may be asked."""
    match format:
        case Format.PNG:
            return png.size(data)
        case Format.JPEG:
            return jpeg(data).size
        case Format.WEBP:
            return _webp_size(data)
        case Format.GIF:
            return _gif_size(data)
        case Format.BMP:
            return bmp.size(data)
        case Format.AVIF:
            return None


def is_lossless(data: bytes) -> bool:
    """Whether a PNG, JPEG or WebP keeps each pixel as it was encoded."""
    format = sniff(data)
    return format is Format.PNG or (format is Format.WEBP and data[12:16] == b"VP8L")


def frames_of(data: bytes) -> int:
    """How many frames the file of a picture has, as far as it goes. 1 if the picture does not move."""
    try:
        match sniff(data):
            case Format.GIF:
                return max(1, _gif_frames(data))
            case Format.WEBP:
                return max(1, _webp_frames(data))
            case Format.PNG:
                return max(1, _png_frames(data))
            case Format.AVIF if data[8:12] == b"avis":
                return max(1, _avif_frames(data))
    except ValueError:  # no box with the frames of an AVIF
        pass
    return 1


def _png_frames(data: bytes) -> int:
    stated = count = 0
    for name, payload, *_ in islice(png.chunks(data), MAX_BLOCKS):
        if name == b"acTL":
            stated = int.from_bytes(payload[:4], "big")
        elif name == b"IDAT" and not stated:
            break
        count += name == b"fcTL"
    return min(stated, count)


def _avif_frames(data: bytes) -> int:
    """By the box ``stsz``: a size that all samples have, or 0, their number, and their own sizes in 4 bytes each."""
    at = data.index(b"stsz") + 8
    size, stated = (int.from_bytes(data[place : place + 4], "big") for place in (at, at + 4))
    return min(stated, len(data) // (size or 4))


def _gif_frames(data: bytes) -> int:
    at, count, blocks = 13, 0, 0
    try:
        at += _colour_table(data[10])
        while data[at] != 0x3B and blocks < MAX_BLOCKS:
            if data[at] == 0x2C:
                count += 1
                at += 11 + _colour_table(data[at + 9])
            else:
                at += 2
            while data[at] and blocks < MAX_BLOCKS:
                blocks += 1
                at += 1 + data[at]
            blocks += 1
            at += 1
    except IndexError:  # the file ends early
        pass
    return count


def _webp_frames(data: bytes) -> int:
    at, count, blocks = 12, 0, 0
    while at + 8 <= len(data) and blocks < MAX_BLOCKS:
        count += data.startswith(b"ANMF", at)
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        blocks += 1
        at += 8 + length + length % 2
    return count


def _colour_table(flags: int) -> int:
    """The bytes of a GIF's table of colours, by the flags of the screen or of a frame."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


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
    at = 13 + _colour_table(flags)
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


def jpeg(data: bytes) -> Jpeg:
    """The layout of the first image, after a walk over all its segments and scans."""
    size: tuple[int, int] | None = None
    progressive = ended = False
    components = b""
    before = dict[int, int]()
    sent, exact = defaultdict[int, int](int), defaultdict[int, int](int)
    at, segments, scans, scan, junk, end = 2, 0, 0, 0, 0, len(data)
    while found := _JPEG_MARKER.search(data, at):
        segments += 1
        if not scans:
            junk += found.start() - at
        marker, at = found[1][0], found.end()
        ended = marker == 0xD9
        if ended or segments > MAX_SEGMENTS or scans > MAX_SCANS or junk > MAX_JUNK:
            break
        if marker in {0x01, 0xD8}:  # these stand alone
            continue
        if scans and len(data) < at + max(2, int.from_bytes(data[at : at + 2], "big")):  # cut off between two scans
            end = found.start()
            break
        (length,) = struct.unpack_from(">H", data, at)
        if marker in _JPEG_FRAMES and size is None:
            height, width, count = struct.unpack_from(">HHB", data, at + 3)
            size = width, height
            progressive = marker in _JPEG_PROGRESSIVE
            components = data[at + 8 : at + 8 + 3 * count : 3]
        if marker == 0xDA:
            scans, scan = scans + 1, at
            before = dict(sent)
            rest = at + 3 + 2 * data[at + 2]
            first, last, bits = struct.unpack_from(">BBB", data, rest) if progressive else (0, 63, 0)
            coefficients = (2 << min(last, 63)) - (1 << min(first, 63))
            for component in data[at + 3 : rest : 2]:
                sent[component] |= coefficients if bits & 15 <= 1 else 0
                exact[component] |= coefficients if bits & 15 == 0 else 0
        at += max(length, 2)
    if segments > MAX_SEGMENTS or scans > MAX_SCANS or junk > MAX_JUNK:
        raise PictureDamaged(f"JPEG with {segments} segments, {scans} scans, {junk} stray bytes")
    if size is None or not scans:
        raise PictureDamaged("JPEG without a frame")

    def complete(coefficients: Mapping[int, int]) -> bool:
        return all(coefficients.get(component) == _ALL_COEFFICIENTS for component in components)

    return Jpeg(size, ended, data[:end], scan, progressive, complete(before), complete(sent), complete(exact))


def orientation(exif: bytes) -> int:
    """The orientation in an EXIF block: 1 to 8 (EXIF 2.32, tag 0x0112); 1, upright, if it is missing or broken.

    As in browsers, the tag counts only in the first directory, and only as a single short number.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, values, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if tag == _ORIENTATION and (kind, values) == (_SHORT, 1):
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
