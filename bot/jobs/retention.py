"""What is kept of jobs that have ended, and of their bytes."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, select

from bot.jobs.job import OPEN
from bot.jobs.tables import BlobRow, JobRow
from bot.jobs.transactions import Transactions


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
            ids = list((await connection.execute(ended)).scalars())
            await connection.execute(delete(BlobRow).where(BlobRow.job.in_(ids)))
            await connection.execute(delete(JobRow).where(JobRow.id.in_(ids)))
        return len(ids)

    async def claimed(self, names: Collection[str]) -> set[str]:
        """Which of these blobs some job needs."""
        query = select(BlobRow.name).where(BlobRow.name.in_(names))
        async with self._engine.connect() as connection:
            return set((await connection.execute(query)).scalars())
