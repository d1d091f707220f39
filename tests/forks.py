"""Processes that start in a moment: forked from one that has imported torch and the engine, and done nothing else.

What is only so in a process that begins with nothing is for the tests that start a command of an operator's.
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
"""What such a process does; it says when it is ready."""


@pytest.fixture(scope="session", autouse=True)
def forks() -> Iterator[None]:
    """Have Dask start its workers so."""
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        get_mp_context().set_forkserver_preload(IMPORTED)  # not before this call, in which Dask sets it
        yield


@contextmanager
def started(main: Main) -> Iterator[ForkServerProcess]:
    """A process that said it is ready; killed in the end. ``main`` can be pickled."""
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
    os._exit(0)  # and not by what a worker of Dask's nanny would, see engine.worker.plugin
