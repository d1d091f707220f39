"""Where work runs: Dask distributed, as one embedded worker process or as a cluster behind an address.

The bot's side only: nothing here imports torch. See :mod:`engine.worker` for the other side,
:mod:`engine.executor.connection` for the connection in between. Nothing that happens to a worker or to the scheduler
ends the bot.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from tempfile import TemporaryDirectory
from typing import Final, Self
from weakref import WeakSet

import dask
from distributed import Nanny, Security, SpecCluster, nanny
from distributed.client import ClosedClientError
from distributed.process import AsyncProcess

from engine.cluster.restricted import FORGETTING, QuietScheduler, QuietWorker
from engine.cluster.signals import interrupts_blocked
from engine.errors import NoWorkers, VersionMismatch, WorkerLost, ours
from engine.executor.connection import Pool
from engine.executor.placement import Board
from engine.executor.remote_painting import End, Painting, absent, answer, forget, validated_error
from engine.presets import PRESETS, Tier, tier
from engine.recipe import Recipe
from engine.runtime.compatibility import version
from engine.worker import tasks
from engine.worker.plugin import worker_options
from engine.worker.protocol import PaintingOrder, WorkerInfo, WorkerSettings

__all__ = ["Executor", "Painting"]

CHECKPOINT_EVERY: Final = 10.0
"""Seconds of work that a worker's death may cost."""
CHECKS: Final = 2
"""How many workers may die while they look at one picture."""
WAIT_FOR_WORKERS: Final = 15.0
"""Seconds that a look at a picture waits for a worker: longer than an embedded one takes to restart."""

_nanny: Final = logging.getLogger("distributed.nanny")
_DASK: Final = FORGETTING | {
    # Pictures to look at travel with their task on purpose.
    "distributed.admin.large-graph-warning-threshold": "1 GiB",
    # A restarted embedded worker loads torch and VGG19 before it joins. Dask would give it up after 15 s.
    "distributed.deploy.lost-worker-timeout": "5 minutes",
}


class Executor:
    """A connection to workers. Make one with :meth:`open`."""

    def __init__(self, version: str, pool: Pool) -> None:
        self._version = version
        self._pool = pool
        self._board = Board()
        self._paintings: WeakSet[Painting] = WeakSet()
        self._tier: Tier | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: WorkerSettings, scheduler: str | None = None, security: Security | None = None
    ) -> AsyncIterator[Self]:
        """Start an embedded cluster of one worker process, or connect to ``scheduler`` (``tcp://…``, ``tls://…``).

        The settings are the embedded worker's; of others, only their version is compared. Leaving cancels what runs and
        stops what was started.

        Raises:
            WeightsUnavailable, DeviceUnavailable: the embedded worker can't paint with these settings.
            VersionMismatch: the embedded worker is of another version: what is installed has just changed.
            OSError: no scheduler answers at that address.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(dask.config.set(_DASK))
            needed = version(settings.weights)
            embedded = scheduler is None
            if scheduler is None:
                # On loopback too: else every user of the machine could have the bot's user run code.
                security = Security.temporary()
                scheduler = await stack.enter_async_context(_embedded(settings, security))
            pool = await stack.enter_async_context(Pool.open(scheduler, needed, security))
            if embedded and pool.other_versions:  # no other worker will join: paintings would wait for ever
                (found,) = pool.other_versions
                raise VersionMismatch(needed, found)
            executor = cls(needed, pool)
            try:
                yield executor
            finally:
                await executor._cancel_all()

    @property
    def cluster_id(self) -> str:
        """Identifies the workers that are shared: the id of the scheduler that was last connected to."""
        return self._pool.id

    async def check(self, picture: bytes) -> None:
        """Have a worker look whether it can decode a picture from outside, even while it paints.

        Raises:
            PictureError: it can't.
            WorkerLost: workers died :data:`CHECKS` times while they looked.
            NoWorkers: none was there for :data:`WAIT_FOR_WORKERS` seconds.
        """
        dead: set[tuple[str, int]] = set()
        """By address and process: the scheduler may not know yet."""
        while len(dead) < CHECKS:
            try:
                async with asyncio.timeout(WAIT_FOR_WORKERS):
                    client = await self._pool.client()
                    alive = await self._pool.until(
                        lambda: {(at, each.process) for at, each in self._pool.workers.items()} - dead
                    )
            except TimeoutError:
                raise NoWorkers from None
            one = random.choice(list(alive))  # noqa: S311 - any will do
            try:
                future = client.submit(tasks.check_picture, picture, pure=False, priority=1, workers=[one[0]])
                try:
                    found = await answer(self._pool, future, partial(absent, self._pool, client, *one))
                finally:
                    await forget(self._pool, client, future)
            except (OSError, ClosedClientError):
                continue  # the scheduler went away
            except Exception:  # Dask's client stumbles in many ways over a connection that goes in the middle of a call
                await self._pool.refresh()
                if self._pool.lost(client):
                    continue
                raise
            if found is None:
                return
            if isinstance(found, Exception) and isinstance(found := validated_error(found), Exception):
                raise found
            if found is not End.LOST:
                dead.add(one)  # or it returned what no worker of ours returns
        raise WorkerLost(len(dead))

    def submit(
        self,
        recipe: Recipe,
        content: str,
        styles: Sequence[str],
        *,
        resume: str | None = None,
        max_bytes: int | None = None,
    ) -> Painting:
        """Have a worker paint; pictures and the checkpoint to resume are names of blobs.

        See :func:`engine.painting.loop.paint` for the arguments. Without a usable checkpoint, the painting starts at
        its first step. Progress names the blobs of new checkpoints; the caller removes those that it no longer needs.
        """
        order = PaintingOrder(self._version, recipe, content, tuple(styles), resume, max_bytes, CHECKPOINT_EVERY)
        painting = Painting(order, self._pool, self._board)
        self._paintings.add(painting)
        return painting

    async def slots(self) -> int:
        """How many paintings the workers that are there now can make at a time; 0 while the scheduler is gone."""
        return len(self._pool.workers)

    async def tier(self) -> Tier:
        """What a quality means here: that of the slowest worker, so that no job takes longer than it says.

        Raises:
            NoWorkers: none has joined yet.
        """
        tiers = [tier(each.device, each.precision) for each in await self.workers()]
        if tiers:  # else they are restarting, and will be what they were
            self._tier = next(each for each in reversed(list(PRESETS)) if each in tiers)
        if self._tier is None:
            raise NoWorkers
        return self._tier

    async def workers(self) -> list[WorkerInfo]:
        """What each worker that is there now computes with; none while the scheduler is gone."""
        await self._pool.refresh()
        return list(self._pool.workers.values())

    async def _cancel_all(self) -> None:
        await asyncio.gather(*(painting.cancel() for painting in list(self._paintings)))


class _Process(AsyncProcess):
    """Dask's process of a worker, with SIGINT blocked: Ctrl-C in a terminal is for the bot alone."""

    def _start_threads(self) -> None:
        with interrupts_blocked():
            super()._start_threads()  # type: ignore[no-untyped-call]


nanny.AsyncProcess = _Process  # type: ignore[attr-defined]


@asynccontextmanager
async def _embedded(settings: WorkerSettings, security: Security) -> AsyncIterator[str]:
    """The address of a scheduler in this process with one worker in another."""
    async with contextlib.AsyncExitStack() as stack:
        scratch = stack.enter_context(TemporaryDirectory(prefix="atelier-", ignore_cleanup_errors=True))
        here = {"host": "127.0.0.1", "protocol": "tls", "security": security, "local_directory": scratch}
        options = here | worker_options(settings) | {"worker_class": QuietWorker, "silence_logs": logging.WARNING}
        cluster = SpecCluster(
            scheduler={"cls": QuietScheduler, "options": here},
            workers={0: {"cls": Nanny, "options": options}},
            asynchronous=True,
            security=security,
            silence_logs=logging.WARNING,
        )
        stack.push_async_exit(cluster)
        level = _nanny.level
        _nanny.setLevel(logging.CRITICAL)  # what it logs with a traceback is raised as well
        try:
            await cluster
        except RuntimeError as error:
            raise (ours(error) or error) from None
        except asyncio.CancelledError:
            # Dask does not expect a nanny that is still starting when it closes a cluster.
            await asyncio.gather(*map(_end, cluster._created), return_exceptions=True)
            raise
        _nanny.setLevel(level)
        yield cluster.scheduler_address


async def _end(nanny: Nanny) -> None:
    """End a worker that may still be starting: a nanny alone would wait until it has started."""
    if nanny.process is not None and nanny.process.process is not None:
        await nanny.process.process.kill()
    await nanny.close(timeout=0.5)
