"""Schedulers and workers as processes of their own, as an operator starts them on several machines."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

SCHEDULER = """
import asyncio, sys
from distributed import Scheduler

async def main():
    async with Scheduler(host="127.0.0.1", port=int(sys.argv[1]), dashboard=False) as scheduler:
        print("ready", flush=True)
        await scheduler.finished()

asyncio.run(main())
"""

WORKER = """
import asyncio, json, signal, sys
from distributed import Worker
from engine.worker import WorkerSettings, worker_options

async def main(address, settings, more):
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    while not stopping.is_set():
        async with Worker(address, **worker_options(WorkerSettings(**settings)) | more) as worker:
            print("ready", flush=True)
            leaving = asyncio.create_task(stopping.wait())
            await asyncio.wait({leaving, asyncio.create_task(worker.finished())}, return_when=asyncio.FIRST_COMPLETED)

asyncio.run(main(sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])))
"""


def free_port() -> int:
    """One that nobody listens at right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def started(code: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A Python process that said it is ready; killed in the end."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"DASK_LOGGING__DISTRIBUTED": "warning"},
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def scheduler(port: int) -> "contextlib.AbstractContextManager[subprocess.Popen[str]]":
    """A scheduler as Dask makes it, at that port."""
    return started(SCHEDULER, str(port))


def worker(
    port: int, more: dict[str, Any] | None = None, **settings: Any
) -> "contextlib.AbstractContextManager[subprocess.Popen[str]]":
    """A worker of these settings that joins the scheduler at that port, again and again; SIGTERM has it leave.

    ``more`` are keyword arguments of Dask's worker.
    """
    chosen = {"device": "cpu", "precision": "float32", "threads": 1} | settings
    return started(WORKER, f"tcp://127.0.0.1:{port}", json.dumps(chosen), json.dumps(more or {}))
