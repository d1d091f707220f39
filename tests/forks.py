"""Processes that start quickly: they are forked from a server that has only imported torch and the engine.

Tests of a cold start run a command of the operator instead.
"""

import asyncio
import multiprocessing
import os
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

import dask
import pytest
from distributed.utils import get_mp_context

IMPORTED = ["distributed", "engine.images.decoder", "engine.painting.loop", "engine.worker.tasks"]

Main = Callable[[Callable[[], None]], Coroutine[Any, Any, None]]
"""The main function of such a process. It calls its argument when it is ready."""


@pytest.fixture(scope="session", autouse=True)
def forks() -> Iterator[None]:
    """Make Dask fork its workers from that server."""
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        get_mp_context().set_forkserver_preload(IMPORTED)  # Dask sets its own list in this call
        yield


@contextmanager
def started(main: Main) -> Iterator[ForkServerProcess]:
    """Start a process, wait until it is ready, and kill it on exit. ``main`` must be picklable."""
    said, saying = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("forkserver").Process(target=_run, args=(main, saying))
    process.start()
    try:
        saying.close()
        assert said.recv() == "ready"
        yield process
    finally:
        process.kill()
        process.join()


def _run(main: Main, saying: "Connection[str, str]") -> None:
    try:
        asyncio.run(main(lambda: saying.send("ready")))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)  # skip the exit handlers of Dask's workers, see engine.worker.plugin
