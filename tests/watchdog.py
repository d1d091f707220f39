"""Ends a run that hangs, with the stacks of all threads and of all tasks. A plugin, loaded by ``tests/conftest.py``.

pytest-timeout raises an exception in the main thread, once. That fails a test that waits, and the run goes on; but an
event loop gives the exception to whatever task it interrupts, where it is lost. And whenever a test or a fixture fails,
pytest-timeout stops its clock for what is left of it, as does pytest's own ``faulthandler_timeout``: a fixture whose
end then never comes would be waited for for ever.
"""

import asyncio
import contextlib
import faulthandler
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from io import TextIOWrapper
from typing import Any

import pytest
from pytest_timeout import is_debugging


class Watchdog:
    """One clock at a time, which ends the process."""

    def __init__(self, out: TextIOWrapper, grace: float, report: Callable[[], None]) -> None:
        """``report`` shows what has failed so far: nobody else will."""
        self.grace = grace
        """Seconds beyond the time-out of a test; as many again, and a thread that lets no other run ends as well."""
        self._report = report
        self._out = out
        self._timer: threading.Timer | None = None
        self._seconds = grace
        self._until = 0.0

    def watch(self, what: str, seconds: float | None = None) -> None:
        """End the process in so many seconds, or as many as the last time, and not when an earlier call said."""
        self.rest()
        self._seconds = seconds or self._seconds
        self._until = time.monotonic() + self._seconds
        self._timer = threading.Timer(self._seconds, self._end, [what])
        self._timer.daemon = True
        self._timer.start()
        self.insist()

    @property
    def awake(self) -> bool:
        """Whether it would end something."""
        return self._timer is not None

    def insist(self) -> None:
        """The same again, by a thread that isn't Python's: whoever stops the other clock stops this one as well."""
        if self.awake:
            left = max(0.0, self._until - time.monotonic())
            faulthandler.dump_traceback_later(left + self.grace, exit=True, file=self._out)

    def rest(self) -> None:
        """End nothing."""
        faulthandler.cancel_dump_traceback_later()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, what: str) -> None:
        if is_debugging():
            faulthandler.cancel_dump_traceback_later()
            return
        with contextlib.suppress(Exception):  # nothing keeps it from the end
            self._report()
            print(f"\n\nThe run hangs in {what}", file=self._out)
            for task in [each for each in gc.get_objects() if isinstance(each, asyncio.Task) and not each.done()]:
                print(f"\n{task.get_name()}:", *awaited(task), sep="\n  ", file=self._out)
            print(file=self._out, flush=True)
        faulthandler.dump_traceback(self._out)
        os._exit(1)


def awaited(task: "asyncio.Task[Any]") -> Iterator[str]:
    """Where a task waits, the outermost coroutine first."""
    at: Any = task.get_coro()
    while (frame := getattr(at, "cr_frame", None) or getattr(at, "gi_frame", None)) is not None:
        yield f"{frame.f_code.co_filename}:{frame.f_lineno} in {at.__qualname__}"
        at = getattr(at, "cr_await", None) or getattr(at, "gi_yieldfrom", None)


DOG = pytest.StashKey[Watchdog]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("timeout_grace", "Seconds after a test's time-out until the run is ended", default="60")


def pytest_configure(config: pytest.Config) -> None:
    assert sys.__stderr__ is not None
    out = os.fdopen(os.dup(sys.__stderr__.fileno()), "w")  # pytest captures the other one

    def report() -> None:
        capture, terminal = (config.pluginmanager.get_plugin(name) for name in ("capturemanager", "terminalreporter"))
        if capture is not None:
            capture.suspend_global_capture()
        if terminal is not None:
            terminal.summary_errors()
            terminal.summary_failures()
            terminal.flush()

    config.stash[DOG] = Watchdog(out, float(config.getini("timeout_grace")), report)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Until the next test, or the end of the process, nothing should take long."""
    dog = item.config.stash[DOG]
    try:
        return (yield)
    finally:
        if dog.awake:
            dog.watch("what comes after the tests")


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Generator[None, object, object]:
    """A test begins, its fixtures included."""
    dog = item.config.stash[DOG]
    dog.watch(item.nodeid, settings.timeout + dog.grace)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_exception_interact(node: pytest.Item) -> Generator[None, object, object]:
    """It failed, and others have stopped their clocks."""
    try:
        return (yield)
    finally:
        node.config.stash[DOG].insist()


@pytest.hookimpl
def pytest_enter_pdb(config: pytest.Config) -> None:
    """Who looks for a fault has time."""
    config.stash[DOG].rest()
