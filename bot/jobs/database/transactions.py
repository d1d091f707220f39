"""Transactions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


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
