"""The time of a painting on a CPU beside busy processes, for each way in which OpenMP's threads wait for each other.

``python -m tests.benchmarks.beside`` paints in a process for each way, alone and beside one and two processes that
compute without end, and prints a table. Nothing else may run on the machine at that time.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from rich.console import Console
from rich.table import Table

WAYS: dict[str, dict[str, str]] = {
    "Atelier's": {},
    "OpenMP's default": {"GOMP_SPINCOUNT": "300000"},
    "asleep at once": {"OMP_WAIT_POLICY": "passive"},
}
BUSY = (0, 1, 2)
REPEATS = 2
SIZE = 384
STEPS = 20


def paintings() -> Iterator[float]:
    """Seconds of each of :data:`REPEATS` paintings in this process, after one that warms up."""
    from bot.demo.show import drawn
    from engine.images.codec import decode
    from engine.painting.loop import paint
    from engine.recipe import Recipe
    from engine.runtime.devices import choose, set_threads
    from engine.runtime.malloc import keep_large_blocks
    from engine.vgg.vgg19 import load_cached

    keep_large_blocks()
    set_threads(None)
    compute = choose("cpu")
    network = load_cached("embedded", compute.device, compute.dtype)
    content, style = (decode(drawn(name).read_bytes()) for name in ("content.jpg", "style.jpg"))
    for steps in (2, *[STEPS] * REPEATS):
        began = time.perf_counter()
        for _ in paint(content, [style], Recipe(size=SIZE, steps=steps, tolerance=0), network):
            pass
        if steps == STEPS:
            yield time.perf_counter() - began


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


def main() -> None:
    """The command line. With the argument ``once``, the measurement of one process."""
    if sys.argv[1:] == ["once"]:
        print(*paintings())  # noqa: T201 - read by the process that started this one
        return
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    command = [sys.executable, "-m", "tests.benchmarks.beside", "once"]
    table = Table("threads wait", *(f"beside {count}" if count else "alone" for count in BUSY))
    for way, environment in WAYS.items():
        row = []
        for count in BUSY:
            with beside(count):
                out = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=True)
            row.append(median(map(float, out.stdout.split())))
        table.add_row(way, *(f"{seconds:.1f} s, {seconds / row[0]:.2f}" for seconds in row))
    Console().print(table)


if __name__ == "__main__":
    main()
