"""Retries with exponential back-off and jitter, while the database, the blob store or Discord can't be reached."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, retry_if_exception_type
from tenacity.wait import wait_base, wait_random_exponential

from bot.jobs.errors import Closing
from engine.errors import AtelierError

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
T = TypeVar("T")

BACK_OFF: Final = wait_random_exponential(multiplier=2, min=0.5, max=60)
"""Seconds before the next attempt: random, below 2, 4, 8 … 60. So processes that fail together retry apart."""


class Retry:
    """The retries of one process. Its shutdown ends every wait at once."""

    def __init__(self, closing: asyncio.Event, back_off: wait_base = BACK_OFF) -> None:
        self.closing = closing
        """Set when the process shuts down."""
        self._back_off = back_off

    async def change(self, change: Callable[[], Awaitable[T]]) -> T:
        """Repeat an idempotent change until the database accepts it. A shutdown triggers the next attempt at once."""

        async def attempt() -> T:
            return await change()

        async def sleep(seconds: float) -> None:
            if self.closing.is_set():
                await asyncio.sleep(seconds)
            else:
                await self.closes_within(seconds)

        return await AsyncRetrying(
            sleep=sleep,
            wait=self._back_off,
            retry=retry_if_exception_type((SQLAlchemyError, OSError)),
            before_sleep=logs_retries("the database does not answer"),
        )(attempt)

    async def until_closing(self, what: str, act: Callable[[], Awaitable[T]]) -> T:
        """Repeat an action until it succeeds. Log each failure as ``what``.

        Raises:
            Closing: the process shuts down during a wait, or ``act`` raises it.
        """

        async def attempt() -> T:
            return await act()

        async def sleep(seconds: float) -> None:
            if await self.closes_within(seconds):
                raise Closing

        return await AsyncRetrying(
            sleep=sleep,
            wait=self._back_off,
            retry=retry_if_exception(lambda error: isinstance(error, Exception) and not isinstance(error, Closing)),
            before_sleep=logs_retries(what),
        )(attempt)

    def pause(self, attempt: int) -> float:
        """Seconds to wait after this attempt, counted from 1, if the caller schedules the next one."""
        state = RetryCallState(AsyncRetrying(), None, (), {})
        state.attempt_number = attempt
        return self._back_off(state)

    async def closes_within(self, seconds: float) -> bool:
        """Wait this long or until the process shuts down. Returns whether it shuts down."""
        await first_of(seconds, self.closing)
        return self.closing.is_set()


async def first_of(seconds: float, *events: asyncio.Event) -> None:
    """Wait until one of the events is set, at most ``seconds``."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


def logs_retries(what: str) -> Callable[[RetryCallState], None]:
    """Make a ``before_sleep`` for tenacity: it logs the failure as ``what``, a bug with its traceback."""

    def log_failure(state: RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        pause = round(state.upcoming_sleep, 1)
        if isinstance(error, AtelierError | SQLAlchemyError | OSError):
            log.warning(what, reason=repr(error), again_in=pause)
        else:
            log.error(what, exc_info=error, again_in=pause)

    return log_failure


@contextlib.contextmanager
def failures_logged(what: str) -> Iterator[None]:
    """Log and suppress every exception, bugs too, where the failure of one action must not end the service."""
    try:
        yield
    except (AtelierError, SQLAlchemyError, OSError) as error:
        log.warning(what, reason=repr(error))
    except Exception:
        log.exception(what)


async def repeat_every(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    """Repeat an action until cancelled. A failure is logged and doesn't end the repetition."""
    while True:
        with failures_logged("a regular task failed"):
            await act()
        await asyncio.sleep(seconds)
