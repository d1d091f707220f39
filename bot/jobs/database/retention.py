"""Retention: which ended jobs are kept, and which blobs may be removed.

A sweep may remove an unclaimed blob while a bot writes the same bytes again and claims them. Neither can check and act
in one transaction, because the blobs are outside the database. So each first stores a hold that announces its action,
and then reads the holds of the others (Dekker's algorithm; Dijkstra, "Cooperating sequential processes", 1965). Either
the writer sees the removal and waits for its end, or the sweep sees the writer's hold and skips the blob. Until an
owner claims the blob, its age protects it; if the sweep ignores the age, its hold does.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.jobs.database.claims import OF_A_JOB
from bot.jobs.database.tables import ClaimRow, DatabaseTime, HoldRow, JobRow
from bot.jobs.database.transactions import Transactions
from bot.jobs.model import OPEN, State, new_id

K = TypeVar("K")

_FORGETTING: Final = 7_421_864
"""The key of PostgreSQL's advisory lock: any number that has no other use."""
_AT_ONCE: Final = 500
"""The number of values in one statement, which databases limit, and of rows in one batch."""
_FOR_MORE: Final = (ClaimRow.role == "state") | ClaimRow.role.startswith("frame-")
"""Claims of a job that only further pictures need: another painting, or a timelapse."""
_LONGEST_HOLD: Final = 7200.0
"""Seconds. No hold lasts longer."""


@dataclass(frozen=True, slots=True)
class Freed:
    """What :meth:`Retention.make_room` has removed from the database."""

    jobs: int = 0
    states: int = 0
    """Jobs whose final states and frames were removed, those of ``jobs`` included."""
    blobs: frozenset[str] = frozenset()
    """Those that nobody claims any more."""


class Retention(Transactions):
    """A part of :class:`bot.jobs.database.store.Store`: removal of jobs, claims and holds."""

    async def forget(self, ended_before: datetime, limit: int) -> int:
        """Remove up to ``limit`` jobs that ended before then, oldest first, with their claims. Returns how many."""
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

    async def make_room(self, sizes: Mapping[str, int], loose: int, goals: Iterable[float]) -> Freed:
        """Free only as much as needed to reach the first goal that can be reached.

        The final states and frames of ended paintings go first, then ended jobs. Both go oldest first, but jobs whose
        results wait in ``/jobs`` go last. See :func:`enough`. Concurrent calls take each other's changes into account.
        Claims of styles and members stay.

        Args:
            sizes: the bytes of each blob that was claimed when the sweep listed the blobs.
            loose: the bytes of all other blobs.
            goals: the bytes of all blobs that may remain, the lowest first.
        """
        waits = (JobRow.state == State.DELIVERED) & (JobRow.delivered_by == "kept")
        query = (
            select(ClaimRow.name, ClaimRow.role, JobRow.id, JobRow.state)
            .outerjoin(JobRow, OF_A_JOB)
            .order_by(waits, JobRow.changed_at, JobRow.id)
        )
        async with self._changing() as connection:
            # In SQLite, the first change begins the transaction and locks out other writers.
            await connection.execute(delete(HoldRow).where(~_lasts()))
            await self._serialise(connection, _FORGETTING)
            needed = Counter((await connection.execute(_held(None, "put", "kept"))).scalars())
            states: dict[tuple[str, bool], set[str]] = {}
            rest: dict[tuple[str, bool], set[str]] = {}
            # In batches, so that the event loop is not blocked.
            async for rows in (await connection.stream(query)).partitions(_AT_ONCE):
                for row in rows:
                    if row.state in {None, *OPEN}:  # None: no job owns this claim
                        needed[row.name] += 1
                    else:
                        is_state = row.role == "state" or row.role.startswith("frame-")
                        (states if is_state else rest).setdefault((row.id, is_state), set()).add(row.name)
            removable = states | rest
            needed.update(name for blobs in removable.values() for name in blobs)
            used = loose + sum(sizes.get(name, 0) for name in needed)
            for goal in goals:
                if used <= goal:
                    break
                if chosen := enough(removable, needed, sizes, used - goal):
                    jobs = [job for job, is_state in chosen if not is_state]
                    gone = {*chosen, *(each for job in jobs if (each := (job, True)) in states)}
                    await _forget(connection, jobs)
                    await _forget(connection, [job for job, is_state in gone if is_state], _FOR_MORE)
                    needed.subtract(name for each in gone for name in removable[each])
                    freed = frozenset(name for name, count in needed.items() if not count)
                    return Freed(len(jobs), len(gone) - len(jobs), freed)
        return Freed()

    async def claimed(self, names: Collection[str]) -> set[str]:
        """Which of these blobs an owner claims or a process is writing."""
        async with self._engine.connect() as connection:
            return await _claimed(connection, names, "put")

    async def hold(self, names: Collection[str], seconds: float) -> list[str]:
        """Announce that blobs will be written and claimed within this time. Returns the holds' ids."""
        return await self._hold(names, "put", seconds)

    async def removed(self, names: Collection[str]) -> set[str]:
        """Which of these blobs a sweep is about to remove. Their writer must wait until there are none."""
        async with self._engine.connect() as connection:
            return set((await connection.execute(_held(names, "removed"))).scalars())

    async def written(self, holds: Collection[str]) -> None:
        """Record that the held blobs are written and will be claimed."""
        async with self._changing() as connection:
            await connection.execute(update(HoldRow).where(HoldRow.id.in_(holds)).values(act="kept"))

    async def begin_removal(self, names: Collection[str], seconds: float, *, young: bool) -> tuple[list[str], set[str]]:
        """Announce that blobs will be removed within this time. Returns the holds' ids, and which may be removed.

        Names have up to 64 characters. Pass few at a time: a writer of one of them waits until all are removed.

        Args:
            names: the blobs.
            seconds: the duration of the holds.
            young: whether young blobs may be removed. If so, blobs that are written but not claimed yet are excluded.
                Otherwise the caller checks their age.
        """
        ids = await self._hold(names, "removed", seconds)
        async with self._engine.connect() as connection:
            claimed = await _claimed(connection, names, *(("put", "kept") if young else ("put",)))
        return ids, set(names) - claimed

    async def release_holds(self, holds: Collection[str]) -> None:
        """End holds whose action is done or given up."""
        async with self._changing() as connection:
            await connection.execute(delete(HoldRow).where(HoldRow.id.in_(holds)))

    async def _hold(self, names: Collection[str], act: str, seconds: float) -> list[str]:
        holds = [{"id": new_id(), "name": name, "act": act} for name in names]
        if holds:
            async with self._changing() as connection:
                await connection.execute(insert(HoldRow).values(until=DatabaseTime() + seconds), holds)
        return [hold["id"] for hold in holds]


async def end_holds(connection: AsyncConnection, names: Iterable[str]) -> None:
    """End one hold for each of ``names``, which an owner claims now. Other holds of the same blobs stay."""
    wanted = Counter(names)
    query = select(HoldRow.id, HoldRow.name).where(HoldRow.name.in_(wanted), HoldRow.act == "kept")
    ended = []
    for row in await connection.execute(query.order_by(HoldRow.until)):
        if wanted[row.name]:
            wanted[row.name] -= 1
            ended.append(row.id)
    await connection.execute(delete(HoldRow).where(HoldRow.id.in_(ended)))


def enough(
    removable: Mapping[K, Collection[str]], needed: Mapping[str, int], sizes: Mapping[str, int], need: float
) -> list[K]:
    """Which of ``removable`` to remove in order to free ``need`` bytes. None if all of them together free less.

    They are taken in their order until they free enough. The last one may free so much that others can stay: these
    are chosen from the end of the order.

    Args:
        removable: the blobs of each, without repetitions.
        needed: how many of these and of others need each blob. It is freed with the last of them.
        sizes: bytes of each blob.
        need: more than 0.
    """
    left, freed, chosen = Counter(needed), 0, list[K]()
    for each, blobs in removable.items():
        if freed >= need:
            break
        left.subtract(blobs)
        freed += _freed(blobs, left, sizes)
        chosen.append(each)
    if freed < need:
        return []
    for each in reversed(chosen.copy()):
        less = _freed(removable[each], left, sizes)
        if freed - less >= need:
            left.update(removable[each])
            freed -= less
            chosen.remove(each)
    return chosen


def _freed(blobs: Iterable[str], left: Mapping[str, int], sizes: Mapping[str, int]) -> int:
    return sum(sizes.get(name, 0) for name in blobs if not left[name])


def _lasts() -> ColumnElement[bool]:
    """Whether a hold is valid. One that ends far in the future dates from before the clock was set back."""
    return HoldRow.until.between(DatabaseTime(), DatabaseTime() + _LONGEST_HOLD)


def _held(names: Collection[str] | None, *acts: str) -> Select[str]:
    """The names of all blobs, or of those in ``names``, with a hold of one of these acts."""
    query = select(HoldRow.name).where(HoldRow.act.in_(acts), _lasts())
    return query if names is None else query.where(HoldRow.name.in_(names))


async def _claimed(connection: AsyncConnection, names: Collection[str], *acts: str) -> set[str]:
    claims = select(ClaimRow.name).where(ClaimRow.name.in_(names))
    return set((await connection.execute(claims.union(_held(names, *acts)))).scalars())


async def _forget(connection: AsyncConnection, jobs: Sequence[str], *claims: ColumnElement[bool]) -> None:
    """Remove jobs with their claims; only those claims, if some are given."""
    for start in range(0, len(jobs), _AT_ONCE):
        some = jobs[start : start + _AT_ONCE]
        of_these = (ClaimRow.owner_kind == "job") & ClaimRow.owner_id.in_(some)
        await connection.execute(delete(ClaimRow).where(of_these, *claims))
        if not claims:
            await connection.execute(delete(JobRow).where(JobRow.id.in_(some)))
