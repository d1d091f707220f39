"""Encodes a clip as GIF, WebP or animated PNG, within a number of bytes.

It tries a GIF, then the highest quality of a WebP that fits, and last a smaller WebP.
"""

import math
from dataclasses import replace
from io import BytesIO
from typing import Final, Literal

from PIL import Image

from engine.images.animation import FOREVER, Clip
from engine.images.codec import LOSSLESS_EFFORT, LOSSLESS_METHOD, Picture, flattened
from engine.images.encoding import LOWEST_QUALITY, SHORTEST
from engine.progress import Encoded

ClipFormat = Literal["gif", "webp", "png"]

QUALITY: Final = 90
"""The quality of a WebP, 1 to 100, where its size is not limited."""
_QUALITIES: Final = (QUALITY, 80, 65, LOWEST_QUALITY)
"""Tried in this order."""
_OPAQUE_FROM: Final = 128
"""The least alpha, of 255, that a GIF shows. It has no half transparent pixels."""
_TRANSPARENT: Final = 255
"""The index of the transparent colour in a GIF."""
_SAMPLES: Final = 9
"""Frames from which the colours of a GIF are chosen."""


def encode_clip_within(clip: Clip, max_bytes: int | None) -> Encoded:
    """Encode a clip in at most ``max_bytes``. Without a limit, as a lossless WebP."""
    if max_bytes is None:
        return Encoded(encode_clip(clip, "webp", quality=None), "webp")
    gif = encode_clip(clip, "gif")
    if len(gif) <= max_bytes:
        return Encoded(gif, "gif")
    return smaller_clip(clip, max_bytes)


def smaller_clip(clip: Clip, max_bytes: int) -> Encoded:
    """Encode a clip as WebP in at most ``max_bytes``, scaled down if necessary, but not below a few pixels."""
    size = clip.frames[0].rgb.size
    scaled = size
    while True:
        for quality in _QUALITIES if scaled == size else _QUALITIES[-1:]:
            data = encode_clip(clip, "webp", quality=quality)
            if len(data) <= max_bytes:
                break
        if len(data) <= max_bytes or max(scaled) <= SHORTEST:
            return Encoded(data, "webp", quality, None if scaled == size else scaled)
        scale = min(0.9, math.sqrt(max_bytes / len(data)))
        scaled = max(1, round(scaled[0] * scale)), max(1, round(scaled[1] * scale))
        clip = _resized(clip, scaled)


def encode_clip(clip: Clip, format: ClipFormat, *, quality: int | None = QUALITY) -> bytes:
    """Encode a clip as a file without metadata.

    :param quality: 1 to 100, of a WebP; None for a lossless one.
    """
    transparent = any(picture.alpha for picture in clip.frames)
    out = BytesIO()
    common = {"save_all": True, "duration": list(clip.milliseconds)}
    if format == "gif":
        first, *rest = _indexed(clip, transparent=transparent)
        repetitions = {} if clip.plays == 1 else {"loop": FOREVER if clip.plays == FOREVER else clip.plays - 1}
        # A transparent pixel would show the frame before, which therefore has to go.
        gone = {"transparency": _TRANSPARENT, "disposal": 2} if transparent else {}
        first.save(out, "GIF", append_images=rest, optimize=False, **common, **repetitions, **gone)
        return out.getvalue()
    first, *rest = [_channels(picture, transparent=transparent) for picture in clip.frames]
    if format == "png":
        # Each frame replaces the one before: blended with it, transparent pixels would show through.
        first.save(out, "PNG", append_images=rest, loop=clip.plays, disposal=0, blend=0, **common)
    elif quality is None:
        lossless = {"lossless": True, "quality": LOSSLESS_EFFORT, "method": LOSSLESS_METHOD, "exact": True}
        first.save(out, "WEBP", append_images=rest, loop=clip.plays, **lossless, **common)
    else:
        first.save(out, "WEBP", append_images=rest, loop=clip.plays, quality=quality, method=2, **common)
    return out.getvalue()


def _channels(picture: Picture, *, transparent: bool) -> Image.Image:
    if not transparent:
        return picture.rgb
    image = picture.rgb.copy()
    image.putalpha(picture.alpha or Image.new("L", image.size, 255))
    return image


def _indexed(clip: Clip, *, transparent: bool) -> list[Image.Image]:
    """The frames with one palette: colours that change from frame to frame would flicker, as dithering would."""
    frames = clip.frames
    chosen = [frames[index * len(frames) // _SAMPLES] for index in range(_SAMPLES)]
    width, height = frames[0].rgb.size
    sheet = Image.new("RGB", (width, height * _SAMPLES))
    for row, picture in enumerate(chosen):
        sheet.paste(flattened(picture.rgb, picture.alpha) if picture.alpha else picture.rgb, (0, row * height))
    palette = sheet.quantize(_TRANSPARENT if transparent else 256)
    made: dict[int, Image.Image] = {}
    for picture in frames:
        if id(picture) not in made:
            indexed = picture.rgb.quantize(palette=palette, dither=Image.Dither.NONE)
            if picture.alpha is not None:
                hidden = picture.alpha.point([255 * (level < _OPAQUE_FROM) for level in range(256)])
                indexed.paste(_TRANSPARENT, mask=hidden)
            made[id(picture)] = indexed
    return [made[id(picture)] for picture in frames]


def _resized(clip: Clip, size: tuple[int, int]) -> Clip:
    def scaled(image: Image.Image) -> Image.Image:
        return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)

    pictures = tuple(Picture(scaled(each.rgb), each.alpha and scaled(each.alpha)) for each in clip.frames)
    return replace(clip, frames=pictures)
