"""One run: a local Discord, the real processes under it, members, killer and faults, then the check."""

import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bot.demo.start import OPERATORS_OWN
from bot.sandbox import LocalDiscord
from tests.chaos.checker import Checker
from tests.chaos.disk import small_disk
from tests.chaos.faults import MIN_FREE_MB, FaultInjector
from tests.chaos.killer import Killer
from tests.chaos.members import Places, RequestLog, SimulatedMember, simulated_members
from tests.chaos.message_log import MessageLog
from tests.chaos.processes import fleet
from tests.chaos.report import Report, as_dicts, logged_errors, outcomes, survivors
from tests.chaos.watch import Watch

START_WITHIN: Final = 120.0
"""Seconds until all processes are up for the first time."""
QUIET: Final = 3.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What to run."""

    jobs: int
    """The number of jobs to accept."""
    members: int = 10
    seed: int = 0
    minutes: float = 60.0
    """After these, members order no more."""
    settle: float = 240.0
    """Seconds for open jobs to end afterwards, without faults."""
    bots: int = 1
    workers: int = 1
    database: str | None = None
    """SQLAlchemy's URL; None for SQLite beside the blobs."""
    kill_every: float | None = 6.0
    """Mean seconds between two signals, in addition to one second; None for no signals."""
    fault_every: float | None = 8.0
    """Mean seconds between two larger faults; None for no faults."""


async def run(scenario: Scenario, folder: Path) -> Report:
    """Run it, with data and logs in ``folder``.

    Raises:
        RuntimeError, TimeoutError: the processes could not be started.
    """
    began = time.monotonic()
    data, logs = folder / "data", folder / "logs"
    data.mkdir()
    logs.mkdir()
    async with small_disk(data) as disk, LocalDiscord() as discord:
        database = scenario.database or f"sqlite+aiosqlite:///{data / 'atelier.db'}"
        environment = _environment(discord, data, scenario.database)
        message_log = MessageLog(discord)
        async with (
            fleet(environment, logs, bots=scenario.bots, workers=scenario.workers) as children,
            Watch.open(database) as watch,
        ):
            await children.wait_until_healthy(START_WITHIN)
            places = Places(discord)
            request_log = RequestLog(scenario.jobs, watch, message_log)
            killer = Killer(
                children, watch, message_log, random.Random(f"killer {scenario.seed}"), pause=scenario.kill_every or 1
            )
            members = simulated_members(places, request_log, scenario.members, scenario.seed)
            injector = FaultInjector(discord, [member.member for member in members], places.joined, disk, scenario.seed)
            async with _in_background(
                *([killer.run()] if scenario.kill_every else []),
                *([injector.run(scenario.fault_every)] if scenario.fault_every else []),
            ):
                await _order(members, scenario)
            with suppress(TimeoutError):
                async with asyncio.timeout(scenario.settle):
                    await _settled(watch)
            await watch.read_all()
            claimed = await watch.claimed()
            checker = Checker(request_log, watch, message_log)
            findings = checker.findings()
        rows = list(watch.rows.values())
        resumed, interrupted = survivors(watch, killer)
        refused, unacknowledged, only_acknowledged = outcomes(request_log)
        return Report(
            seed=scenario.seed,
            seconds=time.monotonic() - began,
            jobs=len(rows),
            states=Counter(row.state for row in rows),
            delivered_by=Counter(row.delivered_by for row in rows if row.delivered_by),
            causes=Counter(json.loads(row.cause)[0] for row in rows if row.cause),
            kills=killer.kills(),
            signals=killer.by_moment(),
            missed=killer.missed,
            faults=injector.counts,
            resumed=resumed,
            interrupted=interrupted,
            most_work_lost=checker.most_work_lost,
            cancelled=sum(row.state == "cancelled" for row in rows),
            refused=refused,
            unacknowledged=unacknowledged,
            only_acknowledged=only_acknowledged,
            unexpected_exits=children.unexpected_exits(),
            shutdown_seconds=max(children.shutdown_seconds(), default=0.0),
            fetched=sum(request.fetched for request in request_log.requests),
            orphans=_orphans(data / "blobs", claimed),
            errors=logged_errors(child.log for child in children.of("bot")),
            lost=sum(finding.kind == "lost" for finding in findings),
            doubled=sum(finding.kind == "doubled" for finding in findings),
            findings=as_dicts(findings),
        )


def _environment(discord: LocalDiscord, data: Path, database: str | None) -> Mapping[str, str]:
    """An operator's environment, without the settings of the user who runs the test."""
    root = Path(__file__).parents[2]
    environment = {name: value for name, value in os.environ.items() if name not in OPERATORS_OWN} | {
        "DISCORD_TOKEN": discord.token,
        "DISCORD_API_URL": discord.api_url,
        "DISCORD_GATEWAY_URL": discord.gateway_url,
        "DISCORD_CDN_URL": discord.cdn_url,
        "DATA_DIRECTORY": str(data),
        "MIN_FREE_MB": str(MIN_FREE_MB),
        "LOG_LEVEL": "INFO",
        "LOG_FORMAT": "json",
        "PYTHONPATH": str(root),
    }
    return environment | ({"DATABASE_URL": database} if database else {})


@asynccontextmanager
async def _in_background(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these coroutines in the meantime. Their errors are raised at the end."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def _order(members: list[SimulatedMember], scenario: Scenario) -> None:
    """Let the members order until they have enough jobs, or the time is over."""
    with suppress(TimeoutError):
        async with asyncio.timeout(scenario.minutes * 60), asyncio.TaskGroup() as group:
            for member in members:
                group.create_task(member.live())


async def _settled(watch: Watch) -> None:
    """Wait until no job has been open for :data:`QUIET` seconds, which leaves time for a second answer."""
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < QUIET:
        if watch.open_rows():
            quiet_since = time.monotonic()
        await asyncio.sleep(0.1)


def _orphans(folder: Path, claimed: set[str]) -> int:
    return sum(path.is_file() and path.name not in claimed for path in folder.rglob("*"))
