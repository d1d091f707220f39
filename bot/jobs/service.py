"""Accepts jobs, has them painted in turn, and follows each to its one end.

Several processes may do so on one database. Each looks after the jobs that it accepted: it alone edits their replies,
begins them and tells how they ended. It renews its lease every :data:`ALIVE_EVERY` seconds. When a lease runs out, the
others adopt the jobs (see :mod:`bot.jobs.database.fair_queue`). Every change of a job names the process that makes it,
so that a process that was only slow finds out before it does harm.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from tenacity.wait import wait_base

from bot.jobs.database.acknowledged import Acknowledged
from bot.jobs.database.connect import is_full
from bot.jobs.database.leases import LEASE
from bot.jobs.database.store import Store
from bot.jobs.errors import (
    AlreadyAccepted,
    Closing,
    JobEnded,
    JobExpired,
    JobUnreadable,
    NotYourJob,
    PictureRejected,
    Role,
    TooManyJobs,
    style_role,
)
from bot.jobs.model import Job, Observer, Order, State, new_id
from bot.jobs.queue_positions import QueuePositions
from bot.jobs.replies import Replies, ReplyTo
from bot.jobs.retry import BACK_OFF, Retry, failures_logged, repeat_every
from bot.jobs.runner import JobRunner
from bot.jobs.storage import Storage
from bot.telemetry import metrics
from engine.errors import PaintingCancelled, PictureError, StorageFull
from engine.executor.api import Executor
from engine.recipe import Inputs

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

ADMITTED_AT_ONCE: Final = 4
"""Orders whose pictures are in memory."""
LOOK_EVERY: Final = 1.0
"""Seconds until it is noticed what other processes did: cancelled, went away, took a place in line."""
LOOKING: Final = 0.5
"""Share of its time that a process spends looking at most: a look costs as much as there are jobs."""
ALIVE_EVERY: Final = 2.0
SWEEP_EVERY: Final = 600.0
CLOSE_WITHIN: Final = 7.0
"""Seconds for paintings to reach a checkpoint when the bot goes down."""
AHEAD: Final = 0.1
"""Share of the slots for which jobs are begun early, so that no worker waits for a process to look."""


def saturated(number: int, jobs: int, slots: int) -> bool:
    """Whether the job that begins as the ``number``-th of so many takes an idle worker even if a busy one is faster.

    While jobs wait for a slot, an idle worker is a loss for them. With fewer jobs than slots, each may wait for the
    worker that finishes it soonest.
    """
    return number >= slots and jobs > slots


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decides about jobs."""

    max_open: int = 3
    """Open jobs of one member."""
    expire_after: timedelta = timedelta(hours=24)
    """A job that has not ended after that time is given up. Time without any bot process doesn't count."""
    back_off: wait_base = BACK_OFF
    """Before the next attempt of what failed, for Discord, the database and the blob store alike."""


class JobService:
    """The service that commands and buttons talk to. :meth:`run` must be running for anything to be painted."""

    def __init__(self, store: Store, storage: Storage, executor: Executor, reply_to: ReplyTo, policy: Policy) -> None:
        self._store = store
        self._storage = storage
        self._executor = executor
        self._policy = policy
        self.process = new_id()
        """The name of this process in the database, new with each start."""
        self._closing = asyncio.Event()
        self._looked = 0.0
        """When, by the monotonic clock, this process last knew which jobs are its own."""
        self._replies = Replies(reply_to, self._owns)
        self._retry = Retry(self._closing, policy.back_off)
        self._runner = JobRunner(
            store, storage, executor, self._replies, self.process, policy.expire_after, self._retry
        )
        self._working: dict[str, asyncio.Task[None]] = {}
        self._take_over_from = 0.0
        """By the monotonic clock. Until then, a process that is alive may seem dead."""
        self._positions = QueuePositions()
        self._accepting: dict[str, int] = {}
        """The owners of the orders that are being accepted, by the orders' ids. They count towards the limit."""
        self._admitting = asyncio.Semaphore(ADMITTED_AT_ONCE)
        self._changed = asyncio.Event()

    @property
    def closing(self) -> bool:
        """Whether no more jobs are taken in."""
        return self._closing.is_set()

    async def acknowledged(self, order: Acknowledged) -> None:
        """Note that an order's member waits for an answer. If this process ends before it answers, another one does.

        :meth:`accept` and :meth:`answered` remove the note. If the database fails, the order goes on without a note.
        """
        with failures_logged("an acknowledgement could not be noted"):
            await self._store.note(order, self.process)

    async def answered(self, order: str) -> None:
        """Remove the note of an order whose member knows why it is not a job."""
        with failures_logged("the note of an acknowledgement could not be removed"):
            await self._store.answered(order, self.process)

    @contextlib.asynccontextmanager
    async def admission(self, owner: int, order: str) -> AsyncIterator[None]:
        """Hold this while a member's order is put together and accepted. It counts towards their limit from the start.

        So pictures that can't be accepted are not fetched, and at most :data:`ADMITTED_AT_ONCE` orders are in memory.

        Raises:
            Closing: the bot is going down.
            TooManyJobs: the member has as many open jobs as allowed.
        """
        if self.closing:
            raise Closing

        def accepting() -> set[str]:
            return {each for each, member in self._accepting.items() if member == owner}

        while True:
            before = accepting()
            # A union of ids, because an order is in both sets from its commit until it is accepted here.
            known = await self._open_jobs(owner) | accepting()
            # An order that left meanwhile may have been stored after the database was read: then read it again.
            if before <= known:
                break
        if len(known - {order}) >= self._policy.max_open:
            raise TooManyJobs(self._policy.max_open)
        self._accepting[order] = owner
        try:
            async with self._admitting:
                yield
        finally:
            self._accepting.pop(order, None)  # the same order may have arrived twice

    async def accept(self, order: Order) -> Job:
        """Check an order's pictures, store it and them, and queue it: committed when it returns.

        Raises:
            Closing: the bot is going down.
            PictureRejected: one of the pictures can't be used.
            TooManyJobs: the member has as many open jobs as allowed.
            AlreadyAccepted: this very order is a job already.
            StorageFull, StorageFailed: its pictures can't be kept.
            WorkerLost, NoWorkers: the pictures could not be looked at.
        """
        await self._storage.check_space(sum(map(len, order.inputs)))
        await self._check("content", order.inputs.content)
        for index, style in enumerate(order.inputs.styles):
            await self._check(style_role(index), style)
        try:
            content, *styles = await self._storage.put_all([*order.inputs])
            job = Job(
                id=order.id,
                owner=order.owner,
                guild_id=order.guild_id,
                recipe=order.recipe,
                inputs=Inputs(content, tuple(styles)),
                address=order.address,
                description=order.description,
                max_bytes=order.max_bytes,
                state=State.QUEUED,
                created_at=datetime.now(UTC),
            )
            if self.closing:
                raise Closing
            # The database counts as well: orders of one member may arrive at several processes.
            await self._store.add(job, self.process, self._executor.cluster_id, self._policy.max_open)
        except IntegrityError as error:
            raise AlreadyAccepted from error
        except SQLAlchemyError as error:
            raise (StorageFull() if is_full(error) else error) from error
        metrics.ACCEPTED.inc()
        self._replies.of(job)
        log.info("job accepted", job=job.id, owner=job.owner, recipe=job.recipe.id)
        self._changed.set()
        return job

    async def cancel(self, job_id: str, member: int) -> None:
        """End a job for its owner, whether it waits or is painted; its worker is free within seconds.

        Raises:
            NotYourJob: ``member`` is not its owner.
            JobEnded: it has ended already.
        """
        job = await self._store.get(job_id)
        if job is None:
            raise JobEnded
        if job.owner != member:
            raise NotYourJob
        if await self._store.give_up(job_id, PaintingCancelled()) is None:
            raise JobEnded
        log.info("job cancelled", job=job_id)
        if painting := self._runner.paintings.get(job_id):
            await painting.cancel()
        self._changed.set()

    def observe(self, observer: Observer) -> None:
        """Give ``observer`` the progress of every job that this process paints from now on."""
        self._runner.observers.append(observer)

    async def recent(self, owner: int, limit: int = 10) -> list[Job]:
        """A member's jobs, newest first, open and ended ones, for as long as they are kept."""
        return await self._store.recent(owner, limit)

    async def picture(self, job_id: str, member: int) -> tuple[Job, bytes]:
        """A finished painting, again.

        Raises:
            NotYourJob: ``member`` is not its owner.
            JobEnded: there is none, or no longer.
            BlobLost: it is gone from the disk.
        """
        job = await self._store.get(job_id)
        if job is None:
            raise JobEnded
        if job.owner != member:
            raise NotYourJob
        if job.painted is None:
            raise JobEnded
        return job, await self._storage.get(job.painted.picture)

    async def run(self) -> None:
        """Look after this process's jobs until cancelled. No failure ends it."""
        async with asyncio.TaskGroup() as group:
            with failures_logged("a process could not say that it is alive"):
                await self._retry.change(partial(self._live, group))
            group.create_task(repeat_every(ALIVE_EVERY, partial(self._live, group)))
            group.create_task(repeat_every(SWEEP_EVERY, self._storage.sweep))
            while True:
                self._changed.clear()
                began = time.monotonic()
                with failures_logged("jobs could not be looked after"):
                    await self._look(group)
                await asyncio.sleep((time.monotonic() - began) * (1 / LOOKING - 1))
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with a change.
                    async with asyncio.timeout(LOOK_EVERY):
                        await self._changed.wait()

    async def close(self) -> None:
        """Take nothing more in, bring every painting to a checkpoint, and let go of all jobs.

        Takes at most about :data:`CLOSE_WITHIN` seconds; a painting that takes longer goes on from an older checkpoint.
        """
        self._closing.set()
        pausing = [asyncio.ensure_future(painting.pause()) for painting in self._runner.paintings.values()]
        if tasks := [*pausing, *self._working.values()]:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_WITHIN)
            for task in late:
                task.cancel()
            await asyncio.wait(tasks, timeout=1.0)
        await self._replies.keep(())
        with failures_logged("jobs could not be let go"):
            await self._store.leave(self.process)

    async def _open_jobs(self, owner: int) -> set[str]:
        """The ids of a member's open jobs. Jobs whose row can't be read don't count, and are ended."""
        sound = set[str]()
        for job in await self._store.open_jobs(owner):
            if isinstance(job.cause, JobUnreadable):
                await self._store.give_up(job.id, job.cause)
                self._changed.set()
            else:
                sound.add(job.id)
        return sound

    async def _check(self, role: Role, picture: bytes) -> None:
        try:
            await self._executor.check(picture)
        except PictureError as error:
            raise PictureRejected(role, error) from error

    async def _look(self, group: asyncio.TaskGroup) -> None:
        """Bring what this process does in line with what the database says."""
        if self.closing:
            return
        began = time.monotonic()
        mine = await self._store.in_care(self.process)
        for job_id, task in list(self._working.items()):
            state = mine.get(job_id)
            if state is None and self._replies.get(job_id):
                # This process was silent for too long, and another has the job: it has not ended here.
                log.warning("job lost to another process", job=job_id)
                task.cancel()
            elif state is State.DELIVERING and (painting := self._runner.paintings.get(job_id)):
                await painting.cancel()
            elif state is State.DELIVERING and (resting := self._runner.resting.get(job_id)):
                resting.set()
        await self._replies.keep(mine.keys())
        self._looked = began
        for job_id, state in mine.items():
            if job_id in self._working:
                continue
            if state is State.DELIVERING:
                self._start(group, job_id, self._runner.deliver(job_id))
            elif state is State.RUNNING:  # its work ended in an exception
                await self._store.requeue(job_id, self.process)
        if State.QUEUED in mine.values():
            await self._begin_waiting(group)

    async def _live(self, group: asyncio.TaskGroup) -> None:
        """Say that this process is alive, and take over from those that are not."""
        if not await self._store.renew(self.process):
            log.warning("the database's clock was set")
            # By then the others have renewed.
            self._take_over_from = time.monotonic() + LEASE
        if self.closing:
            return
        cluster_id = self._executor.cluster_id
        if cluster_id:  # else the scheduler is away
            await self._store.move(self.process, cluster_id)
        if time.monotonic() >= self._take_over_from:
            if adopted := await self._store.adopt(self.process, cluster_id):
                metrics.RESUMED.inc(len(adopted))
                # One line for all: there may be thousands.
                log.info("jobs taken up", jobs=len(adopted), first=adopted[0][0])
                self._changed.set()
            for order in await self._store.interrupted(self.process):
                if order.id not in self._working:
                    self._start(group, order.id, self._runner.apologise(order))
        expire_after = self._policy.expire_after.total_seconds()
        for job_id in await self._store.overdue(self.process, expire_after):
            await self._store.give_up(job_id, JobExpired(expire_after / 3600), self.process)
            self._changed.set()

    def _owns(self) -> bool:
        """Whether this process may still take its jobs for its own: see :data:`bot.jobs.database.leases.LEASE`.

        A process that was stopped for a while may not, until it has looked.
        """
        return time.monotonic() - self._looked < LEASE - ALIVE_EVERY

    async def _begin_waiting(self, group: asyncio.TaskGroup) -> None:
        queue = await self._store.queue(self.process, self._executor.cluster_id)
        slots = await self._executor.slots()
        free = slots + int(slots * AHEAD) - queue.running
        jobs = queue.running + (queue.waiting[-1].position if queue.waiting else 0)
        begun, positions = 0, dict[str, int]()
        for waiting in queue.waiting:
            if waiting.id in self._runner.resting:
                free += 1  # the next job need not wait for it
            elif waiting.id not in self._working:
                if waiting.position > free:
                    positions[waiting.id] = waiting.position - begun
                    continue
                idle_first = saturated(queue.running + waiting.position, jobs, slots)
                self._start(group, waiting.id, self._runner.begin(waiting.id, idle_first=idle_first))
            begun += 1
        await self._show_positions(positions)

    async def _show_positions(self, positions: Mapping[str, int]) -> None:
        fresh = {job_id for job_id in positions if self._replies.get(job_id)}
        due = self._positions.due(positions, fresh)
        for job in await self._store.jobs([job_id for job_id in due if job_id not in fresh]):
            if job.cause is not None:  # its row can't be read
                await self._store.give_up(job.id, job.cause, self.process)
                self._changed.set()
            else:
                self._replies.of(job)
        for job_id in due:
            reply = self._replies.get(job_id)
            if reply is None or job_id in self._working:
                continue
            if self._positions.take(job_id, positions[job_id], reply.bucket):
                reply.queued(positions[job_id])

    def _start(self, group: asyncio.TaskGroup, job_id: str, work: Awaitable[None]) -> None:
        async def working() -> None:
            with structlog.contextvars.bound_contextvars(job=job_id):
                try:
                    await work
                except Closing:
                    pass  # the next process goes on with the job
                except Exception:
                    # The job is still in this process's care: the next look takes it up where it is.
                    log.exception("job could not be worked on")
                    await asyncio.sleep(LOOK_EVERY)

        task = group.create_task(working())
        self._working[job_id] = task
        metrics.RUNNING.set(len(self._working))
        task.add_done_callback(partial(self._worked, job_id))

    def _worked(self, job_id: str, _task: asyncio.Task[None]) -> None:
        del self._working[job_id]
        metrics.RUNNING.set(len(self._working))
        self._changed.set()
