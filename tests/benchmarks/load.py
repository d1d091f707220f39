"""The load that one bot process takes: members who all invoke at once, then thousands of jobs.

``python -m tests.benchmarks.load`` starts the real bot with a real database against the local Discord, over real
sockets; only the engine is a stand-in of known cost. Bot and local Discord share this machine's cores, and the
figures include the local Discord's share: the report has its processor seconds beside the bot's.

1. Every member sends ``/stylize`` at once, then some send a second one. How long until each is acknowledged?
2. The engine paints nothing yet. Does each member see the place that the fair queue gives?
3. The engine runs; members ask again up to the number of jobs. Does the bot's memory stay flat?
"""

import argparse
import asyncio
import contextlib
import io
import json
import os
import platform
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import linear_regression, median
from typing import Final

import psutil
from PIL import Image
from rich.console import Console
from rich.table import Table
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.demo.show import OPERATORS_OWN
from bot.sandbox import Invocation, LocalDiscord, Message, Upload
from tests.benchmarks.service import percentile

AT_ONCE_AGAIN: Final = 0.1
"""The share of the members who send a second command at once."""
PLACES_WITHIN: Final = 120.0
"""Seconds until every place must be shown."""
JOB_WITHIN: Final = 600.0
SAMPLE_EVERY: Final = 0.5
WARM_UP: Final = 0.2
"""The share of the jobs after which the slope of the memory is measured."""

_BEFORE: Final = re.compile(r"Waiting in line: \*\*(\d+)\*\* before yours")


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was measured in one run."""

    machine: str
    members: int
    jobs: int
    delivered: int
    engine_seconds: float
    """Seconds of the stand-in for a job."""
    slots: int
    acknowledged_p50: float
    acknowledged_p99: float
    acknowledged_most: float
    """Seconds until those who invoked at once were acknowledged."""
    within_a_second: float
    """The share of them."""
    unacknowledged: int
    """The number of commands that were never acknowledged."""
    refused: int
    """The number of commands that were refused with a message."""
    later_p50: float
    later_p99: float
    """The same for all further commands, which come as members get their pictures."""
    places: int
    wrong_places: int
    seconds_to_places: float
    """How long it took until all places that were shown were right; the limit where they never were."""
    seconds: float
    jobs_a_second: float
    bot_processor_seconds: float
    discord_processor_seconds: float
    """What the bot and this process, which is the local Discord and the members, computed in the third part."""
    edits: int
    rss_mb: list[tuple[int, float]]
    """Jobs delivered so far, and the bot's resident memory."""
    rss_mb_per_1000_jobs: float
    """Slope of the memory after :data:`WARM_UP`."""


def picture(number: int) -> Upload:
    """A picture that no other member sends."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (number % 256, number // 256 % 256, 90)).save(buffer, "PNG")
    return Upload("photo.png", buffer.getvalue())


STYLE: Final = picture(-1)


class Crowd:
    """The members and what they asked for."""

    def __init__(self, discord: LocalDiscord, members: int) -> None:
        self.members = [discord.member(f"Member {number}") for number in range(members)]
        self.invocations: list[Invocation] = []

    async def invoke(self, number: int) -> Invocation:
        """One member sends one command."""
        content = picture(len(self.invocations))
        invocation = await self.members[number].invoke("stylize", content=content, style=STYLE)
        self.invocations.append(invocation)
        return invocation

    def delivered(self) -> int:
        """How many got their picture so far."""
        return sum(1 for invocation in self.invocations if _is_painted(invocation.original))


async def measure(members: int, jobs: int, seconds: float = 0.02, slots: int = 4) -> Report:
    """Run the three parts.

    Raises:
        TimeoutError: the bot did not connect, or a picture never came.
    """
    with tempfile.TemporaryDirectory(prefix="atelier-load-") as folder:
        gate = Path(folder) / "gate"
        async with LocalDiscord() as discord:
            environment = {name: value for name, value in os.environ.items() if name not in OPERATORS_OWN} | {
                "DISCORD_TOKEN": discord.token,
                "DISCORD_API_URL": discord.api_url,
                "DISCORD_GATEWAY_URL": discord.gateway_url,
                "DISCORD_CDN_URL": discord.cdn_url,
                "DATA_DIRECTORY": str(Path(folder) / "data"),
                "LOG_LEVEL": "WARNING",
                "STAND_IN_SECONDS": str(seconds),
                "STAND_IN_SLOTS": str(slots),
                "STAND_IN_GATE": str(gate),
            }
            async with _bot(environment) as process:
                await discord.wait_for_bot(60)
                await asyncio.sleep(2)  # the rest of the start is not measured
                crowd = Crowd(discord, members)
                async with _database(Path(folder) / "data") as engine:
                    at_once = await _invoke_at_once(crowd, engine)
                    places = await _places(crowd, engine)
                gate.touch()
                return await _work(discord, crowd, process, jobs, seconds, slots, at_once, places)


@asynccontextmanager
async def _database(folder: Path) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'atelier.db'}")
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def _bot(environment: dict[str, str]) -> AsyncIterator[psutil.Process]:
    command = (sys.executable, "-m", "tests.benchmarks.stand_in")
    sync = await asyncio.create_subprocess_exec(*command, "sync", env=environment)
    assert await sync.wait() == 0
    bot = await asyncio.create_subprocess_exec(*command, "run", env=environment)
    try:
        yield psutil.Process(bot.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            bot.send_signal(signal.SIGTERM)
        await bot.wait()


async def _invoke_at_once(crowd: Crowd, engine: AsyncEngine) -> list[Invocation]:
    first = list(await asyncio.gather(*(crowd.invoke(number) for number in range(len(crowd.members)))))
    await asyncio.gather(*(invocation.acknowledged(30) for invocation in first), return_exceptions=True)
    await _settled(first, engine)
    again = [crowd.invoke(number) for number in range(0, len(crowd.members), round(1 / AT_ONCE_AGAIN))]
    second = list(await asyncio.gather(*again))
    await asyncio.gather(*(invocation.acknowledged(30) for invocation in second), return_exceptions=True)
    await _settled(first + second, engine)
    return first


async def _settled(invocations: Sequence[Invocation], engine: AsyncEngine) -> None:
    """Wait until each acknowledged command is a job, or was refused."""
    deadline = time.monotonic() + PLACES_WITHIN
    while time.monotonic() < deadline:
        open_ones = sum(each.acknowledged_after is not None and not _is_refused(each) for each in invocations)
        if len(await _fair_places(engine)) >= open_ones:
            return
        await asyncio.sleep(0.2)


async def _places(crowd: Crowd, engine: AsyncEngine) -> tuple[int, int, float]:
    """How many places are shown, how many of them are wrong when nothing changes any more, and when they were right."""
    began = time.monotonic()
    while True:
        waiting = [each for each in crowd.invocations if each.acknowledged_after is not None and not _is_refused(each)]
        fair = await _fair_places(engine)
        seen: Counter[int] = Counter()
        wrong = 0
        for invocation in waiting:
            wrong += _place(invocation.original) != fair.get((invocation.user.id, seen[invocation.user.id]))
            seen[invocation.user.id] += 1
        took = time.monotonic() - began
        if not wrong or took > PLACES_WITHIN:
            return len(waiting), wrong, took
        await asyncio.sleep(0.2)


async def _fair_places(engine: AsyncEngine) -> dict[tuple[int, int], int]:
    """The place of each member's n-th job: each member's first job comes before anybody's second, else by arrival.

    Those that are begun have place 0.
    """
    async with engine.connect() as connection:
        rows = list(await connection.execute(text("SELECT owner, state FROM jobs ORDER BY created_at, id")))
    seen: Counter[int] = Counter()
    waiting: list[tuple[int, int]] = []
    places: dict[tuple[int, int], int] = {}
    for owner, state in rows:
        places[owner, seen[owner]] = 0
        if state == "queued":
            waiting.append((owner, seen[owner]))
        seen[owner] += 1
    # Python's sort keeps the order of arrival among equals.
    return places | {job: place for place, job in enumerate(sorted(waiting, key=lambda job: job[1]), 1)}


def _place(message: Message | None) -> int | None:
    """The place that a message tells: 0 for a job that is begun, None where it tells none."""
    if message is None:
        return None
    if message.content.startswith("Next in line"):
        return 1
    if found := _BEFORE.search(message.content):
        return int(found[1]) + 1
    return 0 if message.thinking or message.content.startswith("Painting") else None


def _is_painted(message: Message | None) -> bool:
    return message is not None and any(each.filename.startswith("painting") for each in message.attachments)


def _is_refused(invocation: Invocation) -> bool:
    """Whether words to the member alone stand in place of a job."""
    return any(message.ephemeral and message.content for message in invocation.history)


async def _work(
    discord: LocalDiscord,
    crowd: Crowd,
    process: psutil.Process,
    jobs: int,
    seconds: float,
    slots: int,
    at_once: list[Invocation],
    places: tuple[int, int, float],
) -> Report:
    delivered = 0
    samples: list[tuple[int, float]] = []
    before = len(crowd.invocations)

    async def follow(invocation: Invocation) -> None:
        nonlocal delivered
        if not invocation.failed:
            last = await invocation.wait_until(lambda message: _is_painted(message) or message.ephemeral, JOB_WITHIN)
            delivered += _is_painted(last)

    async def live(number: int, own: Sequence[Invocation]) -> None:
        for invocation in own:
            await follow(invocation)
        while len(crowd.invocations) < jobs:
            await follow(await crowd.invoke(number))

    async def sample() -> None:
        while True:
            samples.append((delivered, process.memory_info().rss / 2**20))
            await asyncio.sleep(SAMPLE_EVERY)

    own: dict[int, list[Invocation]] = {member.id: [] for member in crowd.members}
    for invocation in crowd.invocations:
        if invocation.acknowledged_after is not None:
            own[invocation.user.id].append(invocation)
    sampling = asyncio.create_task(sample())
    began, bot_began, own_began = time.monotonic(), sum(process.cpu_times()[:2]), time.process_time()
    async with asyncio.TaskGroup() as group:
        for number, member in enumerate(crowd.members):
            group.create_task(live(number, own[member.id]))
    took = time.monotonic() - began
    samples.append((delivered, process.memory_info().rss / 2**20))
    sampling.cancel()
    warm = [(done, rss) for done, rss in samples if done >= WARM_UP * jobs]
    flat = len({done for done, _ in warm}) > 1
    waits = [invocation.acknowledged_after for invocation in at_once if invocation.acknowledged_after is not None]
    later = [each.acknowledged_after for each in crowd.invocations[before:] if each.acknowledged_after is not None]
    return Report(
        machine=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        members=len(crowd.members),
        jobs=len(crowd.invocations),
        delivered=crowd.delivered(),
        engine_seconds=seconds,
        slots=slots,
        acknowledged_p50=median(waits),
        acknowledged_p99=percentile(waits, 0.99),
        acknowledged_most=max(waits),
        within_a_second=sum(wait <= 1 for wait in waits) / len(at_once),
        unacknowledged=sum(invocation.acknowledged_after is None for invocation in crowd.invocations),
        refused=sum(map(_is_refused, crowd.invocations)),
        later_p50=median(later) if later else 0.0,
        later_p99=percentile(later, 0.99) if later else 0.0,
        places=places[0],
        wrong_places=places[1],
        seconds_to_places=places[2],
        seconds=took,
        jobs_a_second=delivered / took,
        bot_processor_seconds=sum(process.cpu_times()[:2]) - bot_began,
        discord_processor_seconds=time.process_time() - own_began,
        edits=sum(request.method == "PATCH" for request in discord.requests),
        rss_mb=[(done, round(rss, 1)) for done, rss in samples[:: max(1, len(samples) // 100)]],
        rss_mb_per_1000_jobs=1000 * linear_regression(*zip(*warm, strict=True)).slope if flat else 0.0,
    )


def show(report: Report) -> None:
    """Print the report as a table."""
    table = Table("", "", show_header=False, title=report.machine)
    for name, value in asdict(report).items():
        if name == "rss_mb":
            table.add_row("rss, first / most / last", " / ".join(
                f"{rss:.0f} MB" for rss in (value[0][1], max(rss for _, rss in value), value[-1][1])
            ))  # fmt: skip
        elif name != "machine":
            table.add_row(name.replace("_", " "), f"{value:.3f}" if isinstance(value, float) else str(value))
    Console().print(table)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--engine-seconds", type=float, default=0.02, help="what a painting takes (0.02)")
    parser.add_argument("--slots", type=int, default=4, help="how many are painted at a time (4)")
    parser.add_argument("--json", type=Path, help="write what was measured here, too")
    arguments = parser.parse_args()
    report = asyncio.run(measure(arguments.members, arguments.jobs, arguments.engine_seconds, arguments.slots))
    show(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(report), indent=2))


if __name__ == "__main__":
    main()
