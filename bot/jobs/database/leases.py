"""Bot processes that share a database, and the jobs that each of them looks after."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import ColumnElement, case, delete, func, insert, select, update
from sqlalchemy.orm import InstrumentedAttribute

from bot.jobs import errors
from bot.jobs.database.tables import ClockRow, DatabaseTime, JobRow, ProcessRow, service_time
from bot.jobs.database.transactions import Transactions
from bot.jobs.errors import JobUnreadable
from bot.jobs.model import OPEN, State

LEASE = 10.0
"""Seconds without a sign of life after which others take over what a process looks after."""
MOST_DRIFT: Final = 2.0
"""Seconds by which slow answers may make the database's clock seem to differ from ours."""


def alive() -> ColumnElement[bool]:
    """Whether a process has renewed its lease in time. One in the future is from before the clock was set back."""
    return ProcessRow.seen.between(DatabaseTime() - LEASE, DatabaseTime() + LEASE)


def orphaned(process: ColumnElement[str] | InstrumentedAttribute[str] = JobRow.process) -> ColumnElement[bool]:
    """Whether the process that looks after a job is gone."""
    return ~select(ProcessRow.id).where(ProcessRow.id == process, alive()).exists()


@dataclass(frozen=True, slots=True)
class _Renewed:
    """The last renewal."""

    began: float
    """By our monotonic clock."""
    seen: float
    seconds: float


class Leases(Transactions):
    """A part of :class:`bot.jobs.database.store.Store`: who is there, and who looks after what."""

    _renewed: _Renewed | None = None

    async def renew(self, process: str) -> bool:
        """Say that a process is alive; see :data:`LEASE`.

        Returns:
            Whether the database's clock and ours agree on the time since the last renewal. If not, it was set, and live
            processes may seem dead until they renew.
        """
        began = time.monotonic()
        async with self._changing() as connection:
            again = update(ProcessRow).where(ProcessRow.id == process).values(seen=DatabaseTime())
            seen = (await connection.execute(again.returning(ProcessRow.seen))).scalar_one_or_none()
            if seen is None:
                new = insert(ProcessRow).values(id=process, seen=DatabaseTime()).returning(ProcessRow.seen)
                seen = (await connection.execute(new)).scalar_one()
            # Each expression reads the server's clock again: so the step is taken between stored values.
            moved = await connection.execute(update(ClockRow).values(seconds=service_time(), moved=seen))
            if moved.rowcount == 0:
                await connection.execute(insert(ClockRow).values(id=1, seconds=0.0, moved=seen))
            seconds = (await connection.execute(select(ClockRow.seconds))).scalar_one()
        drift = 0.0 if self._renewed is None else seen - self._renewed.seen - (began - self._renewed.began)
        self._renewed = _Renewed(began, seen, seconds)
        return abs(drift) <= MOST_DRIFT

    def now(self) -> float:
        """An estimate of :func:`bot.jobs.database.tables.service_time` without the database;
        0 before the first renewal.
        """
        return 0.0 if self._renewed is None else self._renewed.seconds + time.monotonic() - self._renewed.began

    async def move(self, process: str, cluster_id: str) -> None:
        """Have everything that a process looks after wait for these workers: its scheduler may have started anew."""
        async with self._changing() as connection:
            await connection.execute(
                update(JobRow)
                .where(JobRow.process == process, JobRow.state.in_(OPEN), JobRow.cluster_id != cluster_id)
                .values(cluster_id=cluster_id)
            )

    async def leave(self, process: str) -> None:
        """Let go of everything that a process looks after, for the others or for its successor."""
        async with self._changing() as connection:
            held = JobRow.process == process
            await connection.execute(
                update(JobRow)
                .where(held, JobRow.state == State.RUNNING)
                .values(state=State.QUEUED, changed_at=datetime.now(UTC))
            )
            await connection.execute(update(JobRow).where(held, JobRow.state.in_(OPEN)).values(process=""))
            await connection.execute(delete(ProcessRow).where(ProcessRow.id == process))

    async def adopt(self, process: str, cluster_id: str) -> list[tuple[str, State]]:
        """Take every open job that nobody looks after; what was painted waits again, in its old turn.

        A job whose state is unknown to this version fails: it is ``delivering`` with that cause.

        Returns:
            The jobs and their states: queued or delivering.
        """
        # A job is delivered from its result or from its cause; one that has neither lost its result with its process.
        untold = (JobRow.state == State.DELIVERING) & (JobRow.painted == "") & (JobRow.cause == "")
        strange = JobRow.state.not_in(State)
        state = case(
            (strange, State.DELIVERING), (untold | (JobRow.state == State.RUNNING), State.QUEUED), else_=JobRow.state
        )
        cause = case((strange, errors.dump(JobUnreadable())), else_=JobRow.cause)
        async with self._changing() as connection:
            taken = await connection.execute(
                update(JobRow)
                .where(
                    JobRow.state.in_(OPEN) & (JobRow.process != process) & orphaned()
                    | strange & ((JobRow.process == process) | orphaned())
                )
                .values(process=process, cluster_id=cluster_id, state=state, cause=cause)
                .returning(JobRow.id, JobRow.state)
                .execution_options(synchronize_session=False)
            )
            found = [(row.id, State(row.state)) for row in taken]
            if found:
                await connection.execute(delete(ProcessRow).where(func.abs(ProcessRow.seen - DatabaseTime()) > 86400))
        return found

    async def in_care(self, process: str) -> dict[str, State]:
        """The open jobs that a process looks after."""
        query = select(JobRow.id, JobRow.state).where(JobRow.process == process, JobRow.state.in_(OPEN))
        async with self._engine.connect() as connection:
            return {row.id: State(row.state) for row in await connection.execute(query)}

    async def overdue(self, process: str, seconds: float) -> list[str]:
        """Jobs in a process's care, without a result, that were accepted over ``seconds`` of service time ago."""
        query = select(JobRow.id).where(
            JobRow.process == process,
            JobRow.state.in_({State.QUEUED, State.RUNNING}),
            JobRow.accepted < service_time() - seconds,
        )
        async with self._engine.connect() as connection:
            return list((await connection.execute(query)).scalars())

    async def processes(self) -> int:
        """How many bot processes are alive."""
        query = select(func.count()).where(alive())
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar_one()
