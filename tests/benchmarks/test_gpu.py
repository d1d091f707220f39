"""The benchmark of a GPU on a CPU, in small: so that it runs at once where there is a GPU."""

import numpy as np
import pytest
import torch
import typer
from rich.console import Console
from typer.testing import CliRunner

from tests.benchmarks import gpu
from tests.benchmarks.crowsonkb import Crowsonkb


def test_without_a_gpu_it_says_so_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    app = typer.Typer()
    app.command()(gpu.main)
    outcome = CliRunner().invoke(app)
    assert outcome.exit_code == 1
    assert outcome.output.strip() == gpu.NO_DEVICE


@pytest.mark.slow
def test_it_prints_every_table(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(Crowsonkb, "FIRST_STEPS", 2)
    console = Console(width=200, record=True)
    gpu.report("cpu", [64], 6, 1, 2, console.print, start=lambda share, *given: share(*given))
    told = console.export_text()
    for words in (
        "same bytes",
        "from float32",
        "lost: slower convolutions",
        "share of the peak",
        "By the objective of",
    ):
        assert words in told


def test_a_painting_tells_whether_its_repeats_are_equal() -> None:
    torch.set_num_threads(1)
    found = gpu.paintings(64, 2, "cpu", "float32", record=True, repeats=1)
    assert (found.size, found.steps, found.recorded) == (64, 2, False)
    assert found.equal
    assert np.ptp(found.pixels) > 50
    other = gpu.Found(64, "bfloat16", False, 2, 1.0, 0.0, [*found.pictures, b"another"])
    assert not other.equal
