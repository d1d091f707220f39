"""Truncated files: the rows that they contain are shown, and their share is reported."""

import contextlib
import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from engine.errors import PictureDamaged, PictureError, PictureTruncated
from engine.images.codec import Picture, decode
from engine.images.raster import LEAST_SHOWN
from tests.engine.images import bombs, corpus

SIZE = (192, 144)


def textured(mode: str = "RGB") -> Image.Image:
    """The scene with noise, so that each row of it takes about as many bytes."""
    noise = Image.frombytes("RGB", SIZE, random.Random(0).randbytes(3 * SIZE[0] * SIZE[1]))
    image = Image.blend(corpus.scene(*SIZE), noise, 0.2)
    if mode == "RGBA":
        image = image.convert("RGBA")
        image.putalpha(Image.linear_gradient("L").point(lambda level: 100 + level // 2).resize(SIZE))
    return image.quantize(64) if mode == "P" else image.convert(mode)


def interlaced_png() -> bytes:
    """Adam7 (PNG specification, 8.2), in RGB."""
    image = np.asarray(textured())
    passes = (image[top::down, left::across] for left, top, across, down in bombs.ADAM7)
    rows = b"".join(b"\0" + row.tobytes() for each in passes for row in each)
    header = corpus.chunk(b"IHDR", struct.pack(">IIBBBBB", *SIZE, 8, 2, 0, 0, 1))
    pixels = corpus.chunk(b"IDAT", zlib.compress(rows))
    return corpus.PNG_SIGNATURE + header + pixels + corpus.chunk(b"IEND", b"")


def saved(mode: str, format: str, **options: object) -> Callable[[], bytes]:
    return lambda: corpus.saved(textured(mode), format, **options)


IN_ROWS: dict[str, Callable[[], bytes]] = {
    "PNG": saved("RGB", "PNG"),
    "PNG RGBA": saved("RGBA", "PNG"),
    "PNG palette": saved("P", "PNG"),
    "PNG 1 bit": saved("1", "PNG"),
    "JPEG": saved("RGB", "JPEG", quality=92),
    "JPEG grey": saved("L", "JPEG"),
    "JPEG CMYK": saved("CMYK", "JPEG"),
    "JPEG with restarts": saved("RGB", "JPEG", restart_marker_rows=1),
    "JPEG with many restarts": saved("RGB", "JPEG", restart_marker_blocks=1),
    "GIF": saved("P", "GIF", interlace=0),
    "GIF with transparency": saved("P", "GIF", interlace=0, transparency=3),
    "WEBP lossy": saved("RGB", "WEBP", quality=90),
    "WEBP lossy with alpha": saved("RGBA", "WEBP", quality=90),
    "WEBP lossless": saved("RGB", "WEBP", lossless=True),
    "BMP": saved("RGB", "BMP"),
}


def same_rows(one: Picture, other: Picture) -> list[bool]:
    return [_row(one, y) == _row(other, y) for y in range(one.height)]


def _row(picture: Picture, y: int) -> bytes:
    box = (0, y, picture.width, y + 1)
    return picture.rgb.crop(box).tobytes() + (picture.alpha.crop(box).tobytes() if picture.alpha else b"")


def opaque(picture: Picture) -> Picture:
    """With an alpha channel, if only a full one."""
    return picture if picture.alpha else Picture(picture.rgb, Image.new("L", picture.rgb.size, 255))


@pytest.mark.parametrize("name", IN_ROWS)
def test_the_rows_of_the_file_are_shown_and_the_others_are_transparent(name: str) -> None:
    """The filters of lossy formats change up to two rows beside the missing ones."""
    data = IN_ROWS[name]()
    whole = opaque(decode(data))
    shares = []
    for percent in range(30, 100, 3):
        try:
            picture = decode(data[: len(data) * percent // 100])
        except PictureTruncated:
            assert percent < 85
            continue
        assert picture.shown is not None
        assert picture.alpha is not None
        shares.append(picture.shown)
        rows = round(picture.shown * picture.height)
        same = same_rows(picture, whole)
        there = same[-rows:] if name == "BMP" else same[:rows]
        assert there.count(False) <= (2 if "lossy" in name else 0)
        gone = (0, 0, picture.width, picture.height - rows) if name == "BMP" else (0, rows, *picture.rgb.size)
        assert picture.alpha.crop(gone).getextrema() == (0, 0)
        assert picture.rgb.crop(gone).getextrema() == ((255, 255),) * 3
    assert LEAST_SHOWN <= shares[0] < 0.85
    assert shares[-1] > 0.85


@pytest.mark.parametrize("name", ["PNG", "GIF"])
def test_the_missing_rows_of_an_interlaced_picture_repeat_those_above(name: str) -> None:
    data = interlaced_png() if name == "PNG" else corpus.saved(textured("P"), "GIF", interlace=1)
    whole = decode(data)
    picture = decode(data[: len(data) * 9 // 10])
    assert picture.shown is not None
    assert 0.85 < picture.shown < 0.95
    same = same_rows(opaque(picture), opaque(whole))
    assert sum(same) == round(picture.shown * SIZE[1])
    first = same.index(False)
    assert first % 2 == 1
    assert same[first : SIZE[1] : 2].count(True) == 0
    for y in range(first, SIZE[1] - 1, 2):
        assert picture.rgb.crop((0, y, SIZE[0], y + 1)).tobytes() == whole.rgb.crop((0, y - 1, SIZE[0], y)).tobytes()
    with pytest.raises(PictureTruncated):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize("name", [name for name in IN_ROWS if name.startswith("JPEG")])
@pytest.mark.parametrize("tail", [b"", b"\xff", b"\0" * 5000, b"not a marker"])
def test_a_jpeg_without_its_end_marker_is_complete(name: str, tail: bytes) -> None:
    data = IN_ROWS[name]()
    for longer_side in (None, 96):
        picture = decode(data[:-2] + tail, longer_side=longer_side)
        assert picture.shown is None
        assert picture.alpha is None
        assert picture.rgb.tobytes() == decode(data, longer_side=longer_side).rgb.tobytes()


def test_a_progressive_jpeg_without_its_end_marker_is_complete() -> None:
    data = corpus.saved(textured(), "JPEG", progressive=True)
    picture = decode(data[:-2])
    assert picture.shown is None
    assert picture.rgb.tobytes() == decode(data).rgb.tobytes()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_progressive_jpeg_truncated_late_is_coarser_and_one_truncated_early_is_refused(mode: str) -> None:
    data = corpus.saved(textured(mode), "JPEG", quality=90, progressive=True)
    whole = decode(data)
    for percent in range(70, 100, 2):
        picture = decode(data[: len(data) * percent // 100])
        assert picture.shown == 1
        assert picture.alpha is None
        assert difference(picture, whole) < 8
    coarse = 0
    for percent in range(30, 70):  # within the scan that has the last of the coefficients
        with contextlib.suppress(PictureTruncated):
            picture = decode(data[: len(data) * percent // 100])
            assert (picture.shown, picture.alpha) == (1, None)
            coarse += 1
    assert coarse
    for percent in range(2, 30, 3):
        with pytest.raises(PictureError):
            decode(data[: len(data) * percent // 100])


def difference(one: Picture, other: Picture) -> float:
    pairs = zip(one.rgb.tobytes(), other.rgb.tobytes(), strict=True)
    return sum(abs(a - b) for a, b in pairs) / (one.width * one.height * 3)


def test_zeros_at_the_end_of_a_file_count_as_missing() -> None:
    """An interrupted download can have its full length, with zeros at the end."""
    for name in ("PNG", "JPEG"):
        data = IN_ROWS[name]()
        cut = len(data) * 8 // 10
        picture, short = decode(data[:cut] + bytes(len(data) - cut)), decode(data[:cut])
        assert picture.shown == short.shown
        assert picture.rgb.tobytes() == short.rgb.tobytes()
        with pytest.raises(PictureTruncated):
            decode(data[: len(data) // 2] + bytes(len(data) // 2))


def test_a_png_without_its_end_is_shown_and_reported() -> None:
    data = IN_ROWS["PNG"]()
    for lost in (5, 11, 12, 14):
        picture = decode(data[:-lost])
        assert picture.shown == 1
        assert picture.alpha is None
        assert picture.rgb.tobytes() == decode(data).rgb.tobytes()


@pytest.mark.parametrize("name", ["PNG palette", "GIF"])
def test_a_file_is_shown_up_to_the_damage(name: str) -> None:
    data = bytearray(IN_ROWS[name]())
    whole = opaque(decode(bytes(data)))
    place = len(data) * 85 // 100
    data[place : place + 300] = b"\xff" * 300
    if name != "GIF":
        at = data.index(b"IDAT")
        length = int.from_bytes(data[at - 4 : at], "big")
        data[at + 4 + length : at + 8 + length] = struct.pack(">I", zlib.crc32(data[at : at + 4 + length]))
    picture = decode(bytes(data))
    assert picture.shown is not None
    assert 0.8 < picture.shown < 0.9
    assert False not in same_rows(opaque(picture), whole)[: SIZE[1] * 8 // 10]


def test_an_animation_truncated_after_its_first_frame_shows_that_frame() -> None:
    frames: dict[str, object] = {"save_all": True, "append_images": [textured().rotate(90)] * 3, "duration": 40}
    for format in ("GIF", "WEBP", "PNG"):
        data = corpus.saved(textured(), format, **frames)
        whole = decode(data)
        picture = decode(data[: len(data) * 7 // 10])
        assert picture.shown in {None, 1}
        assert picture.alpha is None
        assert picture.rgb.tobytes() == whole.rgb.tobytes()


@pytest.mark.parametrize("format", corpus.FORMATS)
def test_less_than_half_of_a_file_is_refused(format: str) -> None:
    data = corpus.saved(textured(), format)
    for percent in range(50):
        with pytest.raises(PictureError):
            decode(data[: len(data) * percent // 100])


def test_a_truncated_avif_is_refused() -> None:
    """Browsers refuse it, too: it is one frame of video."""
    data = corpus.saved(textured(), "AVIF")
    for lost in (1, 100, len(data) // 3):
        with pytest.raises(PictureDamaged):
            decode(data[:-lost])


def test_a_truncated_picture_is_oriented_and_scaled_like_a_complete_one() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = corpus.saved(textured(), "PNG", exif=exif)
    picture = decode(data[: len(data) * 9 // 10], longer_side=96)
    assert picture.rgb.size == (72, 96)
    assert picture.alpha is not None
    assert picture.alpha.getpixel((0, 50)) == 0  # the lowest rows are at the left now
    assert picture.alpha.getpixel((71, 50)) == 255


def test_a_progressive_jpeg_without_its_last_refinement_is_reported() -> None:
    data = corpus.saved(textured(), "JPEG", quality=92, progressive=True)
    assert decode(data[: data.rindex(b"\xff\xda")]).shown == 1
