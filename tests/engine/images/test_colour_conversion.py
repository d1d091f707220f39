"""HDR against the formulas of its standards, and ICC profiles against LittleCMS."""

import math
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from engine.images.codec import decode
from tests.engine.images import colour_truth as truth
from tests.engine.images import corpus
from tests.engine.images.colour_truth import Array, cicp, levels_of, png_of


def pq_signal(nits: float) -> float:
    """SMPTE ST 2084, equation 5.2."""
    power = (nits / 10_000) ** 0.1593017578125
    return float(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375)


def nits_of(signal: float) -> float:
    """Its inverse, equation 4.1."""
    root = signal ** (1 / 78.84375)
    return float(10_000 * (max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125))


def mapped(nits: float, peak: float) -> float:
    """BT.2390-10, section 5.4.1, from a display of ``peak`` to one of 203 cd/m²; black at 0 on both."""
    if peak <= 203:
        return nits
    signal, white = pq_signal(nits) / pq_signal(peak), pq_signal(203) / pq_signal(peak)
    knee = 1.5 * white - 0.5
    if signal >= knee:
        t = (signal - knee) / (1 - knee)
        signal = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * white
    return nits_of(signal * pq_signal(peak))


def greys(nits: list[float], width: int = 64, rows: int = 16) -> Array:
    """Signals of PQ, ``rows`` rows of each grey."""
    return np.repeat([[[pq_signal(each)] * 3] * width for each in nits], rows, axis=0)


@pytest.mark.parametrize("peak", [203.0, 400.0, 1000.0, 4000.0, 10_000.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_highlights_of_pq_are_compressed_as_in_bt_2390(peak: float, channels: int) -> None:
    nits = [0, 1, 10, 50, 100, 150, 203, peak / 2, peak]
    signal = greys(nits)[..., :channels]
    got = np.asarray(decode(png_of(levels_of(signal, 16), 16, cicp(9, 16))).rgb)[::16, 0, :]
    for each, levels in zip(nits, got, strict=True):
        expected = 255 * truth.srgb_signal(np.array(min(mapped(each, peak) / 203, 1)))
        assert np.abs(levels - expected).max() <= 1
    assert got[-1].tolist() == [255, 255, 255]
    if peak == 1000:
        assert got[nits.index(203.0)].min() > 225  # a white page stays nearly white beside highlights


def test_a_few_bright_pixels_darken_nothing() -> None:
    signal = greys([10, 100, 203])
    expected = np.asarray(decode(png_of(levels_of(signal, 16), 16, cicp(9, 16))).rgb)
    signal[7, 9:11] = 1
    got = np.asarray(decode(png_of(levels_of(signal, 16), 16, cicp(9, 16))).rgb)
    assert got[7, 9:11].min() == 255
    assert np.array_equal(np.delete(got, 7, axis=0), np.delete(expected, 7, axis=0))


def test_a_bright_colour_keeps_its_hue() -> None:
    """If each channel were compressed separately, green would come close to red in an orange of 1,000 cd/m²."""
    light = np.array([4.9, 2.0, 0.5])
    orange = np.broadcast_to(truth.pq_signal(light @ truth.TO_BT2020.T), (64, 64, 3))
    got = truth.linear(np.asarray(decode(png_of(levels_of(orange, 16), 16, cicp(9, 16))).rgb))[0, 0]
    assert got[0] == 1
    assert got[1] / got[2] == pytest.approx(light[1] / light[2], rel=0.05)


def test_hlg_of_75_percent_is_white_and_brighter_hlg_is_compressed() -> None:
    page = np.full((64, 64, 3), 0.75)
    assert np.asarray(decode(png_of(levels_of(page, 16), 16, cicp(9, 18))).rgb).min() >= 254
    sun = page.copy()
    sun[32:] = 1
    got = np.asarray(decode(png_of(levels_of(sun, 16), 16, cicp(9, 18))).rgb)
    expected = 255 * truth.srgb_signal(np.array(mapped(203, 1000) / 203))
    assert abs(float(got[0, 0, 0]) - expected) <= 1
    assert got[63, 63, 0] == 255


def test_sixteen_bits_keep_dark_greys_of_linear_light_distinct() -> None:
    ramp = np.linspace(0, 0.01, 64)
    for channels in (1, 2, 3, 4):
        signal = np.ones((64, 64, channels))
        signal[..., : 1 if channels < 3 else 3] = ramp[None, :, None]
        got = np.asarray(decode(png_of(levels_of(signal, 16), 16, cicp(1, 8))).rgb).astype(float)
        assert np.abs(got[0] - 255 * truth.srgb_signal(ramp)[:, None]).max() <= 1


def test_a_wide_gamut_agrees_with_littlecms() -> None:
    """For a profile that means the same as the chunk: Display P3 adapted to D50 (ICC.1:2022, Annex E)."""
    columns = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True):
        entry = profile.index(name)
        start = int.from_bytes(profile[entry + 4 : entry + 8], "big")
        profile[start + 8 : start + 20] = b"".join(
            math.floor(value * 65536 + 0.5).to_bytes(4, "big", signed=True) for value in column
        )
    source = ImageCms.ImageCmsProfile(BytesIO(bytes(profile)))
    image = Image.fromarray(truth.chart(64))
    expected = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert expected is not None
    got = decode(png_of(truth.chart(64).astype(np.uint16), 8, cicp(12, 13))).rgb
    assert np.abs(np.asarray(got).astype(int) - np.asarray(expected)).max() <= 2


# --- ICC profiles ---


def levels(data: bytes) -> Array:
    """Of shape (height, width, 3)."""
    return np.asarray(decode(data).rgb).astype(float)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_a_profile_is_converted_to_srgb(format: str) -> None:
    source = Image.new("RGB", (48, 48), (230, 120, 20))
    got = levels(corpus.saved(source, format, icc_profile=corpus.swapped_profile(), quality=95))
    assert np.abs(got[0, 0] - (20, 120, 230)).max() <= 6


def test_a_profile_agrees_with_littlecms_over_a_gradient() -> None:
    profile = corpus.swapped_profile()
    expected = ImageCms.profileToProfile(
        corpus.scene(), ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
    )
    assert expected is not None
    assert decode(corpus.saved(corpus.scene(), "PNG", icc_profile=profile)).rgb.tobytes() == expected.tobytes()


@pytest.mark.parametrize("value", [30, 90, 150, 220])
def test_a_grey_picture_is_converted_by_a_grey_or_an_rgb_profile(value: int) -> None:
    expected = 255 * truth.srgb_signal(np.array(value / 255))
    for profile in (corpus.grey_profile(1.0), corpus.rgb_profile(1.0)):
        for mode, format in (("L", "PNG"), ("L", "JPEG"), ("LA", "PNG")):
            colour = (value, 255) if mode == "LA" else value
            data = corpus.saved(Image.new(mode, (40, 40), colour), format, icc_profile=profile)
            assert np.abs(levels(data)[0, 0] - expected).max() <= 1.5


def test_an_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = decode(corpus.saved(corpus.scene(), "PNG", icc_profile=profile))
    assert picture.rgb.tobytes() == corpus.scene().tobytes()


@pytest.mark.parametrize("profile", [b"broken", bytes(200), corpus.swapped_profile()[:300], corpus.grey_profile(1.8)])
def test_a_broken_profile_or_one_for_other_pictures_is_ignored(profile: bytes) -> None:
    for format in ("PNG", "WEBP", "JPEG"):
        got = levels(corpus.saved(corpus.scene(), format, icc_profile=profile))
        assert np.abs(got - np.asarray(corpus.scene())).mean() < 4
    cmyk = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    assert levels(corpus.saved(cmyk, "JPEG", icc_profile=profile))[0, 0, 0] > 235
