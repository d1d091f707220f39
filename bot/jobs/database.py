"""Connecting to SQLite (WAL) or PostgreSQL, with the tables up to date."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

REVISION: Final = "0002"
"""The newest of ``bot/jobs/migrations``."""
_MIGRATING: Final = 7_421_863
"""Of PostgreSQL's advisory lock: any number that nobody else uses."""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncEngine]:
    """Connect, bring the tables up to date, close on leaving. Raises SQLAlchemy's or the driver's error."""
    is_sqlite = make_url(url).get_backend_name() == "sqlite"
    # Parameters hold what members sent.
    engine = create_async_engine(url, hide_parameters=True)
    if is_sqlite:
        event.listen(engine.sync_engine, "connect", _use_wal)
    else:
        event.listen(engine.sync_engine, "checkout", _notice_closed)
    try:
        async with engine.begin() as connection:
            if is_sqlite:
                # Its driver begins no transaction for tables: two processes would create them at a time.
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATING})"))
            await connection.run_sync(_migrate)
        yield engine
    finally:
        await engine.dispose()


def _notice_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Have a connection that PostgreSQL closed made anew. To ask PostgreSQL would take three messages and answers."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


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
