"""Limits on the size of pictures, in each format."""

import struct

import pytest
from PIL import Image

from engine.errors import PictureTooLarge, PictureTooNarrow, PictureTooSmall
from engine.images.codec import decode
from engine.images.decoder import Decoder
from engine.images.headers import Format, size_of
from engine.images.limits import Limits
from tests.engine.images import corpus


@pytest.mark.parametrize("format", corpus.FORMATS)
def test_each_limit_is_applied(format: str) -> None:
    data = corpus.sample(format)
    for limits, measure, value in (
        (Limits(bytes=len(data) - 1), "bytes", len(data)),
        (Limits(pixels=96 * 64 - 1), "pixels", 96 * 64),
        (Limits(side=95), "side", 96),
    ):
        with pytest.raises(PictureTooLarge) as refused:
            decode(data, limits)
        assert (refused.value.measure, refused.value.value) == (measure, value)
    with pytest.raises(PictureTooSmall) as small:
        decode(data, Limits(least=65))
    assert (small.value.width, small.value.height, small.value.least) == (96, 64, 65)
    assert decode(data, Limits(bytes=len(data), pixels=96 * 64, side=96, least=64)).width == 96


def test_a_picture_of_one_pixel_is_too_small() -> None:
    with pytest.raises(PictureTooSmall):
        decode(corpus.saved(Image.new("RGB", (1, 1)), "PNG"))


@pytest.mark.parametrize("size", [(320, 40), (40, 320)])
@pytest.mark.parametrize("format", corpus.FORMATS)
def test_a_picture_is_refused_if_its_aspect_ratio_is_over_the_limit(format: str, size: tuple[int, int]) -> None:
    data = corpus.saved(Image.new("RGB", size, "teal"), format)
    assert decode(data, Limits(aspect=8)).rgb.size == size
    with pytest.raises(PictureTooNarrow) as refused:
        decode(data, Limits(aspect=7))
    assert (refused.value.width, refused.value.height, refused.value.limit) == (*size, 7)


def test_a_picture_one_pixel_over_the_default_aspect_ratio_is_refused() -> None:
    with pytest.raises(PictureTooNarrow):
        decode(corpus.saved(Image.new("RGB", (321, 40)), "PNG"))


@pytest.mark.parametrize("format", corpus.FORMATS)
def test_bombs_are_refused_with_little_memory(format: str) -> None:
    data = corpus.BOMBS[format]()
    assert len(data) < 200_000
    with Decoder(memory=24 * 2**20) as decoder, pytest.raises(PictureTooLarge) as refused:
        decoder.decode(data)
    assert refused.value.measure in {"side", "pixels"}
    assert refused.value.value > refused.value.limit


def test_a_frame_beyond_the_screen_of_a_gif_counts_towards_each_limit() -> None:
    frame = Image.new("P", (40, 40), 1)
    for left, top in ((60, 0), (0, 60), (60, 60)):
        size = (max(64, left + 40), max(64, top + 40))
        data = corpus.gif((64, 64), frame, left, top)
        assert size_of(Format.GIF, data) == size  # before Pillow, which would fill so large a picture
        assert decode(data, Limits(side=100, pixels=size[0] * size[1])).rgb.size == size
        for limits, measure, value in (
            (Limits(side=99), "side", 100),
            (Limits(pixels=size[0] * size[1] - 1), "pixels", size[0] * size[1]),
        ):
            with pytest.raises(PictureTooLarge) as refused:
                decode(data, limits)
            assert (refused.value.measure, refused.value.value) == (measure, value)
    assert decode(corpus.gif((64, 64), frame, 24, 24), Limits(side=64, pixels=64 * 64)).rgb.size == (64, 64)
    with pytest.raises(PictureTooLarge):
        decode(corpus.gif((64, 64), frame, 65_535, 65_535))
    with pytest.raises(PictureTooNarrow):
        decode(corpus.gif((64, 64), frame, 600, 0))


@pytest.mark.parametrize("height", [64, -64])
def test_a_bmp_has_the_same_size_in_either_direction(height: int) -> None:
    data = bytearray(corpus.sample("BMP"))
    data[22:26] = struct.pack("<i", height)
    assert decode(bytes(data), Limits(side=96, pixels=96 * 64, least=64)).rgb.size == (96, 64)
    for limits, error in (
        (Limits(pixels=96 * 64 - 1), PictureTooLarge),
        (Limits(least=65), PictureTooSmall),
        (Limits(aspect=1), PictureTooNarrow),
    ):
        with pytest.raises(error):
            decode(bytes(data), limits)
    data[22:26] = struct.pack("<i", 16_385 if height > 0 else -16_385)
    with pytest.raises(PictureTooLarge) as refused:
        decode(bytes(data))
    assert refused.value.value == 16_385
    data[22:26] = struct.pack("<i", -(2**31))
    with pytest.raises(PictureTooLarge):
        decode(bytes(data))
