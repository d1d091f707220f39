"""Storage of blobs: admission, removal after the retention time, and an upper bound."""

import asyncio
import contextlib
import random
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from bot.jobs.database.store import Store
from bot.telemetry import metrics
from engine.blobs import PART, Blobs, name_of, reaching
from engine.errors import AtelierError, BlobLost, StorageFailed, StorageFull

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

UNCLAIMED_FOR: Final = timedelta(hours=1)
"""A younger blob may belong to a job in acceptance, or be a checkpoint that is not recorded yet."""
RESERVE: Final = 0.1
"""The share of the bound that a sweep frees for new blobs until the next sweep."""
REMOVE_WITHIN: Final = 30.0
"""Seconds within which an announced removal must begin."""
REMOVED_WITHIN: Final = 120.0
"""Seconds until the announcement expires. If its process dies, a writer of the same bytes waits this long."""
POLL_EVERY: Final = 0.05
"""Seconds between two checks for the end of a removal."""
_BATCH: Final = 500
_REMOVED_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class StoragePolicy:
    """The operator's limits for storage."""

    keep: timedelta = timedelta(days=7)
    """The retention time of an ended job."""
    max_bytes: int = 10 * 2**30
    """The largest total size of all blobs."""
    min_free_bytes: int = 256 * 2**20
    """Minimum free bytes on the disk, if the blobs are in a folder."""


class Storage:
    """Stores blobs for jobs. Each bot process has one. It sees the blobs of other processes at the next sweep."""

    def __init__(self, blobs: Blobs, store: Store, policy: StoragePolicy) -> None:
        self.blobs = blobs
        self._store = store
        self._policy = policy
        self._sizes: dict[str, int] = {}
        """The bytes of each blob, from the last sweep and later puts."""
        self._put: dict[str, int] = {}
        """The bytes of each blob that was put since the last sweep began to list them."""

    @property
    def used(self) -> int:
        """The total size of all blobs in bytes, from the last sweep and later puts."""
        return sum(self._sizes.values())

    def free(self) -> int | None:
        """Free bytes on the disk, or None if the blobs are not in a folder. Blocks for I/O.

        Raises:
            StorageFailed: the disk can't be read.
        """
        folder = self.blobs.folder
        if folder is None:
            return None
        with reaching():
            existing = next(path for path in (folder, *folder.parents) if path.exists())
            return shutil.disk_usage(existing).free

    async def check_space(self, more: int) -> None:
        """Raise :class:`StorageFull` unless ``more`` bytes can be stored."""
        free = await asyncio.to_thread(self.free)  # the folder may be on a network drive
        if self.used + more > self._policy.max_bytes or (
            free is not None and free - more < self._policy.min_free_bytes
        ):
            raise StorageFull

    async def put(self, data: bytes) -> str:
        """Store one blob. See :meth:`put_all`."""
        (name,) = await self.put_all([data])
        return name

    async def put_all(self, pictures: Sequence[bytes]) -> list[str]:
        """Store pictures and return their names. They are protected for :data:`UNCLAIMED_FOR`, until a job claims them.

        Raises:
            StorageFull, StorageFailed: see :meth:`engine.blobs.Blobs.put`.
            SQLAlchemyError: the database can't store the holds.
        """
        names = await asyncio.to_thread(lambda: [name_of(data) for data in pictures])
        holds = await self._store.hold(names, UNCLAIMED_FOR.total_seconds())
        began = time.monotonic()
        while removed := await self._store.removed(names):
            if time.monotonic() - began > REMOVED_WITHIN:
                raise StorageFailed(f"the removal of {removed} does not end")
            await asyncio.sleep(POLL_EVERY)
        try:
            for name, data in zip(names, pictures, strict=True):
                await asyncio.to_thread(self.blobs.put, data)
                self._sizes[name] = self._put[name] = len(data)
        except AtelierError:
            await self._store.release_holds(holds)
            raise
        metrics.STORAGE_USED.set(self.used)
        await self._store.written(holds)
        return names

    async def get(self, name: str) -> bytes:
        """See :meth:`engine.blobs.Blobs.get`."""
        return await asyncio.to_thread(self.blobs.get, name)

    async def drop(self, checkpoint: str) -> None:
        """Remove a checkpoint that its job no longer needs. Never raises: the next sweep removes it otherwise.

        Needs no hold: checkpoints are unique, so no other process writes the same bytes.
        """
        try:
            if not await self._store.claimed([checkpoint]):
                await asyncio.to_thread(self.blobs.remove, checkpoint)
                self._sizes.pop(checkpoint, None)
        except Exception as error:
            log.warning("a blob could not be removed", blob=checkpoint, reason=repr(error))

    async def forget(self, names: Collection[str]) -> None:
        """Remove those of these blobs that nobody claims any more. Never raises: a sweep removes what remains."""
        try:
            for name in await self._remove(list(names), None):
                self._sizes.pop(name, None)
        except Exception as error:
            log.warning("blobs could not be removed", count=len(names), reason=repr(error))

    async def sweep(self) -> None:
        """Remove jobs after the retention time and unclaimed blobs. Remove more if storage exceeds its bound."""
        now = datetime.now(UTC)
        while await self._store.forget(now - self._policy.keep, _BATCH):
            pass
        self._put = {}
        found = {blob.name: blob for blob in await asyncio.to_thread(list, self.blobs)}
        # Read claims after the list of blobs: a process stores its hold before it writes a blob.
        claimed = set[str]()
        for some in _batches(list(found), _BATCH):
            claimed |= await self._store.claimed(some)
        loose = [blob for name, blob in found.items() if name not in claimed]
        gone = set[str]()
        if loose:
            before = await self._clock() - UNCLAIMED_FOR
            gone = await self._remove([blob.name for blob in loose if blob.modified <= before], before)
        self._sizes = {name: blob.bytes for name, blob in found.items() if name not in gone} | self._put
        await self._make_room(claimed)
        metrics.STORAGE_USED.set(self.used)

    async def _make_room(self, claimed: set[str]) -> None:
        most = self._policy.max_bytes
        if (used := self.used) <= most * (1 - RESERVE):
            return
        sizes = {name: size for name, size in self._sizes.items() if name in claimed}
        freed = await self._store.make_room(sizes, used - sum(sizes.values()), (most * (1 - RESERVE), most))
        for name in await self._remove(list(freed.blobs), None):
            self._sizes.pop(name, None)
        figures = {"before": used, "used": self.used, "most": most}
        if freed.jobs:
            log.warning("pictures are removed before their time", jobs=freed.jobs, states=freed.states, **figures)
        elif freed.states:
            log.info("final states are removed before their time", states=freed.states, **figures)
        else:
            log.warning("no removal would free enough storage", used=used, most=most)

    async def _clock(self) -> datetime:
        try:
            return await asyncio.to_thread(self.blobs.clock)
        except StorageFull:  # old blobs must be removed even then
            return datetime.now(UTC)

    async def _remove(self, names: list[str], before: datetime | None) -> set[str]:
        """Remove the blobs that are still unclaimed and, if ``before`` is given, were last put by then. Returns them.

        A failed removal does not stop the others.

        Raises:
            StorageFailed: every removal of a batch failed.
        """
        gone = set[str]()
        random.shuffle(names)  # so that failures do not hit the same blobs first each time
        for some in _batches(names, _REMOVED_AT_ONCE):
            began = time.monotonic()
            whole = [name for name in some if not name.endswith(PART)]  # a partial file is never written again
            holds, free = await self._store.begin_removal(whole, REMOVED_WITHIN, young=before is None)
            going = [name for name in some if name in free or name not in whole]
            # After a cancellation the holds stay, because the threads may continue.
            ends = await asyncio.gather(
                *(asyncio.to_thread(self._remove_one, name, before, began) for name in going), return_exceptions=True
            )
            await self._store.release_holds(holds)
            gone |= {name for name, end in zip(going, ends, strict=True) if end is True}
            if failures := [end for end in ends if isinstance(end, BaseException)]:
                if len(failures) == len(going):
                    raise failures[0]
                log.warning("blobs could not be removed", count=len(failures), reason=repr(failures[0]))
        return gone

    def _remove_one(self, name: str, before: datetime | None, began: float) -> bool:
        if time.monotonic() - began > REMOVE_WITHIN:
            raise StorageFailed(f"{name} was not removed in time")
        with contextlib.suppress(BlobLost):
            if before is not None and self.blobs.modified(name) > before:
                return False
            self.blobs.remove(name)
        return True


def _batches(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]
