"""The arithmetic of ``python -m tests.benchmarks.cost``, and one very small run of it."""

import mmap
from dataclasses import replace

import pytest

from engine.progress import Progress
from engine.recipe import Recipe
from tests.benchmarks.cost import Event, Painted, forget_peak, paint_once, peak_memory, report, resident_memory
from tests.benchmarks.machine import CONTENT, STYLE, alone

TOLD = [(1.0, 5.0), (2.0, 8.0), (4.0, 11.0), (9.0, 10.5)]
"""The time of each prediction, and the predicted end of the painting, which took 10 seconds."""
EVENTS = [
    Event(1.5 + at, Progress(number, 4, 500, 1.0, 0.5, 0.5, at, end - at, step_seconds=0.5), shown=number == 1)
    for number, (at, end) in enumerate(TOLD)
]
PAINTED = Painted(500, 400, 700_000_000, 900_000_000, 950_000_000, 10.0, EVENTS)


def test_the_errors_are_those_of_the_predictions_from_the_first_preview_on() -> None:
    assert PAINTED.errors == pytest.approx([-0.2, 0.1, 0.05])
    assert PAINTED.first_preview == 3.5


def test_a_report_has_the_fastest_step_and_the_worst_of_all_other_values() -> None:
    late = replace(PAINTED, seconds=20.0, process=960_000_000)

    (row,) = zip(*(column.cells for column in report({500: [PAINTED, late]}).columns), strict=True)

    assert row == ("500", "500.0 ms of 2", "2.50 s", "3.50 s", "200 MB", "960 MB", "32.5% / -60.0%")


def test_the_peak_of_memory_is_measured_since_the_last_reset() -> None:
    """100 MB that were freed before the reset do not count; 100 MB that are allocated later do."""
    many = 100_000_000

    def allocate_and_free() -> None:
        with mmap.mmap(-1, many) as block:
            block.write(b"x" * many)

    allocate_and_free()
    forget_peak()
    before = peak_memory()
    allocate_and_free()

    assert before < resident_memory() + many / 2
    assert peak_memory() > before + 0.9 * many


@pytest.mark.slow
def test_a_painting_in_a_process_of_its_own_is_measured() -> None:
    painted = alone(paint_once, CONTENT, STYLE, Recipe(size=64, steps=3), 1, "cpu")

    assert (painted.width, painted.height, painted.events[-1].told.steps) == (64, 48, 3)
    assert painted.process >= painted.peak >= painted.warm > 100e6
    assert painted.events[-1].told.remaining == 0
    assert painted.events[-1].told.elapsed <= painted.seconds <= painted.events[-1].since + 1
