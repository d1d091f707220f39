"""The real bot with an engine of known cost: :mod:`tests.benchmarks.load` starts it as its own process.

Everything but the executor is the product's. A painting sleeps for :data:`SECONDS` and is one grey picture; none
begins before the file ``STAND_IN_GATE`` exists, so that the queue can be checked while it is full.
"""

import asyncio
import io
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self

from PIL import Image

from engine.blobs import Blobs
from engine.progress import Progress
from engine.recipe import Inputs, Recipe
from engine.worker.protocol import WorkerSettings
from tests.doubles.executor import FakeExecutor, FakePainting

SECONDS: Final = 0.02
SLOTS: Final = 4
GATE: Final = Path(os.environ.get("STAND_IN_GATE", "/"))


def _grey() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(buffer, "PNG")
    return buffer.getvalue()


PICTURE: Final = _grey()


class StandIn(FakeExecutor):
    """In place of :class:`engine.executor.executor.DaskExecutor`."""

    def __init__(self, blobs: Blobs) -> None:
        super().__init__(blobs)
        self.slots_now = SLOTS
        self._tasks = set[asyncio.Task[None]]()

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: WorkerSettings, *_: object) -> AsyncIterator[Self]:
        """Start nothing."""
        yield cls(Blobs(settings.blobs))

    def submit(self, recipe: Recipe, inputs: Inputs[str], **_: Any) -> FakePainting:
        """Make a painting that finishes after a pause. It is not kept, so that the bot's memory can be measured."""
        painting = FakePainting(recipe)
        task = asyncio.create_task(_paint(painting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return painting


async def _paint(painting: FakePainting) -> None:
    while not GATE.exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.05)
    await asyncio.sleep(SECONDS)
    if painting.ended:
        return
    steps = painting.recipe.steps
    painting.publish(Progress(steps, steps, 64, 1.0, 1.0, 1.0, elapsed=SECONDS, remaining=0.0))
    painting.finish(PICTURE, width=64, height=64, steps=steps, seconds=SECONDS)


if __name__ == "__main__":
    from bot import app
    from bot.cli.main import main

    vars(app)["DaskExecutor"] = StandIn
    main()
