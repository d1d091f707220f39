"""The time from a member's command to the picture, and the lag of the bot's event loop, against the local Discord.

``python -m tests.benchmarks.service`` prints both: the time to the acknowledgement, to the first preview and to the
picture, on a warm worker, and the lag while these jobs run. For each job it prints a timeline of what the bot and the
worker do.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table

from bot.demo.start import OPERATORS_OWN
from bot.sandbox import LocalDiscord, Message, Upload
from tests.benchmarks.machine import CONTENT, STYLE, Content, Style, described, percentile
from tests.bot.processes import at


@asynccontextmanager
async def bot_of(discord: LocalDiscord, data: Path, *command: str, **variables: str) -> AsyncIterator[psutil.Process]:
    """A bot with its commands registered, as a process ``python -m COMMAND``, until it has connected and then on.

    Raises:
        TimeoutError: it did not connect.
    """
    environment = {name: value for name, value in os.environ.items() if name not in OPERATORS_OWN}
    environment |= at(discord, DATA_DIRECTORY=str(data), LOG_LEVEL="WARNING", **variables)
    sync = await asyncio.create_subprocess_exec(sys.executable, "-m", "bot", "sync", env=environment)
    assert await sync.wait() == 0
    bot = await asyncio.create_subprocess_exec(sys.executable, "-m", *command, env=environment)
    try:
        await discord.wait_for_bot(120)
        yield psutil.Process(bot.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            bot.send_signal(signal.SIGTERM)
        await bot.wait()


@dataclass(frozen=True)
class Job:
    """Seconds since the command."""

    quality: str
    began: float
    """The command, by the system's clock."""
    acknowledged: float
    first_preview: float
    picture: float


async def job(discord: LocalDiscord, quality: str, content: Upload, style: Upload | str) -> Job:
    """Ask for one picture in a style that is sent, or in a saved one of this name, and follow it."""
    styles: dict[str, Upload | str] = {"saved_style" if isinstance(style, str) else "style": style}
    clock, began = time.time(), time.perf_counter()
    invocation = await discord.member("Ada").invoke("stylize", content=content, quality=quality, **styles)

    async def until(*names: str) -> float:
        def shown(message: Message) -> bool:
            return any(attachment.filename.startswith(names) for attachment in message.attachments)

        await invocation.wait_until(shown, 1800)
        return time.perf_counter() - began

    first = await until("preview", "painting")  # an instant picture has no preview
    picture = await until("painting")
    assert invocation.acknowledged_after is not None
    return Job(quality, clock, invocation.acknowledged_after, first, picture)


@dataclass(frozen=True)
class Span:
    """One part of a job's way. Times by the system's clock."""

    name: str
    began: float
    ended: float


async def measure(
    qualities: Sequence[str], content: Upload, style: Upload | str
) -> tuple[list[Job], list[float], list[Span]]:
    """Start everything, paint once to warm up, then once for each of ``qualities``; the event loop's lags, too."""
    with tempfile.TemporaryDirectory() as data:
        file = Path(data) / "lags.json"
        async with LocalDiscord() as discord, bot_of(discord, Path(data), "tests.benchmarks.probe", str(file)):
            await job(discord, "quick", content, style)
            began = time.time()
            jobs = [await job(discord, quality, content, style) for quality in qualities]
            ended = time.time()
        found = json.loads(file.read_text())
        lags = [lag for at, lag, _ in found["lags"] if began <= at <= ended]
        return jobs, lags, [Span(*each) for each in found["spans"]]


def timeline(job: Job, spans: Sequence[Span]) -> Table:
    """What the bot and its worker did for a job, by its first begin."""
    title = f"from the command to the picture: {job.quality}"
    table = Table("first begins after", "times", "longest", "together", "", title=title)
    taken: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.began):
        if job.began <= span.began <= job.began + job.picture:
            taken.setdefault(span.name, []).append(span)
    for name, several in taken.items():
        seconds = [span.ended - span.began for span in several]
        numbers = f"{several[0].began - job.began:.3f} s", str(len(several)), f"{max(seconds):.3f} s"
        table.add_row(*numbers, f"{sum(seconds):.3f} s", name)
    table.add_row(f"{job.picture:.3f} s", "", "", "", "the member has the picture")
    return table


def main(
    content: Content = CONTENT,
    style: Style = STYLE,
    quality: Annotated[
        list[str] | None, typer.Option(help="instant, quick, standard or fine; standard. Repeatable.")
    ] = None,
    saved_style: Annotated[
        str | None, typer.Option(help="The name of a saved or built-in style, instead of a file.", show_default=False)
    ] = None,
) -> None:
    """The time from a member's command to the picture, and the lag of the bot's event loop."""
    sent, given = (Upload(path.name, path.read_bytes()) for path in (content, style))
    jobs, lags, spans = asyncio.run(measure(quality or ["standard"], sent, saved_style or given))
    table = Table("quality", "acknowledged", "first preview", "picture")
    for each in jobs:
        times = f"{each.acknowledged:.3f} s", f"{each.first_preview:.2f} s", f"{each.picture:.2f} s"
        table.add_row(each.quality, *times)
    told = (f"{1000 * lag:.1f} ms" for lag in (median(lags), percentile(lags, 0.99), max(lags)))
    console = Console()
    console.print(described(), highlight=False, markup=False)
    for each in jobs:
        console.print(timeline(each, spans))
    console.print(table, f"lag of the event loop, median / p99 / most: {' / '.join(told)}")


if __name__ == "__main__":
    typer.run(main)
