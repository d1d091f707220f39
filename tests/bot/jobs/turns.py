"""Deterministic interleaving: each actor waits for its turn before each step in the database or blob store."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Iterator, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.jobs.database.store import Store
from engine.blobs import Blob, Blobs

LONGEST_RUN = 40
"""The maximum number of steps, so that no actor waits for ever."""
_ACTOR: ContextVar[str] = ContextVar("actor", default="")


class Turns:
    """The turns of one test."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    async def turn(self) -> None:
        """Wait for the turn in an actor's task."""
        if actor := _ACTOR.get():
            turn = self._loop.create_future()
            self._waiting.setdefault(actor, []).append(turn)
            await turn

    def turn_in_thread(self) -> None:
        """Wait for the turn in a thread of an actor."""
        asyncio.run_coroutine_threadsafe(self.turn(), self._loop).result()

    async def play(self, actors: Mapping[str, Coroutine[Any, Any, Any]], runs: Iterable[int]) -> None:
        """Run all actors to their end, one step at a time.

        The first actor continues until it ends or has made the next number of steps in ``runs``. Then it becomes the
        last. Most interleaving bugs need only few changes of the actor, at the right places (Burckhardt et al.,
        "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010).
        """

        async def act(name: str) -> None:
            _ACTOR.set(name)
            await actors[name]

        tasks = {name: asyncio.create_task(act(name)) for name in actors}
        lengths = itertools.chain(runs, itertools.repeat(LONGEST_RUN))
        acting, left = list(tasks), next(lengths)
        while acting := [name for name in acting if not tasks[name].done()]:
            if all(self._waiting.get(name) for name in acting):
                if left == 0:
                    acting.append(acting.pop(0))
                    left = next(lengths)
                left -= 1
                self._waiting[acting[0]].pop(0).set_result(None)
            await asyncio.sleep(0)
        for task in tasks.values():
            task.result()


class SteppingStore(Store):
    """An actor's store."""

    def __init__(self, store: Store, turns: Turns) -> None:
        super().__init__(store._engine, store._cipher)
        self._turns = turns

    @contextlib.asynccontextmanager
    async def _changing(self) -> AsyncIterator[AsyncConnection]:
        await self._turns.turn()
        async with super()._changing() as connection:
            yield connection
        await self._turns.turn()

    async def removed(self, names: Collection[str]) -> set[str]:
        await self._turns.turn()
        return await super().removed(names)

    async def claimed(self, names: Collection[str]) -> set[str]:
        await self._turns.turn()
        return await super().claimed(names)


class SteppingBlobs(Blobs):
    """An actor's blob store."""

    def __init__(self, url: str, turns: Turns) -> None:
        super().__init__(url)
        self._turns = turns

    def put(self, data: bytes) -> str:
        self._turns.turn_in_thread()
        return super().put(data)

    def modified(self, name: str) -> datetime:
        self._turns.turn_in_thread()
        return super().modified(name)

    def remove(self, name: str) -> None:
        self._turns.turn_in_thread()
        super().remove(name)

    def __iter__(self) -> Iterator[Blob]:
        self._turns.turn_in_thread()
        found = list(super().__iter__())
        self._turns.turn_in_thread()
        return iter(found)
