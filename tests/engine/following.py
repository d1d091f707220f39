"""Waiting for the progress or the end of a painting."""

import asyncio
from collections.abc import Callable, Generator
from functools import partial

from engine.executor.api import PaintingHandle
from engine.progress import Progress, Result
from tests import waiting

eventually = partial(waiting.eventually, seconds=90)
"""Processes that import torch may have to start before the condition holds."""


async def first(painting: PaintingHandle, wanted: Callable[[Progress], object] = bool) -> Progress:
    """The first ``wanted`` progress. Raises the painting's error if there is none."""
    async with asyncio.timeout(90):
        async for event in painting:
            if wanted(event):
                return event
        raise AssertionError(f"the painting ended: {await painting.result()}")


def ended(painting: Generator[Progress, None, Result]) -> Result:
    """The result of a painting in this process."""
    while True:
        try:
            next(painting)
        except StopIteration as end:
            result: Result = end.value
            return result
