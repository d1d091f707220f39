"""Reads the colour tags of a picture's file without a decoder.

The bytes are untrusted: every reader looks only where the file's own lengths lead. As browsers do, it ignores what is
damaged, impossible or unknown. No tag is a reason to refuse a picture.
"""

import contextlib
import itertools
import struct
import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np

from engine.images import png
from engine.images.colour_space import BT709, CURVES, PRIMARIES, SRGB, ColourSpace, Primaries, power, srgb
from engine.images.headers import Format

MAX_PROFILE: Final = 2**20
"""Bytes of an ICC profile. Larger ones, which exist for printers only, are ignored."""

_MOST: Final = 4096
"""Chunks, boxes or tags that are read. Millions of empty ones would keep Python busy for seconds."""

_UNSPECIFIED: Final = 2
_FIELDS: Final = {b"meta": 4, b"stsd": 8, b"av01": 78}
"""Bytes of a box of AVIF before its inner boxes."""

Tag = ColourSpace | bytes
"""A colour space, or the bytes of an ICC profile, which may be broken."""


def tags_of(format: Format, data: bytes, profile: bytes | None) -> Iterator[Tag]:
    """All that the file says about its colours, in order of precedence. A file without tags is sRGB.

    :param profile: the ICC profile that the decoder has found, if any. Not used for PNG and BMP.
    """
    match format:
        case Format.PNG:
            yield from _of_png(data)
        case Format.AVIF:
            # MIAF allows both, and browsers prefer the profile.
            yield from _of_profile(profile)
            yield from _of_avif(data)
        case Format.BMP:
            yield from _of_bmp(data)
        case _:
            # EXIF's ColorSpace and interoperability index (Adobe RGB) are ignored, as by browsers.
            yield from _of_profile(profile)


def _of_profile(profile: bytes | None) -> Iterator[Tag]:
    """A profile's ``cicp`` tag is exact where its curves are approximate: ICC.1:2022, 9.2.17."""
    if not profile:
        return
    count = int.from_bytes(profile[128:132], "big")
    for at in range(132, 132 + 12 * min(count, _MOST), 12):
        if profile[at : at + 4] == b"cicp" and profile[16:20] == b"RGB ":
            start = int.from_bytes(profile[at + 4 : at + 8], "big")
            if profile[start : start + 4] == b"cicp":
                yield from _of_cicp(profile[start + 8 : start + 12])
            break
    yield profile


def _of_cicp(code: bytes) -> Iterator[Tag]:
    """Four bytes: primaries, transfer function, matrix, which must be RGB's, and whether the range is full."""
    if len(code) == 4 and code[0] in PRIMARIES and code[1] in CURVES and code[2] == 0 and code[3] in {0, 1}:
        yield ColourSpace.of(PRIMARIES[code[0]], CURVES[code[1]], narrow=not code[3])


# --- PNG ---


def _of_png(data: bytes) -> Iterator[Tag]:
    """In the order of the PNG specification (third edition), 4.3: cICP, iCCP, sRGB, gAMA with cHRM."""
    chunks = _png_chunks(data)
    yield from _of_cicp(chunks.get(b"cICP", b""))
    yield from _of_profile(_inflated(chunks.get(b"iCCP", b"")))
    if chunks.get(b"sRGB", b"") in {b"\0", b"\1", b"\2", b"\3"}:
        yield SRGB
    yield from _of_gamma(chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b""))


def _png_chunks(data: bytes) -> dict[bytes, bytes]:
    """The first sound chunk of each kind before the palette and the pixels. Chunks behind them don't count."""
    found: dict[bytes, bytes] = {}
    for name, payload, whole, sound in itertools.islice(png.chunks(data), _MOST):
        if name in {b"PLTE", b"IDAT"} or not whole:
            break
        if name in {b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"} and sound:
            found.setdefault(name, payload)
    return found


def _inflated(chunk: bytes) -> bytes | None:
    name, _, rest = chunk.partition(b"\0")
    if not name or rest[:1] != b"\0":
        return None
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(rest[1:], MAX_PROFILE)
    except zlib.error:
        return None
    return profile if inflater.eof else None


def _of_gamma(gamma: bytes, chromaticities: bytes) -> Iterator[Tag]:
    """As in browsers, chromaticities without a gamma are ignored.

    Many programs write sRGB, which has no gamma, as a gamma within 5 % of 1/2.2 with sRGB's chromaticities or none.
    libpng and browsers read that as sRGB.
    """
    value = int.from_bytes(gamma, "big") / 100_000
    if len(gamma) != 4 or not 0.00016 <= value <= 6250:  # libpng's bounds
        return
    curve = power(1 / value)
    space = ColourSpace.of(BT709, curve)
    if len(chromaticities) == 32:
        numbers = iter(number / 100_000 for number in struct.unpack(">8I", chromaticities))
        with contextlib.suppress(ValueError):
            space = ColourSpace.of(Primaries(*zip(numbers, numbers, strict=True)), curve)
    is_neutral = abs(value * 2.2 - 1) < 0.05 and space.has_srgb_primaries
    yield SRGB if is_neutral else space


# --- BMP ---


def _of_bmp(data: bytes) -> Iterator[Tag]:
    """BITMAPV4HEADER and BITMAPV5HEADER. A linked profile is a path on its writer's machine, and is ignored."""
    size = int.from_bytes(data[14:18], "little")
    header = data[14 : 14 + size]
    if size not in {108, 124} or len(header) < size:
        return
    match header[56:60]:
        case b"DEBM" if size == 124:  # 'MBED', as a little-endian number
            start, length = struct.unpack_from("<II", header, 112)
            if length <= MAX_PROFILE:
                yield from _of_profile(data[14 + start : 14 + start + length])
        case b"\0\0\0\0":
            with contextlib.suppress(ValueError):
                yield _calibrated(header)


def _calibrated(header: bytes) -> ColourSpace:
    """LCS_CALIBRATED_RGB: three endpoints in numbers of 2.30 bits, and three exponents of 16.16 bits.

    The endpoints are chromaticities, to which browsers add sRGB's white, or CIE XYZ, which has a white of its own.

    :raises ValueError: the endpoints are impossible. Many programs leave them zero.
    """
    ends = np.array(struct.unpack_from("<9i", header, 60)).reshape(3, 3) / 2**30
    exponents = [number / 2**16 for number in struct.unpack_from("<3I", header, 96)]
    curves = [power(exponent) if exponent else srgb for exponent in exponents]
    sums = ends.sum(axis=1)
    if (np.abs(sums - 1) < 0.01).all():
        red, green, blue = ((float(x), float(y)) for x, y in ends[:, :2])
        return ColourSpace.of(Primaries(BT709.white, red, green, blue), *curves)
    return ColourSpace.of(ends.T, *curves)


# --- AVIF ---


def _of_avif(data: bytes) -> Iterator[Tag]:
    """The ``nclx`` of the primary picture, or of an animation's track: ISO/IEC 14496-12, 12.1.5.

    Its matrix and range are about YUV, which the decoder converts. As in browsers, an unspecified value is sRGB's.
    """
    with contextlib.suppress(struct.error, IndexError):
        for start, end in _colours_of_avif(data, iter(range(_MOST))):
            if data[start : min(start + 4, end)] == b"nclx":
                primaries, transfer = struct.unpack_from(">HH", data, start + 4)
                primaries = 1 if primaries == _UNSPECIFIED else primaries
                transfer = 13 if transfer == _UNSPECIFIED else transfer
                if primaries in PRIMARIES and transfer in CURVES:
                    yield ColourSpace.of(PRIMARIES[primaries], CURVES[transfer])


def _colours_of_avif(data: bytes, budget: Iterator[int]) -> Iterator[tuple[int, int]]:
    """Where the bodies of the ``colr`` boxes begin and end: those of the primary picture first."""
    whole = (0, len(data))
    for meta in itertools.islice(_boxes(data, whole, budget, b"meta"), 1):
        properties = [
            each
            for container in _boxes(data, meta, budget, b"iprp", b"ipco")
            for each in _children(data, container, budget)
        ]
        own = _numbers_of_primary(data, meta, budget)
        for number, (kind, start, end) in enumerate(properties, 1):
            if kind == b"colr" and (number in own or not own):
                yield start, end
    yield from _boxes(data, whole, budget, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"av01", b"colr")


def _numbers_of_primary(data: bytes, meta: tuple[int, int], budget: Iterator[int]) -> set[int]:
    """Which of the properties belong to the primary picture: ISO/IEC 23008-12, 9.3."""
    numbers: set[int] = set()
    for primary, _ in _boxes(data, meta, budget, b"pitm"):
        item = struct.unpack_from(">I" if data[primary] else ">H", data, primary + 4)
        for start, _ in _boxes(data, meta, budget, b"iprp", b"ipma"):
            version, flags, count = struct.unpack_from(">B2xBI", data, start)
            at = start + 8
            for _ in range(min(count, _MOST)):
                each = struct.unpack_from(">I" if version else ">H", data, at)
                at += 4 if version else 2
                places = struct.unpack_from(f">{data[at]}{'H' if flags & 1 else 'B'}", data, at + 1)
                at += 1 + len(places) * (2 if flags & 1 else 1)
                if each == item:
                    numbers |= {place & (0x7FFF if flags & 1 else 0x7F) for place in places}
    return numbers


def _boxes(data: bytes, within: tuple[int, int], budget: Iterator[int], *path: bytes) -> Iterator[tuple[int, int]]:
    """Where the bodies of all boxes at a path begin and end."""
    if not path:
        yield within
        return
    for kind, start, end in _children(data, within, budget):
        if kind == path[0]:
            yield from _boxes(data, (start + _FIELDS.get(kind, 0), end), budget, *path[1:])


def _children(data: bytes, within: tuple[int, int], budget: Iterator[int]) -> Iterator[tuple[bytes, int, int]]:
    at, last = within
    for _ in budget:
        if at + 8 > last:
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = at + size if size else last
        if not start <= end <= last:
            return
        yield kind, start, end
        at = end
