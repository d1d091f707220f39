"""A bot that starts with a long line that another bot left: how soon does it begin, and how many updates does it send?

The real service and database, in this process; workers and replies are stand-ins.
"""

import asyncio
import gc
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from sqlalchemy import event, insert

from bot.jobs.database.cipher import Cipher, new_key
from bot.jobs.database.connect import connected
from bot.jobs.database.store import Store
from bot.jobs.database.tables import BlobRow, JobRow
from bot.jobs.model import DeliveredBy, Ending, Job, State, new_id
from bot.jobs.service import JobService, Policy
from bot.jobs.storage import Storage, StoragePolicy
from engine.blobs import Blobs
from engine.executor.executor import Executor
from engine.progress import Progress
from engine.recipe import Recipe
from tests.benchmarks.service import percentile
from tests.benchmarks.simulation import shards, studio

TICK = 0.01
"""Seconds between two looks at the clock."""


@dataclass(frozen=True)
class Case:
    """What is simulated."""

    waiting: int = 5000
    """Jobs in line at the start, of as many members."""
    workers: int = 8
    seconds: float = 2.0
    """The mean time of a painting."""
    measured: float = 30.0
    database: shards.Kind = "sqlite"


@dataclass(frozen=True)
class Measured:
    """What came of it, in seconds from the start of the service."""

    case: Case
    first_place: float
    first_progress: float
    first_end: float
    places: int
    """Updates of places. Each is an edit, unless the next one of the same reply comes within two seconds."""
    ends: int
    statements: int
    lag_ms_p99: float
    lag_ms_max: float


class _Told:
    """All replies."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.first: dict[str, float] = {}
        self._began = time.perf_counter()

    def note(self, what: str) -> None:
        """Count it, and remember when it was first."""
        self.counts[what] += 1
        self.first.setdefault(what, time.perf_counter() - self._began)

    def reply(self, job: Job, _may_edit: Callable[[], bool]) -> "_Reply":
        """The reply of a job."""
        return _Reply(self, job.id)


class _Reply:
    def __init__(self, told: _Told, job: str) -> None:
        self._told = told
        self.bucket = job

    def queued(self, position: int) -> None:
        self._told.note("place")

    def progressed(self, progress: Progress) -> None:
        self._told.note("progress")

    async def deliver(self, ending: Ending) -> DeliveredBy:
        self._told.note("end")
        return "token"

    async def close(self) -> None:
        pass


async def _fill(url: str, waiting: int, cipher: Cipher) -> None:
    now = datetime.now(UTC)
    recipe = Recipe().model_dump_json()
    values: dict[str, Any] = {
        "state": State.QUEUED, "process": "gone", "cluster_id": "gone", "turn": 0, "recipe": recipe,
        "description": "A town, painted", "max_bytes": 10_000_000, "painted": "", "cause": "", "delivered_by": "",
        "created_at": now, "changed_at": now,
    }  # fmt: skip
    rows = [values | {"id": new_id(), "owner": owner, "address": cipher.encrypt("x" * 300)} for owner in range(waiting)]
    blobs = [{"job": row["id"], "role": role, "name": 64 * "0"} for row in rows for role in ("content", "style-0")]
    async with connected(url) as engine, engine.begin() as connection:
        await connection.execute(insert(JobRow), rows)
        await connection.execute(insert(BlobRow), blobs)


async def measure(case: Case) -> Measured:
    """Run it."""
    with tempfile.TemporaryDirectory() as name, shards._database(case.database, folder := Path(name)) as (url, _):
        cipher = Cipher([new_key()])
        await _fill(url, case.waiting, cipher)
        setting = studio.Setting(
            str(folder / "workers"), str(folder / "blobs"), str(folder / "out"), case.workers, case.seconds, 0.25
        )
        async with (
            shards._process(studio.__name__, setting, folder / "workers.log"),
            connected(url) as engine,
        ):
            while not shards._exists(setting.socket):  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.05)
            gc.collect()
            gc.freeze()  # as the bot does at its start
            statements: Counter[str] = Counter()
            event.listen(engine.sync_engine, "before_cursor_execute", lambda *_: statements.update(["all"]))
            store = Store(engine, cipher)
            storage = Storage(Blobs(setting.blobs), store, StoragePolicy(min_free_bytes=0))
            streams = await asyncio.open_unix_connection(setting.socket)
            executor = studio.StandInExecutor(case.workers, *streams)
            told = _Told()
            jobs = JobService(store, storage, cast(Executor, executor), told.reply, Policy())
            running = asyncio.create_task(jobs.run())
            lags = []
            until = time.perf_counter() + case.measured
            while (asked := time.perf_counter()) < until:
                await asyncio.sleep(TICK)
                lags.append(1000 * (time.perf_counter() - asked - TICK))
            counts, first, asked_in_all = told.counts.copy(), told.first.copy(), statements["all"]
            gc.unfreeze()
            await jobs.close()
            running.cancel()
            await asyncio.wait([running])
    never = float("inf")
    return Measured(
        case,
        first.get("place", never),
        first.get("progress", never),
        first.get("end", never),
        counts["place"],
        counts["end"],
        asked_in_all,
        percentile(lags, 0.99),
        max(lags),
    )
