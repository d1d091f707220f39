"""Runs jobs: paints them, stores their results, and delivers their endings with retries."""

import asyncio
from collections import Counter
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.jobs.database.acknowledged import Acknowledged
from bot.jobs.database.store import Store
from bot.jobs.errors import Closing, JobEnded, JobExpired, OrderInterrupted, UnexpectedError
from bot.jobs.model import (
    FAILED,
    FRAME_BYTES,
    NO_INPUTS,
    OPEN,
    DeliveredBy,
    Ending,
    Job,
    Observer,
    Painted,
    Reply,
    State,
    frame_of,
)
from bot.jobs.replies import Replies
from bot.jobs.retry import Retry, failures_logged, first_of
from bot.jobs.storage import Storage
from bot.telemetry import metrics
from engine.errors import AtelierError, BlobLost, PaintingCancelled, PaintingPaused, StorageFailed, StorageFull
from engine.executor.api import Executor, PaintingHandle
from engine.progress import Result
from engine.recipe import Recipe

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

DELIVERED_AT_ONCE: Final = 8
"""Concurrent deliveries. A process may adopt thousands of jobs, and each delivery may need a picture in memory."""


class JobRunner:
    """Runs the jobs of one process. Each method call is one task for one job.

    If another process or task has changed the job first, the guarded change in the database fails and the task ends.
    """

    def __init__(
        self,
        store: Store,
        storage: Storage,
        executor: Executor,
        replies: Replies,
        process: str,
        expire_after: timedelta,
        retry: Retry,
    ) -> None:
        self._store = store
        self._storage = storage
        self._executor = executor
        self._replies = replies
        self._process = process
        self._expire_after = expire_after
        self._retry = retry
        self.observers: list[Observer] = [replies.progressed, lambda _, progress: metrics.observe_step(progress)]
        self.paintings: dict[str, PaintingHandle] = {}
        """The running paintings, by the jobs' ids."""
        self.backing_off: dict[str, asyncio.Event] = {}
        """Jobs that back off because their pictures can't be read, with the events that end the back-off."""
        self._unreadable: Counter[str] = Counter()
        """How often the pictures of a job could not be read, by its id."""
        self._delivering = asyncio.Semaphore(DELIVERED_AT_ONCE)

    async def begin(self, job_id: str, *, idle_first: bool) -> None:
        """Begin a job, if it is still queued, and run it until it has ended."""
        begun = False
        with failures_logged("a job could not be begun"):
            begun = await self._store.begin(job_id, self._process, self._executor.cluster_id)
        if begun:
            # No variable: it would keep the result in memory.
            await self.deliver(job_id, await self._paint_and_keep(job_id, idle_first))

    async def _paint_and_keep(self, job_id: str, idle_first: bool) -> Result | None:
        """Paint: from ``running`` to ``delivering``, or back to ``queued`` if paused. Returns the result, if any."""
        try:
            result = await self._paint(job_id, idle_first)
        except PaintingPaused:
            await self._retry.change(lambda: self._store.requeue(job_id, self._process))
        except PaintingCancelled:
            pass  # the database has this ending already; if not, the next poll queues the job again
        except StorageFailed as error:
            await self._wait_for_store(job_id, error)
        except AtelierError as error:
            log.warning("job failed", error=repr(error))
            await self._give_up(job_id, error)
        except SQLAlchemyError:
            raise
        except Exception:
            log.exception("job failed unexpectedly")
            await self._give_up(job_id, UnexpectedError(job_id))
        else:
            painted, thumbnail = await self._keep(result)
            await self._retry.change(
                lambda: self._store.finish(job_id, self._process, painted, result.checkpoint, thumbnail)
            )
            return result
        return None

    async def _paint(self, job_id: str, idle_first: bool) -> Result:
        job = await self._store.get(job_id)
        if job is None or job.state not in OPEN:
            raise JobEnded
        if job.cause is not None:  # the row can't be read
            raise job.cause
        self._replies.of(job)
        painting = self._executor.submit(
            job.recipe,
            job.inputs,
            resume=job.checkpoint,
            max_bytes=job.max_bytes,
            idle_first=idle_first,
        )
        self.paintings[job_id] = painting
        frames = {*job.frames}
        try:
            if self._retry.closing.is_set():
                await painting.pause()
            if job.finishing:
                await painting.finish_early()
            async for progress in painting:
                if progress.checkpoint:
                    await self._checkpoint(job_id, progress.checkpoint)
                for observer in self.observers:
                    with failures_logged("an observer of progress failed"):
                        observer(job, progress)
                # The previews of a clip show another frame each.
                if (
                    progress.preview
                    and job.recipe.frames == 1
                    and (frame := frame_of(job.recipe, progress)) not in frames
                ):
                    frames.add(frame)
                    await self._frame(job_id, frame, progress.preview)
            return await painting.result()
        finally:
            del self.paintings[job_id]
            await painting.cancel()

    async def _checkpoint(self, job_id: str, name: str) -> None:
        with failures_logged("a checkpoint could not be recorded"):
            last = await self._store.set_checkpoint(job_id, self._process, name)
            metrics.CHECKPOINTS.inc()
            if last:
                await self._storage.drop(last)

    async def _frame(self, job_id: str, frame: int, preview: bytes) -> None:
        """Keep a preview for the painting's timelapse, which can do without it."""
        if len(preview) > FRAME_BYTES:
            return
        with failures_logged("a preview could not be kept"):
            await self._storage.check_space(len(preview))
            name = await self._storage.put(preview)
            if not await self._store.set_frame(job_id, self._process, frame, name):
                await self._storage.forget([name])  # the job was cancelled, and its member's data may be gone

    async def _wait_for_store(self, job_id: str, error: StorageFailed) -> None:
        """Move a job whose pictures can't be read to the end of the queue, and back off exponentially."""
        self._unreadable[job_id] += 1
        pause = self._retry.pause(self._unreadable[job_id])
        log.warning("the pictures of a job can't be read", reason=error.detail, again_in=round(pause, 1))
        await self._retry.change(lambda: self._store.requeue(job_id, self._process, last=True))
        self.backing_off[job_id] = woken = asyncio.Event()
        try:
            await first_of(pause, self._retry.closing, woken)
        finally:
            del self.backing_off[job_id]

    async def _keep(self, result: Result) -> tuple[Painted | None, str | None]:
        """Store a result and its thumbnail before its delivery. Returns the result and the name of the other's blob.

        Both are None if that fails: the result is then delivered from memory.
        """
        files = [result.picture, result.thumbnail] if result.thumbnail else [result.picture]
        try:
            name, *small = await self._storage.put_all(files)
        except (StorageFull, StorageFailed, SQLAlchemyError) as error:
            log.warning("a result could not be stored", reason=repr(error))
            return None, None
        return Painted.of(result, name), next(iter(small), None)

    async def _keep_later(self, job_id: str, result: Result) -> None:
        """Retry to store a result for ``/jobs``, also after its delivery.

        Raises:
            Closing: the bot shuts down first.
        """
        name = await self._retry.until_closing(
            "a result could not be stored", lambda: self._storage.put(result.picture)
        )
        await self._retry.change(lambda: self._store.set_painted(job_id, self._process, Painted.of(result, name)))

    async def _give_up(self, job_id: str, error: AtelierError) -> None:
        await self._retry.change(lambda: self._store.give_up(job_id, error, self._process))

    async def deliver(self, job_id: str, result: Result | None = None) -> None:
        """Deliver a job's ending with retries, and end the job. ``result`` saves a read of the picture.

        Raises:
            Closing: the bot shuts down first. The next process delivers the ending.
        """
        async with self._delivery_slot(result):
            job = await self._retry.change(lambda: self._store.get(job_id))
        if job is None or (job.process, job.state) != (self._process, State.DELIVERING):
            return
        del self._unreadable[job_id]
        reply = self._replies.of(job)
        keeping = None
        if result is not None and job.cause is None and job.painted is None:
            keeping = asyncio.create_task(self._keep_later(job_id, result))

        async def attempt() -> tuple[State, str, DeliveredBy]:
            nonlocal result
            async with self._delivery_slot(result):
                if result is None and self._retry.closing.is_set():
                    raise Closing
                try:
                    return await self._deliver_once(job, reply, result, keeping)
                finally:
                    if job.painted is not None:
                        result = None  # free the memory: the next attempt reads the blob

        try:
            await self._conclude(job, reply, *await self._retry.until_closing("delivery failed", attempt))
            if keeping is not None:
                await keeping
        finally:
            if keeping is not None:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)

    async def _conclude(self, job: Job, reply: Reply, end: State, cause: str, delivered_by: DeliveredBy) -> None:
        self._replies.drop(job.id)
        # An operator can have a failed job painted again, in the same message.
        posted = reply.posted if end is State.DELIVERED or end in FAILED else ""
        if await self._retry.change(lambda: self._store.conclude(job.id, self._process, end, delivered_by, posted)):
            metrics.ENDED.labels(end.value, cause).inc()
            metrics.DELIVERIES.labels(delivered_by).inc()
            log.info("job ended", state=end.value, delivered_by=delivered_by, cause=cause)
            await self._ping(job.id, reply, end, delivered_by)
        if job.checkpoint:
            await self._storage.drop(job.checkpoint)

    async def _ping(self, job_id: str, reply: Reply, end: State, delivered_by: DeliveredBy) -> None:
        """Mention the owner, if they want that. At most once: a process that dies here mentions nobody."""
        with failures_logged("the owner of a job could not be mentioned"):
            job = await self._store.get(job_id)  # they may have changed their mind until the job ended
            if job is not None and job.pings and end is not State.CANCELLED:
                await reply.ping(delivered_by, end)

    async def apologise(self, order: Acknowledged) -> None:
        """Ask the member of an interrupted order to send the command again, and remove the order's record."""
        job = Job(
            id=order.id,
            owner=order.owner,
            guild_id=None,
            recipe=Recipe(),
            inputs=NO_INPUTS,
            address=order.address,
            description=order.description,
            locale=order.locale,
            max_bytes=0,
            state=State.DELIVERING,  # another process may have replied and died before it removed the record
            created_at=datetime.now(UTC),
        )
        reply = self._replies.apart(job)

        async def attempt() -> None:
            if not await self._retry.change(lambda: self._store.is_noted(order.id, self._process)):
                return
            delivered_by = await reply.deliver(OrderInterrupted())
            await self._retry.change(lambda: self._store.answered(order.id, self._process))
            log.info("an order was interrupted", delivered_by=delivered_by)

        await self._retry.until_closing("an apology failed", attempt)

    async def _deliver_once(
        self, job: Job, reply: Reply, result: Result | None, keeping: asyncio.Task[None] | None
    ) -> tuple[State, str, DeliveredBy]:
        """Try once to deliver the ending. Returns the final state, the cause if there is no picture, and how.

        The delivery of an expired job is given up, and ``/jobs`` shows the result. While the task ``keeping`` runs,
        the result is only in memory, so the delivery continues.

        Raises:
            StorageFailed: the result can't be read for now.
            DeliveryDelayed: Discord rejects it for now.
        """
        try:
            ending = job.cause or result or await self._result(job)
        except StorageFailed as error:
            if not self._expired(job):
                raise
            ending = error
        end, cause = _end(ending), "" if isinstance(ending, Result) else type(ending).__name__
        try:
            return end, cause, await reply.deliver(ending)
        except Exception as error:
            if not self._expired(job) or (keeping is not None and not keeping.done()):
                raise
            log.warning("delivery given up", reason=repr(error))
            return end, cause, "kept"

    async def _result(self, job: Job) -> Ending:
        """Read the result, or return why there is none. Raises StorageFailed if it can't be read for now."""
        if job.painted is None:
            return UnexpectedError(job.id)
        try:
            return job.painted.result(job.recipe, await self._storage.get(job.painted.picture))
        except BlobLost as error:
            return error

    def _delivery_slot(self, result: Result | None) -> AbstractAsyncContextManager[object]:
        """A slot of :data:`DELIVERED_AT_ONCE`. A result that is in memory already needs none."""
        return self._delivering if result is None else nullcontext()

    def _expired(self, job: Job) -> bool:
        return self._store.now() - job.accepted > self._expire_after.total_seconds()


def _end(ending: Ending) -> State:
    match ending:
        case Result():
            return State.DELIVERED
        case PaintingCancelled():
            return State.CANCELLED
        case JobExpired():
            return State.EXPIRED
        case _:
            return State.FAILED
