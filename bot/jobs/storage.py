"""Room for blobs: what may come in, what is removed after its time, and a bound on all of it."""

import asyncio
import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from bot import metrics
from bot.jobs.store import Store
from engine.blobs import Blob, Blobs, reaching
from engine.errors import StorageFull

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

UNCLAIMED_FOR: Final = timedelta(hours=1)
"""Blobs younger than this may belong to a job that is just being accepted."""
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Room:
    """The operator's bounds."""

    keep: timedelta = timedelta(days=7)
    """How long an ended job's pictures stay."""
    most: int = 10 * 2**30
    """Bytes of all blobs."""
    free: int = 256 * 2**20
    """Bytes that must stay free on the disk; only where the blobs are in a folder."""


class Storage:
    """Keeps bytes for jobs. One of these in each bot process; what others keep is seen at the next sweep."""

    def __init__(self, blobs: Blobs, store: Store, room: Room) -> None:
        self.blobs = blobs
        self._store = store
        self._room = room
        self._used = 0

    @property
    def used(self) -> int:
        """Bytes, by the last sweep and what was put since."""
        return self._used

    @used.setter
    def used(self, used: int) -> None:
        self._used = used
        metrics.STORAGE_USED.set(used)

    def free(self) -> int | None:
        """Bytes free on the disk; None where the blobs aren't in a folder. Blocks for I/O.

        Raises:
            StorageFailed: the disk can't be looked at.
        """
        folder = self.blobs.folder
        if folder is None:
            return None
        with reaching():
            there = next(path for path in (folder, *folder.parents) if path.exists())
            return shutil.disk_usage(there).free

    async def check_room(self, more: int) -> None:
        """Raise :class:`StorageFull` unless ``more`` bytes may come in."""
        free = await asyncio.to_thread(self.free)  # the folder may be on another machine
        if self.used + more > self._room.most or (free is not None and free - more < self._room.free):
            raise StorageFull

    async def put(self, data: bytes) -> str:
        """See :meth:`engine.blobs.Blobs.put`."""
        name = await asyncio.to_thread(self.blobs.put, data)
        self.used += len(data)
        return name

    async def get(self, name: str) -> bytes:
        """See :meth:`engine.blobs.Blobs.get`."""
        return await asyncio.to_thread(self.blobs.get, name)

    async def drop(self, name: str) -> None:
        """Remove what one job no longer needs, unless another job does. Never raises: the next sweep tries again."""
        try:
            if not await self._store.claimed([name]):
                await asyncio.to_thread(self.blobs.remove, name)
        except Exception as error:
            log.warning("a blob could not be removed", blob=name, reason=repr(error))

    async def sweep(self) -> None:
        """Forget jobs that ended long ago, then remove every blob that no job claims; earlier when room runs out."""
        now = datetime.now(UTC)
        while await self._store.forget(now - self._room.keep, _BATCH):
            pass
        self.used = await self._remove_unclaimed(now)
        while self.used > self._room.most * 0.9 and await self._store.forget(now, _BATCH):
            log.warning("pictures are removed before their time", used=self.used, most=self._room.most)
            self.used = await self._remove_unclaimed(now)

    async def _remove_unclaimed(self, now: datetime) -> int:
        """Remove what may be; the bytes that stay."""
        stay = 0
        for batch in await asyncio.to_thread(lambda: list(_batches(iter(self.blobs)))):
            claimed = await self._store.claimed([blob.name for blob in batch])
            for blob in batch:
                if blob.name in claimed or now - blob.modified < UNCLAIMED_FOR:
                    stay += blob.bytes
                else:
                    await asyncio.to_thread(self.blobs.remove, blob.name)
        return stay


def _batches(blobs: Iterator[Blob]) -> Iterator[list[Blob]]:
    while batch := list(itertools.islice(blobs, _BATCH)):
        yield batch
