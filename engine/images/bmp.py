"""Reads a BMP as browsers do: the same headers, depths, bit fields and runs, and the same rules for alpha.

Pillow reads fewer of them. It also treats a picture whose alpha is 0 everywhere as transparent, and ignores the alpha
of pictures from a clipboard.
The headers are those of Microsoft's documentation, BITMAPCOREHEADER to BITMAPV5HEADER, and of OS/2 2.x.

The bytes are untrusted. Uncompressed pixels get memory only once it is clear that the file holds most of them.
"""

import math
import struct
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageChops

from engine.errors import PictureDamaged
from engine.images.raster import Raster, checked

_CORE: Final = 12
_WINDOWS: Final = frozenset({40, 52, 56, 108, 124})
_WITH_ALPHA: Final = frozenset({56, 108, 124})
_OS2: Final = frozenset({*range(16, 65, 4), 42, 46}) - _WINDOWS
HEADERS: Final = _WINDOWS | _OS2 | {_CORE}
"""The sizes of the known headers, in bytes."""

_RGB, _RLE8, _RLE4, _BITFIELDS, _RLE24, _ALPHABITFIELDS = 0, 1, 2, 3, 4, 6
_DEPTHS: Final = {
    _RGB: {1, 2, 4, 8, 16, 24, 32},
    _RLE8: {1, 2, 4, 8},
    _RLE4: {1, 2, 4},
    _BITFIELDS: {16, 32},
    _RLE24: {24},
    _ALPHABITFIELDS: {16, 32},
}
"""Bits of a pixel that each compression allows. Runs may have a palette of fewer colours than they can name."""
_PLAIN_MASKS: Final = {16: (0x7C00, 0x3E0, 0x1F), 32: (0xFF0000, 0xFF00, 0xFF)}


@dataclass(frozen=True, slots=True)
class _Header:
    length: int
    width: int
    height: int
    top_down: bool
    bits: int
    compression: int
    colours: int
    """Entries of the palette; 0 from 16 bits on."""
    start: int
    """Where the pixels begin."""

    @property
    def end(self) -> int:
        """Where the palette begins."""
        return 14 + self.length

    @property
    def orientation(self) -> int:
        """The order of the rows for Pillow's raw decoder."""
        return 1 if self.top_down else -1


def size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels; raises ``struct.error`` where the bytes end too early."""
    if data[14] == _CORE:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)


def read(data: bytes) -> Raster:
    """The picture, in mode ``P``, ``RGB`` or ``RGBA``.

    Raises:
        PictureTruncated: too many rows are missing, see :func:`engine.images.raster.checked`.
        PictureDamaged: the header contradicts itself, or has values that browsers don't accept either.
        struct.error: the bytes end within the header.
    """
    header = _header(data)
    if header.compression in {_RLE8, _RLE4, _RLE24}:
        return _runs(header, data)
    return _rows(header, data)


def _header(data: bytes) -> _Header:
    width, height = size(data)
    (start,) = struct.unpack_from("<I", data, 10)
    (length,) = struct.unpack_from("<I", data, 14)
    top_down, compression, colours = False, _RGB, 0
    if length == _CORE:
        (bits,) = struct.unpack_from("<H", data, 24)
    else:
        # A header of OS/2 may end after any field; the missing fields are 0.
        fields = data[18 : 14 + length][:36].ljust(36, b"\0")
        _, signed_height, _, bits, compression, colours = struct.unpack("<iiHHI12xI4x", fields)
        top_down = signed_height < 0
    os2 = length in _OS2 or length == _CORE
    if bits not in _DEPTHS.get(compression, ()) or (os2 and (top_down or bits in {2, 16, 32})):
        raise PictureDamaged(f"BMP of {bits} bits with compression {compression} and a header of {length} bytes")
    colours = min(colours or 256, 1 << bits) if bits <= 8 else 0
    end = 14 + length + (3 if length == _CORE else 4) * colours
    if length == 40 and compression in {_BITFIELDS, _ALPHABITFIELDS}:
        end += 16 if compression == _ALPHABITFIELDS else 12
        start = start and max(start, end)  # some writers forget the masks
    if 0 < start < 14 + length:
        raise PictureDamaged("BMP whose pixels begin within its header")
    return _Header(length, width, height, top_down, bits, compression, colours, start or end)


def _rows(header: _Header, data: bytes) -> Raster:
    width, height, bits = header.width, header.height, header.bits
    held = (width * bits + 7) // 8
    stride = (held + 3) // 4 * 4
    rows = min(height, max(0, len(data) - header.start + stride - held) // stride)
    shown = checked(rows / height)
    pixels = data[header.start : header.start + stride * height].ljust(stride * height, b"\0")

    def raw(mode: str, raw_mode: str) -> Image.Image:
        return Image.frombytes(mode, (width, height), pixels, "raw", raw_mode, stride, header.orientation)

    if bits <= 8:
        image = raw("P", f"P;{bits}" if bits < 8 else "P")
        image.putpalette(_palette(header, data))
    elif bits == 24:
        image = raw("RGB", "BGR")
    else:
        image = _unmasked(raw("LA", "LA") if bits == 16 else raw("RGBA", "RGBA"), _masks(header, data))
    if shown is None:
        return Raster(image)
    top = 0 if header.top_down else height - rows
    return Raster(image, seen=(0, top, width, top + rows), shown=shown)


def _palette(header: _Header, data: bytes) -> bytes:
    """The colours as RGB. An index without a colour is black."""
    entry = 3 if header.length == _CORE else 4
    table = data[header.end : min(header.end + header.colours * entry, header.start)]
    table = table[: len(table) // entry * entry]
    palette = bytearray(768)
    for channel in range(3):
        values = table[2 - channel :: entry]
        palette[channel : 3 * len(values) : 3] = values
    return bytes(palette)


def _masks(header: _Header, data: bytes) -> tuple[int, ...]:
    """The masks of red, green, blue and alpha. Each has adjacent bits, and no two overlap.

    The mask of alpha counts with any compression. The documentation allows it with bit fields only, but pictures from
    a clipboard have it without. Then the colours have their usual masks, and a mask of alpha that overlaps is ignored.
    """
    masks: tuple[int, ...] = _PLAIN_MASKS[header.bits]
    with_alpha = header.length in _WITH_ALPHA or header.compression == _ALPHABITFIELDS
    (alpha,) = struct.unpack_from("<I", data, 66) if with_alpha else (0,)
    if header.compression != _RGB:
        given = struct.unpack_from("<III", data, 54)  # the same place within a long header and behind a short one
        masks = given if any(given) else masks
    elif any(alpha & mask for mask in masks):
        alpha = 0
    masks = tuple(mask & (1 << header.bits) - 1 for mask in (*masks, alpha))
    taken = 0
    for mask in masks:
        if mask & taken or mask & mask + (mask & -mask):
            raise PictureDamaged(f"BMP with the masks {', '.join(f'{each:#x}' for each in masks)}")
        taken |= mask
    return masks


def _unmasked(pixels: Image.Image, masks: tuple[int, ...]) -> Image.Image:
    """``pixels`` has a band for each byte of a pixel, the least significant first."""
    bands = pixels.split()
    *colours, alpha = (_channel(bands, mask) for mask in masks)
    if masks[3] and alpha.getextrema() != (0, 0):
        return Image.merge("RGBA", (*colours, alpha))
    return Image.merge("RGB", colours)  # alpha is 0 everywhere: its writer did not set it


def _channel(bands: tuple[Image.Image, ...], mask: int) -> Image.Image:
    """The highest 8 bits under a mask. Fewer bits are scaled, so that all ones become 255."""
    value = Image.new("L", bands[0].size)
    if not mask:
        return value
    width = mask.bit_count()
    shift = (mask & -mask).bit_length() - 1 + max(0, width - 8)
    for place, band in enumerate(bands):
        if mask >> 8 * place & 0xFF:
            part = band.point([(byte << 8 * place & mask) >> shift for byte in range(256)])
            value = ImageChops.add(value, part)  # no two parts have a bit in common
    most = (1 << min(width, 8)) - 1
    return value if most == 255 else value.point([round(255 * min(level, most) / most) for level in range(256)])


def _runs(header: _Header, data: bytes) -> Raster:
    """Runs of bytes (RLE8), of half bytes (RLE4) or of colours (RLE24). What they skip is transparent."""
    width, height = header.width, header.height
    unit = 3 if header.compression == _RLE24 else 1
    pixels, painted = bytearray(width * height * unit), bytearray(width * height)
    x = y = 0
    at = header.start
    while at + 1 < len(data) and y < height:
        count, code = data[at : at + 2]
        if count or code > 2:
            run, at = _run(header.compression, data, at)
            length = min(len(run) // unit, width - x)
            first = y * width + x
            pixels[first * unit : (first + length) * unit] = run[: length * unit]
            painted[first : first + length] = b"\xff" * length
            x += length
        elif code == 2:  # a jump
            right, down = data[at + 2 : at + 4].ljust(2, b"\0")
            x, y, at = x + right, y + down, at + 4
            if x > width or y >= height:
                raise PictureDamaged("BMP whose runs leave the picture")
        else:  # the end of the row, or of the picture
            x, y, at = 0, height if code else y + 1, at + 2
    shown = checked(min(height, y + (x == width)) / height)
    mode, raw_mode = ("RGB", "BGR") if unit == 3 else ("P", "P")
    image = Image.frombytes(mode, (width, height), bytes(pixels), "raw", raw_mode, 0, header.orientation)
    if unit == 1:
        image.putpalette(_palette(header, data))
    if painted.count(0):
        image = image.convert("RGB")
        image.putalpha(Image.frombytes("L", (width, height), bytes(painted), "raw", "L", 0, header.orientation))
    return Raster(image, shown=shown)


def _run(compression: int, data: bytes, at: int) -> tuple[bytes, int]:
    """The bytes of the pixels that the run at ``at`` paints, and where the next one begins."""
    count, code = data[at : at + 2]
    if count:  # one colour repeated, or two half bytes that alternate
        if compression == _RLE24:
            return data[at + 1 : at + 4] * count, at + 4
        colours = bytes((code >> 4, code & 15)) if compression == _RLE4 else bytes((code,))
        return (colours * count)[:count], at + 2
    unit = {_RLE4: 0.5, _RLE8: 1, _RLE24: 3}[compression]
    length = math.ceil(code * unit)
    run = data[at + 2 : at + 2 + length]
    if compression == _RLE4:
        run = bytes(half for byte in run for half in (byte >> 4, byte & 15))[:code]
    return run, at + 2 + length + length % 2
