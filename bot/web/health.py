"""Whether the bot can serve members right now, part by part, never waiting long for any of them."""

import asyncio
import math
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import discord
from prometheus_client import Gauge

from bot.jobs.database.store import Store
from bot.settings import MEBIBYTE
from bot.telemetry import metrics
from engine.executor.api import Executor

PARTS: Final = ("gateway", "workers", "database", "disk")

PATIENCE: Final = 2.0
"""Seconds that a part may take to answer before it counts as not well; who asks mostly waits 5."""


GIVE_UP: Final = 30.0
"""Seconds after which a part that still hasn't answered is asked anew: the first question may have been lost."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How one part is. ``detail`` is for the operator and free of anything secret."""

    well: bool
    detail: str


class Health:
    """Looks at the parts, all at once. What it finds goes into the metrics, too."""

    def __init__(
        self, client: discord.Client, executor: Executor, store: Store, directory: Path, *, least_free: int
    ) -> None:
        """``least_free`` is in bytes, at ``directory``."""
        self._client = client
        self._executor = executor
        self._store = store
        self._directory = directory
        self._least_free = least_free
        self._looks = {
            "gateway": _Look(self._gateway, metrics.GATEWAY_LATENCY),
            "workers": _Look(self._workers, metrics.SLOTS),
            "database": _Look(self._database),
            "disk": _Look(self._disk, metrics.STORAGE_FREE),
            "queue": _Look(self._queue, metrics.QUEUED, metrics.OLDEST, metrics.PROCESSES),
        }

    async def examine(self) -> dict[str, Finding]:
        """The finding for each of :data:`PARTS`, within little more than :data:`PATIENCE`."""
        findings = dict(zip(PARTS, await asyncio.gather(*(self._looks[part]() for part in PARTS)), strict=True))
        for part, finding in findings.items():
            metrics.HEALTHY.labels(part=part).set(finding.well)
        return findings

    async def measure(self) -> None:
        """Bring up to date the metrics that somebody has to be asked for, as long as :meth:`examine` takes."""
        await asyncio.gather(self.examine(), self._looks["queue"]())

    async def close(self) -> None:
        """Give up what has not answered yet."""
        await asyncio.gather(*(look.close() for look in self._looks.values()))

    async def _gateway(self) -> Finding:
        latency = self._client.latency
        metrics.GATEWAY_LATENCY.set(latency if math.isfinite(latency) else math.nan)
        # A client that was ready stays so for discord.py while it reconnects.
        if not (self._client.is_ready() and self._client.ws.open):
            metrics.GATEWAY_LATENCY.set(math.nan)
            return Finding(False, "not connected")
        return Finding(True, f"heartbeat {latency * 1000:.0f} ms" if math.isfinite(latency) else "connected")

    async def _workers(self) -> Finding:
        slots = await self._executor.slots()
        metrics.SLOTS.set(slots)
        return Finding(slots > 0, f"{slots} at a time" if slots else "none has joined")

    async def _database(self) -> Finding:
        await self._store.ping()
        return Finding(True, "takes changes")

    async def _disk(self) -> Finding:
        free = (await asyncio.to_thread(shutil.disk_usage, self._directory)).free
        metrics.STORAGE_FREE.set(free)
        return Finding(free >= self._least_free, f"{free // MEBIBYTE} MB free, at least {self._least_free // MEBIBYTE}")

    async def _queue(self) -> Finding:
        waiting, oldest = await self._store.queue_stats()
        metrics.QUEUED.set(waiting)
        metrics.OLDEST.set(oldest)
        metrics.PROCESSES.set(await self._store.processes())
        return Finding(True, f"{waiting} waiting")


class _Look:
    """One look at a time: what hangs is joined by whoever asks next, and doesn't pile up with each request."""

    def __init__(self, look: Callable[[], Awaitable[Finding]], *gauges: Gauge) -> None:
        self._look = look
        self._gauges = gauges
        self._tasks: set[asyncio.Task[Finding]] = set()
        self._newest: asyncio.Task[Finding] | None = None
        self._begun = 0.0

    async def __call__(self) -> Finding:
        task = self._join_or_begin()
        # Not a time-out around it: cancelling costs a connection to the database, and some code ignores it.
        await asyncio.wait([task], timeout=PATIENCE)
        if task.done() and not task.cancelled():
            return task.result()
        self._forget()
        return Finding(False, f"no answer within {PATIENCE:g} s")

    async def close(self) -> None:
        """Let what is under way come to its end, if it does so soon."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=PATIENCE / 2)

    def _join_or_begin(self) -> asyncio.Task[Finding]:
        now = asyncio.get_running_loop().time()
        if self._newest is not None and not self._newest.done():
            if now < self._begun + GIVE_UP:
                return self._newest
            # Once only: SQLite's driver, cancelled while it is closing, never ends.
            self._newest.cancel()
        self._begun = now
        self._newest = asyncio.create_task(self._caught())
        self._tasks.add(self._newest)
        self._newest.add_done_callback(self._tasks.discard)
        return self._newest

    async def _caught(self) -> Finding:
        try:
            return await self._look()
        except Exception as error:  # whatever it is, this part is not well, and the others still have to be told
            self._forget()
            # Its message may hold the database's address and more.
            return Finding(False, type(error).__name__)

    def _forget(self) -> None:
        """Show no number rather than an old one."""
        for gauge in self._gauges:
            gauge.set(math.nan)
