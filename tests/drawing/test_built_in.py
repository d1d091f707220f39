"""The shipped pictures of the built-in styles are what their code draws."""

import pytest
from PIL import Image, ImageFilter

from bot.library.built_in import BUILT_IN, BuiltInStyle
from engine.images.codec import decode
from tests.drawing import built_in
from tests.drawing.test_pictures import signal_to_noise


def test_every_shipped_file_has_the_right_size_and_no_metadata() -> None:
    assert {each.id for each in BUILT_IN} == set(built_in.DRAWN)
    for style in BUILT_IN:
        data = style.file.read_bytes()
        assert len(data) <= built_in.MOST_BYTES
        shipped = decode(data).rgb
        assert shipped.size == (built_in.SIDE, built_in.SIDE)
        thumbnail = style.thumbnail.read_bytes()
        assert len(thumbnail) <= built_in.MOST_BYTES_OF_THUMBNAIL
        small = decode(thumbnail).rgb
        assert small.size == (built_in.THUMBNAIL_SIDE, built_in.THUMBNAIL_SIDE)
        assert signal_to_noise(small, shipped.resize(small.size, Image.Resampling.LANCZOS)) > 18
        for mark in (b"Exif", b"ICC_PROFILE", b"http", b"Photoshop", b"\xff\xfe"):
            assert mark not in data[: data.index(b"\xff\xda")]


@pytest.mark.slow
@pytest.mark.parametrize("style", BUILT_IN, ids=lambda style: style.id)
def test_the_code_draws_the_shipped_picture(style: BuiltInStyle) -> None:
    side = 192
    small = built_in.draw(style.id, side).filter(ImageFilter.GaussianBlur(2))
    shipped = decode(style.file.read_bytes()).rgb.resize((side, side), Image.Resampling.BOX)
    assert signal_to_noise(small, shipped.filter(ImageFilter.GaussianBlur(2))) > 30
