"""Leases: which bot processes are alive, and which jobs each of them owns."""

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
"""Seconds after the last renewal. Then other processes adopt the process's jobs."""
MOST_DRIFT: Final = 2.0
"""Seconds by which slow responses may make the database's clock seem to differ from ours."""


def alive() -> ColumnElement[bool]:
    """Whether a process's lease is valid. A renewal in the future dates from before the clock was set back."""
    return ProcessRow.seen.between(DatabaseTime() - LEASE, DatabaseTime() + LEASE)


def orphaned(process: ColumnElement[str] | InstrumentedAttribute[str] = JobRow.process) -> ColumnElement[bool]:
    """Whether the owner of a row has no valid lease."""
    return ~select(ProcessRow.id).where(ProcessRow.id == process, alive()).exists()


@dataclass(frozen=True, slots=True)
class _Renewed:
    """The last renewal of this process's lease."""

    began: float
    """Its time by our monotonic clock."""
    seen: float
    seconds: float


class Leases(Transactions):
    """A part of :class:`bot.jobs.database.store.Store`: live processes and the owners of jobs."""

    _renewed: _Renewed | None = None

    async def renew(self, process: str) -> bool:
        """Renew the lease of a process; see :data:`LEASE`.

        Returns:
            Whether the database's clock and ours agree on the time since the last renewal. If not, the database's clock
            was set, and live processes may seem dead until their next renewal.
        """
        began = time.monotonic()
        async with self._changing() as connection:
            again = update(ProcessRow).where(ProcessRow.id == process).values(seen=DatabaseTime())
            seen = (await connection.execute(again.returning(ProcessRow.seen))).scalar_one_or_none()
            if seen is None:
                new = insert(ProcessRow).values(id=process, seen=DatabaseTime()).returning(ProcessRow.seen)
                seen = (await connection.execute(new)).scalar_one()
            # Each expression reads the server's clock again. So the step is computed from stored values.
            moved = await connection.execute(update(ClockRow).values(seconds=service_time(), moved=seen))
            if moved.rowcount == 0:
                await self._insert_new(connection, ClockRow, id=1, seconds=0.0, moved=seen)
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
        """Move all open jobs of a process to this cluster: its scheduler may have been replaced."""
        async with self._changing() as connection:
            await connection.execute(
                update(JobRow)
                .where(JobRow.process == process, JobRow.state.in_(OPEN), JobRow.cluster_id != cluster_id)
                .values(cluster_id=cluster_id)
            )

    async def leave(self, process: str) -> None:
        """Release all jobs of a process and its lease, so that another process can adopt them at once."""
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
        """Adopt every open job without a live owner. Running jobs are queued again, in their old turn.

        A job whose state is unknown to this version fails: it becomes ``delivering`` with that cause.

        Returns:
            The jobs and their new states: queued or delivering.
        """
        # A job without result and cause has lost its result with its process.
        resultless = (JobRow.state == State.DELIVERING) & (JobRow.painted == "") & (JobRow.cause == "")
        unknown = JobRow.state.not_in(State)
        state = case(
            (unknown, State.DELIVERING),
            (resultless | (JobRow.state == State.RUNNING), State.QUEUED),
            else_=JobRow.state,
        )
        cause = case((unknown, errors.dump(JobUnreadable())), else_=JobRow.cause)
        async with self._changing() as connection:
            taken = await connection.execute(
                update(JobRow)
                .where(
                    JobRow.state.in_(OPEN) & (JobRow.process != process) & orphaned()
                    | unknown & ((JobRow.process == process) | orphaned())
                )
                .values(process=process, cluster_id=cluster_id, state=state, cause=cause)
                .returning(JobRow.id, JobRow.state)
                .execution_options(synchronize_session=False)
            )
            found = [(row.id, State(row.state)) for row in taken]
            if found:
                await connection.execute(delete(ProcessRow).where(func.abs(ProcessRow.seen - DatabaseTime()) > 86400))
        return found

    async def owned(self, process: str) -> dict[str, State]:
        """The open jobs of a process, with their states."""
        query = select(JobRow.id, JobRow.state).where(JobRow.process == process, JobRow.state.in_(OPEN))
        async with self._engine.connect() as connection:
            return {row.id: State(row.state) for row in await connection.execute(query)}

    async def overdue(self, process: str, seconds: float) -> list[str]:
        """Jobs of a process without a result that were accepted more than ``seconds`` of service time ago."""
        query = select(JobRow.id).where(
            JobRow.process == process,
            JobRow.state.in_({State.QUEUED, State.RUNNING}),
            JobRow.accepted < service_time() - seconds,
        )
        async with self._engine.connect() as connection:
            return list((await connection.execute(query)).scalars())

    async def processes(self) -> int:
        """The number of live bot processes."""
        query = select(func.count()).where(alive())
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar_one()
