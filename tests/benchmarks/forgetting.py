"""The memory of a bot's processes over many checks of pictures.

``python -m tests.benchmarks.forgetting --tasks 50000`` measures an embedded cluster, ``--separate`` one of
``atelier scheduler`` and ``atelier worker``. It prints the resident memory of each process, in MB, along the way.
"""

import asyncio
import gc
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated

import psutil
import typer
from rich.console import Console

from engine.errors import NotAPicture
from engine.executor.executor import DaskExecutor
from engine.worker.protocol import WorkerSettings
from tests.ports import free_port

AT_ONCE = 8
LOOKS = 10
"""The number of measurements, after a first tenth of the tasks."""


@asynccontextmanager
async def _separate(blobs: str) -> AsyncIterator[tuple[str, Mapping[str, int]]]:
    """The address of a scheduler with a worker, and their processes."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    ends = ("--log-level", "WARNING")
    environment = os.environ | {"BLOBS_URL": blobs, "THREADS": "1", "DEVICE": "cpu"}
    commands = ("scheduler", "--port", str(port), *ends), ("worker", "--scheduler", address, *ends)
    started = [
        await asyncio.create_subprocess_exec(sys.executable, "-m", "bot", *command, env=environment)
        for command in commands
    ]
    try:
        yield address, {"scheduler": started[0].pid}
    finally:
        for process in reversed(started):
            process.terminate()
            await process.wait()


async def _many(executor: DaskExecutor, tasks: int) -> None:
    async def some() -> None:
        for _ in range(tasks // AT_ONCE):
            try:
                await executor.check(b"no picture")
            except NotAPicture:
                continue
            raise AssertionError

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def _measure(executor: DaskExecutor, tasks: int, processes: Mapping[str, int]) -> None:
    console = Console()
    while not await executor.slots():  # noqa: ASYNC110 - it tells nobody when it changes
        await asyncio.sleep(0.2)
    began = time.monotonic()
    for number in range(LOOKS + 1):
        await _many(executor, tasks // LOOKS)
        gc.collect()
        (worker,) = await executor.workers()
        every = {"bot": os.getpid(), **processes, "worker": worker.process}
        resident = {name: psutil.Process(each).memory_info().rss / 1e6 for name, each in every.items()}
        done = (number + 1) * (tasks // LOOKS)
        console.print(
            f"{done:7,} tasks, {time.monotonic() - began:4.0f} s:",
            ", ".join(f"{name} {megabytes:.1f} MB" for name, megabytes in resident.items()),
        )


async def _main(tasks: int, *, separate: bool) -> None:
    with tempfile.TemporaryDirectory() as blobs:
        settings = WorkerSettings(device="cpu", threads=1, blobs=blobs)
        if separate:
            async with _separate(blobs) as (address, processes):
                await asyncio.sleep(2)
                async with DaskExecutor.open(settings, address) as executor:
                    await _measure(executor, tasks, processes)
        else:
            async with DaskExecutor.open(settings) as executor:
                await _measure(executor, tasks, {})


def main(
    tasks: Annotated[int, typer.Option(min=80, help="After a tenth as many to begin with.")] = 50_000,
    separate: Annotated[bool, typer.Option(help="A scheduler and a worker as an operator starts them.")] = False,
) -> None:
    """The memory of a bot's processes over many checks of pictures."""
    asyncio.run(_main(tasks, separate=separate))


if __name__ == "__main__":
    typer.run(main)
