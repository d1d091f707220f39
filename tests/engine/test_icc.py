"""Profiles of a matrix and curves, for pictures with 16 bits for each channel."""

import struct
import zlib

import numpy as np
import pytest

from engine import icc
from engine.pictures import decode
from tests.engine import colour_truth as truth
from tests.engine import picture_corpus as corpus
from tests.engine.colour_truth import levels_of, png_of

SRGB = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def para(kind: int, *numbers: float) -> bytes:
    """ICC.1:2022, 10.18."""
    return (
        b"para"
        + bytes(4)
        + struct.pack(">H2x", kind)
        + struct.pack(f">{len(numbers)}i", *(round(65536 * each) for each in numbers))
    )


def curv(*values: int) -> bytes:
    """ICC.1:2022, 10.6."""
    return b"curv" + bytes(4) + struct.pack(f">I{len(values)}H", len(values), *values)


def with_curve(curve: bytes) -> bytes:
    """A profile of sRGB's primaries whose curves are all at its end."""
    profile = bytearray(corpus.rgb_profile(1))
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        at = profile.index(name, 132)
        struct.pack_into(">II", profile, at + 4, len(profile), len(curve))
    profile += curve
    struct.pack_into(">I", profile, 0, len(profile))
    return bytes(profile)


@pytest.mark.parametrize(
    ("curve", "signal_of"),
    [
        (curv(), lambda light: light),
        (curv(round(1.8 * 256)), lambda light: light ** (256 / round(1.8 * 256))),
        (curv(*np.rint(65535 * np.linspace(0, 1, 4096) ** 2).astype(int)), lambda light: light**0.5),
        (para(0, 2.6), lambda light: light ** (1 / 2.6)),
        (para(1, 2, 0.5, 0.5), lambda light: np.maximum(2 * light**0.5 - 1, 0)),
        (para(2, 2, 1.25, -0.25, 0.1), lambda light: (np.maximum(light - 0.1, 0) ** 0.5 + 0.25) / 1.25),
        (para(3, *SRGB), truth.srgb_signal),
        (para(4, *SRGB, 0, 0), truth.srgb_signal),
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_with_a_profile_keep_their_dark_greys(curve: bytes, signal_of: object, channels: int) -> None:
    assert callable(signal_of)
    chart = truth.chart()[4:] if channels > 2 else truth.chart()[:4].repeat(10, axis=0)
    levels = levels_of(signal_of(truth.linear(chart)), 16)
    if channels == 1:
        levels = levels[..., :1]
    elif channels in {2, 4}:
        levels = np.concatenate([levels[..., : channels - 1], np.full_like(levels[..., :1], 65_535)], axis=2)
    data = png_of(levels, 16, corpus.chunk(b"iCCP", b"x\0\0" + zlib.compress(with_curve(curve))))
    lowest = {para(1, 2, 0.5, 0.5): 0.25, para(2, 2, 1.25, -0.25, 0.1): 0.1}.get(curve, 0.0)
    lifted = 255 * truth.srgb_signal(np.array(lowest))
    got = np.asarray(decode(data).rgb)
    assert np.abs(got - np.maximum(chart, lifted)).max() <= 1


def test_sixteen_bits_with_a_profile_of_greys() -> None:
    chart = truth.chart()[:4].repeat(10, axis=0)
    levels = levels_of(truth.linear(chart)[..., :1], 16)
    profile = corpus.chunk(b"iCCP", b"x\0\0" + zlib.compress(corpus.grey_profile(1)))
    for made in (levels, np.concatenate([levels, np.full_like(levels, 65_535)], axis=2)):
        assert np.abs(np.asarray(decode(png_of(made, 16, profile)).rgb).astype(int) - chart).max() <= 1


def test_a_profile_that_is_more_or_less_than_that_is_left_to_littlecms() -> None:
    sound = corpus.rgb_profile(1.8)
    assert icc.space_of(sound) is not None
    at = sound.index(b"cprt", 132)
    for profile in (
        b"",
        bytes(200),
        sound[:140],
        sound[:at] + b"A2B0" + sound[at + 4 :],
        sound[:16] + b"CMYK" + sound[20:],
        sound[:20] + b"Lab " + sound[24:],
        sound[:128] + b"\xff" * 4 + sound[132:],
        with_curve(b"none" + bytes(20)),
        with_curve(curv(*range(40))[:60]),
        with_curve(para(9, 1)),
        with_curve(para(3, 1)),
        with_curve(para(1, 1, 0, 0)),
    ):
        assert icc.space_of(profile) is None


@pytest.mark.parametrize(
    "curve",
    [
        para(0, -2),
        para(0, 30_000),
        para(1, -2, 1, 0),
        *(para(4, *numbers) for numbers in ((30_000,) * 7, (-30_000,) * 7, (-2, 1, 0, 0, 0, 0, 0), (0,) * 7)),
    ],
)
def test_no_curve_breaks_the_arithmetic(curve: bytes) -> None:
    space = icc.space_of(with_curve(curve))
    assert space is not None
    light = space.linear(65_536)[0]
    assert light.min() >= 0
    assert light.max() <= 1
