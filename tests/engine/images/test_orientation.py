"""Which side of a picture is up."""

import itertools

import pytest
from PIL import Image, PngImagePlugin

from engine.images.codec import decode
from tests.engine.images import corpus, hostile

ORIENTATION = 0x0112


def stored_with(image: Image.Image, orientation: int) -> Image.Image:
    """The stored pixels of an upright picture with this EXIF orientation, by index arithmetic. For example, with 6 the
    first row is the right side and the first column is the top.
    """
    width, height = image.size
    swaps = orientation >= 5
    stored = Image.new("RGB", (height, width) if swaps else (width, height))
    for x, y in itertools.product(range(stored.width), range(stored.height)):
        row, column = y, x
        top, left = {
            1: (row, column),
            2: (row, width - 1 - column),
            3: (height - 1 - row, width - 1 - column),
            4: (height - 1 - row, column),
            5: (column, row),
            6: (column, width - 1 - row),
            7: (height - 1 - column, width - 1 - row),
            8: (height - 1 - column, row),
        }[orientation]
        value = image.getpixel((left, top))
        assert isinstance(value, tuple)
        stored.putpixel((x, y), value)
    return stored


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_each_orientation_of_exif_is_applied(format: str, orientation: int) -> None:
    upright = corpus.scene(48, 36)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    picture = decode(corpus.saved(stored_with(upright, orientation), format, exif=exif, quality=95))
    assert picture.rgb.size == upright.size
    assert corpus.mean_difference(picture.rgb, upright) < 6


def test_orientation_is_applied_to_alpha() -> None:
    source = corpus.scene(48, 36).convert("RGBA")
    source.putalpha(Image.linear_gradient("L").resize(source.size))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture = decode(corpus.saved(source, "PNG", exif=exif))
    assert picture.alpha is not None
    assert picture.alpha.size == picture.rgb.size == (36, 48)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_orientation_in_xmp_is_ignored(format: str) -> None:
    for xmp in (b'<x tiff:Orientation="6"/>', b"<tiff:Orientation>6</tiff:Orientation>"):
        if format == "PNG":
            info = PngImagePlugin.PngInfo()
            info.add_itxt("XML:com.adobe.xmp", xmp.decode())
            data = corpus.saved(corpus.scene(), format, pnginfo=info)
        else:
            data = corpus.saved(corpus.scene(), format, xmp=xmp)
        assert xmp in data
        assert decode(data).rgb.size == (96, 64)


@pytest.mark.parametrize(("orientation", "rotation"), [(1, None), (6, 3), (3, 2), (8, 1)])
def test_the_orientation_of_an_avif_is_its_own_property_and_not_exif(orientation: int, rotation: int | None) -> None:
    """``irot`` counts quarters against the clock (ISO/IEC 23008-12, 6.5.10)."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    upright = corpus.scene(48, 36)
    data = corpus.saved(stored_with(upright, orientation), "AVIF", exif=exif, quality=95)
    assert (b"irot" in data) == (rotation is not None)
    if rotation is not None:
        assert data[data.index(b"irot") + 4] == rotation
    assert corpus.mean_difference(decode(data).rgb, upright) < 6
    for block in (corpus.exif_block(3, 1, b"\6\0\0\0"), b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\0\x09"):
        assert decode(hostile.avif_with_exif(block)).rgb.size == (96, 64)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_an_orientation_is_one_16_bit_number_in_either_byte_order(format: str) -> None:
    def turned(exif: bytes) -> bool:
        return decode(corpus.saved(corpus.scene(), format, exif=exif)).rgb.size == (64, 96)

    assert turned(corpus.exif_block(3, 1, b"\6\0\0\0"))
    assert turned(corpus.exif_block(3, 1, b"\0\6\0\0", "big"))
    for exif in (
        b"Exif\0\0",
        b"Exif\0\0garbage",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x09",
        corpus.exif_block(3, 1, b"\0\0\0\0"),
        corpus.exif_block(3, 1, b"\x09\0\0\0"),
        corpus.exif_block(3, 1, b"\6\0\0\0", "big"),
        corpus.exif_block(3, 2, b"\6\0\6\0"),
        corpus.exif_block(4, 1, b"\6\0\0\0"),
        corpus.exif_block(1, 1, b"\6\0\0\0"),
        corpus.exif_block(2, 2, b"6\0\0\0"),
    ):
        assert not turned(exif), exif
