"""Jobs in a database: SQLite (WAL) by default, PostgreSQL by URL."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, Self

from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Integer,
    String,
    Text,
    event,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.util import await_only

from bot.jobs.job import OPEN, Job, State
from engine.recipe import Recipe

REVISION: Final = "0001"
"""The newest of ``bot/jobs/migrations``."""


class Base(DeclarativeBase):
    """The tables' metadata; changes go through ``bot/jobs/migrations``."""


class JobRow(Base):
    """See :class:`bot.jobs.job.Job`."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    owner: Mapped[int] = mapped_column(BigInteger, index=True)
    state: Mapped[str] = mapped_column(String(16), index=True)
    recipe: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    """Emptied when the job ends: it holds an interaction token."""
    description: Mapped[str] = mapped_column(Text)
    max_bytes: Mapped[int] = mapped_column(Integer)
    cause: Mapped[str] = mapped_column(Text, default="")
    """Why it failed: the name of the error."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class SyncRow(Base):
    """What was last registered with Discord: ``scope`` is ``global`` or a server's id."""

    __tablename__ = "synced_commands"

    scope: Mapped[str] = mapped_column(String(32), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))


class Store:
    """Each change of a job is one statement with a guard, so two processes never make the same change twice."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Self]:
        """Connect, bring the tables up to date, close on leaving. Raises SQLAlchemy's or the driver's error."""
        engine = create_async_engine(url)
        is_sqlite = make_url(url).get_backend_name() == "sqlite"
        if is_sqlite:
            event.listen(engine.sync_engine, "connect", _use_wal)
        try:
            async with engine.begin() as connection:
                if is_sqlite:
                    # Its driver begins no transaction for tables: two processes would create them at a time.
                    await connection.exec_driver_sql("BEGIN IMMEDIATE")
                await connection.run_sync(_migrate)
            yield cls(engine)
        finally:
            await engine.dispose()

    async def add(self, job: Job) -> None:
        """Store a new job; committed when it returns."""
        now = datetime.now(UTC)
        async with self._engine.begin() as connection:
            await connection.execute(
                insert(JobRow).values(
                    id=job.id,
                    owner=job.owner,
                    state=job.state,
                    recipe=job.recipe.model_dump_json(),
                    address=job.address,
                    description=job.description,
                    max_bytes=job.max_bytes,
                    cause="",
                    created_at=now,
                    changed_at=now,
                )
            )

    async def change(self, job: str, to: State, *, since: Collection[State], cause: str = "") -> bool:
        """Move a job to a state if it is in one of ``since``; whether this call did it. An end wipes the address."""
        values: dict[str, Any] = {"state": to, "cause": cause, "changed_at": datetime.now(UTC)}
        if to not in OPEN:
            values["address"] = ""
        async with self._engine.begin() as connection:
            changed = await connection.execute(
                update(JobRow).where(JobRow.id == job, JobRow.state.in_(since)).values(**values)
            )
        return changed.rowcount == 1

    async def get(self, job: str) -> Job | None:
        """The job of that id."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(JobRow.__table__).where(JobRow.id == job))).one_or_none()
        return _job(row) if row else None

    async def open_jobs(self) -> list[Job]:
        """Every job that has not ended, oldest first."""
        query = select(JobRow.__table__).where(JobRow.state.in_(OPEN)).order_by(JobRow.created_at, JobRow.id)
        async with self._engine.connect() as connection:
            return [_job(row) for row in await connection.execute(query)]

    async def count_open(self, owner: int) -> int:
        """How many jobs of one member have not ended."""
        query = select(func.count()).where(JobRow.owner == owner, JobRow.state.in_(OPEN))
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar_one()

    async def waiting_line(self) -> tuple[int, float]:
        """How many jobs are queued, and the age in seconds of the oldest of them (0 when there is none)."""
        query = select(func.count(), func.min(JobRow.created_at)).where(JobRow.state == State.QUEUED)
        async with self._engine.connect() as connection:
            waiting, oldest = (await connection.execute(query)).one()
        if oldest is None:
            return 0, 0.0
        # SQLite gives back no time zone; all are UTC.
        return waiting, max(0.0, (datetime.now(UTC) - oldest.replace(tzinfo=UTC)).total_seconds())

    async def ping(self) -> None:
        """Make sure that the database takes changes, without making one. Raises SQLAlchemy's or the driver's error."""
        async with self._engine.begin() as connection:
            await connection.execute(update(JobRow).where(JobRow.id == "").values(cause=""))

    async def synced(self, scope: str) -> str | None:
        """The fingerprint given to :meth:`set_synced`."""
        async with self._engine.connect() as connection:
            query = select(SyncRow.fingerprint).where(SyncRow.scope == scope)
            return (await connection.execute(query)).scalar_one_or_none()

    async def set_synced(self, scope: str, fingerprint: str) -> None:
        """Remember what was registered with Discord for ``scope``."""
        async with self._engine.begin() as connection:
            values = {"fingerprint": fingerprint}
            found = await connection.execute(update(SyncRow).where(SyncRow.scope == scope).values(**values))
            if found.rowcount == 0:
                await connection.execute(insert(SyncRow).values(scope=scope, **values))


def _job(row: Any) -> Job:
    return Job(
        id=row.id,
        owner=row.owner,
        recipe=Recipe.model_validate_json(row.recipe),
        address=row.address,
        description=row.description,
        max_bytes=row.max_bytes,
        state=State(row.state),
    )


def _use_wal(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=5000")
    for patience in range(100, -1, -1):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            # SQLite doesn't wait here, whatever the time-out, while another process makes the same change.
            if not patience:
                raise
            await_only(asyncio.sleep(0.05))
        else:
            break
    cursor.close()


def _migrate(connection: Connection) -> None:
    if inspect(connection).has_table("alembic_version"):
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        if found == REVISION:
            return
    # Alembic takes 10 MB that the bot would never use again; `atelier sync` has mostly brought the tables up to date.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "bot.jobs:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
