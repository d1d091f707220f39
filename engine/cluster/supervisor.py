"""Runs the workers of one machine: one process for each GPU, restarted when it ends."""

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
from engine.cluster.worker_process import CANNOT_PAINT, LEAVE_SECONDS, SCHEDULER_LOST, WorkerPlan, work
from engine.worker.protocol import WorkerSettings

log = logging.getLogger(__name__)

KILL_SECONDS: Final = LEAVE_SECONDS + 0.5
"""Seconds after SIGTERM until a process is killed."""
BACK_OFF: Final = (1.0, 30.0)
"""The first and the longest back-off, in seconds, before a process is restarted. It doubles each time."""
STEADY_SECONDS: Final = 60.0
"""The back-off is reset after a process that ran longer than this, or that lost its scheduler."""

_processes: Final = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class WorkersPlan:
    """The workers of a machine."""

    scheduler: str
    settings: WorkerSettings
    """The device ``auto`` means every CUDA device, or the CPU if there is none."""
    tls: TLS | None = None
    host: str | None = None
    port: int = 0
    """The first worker's port; the others use the following ones. 0 for any free ports."""
    with_cpu: bool = False
    """Whether to run a CPU worker in addition to the GPU workers."""


async def keep(plan: WorkersPlan, configure: Callable[[], None]) -> int:
    """Run the workers until SIGTERM or SIGINT. Returns the exit code.

    Args:
        plan: what to run.
        configure: configures logging in each process. It must be picklable.

    Raises:
        ClusterUnsafe: they would communicate with other machines without certificates.
        StorageUnsafe, StorageUnavailable: see :class:`engine.blobs.Blobs`.
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
        with ProcessPoolExecutor(1, mp_context=_processes) as pool:  # keeps torch out of this process
            count = await asyncio.get_running_loop().run_in_executor(pool, cuda_devices)
        found = [f"cuda:{index}" for index in range(count)] or ["cpu"]
    if plan.with_cpu and "cpu" not in found:
        found.append("cpu")
    return found


def cuda_devices() -> int:
    """The number of CUDA devices that torch sees."""
    import torch

    return torch.cuda.device_count()


async def _keep(plan: WorkerPlan, configure: Callable[[], None], leaving: asyncio.Event) -> int:
    """Run one worker process, and restart it when it ends, until ``leaving`` is set. Returns the exit code."""
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
        if code == CANNOT_PAINT:
            leaving.set()
            return code
        if code == SCHEDULER_LOST or time.monotonic() - began > STEADY_SECONDS:
            pause = BACK_OFF[0]
        log.warning("the worker %s ended with code %s, restarting it in %d s", named.name, code, pause)
        try:
            async with asyncio.timeout(pause):
                await leaving.wait()
        except TimeoutError:
            pause = min(pause * 2, longest)
    return 0


async def _ended(process: SpawnProcess, leaving: asyncio.Event) -> int | None:
    """Wait for the end of ``process``. Send SIGTERM when ``leaving`` is set. Returns its exit code."""
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
