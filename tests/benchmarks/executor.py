"""Seconds until a cancelled painting frees its worker, and until a painting resumes after its worker was killed.

``python -m tests.benchmarks.executor`` paints the project's own pictures on an embedded worker and prints a table.
The worker counts as free when the next painting, of 64 pixels, has made its first step.
"""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from statistics import median
from typing import Final

import typer
from rich.console import Console
from rich.table import Table

from engine.blobs import Blobs
from engine.executor.executor import DaskExecutor
from engine.recipe import Inputs, Recipe
from engine.worker.protocol import WorkerSettings
from tests.benchmarks.machine import CONTENT, STYLE, Count, Sizes, described

SIZES: Final = (256, 512, 1024)


async def freed_after(executor: DaskExecutor, inputs: Inputs[str], size: int) -> float:
    """Seconds from the request to cancel a painting of ``size`` to the first step of the next painting."""
    painting = executor.submit(Recipe(size=size, steps=2000), inputs)
    async for progress in painting:
        if progress.scale == size or progress.elapsed > 3:
            break
    began = time.perf_counter()
    await painting.cancel()
    following = executor.submit(Recipe(size=64, steps=1), inputs)
    await anext(aiter(following))
    seconds = time.perf_counter() - began
    await following.result()
    return seconds


async def resumed_after(executor: DaskExecutor, inputs: Inputs[str]) -> tuple[float, int, int]:
    """Seconds from the death of a painting's worker to its next step, and the steps before and after."""
    painting = executor.submit(Recipe(size=256, steps=5000), inputs)
    events = aiter(painting)
    progress = await anext(events)
    while not progress.checkpoint:
        progress = await anext(events)
    before = progress.step
    (worker,) = await executor.workers()
    began = time.perf_counter()
    os.kill(worker.process, signal.SIGKILL)
    progress = await anext(events)
    while time.perf_counter() - began < 0.5:  # what was on its way when the worker died comes first
        progress = await anext(events)
    seconds = time.perf_counter() - began
    await painting.cancel()
    return seconds, before, progress.step


async def measure(sizes: Sequence[int], repeats: int) -> Table:
    """Measure everything and return a table."""
    table = Table("", f"median of {repeats}", "most")
    with tempfile.TemporaryDirectory() as folder:
        content, style = (Blobs(folder).put(path.read_bytes()) for path in (CONTENT, STYLE))
        inputs = Inputs(content, (style,))
        async with DaskExecutor.open(WorkerSettings(blobs=folder)) as executor:
            for size in sizes:
                seconds = [await freed_after(executor, inputs, size) for _ in range(repeats)]
                row = f"cancel at {size} px frees the worker"
                table.add_row(row, f"{median(seconds):.2f} s", f"{max(seconds):.2f} s")
            seconds_to_go_on, before, after = await resumed_after(executor, inputs)
    table.add_row(f"killed after step {before}, goes on with step {after}", f"{seconds_to_go_on:.1f} s", "")
    return table


def main(sizes: Sizes = None, repeats: Count = 5) -> None:
    """Seconds until a cancelled painting frees its worker, and until one resumes after a kill."""
    console = Console()
    console.print(described(), highlight=False, markup=False)
    console.print(asyncio.run(measure(sizes or SIZES, repeats)))


if __name__ == "__main__":
    typer.run(main)
