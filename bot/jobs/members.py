"""A member's own data: a copy of everything in ZIP files, and the removal of everything."""

import asyncio
import json
import re
import tempfile
import zipfile
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from io import BufferedIOBase, BytesIO
from typing import IO, Any, Final, cast

import structlog

from bot.jobs.api import ExportPart, Jobs
from bot.jobs.database.history import Position
from bot.jobs.database.store import Store
from bot.jobs.errors import ExportRunning, ExportStartNotFound, JobEnded
from bot.jobs.model import OPEN, Actor
from bot.jobs.storage import Storage
from engine.errors import BlobLost

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

EXPORTS_AT_ONCE: Final = 2
"""An export needs a temporary file, and one picture in memory."""
CANCELLED_WITHIN: Final = 10.0
"""Seconds for the replies of cancelled jobs to go. After them, the jobs are removed anyway."""
_POLL_EVERY: Final = 0.1
_BATCH: Final = 50
_OVERHEAD: Final = 200
"""Bytes of a file in a ZIP besides its contents and twice its name, and of the ZIP's end."""
_PICTURES: Final = re.compile(r"content|style-\d+|mask|painted|picture")
"""The roles of a member's pictures. The others are states of paintings, previews and thumbnails."""
_JOBS: Final = "pictures/"
_NAMES: Final = {"content": "photo", "painted": "painting", "picture": "style"}


class MemberData:
    """See :class:`bot.jobs.api.OwnData`."""

    def __init__(self, store: Store, storage: Storage, jobs: Jobs) -> None:
        self._store = store
        self._storage = storage
        self._jobs = jobs
        self._exporting: set[int] = set()
        self._exports = asyncio.Semaphore(EXPORTS_AT_ONCE)

    async def export(self, member: int, max_bytes: int, after: str | None = None) -> AsyncGenerator[ExportPart]:
        """See :class:`bot.jobs.api.OwnData`."""
        start: Position | None = None
        if after is not None:
            job = await self._store.get(after)
            if job is None or job.owner != member:
                raise ExportStartNotFound
            start = Position(job.created_at, job.id)
        if member in self._exporting:
            raise ExportRunning
        self._exporting.add(member)
        try:
            async with self._exports, aclosing(self._parts(member, max_bytes, start)) as parts:
                async for part in parts:
                    yield part
        finally:
            self._exporting.discard(member)

    async def _parts(self, member: int, max_bytes: int, start: Position | None) -> AsyncGenerator[ExportPart]:
        archive = await asyncio.to_thread(_Archive, max_bytes)
        number, left_out, done = 1, 0, None if start is None else start.job
        try:
            async for row, folder in self._rows(member, start):
                missing = dict[str, str]()
                async for path, data in self._files(row, folder, archive.could_hold, missing):
                    if not archive.holds(path, data):
                        yield ExportPart(number, await asyncio.to_thread(archive.closed), left_out, done, is_last=False)
                        archive, number = await asyncio.to_thread(_Archive, max_bytes), number + 1
                    await asyncio.to_thread(archive.add, path, data)
                left_out += len(missing)
                if folder.startswith(_JOBS):
                    done = row["id"]
            if archive.files:
                yield ExportPart(number, await asyncio.to_thread(archive.closed), left_out, done, is_last=True)
        finally:
            await asyncio.to_thread(archive.discard)

    async def _files(
        self, row: dict[str, Any], folder: str, could_hold: Callable[[str, bytes], bool], missing: dict[str, str]
    ) -> AsyncGenerator[tuple[str, bytes]]:
        """The pictures of a row, and the row as JSON. Adds to ``missing``, by roles, why pictures are left out."""
        files = []
        for role, blob in sorted(row.pop("blobs").items()):
            if not _PICTURES.fullmatch(role):
                continue
            try:
                data = await self._storage.get(blob)
            except BlobLost:
                missing[role] = "lost"
                continue
            path = f"{folder}/{_NAMES.get(role, role)}.{await asyncio.to_thread(_ending, data)}"
            if could_hold(path, data):
                files.append(path)
                yield path, data
            else:
                missing[role] = f"{len(data)} bytes, too large to send here"
        if "recipe" in row:
            yield f"{folder}/recipe.json", _json(row["recipe"])
        kind = "picture" if folder.startswith(_JOBS) else "style"
        yield f"{folder}/{kind}.json", _json(row | {"files": files, "left_out": missing})

    async def _rows(self, member: int, start: Position | None) -> AsyncGenerator[tuple[dict[str, Any], str]]:
        """The rows of a member with the folders of their files: first the saved styles, then the jobs, newest first."""
        if start is None:
            for style in await self._store.member_styles(member):
                yield style, f"styles/{style['id']}"
        while rows := await self._store.member_jobs(member, _BATCH, start):
            for row in rows:
                for name in ("recipe", "painted", "cause"):
                    with suppress(TypeError, ValueError):  # a damaged row is handed out as it is
                        row[name] = json.loads(row[name]) if row[name] else None
                yield row, f"{_JOBS}{str(row['created_at'])[:10]}-{row['id']}"
            if rows[-1]["created_at"] is None:  # the row is damaged, and those after it can't be found
                return
            start = Position(rows[-1]["created_at"], rows[-1]["id"])

    async def count(self, member: int) -> tuple[int, int]:
        """See :class:`bot.jobs.api.OwnData`."""
        return await self._store.count_owned(member)

    async def forget(self, member: int) -> tuple[int, int]:
        """See :class:`bot.jobs.api.OwnData`."""
        until = datetime.now(UTC)
        open_jobs = [job.id for job in await self._store.open_jobs(member)]
        for job_id in open_jobs:
            with suppress(JobEnded):
                await self._jobs.cancel(job_id, Actor(member))
        for _ in range(round(CANCELLED_WITHIN / _POLL_EVERY)):
            if not any(job.state in OPEN for job in await self._store.jobs(open_jobs)):
                break
            await asyncio.sleep(_POLL_EVERY)
        jobs, styles, blobs = await self._store.forget_member(member, until)
        await self._storage.forget(blobs)
        log.info("a member's data was removed", owner=member, jobs=jobs, styles=styles, blobs=len(blobs))
        return jobs, styles


class _Archive:
    """A ZIP in a temporary file, of limited size."""

    def __init__(self, max_bytes: int) -> None:
        self.files = 0
        self._max_bytes = max_bytes
        self._size = _OVERHEAD
        # The receiver of the part closes it.
        self._file: BufferedIOBase = cast(BufferedIOBase, tempfile.TemporaryFile())  # noqa: SIM115
        # Pictures are compressed already.
        self._zip = zipfile.ZipFile(cast(IO[bytes], self._file), "w", zipfile.ZIP_STORED)

    def could_hold(self, path: str, data: bytes) -> bool:
        """Whether the file fits into an empty archive."""
        return _OVERHEAD + self._bytes(path, data) <= self._max_bytes

    def holds(self, path: str, data: bytes) -> bool:
        """Whether the file still fits."""
        return self._size + self._bytes(path, data) <= self._max_bytes

    def add(self, path: str, data: bytes) -> None:
        """Add a file."""
        self._zip.writestr(path, data)
        self._size += self._bytes(path, data)
        self.files += 1

    def closed(self) -> BufferedIOBase:
        """The finished file, at its start."""
        self._zip.close()
        self._file.seek(0)
        file, self._file = self._file, BytesIO()
        return file

    def discard(self) -> None:
        """Close the file, unless it was handed out."""
        self._zip.close()
        self._file.close()

    def _bytes(self, path: str, data: bytes) -> int:
        return len(data) + _OVERHEAD + 2 * len(path.encode())


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2, default=str).encode()


def _ending(data: bytes) -> str:
    from engine.images.headers import sniff  # loads Pillow, which the bot seldom needs, and which takes its time

    format = sniff(data)
    return "bin" if format is None else format.value.lower()
