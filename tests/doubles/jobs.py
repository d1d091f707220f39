"""A service of jobs that stores orders in memory and paints nothing."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert

from bot.jobs import errors
from bot.jobs.database.acknowledged import Acknowledged
from bot.jobs.database.claims import Owner, claim
from bot.jobs.database.history import role_of
from bot.jobs.database.job_rows import result_columns
from bot.jobs.database.store import Store
from bot.jobs.database.tables import JobRow
from bot.jobs.errors import JobEnded, NotBegun, NotKept, NotYourJob, Role, StillOpen
from bot.jobs.model import OPEN, Actor, Job, Order, State
from engine.recipe import Inputs, Where


async def insert_job(store: Store, job: Job) -> Job:
    """Store a job in any state, as the service would have stored it."""
    row = {
        "id": job.id,
        "owner": job.owner,
        "guild_id": job.guild_id,
        "state": job.state,
        "process": "",
        "cluster_id": "",
        "turn": 0,
        "recipe": job.recipe.model_dump_json(),
        "recipe_id": job.painted_recipe.id,
        "address": "",
        "description": job.description,
        "max_bytes": job.max_bytes,
        "spoiler": job.spoiler,
        "cause": "" if job.cause is None else errors.dump(job.cause),
        "delivered_by": job.delivered_by or "",
        "created_at": job.created_at,
        "changed_at": job.created_at,
    }
    blobs = {"content": job.inputs.content} | {f"style-{index}": name for index, name in enumerate(job.inputs.styles)}
    if job.inputs.mask is not None:
        blobs["mask"] = job.inputs.mask
    if job.painted is not None:
        blobs["painted"] = job.painted.picture
    if job.thumbnail is not None:
        blobs["thumbnail"] = job.thumbnail
    blobs |= {role_of(number): name for number, name in job.frames.items()}
    async with store._changing() as connection:
        await connection.execute(insert(JobRow).values(**row | result_columns(job.painted)))
        await claim(connection, Owner("job", job.id), blobs)
    return job


class FakeJobs:
    """A :class:`bot.jobs.api.Jobs`."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        """The accepted orders, newest last."""
        self.checked: set[Role] = set()
        """The roles of the newest order whose pictures need no check."""
        self.jobs: dict[str, Job] = {}
        """By id, newest last."""
        self.pictures: dict[str, bytes] = {}
        """The finished pictures, by the ids of their jobs."""
        self.actors: list[Actor] = []
        """Who asked for admission, newest last."""
        self.blocked: set[int] = set()
        """The ids of blocked members."""
        self.accepted = asyncio.Event()
        self.refusal: Exception | None = None
        """Raised by the methods that change or read jobs."""

    def _refuse(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def acknowledged(self, order: Acknowledged) -> None:
        """See :class:`bot.jobs.api.Jobs`."""

    async def answered(self, order: str) -> None:
        """See :class:`bot.jobs.api.Jobs`."""

    @asynccontextmanager
    async def admission(self, actor: Actor, order: str) -> AsyncIterator[None]:
        """See :class:`bot.jobs.api.Jobs`."""
        self.actors.append(actor)
        yield

    def is_blocked(self, member: int) -> bool:
        """See :class:`bot.jobs.api.Jobs`."""
        return member in self.blocked

    async def read_controls(self) -> None:
        """See :class:`bot.jobs.api.Jobs`."""

    async def check(self, role: Role, picture: bytes, most_frames: int = 1) -> int:
        """Every picture is fine, and none moves."""
        return 1

    async def accept(self, order: Order, *, checked: Collection[Role] = ()) -> Job:
        """See :class:`bot.jobs.api.Jobs`."""
        self._refuse()
        self.orders.append(order)
        self.checked = set(checked)
        self.accepted.set()
        return self.hold(
            Job(
                id=order.id,
                owner=order.owner,
                guild_id=order.guild_id,
                recipe=order.recipe,
                inputs=Inputs("c0", ("51",)),
                parent=order.parent,
                action=order.action,
                address=order.address,
                description=order.description,
                locale=order.locale,
                max_bytes=order.max_bytes,
                spoiler=order.spoiler,
                state=State.QUEUED,
                created_at=datetime.now(UTC),
            )
        )

    def hold(self, job: Job, **changes: Any) -> Job:
        """Store a job with changes."""
        job = dataclasses.replace(job, **changes)
        self.jobs[job.id] = job
        return job

    async def cancel(self, job_id: str, actor: Actor) -> None:
        """See :class:`bot.jobs.api.Jobs`."""
        self._refuse()
        job = self._owned(job_id, actor, moderated=True)
        if job.state not in OPEN:
            raise JobEnded
        self.hold(job, state=State.CANCELLED)

    async def get(self, job_id: str) -> Job:
        """See :class:`bot.jobs.api.Jobs`."""
        self._refuse()
        if job_id not in self.jobs:
            raise NotKept
        return self.jobs[job_id]

    async def finish(self, job_id: str, actor: Actor) -> None:
        """See :class:`bot.jobs.api.Jobs`."""
        job = self._owned(job_id, actor)
        if job.state is not State.RUNNING:
            raise NotBegun if job.state is State.QUEUED else JobEnded
        self.hold(job, finishing=True)

    async def change_part(self, job_id: str, actor: Actor, where: Where, spread: float) -> None:
        """See :class:`bot.jobs.api.Jobs`."""
        job = self._owned(job_id, actor)
        if job.state not in {State.QUEUED, State.RUNNING}:
            raise JobEnded
        self.hold(job, recipe=job.recipe.model_copy(update={"where": where, "spread": spread}))

    async def toggle_ping(self, job_id: str, actor: Actor) -> bool:
        """See :class:`bot.jobs.api.Jobs`."""
        job = self._owned(job_id, actor)
        if job.state not in OPEN:
            raise JobEnded
        return self.hold(job, pings=not job.pings).pings

    async def delete(self, job_id: str, actor: Actor) -> Job:
        """See :class:`bot.jobs.api.Jobs`."""
        if self._owned(job_id, actor, moderated=True).state in OPEN:
            raise StillOpen
        return self.jobs.pop(job_id)

    async def picture(self, job_id: str, member: int) -> tuple[Job, bytes]:
        """See :class:`bot.jobs.api.Jobs`."""
        self._refuse()
        job = self._owned(job_id, Actor(member))
        if job_id not in self.pictures:
            raise JobEnded
        return job, self.pictures[job_id]

    def _owned(self, job_id: str, actor: Actor, *, moderated: bool = False) -> Job:
        job = self.jobs.get(job_id)
        if job is None:
            raise JobEnded
        if job.owner != actor.id and not (moderated and actor.moderates_job(job)):
            raise NotYourJob(moderated=moderated)
        return job
