"""The tables. Every change needs a migration in ``bot/jobs/database/migrations``."""

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
    false,
    func,
    select,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.functions import FunctionElement

from bot.locales import ENGLISH


class Base(DeclarativeBase):
    """The tables' metadata."""


class Moment(TypeDecorator[datetime]):
    """A time in UTC. An invalid value reads as None, because an error would hide the other rows of the query."""

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
            # SQLite does not store the time zone.
            return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found

        return moment


class JobRow(Base):
    """See :class:`bot.jobs.model.Job`."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    owner: Mapped[int] = mapped_column(BigInteger)
    guild_id: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(16))
    process: Mapped[str] = mapped_column(String(16))
    """The id of the bot process that owns the job. Empty after the owner released it."""
    cluster_id: Mapped[str] = mapped_column(String(64))
    """The cluster that paints it: :attr:`engine.executor.api.Executor.cluster_id`."""
    turn: Mapped[int] = mapped_column(Integer)
    """A turn of the owner within the server: see :mod:`bot.jobs.database.fair_queue`."""
    server: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Whose turns it takes: :func:`bot.jobs.database.fair_queue.server_of`."""
    server_turn: Mapped[int] = mapped_column(Integer, server_default="0")
    """A turn of the server. Those of its queued jobs go to them in the order of the queue."""
    recipe: Mapped[str] = mapped_column(Text)
    recipe_id: Mapped[str | None] = mapped_column(String(8), index=True)
    """The id of the recipe as painted, or as ordered if nothing is painted yet. None if it could not be read."""
    address: Mapped[str] = mapped_column(Text)
    """Encrypted, because it contains an interaction's token. After the end of the job: where its picture or
    its failure was posted, without the token, or empty.
    """
    description: Mapped[str] = mapped_column(Text)
    max_bytes: Mapped[int] = mapped_column(Integer)
    spoiler: Mapped[bool] = mapped_column(Boolean, server_default=false())
    parent: Mapped[str] = mapped_column(String(16), server_default=text("''"))
    action: Mapped[str] = mapped_column(String(32), server_default=text("''"))
    locale: Mapped[str] = mapped_column(String(16), server_default=ENGLISH)
    pings: Mapped[bool] = mapped_column(Boolean, server_default=false())
    finishing: Mapped[bool] = mapped_column(Boolean, server_default=false())
    painted: Mapped[str] = mapped_column(Text)
    """JSON of :class:`bot.jobs.model.Painted`. Empty without a result."""
    cause: Mapped[str] = mapped_column(Text)
    """The reason why there is no result, encoded by :func:`bot.jobs.errors.dump`, or empty."""
    delivered_by: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(Moment)
    changed_at: Mapped[datetime] = mapped_column(Moment)
    accepted: Mapped[float] = mapped_column(Double, server_default="0")
    """The time of acceptance, by :func:`service_time`."""

    __table_args__ = (
        Index("ix_jobs_state", "state", "server_turn"),
        Index("ix_jobs_server", "server", "state", "server_turn"),
        Index("ix_jobs_changed_at", "changed_at"),
        Index("ix_jobs_history", "owner", "created_at", "id"),
    )


class ClaimRow(Base):
    """A claim on bytes in :class:`engine.blobs.Blobs`. A blob without a claim may be removed."""

    __tablename__ = "claims"

    owner_kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    """``job``, ``style`` or ``member``: see :class:`bot.jobs.database.claims.Owner`."""
    owner_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    role: Mapped[str] = mapped_column(String(16), primary_key=True)
    """What the blob is to its owner. To a job: ``content``, ``style-0`` …, ``mask``, ``checkpoint``, ``painted``, its
    own final ``state``, the one that it starts from, ``start``, ``frame-00`` … or ``thumbnail``. To a style:
    ``picture`` or ``thumbnail``.
    """
    name: Mapped[str] = mapped_column(String(64), index=True)


class StyleRow(Base):
    """See :class:`bot.jobs.database.styles.SavedStyle`."""

    __tablename__ = "styles"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    library_kind: Mapped[str] = mapped_column(String(16))
    library_id: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str] = mapped_column(String(200))
    """The name as it is compared and searched: :func:`bot.jobs.database.styles.key_of`."""
    name: Mapped[str] = mapped_column(Text)
    added_by: Mapped[int] = mapped_column(BigInteger)
    added_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index("ix_styles_library", "library_kind", "library_id", "key", unique=True),)


class HoldRow(Base):
    """Announces that a blob will be written or removed: see :mod:`bot.jobs.database.retention`."""

    __tablename__ = "holds"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), index=True)
    act: Mapped[str] = mapped_column(String(16))
    """``put`` until the blob is written, then ``kept`` until an owner claims it; or ``removed``."""
    until: Mapped[float] = mapped_column(Double)
    """By :class:`DatabaseTime`. Then the hold expires, because its process must have died."""


class ProcessRow(Base):
    """The lease of a bot process: see :mod:`bot.jobs.database.leases`."""

    __tablename__ = "processes"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    seen: Mapped[float] = mapped_column(Double)
    """The time of the last renewal, by :class:`DatabaseTime`."""


class ClockRow(Base):
    """The one row that :func:`service_time` is read from."""

    __tablename__ = "clock"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seconds: Mapped[float] = mapped_column(Double)
    moved: Mapped[float] = mapped_column(Double)
    """The time when ``seconds`` was set, by :class:`DatabaseTime`."""


class AcknowledgedRow(Base):
    """See :class:`bot.jobs.database.acknowledged.Acknowledged`."""

    __tablename__ = "acknowledged"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    owner: Mapped[int] = mapped_column(BigInteger)
    process: Mapped[str] = mapped_column(String(16))
    """The id of the bot process that has to answer."""
    interrupted: Mapped[bool] = mapped_column(Boolean)
    """Whether it was adopted from a dead process."""
    address: Mapped[str] = mapped_column(Text)
    """Encrypted."""
    description: Mapped[str] = mapped_column(Text)
    locale: Mapped[str] = mapped_column(String(16), server_default=ENGLISH)
    expires_at: Mapped[datetime] = mapped_column(Moment)


class GuildRow(Base):
    """The rules of a server."""

    __tablename__ = "guilds"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    rules: Mapped[str] = mapped_column(Text)
    """JSON of :class:`bot.jobs.rules.GuildRules`."""


class UsageRow(Base):
    """A job that counts towards its owner's quota of a day: see :mod:`bot.jobs.database.usage`."""

    __tablename__ = "usage"

    job: Mapped[str] = mapped_column(String(16), primary_key=True)
    owner: Mapped[int] = mapped_column(BigInteger)
    guild_id: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(Moment, index=True)

    __table_args__ = (Index("ix_usage_owner", "owner", "at"),)


class BlockedRow(Base):
    """A member who may not use the bot."""

    __tablename__ = "blocked"

    member: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(Moment)


class ControlRow(Base):
    """A control that is on: ``paused`` or ``draining``. See :class:`bot.jobs.rules.Controls`."""

    __tablename__ = "controls"

    name: Mapped[str] = mapped_column(String(16), primary_key=True)


class SyncRow(Base):
    """The commands last registered with Discord. ``scope`` is ``global`` or a server's id."""

    __tablename__ = "synced_commands"

    scope: Mapped[str] = mapped_column(String(32), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))


class DatabaseTime(FunctionElement[float]):
    """Seconds by a clock that all processes share: PostgreSQL's clock, or with SQLite the machine's monotonic clock.

    The former can be set back, and the latter restarts with the machine. So a stored time in the future is outdated.
    """

    type = Double()
    inherit_cache = True


@compiles(DatabaseTime, "sqlite")
def _sqlite_time(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "monotonic_seconds()"  # defined in :mod:`bot.jobs.database.connect`


@compiles(DatabaseTime, "postgresql")
def _postgresql_time(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


LONGEST_STEP: Final = 10.0
"""Seconds. Processes renew their leases more often."""


def service_time() -> ColumnElement[float]:
    """The service time: seconds during which at least one bot process was alive. Monotonic, whatever clocks are set.

    Each renewal of a lease advances it. A step longer than :data:`LONGEST_STEP` counts as 0: either no process was
    alive, or the database's clock was set.
    """
    step = DatabaseTime() - ClockRow.moved
    seconds = select(ClockRow.seconds + case((step.between(0.0, LONGEST_STEP), step), else_=0.0)).scalar_subquery()
    return func.coalesce(seconds, 0.0)
