"""Schedulers and workers in separate processes."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from typing import Any

from distributed import Scheduler, Worker

from engine.worker.plugin import worker_options
from engine.worker.protocol import WorkerSettings
from tests.forks import started


def scheduler(port: int) -> contextlib.AbstractContextManager[ForkServerProcess]:
    """Dask's scheduler at that port."""
    return started(_Scheduler(port))


def worker(
    port: int, more: Mapping[str, Any] | None = None, **settings: Any
) -> contextlib.AbstractContextManager[ForkServerProcess]:
    """A worker with these settings at the scheduler at that port. It joins again when it loses the scheduler.

    SIGTERM shuts it down. ``more`` are keyword arguments of Dask's worker.
    """
    chosen: dict[str, Any] = {"device": "cpu", "precision": "float32", "threads": 1} | settings
    return started(_Worker(f"tcp://127.0.0.1:{port}", WorkerSettings(**chosen), more or {}))


@dataclass(frozen=True)
class _Scheduler:
    port: int

    async def __call__(self, ready: Callable[[], None]) -> None:
        _log_only_warnings()
        async with Scheduler(host="127.0.0.1", port=self.port, dashboard=False, dashboard_address=":0") as scheduler:
            ready()
            await scheduler.finished()


@dataclass(frozen=True)
class _Worker:
    address: str
    settings: WorkerSettings
    more: Mapping[str, Any]

    async def __call__(self, ready: Callable[[], None]) -> None:
        _log_only_warnings()
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        while not stopping.is_set():
            async with Worker(self.address, **{**worker_options(self.settings), **self.more}) as worker:
                ready()
                leaving = asyncio.create_task(stopping.wait())
                finished = asyncio.create_task(worker.finished())
                await asyncio.wait({leaving, finished}, return_when=asyncio.FIRST_COMPLETED)


def _log_only_warnings() -> None:
    logging.getLogger("distributed").setLevel(logging.WARNING)
