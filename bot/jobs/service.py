"""Accepts jobs, has them painted in turn, and follows each to its one end."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from bot.jobs.errors import JobEnded, NotYourJob, PictureRejected, Role, TooManyJobs, UnexpectedError
from bot.jobs.files import JobFiles
from bot.jobs.job import OPEN, Job, Order, Reply, State, new_id
from bot.jobs.queue import FairQueue
from bot.jobs.store import Store
from engine.errors import AtelierError, PictureError
from engine.executor import Executor

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

LOOK_FOR_WORKERS: Final = 5.0
"""Seconds after which a cluster that has grown or shrunk is noticed."""


class Jobs:
    """The service that commands and buttons talk to. :meth:`run` must be running for anything to be painted."""

    def __init__(
        self,
        store: Store,
        files: JobFiles,
        executor: Executor,
        reply_to: Callable[[Job], Reply],
        max_jobs_per_member: int,
    ) -> None:
        self._store = store
        self._files = files
        self._executor = executor
        self._reply_to = reply_to
        self._max_jobs_per_member = max_jobs_per_member
        self._queue = FairQueue()
        self._jobs: dict[str, Job] = {}
        self._replies: dict[str, Reply] = {}
        self._places: dict[str, int] = {}
        """What the waiting were told last: each telling is an edit, so none is told twice."""
        self._working: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._accepting: Counter[int] = Counter()
        """Orders of each member that are being checked and not stored yet: they count towards the limit."""
        self._counting = asyncio.Lock()
        """Held where an order turns from accepting to stored and where both are counted, so that none counts 0 or 2."""

    async def accept(self, order: Order) -> Job:
        """Check an order's pictures and limits, store it, and queue it.

        Raises:
            PictureRejected: one of the pictures can't be used.
            TooManyJobs: the member has as many open jobs as allowed.
            WorkerLost: a picture crashed the decoder.
        """
        async with self._counting:
            open_jobs = await self._store.count_open(order.owner) + self._accepting[order.owner]
            if open_jobs >= self._max_jobs_per_member:
                raise TooManyJobs(self._max_jobs_per_member)
            self._accepting[order.owner] += 1
        try:
            await self._check("content", order.content)
            for style in order.styles:
                await self._check("style", style)
            job = Job(
                id=new_id(),
                owner=order.owner,
                recipe=order.recipe,
                address=order.address,
                description=order.description,
                max_bytes=order.max_bytes,
                state=State.QUEUED,
            )
            try:
                await self._files.save_inputs(job.id, order.content, order.styles)
                # No other coroutine runs between the lock's release and the end of this block.
                async with self._counting:
                    await self._store.add(job)
            except Exception:
                await self._files.remove(job.id)
                raise
        finally:
            self._accepting -= Counter((order.owner,))
        log.info("job accepted", job=job.id, owner=job.owner, recipe=job.recipe.id)
        self._enqueue(job)
        return job

    async def cancel(self, job_id: str, member: int) -> None:
        """End a job for its owner, whether it waits or is painted; its worker is free within a second.

        Raises:
            NotYourJob: ``member`` is not its owner.
            JobEnded: it has ended already.
        """
        job = await self._store.get(job_id)
        if job is None:
            raise JobEnded
        if job.owner != member:
            raise NotYourJob
        if not await self._store.change(job_id, State.CANCELLED, since={State.QUEUED, State.RUNNING}):
            raise JobEnded
        self._queue.remove(job_id)
        if task := self._working.get(job_id):
            task.cancel()
            await asyncio.wait([task])
        log.info("job cancelled", job=job_id)
        reply = self._replies.get(job_id)
        await self._conclude(job_id)
        if reply is not None:
            await reply.cancelled()

    async def run(self) -> None:
        """Take up what an earlier process left open, then paint until cancelled."""
        for job in await self._store.open_jobs():
            if job.state is State.QUEUED or await self._store.change(
                job.id, State.QUEUED, since={State.RUNNING, State.DELIVERING}
            ):
                log.info("job taken up again", job=job.id, state=job.state)
                self._enqueue(job)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._changed.clear()
                    await self._start_waiting(group)
                    with contextlib.suppress(TimeoutError):
                        # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with a change.
                        async with asyncio.timeout(LOOK_FOR_WORKERS):
                            await self._changed.wait()
        finally:
            for reply in list(self._replies.values()):
                await reply.close()

    async def _check(self, role: Role, picture: bytes) -> None:
        try:
            await self._executor.check(picture)
        except PictureError as error:
            raise PictureRejected(role, error) from error

    def _enqueue(self, job: Job) -> None:
        if job.id in self._jobs:  # accepted at the moment when run() looked for what was left open
            return
        self._jobs[job.id] = job
        self._replies[job.id] = self._reply_to(job)
        self._queue.add(job.id, job.owner)
        self._tell_places()
        self._changed.set()

    def _tell_places(self) -> None:
        places = self._queue.places()
        for job, place in places.items():
            if self._places.get(job) != place:
                self._replies[job].queued(place)
        self._places = places

    async def _start_waiting(self, group: asyncio.TaskGroup) -> None:
        if not self._queue:
            return
        # While the only worker restarts there are none: its next painting waits inside the executor.
        free = max(1, await self._executor.slots()) - len(self._working)
        for _ in range(min(free, len(self._queue))):
            job = self._jobs[self._queue.pop()]
            task = group.create_task(self._work(job))
            self._working[job.id] = task
            task.add_done_callback(partial(self._worked, job.id))
        self._tell_places()

    def _worked(self, job_id: str, _task: asyncio.Task[None]) -> None:
        del self._working[job_id]
        self._changed.set()

    async def _work(self, job: Job) -> None:
        """Paint and deliver one job; ends it in every case but that of our own cancellation."""
        with structlog.contextvars.bound_contextvars(job=job.id):
            try:
                await self._paint_and_deliver(job)
            except AtelierError as error:
                await self._fail(job, error)
            except Exception:
                log.exception("job failed unexpectedly")
                await self._fail(job, UnexpectedError(job.id))

    async def _paint_and_deliver(self, job: Job) -> None:
        if not await self._store.change(job.id, State.RUNNING, since={State.QUEUED}):
            return
        reply = self._replies[job.id]
        content, styles = await self._files.inputs(job.id)
        painting = self._executor.submit(
            job.recipe,
            content,
            styles,
            resume=await self._files.checkpoint(job.id),
            max_bytes=job.max_bytes,
        )
        try:
            async for progress in painting:
                if progress.checkpoint:
                    await self._files.save_checkpoint(job.id, progress.checkpoint)
                reply.progressed(progress)
            result = await painting.result()
        finally:
            await painting.cancel()
        if not await self._store.change(job.id, State.DELIVERING, since={State.RUNNING}):
            return
        kept = await self._files.save_result(job.id, result.picture, result.format)
        try:
            await reply.finished(result)
        except Exception:
            log.exception("the finished picture could not be delivered and is kept", path=str(kept))
            await self._store.change(job.id, State.FAILED, since={State.DELIVERING}, cause="undelivered")
            self._forget(job.id)
            return
        await self._store.change(job.id, State.DELIVERED, since={State.DELIVERING})
        log.info("job delivered", seconds=round(result.seconds, 1), bytes=len(result.picture))
        await self._conclude(job.id)

    async def _fail(self, job: Job, error: AtelierError) -> None:
        if await self._store.change(job.id, State.FAILED, since=OPEN, cause=type(error).__name__):
            log.warning("job failed", error=repr(error))
            reply = self._replies[job.id]
            await self._conclude(job.id)
            await reply.failed(error)

    async def _conclude(self, job_id: str) -> None:
        """Drop what an ended job held."""
        self._forget(job_id)
        self._tell_places()
        await self._files.remove(job_id)

    def _forget(self, job_id: str) -> None:
        self._jobs.pop(job_id, None)
        self._replies.pop(job_id, None)
