"""What operators see of all jobs at a glance. Names no member."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, select

from bot.jobs.database.controls import cause_of
from bot.jobs.database.job_rows import STATES
from bot.jobs.database.leases import alive
from bot.jobs.database.tables import BlockedRow, ControlRow, JobRow, ProcessRow
from bot.jobs.database.transactions import Transactions
from bot.jobs.model import FAILED, OPEN, State
from bot.jobs.rules import Controls
from engine.errors import AtelierError

MOST_COUNTED: Final = 1000
"""Failures that are counted by their causes, the newest ones."""


@dataclass(frozen=True, slots=True)
class Glance:
    """A job, as far as an operator needs it."""

    id: str
    state: State
    process: str
    created_at: datetime
    changed_at: datetime
    description: str
    spoiler: bool
    parent: str
    action: str
    recipe: Mapping[str, Any]
    """The JSON of :class:`engine.recipe.Recipe`, as ordered. Empty if it can't be read."""
    painted: Mapping[str, Any]
    """The JSON of :class:`bot.jobs.model.Painted`. Empty without a result."""
    delivered_by: str
    cause: AtelierError | None


@dataclass(frozen=True, slots=True)
class JobsAtAGlance:
    """All jobs at one moment."""

    counts: Mapping[State, int]
    """Of the open jobs."""
    oldest: datetime | None
    """When the job was ordered that has waited longest."""
    begun: Sequence[Glance]
    """The jobs that are being painted or delivered, oldest first."""
    waiting: Sequence[Glance]
    """The queued jobs, oldest first."""
    ended: Sequence[Glance]
    """Newest first."""
    controls: Controls
    processes: int


class JobOverview(Transactions):
    """A part of :class:`bot.jobs.database.store.Store`."""

    async def overview(self, limit: int) -> JobsAtAGlance:
        """All jobs now. Each list has up to ``limit`` of them."""
        counts = select(JobRow.state, func.count(), func.min(JobRow.created_at)).where(JobRow.state.in_(OPEN))
        begun = _glance(JobRow.state.in_({State.RUNNING, State.DELIVERING})).order_by(JobRow.created_at, JobRow.id)
        waiting = _glance(JobRow.state == State.QUEUED).order_by(JobRow.created_at, JobRow.id)
        ended = _glance(JobRow.state.not_in(OPEN)).order_by(JobRow.changed_at.desc(), JobRow.id)
        async with self._engine.connect() as connection:
            found = (await connection.execute(counts.group_by(JobRow.state))).all()
            lists = []
            for query in (begun, waiting, ended):
                lists.append([_read(row) for row in await connection.execute(query.limit(limit))])
            on = set((await connection.execute(select(ControlRow.name))).scalars())
            blocked = frozenset((await connection.execute(select(BlockedRow.member))).scalars())
            living = select(func.count()).select_from(ProcessRow).where(alive())
            processes = (await connection.execute(living)).scalar_one()
        return JobsAtAGlance(
            {State(state): count for state, count, _ in found},
            next((oldest for state, _, oldest in found if state == State.QUEUED), None),
            begun=lists[0],
            waiting=lists[1],
            ended=lists[2],
            controls=Controls("paused" in on, "draining" in on, blocked),
            processes=processes,
        )

    async def count_causes(self, within: timedelta) -> Counter[str]:
        """How many jobs failed lately, by the names of their causes."""
        query = (
            select(JobRow.id, JobRow.cause)
            .where(JobRow.state.in_(FAILED), JobRow.changed_at > datetime.now(UTC) - within)
            .order_by(JobRow.changed_at.desc())
            .limit(MOST_COUNTED)
        )
        async with self._engine.connect() as connection:
            return Counter(type(cause_of(row.id, row.cause)).__name__ for row in await connection.execute(query))


def _glance(which: ColumnElement[bool]) -> Select[Any]:
    query: Select[Any] = select(*(getattr(JobRow, each.name) for each in fields(Glance)))
    return query.where(which)


def _read(row: Any) -> Glance:
    now = datetime.now(UTC)
    return Glance(
        id=row.id,
        state=State(row.state) if row.state in STATES else State.FAILED,
        process=row.process,
        created_at=row.created_at or now,
        changed_at=row.changed_at or now,
        description=str(row.description),
        spoiler=bool(row.spoiler),
        parent=row.parent,
        action=row.action,
        recipe=_json(row.recipe),
        painted=_json(row.painted),
        delivered_by=row.delivered_by,
        cause=cause_of(row.id, row.cause) if row.cause else None,
    )


def _json(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
