"""Placement in virtual time: the real functions of :mod:`engine.executor.placement`, and workers of different
speeds.
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import mean
from typing import Final, Literal

from bot.jobs.service import AHEAD, saturated
from engine.executor.connection import POLL_INTERVAL
from engine.executor.placement import Assignments, WorkerLoad, choose, pixels, worth_moving
from engine.presets import PRESETS
from engine.recipe import Recipe
from engine.worker.protocol import WorkerInfo

Policy = Literal["first free", "soonest", "soonest, idle first"]
"""``first free`` gives the next job to the worker that has been idle for longest. ``soonest`` gives it to the worker
that finishes it soonest. The bot's policy is ``idle first``: the same until there are more jobs than slots, and then
the soonest of the idle workers, if any is idle.
"""
CPU: Final = 3e-6
"""Seconds a pixel."""
FASTER: Final = 20
_PRESETS: Final = [PRESETS["cpu-bfloat16"][name] for name in ("quick", "standard", "fine")]
RECIPES: Final = [Recipe(**preset.fields()) for preset in _PRESETS]
SHARES: Final = (0.4, 0.4, 0.2)


def pace(seconds: float) -> float:
    """The pace at which a job takes ``seconds`` on average."""
    return seconds / sum(share * pixels(recipe) for share, recipe in zip(SHARES, RECIPES, strict=True))


@dataclass(frozen=True)
class Case:
    """The settings of a simulation. With a load of None the queue is never empty."""

    policy: Policy
    load: float | None
    gpus: int = 10
    cpus: int = 90
    pace: float = CPU
    """Of the CPUs."""
    bots: int = 1
    seconds: float = 1800.0
    warm: float = 600.0
    seed: int = 1


@dataclass(frozen=True)
class Placed:
    """The results after the warm-up."""

    case: Case
    busy: float
    """The work done, divided by the work that was offered or that all workers together can do."""
    mean: float
    """Seconds from acceptance to the end."""


@dataclass(eq=False)
class _Job:
    bot: int
    left: float
    accepted: float
    worker: "_Worker | None" = None
    channel: str = ""
    begun: float | None = None


@dataclass(eq=False)
class _Worker:
    name: str
    info: WorkerInfo
    pace: float
    queue: deque[_Job] = field(default_factory=deque)
    """The first painting is the one at work."""


class Simulation:
    """A simulation that handles its events in order."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.now = 0.0
        self._random = random.Random(case.seed)
        self._numbers = itertools.count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        kinds: list[tuple[Literal["cpu", "cuda"], float]] = [("cuda", case.pace / FASTER)] * case.gpus
        kinds += [("cpu", case.pace)] * case.cpus
        self._workers = {f"worker {number}": self._worker(number, *kind) for number, kind in enumerate(kinds)}
        self._seen = {name: worker.info for name, worker in self._workers.items()}
        self._assignments = [Assignments() for _ in range(case.bots)]
        self._line: deque[_Job] = deque()
        self._open: dict[_Job, None] = {}  # no set: its order would differ from run to run
        self._free = deque(self._workers.values())
        self._ended: list[float] = []
        self._done = 0.0

    def _worker(self, number: int, device: Literal["cpu", "cuda"], pace: float) -> _Worker:
        info = WorkerInfo("1", device, "a device", "float32", number, pace, None, 0.0)
        return _Worker(f"worker {number}", info, pace)

    def run(self) -> Placed:
        """Simulate the whole case."""
        speed = sum(1 / worker.pace for worker in self._workers.values())
        if self.case.load is None:
            for _ in range(2 * len(self._workers)):
                self._accept()
        else:
            self._arrive(speed * self.case.load * pace(1.0))
        self._look()
        while self._events[0][0] < self.case.seconds:
            self.now, _, happen = heapq.heappop(self._events)
            happen()
        for worker in self._workers.values():
            if worker.queue:
                self._painted(worker, worker.queue[0])
        return Placed(
            case=self.case,
            busy=self._done / (speed * (self.case.load or 1) * (self.case.seconds - self.case.warm)),
            mean=mean(self._ended),
        )

    def _at(self, when: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), happen))

    def _arrive(self, rate: float) -> None:
        self._accept()
        self._at(self.now + self._random.expovariate(rate), lambda: self._arrive(rate))

    def _accept(self) -> None:
        (recipe,) = self._random.choices(RECIPES, SHARES)
        self._line.append(_Job(self._random.randrange(self.case.bots), pixels(recipe), self.now))
        self._submit()

    def _submit(self) -> None:
        """Submit as many jobs as there are slots, and a few more, as the service does."""
        slots = len(self._workers)
        while self._line:
            if self.case.policy == "first free":
                if not self._free:
                    return
                self._put(self._line.popleft(), self._free.popleft())
                continue
            if slots + int(slots * AHEAD) <= len(self._open):
                return
            full = saturated(len(self._open) + 1, len(self._open) + len(self._line), slots)
            self._place(self._line.popleft(), full and self.case.policy == "soonest, idle first")

    def _loads(self, job: _Job) -> list[WorkerLoad]:
        return self._assignments[job.bot].loads(self._seen, apart_from=job.channel)

    def _place(self, job: _Job, idle_first: bool = False) -> None:
        load = choose(self._loads(job), job.left, idle_first=idle_first)
        assert load is not None
        job.channel = self._assignments[job.bot].assign(load, job.left)
        self._put(job, self._workers[load.worker])

    def _put(self, job: _Job, worker: _Worker) -> None:
        self._open[job] = None
        job.worker = worker
        worker.queue.append(job)
        if len(worker.queue) == 1:
            self._begin(worker)

    def _begin(self, worker: _Worker) -> None:
        job = worker.queue[0]
        job.begun = self.now
        self._at(self.now + job.left * worker.pace, lambda: self._end(worker))

    def _end(self, worker: _Worker) -> None:
        job = worker.queue.popleft()
        del self._open[job]
        self._assignments[job.bot].remove(job.channel)
        if self.now >= self.case.warm:
            self._ended.append(self.now - job.accepted)
            self._painted(worker, job)
        if worker.queue:
            self._begin(worker)
        else:
            self._free.append(worker)
        if self.case.load is None:
            self._accept()
        self._submit()

    def _painted(self, worker: _Worker, job: _Job) -> None:
        assert job.begun is not None
        self._done += max(0.0, self.now - max(job.begun, self.case.warm)) / worker.pace

    def _look(self) -> None:
        """Renew each bot's view of the workers. Waiting paintings may move to another worker."""
        for worker in self._workers.values():
            job = worker.queue[0] if worker.queue else None
            busy = 0.0
            if job and job.begun is not None:
                busy = job.begun + job.left * worker.pace - self.now
                if job.channel:
                    self._assignments[job.bot].update(job.channel, busy)
            self._seen[worker.name] = replace(worker.info, painting=job.channel if job else None, busy=busy)
        for job in [job for job in self._open if job.begun is None and job.channel]:
            assert job.worker is not None
            if job.begun is None and worth_moving(self._loads(job), job.worker.name, job.left):
                job.worker.queue.remove(job)
                self._assignments[job.bot].remove(job.channel)
                self._place(job)
        self._submit()
        self._at(self.now + POLL_INTERVAL + len(self._workers) / 100, self._look)
