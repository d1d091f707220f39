"""The public methods of the jobs' service, under what speaks to members: jobs are kept, and nothing paints them."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from bot.delivery.target import ReplyTarget
from bot.jobs.database.acknowledged import Acknowledged
from bot.jobs.errors import JobEnded, NotYourJob
from bot.jobs.model import OPEN, Job, Order, State
from engine.presets import Tier


class HeldJobs:
    """What was accepted lies in ``jobs``, newest last, its orders in ``orders`` and paintings in ``pictures``."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.jobs: dict[str, Job] = {}
        self.pictures: dict[str, bytes] = {}
        self.accepted = asyncio.Event()
        self.refusal: Exception | None = None
        """Raised by every method instead of doing anything."""

    def _refuse(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def acknowledged(self, order: Acknowledged) -> None:
        """As :meth:`bot.jobs.service.JobService.acknowledged`."""

    async def answered(self, order: str) -> None:
        """As :meth:`bot.jobs.service.JobService.answered`."""

    @asynccontextmanager
    async def admission(self, owner: int, order: str) -> AsyncIterator[None]:
        """As :meth:`bot.jobs.service.JobService.admission`, for everybody."""
        yield

    async def accept(self, order: Order) -> Job:
        """Keep an order."""
        self._refuse()
        self.orders.append(order)
        self.accepted.set()
        return self.hold(
            Job(
                id=order.id,
                owner=order.owner,
                recipe=order.recipe,
                content="c0",
                styles=("51",),
                address=order.address,
                description=order.description,
                max_bytes=order.max_bytes,
                state=State.QUEUED,
                created_at=datetime.now(UTC),
            )
        )

    def hold(self, job: Job, **changes: Any) -> Job:
        """Keep a job as it is, or changed."""
        job = dataclasses.replace(job, **changes)
        self.jobs[job.id] = job
        return job

    async def cancel(self, job_id: str, member: int) -> None:
        """As :meth:`bot.jobs.service.JobService.cancel`."""
        self._refuse()
        job = self._owned(job_id, member)
        if job.state not in OPEN:
            raise JobEnded
        self.hold(job, state=State.CANCELLED)

    async def recent(self, owner: int, limit: int = 10) -> list[Job]:
        """As :meth:`bot.jobs.service.JobService.recent`."""
        self._refuse()
        return [job for job in reversed(self.jobs.values()) if job.owner == owner][:limit]

    async def picture(self, job_id: str, member: int) -> tuple[Job, bytes]:
        """As :meth:`bot.jobs.service.JobService.picture`."""
        self._refuse()
        job = self._owned(job_id, member)
        if job_id not in self.pictures:
            raise JobEnded
        return job, self.pictures[job_id]

    def _owned(self, job_id: str, member: int) -> Job:
        if job_id not in self.jobs:
            raise JobEnded
        if self.jobs[job_id].owner != member:
            raise NotYourJob
        return self.jobs[job_id]


class HeldExecutor:
    """Says what a quality means, and paints nothing."""

    async def tier(self) -> Tier:
        """As :meth:`engine.executor.api.Executor.tier`."""
        return "cpu-float32"


def moved(job: Job, **changes: Any) -> Job:
    """The job with its reply at another address."""
    address = ReplyTarget.model_validate_json(job.address).model_copy(update=changes)
    return dataclasses.replace(job, address=address.model_dump_json())
