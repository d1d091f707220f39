"""What a Dask scheduler, and the client in a bot, pay for paintings and for what these tell.

The real executor and a real scheduler, each in a process of its own, and workers that only take their time, all in one
more process: ``python -m tests.benchmarks.simulation.cluster JSON`` is one of the three.
"""

import asyncio
import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from distributed import Queue, Scheduler, Worker

from bot.jobs.service import AHEAD
from engine import worker
from engine.executor.executor import Executor
from engine.progress import Progress, Result, StopToken
from engine.recipe import Recipe
from engine.worker import BEGUN, Order, Studio, WorkerSettings
from tests.benchmarks.service import percentile
from tests.benchmarks.simulation.bot import TICK
from tests.benchmarks.simulation.studio import SPREAD

STARTING = 25.0
"""Seconds that all workers may take to join."""


@dataclass(frozen=True)
class Case:
    """What is simulated."""

    workers: int = 100
    seconds: float = 8.64
    """Of a painting."""
    events: float = 4.0
    """Of a painting, each second."""
    preview: int = 60_000
    """Bytes of a preview, one in two seconds."""
    picture: int = 300_000
    """Bytes of each of two pictures that a worker looks at before a job is accepted; 0 for none."""
    measured: float = 30.0


@dataclass(frozen=True)
class Setting:
    """What a process is told."""

    role: Literal["scheduler", "workers", "client"]
    case: Case
    address: str
    """Where the scheduler's address is written."""
    out: str
    since: float
    until: float


@dataclass
class Used:
    """What a process took of the measured time."""

    cpu: float = 0.0
    loop: float = 0.0
    lags: list[float] = field(default_factory=list)
    jobs: int = 0
    told: int = 0
    late: list[float] = field(default_factory=list)
    """Seconds from an event in a worker to the bot."""


@dataclass(frozen=True)
class Measured:
    """What came of it; CPU as shares of a core."""

    case: Case
    jobs: float
    ideal: float
    events: float
    """A second, as the bot got them."""
    scheduler: float
    client: float
    workers: float
    scheduler_lag_ms_p99: float
    client_lag_ms_p99: float
    late_ms_p50: float
    late_ms_p99: float


class StandIn(Studio):
    """A worker that needs neither torch nor weights."""

    def _prepare(self) -> None:
        self._about = {"device": "cpu", "name": "a stand-in", "precision": "float32", "process": os.getpid()}
        self._pace = 1e-6


def paint(channel: str, order: Order) -> Result:
    """Take as long as a painting, and tell as much as one: in place of :func:`engine.worker.paint_picture`."""
    case = Case(**json.loads(order.content))
    studio = worker._studio()
    queue = Queue(channel)
    seconds = case.seconds * random.uniform(1 - SPREAD, 1 + SPREAD)
    steps = max(1, round(seconds * case.events))
    began = time.time()
    with studio.at_work(channel, StopToken()):
        queue.put(BEGUN)
        for step in range(1, steps + 1):
            time.sleep(max(0.0, began + seconds * step / steps - time.time()))
            preview = os.urandom(case.preview) if step % max(1, round(2 * case.events)) == 0 else None
            # The time of the event travels as its loss.
            queue.put(asdict(Progress(step, steps, 512, time.time(), 0, 0, 1, seconds * (1 - step / steps), preview)))
    queue.close()
    return Result(b"picture", "png", 512, 384, order.recipe, steps, seconds, "finished")


def look(_picture: bytes) -> None:
    """In place of :func:`engine.worker.check_picture`."""


async def _measured(setting: Setting, used: Used) -> None:
    await asyncio.sleep(max(0.0, setting.since - time.time()))
    cpu, loop = time.process_time(), time.thread_time()
    while time.time() < setting.until:
        asked = time.perf_counter()
        await asyncio.sleep(TICK)
        used.lags.append(time.perf_counter() - asked - TICK)
    used.cpu, used.loop = time.process_time() - cpu, time.thread_time() - loop


async def _schedule(setting: Setting) -> Used:
    used = Used()
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        _write(setting.address, scheduler.address)
        await _measured(setting, used)
        await _signalled()
    return used


async def _serve(setting: Setting) -> Used:
    used = Used()
    options = worker.worker_options(WorkerSettings())
    del options["plugins"]
    address = await _address(setting)

    async def one(number: int) -> Any:
        return await Worker(address, name=number, plugins=(StandIn(WorkerSettings()),), dashboard=False, **options)

    workers: list[Any] = []
    for first in range(0, setting.case.workers, 10):
        some = range(first, min(first + 10, setting.case.workers))
        workers += await asyncio.gather(*(one(number) for number in some))
    await _measured(setting, used)
    await _signalled()
    await asyncio.gather(*(each.close(timeout=2) for each in workers))
    return used


async def _ask(setting: Setting) -> Used:
    """A bot: it has every worker paint, one painting after the other, and some more wait, as the service does."""
    used = Used()
    here = import_module(__spec__.name)  # what stands in ``__main__`` would travel as its code with every task
    worker.paint_picture, worker.check_picture = here.paint, here.look
    case = setting.case
    picture = os.urandom(case.picture)

    async def one() -> None:
        while time.time() < setting.until:
            if case.picture:
                await asyncio.gather(executor.check(picture), executor.check(picture))
            painting = executor.submit(Recipe(), json.dumps(asdict(case)), ("style",))
            async for progress in painting:
                if setting.since <= time.time() < setting.until:
                    used.told += 1
                    used.late.append(time.time() - progress.loss)
            await painting.result()
            used.jobs += setting.since <= time.time() < setting.until

    async with Executor.open(WorkerSettings(), await _address(setting)) as executor:
        while await executor.slots() < case.workers:  # noqa: ASYNC110 - it tells nobody when it changes
            await asyncio.sleep(0.2)
        asking = [asyncio.create_task(one()) for _ in range(case.workers + int(AHEAD * case.workers))]
        await _measured(setting, used)
        await asyncio.gather(*asking)
    return used


async def _address(setting: Setting) -> str:
    while not (address := _read(setting.address)):  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.1)
    return address


def _write(path: str, text: str) -> None:
    part = Path(path).with_suffix(".part")
    part.write_text(text)
    part.replace(path)


def _read(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""


async def _signalled() -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()


@asynccontextmanager
async def _process(setting: Setting) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", __spec__.name, json.dumps(asdict(setting)))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def measure(case: Case) -> Measured:
    """Run it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        since = time.time() + STARTING + case.seconds
        until = since + case.measured
        roles: list[Literal["client", "workers", "scheduler"]] = ["client", "workers", "scheduler"]
        settings = {
            role: Setting(role, case, str(folder / "address"), str(folder / f"{role}.json"), since, until)
            for role in roles
        }
        async with _process(settings["scheduler"]), _process(settings["workers"]), _process(settings["client"]) as bot:
            if await bot.wait():
                raise ChildProcessError("the client")
        used = {role: Used(**json.loads(_read(settings[role].out))) for role in roles}
    client, scheduler = used["client"], used["scheduler"]
    return Measured(
        case=case,
        jobs=client.jobs / case.measured,
        ideal=case.workers / case.seconds,
        events=client.told / case.measured,
        scheduler=scheduler.cpu / case.measured,
        client=client.cpu / case.measured,
        workers=used["workers"].cpu / case.measured,
        scheduler_lag_ms_p99=1000 * percentile(scheduler.lags, 0.99),
        client_lag_ms_p99=1000 * percentile(client.lags, 0.99),
        late_ms_p50=1000 * percentile(client.late or [0.0], 0.5),
        late_ms_p99=1000 * percentile(client.late or [0.0], 0.99),
    )


def main() -> None:
    """Be one of the processes."""
    logging.getLogger("distributed").setLevel(logging.WARNING)
    given = json.loads(sys.argv[1])
    setting = Setting(**given | {"case": Case(**given["case"])})
    act = {"scheduler": _schedule, "workers": _serve, "client": _ask}[setting.role]
    used = asyncio.run(act(setting))
    Path(setting.out).write_text(json.dumps(asdict(used)))


if __name__ == "__main__":
    main()
