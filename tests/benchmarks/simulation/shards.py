"""Several bot processes on one database: the real service of jobs in each, and simulated workers."""

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Literal

import psutil
from sqlalchemy import text

from bot.jobs.database.cipher import new_key
from bot.jobs.database.connect import connected
from tests.benchmarks.simulation import bot, cluster
from tests.postgresql import programs, serving

Kind = Literal["sqlite", "postgresql"]
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "autovacuum": "on"}
"""Settings that the tests disable, but no operator does."""


@dataclass(frozen=True)
class Case:
    """The settings of a measurement."""

    database: Kind = "postgresql"
    bots: int = 4
    workers: int = 100
    seconds: float = 8.64
    """The mean time of a painting; ``workers / seconds`` is the ideal number of jobs a second."""
    waiting: int = 100
    """The number of jobs that wait in the queue at any time."""
    measured: float = 60.0
    every: float = 0.25
    """Seconds between two events of a painting."""
    jobs: int | None = None
    """The number of jobs of each bot; None to accept jobs until the end."""
    starting: float = 6.0
    """Seconds until the first job is accepted, in which the processes of the bots start."""


@dataclass(frozen=True)
class Measured:
    """The results."""

    busy: float
    """The share of the workers' time spent on painting, which is the throughput divided by the ideal one."""
    idle_ms_mean: float
    """The seconds for which a free worker waits for its next painting."""
    bot_ms_per_job: float
    """The CPU time of all bots."""
    database_ms_per_job: float
    """The CPU time of PostgreSQL. That of SQLite is part of the bots'."""
    statements_per_job: float
    accepted: int
    delivered_twice: int
    lost: int
    failed: int


@contextlib.contextmanager
def _database(kind: Kind, folder: Path) -> Iterator[tuple[str, psutil.Process | None]]:
    """A URL, and the server's process."""
    if kind == "sqlite":
        yield f"sqlite+aiosqlite:///{folder / 'atelier.db'}", None
        return
    where = programs()
    if where is None:
        sys.exit("PostgreSQL is not installed")
    with serving(where) as server:
        for name, value in DURABLE.items():
            server.say("psql", "--quiet", "--command", f"ALTER SYSTEM SET {name} = {value}", "postgres")
        server.say("psql", "--quiet", "--command", "SELECT pg_reload_conf()", "--output", os.devnull, "postgres")
        process = int((server.folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        with server.database() as url:
            yield url, psutil.Process(process)


def _used(process: psutil.Process | None) -> float:
    """The CPU seconds of a process and of all its child processes."""
    if process is None:
        return 0.0
    own = process.cpu_times()
    used = own.user + own.system + own.children_user + own.children_system
    for child in process.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            used += times.user + times.system
    return float(used)


@contextlib.asynccontextmanager
async def _process(module: str, setting: Any, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, json.dumps(asdict(setting)), stderr=errors
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def measure(case: Case) -> Measured:
    """Run the bots and the workers, and measure."""
    with tempfile.TemporaryDirectory() as name, _database(case.database, folder := Path(name)) as (url, server):
        async with connected(url):
            pass  # makes the tables
        workers = cluster.Setting(
            socket=str(folder / "workers"),
            blobs=str(folder / "blobs"),
            out=str(folder / "workers.json"),
            workers=case.workers,
            seconds=case.seconds,
            every=case.every,
        )
        filling = (case.workers + case.waiting) / 40
        since = time.time() + case.starting + filling + 2 * case.seconds
        key = new_key()
        settings = [
            bot.Setting(
                database=url,
                blobs=workers.blobs,
                socket=workers.socket,
                out=str(folder / f"bot-{number}.json"),
                key=key,
                workers=case.workers,
                share=(case.workers + case.waiting) // case.bots,
                since=since,
                until=since + case.measured,
                seed=secrets.randbits(32),
                jobs=case.jobs,
            )
            for number in range(case.bots)
        ]
        async with contextlib.AsyncExitStack() as stack:
            painting = await stack.enter_async_context(_process(cluster.__name__, workers, folder / "workers.log"))
            while not _exists(workers.socket):  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.05)
            bots = [
                await stack.enter_async_context(_process(bot.__name__, each, Path(each.out).with_suffix(".log")))
                for each in settings
            ]
            await asyncio.sleep(max(0.0, since - time.time()))
            used = _used(server)
            await asyncio.sleep(case.measured)
            used = _used(server) - used
            for each in bots:
                if await each.wait():
                    raise subprocess.SubprocessError(_log(folder))
            painting.terminate()
            await painting.wait()
        reports = [bot.Report(**_read(each.out)) for each in settings]
        stints = [cluster.Stint(**stint) for stint in _read(workers.out)]
        states = await _states(url)
    return _sum_up(case, settings[0], reports, stints, states, used)


def _exists(path: str) -> bool:
    return Path(path).exists()


def _read(path: str) -> Any:
    return json.loads(Path(path).read_text())


def _log(folder: Path) -> str:
    return "\n".join(log.read_text()[-1500:] for log in folder.glob("*.log"))


async def _states(url: str) -> Counter[str]:
    async with connected(url) as engine, engine.connect() as connection:
        rows = await connection.execute(text("SELECT state, count(*) AS many FROM jobs GROUP BY state"))
        return Counter({row.state: row.many for row in rows})


def _sum_up(
    case: Case,
    setting: bot.Setting,
    reports: list[bot.Report],
    stints: list[cluster.Stint],
    states: Counter[str],
    used: float,
) -> Measured:
    since, until = setting.since, setting.until
    told = Counter(job for report in reports for job, _ in report.delivered)
    jobs = sum(since <= at < until for report in reports for _, at in report.delivered) or 1
    painted = sum(max(0.0, min(until, each.begun + each.planned) - max(since, each.begun)) for each in stints)
    return Measured(
        busy=painted / (case.workers * (until - since)),
        idle_ms_mean=mean([1000 * each.idle for each in stints if since <= each.begun < until] or [0.0]),
        bot_ms_per_job=1000 * sum(report.cpu for report in reports) / jobs,
        database_ms_per_job=1000 * used / jobs,
        statements_per_job=sum(report.statements for report in reports) / jobs,
        accepted=states.total(),
        delivered_twice=sum(many > 1 for many in told.values()),
        lost=states.total() - len(told) + states.total() - states["delivered"],
        failed=sum(report.failed for report in reports),
    )
