"""Chooses the worker on which a painting ends soonest, from the measured pace of each worker.

The cost of a painting is counted in pixels: a step of `gatys` at a scale of size `n` costs n², a step of another method
its multiple of that. The real picture may have fewer pixels; the measured pace of a worker includes that difference.
"""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal
from uuid import uuid4

from engine.painting.pyramid import SCHEDULES
from engine.painting.stages import later_steps
from engine.recipe import Recipe
from engine.worker.protocol import WorkerInfo

PRIOR: Final = {"cuda": 5e-8, "cpu": 3e-6}
"""Seconds per pixel of a worker that has painted nothing yet. The CPU's was measured on two cores with bfloat16; the
GPU's is an estimate of the order of magnitude."""
LONGEST_WAIT: Final = 120.0
"""Seconds for which a painting waits for a faster worker while another is free. Predictions are unreliable beyond."""
WORTH_MOVING: Final = 0.7
"""Hysteresis: a waiting painting moves only if its time to the end falls below this share of the present one."""


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """A worker's speed and the work that is ahead of a new painting."""

    worker: str
    """The worker's address."""
    device: Literal["cpu", "cuda"]
    pace: float | None
    """Measured seconds per pixel; None before the first painting."""
    busy: float
    """Predicted seconds until the worker is free."""

    def ends(self, left: float) -> float:
        """Predicted seconds until a painting of ``left`` pixels ends on this worker."""
        return self.busy + left * (self.pace or PRIOR[self.device])


def pixels(recipe: Recipe, done: int = 0) -> float:
    """The cost of the steps of a painting that remain after ``done`` steps, in pixels of steps of ``gatys``."""
    left = 0.0
    if recipe.frames > 1:
        first, others = recipe.steps, (recipe.frames - 1) * later_steps(recipe)
        return max(0, first + others - done) * recipe.size**2 * SCHEDULES[recipe.method].step_cost
    continued = recipe.size if recipe.continues else 0
    for scale in SCHEDULES[recipe.method].scales(recipe.size, recipe.steps, continued, recipe.strength):
        skipped = min(done, scale.steps)
        done -= skipped
        left += (scale.steps - skipped) * scale.size**2
    return left * SCHEDULES[recipe.method].step_cost


def choose(loads: Collection[WorkerLoad], left: float, *, idle_first: bool = False) -> WorkerLoad | None:
    """The worker on which a painting of ``left`` pixels ends soonest; None where there is no worker.

    Workers that are busy for more than :data:`LONGEST_WAIT` count only if all are. With ``idle_first``, busy workers
    count only if all are.
    """
    if idle_first:
        loads = [load for load in loads if not load.busy] or loads
    near = [load for load in loads if load.busy <= LONGEST_WAIT] or loads
    return min(near, key=lambda load: (load.ends(left), load.worker), default=None)


def worth_moving(loads: Collection[WorkerLoad], here: str, left: float) -> bool:
    """Whether a painting of ``left`` pixels that waits for the worker ``here`` should move to another worker."""
    best = choose(loads, left)
    current = next((load for load in loads if load.worker == here), None)
    if best is None or current is None or best.worker == here:
        return False
    return current.busy > LONGEST_WAIT or best.ends(left) < WORTH_MOVING * current.ends(left)


class Assignments:
    """The workers of this bot's paintings, by channel. A worker itself reports only the painting that runs."""

    def __init__(self) -> None:
        self._name = uuid4().hex
        self._numbers = itertools.count(1)
        self._places: dict[str, tuple[str, float]] = {}
        """By channel, the worker's address and the predicted seconds that the painting occupies it."""

    def loads(self, workers: Mapping[str, WorkerInfo], apart_from: str = "") -> list[WorkerLoad]:
        """The loads of ``workers`` without the painting of the channel ``apart_from``."""
        ahead = dict.fromkeys(workers, 0.0)
        for channel, (worker, seconds) in self._places.items():
            if worker in ahead and channel != apart_from:
                ahead[worker] += seconds
        for worker, info in workers.items():
            if info.painting and not info.painting.startswith(self._name):  # another bot's
                ahead[worker] += info.busy
        return [WorkerLoad(worker, info.device, info.pace, ahead[worker]) for worker, info in workers.items()]

    def assign(self, load: WorkerLoad, left: float) -> str:
        """Assign a painting of ``left`` pixels to that worker. Returns its channel, a unique name."""
        channel = f"{self._name}-{next(self._numbers)}"
        self._places[channel] = load.worker, load.ends(left) - load.busy
        return channel

    def update(self, channel: str, remaining: float) -> None:
        """Set the predicted seconds until the painting ends."""
        worker, _ = self._places[channel]
        self._places[channel] = worker, remaining

    def remove(self, channel: str) -> None:
        """Remove a painting that has ended or moves. Idempotent."""
        self._places.pop(channel, None)
