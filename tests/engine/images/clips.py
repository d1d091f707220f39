"""Clips made in memory: a square that moves over the scene."""

from io import BytesIO

from PIL import Image, ImageDraw

from engine.images.animation import FOREVER, Clip
from engine.images.codec import Picture
from tests.engine.images import corpus


def frames(count: int = 6, width: int = 96, height: int = 64, *, transparent: bool = False) -> list[Image.Image]:
    """Mode ``RGBA``. The square moves by four pixels; with ``transparent``, it is on nothing."""
    made = []
    for index in range(count):
        image = corpus.scene(width, height).convert("RGBA")
        if transparent:
            image.putalpha(0)
        left = 8 + 4 * index
        ImageDraw.Draw(image).rectangle((left, 20, left + 24, 44), fill=(40, 160, 90, 255))
        made.append(image)
    return made


def file(format: str, images: list[Image.Image], **options: object) -> bytes:
    """An animation as Pillow writes it; 80 ms a frame."""
    out = BytesIO()
    gone = {"GIF": {"disposal": 2}, "PNG": {"disposal": 0, "blend": 0}, "AVIF": {"quality": 90, "speed": 8}}.get(
        format, {"lossless": True}
    )
    images[0].save(out, format, save_all=True, append_images=images[1:], **{"duration": 80, **gone, **options})
    return out.getvalue()


def clip(count: int = 6, plays: int = FOREVER, *, transparent: bool = False) -> Clip:
    """The same, decoded."""
    made = frames(count, transparent=transparent)
    pictures = (Picture(each.convert("RGB"), each.getchannel("A") if transparent else None) for each in made)
    return Clip(tuple(pictures), (80,) * count, plays)
