"""Time and identifiers."""

from __future__ import annotations

import time

import discord
import pytest

from bot.sandbox import SandboxClock
from bot.sandbox.clock import Snowflakes


def test_the_clock_can_only_be_moved_forward() -> None:
    clock = SandboxClock()
    assert clock.now() == pytest.approx(time.time(), abs=60)
    before = clock.now()
    clock.advance(1000)
    assert 1000 <= clock.now() - before < 1060
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)


def test_identifiers_increase_and_contain_their_time() -> None:
    clock = SandboxClock()
    snowflakes = Snowflakes(clock)
    made = [snowflakes.next() for _ in range(1000)]
    assert made == sorted(set(made))
    clock.advance(3600)
    assert discord.utils.snowflake_time(snowflakes.next()).timestamp() == pytest.approx(clock.now(), abs=1)
