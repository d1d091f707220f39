"""The load that one bot process takes: members who all invoke at once, then thousands of jobs.

``python -m tests.benchmarks.load`` starts the real bot with a real database against the local Discord, over real
sockets; only the engine is a stand-in of known cost. Bot and local Discord share this machine's cores, and the
figures include the local Discord's share.

1. Every member sends ``/stylize`` at once, then some send a second one. How long until each is acknowledged?
2. The engine paints nothing yet. Does each member see the place that the fair queue gives?
3. The engine runs; members ask again up to the number of jobs. Does the bot's memory stay flat?
"""

import asyncio
import io
import re
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

import psutil
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.sandbox import Invocation, LocalDiscord, Message, Upload
from tests.benchmarks.machine import Count, described, percentile
from tests.benchmarks.service import bot_of

AT_ONCE_AGAIN: Final = 0.1
"""The share of the members who send a second command at once."""
PLACES_WITHIN: Final = 120.0
"""Seconds until every place must be shown."""
JOB_WITHIN: Final = 600.0
SAMPLE_EVERY: Final = 0.5

_BEFORE: Final = re.compile(r"Waiting in line: \*\*(\d+)\*\* before yours")


@dataclass(frozen=True, slots=True)
class Report:
    """The measurements of one run."""

    jobs: int
    delivered: int
    acknowledged_p50: float
    acknowledged_most: float
    """Seconds until those who invoked at once were acknowledged."""
    later_p99: float
    """The same for all later commands, which members send when they get their pictures."""
    unacknowledged: int
    """The number of commands that were never acknowledged."""
    refused: int
    """The number of commands that were refused with a message."""
    places: int
    wrong_places: int
    jobs_a_second: float
    rss_mb_first: float
    rss_mb_most: float
    rss_mb_last: float
    """The bot's resident memory."""


def picture(number: int) -> Upload:
    """A picture that no other member sends."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (number % 256, number // 256 % 256, 90)).save(buffer, "PNG")
    return Upload("photo.png", buffer.getvalue())


STYLE: Final = picture(-1)


class Crowd:
    """The members and their commands."""

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
        """The number of members who have got their picture."""
        return sum(1 for invocation in self.invocations if _is_painted(invocation.original))


async def measure(members: int, jobs: int) -> Report:
    """Run the three parts.

    Raises:
        TimeoutError: the bot did not connect, or a picture never came.
    """
    with tempfile.TemporaryDirectory(prefix="atelier-load-") as folder:
        gate, data = Path(folder) / "gate", Path(folder) / "data"
        async with (
            LocalDiscord() as discord,
            bot_of(discord, data, "tests.benchmarks.stand_in", "run", STAND_IN_GATE=str(gate)) as process,
        ):
            await asyncio.sleep(2)  # the rest of the start is not measured
            crowd = Crowd(discord, members)
            async with _database(data) as engine:
                at_once = await _invoke_at_once(crowd, engine)
                places, wrong = await _places(crowd, engine)
            gate.touch()
            before = len(crowd.invocations)
            rate, memory = await _work(crowd, process, jobs)
            waits = _acknowledged(at_once)
            return Report(
                jobs=len(crowd.invocations),
                delivered=crowd.delivered(),
                acknowledged_p50=median(waits),
                acknowledged_most=max(waits),
                later_p99=percentile(_acknowledged(crowd.invocations[before:]) or [0.0], 0.99),
                unacknowledged=len(crowd.invocations) - len(_acknowledged(crowd.invocations)),
                refused=sum(map(_is_refused, crowd.invocations)),
                places=places,
                wrong_places=wrong,
                jobs_a_second=rate,
                rss_mb_first=memory[0],
                rss_mb_most=max(memory),
                rss_mb_last=memory[-1],
            )


def _acknowledged(invocations: Sequence[Invocation]) -> list[float]:
    """The seconds until each acknowledgement. Commands without one are left out."""
    return [each.acknowledged_after for each in invocations if each.acknowledged_after is not None]


@asynccontextmanager
async def _database(folder: Path) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'atelier.db'}")
    try:
        yield engine
    finally:
        await engine.dispose()


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
    """Wait until each acknowledged command has a job or was refused."""
    deadline = time.monotonic() + PLACES_WITHIN
    while time.monotonic() < deadline:
        open_ones = sum(each.acknowledged_after is not None and not _is_refused(each) for each in invocations)
        if len(await _fair_places(engine)) >= open_ones:
            return
        await asyncio.sleep(0.2)


async def _places(crowd: Crowd, engine: AsyncEngine) -> tuple[int, int]:
    """The number of places that are shown, and the number that are still wrong when nothing changes any more.

    A job that has started may show its last place until its first step.
    """
    began = time.monotonic()
    while True:
        waiting = [each for each in crowd.invocations if each.acknowledged_after is not None and not _is_refused(each)]
        fair = await _fair_places(engine)
        seen: Counter[int] = Counter()
        wrong = 0
        for invocation in waiting:
            place = fair.get((invocation.user.id, seen[invocation.user.id]))
            wrong += place != 0 and _place(invocation.original) != place
            seen[invocation.user.id] += 1
        if not wrong or time.monotonic() - began > PLACES_WITHIN:
            return len(waiting), wrong
        await asyncio.sleep(0.2)


async def _fair_places(engine: AsyncEngine) -> dict[tuple[int, int], int]:
    """The place of each member's n-th job: all first jobs come before all second ones, each in the order of arrival.

    Jobs that have started have place 0.
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
    """The place that a message shows; None if it shows none."""
    if message is None:
        return None
    if message.content.startswith("Next in line"):
        return 1
    found = _BEFORE.search(message.content)
    return int(found[1]) + 1 if found else None


def _is_painted(message: Message | None) -> bool:
    return message is not None and any(each.filename.startswith("painting") for each in message.attachments)


def _is_refused(invocation: Invocation) -> bool:
    """Whether the member got a private message instead of a job."""
    return any(message.ephemeral and message.content for message in invocation.history)


async def _work(crowd: Crowd, process: psutil.Process, jobs: int) -> tuple[float, list[float]]:
    """Send more commands, up to ``jobs`` jobs. Return the jobs a second, and the bot's memory over time, in MB."""
    memory: list[float] = []

    async def follow(invocation: Invocation) -> None:
        if not invocation.failed:
            await invocation.wait_until(lambda message: _is_painted(message) or message.ephemeral, JOB_WITHIN)

    async def live(number: int, own: Sequence[Invocation]) -> None:
        for invocation in own:
            await follow(invocation)
        while len(crowd.invocations) < jobs:
            await follow(await crowd.invoke(number))

    async def sample() -> None:
        while True:
            memory.append(process.memory_info().rss / 2**20)
            await asyncio.sleep(SAMPLE_EVERY)

    own: dict[int, list[Invocation]] = {member.id: [] for member in crowd.members}
    for invocation in crowd.invocations:
        if invocation.acknowledged_after is not None:
            own[invocation.user.id].append(invocation)
    sampling = asyncio.create_task(sample())
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number, member in enumerate(crowd.members):
            group.create_task(live(number, own[member.id]))
    sampling.cancel()
    return crowd.delivered() / (time.monotonic() - began), [*memory, process.memory_info().rss / 2**20]


def main(members: Count = 500, jobs: Count = 10_000) -> None:
    """The load that one bot process takes: members who all invoke at once, then thousands of jobs."""
    table = Table("", "", show_header=False)
    for name, value in asdict(asyncio.run(measure(members, jobs))).items():
        table.add_row(name.replace("_", " "), f"{value:.3f}" if isinstance(value, float) else str(value))
    console = Console()
    console.print(described(), highlight=False, markup=False)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
