"""The real bot with a stopwatch in its event loop: :mod:`tests.benchmarks.service` starts it as its own process."""

import asyncio
import json
import sys
import time
from pathlib import Path

from bot.app import run
from bot.settings import Settings
from bot.telemetry import logs

TICK = 0.005
"""Seconds between two readings of the clock."""


async def _measure(lags: list[tuple[float, float]]) -> None:
    """The delay of the event loop, by time."""
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(TICK)
        lags.append((time.time(), time.perf_counter() - asked - TICK))


async def _run() -> list[tuple[float, float]]:
    settings = Settings()
    assert settings.discord_token is not None
    lags: list[tuple[float, float]] = []
    measuring = asyncio.create_task(_measure(lags))
    try:
        await run(settings, settings.discord_token.get_secret_value())
    finally:
        measuring.cancel()
    return lags


if __name__ == "__main__":
    logs.configure("WARNING", "console")
    measured = asyncio.run(_run())
    Path(sys.argv[1]).write_text(json.dumps(measured))
