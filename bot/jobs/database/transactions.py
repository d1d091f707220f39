"""What all that is asked of the database begins with."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class Transactions:
    """Transactions that look use the engine's connections; those that change something wait for their turn."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # SQLite has one writer at a time, and those who wait for it inside the driver are served in no order, if ever.
        self._turn = asyncio.Lock() if engine.dialect.name == "sqlite" else contextlib.nullcontext()

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes something."""
        async with self._turn, self._engine.begin() as connection:
            yield connection
