"""The work on one job: it is painted, its result kept, and its end told for as long as that takes."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.jobs.database.acknowledged import Acknowledged
from bot.jobs.database.store import Store
from bot.jobs.errors import DeliveryDelayed, JobEnded, JobExpired, OrderInterrupted, UnexpectedError
from bot.jobs.model import OPEN, DeliveredBy, Ending, Job, Painted, Reply, State
from bot.jobs.replies import Replies
from bot.jobs.retry import insist, logged, pauses
from bot.jobs.storage import Storage
from bot.telemetry import metrics
from engine.errors import AtelierError, BlobLost, PaintingCancelled, PaintingPaused, StorageFailed, StorageFull
from engine.executor.api import Executor, PaintingHandle
from engine.progress import Result
from engine.recipe import Recipe

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

TOLD_AT_ONCE: Final = 8
"""Ends that are read and sent at a time. A process may take over thousands, and each may need a picture in memory."""


class JobRunner:
    """What a process does for the jobs in its care, each in a task of its own.

    The database decides: if another process or task changed the job first, a task makes no change and ends.
    """

    def __init__(
        self,
        store: Store,
        storage: Storage,
        executor: Executor,
        replies: Replies,
        process: str,
        expire_after: timedelta,
        closing: asyncio.Event,
    ) -> None:
        self._store = store
        self._storage = storage
        self._executor = executor
        self._replies = replies
        self._process = process
        self._expire_after = expire_after
        self._closing = closing
        self.paintings: dict[str, PaintingHandle] = {}
        """What is painted now, by the jobs' ids."""
        self.resting: dict[str, asyncio.Event] = {}
        """Jobs that back off because their pictures can't be read, and the events that wake them."""
        self._pauses: dict[str, Iterator[float]] = {}
        """The next back-offs of each, in seconds."""
        self._telling = asyncio.Semaphore(TOLD_AT_ONCE)

    async def begin(self, job_id: str) -> None:
        """Take a job out of the line, if it is still there, and see it to its end."""
        begun = False
        with logged("a job could not be begun"):
            begun = await self._store.claim(job_id, self._process, self._executor.cluster_id)
        if begun:
            # Not in a variable, which would keep the result in memory.
            await self.deliver(job_id, await self._paint_and_keep(job_id))

    async def _paint_and_keep(self, job_id: str) -> Result | None:
        """From ``running`` to ``delivering``, or back into the line if the painting is paused. The result, if any."""
        try:
            result = await self._paint(job_id)
        except PaintingPaused:
            await insist(lambda: self._store.requeue(job_id, self._process))
        except PaintingCancelled:
            pass  # the store has it already
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
            painted = await self._keep(result)
            await insist(lambda: self._store.finish(job_id, self._process, painted))
            return result
        return None

    async def _paint(self, job_id: str) -> Result:
        job = await self._store.get(job_id)
        if job is None or job.state not in OPEN:
            raise JobEnded
        if job.cause is not None:  # its row can't be read
            raise job.cause
        reply = self._replies.of(job)
        painting = self._executor.submit(
            job.recipe, job.content, job.styles, resume=job.checkpoint, max_bytes=job.max_bytes
        )
        self.paintings[job_id] = painting
        try:
            if self._closing.is_set():
                await painting.pause()
            async for progress in painting:
                if progress.checkpoint:
                    await self._checkpoint(job_id, progress.checkpoint)
                metrics.observe_step(progress)
                reply.progressed(progress)
            return await painting.result()
        finally:
            del self.paintings[job_id]
            await painting.cancel()

    async def _checkpoint(self, job_id: str, name: str) -> None:
        with logged("a checkpoint could not be noted"):
            last = await self._store.set_checkpoint(job_id, self._process, name)
            metrics.CHECKPOINTS.inc()
            if last:
                await self._storage.drop(last)

    async def _wait_for_store(self, job_id: str, error: StorageFailed) -> None:
        """Put a job whose pictures can't be read at the end of the line, with a back-off that grows each time."""
        pause = next(self._pauses.setdefault(job_id, pauses()))
        log.warning("the pictures of a job can't be read", reason=error.detail, again_in=pause)
        await insist(lambda: self._store.requeue(job_id, self._process, last=True))
        self.resting[job_id] = woken = asyncio.Event()
        try:
            await _first(pause, self._closing, woken)
        finally:
            del self.resting[job_id]

    async def _keep(self, result: Result) -> Painted | None:
        """Keep a result before it is delivered; None where that fails: then it is delivered from memory."""
        try:
            name = await self._storage.put(result.picture)
        except (StorageFull, StorageFailed, SQLAlchemyError) as error:
            log.warning("a result could not be kept", reason=repr(error))
            return None
        return Painted.of(result, name)

    async def _keep_later(self, job_id: str, result: Result) -> None:
        """Retry to keep a result, also after its delivery, for ``/jobs``. Stops when the bot goes down."""
        for pause in pauses():
            if await self._closes_within(pause):
                return
            if painted := await self._keep(result):
                await insist(partial(self._store.set_painted, job_id, self._process, painted))
                return

    async def _give_up(self, job_id: str, error: AtelierError) -> None:
        await insist(lambda: self._store.give_up(job_id, error, self._process))

    async def deliver(self, job_id: str, result: Result | None = None) -> None:
        """Deliver a job's end, with retries, and end the job. ``result`` saves reading the picture again."""
        async with self._turn(result):
            job = await insist(lambda: self._store.get(job_id))
        if job is None or (job.process, job.state) != (self._process, State.DELIVERING):
            return
        self._pauses.pop(job_id, None)
        reply = self._replies.of(job)
        keeping = None
        if result is not None and job.cause is None and job.painted is None:
            keeping = asyncio.create_task(self._keep_later(job_id, result))
        try:
            for pause in pauses():
                async with self._turn(result):
                    if result is None and self._closing.is_set():
                        return  # the next process delivers it
                    told = await self._tell(job, reply, result, keeping, pause)
                if told is not None:
                    await self._conclude(job, *told)
                    if keeping is not None:
                        await keeping
                    return
                if job.painted is not None:
                    result = None  # free its memory: the next attempt reads it from the blobs
                if await self._closes_within(pause):
                    return
        finally:
            if keeping is not None:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)

    async def _conclude(self, job: Job, end: State, cause: str, delivered_by: DeliveredBy) -> None:
        self._replies.drop(job.id)
        if await insist(lambda: self._store.conclude(job.id, self._process, end, delivered_by)):
            metrics.ENDED.labels(end.value, cause).inc()
            metrics.DELIVERIES.labels(delivered_by).inc()
            log.info("job ended", state=end.value, delivered_by=delivered_by, cause=cause)
        if job.checkpoint:
            await self._storage.drop(job.checkpoint)

    async def apologise(self, order: Acknowledged) -> None:
        """Ask the member of an interrupted order to send the command again, and remove the order's note."""
        job = Job(
            id=order.id,
            owner=order.owner,
            recipe=Recipe(),
            content="",
            styles=(),
            address=order.address,
            description=order.description,
            max_bytes=0,
            state=State.DELIVERING,  # another process may have told the member and ended before it removed the note
            created_at=datetime.now(UTC),
        )
        reply = self._replies.apart(job)
        for pause in pauses():
            if not await insist(lambda: self._store.is_noted(order.id, self._process)):
                return
            try:
                delivered_by = await reply.deliver(OrderInterrupted())
            except DeliveryDelayed as error:
                log.warning("an apology is delayed", reason=error.detail, again_in=pause)
            else:
                await insist(lambda: self._store.answered(order.id, self._process))
                log.info("an order was interrupted", delivered_by=delivered_by)
                return
            if await self._closes_within(pause):
                return

    async def _tell(
        self, job: Job, reply: Reply, result: Result | None, keeping: asyncio.Task[None] | None, pause: float
    ) -> tuple[State, str, DeliveredBy] | None:
        """Deliver the end once. Returns the state, the cause if there is no picture, and the way; None to try again.

        While the task ``keeping`` runs, the result is only in memory, so the delivery can't be given up.
        """
        try:
            ending = job.cause or result or await self._result(job)
        except StorageFailed as error:
            log.warning("a result can't be read", reason=error.detail, again_in=pause)
            if not self._expired(job):
                return None
            ending = error
        end, cause = _end(ending), "" if isinstance(ending, Result) else type(ending).__name__
        try:
            return end, cause, await reply.deliver(ending)
        except DeliveryDelayed as error:
            log.warning("delivery delayed", reason=error.detail, again_in=pause)
        except Exception:
            log.exception("delivery failed", again_in=pause)
        if self._expired(job) and (keeping is None or keeping.done()):
            return end, cause, "kept"
        return None

    async def _result(self, job: Job) -> Ending:
        """The result from the blobs, or why there is none. Raises StorageFailed if it can't be read now."""
        if job.painted is None:
            return UnexpectedError(job.id)
        try:
            return job.painted.result(job.recipe, await self._storage.get(job.painted.picture))
        except BlobLost as error:
            return error

    def _turn(self, result: Result | None) -> AbstractAsyncContextManager[object]:
        """Limits how many ends are read at a time. A result that is in memory already doesn't wait."""
        return self._telling if result is None else nullcontext()

    def _expired(self, job: Job) -> bool:
        return self._store.now() - job.accepted > self._expire_after.total_seconds()

    async def _closes_within(self, seconds: float) -> bool:
        """Wait that long, or until the bot goes down."""
        await _first(seconds, self._closing)
        return self._closing.is_set()


async def _first(seconds: float, *events: asyncio.Event) -> None:
    """Wait until the first of the events is set, for at most ``seconds``."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


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
