"""Decoding of untrusted bytes, and encoded files, which contain only pixels."""

import struct
import threading
import warnings
from io import BytesIO
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin, features

from engine.errors import (
    PictureDamaged,
    PictureError,
    PictureTransparent,
)
from engine.images.codec import SHORTEST_SIDE, Picture, decode, encode, fitted
from engine.images.limits import Limits
from tests.engine.images import corpus


def pixel(picture: Picture, at: tuple[int, int] = (0, 0)) -> tuple[int, int, int]:
    value = picture.rgb.getpixel(at)
    assert isinstance(value, tuple)
    red, green, blue = value
    return int(red), int(green), int(blue)


# --- Formats and modes ---


@pytest.mark.parametrize("format", corpus.FORMATS)
def test_each_format_gives_the_same_scene(format: str) -> None:
    picture = decode(corpus.sample(format))
    assert picture.rgb.mode == "RGB"
    assert (picture.width, picture.height) == (96, 64)
    assert picture.alpha is None
    assert corpus.mean_difference(picture.rgb, corpus.scene()) < {"PNG": 0.01, "BMP": 0.01, "GIF": 12}.get(format, 4)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animation_gives_its_first_frame(format: str) -> None:
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "lime", "blue")]
    data = corpus.saved(frames[0], format, save_all=True, append_images=frames[1:], duration=100)
    red, green, blue = pixel(decode(data), (5, 5))
    assert red > 245
    assert max(green, blue) < 10


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("P", (200, 10, 90), (200, 10, 90)),
        ("RGB", (200, 10, 90), (200, 10, 90)),
        ("LA", (77, 255), (77, 77, 77)),
        ("RGBA", (200, 10, 90, 255), (200, 10, 90)),
    ],
)
def test_each_mode_of_png_is_decoded(mode: str, colour: int | tuple[int, ...], expected: tuple[int, int, int]) -> None:
    source = Image.new("RGB", (40, 40), (200, 10, 90)).quantize(4) if mode == "P" else Image.new(mode, (40, 40), colour)
    picture = decode(corpus.saved(source, "PNG"))
    assert pixel(picture) == expected
    assert picture.alpha is None  # opaque throughout is no alpha


@pytest.mark.parametrize(("format", "options"), [("JPEG", {"quality": 95}), ("BMP", {}), ("GIF", {}), ("WEBP", {})])
def test_grey_is_decoded_in_other_formats(format: str, options: dict[str, int]) -> None:
    picture = decode(corpus.saved(Image.new("L", (40, 40), 77), format, **options))
    assert all(abs(value - 77) <= 2 for value in pixel(picture))


def test_a_cmyk_jpeg_without_a_profile_is_decoded() -> None:
    source = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    red, green, blue = pixel(decode(corpus.saved(source, "JPEG", quality=95)))
    assert red > 235
    assert max(green, blue) < 20


# --- Alpha ---


def test_alpha_is_separate_and_colours_are_composited_on_white() -> None:
    source = Image.new("RGBA", (40, 40), (200, 0, 100, 255))
    source.paste((200, 0, 100, 0), (0, 0, 20, 40))
    source.paste((200, 0, 100, 128), (20, 0, 30, 40))
    for format, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        picture = decode(corpus.saved(source, format, **options))
        assert picture.alpha is not None
        assert (picture.alpha.mode, picture.alpha.size) == ("L", picture.rgb.size)
        assert [picture.alpha.getpixel((x, 5)) for x in (5, 25, 35)] == [0, 128, 255]
        assert pixel(picture, (5, 5)) == (255, 255, 255)
        assert pixel(picture, (35, 5)) == (200, 0, 100)
        for value, expected in zip(pixel(picture, (25, 5)), (227, 127, 177), strict=True):
            assert abs(value - expected) <= 1


def test_alpha_of_avif_is_decoded() -> None:
    source = corpus.scene().convert("RGBA")
    source.putalpha(Image.linear_gradient("L").resize(source.size))
    alpha = decode(corpus.saved(source, "AVIF")).alpha
    assert alpha is not None
    assert corpus.mean_difference(alpha.convert("RGB"), source.getchannel("A").convert("RGB")) < 3


def test_alpha_of_palettes_is_decoded() -> None:
    source = Image.new("P", (40, 40), 0)
    source.putpalette([200, 0, 100, 0, 50, 250])
    source.paste(1, (20, 0, 40, 40))
    for format, key in (("PNG", 1), ("PNG", bytes([255, 90])), ("GIF", 1)):
        picture = decode(corpus.saved(source, format, transparency=key))
        assert picture.alpha is not None
        assert picture.alpha.getpixel((5, 5)) == 255
        assert picture.alpha.getpixel((30, 5)) == (0 if key == 1 else 90)
        assert pixel(picture, (5, 5)) == (200, 0, 100)


# --- Transparent pictures ---


@pytest.mark.parametrize("format", ["PNG", "WEBP", "AVIF"])
def test_a_fully_transparent_picture_is_refused(format: str) -> None:
    clear = corpus.scene(96, 64).convert("RGBA")
    clear.putalpha(0)
    for longer_side in (None, 48):
        with pytest.raises(PictureTransparent):
            decode(corpus.saved(clear, format), longer_side=longer_side)
    clear.putpixel((50, 30), (200, 10, 10, 255))
    assert decode(corpus.saved(clear, format), longer_side=48).alpha is not None


def test_a_picture_that_is_fully_transparent_by_its_palette_or_key_is_refused() -> None:
    source = Image.new("P", (40, 40), 1)
    source.putpalette([200, 0, 100, 0, 50, 250])
    for format, key in (("PNG", 1), ("PNG", bytes([255, 0])), ("GIF", 1)):
        with pytest.raises(PictureTransparent):
            decode(corpus.saved(source, format, transparency=key))
    rows = (b"\0" + bytes([9, 8, 7]) * 40) * 40
    with pytest.raises(PictureTransparent):
        decode(corpus.png(40, 40, 8, 2, rows, corpus.chunk(b"tRNS", struct.pack(">3H", 9, 8, 7))))


def test_a_gif_is_transparent_around_its_first_frame() -> None:
    frame = Image.new("P", (40, 40), 1)
    frame.putpalette([0, 200, 0, 200, 0, 100])
    picture = decode(corpus.gif((90, 70), frame, 30, 20))
    assert picture.rgb.size == (90, 70)
    assert picture.alpha is not None
    assert picture.alpha.getbbox() == (30, 20, 70, 60)
    assert pixel(picture, (30, 20)) == pixel(picture, (69, 59)) == (200, 0, 100)
    assert pixel(picture, (29, 20)) == (255, 255, 255)


# --- Damage ---


def test_an_error_for_damage_has_its_cause() -> None:
    data = corpus.sample("AVIF")
    with pytest.raises(PictureDamaged) as refused:
        decode(data[: len(data) // 2])
    assert isinstance(refused.value.__cause__, SyntaxError)
    assert refused.value.detail.startswith("AVIF: SyntaxError: ")


@pytest.mark.parametrize("format", corpus.FORMATS)
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6))
def test_flipped_bytes_give_a_picture_or_its_error(format: str, flips: list[tuple[float, int]]) -> None:
    data = bytearray(corpus.sample(format))
    for place, value in flips:
        data[int(place**2 * len(data))] = value  # squared: more hits in the headers
    decodes_or_raises_picture_error(bytes(data))


@settings(max_examples=150)
@given(
    start=st.sampled_from(
        [b"", *(corpus.sample(format)[:16] for format in corpus.FORMATS), b"GIF87a", b"\xff\xd8\xff\xe1"]
    ),
    rest=st.binary(max_size=400),
)
def test_any_bytes_give_a_picture_or_its_error(start: bytes, rest: bytes) -> None:
    decodes_or_raises_picture_error(start + rest)


def decodes_or_raises_picture_error(data: bytes) -> None:
    try:
        picture = decode(data, Limits(pixels=4_000_000, side=4_096))
    except PictureError:
        return
    assert picture.rgb.mode == "RGB"
    assert picture.alpha is None or picture.alpha.size == picture.rgb.size
    assert not picture.rgb.info


@pytest.mark.parametrize("format", corpus.FORMATS)
@pytest.mark.parametrize("tail", [b"PK\x03\x04" + bytes(99), b"<script>alert(1)</script>", b"\0" * 5000])
def test_bytes_after_the_picture_are_ignored(format: str, tail: bytes) -> None:
    picture = decode(corpus.sample(format) + tail)
    assert picture.rgb.size == (96, 64)
    assert tail not in encode(picture.rgb, "png")


# --- Reduced decoding ---


@settings(max_examples=25)
@given(width=st.integers(32, 900), height=st.integers(32, 900), longer_side=st.integers(SHORTEST_SIDE, 1000))
def test_a_reduced_picture_has_the_requested_size_or_its_own_if_smaller(
    width: int, height: int, longer_side: int
) -> None:
    for format in ("JPEG", "BMP"):
        data = corpus.saved(Image.new("RGB", (width, height), "teal"), format)
        picture = decode(data, Limits(aspect=900), longer_side=longer_side)
        smaller = fitted((width, height), min(longer_side, max(width, height)))
        assert picture.rgb.size == (smaller if max(width, height) > longer_side else (width, height))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA"])
def test_a_reduced_picture_looks_the_same_in_each_mode(mode: str) -> None:
    source = corpus.scene(960, 640)
    if mode in {"LA", "RGBA"}:
        source = source.convert("RGBA")
        source.putalpha(Image.linear_gradient("L").resize(source.size))
    data = corpus.saved(source.quantize(64) if mode == "P" else source.convert(mode), "PNG")
    whole = decode(data)
    for longer_side in (480, 96):  # the second has so many pixels for one that they are averaged first
        picture = decode(data, longer_side=longer_side)
        expected = whole.rgb.resize(picture.rgb.size, Image.Resampling.LANCZOS)
        assert max(picture.rgb.size) == longer_side
        assert corpus.mean_difference(picture.rgb, expected) < 1.5
        assert (picture.alpha is None) == (whole.alpha is None)
        if picture.alpha is not None and whole.alpha is not None:
            smaller = whole.alpha.resize(picture.rgb.size, Image.Resampling.LANCZOS)
            assert corpus.mean_difference(picture.alpha.convert("RGB"), smaller.convert("RGB")) < 1


def test_hidden_colours_do_not_bleed_into_a_reduced_picture() -> None:
    source = Image.new("RGBA", (640, 640), (0, 200, 0, 255))
    source.paste((255, 0, 0, 0), (0, 0, 320, 640))
    picture = decode(corpus.saved(source, "PNG"), longer_side=64)
    assert picture.alpha is not None
    for x in range(64):
        red, green, blue = pixel(picture, (x, 30))
        assert red <= blue + 1  # white or green, and between them no red
        assert green >= 199


def test_a_reduced_jpeg_looks_the_same() -> None:
    data = corpus.saved(corpus.scene(960, 640), "JPEG", quality=95)
    picture = decode(data, longer_side=240)
    assert picture.rgb.size == (240, 160)
    assert corpus.mean_difference(picture.rgb, decode(data).rgb.resize((240, 160), Image.Resampling.BOX)) < 2


# --- Encoding ---

Output = Literal["png", "jpeg", "webp"]


@pytest.mark.parametrize(("format", "error"), [("png", 0.0), ("jpeg", 3.0), ("webp", 4.0)])
def test_an_encoded_picture_decodes_to_itself(format: Output, error: float) -> None:
    picture = decode(encode(corpus.scene(), format))
    assert corpus.mean_difference(picture.rgb, corpus.scene()) <= error


def picture_with_metadata() -> bytes:
    exif = Image.Exif()
    exif[0x010E] = "SECRET description"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 30.0)
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "SECRET text")
    text.add_itxt("XML:com.adobe.xmp", "<x>SECRET xmp</x>")
    return corpus.saved(
        corpus.scene(), "PNG", exif=exif, pnginfo=text, icc_profile=corpus.swapped_profile(), dpi=(300, 300)
    )


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_no_metadata_is_written(format: Output) -> None:
    picture = decode(picture_with_metadata())
    assert not picture.rgb.info
    picture.rgb.info = {
        "comment": b"SECRET",
        "icc_profile": corpus.swapped_profile(),
        "exif": b"SECRET",
        "xmp": b"SECRET",
    }
    data = encode(picture.rgb, format, alpha=Image.linear_gradient("L").resize(picture.rgb.size))
    assert b"SECRET" not in data
    for mark in (b"Exif", b"eXIf", b"ICC_PROFILE", b"iCCP", b"ICCP", b"tEXt", b"pHYs", b"XMP"):
        assert mark not in data
    with Image.open(BytesIO(data)) as image:
        assert image.info.keys() <= {
            "jfif",
            "jfif_version",
            "jfif_unit",
            "jfif_density",
            "progressive",
            "progression",
            "loop",
            "background",
        }
    assert picture.rgb.info  # the caller's image is left as it was


@pytest.mark.parametrize("format", ["png", "webp"])
def test_alpha_is_written(format: Output) -> None:
    alpha = Image.linear_gradient("L").resize((96, 64))
    back = decode(encode(corpus.scene(), format, alpha=alpha))
    assert back.alpha is not None
    assert back.alpha.tobytes() == alpha.tobytes()


def test_alpha_is_composited_on_white_for_jpeg() -> None:
    back = decode(encode(corpus.scene(), "jpeg", alpha=Image.new("L", (96, 64), 0)))
    assert min(pixel(back, (50, 30))) >= 253


def test_a_higher_quality_gives_a_larger_file() -> None:
    for format in ("jpeg", "webp"):
        sizes = [len(encode(corpus.scene(480, 320), format, quality=quality)) for quality in (20, 60, 95)]
        assert all(one < other for one, other in pairwise(sizes))


@pytest.mark.parametrize("quality", [90, 95])
def test_noise_fits_into_the_buffer_of_the_encoder(quality: int) -> None:
    noise = Image.merge("RGB", [Image.effect_noise((400, 300), 120) for _ in range(3)])
    data = encode(noise, "jpeg", quality=quality)
    assert len(data) > noise.width * noise.height
    assert decode(data).rgb.size == noise.size


def test_a_wrong_alpha_size_or_a_too_large_webp_is_an_error() -> None:
    with pytest.raises(ValueError, match="alpha"):
        encode(corpus.scene(), "png", alpha=Image.new("L", (3, 3)))
    with pytest.raises(ValueError, match="16400"):
        encode(Image.new("RGB", (16_400, 1)), "webp")


# --- Warnings ---


def test_pillows_warnings_are_not_shown_and_filters_are_restored() -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(30)
    data = corpus.saved(corpus.scene(), "JPEG", exif=exif)
    before = list(warnings.filters)
    gate = threading.Barrier(4)

    def work() -> None:
        gate.wait()
        for _ in range(20):
            decode(data)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_pillow_has_all_formats() -> None:
    assert all(features.check(feature) for feature in ("webp", "avif", "littlecms2", "jpg", "zlib"))
