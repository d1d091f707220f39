"""Strength and detail as weights and learning rates."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.painting.pyramid import LEARNING_RATE
from engine.painting.strength import detail_weight, first_learning_rate, normalisation, style_weight


def test_less_strength_starts_with_a_lower_learning_rate_but_not_below_the_last() -> None:
    rates = [first_learning_rate(strength) for strength in range(101)]
    assert rates == sorted(rates)
    assert rates[50] == rates[100] == LEARNING_RATE[0]
    assert rates[0] == pytest.approx(LEARNING_RATE[0] / 2)
    assert rates[0] > LEARNING_RATE[1]


@given(st.floats(0, 100), st.floats(0, 100))
def test_more_strength_gives_a_larger_style_weight(one: float, other: float) -> None:
    weaker, stronger = sorted((one, other))
    assert style_weight(weaker) <= style_weight(stronger)
    if weaker > 0 and stronger - weaker > 0.01:
        assert style_weight(weaker) < style_weight(stronger)


def test_the_style_weight_has_its_documented_values() -> None:
    assert style_weight(0) == 0
    assert style_weight(1e-9) == pytest.approx(0.1, rel=0.1)
    assert style_weight(50) == pytest.approx(5)
    assert style_weight(100) == pytest.approx(230, rel=0.05)


@given(st.floats(1, 70))
def test_thirty_more_strength_is_ten_times_the_style_weight(strength: float) -> None:
    assert math.isclose(style_weight(strength + 30), 10 * style_weight(strength), rel_tol=1e-9)


@given(st.floats(0, 100), st.floats(0, 100))
def test_more_detail_gives_a_larger_structure_weight(one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert detail_weight(less) <= detail_weight(more)
    if less > 0 and more - less > 0.01:
        assert detail_weight(less) < detail_weight(more)


def test_the_structure_weight_has_its_documented_values() -> None:
    assert detail_weight(0) == 0
    assert detail_weight(1e-9) == pytest.approx(0.1, rel=0.01)
    assert detail_weight(50) == pytest.approx(1)
    assert detail_weight(100) == pytest.approx(10)


@pytest.mark.parametrize(
    ("distance", "divisor", "rate_factor"), [(0.0, 0.05, 0.0), (0.0441, 0.05, 0.882), (0.1936, 0.1936, 1.0)]
)
def test_a_style_loss_is_divided_by_at_least_a_twentieth_and_a_smaller_one_lowers_the_learning_rate(
    distance: float, divisor: float, rate_factor: float
) -> None:
    assert normalisation(distance) == pytest.approx((divisor, rate_factor))
