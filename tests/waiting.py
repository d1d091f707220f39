"""Wait for a condition without an event."""

import asyncio
import inspect
from collections.abc import Callable

import pytest


async def eventually(check: Callable[[], object], what: str = "", seconds: float = 60) -> None:
    """Wait until ``check`` returns a true value, or an awaitable of one. Fail after ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = check()
                if await found if inspect.isawaitable(found) else found:
                    return
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"never: {what or inspect.getsource(check).strip()}")
