"""The clock, the choice of images and the reading of a curve, with numbers that are easy to compute by hand."""

import contextlib
import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from tests.benchmarks.curves import Clock, Keeper, Point, judged, reached


def test_a_paused_clock_does_not_advance() -> None:
    now = 100.0
    clock = Clock(torch.device("cpu"), lambda: now)
    now += 3
    with contextlib.suppress(OSError), clock.paused():
        now += 50
        raise OSError("the disk is full")
    assert clock.seconds() == 3
    now += 2
    assert clock.seconds() == 5


def test_images_are_kept_exactly_and_at_growing_intervals(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    for step in range(1, 301):
        if keeper.wants(step):
            keeper.keep(step, step / 10, torch.full((1, 3, 2, 2), 1 / step))
    steps = [each.step for each in keeper.kept]
    assert steps[:10] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert 30 < len(steps) < 60
    assert all(after <= max(before + 1, math.ceil(before * 1.1)) for before, after in pairwise(steps))
    assert keeper.kept[20].image().unique().item() == torch.tensor(1 / steps[20]).item()


@pytest.mark.parametrize(
    ("curve", "target", "seconds"),
    [
        # Between two points the logarithm is linear in time.
        ([Point(1, 4, 1000), Point(2, 6, 10)], 100, 5),
        # The first time counts.
        ([Point(0, 0, 8), Point(1, 1, 4), Point(2, 2, 9), Point(3, 3, 1)], 4, 1),
        # A target that is never reached has no time.
        ([Point(0, 0, 8), Point(1, 1, 4)], 3.9, None),
        ([], 1, None),
        # A curve that begins under the target reaches it at its first point.
        ([Point(1, 0.5, 2), Point(2, 1, 1)], 3, 0.5),
        # Next to a value that is not a number, only the points themselves count.
        ([Point(0, 0, 8), Point(1, 1, math.nan), Point(2, 2, 3), Point(3, 3, 0)], 4, 2),
        ([Point(0, 0, 8), Point(1, 1, math.nan), Point(2, 2, 3), Point(3, 3, 0)], 1, 3),
    ],
)
def test_a_curve_reaches_a_target_at_the_first_time_or_never(
    curve: list[Point], target: float, seconds: float | None
) -> None:
    assert reached(curve, target) == (None if seconds is None else pytest.approx(seconds))


def test_more_images_are_evaluated_where_the_target_is_crossed(tmp_path: Path) -> None:
    """The values decrease from 20 by one at each step; 13 is the eighth."""
    keeper = Keeper(tmp_path)
    for step in range(1, 21):
        keeper.keep(step, float(step), torch.full((1, 3, 1, 1), 21.0 - step))
    looked: list[float] = []

    def value(image: torch.Tensor) -> float:
        looked.append(image.mean().item())
        return looked[-1]

    points = judged(keeper.kept, [13], value)
    assert [point.step for point in points] == [1, 4, 7, 8, 9, 10, 13, 16, 19, 20]
    assert len(looked) == len(points)
    assert reached(points, 13) == 8
    several = judged(keeper.kept, [13, 12.5, 2], value)
    assert [point.step for point in several] == [1, 4, 7, 8, 9, 10, 13, 16, 17, 18, 19, 20]
    assert [point.step for point in judged(keeper.kept, [], value)] == [1, 4, 7, 10, 13, 16, 19, 20]
