"""The database's tables; changes go through ``bot/jobs/database/migrations``."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Dialect,
    Double,
    Index,
    Integer,
    String,
    Text,
    TypeDecorator,
    case,
    func,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.functions import FunctionElement


class Base(DeclarativeBase):
    """The tables' metadata."""


class Moment(TypeDecorator[datetime]):
    """A time in UTC; None if it can't be read, because an error would hide the other rows of the query, too."""

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
    """See :class:`bot.jobs.model.Job`."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    owner: Mapped[int] = mapped_column(BigInteger, index=True)
    guild_id: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(16))
    process: Mapped[str] = mapped_column(String(16))
    """The bot process that looks after the job; empty where the last one let it go."""
    cluster_id: Mapped[str] = mapped_column(String(64))
    """The workers that paint it: :attr:`engine.executor.api.Executor.cluster_id`."""
    turn: Mapped[int] = mapped_column(Integer)
    """See :mod:`bot.jobs.database.fair_queue`."""
    recipe: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    """Encrypted, and emptied when the job ends: it holds an interaction token."""
    description: Mapped[str] = mapped_column(Text)
    max_bytes: Mapped[int] = mapped_column(Integer)
    painted: Mapped[str] = mapped_column(Text)
    """JSON of :class:`bot.jobs.model.Painted`; empty without a result."""
    cause: Mapped[str] = mapped_column(Text)
    """Why there is no result: an error as :func:`bot.jobs.errors.dump` writes it, or empty."""
    delivered_by: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(Moment)
    changed_at: Mapped[datetime] = mapped_column(Moment)
    accepted: Mapped[float] = mapped_column(Double, server_default="0")
    """When, by :func:`service_time`."""

    __table_args__ = (Index("ix_jobs_state", "state", "turn"), Index("ix_jobs_changed_at", "changed_at"))


class ClaimRow(Base):
    """A claim on bytes in :class:`engine.blobs.Blobs`. A blob without a claim may be removed."""

    __tablename__ = "claims"

    owner_kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    """``job``, ``style`` or ``member``: see :class:`bot.jobs.database.claims.Owner`."""
    owner_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    role: Mapped[str] = mapped_column(String(16), primary_key=True)
    """What the blob is to its owner. To a job: ``content``, ``style-0`` …, ``checkpoint``, ``painted`` or ``state``."""
    name: Mapped[str] = mapped_column(String(64), index=True)


class HoldRow(Base):
    """The announcement that a blob is written or removed: see :mod:`bot.jobs.database.retention`."""

    __tablename__ = "holds"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), index=True)
    act: Mapped[str] = mapped_column(String(16))
    """``put`` before and while the blob is written, ``kept`` from then until an owner claims it, or ``removed``."""
    until: Mapped[float] = mapped_column(Double)
    """By :class:`DatabaseTime`. Later the hold no longer counts: its process died."""


class ProcessRow(Base):
    """A bot process that is alive, as long as it keeps saying so."""

    __tablename__ = "processes"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    seen: Mapped[float] = mapped_column(Double)
    """When it last said so, by :class:`DatabaseTime`."""


class ClockRow(Base):
    """The one row that :func:`service_time` is read from."""

    __tablename__ = "clock"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seconds: Mapped[float] = mapped_column(Double)
    moved: Mapped[float] = mapped_column(Double)
    """When ``seconds`` was true, by :class:`DatabaseTime`."""


class AcknowledgedRow(Base):
    """See :class:`bot.jobs.database.acknowledged.Acknowledged`."""

    __tablename__ = "acknowledged"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    owner: Mapped[int] = mapped_column(BigInteger)
    process: Mapped[str] = mapped_column(String(16))
    """The bot process that has to answer."""
    interrupted: Mapped[bool] = mapped_column(Boolean)
    """Whether it was taken over from a dead process."""
    address: Mapped[str] = mapped_column(Text)
    """Encrypted."""
    description: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(Moment)


class SyncRow(Base):
    """What was last registered with Discord: ``scope`` is ``global`` or a server's id."""

    __tablename__ = "synced_commands"

    scope: Mapped[str] = mapped_column(String(32), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))


class DatabaseTime(FunctionElement[float]):
    """Seconds by a clock that all processes share: the server's, or with SQLite the monotonic clock of the machine.

    The former can be set back, and the latter restarts with the machine: so a stored time in the future is an old one.
    """

    type = Double()
    inherit_cache = True


@compiles(DatabaseTime, "sqlite")
def _sqlite_time(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "monotonic_seconds()"  # of :mod:`bot.jobs.database.connect`


@compiles(DatabaseTime, "postgresql")
def _postgresql_time(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


LONGEST_STEP: Final = 10.0
"""Seconds. Processes renew more often."""


def service_time() -> ColumnElement[float]:
    """Seconds during which a bot process was alive. It never goes back, and setting a clock doesn't change it.

    Each renewal of a process advances it. A step longer than :data:`LONGEST_STEP` counts as 0: either no process was
    alive, or the clock was set.
    """
    step = DatabaseTime() - ClockRow.moved
    seconds = select(ClockRow.seconds + case((step.between(0.0, LONGEST_STEP), step), else_=0.0)).scalar_subquery()
    return func.coalesce(seconds, 0.0)
