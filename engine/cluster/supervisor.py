"""The workers of one machine: a process for each GPU, kept alive until they are asked to leave."""

import asyncio
import logging
import multiprocessing
import secrets
import socket
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.context import SpawnProcess
from tempfile import TemporaryDirectory
from typing import Final

from engine.blobs import Blobs
from engine.cluster.signals import interrupts_blocked, leaving_on_signals
from engine.cluster.tls import TLS, listening_security, scheduler_security
from engine.cluster.worker_process import LEAVE_SECONDS, LOST, NEVER, WorkerPlan, work
from engine.worker.protocol import WorkerSettings

log = logging.getLogger(__name__)

KILL_SECONDS: Final = LEAVE_SECONDS + 0.5
"""After which a process that was asked to leave is killed."""
BACK_OFF: Final = (1.0, 30.0)
"""The first and the longest pause, in seconds, before a process that ended is started again."""
STEADY_SECONDS: Final = 60.0
"""A process that lived as long, or whose scheduler is gone, is started again after the first pause."""

_processes: Final = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class WorkersPlan:
    """What a machine gives to a cluster."""

    scheduler: str
    settings: WorkerSettings
    """Its device may be ``auto``: every CUDA device, or the CPU where there is none."""
    tls: TLS | None = None
    host: str | None = None
    port: int = 0
    """The first worker's; the next ones take the next. 0 for any free ones."""
    beside: bool = False
    """Whether a CPU worker joins beside the GPUs'."""


async def keep(plan: WorkersPlan, configure: Callable[[], None]) -> int:
    """Run the workers until SIGTERM or SIGINT; the exit code.

    Args:
        plan: what to run.
        configure: sets up logging in each process; it must survive pickling.

    Raises:
        ClusterUnsafe: they would speak or listen without certificates beyond this machine.
        StorageUnsafe, StorageUnavailable: the place of their blobs is none that may or can be opened.
    """
    security = scheduler_security(plan.scheduler, plan.tls)
    if plan.host:
        listening_security(plan.host, plan.tls if security else None)
    Blobs(plan.settings.blobs)
    leaving = leaving_on_signals()
    devices = await _devices(plan)
    with TemporaryDirectory(prefix="atelier-", ignore_cleanup_errors=True) as scratch:
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number, device in enumerate(devices):
                each = WorkerPlan(
                    plan.scheduler,
                    security,
                    replace(plan.settings, device=device),
                    f"{socket.gethostname()}/{device}",
                    scratch,
                    plan.host,
                    plan.port and plan.port + number,
                )
                tasks.append(group.create_task(_keep(each, configure, leaving)))
    return max(task.result() for task in tasks)


async def _devices(plan: WorkersPlan) -> list[str]:
    wanted = plan.settings.device
    if wanted != "auto":
        found = [wanted]
    else:
        with ProcessPoolExecutor(1, mp_context=_processes) as pool:  # so that torch takes no memory here
            count = await asyncio.get_running_loop().run_in_executor(pool, cuda_devices)
        found = [f"cuda:{index}" for index in range(count)] or ["cpu"]
    if plan.beside and "cpu" not in found:
        found.append("cpu")
    return found


def cuda_devices() -> int:
    """How many torch sees."""
    import torch

    return torch.cuda.device_count()


async def _keep(plan: WorkerPlan, configure: Callable[[], None], leaving: asyncio.Event) -> int:
    """Run one process, and another when it ends, until asked to leave; the last one's exit code."""
    pause, longest = BACK_OFF
    while not leaving.is_set():
        began = time.monotonic()
        named = replace(plan, name=f"{plan.name}/{secrets.token_hex(3)}")
        process = _processes.Process(target=work, args=(named, configure), daemon=True)
        with interrupts_blocked():
            process.start()
        code = await _ended(process, leaving)
        if leaving.is_set():
            return 0
        if code == NEVER:
            leaving.set()
            return code
        if code == LOST or time.monotonic() - began > STEADY_SECONDS:
            pause = BACK_OFF[0]
        log.warning("the worker %s ended (code %s), starting another in %d s", named.name, code, pause)
        try:
            async with asyncio.timeout(pause):
                await leaving.wait()
        except TimeoutError:
            pause = min(pause * 2, longest)
    return 0


async def _ended(process: SpawnProcess, leaving: asyncio.Event) -> int | None:
    """Wait for the end of ``process``, and ask it to leave when it is time; its exit code."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(process.sentinel, gone.set)
    ended, asked = asyncio.create_task(gone.wait()), asyncio.create_task(leaving.wait())
    try:
        await asyncio.wait((ended, asked), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
            await asyncio.wait((ended,), timeout=KILL_SECONDS)
            if not ended.done():
                process.kill()
                await ended
    finally:
        asked.cancel()
        ended.cancel()
        loop.remove_reader(process.sentinel)
    process.join()
    return process.exitcode
