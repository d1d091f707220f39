"""Colour spaces against published numbers."""

import contextlib
from typing import Literal

import numpy as np
import pytest

from engine.images.colour_space import BT709, CURVES, PRIMARIES, ColourSpace, Primaries, srgb
from tests.engine.images import colour_truth as truth


@pytest.mark.parametrize(("code", "published"), [(9, truth.TO_BT2020), (12, truth.TO_P3), (1, np.eye(3))])
def test_matrices_agree_with_the_published_ones(code: int, published: truth.Array) -> None:
    assert ColourSpace.of(PRIMARIES[code], srgb).to_srgb @ published == pytest.approx(np.eye(3), abs=2e-4)


def test_luminances_agree_with_the_published_ones() -> None:
    assert ColourSpace.of(PRIMARIES[9], srgb).luminances == pytest.approx([0.2627, 0.6780, 0.0593], abs=1e-4)
    assert ColourSpace.of(BT709, srgb).luminances == pytest.approx([0.2126, 0.7152, 0.0722], abs=1e-4)


@pytest.mark.parametrize("code", PRIMARIES)
def test_white_stays_white(code: int) -> None:
    assert ColourSpace.of(PRIMARIES[code], srgb).to_srgb.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-6)


@pytest.mark.parametrize("code", CURVES)
def test_curves_rise_from_black_to_white(code: int) -> None:
    sizes: tuple[Literal[256], Literal[65_536]] = (256, 65_536)
    for levels in sizes:
        light = ColourSpace.of(BT709, CURVES[code]).linear(levels)[0]
        assert light[0] < 2e-3
        assert (np.diff(light) > -1e-4).all()  # SMPTE 240M's two parts don't quite meet
        assert light[-1] == pytest.approx({16: 10_000 / 203, 17: 52.37 / 48}.get(code, 1), rel=1e-5)


@pytest.mark.parametrize(
    ("code", "signal", "light"),
    [
        (4, 0.5, 0.2176), (5, 0.5, 0.1436), (7, 0.5, 0.2650), (9, 0.5, 0.1), (10, 0.5, 0.0562), (13, 0.5, 0.2140),
        (16, 0.5, 92.2457 / 203), (17, 0.5, 0.1800), (18, 0.5, 1 / 12),
    ],
)  # fmt: skip
def test_curves_agree_with_the_standards_at_one_half(code: int, signal: float, light: float) -> None:
    assert float(CURVES[code](np.array(signal))) == pytest.approx(light, abs=1e-3)


def test_random_primaries_give_finite_numbers_or_an_error() -> None:
    random = np.random.default_rng(0)
    sound = 0
    for largest in [0.4, 1.0, 40_000.0] * 200:
        points = [(float(x), float(y)) for x, y in random.uniform(0, largest, (4, 2))]
        with contextlib.suppress(ValueError):
            sound += bool(np.isfinite(ColourSpace.of(Primaries(*points), srgb).to_srgb).all())
    assert sound > 10
