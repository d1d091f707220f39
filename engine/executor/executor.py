"""The executor on Dask: one embedded worker process, or a cluster behind an address.

This is the bot's side and imports no torch; :mod:`engine.worker` is the workers' side. Neither the loss of a worker nor
the loss of the scheduler ends the bot.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import fields
from functools import partial
from tempfile import TemporaryDirectory
from typing import Final, Self, TypeVar
from weakref import WeakSet

import dask
from distributed import Nanny, Security, SpecCluster, nanny
from distributed.client import ClosedClientError
from distributed.process import AsyncProcess
from pydantic import TypeAdapter, ValidationError

from engine.cluster.restricted import FORGETTING, QuietScheduler, QuietWorker
from engine.cluster.signals import interrupts_blocked
from engine.errors import AtelierError, NoWorkers, VersionMismatch, WorkerLost, ours
from engine.executor.connection import SchedulerConnection
from engine.executor.placement import Assignments
from engine.executor.remote_painting import End, RemotePainting, absent, answer, forget, validated_error
from engine.images.compositions import Composition
from engine.networks.plan import TrainedChunk, TrainingOrder
from engine.presets import PRESETS, Tier, tier
from engine.progress import Encoded
from engine.recipe import Inputs, Recipe
from engine.runtime.compatibility import version
from engine.worker import tasks
from engine.worker.plugin import worker_options
from engine.worker.protocol import PaintingOrder, WorkerInfo, WorkerSettings, resource_of

T = TypeVar("T")

CHECKPOINT_EVERY: Final = 10.0
"""Seconds between two checkpoints: the work that is lost when a worker dies."""
MAX_DEATHS: Final = 2
"""A check fails when this many workers died while they checked the picture."""
WORKER_TIMEOUT: Final = 15.0
"""Seconds that a check waits for a worker. An embedded worker restarts within that time."""

_ENCODED: Final = TypeAdapter(Encoded)
_CHUNK: Final = TypeAdapter(TrainedChunk)
_nanny: Final = logging.getLogger("distributed.nanny")
_DASK: Final = FORGETTING | {
    # Pictures to check are part of their task on purpose.
    "distributed.admin.large-graph-warning-threshold": "1 GiB",
    # A restarted embedded worker loads torch and VGG19 before it joins. Dask's default is 15 s.
    "distributed.deploy.lost-worker-timeout": "5 minutes",
}


class DaskExecutor:
    """Checks and paints pictures on Dask's workers. Make one with :meth:`open`."""

    def __init__(self, version: str, connection: SchedulerConnection) -> None:
        self._version = version
        self._connection = connection
        self._assignments = Assignments()
        self._paintings: WeakSet[RemotePainting] = WeakSet()
        self._tier: Tier | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: WorkerSettings, scheduler: str | None = None, security: Security | None = None
    ) -> AsyncIterator[Self]:
        """Start an embedded cluster of one worker process, or connect to ``scheduler`` (``tcp://…``, ``tls://…``).

        The settings apply to the embedded worker; other workers must only have the same version. On exit, running
        paintings are cancelled and an embedded cluster is stopped.

        Raises:
            WeightsUnavailable, DeviceUnavailable: the embedded worker can't paint with these settings.
            VersionMismatch: the embedded worker has another version, because an installed package has just changed.
            OSError: no scheduler answers at that address.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(dask.config.set(_DASK))
            needed = version(settings.weights)
            embedded = scheduler is None
            if scheduler is None:
                # On loopback too: otherwise every user of the machine could run code as the bot's user.
                security = Security.temporary()
                scheduler = await stack.enter_async_context(_embedded(settings, security))
            connection = await stack.enter_async_context(SchedulerConnection.open(scheduler, needed, security))
            if embedded and connection.other_versions:  # no other worker will join: paintings would wait forever
                (found,) = connection.other_versions
                raise VersionMismatch(needed, found)
            executor = cls(needed, connection)
            try:
                yield executor
            finally:
                await executor._cancel_all()

    @property
    def cluster_id(self) -> str:
        """The id of the last scheduler."""
        return self._connection.id

    async def check(self, picture: bytes, most_frames: int = 1) -> int:
        """See :class:`engine.executor.api.Executor`."""
        frames = await self._ask(int, tasks.check_picture, picture, most_frames)
        return frames if 1 <= frames <= most_frames else 1  # another machine may answer anything

    async def thumbnail(self, picture: bytes, side: int) -> bytes:
        """See :class:`engine.executor.api.Executor`."""
        return await self._ask(bytes, tasks.make_thumbnail, picture, side)

    async def compose(self, kind: Composition, *pictures: str, max_bytes: int) -> bytes:
        """See :class:`engine.executor.api.Executor`."""
        return await self._ask(bytes, tasks.compose_pictures, kind, max_bytes, *pictures)

    async def shrink(self, picture: bytes, max_bytes: int) -> Encoded:
        """See :class:`engine.executor.api.Executor`."""
        found = await self._ask(Encoded, tasks.shrink_picture, picture, max_bytes)
        try:
            return _ENCODED.validate_python({each.name: getattr(found, each.name) for each in fields(Encoded)})
        except (AttributeError, ValidationError):
            raise WorkerLost(1) from None

    async def train(self, order: TrainingOrder, state: bytes, seconds: float) -> TrainedChunk:
        """Train a network for some seconds on a worker, which paints nothing meanwhile.

        See :func:`engine.worker.tasks.train_network`.

        Raises:
            PictureError, NetworkUnusable: the order can't be fulfilled.
            WorkerLost, NoWorkers: no worker could do it.
        """
        paints = {resource_of(self._version): 1.0}
        found = await self._ask(TrainedChunk, tasks.train_network, order, state, seconds, resources=paints)
        try:
            return _CHUNK.validate_python({each.name: getattr(found, each.name) for each in fields(TrainedChunk)})
        except (AttributeError, ValidationError):
            raise WorkerLost(1) from None

    async def _ask(
        self,
        kind: type[T],
        task: Callable[..., T | AtelierError],
        *arguments: object,
        resources: Mapping[str, float] | None = None,
    ) -> T:
        """Have a worker call a ``task``, which returns a value of this kind or an error.

        ``resources`` are those that the task occupies; none for a short task.

        Fails after the deaths of :data:`MAX_DEATHS` workers, or without a worker for :data:`WORKER_TIMEOUT` seconds.
        """
        dead: set[tuple[str, int]] = set()
        """Workers by address and process. The scheduler may still list them."""
        while len(dead) < MAX_DEATHS:
            try:
                async with asyncio.timeout(WORKER_TIMEOUT):
                    client = await self._connection.client()
                    alive = await self._connection.until(
                        lambda: {(at, each.process) for at, each in self._connection.workers.items()} - dead
                    )
            except TimeoutError:
                raise NoWorkers from None
            one = random.choice(list(alive))  # noqa: S311 - no secret depends on it
            try:
                future = client.submit(
                    task,
                    *arguments,
                    pure=False,
                    priority=0 if resources else 1,
                    workers=[one[0]],
                    resources=resources,
                )
                try:
                    found = await answer(self._connection, future, partial(absent, self._connection, client, *one))
                finally:
                    await forget(self._connection, client, future)
            except (OSError, ClosedClientError):
                continue  # the scheduler was lost
            except Exception:  # Dask's client raises many kinds of errors when a connection breaks during a call
                await self._connection.refresh()
                if self._connection.lost(client):
                    continue
                raise
            if isinstance(found, kind):
                return found
            if isinstance(found, Exception) and isinstance(found := validated_error(found), Exception):
                raise found
            if found is not End.LOST:
                dead.add(one)  # it died, or returned invalid data
        raise WorkerLost(len(dead))

    def submit(
        self,
        recipe: Recipe,
        inputs: Inputs[str],
        *,
        resume: str | None = None,
        max_bytes: int | None = None,
        idle_first: bool = False,
    ) -> RemotePainting:
        """See :class:`engine.executor.api.Executor`."""
        order = PaintingOrder(self._version, recipe, inputs, resume, max_bytes, CHECKPOINT_EVERY)
        painting = RemotePainting(order, self._connection, self._assignments, idle_first=idle_first)
        self._paintings.add(painting)
        return painting

    async def slots(self) -> int:
        """See :class:`engine.executor.api.Executor`."""
        return len(self._connection.workers)

    async def tier(self) -> Tier:
        """See :class:`engine.executor.api.Executor`."""
        tiers = [tier(each.device, each.precision) for each in await self.workers()]
        if tiers:  # otherwise the workers are restarting and keep their tier
            self._tier = next(each for each in reversed(list(PRESETS)) if each in tiers)
        if self._tier is None:
            raise NoWorkers
        return self._tier

    async def workers(self) -> list[WorkerInfo]:
        """See :class:`engine.executor.api.Executor`."""
        await self._connection.refresh()
        return list(self._connection.workers.values())

    async def _cancel_all(self) -> None:
        await asyncio.gather(*(painting.cancel() for painting in list(self._paintings)))


class _Process(AsyncProcess):
    """Dask's worker process with SIGINT blocked, so that Ctrl-C in a terminal reaches only the bot."""

    def _start_threads(self) -> None:
        with interrupts_blocked():
            super()._start_threads()  # type: ignore[no-untyped-call]


nanny.AsyncProcess = _Process  # type: ignore[attr-defined]


@asynccontextmanager
async def _embedded(settings: WorkerSettings, security: Security) -> AsyncIterator[str]:
    """Start a scheduler in this process and a worker in another one. Yields the scheduler's address."""
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
        _nanny.setLevel(logging.CRITICAL)  # it logs with a traceback what is raised as well
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
    """Kill a worker that may still be starting. A nanny would wait until it has started."""
    if nanny.process is not None and nanny.process.process is not None:
        await nanny.process.process.kill()
    await nanny.close(timeout=0.5)
