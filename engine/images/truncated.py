"""Decodes truncated files, and finds the rows that they hold, which decoders don't report.

A truncated file is decoded twice, each time with other data in the place of what is missing: other bytes at its end, or
other pixels underneath. Rows that are equal both times were in the file. As in browsers, the others are transparent.
"""

import random
import re
import struct
from collections.abc import Callable
from typing import Final

from PIL import GifImagePlugin, Image, ImageFile

from engine.errors import PictureError
from engine.images.headers import Format, Jpeg, jpeg
from engine.images.raster import Box, Raster, checked, written

Open = Callable[[bytes], ImageFile.ImageFile]
"""Opens the bytes of a file with its format's decoder."""

_END_OF_IMAGE: Final = b"\xff\xd9"
_RESTART: Final = re.compile(rb"\xff[\xd0-\xd7]")


def load(format: Format, data: bytes, opened: Open, *, ended: bool) -> Raster:
    """The picture, decoded by Pillow.

    :param ended: whether the file has the end that its format demands. Not used for JPEG, whose end is looked for here.
    :raises PictureTruncated: too many rows are missing, see :func:`engine.images.raster.checked`.
    :raises Exception: whatever else Pillow raises.
    """
    if format is Format.JPEG and not (layout := jpeg(data)).ended:
        return _jpeg_without_end(layout, opened)
    try:
        image = opened(data)
        frame = _frame(image)
        image.load()
    except (PictureError, MemoryError):
        raise
    except Exception:
        raster = _rescued(format, data, opened)
        if raster is None:
            raise
        return raster
    return Raster(image, _part(frame, image), None if ended else 1.0)


def _jpeg_without_end(layout: Jpeg, opened: Open) -> Raster:
    """A JPEG that lacks only its end marker is whole. One whose last scan only refines lacks detail, but no rows."""
    data = written(layout.data).rstrip(b"\xff")
    noise = _noise(4096).replace(b"\xff", b"\xfe")  # without markers
    restarts = len(_RESTART.findall(data, layout.scan))
    # A decoder that waits for a restart marker skips the bytes before it, so the noise has the next ones.
    noise += b"".join(bytes((0xFF, 0xD0 + (restarts + later) % 8)) + noise[:256] for later in range(16))
    one, other = (opened(data + filler + _END_OF_IMAGE) for filler in (b"", noise))
    one.load()
    other.load()
    alike = _rows_alike(one, other, (0, 0, *one.size))
    rows = alike.index(False) if False in alike else len(alike)
    share = rows / len(alike)
    if layout.complete_before:
        return Raster(one, shown=None if layout.exact and share == 1 else 1.0)
    shown = checked(share if layout.complete else 0)
    if shown is None:
        return Raster(one, shown=None if layout.exact else 1.0)
    if layout.progressive:
        return Raster(one, shown=1.0)  # the other rows are coarse, but not missing
    return Raster(one, (0, 0, one.width, rows), shown)


def _rescued(format: Format, data: bytes, opened: Open) -> Raster | None:
    """The part that a truncated file holds; None if that can't be found out."""
    match format:
        case Format.PNG | Format.GIF:
            one, other = _on_ground(opened(data), 0), _on_ground(opened(data), 255)
            frame = _frame(one)
            one, other = _partly(one), _partly(other)
            alike = _rows_alike(one, other, frame)
        case Format.WEBP:
            total = int.from_bytes(data[4:8], "little") + 8
            if total <= len(data):
                return None
            checked(len(data) / total)
            filler = len(data)  # at least twice what is missing, as noise may take more bytes than pixels
            one, other = (opened(_webp_longer(data, filler)) for filler in (bytes(filler), _noise(filler)))
            one.load()
            other.load()
            frame = (0, 0, *one.size)
            alike = _rows_alike(one, other, frame)
            rows = alike.index(False) if False in alike else len(alike)
            alike[rows:] = [False] * (len(alike) - rows)  # rows behind the end are equal by chance
        case _:
            return None
    shown = checked(sum(alike) / len(alike)) or 1.0
    left, top, right, _ = frame
    bottom = top + len(alike) - alike[::-1].index(True)
    for y in range(top + 1, bottom):
        if not alike[y - top]:  # interlaced: the row above stands for it until the next pass
            one.paste(one.crop((left, y - 1, right, y)), (left, y))
    return Raster(one, _part((left, top, right, bottom), one), shown)


def _webp_longer(data: bytes, filler: bytes) -> bytes:
    """With ``filler`` as the rest of the chunk that is cut off, or without the later frame that is cut off."""
    at, inside = 12, [4]
    first_frame_ends = 0
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length + length % 2
        if end > len(data):
            inside.append(at + 4)
            if name != b"ANMF":
                break
            end = at + 24  # its own chunks
        elif name == b"ANMF" and not first_frame_ends:
            first_frame_ends = end
        at = end
    if first_frame_ends:
        data, filler, inside = data[:first_frame_ends], b"", [4]
    longer = bytearray(data + filler + bytes(len(data + filler) % 2))
    for place in inside:
        longer[place : place + 4] = struct.pack("<I", len(longer) - place - 4)
    return bytes(longer)


def _frame(image: ImageFile.ImageFile) -> Box:
    """Where a file that is not loaded yet has its pixels: in a GIF, the frame's place on the screen."""
    return (image.tile[0].extents if image.tile else None) or (0, 0, *image.size)


def _part(box: Box, image: Image.Image) -> Box | None:
    """The box, unless it is all of the image."""
    return None if box == (0, 0, *image.size) else box


def _on_ground(image: ImageFile.ImageFile, level: int) -> ImageFile.ImageFile:
    """Fill the image with ``level``, 0 or 255, in each channel, so that the decoder paints over it."""
    if isinstance(image, GifImagePlugin.GifImageFile):
        image._frame_transparency = None  # Pillow would fill the frame with it both times
    channels = len(image.getbands())
    high = image.mode.startswith("I")
    image.im = Image.new(image.mode, image.size, level * 257 if high else (level,) * channels).im
    return image


def _partly(image: ImageFile.ImageFile) -> ImageFile.ImageFile:
    """Decode as far as it goes."""
    try:
        image.load()
    except MemoryError:
        raise
    except Exception:
        image.tile = []  # there is nothing more to decode
    return image


def _rows_alike(one: Image.Image, other: Image.Image, box: Box) -> list[bool]:
    """Whether each row within the box is the same in both."""
    left, top, right, bottom = box
    rows = ((left, y, right, y + 1) for y in range(top, bottom))
    return [one.crop(row).tobytes() == other.crop(row).tobytes() for row in rows]


def _noise(length: int) -> bytes:
    """Bytes that continue no picture, the same in each call."""
    return random.Random(0).randbytes(length)  # noqa: S311 - it need not be secret
