"""The time of a painting on a CPU beside busy processes, for each way in which OpenMP's threads wait for each other.

``python -m tests.benchmarks.beside`` paints in a process for each way, alone and beside one and two processes that
compute without end, and prints a table. Nothing else may run on the machine at that time.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Final
from unittest import mock

import typer
from rich.console import Console
from rich.table import Table

from engine.recipe import Recipe
from engine.runtime.openmp import spin_briefly
from tests.benchmarks.machine import Count, Size, alone, described, paintings

WAYS: Final[dict[str, dict[str, str]]] = {
    "Atelier's": {},
    "OpenMP's default": {"GOMP_SPINCOUNT": "300000"},
    "asleep at once": {"OMP_WAIT_POLICY": "passive"},
}
BUSY: Final = (0, 1, 2)


@contextmanager
def beside(count: int) -> Iterator[None]:
    """While so many processes compute without end."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for each in processes:
            each.kill()
            each.wait()


def main(size: Size = 384, steps: Count = 20, repeats: Count = 2) -> None:
    """The time of a painting beside busy processes."""
    recipe = Recipe(size=size, steps=steps, tolerance=0)
    table = Table("threads wait", *(f"beside {count}" if count else "alone" for count in BUSY))
    for way, environment in WAYS.items():
        row = []
        with mock.patch.dict(os.environ):
            for name in [name for name in os.environ if name.startswith(("OMP_", "GOMP_", "KMP_"))]:
                del os.environ[name]
            os.environ.update(environment)
            spin_briefly()  # leaves the two other ways as they are
            for count in BUSY:
                with beside(count):
                    row.append(median(alone(paintings, recipe, repeats, keep=True)))
        table.add_row(way, *(f"{seconds:.1f} s, {seconds / row[0]:.2f}" for seconds in row))
    console = Console()
    console.print(described(), highlight=False, markup=False)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
