"""One worker process: it joins a scheduler, paints one picture at a time, and shuts down without losing work."""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import dask
from distributed import Security
from distributed.comm.core import Comm, connect
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from engine.cluster.restricted import FORGETTING, PaintingWorker
from engine.cluster.safe_pickle import restrict
from engine.errors import ours
from engine.worker.plugin import LEAVE_TIMEOUT, worker_options
from engine.worker.protocol import WorkerSettings

log = logging.getLogger(__name__)

LEAVE_SECONDS: Final = LEAVE_TIMEOUT + 0.5
"""Seconds that a worker may take to pause its painting and to unregister."""
CANNOT_PAINT: Final = 2
"""The exit code of a process that would fail again."""
SCHEDULER_LOST: Final = 3
"""The exit code of a process that lost its scheduler."""
BACK_OFF: Final = wait_random_exponential(multiplier=1, min=0.25, max=5)
"""Seconds between attempts to reach a scheduler, at random: below 1, 2, 4 and 5."""


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """The settings of one worker process."""

    scheduler: str
    security: Security | None
    settings: WorkerSettings
    name: str
    """Unique in the cluster."""
    scratch: str
    """A private folder. Any user of the machine may have created Dask's default folder."""
    host: str | None = None
    """The address at which others reach the worker; None for the one from which it reaches the scheduler."""
    port: int = 0
    """0 for any free port."""


def work(plan: WorkerPlan, configure: Callable[[], None]) -> None:
    """Run the worker and exit: with code 0 after SIGTERM, with :data:`SCHEDULER_LOST`, or with :data:`CANNOT_PAINT`.

    The process exits at once when its parent dies.
    """
    configure()
    for handler in logging.getLogger().handlers:
        handler.addFilter(_shorten)
    raise SystemExit(asyncio.run(_work(plan)))


def _shorten(record: logging.LogRecord) -> bool:
    """Replace the traceback of a broken connection by one line."""
    if record.exc_info and isinstance(record.exc_info[1], OSError):
        record.msg, record.args = f"{record.getMessage()} ({record.exc_info[1]})", ()
        record.exc_info = None
    return True


async def _work(plan: WorkerPlan) -> int:
    """Returns an exit code only if the worker never joined. Otherwise it exits the process."""
    restrict()
    dask.config.set(FORGETTING)
    leaving = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, leaving.set)
    if parent := multiprocessing.parent_process():
        loop.add_reader(parent.sentinel, os._exit, 1)
    asked = asyncio.create_task(leaving.wait())
    joining = asyncio.create_task(_join(plan))
    await asyncio.wait((asked, joining), return_when=asyncio.FIRST_COMPLETED)
    if not joining.done():
        os._exit(0)  # a thread that loads torch can't be interrupted
    try:
        worker = joining.result()
    except Exception as error:
        known = ours(error)
        if known is None:
            raise
        log.critical("%s", known)
        return CANNOT_PAINT
    log.info("%s paints for %s", plan.name, plan.scheduler)
    gone = asyncio.create_task(worker.finished())  # type: ignore[no-untyped-call]
    await asyncio.wait((asked, gone), return_when=asyncio.FIRST_COMPLETED)
    if gone.done():
        log.warning("%s lost its scheduler", plan.name)
        os._exit(0 if leaving.is_set() else SCHEDULER_LOST)  # does not wait for a thread that still paints
    log.info("%s leaves", plan.name)
    try:
        async with asyncio.timeout(LEAVE_SECONDS):
            await worker.close(reason="asked to leave")  # PainterPlugin pauses the painting
    except TimeoutError:
        log.warning("%s could not leave within %d s", plan.name, LEAVE_SECONDS)
    os._exit(0)


async def _join(plan: WorkerPlan) -> PaintingWorker:
    await reachable(plan.scheduler, plan.security)
    worker: PaintingWorker = await PaintingWorker(
        plan.scheduler,
        security=plan.security,
        host=plan.host or (None if plan.security else "127.0.0.1"),
        port=plan.port,
        name=plan.name,
        local_directory=plan.scratch,
        **worker_options(plan.settings),
    )
    return worker


async def reachable(scheduler: str, security: Security | None) -> None:
    """Wait until the scheduler answers. Each reason why it doesn't is logged once."""
    logged: set[str] = set()

    def log_once(state: RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        root = error and _root(error)
        reason = (isinstance(root, OSError) and str(root)) or "it does not answer"
        if reason not in logged:
            log.warning("%s can't be reached, retrying: %s", scheduler, reason)
            logged.add(reason)

    retrying = AsyncRetrying(wait=BACK_OFF, retry=retry_if_exception_type(OSError), before_sleep=log_once)
    arguments = (security or Security()).get_connection_args("worker")
    comm: Comm = await retrying(connect, scheduler, timeout=5, **arguments)
    with contextlib.suppress(OSError):
        await comm.close()


def _root(error: BaseException) -> BaseException:
    """The first cause. Dask wraps it in a text that names an object's address, which differs with each attempt."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
