"""Encoding within a number of bytes: which properties are reduced, in which order, and as little as possible."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from engine.images.codec import Picture, decode, encode
from engine.images.encoding import HIGHEST_QUALITY, LOWEST_QUALITY, encode_again, encode_within
from engine.images.headers import is_lossless


def noise(size: tuple[int, int]) -> Image.Image:
    """An image that no format can compress."""
    width, height = size
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def soft(size: tuple[int, int]) -> Image.Image:
    """Blurred noise: a lossless WebP of it is smaller than a PNG."""
    return noise(size).filter(ImageFilter.GaussianBlur(2))


def gradient(size: tuple[int, int]) -> Image.Image:
    return Image.linear_gradient("L").resize(size)


@pytest.mark.parametrize("transparent", [False, True])
def test_a_picture_stays_lossless_if_it_fits(transparent: bool) -> None:
    image = soft((300, 200))
    alpha = gradient((300, 200)) if transparent else None
    png, webp = (encode(image, format, alpha=alpha, quality=None) for format in ("png", "webp"))
    assert len(webp) < len(png)
    for limit, format in ((None, "png"), (len(png), "png"), (len(png) - 1, "webp"), (len(webp), "webp")):
        found = encode_within(image, limit, alpha=alpha)
        assert (found.format, found.quality, is_lossless(found.data)) == (format, None, True)
        back = decode(found.data)
        if alpha is None:
            assert back.rgb.tobytes() == image.tobytes()
        else:
            assert back.alpha is not None
            assert back.alpha.tobytes() == alpha.tobytes()
    assert not is_lossless(encode_within(image, len(webp) - 1, alpha=alpha).data)


@pytest.mark.parametrize("size", [(300, 200), (1100, 1050)], ids=["measured whole", "measured by a sample"])
@pytest.mark.parametrize("quality", [LOWEST_QUALITY, 71, HIGHEST_QUALITY - 1, HIGHEST_QUALITY])
def test_the_quality_is_the_highest_that_fits(size: tuple[int, int], quality: int) -> None:
    # Smooth on one side and noisy on the other, so that a sample can mislead.
    image = soft(size)
    image.paste(noise((size[0] // 3, size[1])), (0, 0))
    limit = len(encode(image, "jpeg", quality=quality))
    found = encode_within(image, limit, alpha=None)
    assert (found.format, found.quality, found.scaled_to) == ("jpeg", quality, None)
    assert len(found.data) == limit
    if quality > LOWEST_QUALITY:
        assert encode_within(image, limit - 1, alpha=None).quality == quality - 1


def test_a_lossy_webp_keeps_transparency() -> None:
    image, alpha = noise((300, 200)), gradient((300, 200))
    found = encode_within(image, 60_000, alpha=alpha)
    assert (found.format, found.quality is not None, len(found.data) <= 60_000) == ("webp", True, True)
    back = decode(found.data)
    assert back.alpha is not None
    assert abs(np.asarray(back.alpha).astype(int) - np.asarray(alpha)).max() <= 8


def test_a_picture_is_scaled_as_little_as_possible_if_no_quality_is_low_enough() -> None:
    picture = Picture(noise((300, 200)), gradient((300, 200)))
    file = encode(picture.rgb, "png", alpha=picture.alpha)
    for limit in (8000, 2000):
        found = encode_again(picture, len(file), limit, lossless=True)
        assert found.scaled_to is not None
        assert limit * 0.6 < len(found.data) <= limit
        back = decode(found.data)
        assert (back.rgb.size, back.alpha is not None) == (found.scaled_to, True)
        assert abs(found.scaled_to[0] / found.scaled_to[1] - 1.5) < 0.1
    assert max(encode_again(picture, len(file), 10, lossless=True).scaled_to or ()) <= 16


def test_a_lossy_file_does_not_become_a_lossless_one() -> None:
    file = encode(soft((300, 200)), "jpeg", quality=95)
    found = encode_again(decode(file), len(file), len(file) * 3 // 4, lossless=is_lossless(file))
    assert (found.format, found.scaled_to) == ("jpeg", None)
    assert LOWEST_QUALITY < (found.quality or 0) < 95
