"""The arithmetic of ``python -m tests.benchmarks.cost``, and one very small run of it."""

import json
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.cost import Cost, Painted, forget_peak, linearity, main, peak_memory, resident_memory
from tests.benchmarks.machine import MEGABYTE
from tests.benchmarks.prediction import Told, error_at, errors

TOLD = [Told(1.0, 5.0), Told(2.0, 8.0), Told(4.0, 11.0), Told(9.0, 10.5)]
"""Of a painting that took 10 seconds."""
PAINTED: Mapping[str, Any] = {
    "size": 500, "width": 500, "height": 400, "steps": 4, "warm": 700, "files": 300, "peak": 900, "process": 950,
    "after": 710, "device_peak": None, "step": 0.5, "first_preview": 1.5, "total": 10.2, "seconds": 10.0, "told": TOLD,
    "judged": 1, "others": 0.0,
}  # fmt: skip


def test_errors_are_relative_to_the_real_time() -> None:
    assert errors(TOLD, 10.0) == pytest.approx([-0.5, -0.2, 0.1, 0.05])


@pytest.mark.parametrize(("fraction", "error"), [(0.05, None), (0.1, -0.5), (0.25, -0.2), (0.5, 0.1), (1.0, 0.05)])
def test_what_was_known_is_the_last_that_had_been_told(fraction: float, error: float | None) -> None:
    assert error_at(TOLD, 10.0, fraction) == (None if error is None else pytest.approx(error))


def test_predictions_count_from_the_first_preview_on_and_the_worst_round_counts() -> None:
    late = Painted(**{**PAINTED, "seconds": 20.0})
    cost = Cost([Painted(**PAINTED), late])

    assert cost.errors() == pytest.approx([-0.2, 0.1, 0.05, -0.6, -0.45, -0.475])
    assert cost.error_at(0.1) == pytest.approx(-0.6)
    assert cost.error_at(0.01) is None


def test_a_job_adds_what_a_warm_worker_did_not_have() -> None:
    assert Painted(**PAINTED).added == 200


def test_a_step_is_counted_by_the_megapixels_that_were_really_painted() -> None:
    assert Painted(**PAINTED).step_per_megapixel == pytest.approx(2.5)


def test_linear_is_one_and_dearer_pixels_are_more() -> None:
    small = Cost([Painted(**{**PAINTED, "step": 0.7}), Painted(**PAINTED)])
    linear = Cost([Painted(**{**PAINTED, "size": 1000, "width": 1000, "height": 800, "step": 2.0})])
    dear = Cost([Painted(**{**PAINTED, "size": 1000, "width": 1000, "height": 800, "step": 3.0})])

    assert linearity([linear, small]) == pytest.approx(1.0)
    assert linearity([dear, small]) == pytest.approx(1.5)
    assert linearity([small]) is None


def test_the_peak_of_memory_is_of_what_came_after_it_was_forgotten() -> None:
    """A hundred megabytes that were freed before don't count; as many afterwards do."""

    def take_and_give_back() -> None:
        with mmap.mmap(-1, 100 * MEGABYTE) as block:
            block.write(b"x" * 100 * MEGABYTE)

    take_and_give_back()
    forget_peak()
    calm = peak_memory()
    take_and_give_back()

    assert calm < resident_memory() + 50 * MEGABYTE
    assert peak_memory() > calm + 90 * MEGABYTE


@pytest.mark.slow
def test_a_small_run_writes_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cost.json"

    main(["--size", "64", "--steps", "3", "--rounds", "1", "--threads", "1", "--device", "cpu", "--json", str(out)])

    told = json.loads(out.read_text())
    (painted,) = told["sizes"]["64"]["painted"]
    assert (painted["width"], painted["height"], painted["steps"]) == (64, 48, 3)
    assert painted["process"] >= painted["peak"] >= painted["warm"] > 100e6
    assert painted["told"][-1]["total"] == pytest.approx(painted["told"][-1]["elapsed"])
    assert painted["told"][-1]["elapsed"] <= painted["seconds"] <= painted["total"]
    assert told["sizes"]["64"]["step_per_megapixel"] == pytest.approx(painted["step"] / (64 * 48 / 1e6))
    assert "memory" in capsys.readouterr().out
