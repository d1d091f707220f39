"""Which waiting members see a new position in line now.

A long line must neither use up Discord's limits nor keep the event loop busy.

Discord's documentation ("Rate Limits", "Receiving and Responding to Interactions"): a bot may send 50 requests a
second. An interaction's token has limits of its own, as long as it lives; later edits share those of their channel,
which Discord tells in its answers: 5 in 5 s.
"""

import time
from collections.abc import Collection, Mapping
from typing import Final

NEAR: Final = 5
"""Places at the front of the line. These members see every change."""
FAR_EVERY: Final = 15.0
"""Least seconds between two updates of the same member further behind."""
FAR_A_SECOND: Final = 5.0
"""Updates a second for all members further behind together: a tenth of what Discord grants."""
BUCKET_EVERY: Final = 2.0
"""Seconds between two edits that share a limit: half of what Discord grants stays for progress and ends."""


class QueuePositions:
    """The position that each waiting member saw last, and who is next. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[int, float]] = {}
        """Place and time, by the jobs' ids."""
        self._buckets: dict[str, float] = {}
        """When each was used last."""
        self._allowance = FAR_A_SECOND
        """The tokens of a token bucket for updates further behind, and when they were counted."""
        self._counted = time.monotonic()

    def due(self, positions: Mapping[str, int], fresh: Collection[str]) -> list[str]:
        """The jobs of ``positions`` to update now. Those in ``fresh`` show no position yet and don't have to wait."""
        now = time.monotonic()
        self._told = {job: told for job, told in self._told.items() if job in positions}
        self._buckets = {bucket: at for bucket, at in self._buckets.items() if now - at < BUCKET_EVERY}
        self._allowance = min(FAR_A_SECOND, self._allowance + FAR_A_SECOND * (now - self._counted))
        self._counted = now
        due: list[str] = []
        far: list[tuple[float, str]] = []
        for job, position in positions.items():
            told, at = self._told.get(job, (None, -FAR_EVERY))
            if told == position:
                continue
            if position <= NEAR or (told is None and job in fresh):
                due.append(job)
            elif told is None or now - at >= FAR_EVERY:
                far.append((at, job))
        chosen = sorted(far, key=lambda each: each[0])[: int(self._allowance)]
        self._allowance -= len(chosen)
        return due + [job for _, job in chosen]

    def take(self, job: str, position: int, bucket: str) -> bool:
        """Note that a reply shows its position now. False if its bucket was used a moment ago: then it has to wait."""
        now = time.monotonic()
        if now - self._buckets.get(bucket, -BUCKET_EVERY) < BUCKET_EVERY:
            if position > NEAR:
                # Others go first.
                self._told[job] = (0, now)
            return False
        self._buckets[bucket] = now
        self._told[job] = (position, now)
        return True
