"""The database's tables; changes go through ``bot/jobs/migrations``."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Double, Index, Integer, String, Text, TypeDecorator
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.functions import FunctionElement


class Base(DeclarativeBase):
    """The tables' metadata."""


class Moment(TypeDecorator[datetime]):
    """A time in UTC. One that can't be read is None: an error would hide the other rows of the query, too."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """See SQLAlchemy's documentation."""
        read = super().result_processor(dialect, coltype)

        def moment(value: Any) -> datetime | None:
            try:
                found: datetime | None = value if read is None else read(value)
            except (TypeError, ValueError):
                return None
            # SQLite forgets the time zone.
            return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found

        return moment


class JobRow(Base):
    """See :class:`bot.jobs.job.Job`."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    owner: Mapped[int] = mapped_column(BigInteger, index=True)
    state: Mapped[str] = mapped_column(String(16))
    process: Mapped[str] = mapped_column(String(16))
    """The bot process that looks after the job; empty where the last one let it go."""
    pool: Mapped[str] = mapped_column(String(64))
    """The workers that it waits for or is painted by: :attr:`engine.executor.Executor.pool`."""
    turn: Mapped[int] = mapped_column(Integer)
    """See :mod:`bot.jobs.line`."""
    recipe: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    """Encrypted, and emptied when the job ends: it holds an interaction token."""
    description: Mapped[str] = mapped_column(Text)
    max_bytes: Mapped[int] = mapped_column(Integer)
    painted: Mapped[str] = mapped_column(Text)
    """JSON of :class:`bot.jobs.job.Painted`; empty without a result."""
    cause: Mapped[str] = mapped_column(Text)
    """Why there is no result: an error as :func:`bot.jobs.errors.dump` writes it, or empty."""
    way: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(Moment)
    changed_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index("ix_jobs_state", "state", "turn"), Index("ix_jobs_changed_at", "changed_at"))


class BlobRow(Base):
    """A job's claim on bytes in :class:`engine.blobs.Blobs`: what no row names may be removed."""

    __tablename__ = "blobs"

    job: Mapped[str] = mapped_column(String(16), primary_key=True)
    role: Mapped[str] = mapped_column(String(16), primary_key=True)
    """``content``, ``style-0`` …, ``checkpoint`` or ``painted``."""
    name: Mapped[str] = mapped_column(String(64), index=True)


class HoldRow(Base):
    """Bytes that are being put and so must not be removed, or the other way round: see :mod:`bot.jobs.retention`."""

    __tablename__ = "holds"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), index=True)
    act: Mapped[str] = mapped_column(String(16))
    """``put`` before and while they are written, ``kept`` from then until a job claims them, ``removed``."""
    until: Mapped[float] = mapped_column(Double)
    """Unix time by the database's clock, from which on this counts no longer: its process died."""


class ProcessRow(Base):
    """A bot process that is alive, as long as it keeps saying so."""

    __tablename__ = "processes"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    seen: Mapped[float] = mapped_column(Double)
    """Unix time by the database's clock, so that machines need not agree on theirs."""


class SyncRow(Base):
    """What was last registered with Discord: ``scope`` is ``global`` or a server's id."""

    __tablename__ = "synced_commands"

    scope: Mapped[str] = mapped_column(String(32), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))


class database_time(FunctionElement[float]):  # noqa: N801 - named as SQL's functions are
    """Unix time in seconds by the database's clock, of this statement."""

    type = Double()
    inherit_cache = True


@compiles(database_time, "sqlite")
def _sqlite_time(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_time, "postgresql")
def _postgresql_time(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"
