"""Where work runs: Dask distributed, as one embedded worker process or as a cluster behind an address.

The bot's side only: nothing here imports torch. See :mod:`engine.worker` for the other side.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self

import dask
from distributed import Client, Future, LocalCluster, Queue
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker, Scheduler

from engine import worker
from engine.errors import AtelierError, NoWorkers, PaintingCancelled, WorkerLost
from engine.progress import Progress, Result
from engine.quality import EFFORTS, Tier, tier
from engine.recipe import Recipe
from engine.worker import PAINT, Studio, WorkerInfo, WorkerSettings

log = logging.getLogger(__name__)

ATTEMPTS: Final = 3
"""How often in a row a worker may die under a painting, without a new checkpoint, before the painting is given up."""
CHECKPOINT_EVERY: Final = 10.0
"""Seconds of work that a worker's death may cost."""

_DASK: Final = {
    # Pictures travel with their task on purpose.
    "distributed.admin.large-graph-warning-threshold": "1 GiB",
}


class Painting:
    """A painting that was submitted: iterate over its progress, await its result, cancel it."""

    def __init__(self, task: "asyncio.Task[Result]", events: "asyncio.Queue[Progress | None]") -> None:
        self._task = task
        self._events = events
        task.add_done_callback(lambda _: events.put_nowait(None))

    async def __aiter__(self) -> AsyncIterator[Progress]:
        """Yield every event until the painting ends, however it ends; one consumer only."""
        while (event := await self._events.get()) is not None:
            yield event

    async def result(self) -> Result:
        """Wait for the end.

        Raises:
            PaintingCancelled: :meth:`cancel` was called.
            WorkerLost: workers died under it :data:`ATTEMPTS` times in a row.
            AtelierError: whatever else the painting itself raised in the worker.
        """
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            if self._task.cancelled():
                raise PaintingCancelled from None
            raise

    async def cancel(self) -> None:
        """Stop the painting and free its worker; harmless when it has ended."""
        self._task.cancel()
        await asyncio.wait([self._task])


class Executor:
    """A connection to workers. Make one with :meth:`open`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._paintings: set[asyncio.Task[Result]] = set()
        self._tier: Tier | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: WorkerSettings, scheduler: str | None = None) -> AsyncIterator[Self]:
        """Start an embedded cluster of one worker process, or connect to ``scheduler`` (``tcp://…``, ``tls://…``).

        Leaving cancels what runs and stops what was started.

        Raises:
            WeightsUnavailable, DeviceUnavailable: the workers can't paint with these settings.
            OSError: no scheduler answers at that address.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(dask.config.set(_DASK))
            if scheduler is None:
                cluster = await stack.enter_async_context(
                    LocalCluster(
                        n_workers=1,
                        # One thread paints; the other looks at pictures that arrive meanwhile.
                        threads_per_worker=2,
                        processes=True,
                        resources={PAINT: 1},
                        # Studio limits the memory itself, so that a painting fails instead of its worker.
                        memory_limit=None,
                        # None would mean port 8787, and a warning where another bot has it already.
                        dashboard_address="127.0.0.1:0",
                        asynchronous=True,
                    )
                )
                address = cluster.scheduler_address
            else:
                address = scheduler
            client = await stack.enter_async_context(Client(address, asynchronous=True, set_as_default=False))
            await client.run_on_scheduler(_never_begin_anew)
            await client.register_plugin(Studio(settings))
            executor = cls(client)
            try:
                yield executor
            finally:
                await executor._cancel_all()

    async def check(self, picture: bytes) -> None:
        """Have a worker look whether it can decode a picture from outside, even while it paints.

        Raises:
            PictureError: it can't.
            WorkerLost: the picture killed its worker.
        """
        future = self._client.submit(worker.check_picture, picture, pure=False, priority=1)
        try:
            error = await future
        except KilledWorker as killed:
            raise WorkerLost(1) from killed
        finally:
            future.release()
        if error is not None:
            raise error

    def submit(
        self,
        recipe: Recipe,
        content: bytes,
        styles: Sequence[bytes],
        *,
        resume: bytes | None = None,
        max_bytes: int | None = None,
    ) -> Painting:
        """Have a worker paint; see :func:`engine.painting.paint` for the arguments."""
        events: asyncio.Queue[Progress | None] = asyncio.Queue()
        task = asyncio.create_task(self._paint(recipe, content, styles, resume, max_bytes, events))
        self._paintings.add(task)
        task.add_done_callback(self._paintings.discard)
        return Painting(task, events)

    async def slots(self) -> int:
        """How many paintings the workers that are there now can make at a time."""
        workers = (await self._client.scheduler.identity(n_workers=-1))["workers"]  # type: ignore[union-attr]
        return int(sum(each["resources"].get(PAINT, 0) for each in workers.values()))

    async def tier(self) -> Tier:
        """What a quality means here: that of the slowest worker, so that no job takes longer than it says.

        Raises:
            NoWorkers: none has joined yet.
        """
        tiers = [tier(each.device, each.precision) for each in await self.workers()]
        if tiers:  # else they are restarting, and will be what they were
            self._tier = next(each for each in reversed(list(EFFORTS)) if each in tiers)
        if self._tier is None:
            raise NoWorkers
        return self._tier

    async def workers(self) -> list[WorkerInfo]:
        """What each worker that is there now computes with."""
        return list((await self._client.run(worker.describe, on_error="ignore")).values())

    async def _paint(
        self,
        recipe: Recipe,
        content: bytes,
        styles: Sequence[bytes],
        checkpoint: bytes | None,
        max_bytes: int | None,
        events: "asyncio.Queue[Progress | None]",
    ) -> Result:
        died = 0
        for attempt in itertools.count(1):
            queue = await Queue(client=self._client)
            future = self._client.submit(
                worker.paint_picture,
                queue.name,
                recipe,
                content,
                tuple(styles),
                checkpoint,
                max_bytes,
                CHECKPOINT_EVERY,
                pure=False,
                resources={PAINT: 1},
            )
            try:
                async for event in _follow(queue, future):
                    if event.checkpoint:
                        checkpoint, died = event.checkpoint, 0
                    events.put_nowait(event)
                outcome: Result | AtelierError = await future
            except (KilledWorker, FutureCancelledError) as error:  # the latter when the scheduler went away
                died += 1
                log.warning("a worker died under a painting (attempt %d): %s", attempt, error)
                if died == ATTEMPTS:
                    raise WorkerLost(died) from error
            except asyncio.CancelledError:
                await future.cancel(force=True)
                raise
            else:
                if isinstance(outcome, AtelierError):
                    raise outcome
                return outcome
            finally:
                queue.close()
                # Now, not when the garbage collector finds it: what is held is computed anew if its worker dies.
                future.release()
        raise AssertionError("unreachable")

    async def _cancel_all(self) -> None:
        for task in self._paintings:
            task.cancel()
        await asyncio.gather(*self._paintings, return_exceptions=True)


def _never_begin_anew(dask_scheduler: Scheduler) -> None:
    """A worker's death is our affair: Dask would begin the painting anew, we go on from the last checkpoint."""
    dask_scheduler.allowed_failures = 0


async def _follow(queue: Queue, future: Future[Result | AtelierError]) -> AsyncIterator[Progress]:
    """Yield what a worker puts into ``queue`` until ``future`` is done, however it ends."""
    ended = asyncio.ensure_future(future.exception())
    pending = {ended}
    try:
        while True:
            event = asyncio.ensure_future(queue.get())
            pending = {ended, event}
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if not event.done():
                return
            yield Progress(**event.result())
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
