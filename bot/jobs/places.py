"""When the waiting are told their places in line, so that a long line leaves Discord and the event loop to the rest.

Discord's documentation ("Rate Limits", "Receiving and Responding to Interactions"): a bot may send 50 requests a
second. An interaction's token has limits of its own, as long as it lives; later edits share those of their channel,
which Discord tells in its answers: 5 in 5 s.
"""

import time
from collections.abc import Collection, Mapping
from typing import Final

NEAR: Final = 5
"""Places at the front whose every change is told."""
FAR_EVERY: Final = 15.0
"""Seconds between two places that somebody further behind is told, at least."""
FAR_A_SECOND: Final = 5.0
"""Of all those behind together: a tenth of what Discord grants."""
LANE_EVERY: Final = 2.0
"""Seconds between two edits that share a limit: half of what Discord grants stays for progress and ends."""


class Places:
    """What the waiting were told last, and who is told next. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[int, float]] = {}
        """Place and time, by the jobs' ids."""
        self._lanes: dict[str, float] = {}
        """When each was used last."""
        self._allowance = FAR_A_SECOND
        self._counted = time.monotonic()

    def due(self, places: Mapping[str, int], fresh: Collection[str]) -> list[str]:
        """Who is to be told now, of those with these places; ``fresh`` ones read nothing yet and are told at once."""
        now = time.monotonic()
        self._told = {job: told for job, told in self._told.items() if job in places}
        self._lanes = {lane: at for lane, at in self._lanes.items() if now - at < LANE_EVERY}
        self._allowance = min(FAR_A_SECOND, self._allowance + FAR_A_SECOND * (now - self._counted))
        self._counted = now
        due: list[str] = []
        far: list[tuple[float, str]] = []
        for job, place in places.items():
            told, at = self._told.get(job, (None, -FAR_EVERY))
            if told == place:
                continue
            if place <= NEAR or (told is None and job in fresh):
                due.append(job)
            elif told is None or now - at >= FAR_EVERY:
                far.append((at, job))
        allowed = int(self._allowance)
        if far and allowed:
            due += [job for _, job in sorted(far, key=lambda each: each[0])[:allowed]]
            self._allowance -= min(allowed, len(far))
        return due

    def take(self, job: str, place: int, lane: str) -> bool:
        """Note that a job is told its place now; false where its lane was used a moment ago: then it is told later."""
        now = time.monotonic()
        if now - self._lanes.get(lane, -LANE_EVERY) < LANE_EVERY:
            if place > NEAR:
                # Others have their turn before it.
                self._told[job] = (0, now)
            return False
        self._lanes[lane] = now
        self._told[job] = (place, now)
        return True
