"""The time of a step by what glibc does with freed memory: keep it between steps, its defaults, Dask's defaults.

``python -m tests.benchmarks.memory`` paints at 512 pixels in a process for each, in turns, and prints a table.
"""

import os
from statistics import median
from typing import Final
from unittest import mock

import typer
from rich.console import Console
from rich.table import Table

from engine.recipe import Recipe
from tests.benchmarks.machine import Count, Size, alone, described, paintings

SETTINGS: Final[dict[str, tuple[bool, dict[str, str]]]] = {
    "kept between steps, as Atelier's workers do": (True, {}),
    "glibc's defaults": (False, {}),
    "Dask's defaults for workers": (False, {"MALLOC_TRIM_THRESHOLD_": "65536"}),
}


def main(size: Size = 512, steps: Count = 20, repeats: Count = 3) -> None:
    """The time of a step by what glibc does with freed memory."""
    measured: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(repeats):
        for name, (keep, environment) in SETTINGS.items():
            with mock.patch.dict(os.environ, environment):
                measured[name] += alone(paintings, Recipe(size=size, steps=steps), 1, keep=keep)
    typical = {name: median(seconds) for name, seconds in measured.items()}
    table = Table("freed memory", f"{steps} steps, median of {repeats}", "against the first")
    for name, seconds in typical.items():
        table.add_row(name, f"{seconds:.1f} s", f"{seconds / typical[next(iter(SETTINGS))]:.2f}")
    console = Console()
    console.print(described(), highlight=False, markup=False)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
