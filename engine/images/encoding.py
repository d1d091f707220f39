"""Encodes a picture within a number of bytes, and gives up as little as possible.

It tries a PNG, then a lossless WebP, then the highest quality that fits, and last a smaller picture. The lossy format
is JPEG; for a picture with transparency it is WebP, because a JPEG has none.

The highest quality is found by bisection, with guesses instead of middles: a sample of the picture is encoded at each
quality that comes into question, and the last file of the whole picture says how much larger that is.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Final, Literal

from PIL import Image

from engine.images.codec import Picture, encode
from engine.progress import Encoded

LOWEST_QUALITY: Final = 50
"""Below it, a smaller picture looks better."""
HIGHEST_QUALITY: Final = 95
"""Above it, files grow fast and pictures hardly change (Pillow's documentation, JPEG)."""
SHORTEST: Final = 16
"""Pixels. A picture whose longer side is shorter is not scaled down further."""

_TILE: Final = 64
"""Pixels of a side of a sample's tiles: a multiple of the blocks of JPEG and WebP."""
_TILES: Final = 8
"""Tiles of a sample in each direction."""


def encode_within(image: Image.Image, max_bytes: int | None, *, alpha: Image.Image | None) -> Encoded:
    """Encode in at most ``max_bytes`` bytes, without scaling.

    A picture that does not even fit at :data:`LOWEST_QUALITY` is returned at that quality.
    """
    data = encode(image, "png", alpha=alpha)
    if max_bytes is None or len(data) <= max_bytes:
        return Encoded(data, "png")
    return _smaller_lossless(image, alpha, len(data), max_bytes) or _lossy(image, alpha, max_bytes)


def encode_again(picture: Picture, size: int, max_bytes: int, *, lossless: bool) -> Encoded:
    """Encode a decoded file of ``size`` bytes, which are too many, in at most ``max_bytes``. Scale it if necessary.

    ``lossless`` is whether the file was: a lossless file of what a lossy one shows would be larger.
    """
    found = _smaller_lossless(picture.rgb, picture.alpha, size, max_bytes) if lossless else None
    found = found or _lossy(picture.rgb, picture.alpha, max_bytes)
    scaled = picture.rgb.size
    while len(found.data) > max_bytes and max(scaled) > SHORTEST:
        # A scaled picture has more detail for each pixel, so this may take some steps.
        scale = min(0.9, math.sqrt(max_bytes / len(found.data)))
        scaled = max(1, round(scaled[0] * scale)), max(1, round(scaled[1] * scale))
        rgb = picture.rgb.resize(scaled, Image.Resampling.LANCZOS, reducing_gap=3.0)
        alpha = picture.alpha and picture.alpha.resize(scaled, Image.Resampling.LANCZOS, reducing_gap=3.0)
        lossy = _lossy(rgb, alpha, max_bytes)
        found = Encoded(lossy.data, lossy.format, lossy.quality, scaled)
    return found


def _smaller_lossless(image: Image.Image, alpha: Image.Image | None, size: int, max_bytes: int) -> Encoded | None:
    """A lossless WebP that fits, of a picture whose other lossless file has ``size`` bytes."""
    sample = _sample(image), alpha and _sample(alpha)
    ratio = len(_webp(*sample)) / len(encode(sample[0], "png", alpha=sample[1]))
    if ratio * size > max_bytes:
        return None
    data = _webp(image, alpha)
    return Encoded(data, "webp") if len(data) <= max_bytes else None


def _webp(image: Image.Image, alpha: Image.Image | None) -> bytes:
    return encode(image, "webp", alpha=alpha, quality=None)


def _lossy(image: Image.Image, alpha: Image.Image | None, max_bytes: int) -> Encoded:
    """The file of the highest quality that fits, or the file of the lowest quality."""
    format: Literal["jpeg", "webp"] = "jpeg" if alpha is None else "webp"
    sample = _sample(image), alpha and _sample(alpha)

    @cache
    def sample_size(quality: int) -> int:
        return len(encode(sample[0], format, alpha=sample[1], quality=quality))

    ratio = image.width * image.height / (sample[0].width * sample[0].height)
    best, smallest, fits, too_large = None, b"", LOWEST_QUALITY - 1, HIGHEST_QUALITY + 1
    while too_large - fits > 1:
        budget = max_bytes / ratio
        quality = _highest(fits, too_large, lambda quality: sample_size(quality) <= budget)  # noqa: B023
        quality = min(max(quality, fits + 1), too_large - 1)
        data = encode(image, format, alpha=alpha, quality=quality)
        ratio = len(data) / sample_size(quality)
        if len(data) <= max_bytes:
            best, fits = data, quality
        else:
            smallest, too_large = data, quality
    return Encoded(smallest, format, LOWEST_QUALITY) if best is None else Encoded(best, format, fits)


def _highest(fits: int, too_large: int, holds: Callable[[int], bool]) -> int:
    """The highest number from ``fits`` to below ``too_large`` for which a condition holds, taken to hold at ``fits``.

    The condition holds up to some number.
    """
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        if holds(middle):
            fits = middle
        else:
            too_large = middle
    return fits


def _sample(image: Image.Image) -> Image.Image:
    """Tiles that lie evenly spread in a picture, side by side; or the whole picture if it is not much larger."""
    if min(image.size) < 2 * _TILE * _TILES:
        return image
    sample = Image.new(image.mode, (_TILE * _TILES, _TILE * _TILES))
    for row in range(_TILES):
        for column in range(_TILES):
            left = column * (image.width - _TILE) // (_TILES - 1)
            top = row * (image.height - _TILE) // (_TILES - 1)
            tile = image.crop((left, top, left + _TILE, top + _TILE))
            sample.paste(tile, (column * _TILE, row * _TILE))
    return sample
