"""The real bot with stopwatches: :mod:`tests.benchmarks.service` starts it as its own process.

It measures the lag of its event loop, and the time of the calls in :data:`CALLS` and :data:`WORKER_CALLS`, which make
up a job's way. Its worker imports this module too, by Dask's setting ``distributed.worker.preload``.
"""

import asyncio
import functools
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from unittest import mock

import dask

from bot.app import run
from bot.client.attachments import AttachmentDownloader
from bot.delivery.channels import DeliveryChannels
from bot.jobs.database.store import Store
from bot.jobs.storage import Storage
from bot.settings import Settings
from bot.telemetry import logs
from engine.executor.executor import DaskExecutor
from engine.executor.remote_painting import RemotePainting
from engine.progress import Result
from engine.worker import tasks
from engine.worker.protocol import BEGUN

TICK = 0.005
"""Seconds between two readings of the clock."""
CALLS: Final[tuple[tuple[str, type, str], ...]] = (
    ("record the command in the database", Store, "note"),
    ("download a picture", AttachmentDownloader, "fetch"),
    ("check a picture", DaskExecutor, "check"),
    ("store the pictures", Storage, "put_all"),
    ("accept the job in the database", Store, "add"),
    ("begin the job in the database", Store, "begin"),
    ("show progress", DeliveryChannels, "show"),
    ("finish the job in the database", Store, "finish"),
    ("deliver the picture", DeliveryChannels, "edit"),
)
"""What is measured: its name, and the asynchronous method that does it."""
WORKER_CALLS: Final[tuple[tuple[str, str, str], ...]] = (
    ("at the worker: read a blob", "engine.blobs:Blobs", "get"),
    ("at the worker: decode a picture", "engine.images.decoder:Decoder", "decode_frames"),
    ("at the worker: prepare a scale", "engine.painting.targets:Targets", "objective"),
    ("at the worker: a step", "engine.optim.optimisers:Adam", "step"),
    ("at the worker: save a state", "engine.worker.tasks", "_save_checkpoint"),
    ("at the worker: encode a preview", "engine.painting.loop:_Painting", "_preview"),
    ("at the worker: encode the picture", "engine.painting.loop", "encode_within"),
    ("at the worker: make the thumbnail", "engine.painting.loop", "compose"),
)
"""What is measured in a painting at the worker: its name, and the module, or class in a module, and its function."""
SPANS_OF_WORKER: Final = "PROBE_SPANS_OF_WORKER"
"""The variable with the file for the worker's spans, one in each line."""

spans: list[tuple[str, float, float]] = []
"""Name, begin and end by the system's clock."""


Call = Callable[..., Coroutine[Any, Any, Any]]


def _timed(name: str, call: Call) -> Call:
    @functools.wraps(call)
    async def measured(*given: Any, **options: Any) -> Any:
        began = time.time()
        try:
            return await call(*given, **options)
        finally:
            spans.append((name, began, time.time()))

    return measured


class _Painting(RemotePainting):
    """Notes when a worker has begun, and how long it painted."""

    _sent = _arrived = 0.0

    async def _attempt(self) -> Any:
        self._sent = time.time()
        outcome = await super()._attempt()
        if isinstance(outcome, Result):
            spans.append(("at the worker: decode, paint, encode, and the way back", self._arrived, time.time()))
            spans.append(("of it: paint", self._arrived, self._arrived + outcome.seconds))
        return outcome

    def _receive(self, channel: str, message: Any) -> None:
        if message == BEGUN:
            self._arrived = time.time()
            spans.append(("from the order to its arrival at a worker", self._sent, self._arrived))
        super()._receive(channel, message)


def _measure_calls() -> None:
    for name, owner, method in CALLS:
        setattr(owner, method, _timed(name, getattr(owner, method)))
    mock.patch("engine.executor.executor.RemotePainting", _Painting).start()


def dask_setup(_: Any) -> None:
    """Measure the worker's paintings. Dask calls it in the worker's process."""
    painting = threading.Event()
    """Set while the worker paints: before that, it checks the pictures."""

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def measured(*given: Any, **options: Any) -> Any:
            began = time.time()
            try:
                return call(*given, **options)
            finally:
                if painting.is_set():
                    spans.append((name, began, time.time()))

        return measured

    def painted(*given: Any) -> Any:
        painting.set()
        try:
            return paint(*given)
        finally:
            painting.clear()
            with Path(os.environ[SPANS_OF_WORKER]).open("a") as file:
                file.writelines(f"{json.dumps(each)}\n" for each in spans)
            spans.clear()

    paint = tasks._paint
    mock.patch.object(tasks, "_paint", painted).start()
    for name, place, function in WORKER_CALLS:
        module, _, kind = place.partition(":")
        owner = getattr(import_module(module), kind) if kind else import_module(module)
        setattr(owner, function, timed(name, getattr(owner, function)))


async def _measure(lags: list[tuple[float, float, float]]) -> None:
    """The delay of the event loop, by time, and the seconds in it for which the loop's thread had a core.

    The rest of a delay is the system's: other processes, such as a browser, had all cores.
    """
    while True:
        asked, used = time.perf_counter(), time.thread_time()
        await asyncio.sleep(TICK)
        lag, used = time.perf_counter() - asked - TICK, time.thread_time() - used
        lags.append((time.time(), lag, min(used, lag)))


async def _run() -> list[tuple[float, float, float]]:
    settings = Settings()
    assert settings.discord_token is not None
    lags: list[tuple[float, float, float]] = []
    measuring = asyncio.create_task(_measure(lags))
    try:
        await run(settings, settings.discord_token.get_secret_value())
    finally:
        measuring.cancel()
    return lags


if __name__ == "__main__":
    logs.configure("WARNING", "console")
    _measure_calls()
    file = Path(sys.argv[1])
    of_worker = file.with_suffix(".worker")
    os.environ[SPANS_OF_WORKER] = str(of_worker)
    dask.config.set({"distributed.worker.preload": ["tests.benchmarks.probe"]})
    measured = asyncio.run(_run())
    spans += map(json.loads, of_worker.read_text().splitlines() if of_worker.exists() else ())
    file.write_text(json.dumps({"lags": measured, "spans": spans}))
