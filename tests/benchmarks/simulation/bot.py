"""One bot process of the simulation: the real service of jobs, and members who keep the same number of jobs open.

``python -m tests.benchmarks.simulation.bot JSON`` reads its :class:`Setting` there and writes a :class:`Report`.
"""

import asyncio
import contextlib
import itertools
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import event

from bot.jobs.database.cipher import Cipher
from bot.jobs.database.connect import connected
from bot.jobs.database.store import Store
from bot.jobs.errors import DeliveryDelayed
from bot.jobs.model import Actor, DeliveredBy, Ending, Job, Order, State, new_id
from bot.jobs.rules import Policy
from bot.jobs.service import JobService
from bot.jobs.storage import Storage, StoragePolicy
from bot.telemetry import logs
from engine.blobs import Blobs
from engine.progress import Progress, Result
from engine.recipe import Inputs, Recipe
from tests.benchmarks.simulation.cluster import SimulatedExecutor

PATIENCE = 30.0
"""When no job has ended for so many seconds, the open jobs count as lost."""
STYLES = 100
"""The number of different styles, so that most jobs have a style that was used before."""


@dataclass(frozen=True)
class Setting:
    """The settings of a process."""

    database: str
    blobs: str
    socket: str
    out: str
    key: str
    workers: int
    share: int
    """The number of open jobs that the members of this process maintain."""
    since: float
    until: float
    """The Unix times between which is measured. No jobs are accepted after the second."""
    seed: int = 0
    jobs: int | None = None
    """The number of jobs to accept, which may take any time; None to accept jobs until the end."""


@dataclass
class Report:
    """The counts of a process. All except ``delivered`` are those of the measured time."""

    delivered: list[tuple[str, float]] = field(default_factory=list)
    """The job and the time of each delivery, including second deliveries of one job."""
    failed: int = 0
    statements: int = 0
    cpu: float = 0.0


class Bot:
    """The service of jobs with all that it needs."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.report = Report()
        self._room = asyncio.Semaphore(setting.share)
        self._told = asyncio.Event()
        self._random = random.Random(setting.seed)

    def reply(self, job: Job, may_edit: Callable[[], bool]) -> "Counting":
        """Make a reply that counts deliveries."""
        return Counting(self, job, may_edit)

    def ended(self, job: Job, ending: Ending) -> None:
        """Count the end of a member's job."""
        self.report.delivered.append((job.id, time.time()))
        self.report.failed += not isinstance(ending, Result)
        self._room.release()
        self._told.set()

    async def run(self) -> Report:
        """Run until each accepted job has ended."""
        setting = self.setting
        async with connected(setting.database) as engine:
            event.listen(engine.sync_engine, "before_cursor_execute", self._stated)
            store = Store(engine, Cipher([setting.key]))
            blobs = Blobs(setting.blobs)
            storage = Storage(blobs, store, StoragePolicy(min_free_bytes=0))
            executor = SimulatedExecutor(blobs, setting.workers, *await asyncio.open_unix_connection(setting.socket))
            jobs = JobService(store, storage, executor, self.reply, Policy(max_open=1000))
            running = asyncio.create_task(jobs.run())
            measuring = asyncio.create_task(self._measure())
            accepted = await self._accept(jobs)
            with contextlib.suppress(TimeoutError):
                while not accepted <= {job for job, _ in self.report.delivered}:
                    self._told.clear()
                    async with asyncio.timeout(PATIENCE):
                        await self._told.wait()
            await measuring
            await jobs.close()
            running.cancel()
            await asyncio.wait([running])
        return self.report

    async def _accept(self, jobs: JobService) -> set[str]:
        """Accept a job whenever another has ended."""
        accepted: set[str] = set()
        asking: set[asyncio.Task[None]] = set()

        async def ask(number: int) -> None:
            order = self._order(number)
            async with jobs.admission(Actor(order.owner, order.guild_id), order.id):
                job = await jobs.accept(order)
            accepted.add(job.id)

        for number in itertools.count() if self.setting.jobs is None else range(self.setting.jobs):
            try:
                left = self.setting.until - time.time()
                async with asyncio.timeout(max(0.0, left) if self.setting.jobs is None else PATIENCE):
                    await self._room.acquire()
            except TimeoutError:
                break
            task = asyncio.create_task(ask(number))
            asking.add(task)
            task.add_done_callback(asking.discard)
        await asyncio.gather(*asking)
        return accepted

    def _order(self, number: int) -> Order:
        return Order(
            id=new_id(),
            owner=self._random.randrange(10**6),
            guild_id=10**18,
            recipe=Recipe(seed=number),
            inputs=Inputs(
                f"content {self.setting.seed} {number}".encode(), (f"style {self._random.randrange(STYLES)}".encode(),)
            ),
            address=json.dumps({"token": "x" * 200, "channel": 10**18, "application": 10**18}),
            description="A town, painted",
            max_bytes=10_000_000,
        )

    async def _measure(self) -> None:
        await asyncio.sleep(self.setting.since - time.time())
        cpu = time.process_time()
        await asyncio.sleep(self.setting.until - time.time())
        self.report.cpu = time.process_time() - cpu

    def _stated(self, *_statement: Any) -> None:
        self.report.statements += self.setting.since <= time.time() < self.setting.until


class Counting:
    """A reply that only counts its deliveries."""

    posted = ""

    def __init__(self, bot: Bot, job: Job, may_edit: Callable[[], bool]) -> None:
        self._bot = bot
        self._job = job
        self._may_edit = may_edit
        self.bucket = job.id

    def queued(self, position: int, *, paused: bool = False) -> None:
        """Do nothing."""

    def renew(self, job: Job) -> None:
        """The recipe may have changed."""

    def progressed(self, progress: Progress) -> None:
        """Do nothing."""

    async def deliver(self, ending: Ending) -> DeliveredBy:
        """Record the delivery, or refuse it as the real reply does."""
        if not self._may_edit():
            raise DeliveryDelayed("another process may look after the job")
        self._bot.ended(self._job, ending)
        return "token"

    async def ping(self, delivered_by: DeliveredBy, ending: State) -> None:
        """Not used."""

    async def close(self) -> None:
        """Do nothing."""


def main() -> None:
    """Run as a process of its own."""
    logs.configure("INFO", "json")
    setting = Setting(**json.loads(sys.argv[1]))

    async def run() -> Report:
        return await Bot(setting).run()

    Path(setting.out).write_text(json.dumps(vars(asyncio.run(run()))))


if __name__ == "__main__":
    main()
