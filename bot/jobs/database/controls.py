"""What the operators set for all bot processes, and what they read of failures."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import delete, func, select

from bot.jobs import errors
from bot.jobs.database.tables import BlockedRow, ControlRow, JobRow
from bot.jobs.database.transactions import Transactions
from bot.jobs.model import State
from bot.jobs.rules import Controls
from engine.errors import AtelierError

Control = Literal["paused", "draining"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that ended without a picture, though nobody cancelled it."""

    job: str
    """Its id, which the log has too."""
    guild_id: int | None
    at: datetime
    cause: AtelierError


class OperatorControls(Transactions):
    """A part of :class:`bot.jobs.database.store.Store`."""

    async def controls(self) -> Controls:
        """What is set now."""
        async with self._engine.connect() as connection:
            on = set((await connection.execute(select(ControlRow.name))).scalars())
            blocked = frozenset((await connection.execute(select(BlockedRow.member))).scalars())
        return Controls("paused" in on, "draining" in on, blocked)

    async def switch(self, control: Control, *, on: bool) -> None:
        """Turn a control on or off. Repeating it changes nothing."""
        async with self._changing() as connection:
            if on:
                await self._insert_new(connection, ControlRow, name=control)
            else:
                await connection.execute(delete(ControlRow).where(ControlRow.name == control))

    async def block(self, member: int) -> bool:
        """Block a member. Returns whether they were not blocked yet."""
        async with self._changing() as connection:
            return await self._insert_new(connection, BlockedRow, member=member, at=datetime.now(UTC))

    async def unblock(self, member: int) -> bool:
        """Undo :meth:`block`. Returns whether they were blocked."""
        async with self._changing() as connection:
            gone = await connection.execute(delete(BlockedRow).where(BlockedRow.member == member))
        return gone.rowcount > 0

    async def count_running(self) -> int:
        """The number of jobs that are being painted, of all processes."""
        async with self._engine.connect() as connection:
            query = select(func.count()).where(JobRow.state == State.RUNNING)
            return (await connection.execute(query)).scalar_one()

    async def failures(self, limit: int) -> list[Failure]:
        """The last failed and expired jobs, newest first, as long as they are stored."""
        query = (
            select(JobRow.id, JobRow.guild_id, JobRow.changed_at, JobRow.cause)
            .where(JobRow.state.in_({State.FAILED, State.EXPIRED}))
            .order_by(JobRow.changed_at.desc())
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        now = datetime.now(UTC)
        return [Failure(row.id, row.guild_id, row.changed_at or now, cause_of(row.id, row.cause)) for row in rows]


def cause_of(job: str, stored: str) -> AtelierError:
    """Why a job failed, as its row says. A row that can't be read counts as a bug."""
    try:
        return errors.load(stored)
    except (LookupError, TypeError, ValueError):
        return errors.UnexpectedError(job)
