"""Coarse to fine, for any size and number of steps."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.painting.pyramid import COARSER, COARSEST, HELD, LEARNING_RATE, learning_rate, scales
from engine.recipe import LARGEST_SIZE, SMALLEST_SIZE

sizes = st.integers(SMALLEST_SIZE, LARGEST_SIZE)
counts = st.integers(1, 10_000)


@given(sizes, counts)
def test_the_steps_add_up_and_each_scale_has_at_least_one(size: int, steps: int) -> None:
    found = scales(size, steps)
    assert sum(each.steps for each in found) == steps
    assert all(each.steps >= 1 for each in found)


@given(sizes, counts)
def test_the_sizes_grow_by_the_same_factor_up_to_the_final_one(size: int, steps: int) -> None:
    found = [each.size for each in scales(size, steps)]
    assert found[-1] == size
    assert all(coarser == round(COARSER * finer) for coarser, finer in pairwise(found))
    assert all(each >= min(size, COARSEST) for each in found)


@given(sizes)
def test_no_size_is_half_of_the_next_one(size: int) -> None:
    found = [each.size for each in scales(size, 1_000)]
    assert all(coarser > 0.525 * finer for coarser, finer in pairwise(found))


@given(sizes, st.integers(10, 10_000))
def test_with_enough_steps_the_coarsest_scale_is_the_smallest_possible(size: int, steps: int) -> None:
    assert scales(size, steps)[0].size < 2 * COARSEST


@given(sizes, counts)
def test_coarse_scales_weigh_the_style_less(size: int, steps: int) -> None:
    found = [each.style_factor for each in scales(size, steps)]
    assert found[-1] == 1
    assert all(finer == 2 * coarser for coarser, finer in pairwise(found))
    strong = [each.style_factor for each in scales(size, steps, strength=100)]
    assert strong[-1] == 1
    assert all(strong[at] < found[at] for at in range(len(found) - 1))


@given(sizes, counts)
def test_the_steps_are_shared_evenly_and_the_coarsest_scale_takes_the_rest(size: int, steps: int) -> None:
    first, *others = (each.steps for each in scales(size, steps))
    assert len(set(others)) <= 1
    assert all(0 <= first - each <= len(others) for each in others)


@pytest.mark.parametrize(
    ("size", "steps", "expected"),
    [
        (64, 5, [(64, 5)]),
        (179, 9, [(179, 9)]),
        (180, 9, [(96, 5), (180, 4)]),
        (512, 10, [(144, 4), (272, 3), (512, 3)]),
        (1024, 2, [(544, 1), (1024, 1)]),
        (1024, 1, [(1024, 1)]),
    ],
)
def test_examples_give_their_known_schedules(size: int, steps: int, expected: list[tuple[int, int]]) -> None:
    assert [(each.size, each.steps) for each in scales(size, steps)] == expected


@given(st.integers(1, 2_000))
def test_the_learning_rate_stays_high_and_then_only_falls(steps: int) -> None:
    high, low = LEARNING_RATE
    rates = [learning_rate(step, steps, high) for step in range(steps)]
    held = sum(step / steps <= HELD for step in range(steps))
    assert rates[:held] == pytest.approx([high] * held)
    assert all(before > after for before, after in pairwise(rates[held - 1 :]))
    assert all(low <= rate <= high for rate in rates)


def test_the_learning_rate_is_halfway_after_half_of_its_fall() -> None:
    assert learning_rate(575, 1000, 0.04) == pytest.approx((0.04 + LEARNING_RATE[1]) / 2)
    assert learning_rate(100, 100, 0.04) == pytest.approx(LEARNING_RATE[1])
