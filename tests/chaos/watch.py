"""The jobs in the database, read by another process many times a second."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

from sqlalchemy import TextClause, bindparam, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

OPEN: Final = ("queued", "running", "delivering")
LOOK_EVERY: Final = 0.02
"""Seconds. A shorter state can be missed, but no row is."""

_ALL_ROWS: Final = text(
    "SELECT id, owner, state, process, cause, delivered_by,"
    " (SELECT name FROM claims WHERE owner_kind = 'job' AND owner_id = jobs.id AND role = 'content') AS content,"
    " (SELECT name FROM claims WHERE owner_kind = 'job' AND owner_id = jobs.id AND role = 'checkpoint') AS checkpoint,"
    " (SELECT name FROM claims WHERE owner_kind = 'job' AND owner_id = jobs.id AND role = 'painted') AS painted"
    " FROM jobs"
)
_OPEN_ROWS: Final = text(f"{_ALL_ROWS.text} WHERE state IN ('queued', 'running', 'delivering')")
_THESE_ROWS: Final = text(f"{_ALL_ROWS.text} WHERE id IN :ids").bindparams(bindparam("ids", expanding=True))
_CLAIMED: Final = text("SELECT DISTINCT name FROM claims")


@dataclass(frozen=True, slots=True)
class Row:
    """A job in the database, with the names of its blobs. Missing values are empty texts."""

    id: str
    owner: int
    state: str
    process: str
    content: str
    checkpoint: str
    painted: str
    cause: str
    delivered_by: str

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.state in OPEN


class Watch:
    """The jobs as last read. Make one with :meth:`open`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.rows: dict[str, Row] = {}
        self._engine = engine
        self._by_content: dict[str, Row] = {}
        self._listeners: list[Callable[[str], None]] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Self]:
        """Connect to a database that has its tables, and read it until the exit."""
        engine = create_async_engine(url)
        if engine.dialect.name == "sqlite":
            event.listen(engine.sync_engine, "connect", _wait_for_writers)
        watch = cls(engine)
        looking = asyncio.create_task(watch._look())
        try:
            yield watch
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            await engine.dispose()

    def on_moment(self, listener: Callable[[str], None]) -> None:
        """Call this with each new state of a job, and with ``checkpointed`` at each checkpoint."""
        self._listeners.append(listener)

    def by_content(self, digest: str) -> Row | None:
        """The job whose content has this SHA-256."""
        return self._by_content.get(digest)

    def open_rows(self) -> list[Row]:
        """Every job that has not ended."""
        return [row for row in self.rows.values() if row.is_open]

    async def read_all(self) -> None:
        """Read everything once more."""
        self._take(await self._read(_ALL_ROWS))

    async def claimed(self) -> set[str]:
        """The names of all claimed blobs."""
        return {row["name"] for row in await self._read(_CLAIMED)}

    async def _look(self) -> None:
        while True:
            try:
                found = await self._read(_OPEN_ROWS)
                gone = [row.id for row in self.open_rows() if row.id not in {each["id"] for each in found}]
                if gone:
                    found += await self._read(_THESE_ROWS, ids=gone)
                self._take(found)
            except DBAPIError:  # locked, or its disk is full: the next read may succeed
                await asyncio.sleep(10 * LOOK_EVERY)
            await asyncio.sleep(LOOK_EVERY)

    async def _read(self, query: TextClause, **values: object) -> list[Mapping[str, Any]]:
        async with self._engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(query, values)).mappings()]

    def _take(self, found: list[Mapping[str, Any]]) -> None:
        told = []
        for each in found:
            before = self.rows.get(each["id"])
            row = _row(each, before)
            self.rows[row.id] = row
            self._by_content[row.content] = row
            if before is None or before.state != row.state:
                told.append(row.state)
            elif row.state == "running" and before.checkpoint != row.checkpoint:
                told.append("checkpointed")
        for moment in told:
            for listener in self._listeners:
                listener(moment)


def _row(found: Mapping[str, Any], before: Row | None) -> Row:
    """The row, with the blobs that the job had before it ended."""
    names = {name: found[name] or "" for name in ("content", "checkpoint", "painted")}
    if before is not None:
        names = {name: value or getattr(before, name) for name, value in names.items()}
    return Row(
        id=found["id"],
        owner=int(found["owner"]),
        state=found["state"],
        process=found["process"] or "",
        cause=found["cause"] or "",
        delivered_by=found["delivered_by"] or "",
        **names,
    )


def _wait_for_writers(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=2000")
    cursor.close()
