"""The measurements of a contestant: a clock that can be paused, images, and a curve."""

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

GROWTH: Final = 1.1
EVERY: Final = 3


class Clock:
    """Seconds of a contestant's own work: without the time within :meth:`paused`."""

    def __init__(self, device: torch.device, read: Callable[[], float] = time.perf_counter) -> None:
        """``read`` gives the time in seconds. On a GPU, which works asynchronously, each reading waits for it."""
        self._device = device
        self._read = read
        self._began = self._time()

    def seconds(self) -> float:
        """Since the start, without the pauses."""
        return self._time() - self._began

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time within this context does not count."""
        stopped = self._time()
        try:
            yield
        finally:
            self._began += self._time() - stopped

    def _time(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return self._read()


@dataclass(frozen=True, slots=True)
class Kept:
    """The exact image (float32) of a contestant after ``step`` steps and ``seconds``, in a file."""

    step: int
    seconds: float
    path: Path

    def image(self) -> Tensor:
        """RGB of shape (1, 3, height, width). Some contestants do not keep it in [0, 1]."""
        image: Tensor = torch.load(self.path, weights_only=True)
        return image


class Keeper:
    """Writes some of the images into ``folder``: the next is due one step later, or after :data:`GROWTH` times as many
    steps, whichever is later.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._next = 1.0
        self.kept: list[Kept] = []

    def wants(self, step: int) -> bool:
        """Whether it is time for another image; steps count from 1."""
        return step >= self._next

    def keep(self, step: int, seconds: float, image: Tensor) -> None:
        """Write ``image`` into a file. In memory it would count for the contestant's peak memory."""
        path = self._folder / f"{step}.pt"
        torch.save(image.detach().float().cpu().clone(), path)
        self.kept.append(Kept(step, seconds, path))
        self._next = max(step + 1, step * GROWTH)


@dataclass(frozen=True, slots=True)
class Point:
    """The value of an objective after ``step`` steps and ``seconds``."""

    step: int
    seconds: float
    value: float


def reached(curve: Sequence[Point], target: float) -> float | None:
    """The first time, in seconds, at which ``curve`` is at or below ``target``; None if it never is.

    Between two points the logarithm of the objective is interpolated linearly.
    """
    if curve and curve[0].value <= target:
        return curve[0].seconds
    for before, after in pairwise(curve):
        if after.value <= target:
            if not (math.isfinite(before.value) and after.value > 0):
                return after.seconds
            share = math.log(before.value / target) / math.log(before.value / after.value)
            return before.seconds + share * (after.seconds - before.seconds)
    return None


def judged(kept: Sequence[Kept], targets: Collection[float], value: Callable[[Tensor], float]) -> list[Point]:
    """Evaluate every :data:`EVERY`-th image and the last, and all images just before the first at or below a target.

    So the curve has more points near the target. An evaluation takes a third of the time of a step.
    """
    points: list[Point] = []
    skipped: list[Kept] = []
    ahead = set(targets)
    for number, each in enumerate(kept):
        if number % EVERY and number + 1 < len(kept):
            skipped.append(each)
            continue
        point = _looked_at(each, value)
        if crossed := {target for target in ahead if point.value <= target}:
            ahead -= crossed
            points += [_looked_at(other, value) for other in skipped]
        points.append(point)
        skipped.clear()
    return points


def _looked_at(kept: Kept, value: Callable[[Tensor], float]) -> Point:
    return Point(kept.step, kept.seconds, value(kept.image()))
