"""What members and operators do with jobs that are accepted. A member's right to do so is checked here."""

import asyncio

import structlog

from bot.jobs.database.store import Store
from bot.jobs.errors import (
    CancelledByModerator,
    CancelledByOperator,
    JobEnded,
    NotBegun,
    NotKept,
    NotYourJob,
    StillOpen,
)
from bot.jobs.model import Actor, Job, State
from bot.jobs.runner import JobRunner
from bot.jobs.storage import Storage
from engine.errors import PaintingCancelled
from engine.recipe import Recipe, Where

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Acts:
    """A part of :class:`bot.jobs.service.JobService`."""

    _store: Store
    _storage: Storage
    _runner: JobRunner
    _changed: asyncio.Event

    async def finish(self, job_id: str, actor: Actor) -> None:
        """See :class:`bot.jobs.api.Jobs`."""
        job = await self._job(job_id, actor)
        if not await self._store.set_finishing(job_id):
            raise NotBegun if job.state is State.QUEUED else JobEnded
        log.info("job finishes early", job=job_id)
        if painting := self._runner.paintings.get(job_id):  # else its process reads it from the database
            await painting.finish_early()

    async def change_part(self, job_id: str, actor: Actor, where: Where, spread: float) -> None:
        """See :class:`bot.jobs.api.Jobs`."""
        job = await self._job(job_id, actor)
        if (where, spread) == (job.recipe.where, job.recipe.spread):
            return  # pressed twice
        # Values of a forged custom id are checked, too.
        part = {"where": where, "spread": spread, "continues": ""}
        recipe = Recipe.model_validate(job.recipe.model_dump() | part)
        if not await self._store.set_recipe(job_id, recipe):
            raise JobEnded
        log.info("job begins again", job=job_id, recipe=recipe.id)
        if painting := self._runner.paintings.get(job_id):  # else its process reads it from the database
            await painting.cancel()
        self._changed.set()

    async def toggle_ping(self, job_id: str, actor: Actor) -> bool:
        """See :class:`bot.jobs.api.Jobs`."""
        await self._job(job_id, actor)
        if (pings := await self._store.set_pings(job_id)) is None:
            raise JobEnded
        return pings

    async def delete(self, job_id: str, actor: Actor) -> Job:
        """See :class:`bot.jobs.api.Jobs`."""
        job = await self._job(job_id, actor, moderated=True)
        if (blobs := await self._store.remove(job_id)) is None:
            raise StillOpen
        log.info("job deleted", job=job_id)
        await self._storage.forget(blobs)
        return job

    async def cancel(self, job_id: str, actor: Actor) -> None:
        """See :class:`bot.jobs.api.Jobs`."""
        job = await self._job(job_id, actor, moderated=True)
        await self._cancel(job_id, PaintingCancelled() if job.owner == actor.id else CancelledByModerator())

    async def cancel_as_operator(self, job_id: str) -> None:
        """Cancel an open job, and tell its owner.

        Raises:
            JobEnded: it has ended already.
        """
        await self._cancel(job_id, CancelledByOperator())

    async def _cancel(self, job_id: str, cause: PaintingCancelled) -> None:
        if await self._store.give_up(job_id, cause) is None:
            raise JobEnded
        log.info("job cancelled", job=job_id)
        if painting := self._runner.paintings.get(job_id):
            await painting.cancel()
        self._changed.set()

    async def get(self, job_id: str) -> Job:
        """See :class:`bot.jobs.api.Jobs`."""
        if (job := await self._store.get(job_id)) is None:
            raise NotKept
        return job

    async def picture(self, job_id: str, member: int) -> tuple[Job, bytes]:
        """See :class:`bot.jobs.api.Jobs`."""
        job = await self._job(job_id, Actor(member))
        if job.painted is None:
            raise JobEnded
        return job, await self._storage.get(job.painted.picture)

    async def _job(self, job_id: str, actor: Actor, *, moderated: bool = False) -> Job:
        """The job, if the actor may act on it: its owner may, and with ``moderated`` the moderators of its server.

        Raises:
            NotYourJob: the actor may not.
            JobEnded: it is not stored any more.
        """
        job = await self._store.get(job_id)
        if job is None:
            raise JobEnded
        if job.owner != actor.id and not (moderated and actor.moderates_job(job)):
            raise NotYourJob(moderated=moderated)
        return job
