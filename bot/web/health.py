"""Whether the bot can serve members now, part by part. No part is waited for longer than a time-out."""

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

CHECK_TIMEOUT: Final = 2.0
"""Seconds. A part that takes longer counts as unhealthy. Health checks of container runtimes often wait 5 s."""
STUCK_AFTER: Final = 30.0
"""Seconds after which a check that still runs is cancelled and replaced, in case its request was lost."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The health of one part. ``detail`` is for the operator, and contains no secrets."""

    healthy: bool
    detail: str


class Health:
    """Checks all parts concurrently, and updates the metrics."""

    def __init__(
        self, client: discord.Client, executor: Executor, store: Store, directory: Path, *, min_free_bytes: int
    ) -> None:
        """``min_free_bytes`` applies to the disk of ``directory``."""
        self._client = client
        self._executor = executor
        self._store = store
        self._directory = directory
        self._min_free_bytes = min_free_bytes
        self._checks = {
            "gateway": _SharedCheck(self._gateway, metrics.GATEWAY_LATENCY),
            "workers": _SharedCheck(self._workers, metrics.SLOTS),
            "database": _SharedCheck(self._database),
            "disk": _SharedCheck(self._disk, metrics.STORAGE_FREE),
            "queue": _SharedCheck(self._queue, metrics.QUEUED, metrics.OLDEST, metrics.PROCESSES),
        }

    async def examine(self) -> dict[str, Finding]:
        """Check each of :data:`PARTS`, within little more than :data:`CHECK_TIMEOUT` seconds."""
        findings = dict(zip(PARTS, await asyncio.gather(*(self._checks[part]() for part in PARTS)), strict=True))
        for part, finding in findings.items():
            metrics.HEALTHY.labels(part=part).set(finding.healthy)
        return findings

    async def measure(self) -> None:
        """Update the metrics that need a check. Takes as long as :meth:`examine`."""
        await asyncio.gather(self.examine(), self._checks["queue"]())

    async def close(self) -> None:
        """Wait briefly for checks that still run."""
        await asyncio.gather(*(check.close() for check in self._checks.values()))

    async def _gateway(self) -> Finding:
        latency = self._client.latency
        metrics.GATEWAY_LATENCY.set(latency if math.isfinite(latency) else math.nan)
        # discord.py still reports a client as ready while it reconnects.
        if not (self._client.is_ready() and self._client.ws.open):
            metrics.GATEWAY_LATENCY.set(math.nan)
            return Finding(False, "not connected")
        return Finding(True, f"heartbeat {latency * 1000:.0f} ms" if math.isfinite(latency) else "connected")

    async def _workers(self) -> Finding:
        slots = await self._executor.slots()
        metrics.SLOTS.set(slots)
        return Finding(slots > 0, f"slots: {slots}" if slots else "no worker has joined")

    async def _database(self) -> Finding:
        await self._store.ping()
        return Finding(True, "writable")

    async def _disk(self) -> Finding:
        free = (await asyncio.to_thread(shutil.disk_usage, self._directory)).free
        metrics.STORAGE_FREE.set(free)
        return Finding(
            free >= self._min_free_bytes, f"{free // MEBIBYTE} MB free, at least {self._min_free_bytes // MEBIBYTE}"
        )

    async def _queue(self) -> Finding:
        waiting, oldest = await self._store.queue_stats()
        metrics.QUEUED.set(waiting)
        metrics.OLDEST.set(oldest)
        metrics.PROCESSES.set(await self._store.processes())
        return Finding(True, f"{waiting} waiting")


class _SharedCheck:
    """Runs one check at a time. Requests share a check that still runs, so that slow checks don't pile up."""

    def __init__(self, check: Callable[[], Awaitable[Finding]], *gauges: Gauge) -> None:
        self._check = check
        self._gauges = gauges
        self._tasks: set[asyncio.Task[Finding]] = set()
        self._newest: asyncio.Task[Finding] | None = None
        self._begun = 0.0

    async def __call__(self) -> Finding:
        task = self._join_or_begin()
        # No time-out that cancels: cancelling costs a database connection, and some code ignores it.
        await asyncio.wait([task], timeout=CHECK_TIMEOUT)
        if task.done() and not task.cancelled():
            return task.result()
        self._forget()
        return Finding(False, f"no answer within {CHECK_TIMEOUT:g} s")

    async def close(self) -> None:
        """Wait briefly for the check that still runs."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CHECK_TIMEOUT / 2)

    def _join_or_begin(self) -> asyncio.Task[Finding]:
        now = asyncio.get_running_loop().time()
        if self._newest is not None and not self._newest.done():
            if now < self._begun + STUCK_AFTER:
                return self._newest
            # Cancel it only once: SQLite's driver never ends if it is cancelled while it closes.
            self._newest.cancel()
        self._begun = now
        self._newest = asyncio.create_task(self._caught())
        self._tasks.add(self._newest)
        self._newest.add_done_callback(self._tasks.discard)
        return self._newest

    async def _caught(self) -> Finding:
        try:
            return await self._check()
        except Exception as error:  # whatever it is: this part is unhealthy, and the others must still be reported
            self._forget()
            # The error's text may contain the database's URL and other secrets.
            return Finding(False, type(error).__name__)

    def _forget(self) -> None:
        """Show NaN instead of an outdated number."""
        for gauge in self._gauges:
            gauge.set(math.nan)
