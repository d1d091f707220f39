"""Limits how often waiting members see their new position in the queue.

A long queue must neither exhaust Discord's rate limits nor keep the event loop busy.

Discord's documentation ("Rate Limits", "Receiving and Responding to Interactions"): a bot may send 50 requests per
second. Edits with an interaction's token have rate limits of their own while the token lives. Later edits share the
limit of their channel. Discord's responses state it: 5 requests in 5 s.
"""

import time
from collections.abc import Collection, Mapping
from typing import Final

NEAR: Final = 5
"""Positions at the front of the queue. Their members see every change."""
FAR_EVERY: Final = 15.0
"""Minimum seconds between two updates for the same job behind the front."""
FAR_A_SECOND: Final = 5.0
"""Updates per second for all jobs behind the front together: a tenth of what Discord allows."""
BUCKET_EVERY: Final = 2.0
"""Minimum seconds between two edits in one bucket. Half of Discord's limit remains for progress and endings."""


class QueuePositions:
    """The last position shown for each waiting job. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[int, float]] = {}
        """The last position and its time, by the job's id."""
        self._buckets: dict[str, float] = {}
        """The last use of each bucket."""
        self._allowance = FAR_A_SECOND
        """The tokens of a token bucket for updates behind the front, and when they were counted."""
        self._counted = time.monotonic()

    def due(self, positions: Mapping[str, int], fresh: Collection[str]) -> list[str]:
        """The jobs of ``positions`` to update now. Jobs in ``fresh`` show no position yet and are updated at once."""
        now = time.monotonic()
        self._shown = {job: shown for job, shown in self._shown.items() if job in positions}
        self._buckets = {bucket: at for bucket, at in self._buckets.items() if now - at < BUCKET_EVERY}
        self._allowance = min(FAR_A_SECOND, self._allowance + FAR_A_SECOND * (now - self._counted))
        self._counted = now
        due: list[str] = []
        far: list[tuple[float, str]] = []
        for job, position in positions.items():
            shown, at = self._shown.get(job, (None, -FAR_EVERY))
            if shown == position:
                continue
            if position <= NEAR or (shown is None and job in fresh):
                due.append(job)
            elif shown is None or now - at >= FAR_EVERY:
                far.append((at, job))
        chosen = sorted(far, key=lambda each: each[0])[: int(self._allowance)]
        self._allowance -= len(chosen)
        return due + [job for _, job in chosen]

    def take(self, job: str, position: int, bucket: str) -> bool:
        """Record that a reply shows its position now. False if its bucket was used too recently: retry later."""
        now = time.monotonic()
        if now - self._buckets.get(bucket, -BUCKET_EVERY) < BUCKET_EVERY:
            if position > NEAR:
                # Others go first.
                self._shown[job] = (0, now)
            return False
        self._buckets[bucket] = now
        self._shown[job] = (position, now)
        return True
