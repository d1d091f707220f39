"""What runs inside a worker process. The bot imports this module for its names alone, so torch is imported late."""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from distributed import Queue, WorkerPlugin, get_worker
from distributed.worker import Worker

from engine.errors import AtelierError
from engine.limits import Limits
from engine.memory import keep_large_blocks, trim
from engine.progress import Result, Stop
from engine.recipe import SMALLEST_SIZE, Precision, Recipe

if TYPE_CHECKING:
    from engine.devices import Compute

PLUGIN = "atelier"
PAINT = "paint"
"""The Dask resource that a worker has one of for each painting that it can make at a time."""


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


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a worker computes with."""

    device: Literal["cpu", "cuda"]
    name: str
    precision: str
    process: int
    """Its process id, on its own machine."""


class Studio(WorkerPlugin):
    """Prepares a worker when it joins: threads, memory limit, VGG19 loaded and warm."""

    name = PLUGIN

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings

    async def setup(self, worker: Worker) -> None:
        """Called by Dask; what it raises fails :meth:`engine.executor.Executor.open`."""
        await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        from engine import decoder
        from engine.devices import set_threads

        keep_large_blocks()
        decoder.resident(self.settings.limits).warm_up()
        compute = self.compute(self.settings.precision)
        set_threads(self.settings.threads)
        if self.settings.memory and compute.device.type == "cpu" and sys.platform == "linux":
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, (self.settings.memory, resource.RLIM_INFINITY))
        self._warm_up(compute)

    def compute(self, precision: Precision) -> "Compute":
        """The device and precision for a recipe's ``precision``; the operator's where the recipe leaves it open."""
        from engine.devices import choose

        return choose(self.settings.device, self.settings.precision if precision == "auto" else precision)

    def _warm_up(self, compute: "Compute") -> None:
        """Load the weights and take one small step, so that the first member doesn't wait for either."""
        from PIL import Image

        from engine.painting import paint
        from engine.pictures import Picture
        from engine.vgg19 import resident

        grey = Picture(Image.new("RGB", (SMALLEST_SIZE, SMALLEST_SIZE), "grey"))
        network = resident(self.settings.weights, compute.device, compute.dtype)
        for _ in paint(grey, [grey], Recipe(size=SMALLEST_SIZE, steps=1), network):
            pass


def _studio() -> Studio:
    return cast(Studio, get_worker().plugins[PLUGIN])


def describe(dask_worker: Worker) -> WorkerInfo:
    """Tell what this worker computes with; Dask passes the worker by the argument's name."""
    compute = cast(Studio, dask_worker.plugins[PLUGIN]).compute("auto")
    kind: Literal["cpu", "cuda"] = "cuda" if compute.device.type == "cuda" else "cpu"
    return WorkerInfo(kind, compute.name, compute.precision, os.getpid())


def check_picture(data: bytes) -> AtelierError | None:
    """Decode untrusted bytes and throw the pixels away; gives :class:`engine.errors.PictureError` if it can't.

    Errors of ours are returned, not raised, by what runs here: Dask logs each exception as a failure of its worker.
    """
    from engine import decoder

    try:
        decoder.resident(_studio().settings.limits).decode(data, longer_side=SMALLEST_SIZE)
    except AtelierError as error:
        return error
    return None


def paint_picture(
    channel: str,
    recipe: Recipe,
    content: bytes,
    styles: Sequence[bytes],
    resume: bytes | None,
    max_bytes: int | None,
    checkpoint_every: float,
) -> Result | AtelierError:
    """Paint, and put each :class:`engine.progress.Progress` as a dictionary into the Dask queue ``channel``.

    Ends within a fraction of a step when the scheduler no longer wants the result: because the bot cancelled it, or
    because the bot is gone.
    """
    from engine import decoder
    from engine.painting import Pace, paint
    from engine.vgg19 import resident

    worker = get_worker()
    key = worker.get_current_task()

    def unwanted() -> bool:
        # A dictionary look-up in the worker's own state: no message travels, so it can be asked between layers.
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    studio = _studio()
    decode = decoder.resident(studio.settings.limits).decode
    queue = Queue(channel)
    try:
        compute = studio.compute(recipe.precision)
        painting = paint(
            decode(content, longer_side=recipe.size),
            [decode(style, longer_side=recipe.size) for style in styles],
            recipe,
            resident(studio.settings.weights, compute.device, compute.dtype),
            Stop(unwanted),
            pace=Pace(checkpoint=checkpoint_every),
            resume=resume,
            max_bytes=max_bytes,
        )
        while True:
            try:
                progress = next(painting)
            except StopIteration as end:
                return cast(Result, end.value)
            queue.put(asdict(progress))
    except AtelierError as error:
        # Tracebacks hold the frames, and so the tensors, of the painting that failed.
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    finally:
        queue.close()
        trim()
