"""Collects the state of the bot once a second for all open pages, and only while a page is open."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.jobs.database.overview import JobsAtAGlance
from bot.jobs.database.store import Store
from bot.jobs.retry import failures_logged
from bot.jobs.storage import Storage
from bot.web.health import Finding, Health
from bot.web.operator.live import LiveProgress
from bot.web.operator.snapshot import Disk, Snapshot, described
from engine.errors import AtelierError
from engine.executor.api import Executor
from engine.worker.protocol import WorkerInfo

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

T = TypeVar("T")

EVERY: Final = 1.0
"""Seconds between two states."""
SLOWLY_EVERY: Final = 5.0
"""Seconds between two looks at what changes slowly or costs more: health, disk, and the causes of failures."""
WITHIN: Final = 2.0
"""Seconds for an answer. A state without it says that it is missing."""
SHOWN: Final = 20
"""Jobs in each list."""
CAUSES_OF: Final = timedelta(hours=24)


class _Question(Generic[T]):
    """Asks one question at a time: one that hangs is not asked again before it ends."""

    def __init__(self, what: str, ask: Callable[[], Awaitable[T]]) -> None:
        self._what = what
        self._ask = ask
        self._task: asyncio.Future[T] | None = None

    async def answer(self) -> T | None:
        """The answer, or None if it fails or takes too long."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._ask())
        # No time-out that cancels: cancelling costs a database connection, and some code ignores it.
        await asyncio.wait([self._task], timeout=WITHIN)
        if not self._task.done():
            return None
        task, self._task = self._task, None
        try:
            return task.result()
        except (AtelierError, SQLAlchemyError, OSError) as error:
            log.info("the operator's page has no answer", of=self._what, reason=type(error).__name__)
        except Exception:
            log.exception("the operator's page has no answer", of=self._what)
        return None

    async def close(self) -> None:
        """Wait briefly for a question that still runs."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=WITHIN / 2)


class Collector:
    """The newest state. Pages wait for it with :meth:`next`."""

    def __init__(
        self,
        store: Store,
        storage: Storage,
        executor: Executor,
        health: Health,
        live: LiveProgress,
        process: str,
        *,
        pictures: bool,
    ) -> None:
        """``process`` is the id of this bot process in the database; ``pictures`` as in :class:`Snapshot`."""
        self.pages = 0
        """The number of open pages."""
        self._live = live
        self._storage = storage
        self._process = process
        self._pictures = pictures
        self._jobs: _Question[JobsAtAGlance] = _Question("the jobs", lambda: store.overview(SHOWN))
        self._workers: _Question[list[WorkerInfo]] = _Question("the workers", executor.workers)
        self._health: _Question[dict[str, Finding]] = _Question("health", health.examine)
        self._causes: _Question[Mapping[str, int]] = _Question("the causes", lambda: store.count_causes(CAUSES_OF))
        self._disk: _Question[Disk] = _Question("the disk", self._look_at_disk)
        self._slow: dict[str, Any] = {}
        self._slow_at = -SLOWLY_EVERY
        self._number = 0
        self._state: dict[bool, str] = {}
        self._changed = asyncio.Condition()
        self._hurry = asyncio.Event()
        self._closed = False
        self._collecting: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def page(self) -> AsyncIterator[int]:
        """Keep the state current within the context. Yields the number of the last state that is outdated."""
        self.pages += 1
        outdated = self._number - 1
        if self._collecting is None or self._collecting.done():
            self._collecting = asyncio.create_task(self._collect())
            outdated = self._number
        try:
            yield max(0, outdated)
        finally:
            self.pages -= 1
            if not self.pages:
                self.hurry()  # the collection ends at once

    async def next(self, after: int, *, acts: bool) -> tuple[int, str] | None:
        """Wait for a state that is newer than number ``after``. Returns its number and its JSON, None at the end.

        With ``acts``, it contains what only those may see who may act.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._number > after or self._closed)
            return None if self._closed else (self._number, self._state[acts])

    def hurry(self) -> None:
        """Collect the next state now, because something has changed."""
        self._hurry.set()

    async def close(self) -> None:
        """End the collection, and all pages."""
        self._closed = True
        async with self._changed:
            self._changed.notify_all()
        if self._collecting is not None:
            self._collecting.cancel()
            await asyncio.gather(self._collecting, return_exceptions=True)
        for question in (self._jobs, self._workers, self._health, self._causes, self._disk):
            await question.close()

    async def _collect(self) -> None:
        while self.pages:
            self._hurry.clear()
            with failures_logged("the state for the operator's page could not be collected"):
                snapshot = await self._look()
                state = {acts: json.dumps(described(snapshot, acts=acts)) for acts in (False, True)}
                async with self._changed:
                    self._number += 1
                    self._state = state
                    self._changed.notify_all()
            try:
                async with asyncio.timeout(EVERY):
                    await self._hurry.wait()
            except TimeoutError:
                pass

    async def _look(self) -> Snapshot:
        if (now := time.monotonic()) >= self._slow_at + SLOWLY_EVERY:
            self._slow_at = now
            health, causes, disk = await asyncio.gather(
                self._health.answer(), self._causes.answer(), self._disk.answer()
            )
            self._slow = {"health": health, "causes": causes, "disk": disk}
        jobs, workers = await asyncio.gather(self._jobs.answer(), self._workers.answer())
        return Snapshot(
            jobs=jobs,
            workers=workers,
            live=self._live,
            process=self._process,
            pictures=self._pictures,
            **self._slow,
        )

    async def _look_at_disk(self) -> Disk:
        return Disk(self._storage.used, await asyncio.to_thread(self._storage.free))
