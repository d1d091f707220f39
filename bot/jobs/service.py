"""Accepts jobs, runs them in the order of the fair queue, and delivers one ending for each.

Several processes can share one database. Each owns the jobs that it accepted: only the owner edits their replies,
begins them and delivers their endings. A process renews its lease every :data:`RENEW_EVERY` seconds. When a lease
expires, other processes adopt the jobs (see :mod:`bot.jobs.database.leases`). Every change of a job is guarded by its
owner's id, so a process that lost its lease can't change the job any more.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from tenacity.wait import wait_base

from bot.jobs.acts import Acts
from bot.jobs.admission import Admission
from bot.jobs.database.acknowledged import Acknowledged
from bot.jobs.database.connect import is_full
from bot.jobs.database.leases import LEASE
from bot.jobs.database.store import Store
from bot.jobs.errors import (
    AlreadyAccepted,
    Blocked,
    Closing,
    Draining,
    JobExpired,
    JobUnreadable,
    NotFailed,
    PictureRejected,
    Role,
    roles_of,
)
from bot.jobs.model import FAILED, Actor, Job, Observer, Order, State, new_id
from bot.jobs.queue_positions import QueuePositions
from bot.jobs.replies import Replies, ReplyTo
from bot.jobs.retry import BACK_OFF, Retry, failures_logged, repeat_every
from bot.jobs.rules import Controls, Policy, Quota
from bot.jobs.runner import JobRunner
from bot.jobs.storage import Storage
from bot.telemetry import metrics
from engine.errors import PictureError, StorageFull
from engine.executor.api import Executor
from engine.recipe import Inputs

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

POLL_EVERY: Final = 1.0
"""Seconds between two polls of the database for the changes of other processes."""
POLLING: Final = 0.5
"""The largest share of its time that a process spends on polls. A poll takes O(number of jobs)."""
RENEW_EVERY: Final = 2.0
SWEEP_EVERY: Final = 600.0
CLOSE_WITHIN: Final = 7.0
"""Seconds for paintings to reach a checkpoint when the bot shuts down."""
AHEAD: Final = 0.1
"""The share of the slots for which jobs begin early, so that no worker waits for the next poll."""


def saturated(number: int, jobs: int, slots: int) -> bool:
    """Whether the job that begins as the ``number``-th of so many takes an idle worker even if a busy one is faster.

    While jobs wait for a slot, an idle worker is a loss for them. With fewer jobs than slots, each may wait for the
    worker that finishes it soonest.
    """
    return number >= slots and jobs > slots


class JobService(Acts):
    """See :class:`bot.jobs.api.Jobs`. Jobs are painted while :meth:`run` runs."""

    def __init__(
        self,
        store: Store,
        storage: Storage,
        executor: Executor,
        reply_to: ReplyTo,
        policy: Policy,
        back_off: wait_base = BACK_OFF,
    ) -> None:
        """``back_off`` is for retries with Discord, the database and the blob store."""
        self._store = store
        self._storage = storage
        self._executor = executor
        self._policy = policy
        self.process = new_id()
        """The id of this process in the database, new with each start."""
        self._closing = asyncio.Event()
        self._polled = 0.0
        """The time of the last poll, by the monotonic clock."""
        self._replies = Replies(reply_to, self._owns)
        self._retry = Retry(self._closing, back_off)
        self._runner = JobRunner(
            store, storage, executor, self._replies, self.process, policy.expire_after, self._retry
        )
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._take_over_from = 0.0
        """By the monotonic clock. Before this time, a live process may seem dead."""
        self._positions = QueuePositions()
        self._admission = Admission(store, self._open_jobs, policy.max_open, policy.max_per_day)
        self._controls = Controls(paused=True)
        """As of the last renewal of the lease. Nothing begins before the first one."""
        self._changed = asyncio.Event()

    @property
    def closing(self) -> bool:
        """Whether the bot shuts down and accepts no more jobs."""
        return self._closing.is_set()

    async def acknowledged(self, order: Acknowledged) -> None:
        """See :class:`bot.jobs.api.Jobs`."""
        with failures_logged("an acknowledgement could not be recorded"):
            await self._store.note(order, self.process)

    async def answered(self, order: str) -> None:
        """See :class:`bot.jobs.api.Jobs`."""
        with failures_logged("the record of an acknowledgement could not be removed"):
            await self._store.answered(order, self.process)

    @contextlib.asynccontextmanager
    async def admission(self, actor: Actor, order: str) -> AsyncIterator[None]:
        """See :class:`bot.jobs.api.Jobs`."""
        if self.closing:
            raise Closing
        async with self._admission.enter(actor, order):
            yield

    async def check(self, role: Role, picture: bytes, most_frames: int = 1) -> int:
        """See :class:`bot.jobs.api.Jobs`."""
        try:
            return await self._executor.check(picture, most_frames)
        except PictureError as error:
            raise PictureRejected(role, error) from error

    async def accept(self, order: Order, *, checked: Collection[Role] = ()) -> Job:
        """See :class:`bot.jobs.api.Jobs`."""
        new = [each for each in order.inputs if isinstance(each, bytes)]
        kept = [each for each in order.inputs if isinstance(each, str)]
        await self._storage.check_space(sum(map(len, new)))
        for role, picture in zip(roles_of(order.inputs), order.inputs, strict=True):
            if isinstance(picture, bytes) and role not in checked:
                await self.check(role, picture)
        rules = await self._store.guild_rules(order.guild_id)
        try:
            stored = iter(await self._storage.put_all(new))
            content, *others = (each if isinstance(each, str) else next(stored) for each in order.inputs)
            styles, mask = (others, None) if order.inputs.mask is None else (others[:-1], others[-1])
            job = Job(
                id=order.id,
                owner=order.owner,
                guild_id=order.guild_id,
                recipe=rules.limited(order.recipe),
                inputs=Inputs(content, tuple(styles), mask),
                address=order.address,
                description=order.description,
                max_bytes=order.max_bytes,
                spoiler=order.spoiler or rules.spoiler,
                parent=order.parent,
                action=order.action,
                locale=order.locale,
                state=State.QUEUED,
                created_at=datetime.now(UTC),
            )
            if self.closing:
                raise Closing
            # The database counts again: orders of one member may arrive at several processes.
            quota = Quota.of(rules, self._policy.max_per_day)
            await self._store.add(job, self.process, self._executor.cluster_id, self._policy.max_open, quota, kept=kept)
        except IntegrityError as error:
            raise AlreadyAccepted from error
        except SQLAlchemyError as error:
            raise (StorageFull() if is_full(error) else error) from error
        metrics.ACCEPTED.inc()
        self._replies.of(job)
        log.info("job accepted", job=job.id, owner=job.owner, recipe=job.recipe.id)
        self._changed.set()
        return job

    async def retry(self, job_id: str) -> Job:
        """Queue a failed job again, for an operator: as a new job of its owner, in the same reply.

        It counts towards the limits of its owner, as the failed one no longer does.

        Raises:
            NotKept: the job, or its pictures, are not stored any more.
            NotFailed, JobUnreadable: it has not failed, or its record is damaged.
            AlreadyPainting: it was queued again already.
            Blocked, Draining: the operators allow no order of its owner, or of anybody.
            AtelierError: what :meth:`accept` raises.
        """
        job = await self.get(job_id)
        if isinstance(job.cause, JobUnreadable):
            raise job.cause
        if job.state not in FAILED:
            raise NotFailed
        controls = await self._store.controls()
        if job.owner in controls.blocked:
            raise Blocked
        if controls.draining:
            raise Draining
        return await self.accept(job.ordered_again())

    def is_blocked(self, member: int) -> bool:
        """See :class:`bot.jobs.api.Jobs`."""
        return member in self._controls.blocked

    async def read_controls(self) -> None:
        """See :class:`bot.jobs.api.Jobs`."""
        before, self._controls = self._controls, await self._store.controls()
        if before.paused != self._controls.paused:
            self._positions = QueuePositions()  # every waiting member reads it
            self._changed.set()

    def observe(self, observer: Observer) -> None:
        """Call ``observer`` with the progress of every running job of this process."""
        self._runner.observers.append(observer)

    @property
    def painting(self) -> Collection[str]:
        """The ids of the jobs that this process paints now."""
        return self._runner.paintings.keys()

    async def run(self) -> None:
        """Run this process's jobs until cancelled. No failure ends it."""
        async with asyncio.TaskGroup() as group:
            with failures_logged("the lease could not be renewed"):
                await self._retry.change(partial(self._renew_lease, group))
            group.create_task(repeat_every(RENEW_EVERY, partial(self._renew_lease, group)))
            group.create_task(repeat_every(SWEEP_EVERY, self._storage.sweep))
            while True:
                self._changed.clear()
                began = time.monotonic()
                with failures_logged("a poll of the jobs failed"):
                    await self._poll(group)
                await asyncio.sleep((time.monotonic() - began) * (1 / POLLING - 1))
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: in Python 3.11 it swallows a cancellation that arrives together with the event.
                    async with asyncio.timeout(POLL_EVERY):
                        await self._changed.wait()

    async def close(self) -> None:
        """Accept no more jobs, pause every painting at a checkpoint, and release all jobs.

        Takes at most about :data:`CLOSE_WITHIN` seconds. A painting that takes longer resumes from an older checkpoint.
        """
        self._closing.set()
        pausing = [asyncio.ensure_future(painting.pause()) for painting in self._runner.paintings.values()]
        if tasks := [*pausing, *self._tasks.values()]:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_WITHIN)
            for task in late:
                task.cancel()
            await asyncio.wait(tasks, timeout=1.0)
        await self._replies.keep(())
        with failures_logged("the jobs could not be released"):
            await self._store.leave(self.process)

    async def _open_jobs(self, owner: int) -> dict[str, int | None]:
        """A member's open jobs and their servers. A job whose row can't be read doesn't count, and fails now."""
        sound = dict[str, int | None]()
        for job in await self._store.open_jobs(owner):
            if isinstance(job.cause, JobUnreadable):
                await self._store.give_up(job.id, job.cause)
                self._changed.set()
            else:
                sound[job.id] = job.guild_id
        return sound

    async def _poll(self, group: asyncio.TaskGroup) -> None:
        """Read this process's jobs from the database, and start or stop tasks accordingly."""
        if self.closing:
            return
        began = time.monotonic()
        mine = await self._store.owned(self.process)
        for job_id, task in list(self._tasks.items()):
            state = mine.get(job_id)
            if state is None and self._replies.get(job_id):
                # The lease expired and another process adopted the job: it has not ended here.
                log.warning("job lost to another process", job=job_id)
                task.cancel()
            elif (painting := self._runner.paintings.get(job_id)) and (
                state is State.DELIVERING or (state is State.QUEUED and await self._begins_again(job_id))
            ):
                await painting.cancel()
            elif state is State.DELIVERING and (woken := self._runner.backing_off.get(job_id)):
                woken.set()
        await self._replies.keep(mine.keys())
        self._polled = began
        for job_id in await self._store.finishing(self.process):
            if painting := self._runner.paintings.get(job_id):
                await painting.finish_early()
        for job_id, state in mine.items():
            if job_id in self._tasks:
                continue
            if state is State.DELIVERING:
                self._start(group, job_id, self._runner.deliver(job_id))
            elif state is State.RUNNING:  # its task failed
                await self._store.requeue(job_id, self.process)
        if State.QUEUED in mine.values():
            await self._begin_waiting(group)

    async def _begins_again(self, job_id: str) -> bool:
        """Whether a job that is painted was queued again, with another recipe. A poll may have read it before."""
        job = await self._store.get(job_id)
        return job is not None and job.state is State.QUEUED

    async def _renew_lease(self, group: asyncio.TaskGroup) -> None:
        """Renew the lease, adopt the jobs of dead processes, and give up expired jobs."""
        await self.read_controls()
        if not await self._store.renew(self.process):
            log.warning("the database's clock was changed")
            # By then, all live processes have renewed their leases.
            self._take_over_from = time.monotonic() + LEASE
        if self.closing:
            return
        cluster_id = self._executor.cluster_id
        if cluster_id:  # empty without a connection to the scheduler
            await self._store.move(self.process, cluster_id)
        if time.monotonic() >= self._take_over_from:
            if adopted := await self._store.adopt(self.process, cluster_id):
                metrics.RESUMED.inc(len(adopted))
                # One entry for all: there may be thousands.
                log.info("jobs adopted", jobs=len(adopted), first=adopted[0][0])
                self._changed.set()
            for order in await self._store.interrupted(self.process):
                if order.id not in self._tasks:
                    self._start(group, order.id, self._runner.apologise(order))
        expire_after = self._policy.expire_after.total_seconds()
        for job_id in await self._store.overdue(self.process, expire_after):
            await self._store.give_up(job_id, JobExpired(expire_after / 3600), self.process)
            self._changed.set()

    def _owns(self) -> bool:
        """Whether this process certainly still owns its jobs: see :data:`bot.jobs.database.leases.LEASE`.

        After a pause of the process, it is false until the next poll.
        """
        return time.monotonic() - self._polled < LEASE - RENEW_EVERY

    async def _begin_waiting(self, group: asyncio.TaskGroup) -> None:
        queue = await self._store.queue(self.process, self._executor.cluster_id)
        slots = await self._executor.slots()
        free = 0 if self._controls.paused else slots + int(slots * AHEAD) - queue.running
        jobs = queue.running + (queue.waiting[-1].position if queue.waiting else 0)
        begun, positions = 0, dict[str, int]()
        for waiting in queue.waiting:
            if waiting.id in self._runner.backing_off:
                free += 1  # it occupies no slot: the next job can begin
            elif waiting.id not in self._tasks:
                if waiting.position > free:
                    positions[waiting.id] = waiting.position - begun
                    continue
                idle_first = saturated(queue.running + waiting.position, jobs, slots)
                self._start(group, waiting.id, self._runner.begin(waiting.id, idle_first=idle_first))
            begun += 1
        await self._show_positions(positions, paused=self._controls.paused)

    async def _show_positions(self, positions: Mapping[str, int], *, paused: bool) -> None:
        fresh = {job_id for job_id in positions if self._replies.get(job_id)}
        due = self._positions.due(positions, fresh)
        for job in await self._store.jobs([job_id for job_id in due if job_id not in fresh]):
            if job.cause is not None:  # the row can't be read
                await self._store.give_up(job.id, job.cause, self.process)
                self._changed.set()
            else:
                self._replies.of(job)
        for job_id in due:
            reply = self._replies.get(job_id)
            if reply is None or job_id in self._tasks:
                continue
            if self._positions.take(job_id, positions[job_id], reply.bucket):
                reply.queued(positions[job_id], paused=paused)

    def _start(self, group: asyncio.TaskGroup, job_id: str, work: Awaitable[None]) -> None:
        async def working() -> None:
            with structlog.contextvars.bound_contextvars(job=job_id):
                try:
                    await work
                except Closing:
                    pass  # the next process continues the job
                except Exception:
                    # The process still owns the job: the next poll continues it.
                    log.exception("a task of a job failed")
                    await asyncio.sleep(POLL_EVERY)

        task = group.create_task(working())
        self._tasks[job_id] = task
        metrics.RUNNING.set(len(self._tasks))
        task.add_done_callback(partial(self._worked, job_id))

    def _worked(self, job_id: str, _task: asyncio.Task[None]) -> None:
        del self._tasks[job_id]
        metrics.RUNNING.set(len(self._tasks))
        self._changed.set()
