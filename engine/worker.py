"""What runs inside a worker process. The bot imports this module for its names alone, so torch is imported late."""

import asyncio
import atexit
import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import dask
from distributed import Queue, WorkerPlugin, get_worker
from distributed.worker import Worker

from engine.blobs import Blobs
from engine.errors import AtelierError, BlobLost, PaintingCancelled, StorageFailed, StorageFull, VersionMismatch, ours
from engine.images.limits import Limits
from engine.progress import Name, Progress, Result, Seconds, StopToken
from engine.recipe import SMALLEST_SIZE, Precision, Recipe
from engine.runtime.compatibility import version
from engine.runtime.malloc import keep_large_blocks, trim
from engine.runtime.openmp import spin_briefly

if TYPE_CHECKING:
    from engine.runtime.devices import Compute

log = logging.getLogger(__name__)

PLUGIN: Final = "atelier"
"""The name of our plugin, and of what it tells in the metrics that each worker sends with its heartbeat."""
PAUSE: Final = "atelier_pause"
"""The message that has a worker pause the painting of a ``channel``; its answer says whether that runs there."""
THREADS: Final = 2
"""Of Dask: one paints; the other looks at pictures that arrive meanwhile."""
LEAVING: Final = 8.0
"""Seconds that a worker which leaves gives its painting to come to the end of a step."""
REACHING: Final = "5s"
"""How long a worker tries to reach a scheduler that doesn't answer. Dask's 30 s would keep it from leaving."""

BEGUN: Final = "begun"
LEFT: Final = "left"
"""What a worker tells in a painting's channel besides progress: it has begun; it paused because its worker leaves."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What the operator decides for every worker."""

    weights: str = "embedded"
    device: str = "auto"
    precision: Precision = "auto"
    threads: int | None = None
    """Cores for torch; None for all that the worker's machine grants."""
    memory: int | None = None
    """Bytes of data that a worker on a CPU may hold before a painting fails as out of memory; None for no limit."""
    limits: Limits = field(default_factory=Limits)
    blobs: str = ""
    """The URL (see :class:`engine.blobs.Blobs`) where this worker finds pictures and keeps checkpoints, by name."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a worker tells about itself, twice a second or, among many, less often."""

    version: Name
    device: Literal["cpu", "cuda"]
    name: Name
    """What people call the device."""
    precision: Name
    process: int
    """Its process id, on its own machine."""
    pace: Seconds | None
    """Seconds that a step last took for each pixel of a square of the scale's size; None before the first painting."""
    painting: Name | None
    """The channel of the painting that runs."""
    busy: Seconds
    """Predicted seconds to its end."""


def resource_of(version: str) -> str:
    """The Dask resource that a worker of that version has one of for each painting that it can make at a time.

    Named by version, so that a scheduler never sends a painting to a worker that would paint another picture.
    """
    return f"paint:{version}"


def resources(settings: WorkerSettings) -> dict[str, float]:
    """What a worker of these settings has to be started with.

    Raises:
        WeightsUnavailable: see :func:`engine.runtime.compatibility.version`.
    """
    return {resource_of(version(settings.weights)): 1}


def worker_options(settings: WorkerSettings) -> dict[str, Any]:
    """Keyword arguments for whatever starts a worker of these settings: ``Worker``, ``Nanny``, ``LocalCluster``.

    The last takes its threads by another name: ``threads_per_worker=THREADS``.
    """
    return {
        "resources": resources(settings),
        "plugins": (Studio(settings),),
        "nthreads": THREADS,
        # Studio limits the memory itself, so that a painting fails instead of its worker.
        "memory_limit": None,
    }


class Studio(WorkerPlugin):
    """Prepares a worker before it joins (threads, memory limit, VGG19 warm), and knows what is painted there."""

    name = PLUGIN

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings

    async def setup(self, worker: Worker) -> None:
        """Called by Dask; what it raises keeps the worker from joining."""
        self.version = version(self.settings.weights)
        self._running: dict[str, StopToken] = {}
        self._changed = threading.Condition()
        self._leaving = False
        self._pace: float | None = None
        self._until = 0.0
        self._prepared = False
        dask.config.set({"distributed.comm.timeouts.connect": REACHING})
        if multiprocessing.parent_process() is not None:
            atexit.register(self._end)  # before what else is registered, so that it comes last
        try:
            await asyncio.to_thread(self._prepare)
        except Exception as error:
            if known := ours(error):
                # The parent process reports it in a sentence; Dask would log three tracebacks.
                for name in ("distributed.worker", "distributed.nanny"):
                    logging.getLogger(name).setLevel(logging.CRITICAL)
                raise known from None
            raise
        worker.handlers[PAUSE] = self.pause
        worker.metrics[PLUGIN] = self.tell
        self._prepared = True

    async def teardown(self, worker: Worker) -> None:
        """Called by Dask when the worker leaves, while the painting can still tell its last checkpoint."""
        await asyncio.to_thread(self._leave)

    def _end(self) -> None:
        if self._prepared:
            os._exit(0)  # Python takes seconds to take torch apart, and nobody needs the pieces

    def _prepare(self) -> None:
        spin_briefly()
        from engine.images import decoder
        from engine.runtime.devices import set_threads

        keep_large_blocks()
        decoder.load_cached(self.settings.limits).warm_up()
        compute = self.compute(self.settings.precision)
        set_threads(self.settings.threads)
        if self.settings.memory and compute.device.type == "cpu" and sys.platform == "linux":
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, (self.settings.memory, resource.RLIM_INFINITY))
        self._warm_up(compute)
        kind = "cuda" if compute.device.type == "cuda" else "cpu"
        self._about = {"device": kind, "name": compute.name, "precision": compute.precision, "process": os.getpid()}

    def compute(self, precision: Precision) -> "Compute":
        """The device and precision for a recipe's ``precision``; the operator's where the recipe leaves it open."""
        from engine.runtime.devices import choose

        return choose(self.settings.device, self.settings.precision if precision == "auto" else precision)

    def _warm_up(self, compute: "Compute") -> None:
        """Load the weights and take one small step, so that the first member doesn't wait for either."""
        from PIL import Image

        from engine.images.codec import Picture
        from engine.painting.loop import paint
        from engine.vgg.vgg19 import load_cached

        grey = Picture(Image.new("RGB", (SMALLEST_SIZE, SMALLEST_SIZE), "grey"))
        network = load_cached(self.settings.weights, compute.device, compute.dtype)
        for _ in paint(grey, [grey], Recipe(size=SMALLEST_SIZE, steps=1), network):
            pass

    def pause(self, channel: str) -> bool:
        """Have the painting of that channel pause after the step in hand; whether it runs here."""
        stop = self._running.get(channel)
        if stop is None:
            return False
        stop.pause()
        return True

    def tell(self, worker: Worker) -> dict[str, Any]:
        """The fields of :class:`WorkerInfo`."""
        running = next(iter(list(self._running)), None)
        busy = max(0.0, self._until - time.monotonic()) if running else 0.0
        return self._about | {"version": self.version, "pace": self._pace, "painting": running, "busy": busy}

    @contextmanager
    def at_work(self, channel: str, stop: StopToken) -> Iterator[None]:
        """While the painting of ``channel`` is made; ``stop`` is told if the worker has to leave."""
        with self._changed:
            self._running[channel] = stop
            if self._leaving:
                stop.pause()
        try:
            yield
        finally:
            with self._changed:
                del self._running[channel]
                self._changed.notify_all()

    def measured(self, progress: Progress) -> None:
        """Learn from what a painting tells."""
        self._until = time.monotonic() + progress.remaining
        if progress.step_seconds:
            self._pace = progress.step_seconds / progress.scale**2

    @property
    def leaving(self) -> bool:
        """Whether the worker is about to end."""
        return self._leaving

    def _leave(self) -> None:
        with self._changed:
            self._leaving = True
            for stop in self._running.values():
                stop.pause()
            self._changed.wait_for(lambda: not self._running, LEAVING)


def _studio() -> Studio:
    return cast(Studio, get_worker().plugins[PLUGIN])


def check_picture(data: bytes) -> AtelierError | None:
    """Decode untrusted bytes and throw the pixels away; gives :class:`engine.errors.PictureError` if it can't.

    Errors of ours are returned, not raised, by what runs here: Dask logs each exception as a failure of its worker.
    """
    from engine.images import decoder

    try:
        decoder.load_cached(_studio().settings.limits).decode(data, longer_side=SMALLEST_SIZE)
    except AtelierError as error:
        return error
    return None


@dataclass(frozen=True, slots=True)
class Order:
    """All that a worker needs to know of a painting; pictures and checkpoint by the names of their blobs.

    The worker's own settings say where those are: nobody who orders a painting can have a worker open another place.
    """

    version: str
    recipe: Recipe
    content: str
    styles: Sequence[str]
    resume: str | None
    max_bytes: int | None
    checkpoint_every: float


def paint_picture(channel: str, order: Order) -> Result | AtelierError:
    """Paint, and put each :class:`engine.progress.Progress` as a dictionary into the Dask queue ``channel``.

    Ends within a fraction of a step when the scheduler no longer wants the result: because the bot cancelled it, or
    because the bot is gone. Gives :class:`engine.errors.PaintingPaused` when somebody asked for it, or, after having
    told :data:`LEFT`, when the worker leaves.
    """
    worker = get_worker()
    key = worker.get_current_task()

    def unwanted() -> bool:
        # A dictionary look-up in the worker's own state: no message travels, so it can be asked between layers.
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    studio = _studio()
    if studio.version != order.version:
        return VersionMismatch(order.version, studio.version)
    stop = StopToken(unwanted)
    queue = Queue(channel)
    try:
        with studio.at_work(channel, stop):
            try:
                _tell(queue, BEGUN)
                return _painted(studio, queue, order, stop)
            finally:
                if stop.pausing and studio.leaving:
                    _tell(queue, LEFT)
    except AtelierError as error:
        # Tracebacks hold the frames, and so the tensors, of the painting that failed.
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    finally:
        queue.close()
        trim()


def _painted(studio: Studio, queue: Queue, order: Order, stop: StopToken) -> Result:
    from engine.images import decoder
    from engine.painting.loop import Pace, paint
    from engine.vgg.vgg19 import load_cached

    blobs = Blobs(studio.settings.blobs)
    decode = decoder.load_cached(studio.settings.limits).decode
    compute = studio.compute(order.recipe.precision)
    painting = paint(
        decode(blobs.get(order.content), longer_side=order.recipe.size),
        [decode(blobs.get(style), longer_side=order.recipe.longest_style) for style in order.styles],
        order.recipe,
        load_cached(studio.settings.weights, compute.device, compute.dtype),
        stop,
        pace=Pace(checkpoint=order.checkpoint_every),
        resume=_checkpoint(blobs, order.resume),
        save=lambda data: _saved(blobs, data),
        max_bytes=order.max_bytes,
    )
    while True:
        try:
            progress = next(painting)
        except StopIteration as end:
            return cast(Result, end.value)
        studio.measured(progress)
        _tell(queue, asdict(progress))


def _tell(queue: Queue, what: object) -> None:
    try:
        queue.put(what)
    except (OSError, KeyError) as error:  # the scheduler is gone, or a new one is there: nobody wants the picture now
        raise PaintingCancelled from error


def _checkpoint(blobs: Blobs, name: str | None) -> bytes | None:
    """None where it is lost: then the painting starts over."""
    if name is None:
        return None
    try:
        return blobs.get(name)
    except BlobLost:
        log.warning("the checkpoint %s is lost, the painting starts over", name)
        return None


def _saved(blobs: Blobs, data: bytes) -> str | None:
    """None where it can't be kept: losing some work later is better than all of it now."""
    try:
        return blobs.put(data)
    except (StorageFull, StorageFailed) as error:
        log.warning("a checkpoint could not be kept: %r", error)
        return None
