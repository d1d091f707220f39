"""What is kept of jobs that have ended, and of their bytes.

A sweep removes a blob that no job claims, while a bot puts the same bytes again and claims them. Neither can look and
act in one step, for the bytes lie outside the database. So each first says in a hold what it is about to do, and only
then looks what the others say (Dekker's algorithm; Dijkstra, "Cooperating sequential processes", 1965): who puts sees
the removal and waits for its end, or who removes sees the hold and leaves the blob alone. From then until a job claims
it, a blob is young, by the clock of the place where it is, or seen to be kept.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.jobs.job import OPEN, State, new_id
from bot.jobs.tables import BlobRow, DatabaseTime, HoldRow, JobRow
from bot.jobs.transactions import Transactions

_FORGETTING: Final = 7_421_864
"""Of PostgreSQL's advisory lock: any number that nobody else uses."""
_AT_ONCE: Final = 500
"""Values in one statement: databases have limits."""
_LONGEST_HOLD: Final = 7200.0
"""Seconds, more than anybody asks for."""


class Retention(Transactions):
    """A part of :class:`bot.jobs.store.Store`: forgetting, and what may not be forgotten."""

    async def forget(self, ended_before: datetime, limit: int) -> int:
        """Remove up to ``limit`` jobs that ended before then, oldest first, and their claims on blobs; how many."""
        ended = (
            select(JobRow.id)
            .where(JobRow.state.not_in(OPEN), JobRow.changed_at < ended_before)
            .order_by(JobRow.changed_at)
            .limit(limit)
        )
        async with self._changing() as connection:
            await connection.execute(delete(HoldRow).where(~_lasts()))
            ids = list((await connection.execute(ended)).scalars())
            await _forget(connection, ids)
        return len(ids)

    async def make_room(self, sizes: Mapping[str, int], loose: int, goals: Iterable[float]) -> tuple[int, set[str]]:
        """Forget as few ended jobs as bring the bytes that stay down to the first of ``goals`` that can be reached.

        Oldest first, those whose results wait for their member last; see :func:`enough`. Several processes may call
        this at a time: each counts what the others have forgotten.

        Args:
            sizes: bytes of each blob that was claimed when it was last looked.
            loose: bytes of all others.
            goals: in bytes, the lowest first.

        Returns:
            How many were forgotten, and the blobs that nobody claims any more.
        """
        waits = (JobRow.state == State.DELIVERED) & (JobRow.way == "kept")
        query = (
            select(BlobRow.name, BlobRow.job, JobRow.state)
            .outerjoin(JobRow, JobRow.id == BlobRow.job)
            .order_by(waits, JobRow.changed_at, BlobRow.job)
        )
        async with self._changing() as connection:
            # In SQLite, a transaction begins and keeps other writers out with the first change.
            await connection.execute(delete(HoldRow).where(~_lasts()))
            if self._engine.dialect.name == "postgresql":
                await connection.execute(select(func.pg_advisory_xact_lock(_FORGETTING)))
            claims = Counter((await connection.execute(_held(None, "put", "kept"))).scalars())
            ended: dict[str, set[str]] = {}
            # In parts, so that the event loop goes on meanwhile.
            async for rows in (await connection.stream(query)).partitions(_AT_ONCE):
                for row in rows:
                    if row.state in {None, *OPEN}:
                        claims[row.name] += 1
                    else:
                        ended.setdefault(row.job, set()).add(row.name)
            claims.update(name for names in ended.values() for name in names)
            used = loose + sum(sizes.get(name, 0) for name in claims)
            for goal in goals:
                if used <= goal:
                    break
                if chosen := enough(ended, claims, sizes, used - goal):
                    await _forget(connection, chosen)
                    claims.subtract(name for job in chosen for name in ended[job])
                    return len(chosen), {name for name, count in claims.items() if not count}
        return 0, set()

    async def claimed(self, names: Collection[str]) -> set[str]:
        """Which of these blobs some job needs, or somebody writes just now."""
        async with self._engine.connect() as connection:
            return await _claimed(connection, names, "put")

    async def hold(self, names: Collection[str], seconds: float) -> list[str]:
        """Say that blobs are about to be put and, within that time, claimed by a job; ids for :meth:`written`."""
        return await self._hold(names, "put", seconds)

    async def removed(self, names: Collection[str]) -> set[str]:
        """Which of these blobs somebody is about to remove: whoever holds them waits before they put them."""
        async with self._engine.connect() as connection:
            return set((await connection.execute(_held(names, "removed"))).scalars())

    async def written(self, holds: Collection[str]) -> None:
        """Say that blobs are put, and wait to be claimed."""
        async with self._changing() as connection:
            await connection.execute(update(HoldRow).where(HoldRow.id.in_(holds)).values(act="kept"))

    async def begin_removal(self, names: Collection[str], seconds: float, *, young: bool) -> tuple[list[str], set[str]]:
        """Say that blobs are about to be removed, within that time; ids for :meth:`let_go`, and which may be.

        What was written but not claimed yet may be, unless ``young`` ones are removed as well.

        Names have up to 64 characters and are a few at a time: who puts one waits until all are removed.
        """
        ids = await self._hold(names, "removed", seconds)
        async with self._engine.connect() as connection:
            claimed = await _claimed(connection, names, *(("put", "kept") if young else ("put",)))
        return ids, set(names) - claimed

    async def let_go(self, holds: Collection[str]) -> None:
        """They are removed, or what was announced is not done."""
        async with self._changing() as connection:
            await connection.execute(delete(HoldRow).where(HoldRow.id.in_(holds)))

    async def _hold(self, names: Collection[str], act: str, seconds: float) -> list[str]:
        holds = [{"id": new_id(), "name": name, "act": act} for name in names]
        if holds:
            async with self._changing() as connection:
                await connection.execute(insert(HoldRow).values(until=DatabaseTime() + seconds), holds)
        return [hold["id"] for hold in holds]


async def release(connection: AsyncConnection, names: Iterable[str]) -> None:
    """End one hold for each of ``names``, which now are claimed: one may be put, and held, by several at a time."""
    wanted = Counter(names)
    query = select(HoldRow.id, HoldRow.name).where(HoldRow.name.in_(wanted), HoldRow.act == "kept")
    ended = []
    for row in await connection.execute(query.order_by(HoldRow.until)):
        if wanted[row.name]:
            wanted[row.name] -= 1
            ended.append(row.id)
    await connection.execute(delete(HoldRow).where(HoldRow.id.in_(ended)))


def enough(
    ended: Mapping[str, Collection[str]], claims: Mapping[str, int], sizes: Mapping[str, int], need: float
) -> list[str]:
    """Which jobs to forget in order to free ``need`` bytes; none where all of them together free less.

    The jobs are taken in their order until they free enough. The last one may free so much that others are not needed:
    these stay, beginning with the last of the order.

    Args:
        ended: the blobs of each job, without repetitions.
        claims: how many jobs need each blob: it is freed with the last of them.
        sizes: bytes of each blob.
        need: more than 0.
    """
    left, freed, chosen = Counter(claims), 0, list[str]()
    for job, blobs in ended.items():
        if freed >= need:
            break
        left.subtract(blobs)
        freed += _freed(blobs, left, sizes)
        chosen.append(job)
    if freed < need:
        return []
    for job in reversed(chosen.copy()):
        less = _freed(ended[job], left, sizes)
        if freed - less >= need:
            left.update(ended[job])
            freed -= less
            chosen.remove(job)
    return chosen


def _freed(blobs: Iterable[str], left: Mapping[str, int], sizes: Mapping[str, int]) -> int:
    return sum(sizes.get(name, 0) for name in blobs if not left[name])


def _lasts() -> ColumnElement[bool]:
    """Whether a hold is not over. One that would last very long is of before the clock was set back or began anew."""
    return HoldRow.until.between(DatabaseTime(), DatabaseTime() + _LONGEST_HOLD)


def _held(names: Collection[str] | None, *acts: str) -> Select[str]:
    """The names of blobs, of these or of all, with which one of these acts is under way."""
    query = select(HoldRow.name).where(HoldRow.act.in_(acts), _lasts())
    return query if names is None else query.where(HoldRow.name.in_(names))


async def _claimed(connection: AsyncConnection, names: Collection[str], *acts: str) -> set[str]:
    claims = select(BlobRow.name).where(BlobRow.name.in_(names))
    return set((await connection.execute(claims.union(_held(names, *acts)))).scalars())


async def _forget(connection: AsyncConnection, jobs: Sequence[str]) -> None:
    for start in range(0, len(jobs), _AT_ONCE):
        some = jobs[start : start + _AT_ONCE]
        await connection.execute(delete(BlobRow).where(BlobRow.job.in_(some)))
        await connection.execute(delete(JobRow).where(JobRow.id.in_(some)))
