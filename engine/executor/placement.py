"""Which worker a painting goes to: where it ends soonest by what a step was measured to cost.

Steps are counted in squares of their scale's longer side, so that one number measures a worker whatever it paints; the
shape of pictures is part of what is measured.
"""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal
from uuid import uuid4

from engine.painting.pyramid import scales
from engine.recipe import Recipe
from engine.worker.protocol import WorkerInfo

PRIOR: Final = {"cuda": 5e-8, "cpu": 3e-6}
"""Seconds a pixel of such a square takes, of a worker that has painted nothing yet: two cores with bfloat16, and a
guess for GPUs that needs only the right order of magnitude."""
LONGEST_WAIT: Final = 120.0
"""Seconds that a painting waits for a faster worker while another is free: predictions reach no further."""
WORTH_MOVING: Final = 0.7
"""A painting that waits is moved where the time to its end is under this share of what it is here: no to and fro."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A worker as a painting looks at it."""

    worker: str
    device: Literal["cpu", "cuda"]
    pace: float | None
    """Measured seconds a pixel; None where nothing was painted yet."""
    busy: float
    """Seconds until it is free."""

    def ends(self, left: float) -> float:
        """Seconds until a painting of ``left`` pixels, begun when this seat is free, ends."""
        return self.busy + left * (self.pace or PRIOR[self.device])


def pixels(recipe: Recipe, done: int = 0) -> float:
    """What is left of a painting after ``done`` steps, in pixels of squares of the longer side."""
    left = 0.0
    for scale in scales(recipe.size, recipe.steps):
        skipped = min(done, scale.steps)
        done -= skipped
        left += (scale.steps - skipped) * scale.size**2
    return left


def choose(seats: Collection[Seat], left: float) -> Seat | None:
    """The seat where a painting of ``left`` pixels ends soonest, of those free within :data:`LONGEST_WAIT` if any are.

    None where there is no seat.
    """
    near = [seat for seat in seats if seat.busy <= LONGEST_WAIT] or seats
    return min(near, key=lambda seat: (seat.ends(left), seat.worker), default=None)


def worth_moving(seats: Collection[Seat], here: str, left: float) -> bool:
    """Whether a painting of ``left`` pixels that waits for the worker ``here`` would end much sooner elsewhere."""
    best = choose(seats, left)
    current = next((seat for seat in seats if seat.worker == here), None)
    if best is None or current is None or best.worker == here:
        return False
    return current.busy > LONGEST_WAIT or best.ends(left) < WORTH_MOVING * current.ends(left)


class Board:
    """Which painting of this bot, by its channel, is at which worker: workers tell only what they paint right now."""

    def __init__(self) -> None:
        self._name = uuid4().hex
        self._numbers = itertools.count(1)
        self._places: dict[str, tuple[str, float]] = {}

    def seats(self, workers: Mapping[str, WorkerInfo], apart_from: str = "") -> list[Seat]:
        """What a painting finds at ``workers``; ``apart_from`` is its own channel, if it is on the board already."""
        ahead = dict.fromkeys(workers, 0.0)
        for channel, (worker, seconds) in self._places.items():
            if worker in ahead and channel != apart_from:
                ahead[worker] += seconds
        for worker, info in workers.items():
            if info.painting and not info.painting.startswith(self._name):  # of another bot
                ahead[worker] += info.busy
        return [Seat(worker, info.device, info.pace, ahead[worker]) for worker, info in workers.items()]

    def put(self, seat: Seat, left: float) -> str:
        """Give a painting of ``left`` pixels to that worker; its channel, a name that no other attempt has."""
        channel = f"{self._name}-{next(self._numbers)}"
        self._places[channel] = seat.worker, seat.ends(left) - seat.busy
        return channel

    def progressed(self, channel: str, remaining: float) -> None:
        """A painting has ``remaining`` seconds to go where it is."""
        worker, _ = self._places[channel]
        self._places[channel] = worker, remaining

    def remove(self, channel: str) -> None:
        """A painting has ended, or goes elsewhere; harmless when it isn't on the board."""
        self._places.pop(channel, None)
