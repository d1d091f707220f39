"""Prepares a Dask worker for painting and reports on it. The bot imports this module too, so it imports torch late."""

import asyncio
import atexit
import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import dask
from distributed import WorkerPlugin
from distributed.worker import Worker

from engine.errors import ours
from engine.painting.pyramid import SCHEDULES
from engine.progress import Progress, StopToken
from engine.recipe import SMALLEST_SIZE, Inputs, Method, Precision, Recipe
from engine.runtime.compatibility import version
from engine.runtime.malloc import keep_large_blocks
from engine.runtime.openmp import spin_briefly
from engine.worker.protocol import FINISH, PAUSE, PLUGIN, WorkerSettings, resource_of

if TYPE_CHECKING:
    from engine.runtime.devices import Compute

THREADS: Final = 2
"""Dask's threads in a worker: one paints, the other checks pictures that arrive meanwhile."""
LEAVE_TIMEOUT: Final = 8.0
"""Seconds that a worker which shuts down waits for its painting to finish the current step."""
CONNECT_TIMEOUT: Final = "5s"
"""How long a worker tries to connect to a scheduler. Dask's default of 30 s would delay the worker's shutdown."""


def resources(settings: WorkerSettings) -> dict[str, float]:
    """The Dask resources of a worker with these settings.

    Raises:
        WeightsUnavailable: see :func:`engine.runtime.compatibility.version`.
    """
    return {resource_of(version(settings.weights)): 1}


def worker_options(settings: WorkerSettings) -> dict[str, Any]:
    """Keyword arguments for a ``Worker`` or ``Nanny`` with these settings.

    ``LocalCluster`` names one of them differently: ``threads_per_worker=THREADS``.
    """
    return {
        "resources": resources(settings),
        "plugins": (PainterPlugin(settings),),
        "nthreads": THREADS,
        # The plugin limits the memory, so that a painting fails and its worker survives.
        "memory_limit": None,
    }


class PainterPlugin(WorkerPlugin):
    """Prepares a worker before it joins (threads, memory limit, warm VGG19), and tracks the running painting."""

    name = PLUGIN

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings

    async def setup(self, worker: Worker) -> None:
        """Called by Dask. A worker whose setup raises an error does not join."""
        self.version = version(self.settings.weights)
        self._running: dict[str, StopToken] = {}
        self._changed = threading.Condition()
        self._leaving = False
        self._pace: float | None = None
        self._until = 0.0
        self._prepared = False
        dask.config.set({"distributed.comm.timeouts.connect": CONNECT_TIMEOUT})
        if multiprocessing.parent_process() is not None:
            atexit.register(self._exit)  # registered before all others, so that it runs last
        try:
            await asyncio.to_thread(self._prepare)
        except Exception as error:
            if known := ours(error):
                # The parent process reports it in one sentence; Dask would log three tracebacks.
                for name in ("distributed.worker", "distributed.nanny"):
                    logging.getLogger(name).setLevel(logging.CRITICAL)
                raise known from None
            raise
        worker.handlers[PAUSE] = self.pause
        worker.handlers[FINISH] = self.finish
        worker.metrics[PLUGIN] = self.report
        self._prepared = True

    async def teardown(self, worker: Worker) -> None:
        """Called by Dask when the worker shuts down, while the painting can still send its last checkpoint."""
        await asyncio.to_thread(self._leave)

    def _exit(self) -> None:
        if self._prepared:
            os._exit(0)  # Python would take seconds to unload torch

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
        """The device and precision for a recipe's ``precision``; ``auto`` means the operator's setting."""
        from engine.runtime.devices import choose

        return choose(self.settings.device, self.settings.precision if precision == "auto" else precision)

    def _warm_up(self, compute: "Compute") -> None:
        """Load the weights and take one small step, so that the first painting starts without delay."""
        from PIL import Image

        from engine.images.codec import Picture
        from engine.painting.methods import method
        from engine.painting.options import RunOptions
        from engine.vgg.vgg19 import load_cached

        grey = Picture(Image.new("RGB", (SMALLEST_SIZE, SMALLEST_SIZE), "grey"))
        network = load_cached(self.settings.weights, compute.device, compute.dtype)
        recipe = Recipe(size=SMALLEST_SIZE, steps=1)
        for _ in method(recipe)(Inputs(grey, (grey,)), recipe, network, RunOptions()):
            pass

    def pause(self, channel: str) -> bool:
        """Pause the painting of ``channel`` after its current step. Returns whether it runs here."""
        stop = self._running.get(channel)
        if stop is None:
            return False
        stop.pause()
        return True

    def finish(self, channel: str) -> bool:
        """End the painting of ``channel`` after its current step. Returns whether it runs here."""
        stop = self._running.get(channel)
        if stop is None:
            return False
        stop.finish()
        return True

    def report(self, worker: Worker) -> dict[str, Any]:
        """The fields of :class:`engine.worker.protocol.WorkerInfo`. Called by Dask for each heartbeat."""
        running = next(iter(list(self._running)), None)
        busy = max(0.0, self._until - time.monotonic()) if running else 0.0
        return self._about | {"version": self.version, "pace": self._pace, "painting": running, "busy": busy}

    @contextmanager
    def running(self, channel: str, stop: StopToken) -> Iterator[None]:
        """Register the painting of ``channel`` while it runs. ``stop`` is paused when the worker shuts down."""
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

    def record(self, progress: Progress, method: Method) -> None:
        """Update the pace and the predicted end from the progress of a painting by ``method``."""
        self._until = time.monotonic() + progress.remaining
        if progress.step_seconds:
            self._pace = progress.step_seconds / (progress.scale**2 * SCHEDULES[method].step_cost)

    @property
    def leaving(self) -> bool:
        """Whether the worker shuts down."""
        return self._leaving

    def _leave(self) -> None:
        with self._changed:
            self._leaving = True
            for stop in self._running.values():
                stop.pause()
            self._changed.wait_for(lambda: not self._running, LEAVE_TIMEOUT)
