"""Kills each kind of process at each change of a job's state, and at random moments."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal, get_args

from tests.chaos.message_log import MessageLog
from tests.chaos.processes import Child, Fleet, Role
from tests.chaos.watch import Watch

Victim = Literal["bot", "worker", "scheduler", "bot and worker"]
Moment = Literal[
    "acknowledged",  # the member reads "thinking …", and nothing is stored yet
    "queued",
    "running",
    "checkpointed",
    "delivering",
    "told",  # Discord has the picture, but the bot has no response yet
    "delivered",
    "cancelled",
    "random",
]
Manner = Literal["kill", "terminate", "freeze"]

LEAST_PAUSE: Final = 1.0
MOMENT_TIMEOUT: Final = 20.0
"""The most seconds to wait for a moment."""
FREEZE_FOR: Final = (11.0, 14.0)
"""Seconds: longer than a bot's lease of ten."""


@dataclass(frozen=True, slots=True)
class PlannedSignal:
    """A signal to send to a process at a moment."""

    victim: Victim
    moment: Moment
    manner: Manner = "kill"


@dataclass(frozen=True, slots=True)
class SentSignal:
    """A signal that was sent, with the jobs that were running then and had a checkpoint."""

    at: float
    planned: PlannedSignal
    running: frozenset[str]
    kept: frozenset[str]


class Killer:
    """Takes one planned signal after another from a shuffled list of all combinations, and sends it at its moment."""

    def __init__(
        self, fleet: Fleet, watch: Watch, message_log: MessageLog, rng: random.Random, *, pause: float
    ) -> None:
        """``pause`` is the mean number of seconds between two signals."""
        self.sent: list[SentSignal] = []
        self.missed = 0
        """Moments that did not come within :data:`MOMENT_TIMEOUT`."""
        self._fleet = fleet
        self._watch = watch
        self._rng = rng
        self._pause = pause
        self._armed: PlannedSignal | None = None
        self._done = asyncio.Event()
        self._freezing: set[asyncio.Task[bool]] = set()
        watch.on_moment(self._on_moment)
        message_log.on_moment(self._on_moment)

    async def run(self) -> None:
        """Send signals until cancelled."""
        try:
            while True:
                for planned in self._shuffled_plan():
                    await asyncio.sleep(LEAST_PAUSE + self._rng.expovariate(1 / self._pause))
                    await self._send_at_moment(planned)
        finally:
            self._armed = None
            for task in self._freezing:
                task.cancel()
            await asyncio.gather(*self._freezing, return_exceptions=True)

    def kills(self) -> Counter[str]:
        """SIGKILLs by victim."""
        return Counter(signal.planned.victim for signal in self.sent if signal.planned.manner == "kill")

    def by_moment(self) -> Counter[str]:
        """Every signal, as ``kill bot @ running``."""
        return Counter(
            f"{signal.planned.manner} {signal.planned.victim} @ {signal.planned.moment}"
            for signal in sorted(self.sent, key=lambda signal: str(signal.planned))
        )

    def _shuffled_plan(self) -> list[PlannedSignal]:
        victims = ("bot", "worker") if self._fleet.embedded else get_args(Victim)
        plan = [PlannedSignal(victim, moment) for victim, moment in product(victims, get_args(Moment))]
        plan += [
            PlannedSignal("bot", moment, "terminate") for moment in ("queued", "checkpointed", "delivering", "random")
        ]
        if len(self._fleet.of("bot")) > 1:
            plan += [PlannedSignal("bot", moment, "freeze") for moment in ("checkpointed", "delivering", "random")]
        self._rng.shuffle(plan)
        return plan

    async def _send_at_moment(self, planned: PlannedSignal) -> None:
        if planned.moment == "random":
            self._send(planned)
            return
        self._done.clear()
        self._armed = planned
        try:
            async with asyncio.timeout(MOMENT_TIMEOUT):
                await self._done.wait()
        except TimeoutError:
            self._armed = None
            self.missed += 1

    def _on_moment(self, moment: str) -> None:
        if self._armed is not None and self._armed.moment == moment:
            planned, self._armed = self._armed, None
            self._send(planned)
            self._done.set()

    def _send(self, planned: PlannedSignal) -> None:
        running = [row for row in self._watch.open_rows() if row.state == "running"]
        reached = [self._send_to(planned, child) for child in self._victims(planned.victim)]
        if any(reached):
            self.sent.append(
                SentSignal(
                    time.monotonic(),
                    planned,
                    frozenset(row.id for row in running),
                    frozenset(row.id for row in running if row.checkpoint),
                )
            )

    def _victims(self, victim: Victim) -> list[Child]:
        if victim == "bot and worker":
            return self._fleet.of("bot") + self._fleet.of("worker")
        within: Role = "bot" if victim == "worker" and self._fleet.embedded else victim
        alive = [child for child in self._fleet.of(within) if child.alive]
        return [self._rng.choice(alive)] if alive else []

    def _send_to(self, planned: PlannedSignal, child: Child) -> bool:
        if planned.manner == "terminate":
            return child.terminate()
        if planned.manner == "freeze":
            task = asyncio.create_task(child.freeze(self._rng.uniform(*FREEZE_FOR)))
            self._freezing.add(task)
            task.add_done_callback(self._freezing.discard)
            return child.alive
        if planned.victim == "worker" and child.role == "bot":
            return child.kill_innermost()
        if child.role == "worker" and self._rng.random() < 0.4 and child.kill_innermost():
            return True
        return child.kill()
