"""What members can look at later: pages of their jobs, thumbnails, comparisons, timelapses and recipes."""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Literal

import structlog

from bot.jobs.database.history import Position
from bot.jobs.database.store import Store
from bot.jobs.errors import JobEnded, JobUnreadable, NotYourJob, RecipeNotFound, TimelapseUnavailable
from bot.jobs.model import HistoryPage, Job, State
from bot.jobs.retry import failures_logged
from bot.jobs.storage import Storage
from engine.errors import BlobLost
from engine.executor.api import Executor
from engine.images.compositions import Composition
from engine.progress import THUMBNAIL_BYTES

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

THUMBNAILS_WITHIN: Final = 2.0
"""Seconds to read the thumbnails of a page. It is shown without those that a slow blob store still holds back."""
LEAST_FRAMES: Final = 2
"""A timelapse has at least this many frames before the painting itself."""
_RECIPE_ID: Final = re.compile("[0-9a-f]{8}")
_JOB_ID: Final = re.compile("[0-9a-f]{16}")


class JobHistory:
    """See :class:`bot.jobs.api.History`."""

    def __init__(self, store: Store, storage: Storage, executor: Executor) -> None:
        self._store = store
        self._storage = storage
        self._executor = executor
        self._making: dict[str, asyncio.Task[None]] = {}
        """The thumbnails that workers make now, by the jobs' ids."""

    async def page(
        self,
        owner: int,
        limit: int,
        *,
        older_than: Position | None = None,
        newer_than: Position | None = None,
    ) -> HistoryPage:
        """See :class:`bot.jobs.api.History`."""
        ids = await self._store.history(owner, limit + 1, older_than=older_than, newer_than=newer_than)
        more = len(ids) > limit
        if (newer_than is not None and not more) or (older_than is not None and not ids):
            # The first page has always the newest jobs, even if some were added or removed meanwhile. It also stands
            # in for a page whose jobs were all removed.
            return await self.page(owner, limit)
        jobs = await self._in_order(ids[-limit:] if newer_than is not None else ids[:limit])
        first = 1
        if jobs and (newer_than or older_than):
            first += await self._store.count_newer(owner, Position(jobs[0].created_at, jobs[0].id))
        return HistoryPage(jobs, first, older=more or newer_than is not None)

    async def thumbnails(self, jobs: Iterable[Job]) -> Mapping[str, bytes]:
        """See :class:`bot.jobs.api.History`."""
        reading = {job.id: asyncio.create_task(self._stored_thumbnail(job)) for job in jobs if job.painted is not None}
        if reading:
            await asyncio.wait(reading.values(), timeout=THUMBNAILS_WITHIN)
        return {job_id: data for job_id, task in reading.items() if task.done() and (data := task.result())}

    async def comparison(self, job_id: str, member: int, max_bytes: int) -> tuple[Job, bytes]:
        """See :class:`bot.jobs.api.History`."""
        job = await self._finished(job_id, member)
        return job, await self._composed("comparison", max_bytes, job.inputs.content, _painted(job))

    async def timelapse(
        self, job_id: str, member: int, format: Literal["webp", "gif"], max_bytes: int
    ) -> tuple[Job, bytes]:
        """See :class:`bot.jobs.api.History`."""
        job = await self._finished(job_id, member)
        if len(job.frames) < LEAST_FRAMES:
            raise TimelapseUnavailable
        frames = [job.frames[number] for number in sorted(job.frames)]
        return job, await self._composed(format, max_bytes, *frames, _painted(job))

    async def recipe(self, text: str, member: int, guild_id: int | None) -> Job:
        """See :class:`bot.jobs.api.History`."""
        wanted = text.strip().strip("`").lower()
        job_id: str | None = None
        if _JOB_ID.fullmatch(wanted):
            job_id = wanted
        elif _RECIPE_ID.fullmatch(wanted):
            job_id = await self._store.of_recipe(wanted, member, guild_id)
        job = None if job_id is None else await self._store.get(job_id)
        if job is None or not _may_see_recipe(job, member, guild_id):
            raise RecipeNotFound
        if isinstance(job.cause, JobUnreadable):
            raise job.cause
        return job

    async def search(self, owner: int, text: str, limit: int) -> list[Job]:
        """See :class:`bot.jobs.api.History`."""
        return await self._in_order(await self._store.search(owner, text.strip().strip("`"), limit))

    def _made(self, job_id: str, _task: asyncio.Task[None]) -> None:
        del self._making[job_id]

    async def _in_order(self, ids: Sequence[str]) -> list[Job]:
        found = {job.id: job for job in await self._store.jobs(ids)}
        return [found[job_id] for job_id in ids if job_id in found]

    async def _finished(self, job_id: str, member: int) -> Job:
        job = await self._store.get(job_id)
        if job is None:
            raise JobEnded
        if job.owner != member:
            raise NotYourJob
        if job.painted is None:
            raise JobEnded
        return job

    async def _stored_thumbnail(self, job: Job) -> bytes | None:
        """The stored thumbnail. If there is none, a worker begins to make it."""
        with failures_logged("a thumbnail could not be read"):
            if job.thumbnail is not None:
                with suppress(BlobLost):
                    return await self._storage.get(job.thumbnail)
            if job.id not in self._making:
                self._making[job.id] = task = asyncio.create_task(self._make_thumbnail(job))
                task.add_done_callback(partial(self._made, job.id))
        return None

    async def _make_thumbnail(self, job: Job) -> None:
        with failures_logged("a thumbnail could not be made"):
            data = await self._composed("thumbnail", THUMBNAIL_BYTES, _painted(job))
            await self._storage.check_space(len(data))
            await self._store.set_thumbnail(job.id, await self._storage.put(data))

    async def _composed(self, kind: Composition, max_bytes: int, *pictures: str) -> bytes:
        return await self._executor.compose(kind, *pictures, max_bytes=max_bytes)


def _painted(job: Job) -> str:
    if job.painted is None:
        raise JobEnded
    return job.painted.picture


def _may_see_recipe(job: Job, member: int, guild_id: int | None) -> bool:
    """Members see the recipes of their own jobs, and of results in their server: the captions there name them."""
    in_the_server = guild_id is not None and job.guild_id == guild_id and job.state is State.DELIVERED
    return job.owner == member or in_the_server
