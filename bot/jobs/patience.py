"""What goes on trying while database, disk or Discord are away."""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from engine.errors import AtelierError

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
T = TypeVar("T")


def pauses() -> Iterator[float]:
    """Seconds between attempts: 1, 2, 4 … up to a minute."""
    return itertools.chain((1.0, 2.0, 4.0, 8.0, 15.0, 30.0), itertools.repeat(60.0))


@contextlib.contextmanager
def logged(what: str) -> Iterator[None]:
    """Log what the database and the disk raise: the next attempt comes by itself."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        log.warning(what, reason=repr(error))


@contextlib.contextmanager
def survived(what: str) -> Iterator[None]:
    """Log whatever is raised, faults of ours too: for what must not end the service, and is done again by itself."""
    try:
        with logged(what):
            yield
    except AtelierError as error:
        log.warning(what, reason=repr(error))
    except Exception:
        log.exception(what)


async def again_every(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    """Act until cancelled, whatever is raised."""
    while True:
        with survived("a regular task failed"):
            await act()
        await asyncio.sleep(seconds)


async def insist(change: Callable[[], Awaitable[T]]) -> T:
    """Repeat a change until the database takes it. Its guard makes a repetition harmless."""
    for pause in pauses():
        try:
            return await change()
        except (SQLAlchemyError, OSError) as error:
            log.warning("the database does not answer", reason=repr(error), again_in=pause)
        await asyncio.sleep(pause)
    raise AssertionError("unreachable")
