"""Connects to SQLite (in WAL mode) or PostgreSQL, and migrates the tables."""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError, InvalidRequestError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import await_only

from engine import private

REVISION: Final = "0012"
"""The newest revision in ``bot/jobs/database/migrations``."""
CLOSE_WITHIN: Final = 1.0
"""Seconds for the transactions in progress when the database is closed."""
_MIGRATING: Final = 7_421_863
"""The key of PostgreSQL's advisory lock: any number that has no other use."""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncEngine]:
    """Connect and migrate the tables; close on exit. Raises SQLAlchemy's or the driver's error."""
    is_sqlite = make_url(url).get_backend_name() == "sqlite"
    # Parameters contain members' data, which errors must not show.
    engine = create_async_engine(url, hide_parameters=True)
    if is_sqlite:
        await asyncio.to_thread(_keep_private, engine.url.database)
        event.listen(engine.sync_engine, "connect", _use_wal)
    else:
        event.listen(engine.sync_engine, "checkout", _notice_closed)
    try:
        async with engine.begin() as connection:
            if is_sqlite:
                # The driver begins no transaction for DDL: two processes could migrate at the same time.
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATING})"))
            await connection.run_sync(_migrate)
        yield engine
    finally:
        await _close(engine)


async def _close(engine: AsyncEngine) -> None:
    """Wait for the transactions in progress, and refuse connections from now on.

    A command may still be handled when the bot stops. Nothing would close a connection that it opens after this.
    """
    event.listen(engine.sync_engine, "do_connect", _refuse)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_WITHIN):
            while isinstance(engine.pool, QueuePool) and engine.pool.checkedout():  # noqa: ASYNC110 - sets no event
                await asyncio.sleep(0.01)
    await engine.dispose()


def _refuse(*_arguments: object) -> None:
    raise InvalidRequestError("the database is closed")


def is_full(error: SQLAlchemyError) -> bool:
    """Whether the database's disk is full."""
    cause = getattr(error, "orig", None)
    # https://www.sqlite.org/rescode.html#full, https://www.postgresql.org/docs/current/errcodes-appendix.html
    return (
        getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or getattr(cause, "sqlstate", None) == "53100"
    )


def _notice_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Replace a connection that PostgreSQL has closed. A ping would take three round trips."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _keep_private(database: str | None) -> None:
    """Make the database's files private to their owner. SQLite gives the same mode to files that it creates later."""
    if not database or database == ":memory:" or database.startswith("file:"):
        return
    # If this fails, SQLite fails as well, with a reason.
    with contextlib.suppress(OSError):
        os.close(private.create(Path(database), exist_ok=True))
        for suffix in ("", "-wal", "-shm", "-journal"):
            private.close(Path(database + suffix))


def _use_wal(connection: Any, _record: object) -> None:
    # Replace invalid UTF-8: an error of the driver would hide the other rows of the query.
    connection.driver_connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    # For DatabaseTime. Processes that share a file are on one machine, and share its monotonic clock.
    connection.create_function("monotonic_seconds", 0, time.monotonic)
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=20000")
    for attempts_left in range(100, -1, -1):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            # SQLite ignores the busy time-out here while another process makes the same change.
            if not attempts_left:
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
    # Imported late: Alembic takes 10 MB of memory, and `atelier sync` has usually migrated the tables already.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "bot.jobs.database:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
