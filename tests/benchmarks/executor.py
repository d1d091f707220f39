"""Seconds until a cancelled painting frees its worker, a paused one is kept, and one resumes after a kill.

``python -m tests.benchmarks.executor`` paints the project's own pictures on an embedded worker and prints a table.
Freed is when the next painting, of 64 pixels, has done its first step.
"""

import asyncio
import os
import signal
import tempfile
import time
from statistics import median

from rich.console import Console
from rich.table import Table

from bot.demo.show import drawn
from engine.blobs import Blobs
from engine.executor.executor import DaskExecutor
from engine.recipe import Inputs, Recipe
from engine.worker.protocol import WorkerSettings

REPEATS = 5


async def freed_after(executor: DaskExecutor, content: str, style: str, size: int) -> float:
    """Seconds from asking for the cancellation of a painting of ``size`` to the next painting's first step."""
    painting = executor.submit(Recipe(size=size, steps=2000), Inputs(content, (style,)))
    async for progress in painting:
        if progress.scale == size or progress.elapsed > 3:
            break
    began = time.perf_counter()
    await painting.cancel()
    following = executor.submit(Recipe(size=64, steps=1), Inputs(content, (style,)))
    await anext(aiter(following))
    seconds = time.perf_counter() - began
    await following.result()
    return seconds


async def paused_after(executor: DaskExecutor, content: str, style: str, size: int) -> float:
    """Seconds from asking for a pause of a painting of ``size`` to its end, its checkpoint kept."""
    painting = executor.submit(Recipe(size=size, steps=2000), Inputs(content, (style,)))
    async for progress in painting:
        if progress.scale == size or progress.elapsed > 3:
            break
    began = time.perf_counter()
    await painting.pause()
    seconds = time.perf_counter() - began
    *_, last = [progress async for progress in painting]
    assert last.checkpoint
    return seconds


async def resumed_after(executor: DaskExecutor, content: str, style: str) -> tuple[float, int, int]:
    """Seconds from the death of a painting's worker to its next step, and the steps before and after."""
    painting = executor.submit(Recipe(size=256, steps=5000), Inputs(content, (style,)))
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


async def measure() -> Table:
    """Everything, as a table."""
    table = Table("", f"median of {REPEATS}", "most")
    with tempfile.TemporaryDirectory() as folder:
        blobs = Blobs(folder)
        content, style = (blobs.put(drawn(name).read_bytes()) for name in ("content.jpg", "style.jpg"))
        async with DaskExecutor.open(WorkerSettings(blobs=folder)) as executor:
            for told, measured in (("cancel at {} px frees the worker", freed_after), ("pause at {} px", paused_after)):
                for size in (256, 512, 1024):
                    seconds = [await measured(executor, content, style, size) for _ in range(REPEATS)]
                    table.add_row(told.format(size), f"{median(seconds):.2f} s", f"{max(seconds):.2f} s")
            seconds_to_go_on, before, after = await resumed_after(executor, content, style)
    table.add_row(f"killed after step {before}, goes on with step {after}", f"{seconds_to_go_on:.1f} s", "")
    return table


if __name__ == "__main__":
    Console().print(asyncio.run(measure()))
