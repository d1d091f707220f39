"""Retries: their back-off, what they retry, and how a shutdown ends them."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs
from tenacity.wait import wait_fixed, wait_none

from bot.jobs.errors import Closing, DeliveryDelayed
from bot.jobs.retry import Retry

LOST = OperationalError("a statement", None, Exception("connection lost"))


class Flaky:
    """An action that raises these errors, one per call, and then returns the number of calls."""

    def __init__(self, *errors: Exception, before: Callable[[], object] = lambda: None) -> None:
        self.errors = list(errors)
        self.calls = 0
        self._before = before

    async def __call__(self) -> int:
        self.calls += 1
        self._before()
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


def test_pauses_grow_to_a_minute_and_are_random() -> None:
    retry = Retry(asyncio.Event())
    for attempt, longest in [(1, 2), (2, 4), (3, 8), (10, 60), (5000, 60)]:
        pauses = [retry.pause(attempt) for _ in range(50)]
        assert 0.5 <= min(pauses) < max(pauses) <= longest
        assert max(pauses) > longest / 2


class TestAChange:
    async def test_is_repeated_until_the_database_accepts_it(self) -> None:
        with capture_logs() as entries:
            assert await Retry(asyncio.Event(), wait_none()).change(Flaky(LOST, OSError("no route"), LOST)) == 4
        assert [entry["event"] for entry in entries] == ["the database does not answer"] * 3

    async def test_is_not_repeated_after_another_error(self) -> None:
        broken = Flaky(ValueError("a bug"))
        with pytest.raises(ValueError, match="a bug"):
            await Retry(asyncio.Event(), wait_none()).change(broken)
        assert broken.calls == 1

    async def test_is_repeated_at_once_in_a_shutdown(self) -> None:
        closing = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, closing.set)
        async with asyncio.timeout(10):
            assert await Retry(closing, wait_fixed(3600)).change(Flaky(LOST)) == 2


class TestUntilClosing:
    async def test_repeats_after_any_error_and_logs_a_bug_with_its_traceback(self) -> None:
        with capture_logs() as entries:
            action = Flaky(DeliveryDelayed("502"), RuntimeError("a bug"))
            assert await Retry(asyncio.Event(), wait_none()).until_closing("delivery failed", action) == 3
        assert [(entry["event"], entry["log_level"], "exc_info" in entry) for entry in entries] == [
            ("delivery failed", "warning", False),
            ("delivery failed", "error", True),
        ]

    async def test_ends_at_once_in_a_shutdown(self) -> None:
        closing = asyncio.Event()
        action = Flaky(DeliveryDelayed("502"), before=lambda: asyncio.get_running_loop().call_later(0.01, closing.set))
        async with asyncio.timeout(10):
            with pytest.raises(Closing):
                await Retry(closing, wait_fixed(3600)).until_closing("delivery failed", action)
        assert action.calls == 1

    async def test_does_not_retry_a_cancellation(self) -> None:
        started, never = asyncio.Event(), asyncio.Event()

        async def hang() -> None:
            started.set()
            await never.wait()

        task = asyncio.create_task(Retry(asyncio.Event(), wait_none()).until_closing("delivery failed", hang))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
