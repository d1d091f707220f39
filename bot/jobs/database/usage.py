"""The jobs that each member ordered in the last 24 hours, apart from those that failed or were never begun.

They are rows of their own, because a job's row may be removed earlier: a deleted picture does not give its quota back.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

from sqlalchemy import ColumnElement, ScalarSelect, and_, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.jobs.database.tables import JobRow, UsageRow
from bot.jobs.database.transactions import Transactions
from bot.jobs.errors import DailyLimit, TooManyJobs
from bot.jobs.model import OPEN, Job
from bot.jobs.rules import Quota

DAY: Final = timedelta(hours=24)


class Usage(Transactions):
    """A part of :class:`bot.jobs.database.store.Store`: the quota of each member."""

    async def check_day(self, owner: int, guild_id: int | None, quota: Quota) -> None:
        """Check that a member may order another job today.

        Raises:
            DailyLimit: they may not yet.
        """
        async with self._engine.connect() as connection:
            await _check_day(connection, owner, guild_id, datetime.now(UTC), quota)


def within(job: Job, limit: int, quota: Quota) -> ColumnElement[bool]:
    """Whether a new job respects the limit of its owner's open jobs, and the quota."""
    rules = [_open(job.owner) < limit]
    if quota.per_day is not None:
        rules.append(_used(job.owner, job.created_at) < quota.per_day)
    if job.guild_id is not None and quota.open_here is not None:
        rules.append(_open(job.owner, job.guild_id) < quota.open_here)
    if job.guild_id is not None and quota.per_day_here is not None:
        rules.append(_used(job.owner, job.created_at, job.guild_id) < quota.per_day_here)
    return and_(*rules)


async def refuse(connection: AsyncConnection, job: Job, limit: int, quota: Quota) -> NoReturn:
    """Raise the reason why a new job is not :func:`within` the limits.

    Raises:
        TooManyJobs, DailyLimit: that is it.
    """
    if (await connection.execute(select(_open(job.owner)))).scalar_one() < limit:
        await _check_day(connection, job.owner, job.guild_id, job.created_at, quota)
        if quota.open_here is not None:
            raise TooManyJobs(quota.open_here, here=True)
    raise TooManyJobs(limit)


async def charge(connection: AsyncConnection, job: Job) -> None:
    """Count a job that is accepted, and forget those that count no longer."""
    await connection.execute(delete(UsageRow).where(UsageRow.at <= job.created_at - DAY))
    await connection.execute(
        insert(UsageRow).values(job=job.id, owner=job.owner, guild_id=job.guild_id, at=job.created_at)
    )


async def refund(connection: AsyncConnection, job: str) -> None:
    """Don't count this job."""
    await connection.execute(delete(UsageRow).where(UsageRow.job == job))


async def _check_day(
    connection: AsyncConnection, owner: int, guild_id: int | None, now: datetime, quota: Quota
) -> None:
    limits = [(None, quota.per_day)] if guild_id is None else [(None, quota.per_day), (guild_id, quota.per_day_here)]
    for where, limit in limits:
        if limit is not None:
            newest_first = select(UsageRow.at).where(_counts(owner, now, where)).order_by(UsageRow.at.desc())
            oldest = (await connection.execute(newest_first.offset(limit - 1).limit(1))).scalar_one_or_none()
            if oldest is not None:
                raise DailyLimit(limit, math.ceil((oldest + DAY).timestamp()), here=where is not None)


def _counts(owner: int, now: datetime, guild_id: int | None) -> ColumnElement[bool]:
    counts = (UsageRow.owner == owner) & (UsageRow.at > now - DAY)
    return counts if guild_id is None else counts & (UsageRow.guild_id == guild_id)


def _used(owner: int, now: datetime, guild_id: int | None = None) -> ScalarSelect[int]:
    return select(func.count()).where(_counts(owner, now, guild_id)).scalar_subquery()


def _open(owner: int, guild_id: int | None = None) -> ScalarSelect[int]:
    is_open = (JobRow.owner == owner) & JobRow.state.in_(OPEN)
    if guild_id is not None:
        is_open &= JobRow.guild_id == guild_id
    return select(func.count()).where(is_open).scalar_subquery()
