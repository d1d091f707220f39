"""The shares of styles, as members type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.features.stylize.mix import shares
from bot.jobs.errors import MixUnusable


@pytest.mark.parametrize(
    "mix",
    ["70 30", " 70  30 ", "70, 30", "70/30", "70 / 30", "70:30", "70;30", "70 + 30", "70% 30%", "70.0 30"],
)
def test_numbers_can_have_any_usual_separator(mix: str) -> None:
    assert shares(mix, 2) == (70, 30)


@pytest.mark.parametrize(
    ("mix", "styles", "expected"),
    [
        (None, 1, ()),
        (None, 3, ()),
        ("1 2 3", 3, (1, 2, 3)),
        ("0.7 0.3", 2, (0.7, 0.3)),
        ("100 0", 2, (100, 0)),
        ("999999 0.000001", 2, (999_999, 0.000001)),
    ],
)
def test_shares_are_the_numbers_as_typed(mix: str | None, styles: int, expected: tuple[float, ...]) -> None:
    assert shares(mix, styles) == expected


@pytest.mark.parametrize(
    ("mix", "styles"),
    [
        ("70", 1),
        ("", 1),
        ("70", 2),
        ("70 30", 1),
        ("70 20 10", 2),
        ("70 30", 3),
        ("0 0", 2),
        ("70 -30", 2),
        ("70 much", 2),
        ("seventy thirty", 2),
        ("70 30 please", 2),
        ("nan inf", 2),
        ("1e9 1", 2),
        ("1_0 1", 2),
        ("٧٠ ٣٠", 2),
        ("0x10 1", 2),
        ("7000000 1", 2),
        ("%  %", 2),
        (", 70 30", 2),
        ("", 2),
        ("   ", 2),
    ],
)
def test_a_mix_without_one_number_for_each_style_is_refused(mix: str, styles: int) -> None:
    with pytest.raises(MixUnusable) as refused:
        shares(mix, styles)
    assert refused.value.styles == styles


@given(st.text(max_size=60), st.integers(1, 3))
def test_any_text_gives_valid_shares_or_an_error(mix: str, styles: int) -> None:
    try:
        weights = shares(mix, styles)
    except MixUnusable:
        return
    assert len(weights) == styles
    assert all(0 <= weight < 1e6 for weight in weights)
    assert any(weights)
