"""Waiting for the progress or the end of a painting."""

import asyncio
from collections.abc import Awaitable, Callable, Generator

from engine.executor.api import PaintingHandle
from engine.progress import Progress, Result


async def first(painting: PaintingHandle, wanted: Callable[[Progress], object] = bool) -> Progress:
    """The first ``wanted`` progress. Raises the painting's error if there is none."""
    async with asyncio.timeout(90):
        async for event in painting:
            if wanted(event):
                return event
        raise AssertionError(f"the painting ended: {await painting.result()}")


async def eventually(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait until ``condition`` returns a true value."""
    async with asyncio.timeout(90):
        while not await condition():  # noqa: ASYNC110 - another process answers, but sends no event
            await asyncio.sleep(0.05)


def ended(painting: Generator[Progress, None, Result]) -> Result:
    """The result of a painting in this process."""
    while True:
        try:
            next(painting)
        except StopIteration as end:
            result: Result = end.value
            return result
