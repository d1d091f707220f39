"""Everything that is stored about a member: to hand it out, and to remove it."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select

from bot.jobs.database.claims import OwnerKind, claimed_by
from bot.jobs.database.history import Position, before
from bot.jobs.database.tables import ClaimRow, JobRow, StyleRow
from bot.jobs.database.transactions import Transactions

_NOT_TOLD = {"address", "process", "cluster_id", "turn", "server", "server_turn", "accepted"}
"""Columns that are about the work of the bot. An address holds a secret."""


class Members(Transactions):
    """A part of :class:`bot.jobs.database.store.Store`."""

    async def member_jobs(self, member: int, limit: int, older_than: Position | None) -> list[dict[str, Any]]:
        """The rows of a member's jobs, newest first, with their claims as ``blobs``."""
        query = select(JobRow.__table__).where(JobRow.owner == member)
        if older_than is not None:
            query = query.where(before(older_than))
        query = query.order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(limit)
        return await self._with_blobs(query, "job")

    async def member_styles(self, member: int) -> list[dict[str, Any]]:
        """The rows of the styles that a member has saved for themselves, with their claims as ``blobs``."""
        return await self._with_blobs(select(StyleRow.__table__).where(_own(member)).order_by(StyleRow.key), "style")

    async def count_owned(self, member: int) -> tuple[int, int]:
        """The numbers of a member's jobs and of their own styles."""
        jobs = select(func.count()).where(JobRow.owner == member)
        styles = select(func.count()).where(_own(member))
        async with self._engine.connect() as connection:
            return (await connection.execute(jobs)).scalar_one(), (await connection.execute(styles)).scalar_one()

    async def forget_member(self, member: int, until: datetime) -> tuple[int, int, set[str]]:
        """Remove a member's jobs that were accepted until then, their own styles, and all claims of these.

        Returns the numbers of the jobs and of the styles, and the blobs that they claimed. Styles that they have added
        to a server are the server's, and stay.
        """
        jobs = select(JobRow.id).where(JobRow.owner == member, JobRow.created_at <= until)
        styles = select(StyleRow.id).where(_own(member))
        owned = ((ClaimRow.owner_kind == "job") & ClaimRow.owner_id.in_(jobs)) | (
            (ClaimRow.owner_kind == "style") & ClaimRow.owner_id.in_(styles)
        )
        async with self._changing() as connection:
            names = set((await connection.execute(delete(ClaimRow).where(owned).returning(ClaimRow.name))).scalars())
            jobs_gone = await connection.execute(delete(JobRow).where(JobRow.id.in_(jobs)))
            styles_gone = await connection.execute(delete(StyleRow).where(_own(member)))
        return jobs_gone.rowcount, styles_gone.rowcount, names

    async def _with_blobs(self, query: Any, kind: OwnerKind) -> list[dict[str, Any]]:
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
            blobs = await claimed_by(connection, kind, [row["id"] for row in rows])
        return [
            {name: value for name, value in row.items() if name not in _NOT_TOLD} | {"blobs": blobs[row["id"]]}
            for row in rows
        ]


def _own(member: int) -> ColumnElement[bool]:
    return (StyleRow.library_kind == "member") & (StyleRow.library_id == member)
