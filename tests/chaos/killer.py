"""Who kills what, and when: every victim at every change of a job's state, and at random moments besides."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal, get_args

from tests.chaos.processes import Child, Fleet, Role
from tests.chaos.watch import Watch
from tests.chaos.witness import Witness

Victim = Literal["bot", "worker", "scheduler", "bot and worker"]
Moment = Literal[
    "acknowledged",  # the member reads "thinking …", nothing is stored yet
    "queued",
    "running",
    "checkpointed",
    "delivering",
    "told",  # Discord has the picture, the bot has not heard so
    "delivered",
    "cancelled",
    "random",
]
Manner = Literal["kill", "ask", "freeze"]

LEAST_PAUSE: Final = 1.0
PATIENCE: Final = 20.0
"""Seconds to wait for a moment that doesn't come."""
FREEZE_FOR: Final = (11.0, 14.0)
"""Seconds: longer than a bot's lease of ten."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One thing to do to somebody at some moment."""

    victim: Victim
    moment: Moment
    manner: Manner = "kill"


@dataclass(frozen=True, slots=True)
class Blow:
    """A strike that was dealt, and the jobs that were being painted then and had a checkpoint."""

    at: float
    strike: Strike
    running: frozenset[str]
    kept: frozenset[str]


class Killer:
    """Draws strike after strike from a shuffled deck of all combinations, waits for its moment, and deals it."""

    def __init__(self, fleet: Fleet, watch: Watch, witness: Witness, rng: random.Random, *, pause: float) -> None:
        """``pause`` is the mean number of seconds between two strikes."""
        self.blows: list[Blow] = []
        self.missed = 0
        """Moments that did not come within :data:`PATIENCE`."""
        self._fleet = fleet
        self._watch = watch
        self._rng = rng
        self._pause = pause
        self._armed: Strike | None = None
        self._dealt = asyncio.Event()
        self._freezing: set[asyncio.Task[bool]] = set()
        watch.on_moment(self._on_moment)
        witness.on_moment(self._on_moment)

    async def run(self) -> None:
        """Strike until cancelled."""
        try:
            while True:
                for strike in self._deck():
                    await asyncio.sleep(LEAST_PAUSE + self._rng.expovariate(1 / self._pause))
                    await self._deal(strike)
        finally:
            self._armed = None
            for task in self._freezing:
                task.cancel()
            await asyncio.gather(*self._freezing, return_exceptions=True)

    def kills(self) -> Counter[str]:
        """SIGKILLs by victim."""
        return Counter(blow.strike.victim for blow in self.blows if blow.strike.manner == "kill")

    def by_moment(self) -> Counter[str]:
        """Every blow, as ``kill bot @ running``."""
        return Counter(
            f"{blow.strike.manner} {blow.strike.victim} @ {blow.strike.moment}"
            for blow in sorted(self.blows, key=lambda blow: str(blow.strike))
        )

    def _deck(self) -> list[Strike]:
        victims = ("bot", "worker") if self._fleet.embedded else get_args(Victim)
        deck = [Strike(victim, moment) for victim, moment in product(victims, get_args(Moment))]
        deck += [Strike("bot", moment, "ask") for moment in ("queued", "checkpointed", "delivering", "random")]
        if len(self._fleet.of("bot")) > 1:
            deck += [Strike("bot", moment, "freeze") for moment in ("checkpointed", "delivering", "random")]
        self._rng.shuffle(deck)
        return deck

    async def _deal(self, strike: Strike) -> None:
        if strike.moment == "random":
            self._strike(strike)
            return
        self._dealt.clear()
        self._armed = strike
        try:
            async with asyncio.timeout(PATIENCE):
                await self._dealt.wait()
        except TimeoutError:
            self._armed = None
            self.missed += 1

    def _on_moment(self, moment: str) -> None:
        if self._armed is not None and self._armed.moment == moment:
            strike, self._armed = self._armed, None
            self._strike(strike)
            self._dealt.set()

    def _strike(self, strike: Strike) -> None:
        running = [row for row in self._watch.open_rows() if row.state == "running"]
        struck = [self._hit(strike, child) for child in self._victims(strike.victim)]
        if any(struck):
            self.blows.append(
                Blow(
                    time.monotonic(),
                    strike,
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

    def _hit(self, strike: Strike, child: Child) -> bool:
        if strike.manner == "ask":
            return child.ask()
        if strike.manner == "freeze":
            task = asyncio.create_task(child.freeze(self._rng.uniform(*FREEZE_FOR)))
            self._freezing.add(task)
            task.add_done_callback(self._freezing.discard)
            return child.alive
        if strike.victim == "worker" and child.role == "bot":
            return child.kill_innermost()
        if child.role == "worker" and self._rng.random() < 0.4 and child.kill_innermost():
            return True
        return child.kill()
