"""The time from a member's command to the picture, and the cost of the bot's process, against the local Discord.

``python -m tests.benchmarks.service`` prints a table: time to the acknowledgement, to the first preview and to the
picture, on a warm worker; the event loop's lag while a job runs; the resident memory of the bot's own process.
"""

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import psutil
from dask.system import CPU_COUNT
from rich.console import Console
from rich.table import Table

from bot.demo.show import drawn
from bot.sandbox import LocalDiscord, Message, Upload


@dataclass(frozen=True)
class Job:
    """Seconds since the command."""

    quality: str
    acknowledged: float
    first_preview: float
    picture: float
    edits: int


@dataclass(frozen=True)
class Report:
    """Everything that was measured in one run."""

    machine: str
    jobs: list[Job]
    lag_p50_ms: float
    lag_p99_ms: float
    lag_max_ms: float
    rss_mb: float
    rss_peak_mb: float


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of the values don't exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def job(discord: LocalDiscord, quality: str, content: Upload, style: Upload) -> Job:
    """Ask for one picture and follow it."""
    began = time.perf_counter()
    invocation = await discord.member("Ada").invoke(
        "stylize",
        content=content,
        style=style,
        quality=quality,
    )

    async def until(name: str) -> float:
        def shown(message: Message) -> bool:
            return any(attachment.filename.startswith(name) for attachment in message.attachments)

        await invocation.wait_until(shown, 1800)
        return time.perf_counter() - began

    first = await until("preview")
    picture = await until("painting")
    assert invocation.acknowledged_after is not None
    return Job(quality, invocation.acknowledged_after, first, picture, len(invocation.history) - 1)


async def measure(qualities: Sequence[str], content: Upload, style: Upload) -> Report:
    """Start everything, paint once to warm up, then once for each of ``qualities``."""
    with tempfile.TemporaryDirectory() as data:
        lags_file = Path(data) / "lags.json"
        async with LocalDiscord() as discord:
            environment = os.environ | {
                "DISCORD_TOKEN": discord.token,
                "DISCORD_API_URL": discord.api_url,
                "DISCORD_GATEWAY_URL": discord.gateway_url,
                "DISCORD_CDN_URL": discord.cdn_url,
                "DATA_DIRECTORY": data,
            }
            sync = await asyncio.create_subprocess_exec(sys.executable, "-m", "bot", "sync", env=environment)
            assert await sync.wait() == 0
            bot = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.benchmarks.probe", str(lags_file), env=environment
            )
            try:
                await discord.wait_for_bot(120)
                await job(discord, "quick", content, style)
                process = psutil.Process(bot.pid)
                memory: list[float] = []

                async def watch() -> None:
                    while True:
                        memory.append(process.memory_info().rss / 2**20)
                        await asyncio.sleep(0.2)

                watching = asyncio.create_task(watch())
                began = time.time()
                jobs = [await job(discord, quality, content, style) for quality in qualities]
                ended = time.time()
                watching.cancel()
            finally:
                bot.send_signal(signal.SIGTERM)
                await bot.wait()
        lags = [1000 * lag for at, lag in json.loads(lags_file.read_text()) if began <= at <= ended]
    return Report(
        machine=f"{platform.processor() or platform.machine()}, {CPU_COUNT} cores, Python {platform.python_version()}",
        jobs=jobs,
        lag_p50_ms=median(lags),
        lag_p99_ms=percentile(lags, 0.99),
        lag_max_ms=max(lags),
        rss_mb=memory[-1],
        rss_peak_mb=max(memory),
    )


def show(report: Report) -> None:
    """Print the report as two tables."""
    console = Console()
    jobs = Table("quality", "acknowledged", "first preview", "picture", "edits", title=report.machine)
    for each in report.jobs:
        jobs.add_row(
            each.quality,
            f"{each.acknowledged:.3f} s",
            f"{each.first_preview:.1f} s",
            f"{each.picture:.1f} s",
            str(each.edits),
        )
    process = Table("the bot's process, while jobs run", "")
    process.add_row("event loop lag, median / p99 / most",
                    f"{report.lag_p50_ms:.1f} / {report.lag_p99_ms:.1f} / {report.lag_max_ms:.1f} ms")  # fmt: skip
    process.add_row("resident memory, last / most", f"{report.rss_mb:.0f} / {report.rss_peak_mb:.0f} MB")
    console.print(jobs, process)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", type=Path, default=drawn("content.jpg"))
    parser.add_argument("--style", type=Path, default=drawn("style.jpg"))
    parser.add_argument("--quality", action="append", choices=["quick", "standard", "fine"], help="repeatable")
    parser.add_argument("--json", type=Path, help="write what was measured here, too")
    arguments = parser.parse_args()
    content, style = (Upload(path.name, path.read_bytes()) for path in (arguments.content, arguments.style))
    report = asyncio.run(measure(arguments.quality or ["standard"], content, style))
    show(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(report), indent=2))


if __name__ == "__main__":
    main()
