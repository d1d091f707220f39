"""Processes the pixels of a PNG beyond Pillow: the transparent colour, Apple's variant, the canvas and 16 bits.

Pillow keeps the upper eight of 16 bits, except in grey pictures. The lower eight need a second decoding.
"""

import struct
import zlib
from io import BytesIO
from typing import Final

from PIL import Image, ImageChops, ImageFile, PngImagePlugin

from engine.images import png, truncated
from engine.images.headers import Format
from engine.images.raster import Raster

MOST_DECODED_TWICE: Final = 9_000_000
"""Pixels. With more, a second decoding would take too long."""

_APPLE_STRAIGHT: Final = frozenset({3, 4})
_APPLE_OPAQUE: Final = frozenset({5, 6})
"""``CGImageAlphaInfo``: colours that are not multiplied by alpha, and alpha that has no meaning."""


def finished(still: png.Still, raster: Raster) -> Raster:
    """Apply what ``still`` says to the pixels that Pillow has decoded of it."""
    image, seen = raster.image, raster.seen
    key = image.info.get("transparency")
    if isinstance(key, tuple) and still.depth == 16 and image.width * image.height <= MOST_DECODED_TWICE:
        image = _without_colour(image, key, _lower_bits(still.data))
    elif key is not None:
        image.info["transparency"] = _scaled_key(key, still)
    if still.apple is not None:
        image = _from_apple(image, still.apple)
    if still.canvas != image.size:
        (left, top), (width, height) = still.offset, still.canvas
        inside = seen or (0, 0, *image.size)
        seen = (inside[0] + left, inside[1] + top, inside[2] + left, inside[3] + top)
        image = image.crop((-left, -top, width - left, height - top))
    return Raster(image, seen, raster.shown)


def sixteen_bits(image: Image.Image, still: png.Still) -> tuple[Image.Image, Image.Image | None]:
    """The upper and the lower eight bits of the channels without alpha; grey has both in mode ``I;16``.

    :param image: what Pillow has decoded of ``still``, which :attr:`~engine.images.png.Still.is_deep`.
    """
    if image.mode == "I;16":
        image.info.pop("transparency", None)
        return image, None
    if still.colour == png.GREY_AND_ALPHA:
        # The bytes are those of a picture with four channels of 8 bits.
        data = still.data
        header = b"IHDR" + data[16:24] + bytes((8, 6)) + data[26:29]
        file = data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
        both = truncated.load(Format.PNG, file, _opened, ended=True).image
        return both.getchannel("R"), both.getchannel("G")
    return image.convert("RGB"), _lower_bits(still.data)


def _lower_bits(data: bytes) -> Image.Image:
    """The lower eight bits of colours of 16 bits, in mode ``RGB``."""

    def opened(file: bytes) -> ImageFile.ImageFile:
        lower = _opened(file)
        # Pillow keeps the second byte of a little-endian number.
        lower.tile = [tile._replace(args=f"{lower.mode};16L") for tile in lower.tile]
        return lower

    return truncated.load(Format.PNG, data, opened, ended=True).image.convert("RGB")


def _opened(data: bytes) -> ImageFile.ImageFile:
    return PngImagePlugin.PngImageFile(BytesIO(data))


def _scaled_key(key: object, still: png.Still) -> object:
    """The transparent grey or colour in the units of the pixels.

    Pillow leaves it in the file's bit depth, but widens greys of 2 and 4 bits and keeps the upper eight bits of colours
    of 16. By these alone, close colours are transparent too.
    """
    if isinstance(key, int) and still.colour == png.GREY and still.depth in {2, 4}:
        return key * (255 // (2**still.depth - 1))
    if isinstance(key, tuple) and still.depth == 16:
        return tuple(value >> 8 for value in key)
    return key


def _without_colour(image: Image.Image, key: tuple[int, ...], low: Image.Image) -> Image.Image:
    """``image``, transparent where its bits and those in ``low``, the lower eight, are those of ``key``."""
    alpha = Image.new("L", image.size)
    for place, value in enumerate(key):
        for channel, byte in ((image.getchannel(place), value >> 8), (low.getchannel(place), value & 255)):
            alpha = ImageChops.lighter(alpha, channel.point([255 * (level != byte) for level in range(256)]))
    kept = {name: value for name, value in image.info.items() if name != "transparency"}
    image = Image.merge("RGBA", (*image.split(), alpha))
    image.info = kept
    return image


def _from_apple(image: Image.Image, flags: int) -> Image.Image:
    """From BGR to RGB, and divided by alpha, unless the ``CGImageAlphaInfo`` in ``flags`` says otherwise."""
    info = image.info
    if image.mode in {"LA", "RGBA"}:
        if flags & 31 in _APPLE_OPAQUE:
            image = image.convert(image.mode[:-1])
        elif flags & 31 not in _APPLE_STRAIGHT:
            image = Image.frombytes(f"{image.mode[:-1]}a", image.size, image.tobytes()).convert(image.mode)
    if image.mode in {"RGB", "RGBA"}:
        blue, green, red, *alpha = image.split()
        image = Image.merge(image.mode, (red, green, blue, *alpha))
    image.info = info
    return image
