"""The time of a step by what glibc does with freed memory: keep it between steps, its defaults, Dask's defaults.

``python -m tests.benchmarks.memory`` paints at 512 pixels in a process for each, in turns, and prints a table.
"""

import os
import resource
import subprocess
import sys
import time
from statistics import median

from rich.console import Console
from rich.table import Table

SETTINGS = {
    "kept between steps, as Atelier's workers do": ("keep", {}),
    "glibc's defaults": ("", {}),
    "Dask's defaults for workers": ("", {"MALLOC_TRIM_THRESHOLD_": "65536"}),
}
REPEATS = 3
STEPS = 20


def paint_once() -> tuple[float, int]:
    """Seconds and page faults of a painting in this process, after a first one that warms up."""
    from bot.demo.show import drawn
    from engine.images.codec import decode
    from engine.painting.loop import paint
    from engine.recipe import Recipe
    from engine.runtime.devices import choose, set_threads
    from engine.vgg.vgg19 import load_cached

    set_threads(None)
    compute = choose()
    network = load_cached("embedded", compute.device, compute.dtype)
    content, style = (decode(drawn(name).read_bytes()) for name in ("content.jpg", "style.jpg"))
    for steps in (2, STEPS):
        faults, began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
        for _ in paint(content, [style], Recipe(steps=steps), network):
            pass
        measured = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    return measured


def main() -> None:
    """The command line. With the argument ``once``, the measurement of one process."""
    if sys.argv[1:2] == ["once"]:
        if sys.argv[2:] == ["keep"]:
            from engine.runtime.malloc import keep_large_blocks

            keep_large_blocks()
        print(*paint_once())  # noqa: T201 - read by the process that started this one
        return
    measured: dict[str, list[tuple[float, int]]] = {name: [] for name in SETTINGS}
    for _ in range(REPEATS):
        for name, (how, environment) in SETTINGS.items():
            command = [sys.executable, "-m", "tests.benchmarks.memory", "once", *filter(None, [how])]
            out = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
            seconds, faults = out.stdout.split()
            measured[name].append((float(seconds), int(faults)))
    first = median(seconds for seconds, _ in measured[next(iter(SETTINGS))])
    table = Table("freed memory", f"{STEPS} steps, median of {REPEATS}", "against the first", "page faults")
    for name, values in measured.items():
        typical = median(seconds for seconds, _ in values)
        touched = median(faults for _, faults in values)
        table.add_row(name, f"{typical:.1f} s", f"{typical / first:.2f}", f"{touched:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
