"""Replies that record what a member would see."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bot.jobs.errors import DeliveryDelayed
from bot.jobs.model import DeliveredBy, Ending, Job, State
from engine.progress import Progress

Deliver = Callable[[Ending], Awaitable[DeliveredBy]]


class FakeReply:
    """A :class:`bot.jobs.model.Reply` that records every call."""

    def __init__(self, job: Job, may_edit: Callable[[], bool], deliver: Deliver) -> None:
        self.job = job
        self.may_edit = may_edit
        self.calls: list[tuple[str, Any]] = []
        self.bucket = job.id
        self.posted = f"where job {job.id} was posted"
        self._deliver = deliver

    def queued(self, position: int, *, paused: bool = False) -> None:
        """See :class:`bot.jobs.model.Reply`."""
        self.calls.append(("paused" if paused else "queued", position))

    def renew(self, job: Job) -> None:
        """The recipe may have changed."""

    def progressed(self, progress: Progress) -> None:
        """See :class:`bot.jobs.model.Reply`."""
        self.calls.append(("progressed", progress))

    async def deliver(self, ending: Ending) -> DeliveredBy:
        """See :class:`bot.jobs.model.Reply`."""
        delivered_by = await self._deliver(ending)
        self.calls.append(("delivered", ending))
        return delivered_by

    async def ping(self, delivered_by: DeliveredBy, ending: State) -> None:
        """See :class:`bot.jobs.model.Reply`."""
        self.calls.append(("pinged", ending))

    async def close(self) -> None:
        """See :class:`bot.jobs.model.Reply`."""
        self.calls.append(("closed", None))

    @property
    def names(self) -> list[str]:
        """The names of all calls."""
        return [name for name, _ in self.calls]

    @property
    def positions(self) -> list[int]:
        """The positions in the queue that were shown."""
        return [position for name, position in self.calls if name == "queued"]

    @property
    def endings(self) -> list[Ending]:
        """The endings that were delivered."""
        return [ending for name, ending in self.calls if name == "delivered"]


@dataclass
class FakeReplies:
    """Makes a :class:`FakeReply` for each job: a :data:`bot.jobs.replies.ReplyTo`."""

    made: list[FakeReply] = field(default_factory=list)
    deliver: Deliver | None = None
    """The function that delivers. By default it succeeds."""

    def __call__(self, job: Job, may_edit: Callable[[], bool]) -> FakeReply:
        """Make a reply."""

        async def deliver(ending: Ending) -> DeliveredBy:
            return "token" if self.deliver is None else await self.deliver(ending)

        self.made.append(FakeReply(job, may_edit, deliver))
        return self.made[-1]

    def hold(self, delivered_by: DeliveredBy) -> asyncio.Event:
        """Make every delivery wait for the returned event."""
        may_arrive = asyncio.Event()

        async def deliver(_: Ending) -> DeliveredBy:
            await may_arrive.wait()
            return delivered_by

        self.deliver = deliver
        return may_arrive

    def of(self, job: Job) -> FakeReply:
        """The newest reply of a job."""
        return next(reply for reply in reversed(self.made) if reply.job.id == job.id)

    def endings(self, job: Job) -> list[Ending]:
        """Every delivered ending of a job, from all of its replies."""
        return [ending for reply in self.made if reply.job.id == job.id for ending in reply.endings]


async def discord_is_unavailable(_: Ending) -> DeliveredBy:
    """A delivery that fails and can be repeated."""
    raise DeliveryDelayed("Discord is unavailable")
