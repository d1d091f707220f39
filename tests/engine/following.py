"""Waiting for what a painting tells, here or in a worker."""

import asyncio
from collections.abc import Awaitable, Callable, Generator

from engine.executor.api import PaintingHandle
from engine.progress import Progress, Result


async def first(painting: PaintingHandle, wanted: Callable[[Progress], object] = bool) -> Progress:
    """The first progress of that kind; fails with the painting's own error if there is none."""
    async with asyncio.timeout(90):
        async for event in painting:
            if wanted(event):
                return event
        raise AssertionError(f"the painting ended: {await painting.result()}")


async def eventually(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(90):
        while not await condition():  # noqa: ASYNC110 - another process tells by answering, not by an event
            await asyncio.sleep(0.05)


def ended(painting: Generator[Progress, None, Result]) -> Result:
    """The result of a painting in this process."""
    while True:
        try:
            next(painting)
        except StopIteration as end:
            result: Result = end.value
            return result
