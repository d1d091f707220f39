"""Pictures that are made of a job's pictures: thumbnails, a photo beside its painting, and timelapses."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Final, Literal

from PIL import Image

from engine.images.codec import encode, fitted
from engine.images.compositions import Composition

LONGER_SIDES: Final[Mapping[Composition, Sequence[int]]] = {
    "thumbnail": (320, 240),
    "comparison": (1280, 960, 640),
    "webp": (512, 384, 256),
    "gif": (400, 320, 240),
}
"""Pixels of each picture's longer side, the largest first. The smaller ones are for results over the limit of bytes."""

FRAME_SECONDS: Final = 0.15
LAST_FRAME_SECONDS: Final = 2.0
_DIVIDER: Final = 1 / 160
"""The width of the line between photo and painting, as a share of their height."""
_GIF_COLOURS: Final = 128


def compose(kind: Composition, pictures: Sequence[Image.Image], max_bytes: int) -> bytes:
    """Encode a composition in at most ``max_bytes``, or in the smallest of its sizes if none fits.

    :param pictures: mode ``RGB``. For a thumbnail, one picture; for a comparison, the photo and the painting; for a
        timelapse, the frames in their order, the finished painting last.
    """
    data = b""
    for longer_side in LONGER_SIDES[kind]:
        last = pictures[-1]
        size = fitted(last.size, min(longer_side, max(last.size)))
        scaled = [_resized(each, size) for each in pictures]
        match kind:
            case "thumbnail":
                data = encode(scaled[0], "jpeg", quality=80)
            case "comparison":
                data = encode(_side_by_side(scaled[0], scaled[1]), "jpeg", quality=92)
            case "webp" | "gif":
                data = _animated(kind, scaled)
        if len(data) <= max_bytes:
            break
    return data


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    gap = max(2, round(left.height * _DIVIDER))
    both = Image.new("RGB", (left.width + gap + right.width, left.height), "white")
    both.paste(left, (0, 0))
    both.paste(right, (left.width + gap, 0))
    return both


def _animated(kind: Literal["webp", "gif"], frames: Sequence[Image.Image]) -> bytes:
    milliseconds = [round(1000 * FRAME_SECONDS)] * (len(frames) - 1) + [round(1000 * LAST_FRAME_SECONDS)]
    out = BytesIO()
    if kind == "gif":
        # One palette for all frames: colours that change from frame to frame would flicker.
        palette = frames[-1].quantize(_GIF_COLOURS)
        frames = [frame.quantize(palette=palette) for frame in frames]
        frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0)
    else:
        frames[0].save(
            out, "WEBP", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, quality=80, method=2
        )
    return out.getvalue()
