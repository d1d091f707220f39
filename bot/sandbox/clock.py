"""The time of the local Discord, which a test can move, and the identifiers made from it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

DISCORD_EPOCH_MS = 1_420_070_400_000
"""The first millisecond of 2015, from which Discord counts its identifiers."""


class SandboxClock:
    """Unix time that runs like the machine's and can be moved forward."""

    def __init__(self) -> None:
        """Start at the present time of the machine."""
        # Monotonic underneath: a correction of the machine's clock must not expire a token in the middle of a test.
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """The present moment, in unix seconds."""
        return time.monotonic() + self._offset

    def advance(self, seconds: float) -> None:
        """Jump forward by some seconds.

        Raises:
            ValueError: time would run backwards.
        """
        if seconds < 0:
            raise ValueError(f"the clock cannot go back by {-seconds} s")
        self._offset += seconds

    def timestamp(self) -> str:
        """The present moment as Discord writes it: ISO 8601 in UTC."""
        return isoformat(self.now())


def isoformat(moment: float) -> str:
    """Unix seconds as Discord writes them: ISO 8601 in UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat()


class Snowflakes:
    """Makes increasing identifiers that contain their time (Discord documentation: Reference, Snowflakes)."""

    def __init__(self, clock: SandboxClock) -> None:
        """Take the time from this clock."""
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        """A new identifier, larger than all before."""
        candidate = (int(self._clock.now() * 1000) - DISCORD_EPOCH_MS) << 22
        self._last = max(candidate, self._last + 1)
        return self._last
