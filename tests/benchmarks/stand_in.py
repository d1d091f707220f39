"""The real bot with an engine of known cost: :mod:`tests.benchmarks.load` starts it as its own process.

Everything but the executor is the product's. A painting sleeps for ``STAND_IN_SECONDS`` and is one grey picture; none
begins before the file ``STAND_IN_GATE`` is there, so that a queue can be looked at while it stands still.
"""

import asyncio
import io
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self

from PIL import Image

from engine.errors import PaintingCancelled, PaintingPaused
from engine.presets import Tier
from engine.progress import Progress, Result
from engine.recipe import Recipe
from engine.worker.protocol import WorkerInfo

SECONDS: Final = float(os.environ.get("STAND_IN_SECONDS", "0.02"))
SLOTS: Final = int(os.environ.get("STAND_IN_SLOTS", "4"))
GATE: Final = Path(os.environ.get("STAND_IN_GATE", "/"))


def _grey() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(buffer, "PNG")
    return buffer.getvalue()


PICTURE: Final = _grey()


class StandInPainting:
    """As :class:`engine.executor.api.PaintingHandle`."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._pausing = False
        self._task = asyncio.create_task(self._paint())

    async def __aiter__(self) -> AsyncIterator[Progress]:
        """One event, at the end."""
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            yield Progress(
                step=self._recipe.steps,
                steps=self._recipe.steps,
                scale=64,
                loss=1,
                content_loss=1,
                style_loss=1,
                elapsed=SECONDS,
                remaining=0,
            )

    async def result(self) -> Result:
        """The grey picture."""
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            if not self._task.cancelled():
                raise
        raise PaintingPaused if self._pausing else PaintingCancelled

    async def cancel(self) -> None:
        """Stop sleeping."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def pause(self) -> None:
        """The same, to go on later from the start."""
        self._pausing = True
        await self.cancel()

    async def _paint(self) -> Result:
        while not GATE.exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.05)
        await asyncio.sleep(SECONDS)
        return Result(
            picture=PICTURE,
            format="png",
            width=64,
            height=64,
            recipe=self._recipe,
            steps=self._recipe.steps,
            seconds=SECONDS,
            ending="finished",
        )


class StandIn:
    """As :class:`engine.executor.api.Executor`."""

    cluster_id = "stand-in"

    @classmethod
    @asynccontextmanager
    async def open(cls, *_: object, **__: object) -> AsyncIterator[Self]:
        """There is nothing to start."""
        yield cls()

    async def check(self, _picture: bytes) -> None:
        """Every picture is good."""

    def submit(self, recipe: Recipe, _content: str, _styles: Sequence[str], **_: Any) -> StandInPainting:
        """Sleep and be done."""
        return StandInPainting(recipe)

    async def slots(self) -> int:
        """How many sleep at a time."""
        return SLOTS

    async def tier(self) -> Tier:
        """Any."""
        return "cpu-float32"

    async def workers(self) -> list[WorkerInfo]:
        """None to speak of."""
        return []


if __name__ == "__main__":
    from bot import app
    from bot.cli.main import main

    vars(app)["DaskExecutor"] = StandIn
    main()
