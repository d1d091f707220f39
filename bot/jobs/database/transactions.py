"""Transactions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.jobs.database.tables import Base

_INSERT: Final[Mapping[str, Callable[[type[Base]], postgresql.Insert | sqlite.Insert]]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}


class Transactions:
    """The base of all parts of the store. Reads use the engine directly, writes use :meth:`_changing`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # SQLite has one writer at a time, and its driver queues the others unfairly: some may starve.
        self._lock = asyncio.Lock() if engine.dialect.name == "sqlite" else contextlib.nullcontext()

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[AsyncConnection]:
        """Begin a transaction that writes."""
        async with self._lock, self._engine.begin() as connection:
            yield connection

    async def _serialise(self, connection: AsyncConnection, *keys: int) -> None:
        """Let the transactions that use one of these keys run one after the other, from here to their ends.

        SQLite has one writer at a time anyway. In PostgreSQL, concurrent transactions do not see each other's changes.
        """
        if self._engine.dialect.name == "postgresql":
            await connection.execute(select(*map(func.pg_advisory_xact_lock, keys)))

    async def _insert_new(self, connection: AsyncConnection, row: type[Base], **values: Any) -> bool:
        """Insert a row unless one with its key exists, which another process may insert at the same time.

        Returns:
            Whether this call inserted it.
        """
        new = _INSERT[self._engine.dialect.name](row).values(**values).on_conflict_do_nothing()
        return (await connection.execute(new)).rowcount > 0
