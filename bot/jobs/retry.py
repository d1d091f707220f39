"""Retries while the database, the disk or Discord can't be reached."""

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
    """Log and suppress errors of the database and of the disk, where the caller tries again later anyway."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        log.warning(what, reason=repr(error))


@contextlib.contextmanager
def survived(what: str) -> Iterator[None]:
    """Log and suppress every exception, bugs too: for regular work, whose failure must not end the service."""
    try:
        with logged(what):
            yield
    except AtelierError as error:
        log.warning(what, reason=repr(error))
    except Exception:
        log.exception(what)


async def again_every(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    """Repeat an action until cancelled. A failure is logged and doesn't end the repetition."""
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
