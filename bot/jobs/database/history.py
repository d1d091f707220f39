"""A member's history: pages of jobs, jobs by their recipes, and the blobs that show how a job was painted."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Text, Tuple, cast, func, literal, or_, select, tuple_

from bot.jobs.database.claims import Owner, claim
from bot.jobs.database.retention import end_holds
from bot.jobs.database.tables import JobRow
from bot.jobs.database.transactions import Transactions
from bot.jobs.model import State

_KEY: Final = tuple_(JobRow.created_at, JobRow.id)


@dataclass(frozen=True, slots=True)
class Position:
    """The place of a job in its member's history."""

    created_at: datetime
    job: str


class History(Transactions):
    """A part of :class:`bot.jobs.database.store.Store`. Its queries return ids of jobs, newest first."""

    async def history(
        self, owner: int, limit: int, *, older_than: Position | None = None, newer_than: Position | None = None
    ) -> list[str]:
        """Up to ``limit`` of a member's jobs: the newest, or those next to a position. At most one is given.

        An index leads to the first job of a page, wherever it is.
        """
        query = select(JobRow.id).where(JobRow.owner == owner).limit(limit)
        if newer_than is not None:
            query = query.where(_key(newer_than) < _KEY).order_by(JobRow.created_at, JobRow.id)
        else:
            if older_than is not None:
                query = query.where(before(older_than))
            query = query.order_by(JobRow.created_at.desc(), JobRow.id.desc())
        async with self._engine.connect() as connection:
            found = list((await connection.execute(query)).scalars())
        return found if newer_than is None else found[::-1]

    async def count_newer(self, owner: int, position: Position) -> int:
        """How many of a member's jobs are newer than a position."""
        query = select(func.count()).where(JobRow.owner == owner, _key(position) < _KEY)
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar_one()

    async def of_recipe(self, recipe_id: str, owner: int, guild_id: int | None) -> str | None:
        """The newest job with a recipe: the member's own, or else one that was finished in the same server."""
        own = JobRow.owner == owner
        visible: ColumnElement[bool] = own
        if guild_id is not None:
            visible = own | ((JobRow.guild_id == guild_id) & (JobRow.state == State.DELIVERED))
        query = (
            select(JobRow.id)
            .where(JobRow.recipe_id == recipe_id, visible)
            .order_by(own.desc(), JobRow.created_at.desc())
            .limit(1)
        )
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def search(self, owner: int, text: str, limit: int) -> list[str]:
        """A member's jobs whose recipe's or own id begins with ``text``, or whose description contains it."""
        query = select(JobRow.id).where(JobRow.owner == owner)
        if text:
            query = query.where(
                or_(
                    JobRow.recipe_id.startswith(text.lower(), autoescape=True),
                    JobRow.id.startswith(text.lower(), autoescape=True),
                    func.lower(cast(JobRow.description, Text)).contains(text.lower(), autoescape=True),
                )
            )
        query = query.order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(limit)
        async with self._engine.connect() as connection:
            return list((await connection.execute(query)).scalars())

    async def set_frame(self, job: str, process: str, frame: int, name: str) -> bool:
        """Store a picture of a painting in progress, if ``process`` still runs it. Returns whether it does."""
        return await self._attach(
            JobRow.process == process, JobRow.state == State.RUNNING, job=job, role=role_of(frame), name=name
        )

    async def set_thumbnail(self, job: str, name: str) -> None:
        """Store the small picture of a job."""
        await self._attach(job=job, role="thumbnail", name=name)

    async def _attach(self, *guards: ColumnElement[bool], job: str, role: str, name: str) -> bool:
        async with self._changing() as connection:
            row = select(JobRow.id).where(JobRow.id == job, *guards).with_for_update()
            found = (await connection.execute(row)).one_or_none() is not None
            if found:
                await claim(connection, Owner("job", job), {role: name})
            await end_holds(connection, [name])
        return found


def before(position: Position) -> ColumnElement[bool]:
    """Whether a job is older than a position."""
    return _key(position) > _KEY


def role_of(frame: int) -> str:
    """The role of a frame's claim, by the frame's number."""
    return f"frame-{frame:02d}"


def _key(position: Position) -> Tuple:
    return tuple_(literal(position.created_at, JobRow.created_at.type), literal(position.job))
