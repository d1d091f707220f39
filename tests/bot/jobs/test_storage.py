"""Room for blobs: nothing that a job needs goes, everything else does, and there is an end to it."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from bot.jobs import storage as module
from bot.jobs.job import State
from bot.jobs.storage import Room, Storage
from bot.jobs.store import Store
from engine.blobs import Blobs
from engine.errors import PaintingCancelled, StorageFull
from tests.bot.jobs.conftest import job


@pytest.fixture
def blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    """An empty place, in which nothing is too young to be removed."""
    monkeypatch.setattr(module, "UNCLAIMED_FOR", timedelta(seconds=-1))
    return Blobs(str(tmp_path / "blobs"))


async def ended(store: Store, storage: Storage, owner: int, picture: bytes) -> None:
    """A job that was cancelled, with its pictures."""
    stored = job(owner, content=await storage.put(picture), styles=(await storage.put(b"a common style"),))
    await store.add(stored, "me", "pool", 100)
    await store.give_up(stored.id, PaintingCancelled())
    await store.conclude(stored.id, "me", State.CANCELLED, "token")


def kept(blobs: Blobs) -> set[bytes]:
    return {blobs.get(blob.name) for blob in blobs}


async def test_keeps_what_open_and_recent_jobs_need_and_removes_the_rest(store: Store, blobs: Blobs) -> None:
    storage = Storage(blobs, store, Room(keep=timedelta(days=1)))
    await store.add(job(content=await storage.put(b"open")), "me", "pool", 3)
    await ended(store, storage, 2, b"recent")
    await storage.put(b"nobody's")
    await storage.sweep()
    assert kept(blobs) == {b"open", b"recent", b"a common style"}
    assert storage.used == sum(map(len, kept(blobs)))


async def test_forgets_what_ended_long_ago_but_not_what_others_share(store: Store, blobs: Blobs) -> None:
    storage = Storage(blobs, store, Room(keep=timedelta(seconds=-1)))
    await ended(store, storage, 1, b"old")
    await store.add(job(owner=2, content=await storage.put(b"a common style")), "me", "pool", 3)
    await storage.sweep()
    assert kept(blobs) == {b"a common style"}


async def test_leaves_alone_what_may_belong_to_a_job_that_is_just_accepted(
    store: Store, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNCLAIMED_FOR", timedelta(hours=1))
    storage = Storage(blobs, store, Room())
    young, old = await storage.put(b"young"), await storage.put(b"old")
    assert blobs.folder is not None
    os.utime(blobs.folder / old[:2] / old, (0, 0))
    await storage.sweep()
    assert kept(blobs) == {b"young"}
    os.utime(blobs.folder / young[:2] / young, (0, 0))
    await storage.put(b"young")  # arrives once more
    await storage.sweep()
    assert kept(blobs) == {b"young"}


async def test_makes_room_at_the_cost_of_ended_jobs_alone(store: Store, blobs: Blobs) -> None:
    storage = Storage(blobs, store, Room(most=10_000))
    await store.add(job(content=await storage.put(bytes(6000))), "me", "pool", 3)
    await ended(store, storage, 2, bytes(7000))
    with pytest.raises(StorageFull):
        await storage.check_room(1)
    await storage.sweep()
    assert kept(blobs) == {bytes(6000)}
    await storage.check_room(4000)
    with pytest.raises(StorageFull):
        await storage.check_room(4001)


async def test_refuses_what_would_leave_too_little_free(store: Store, blobs: Blobs) -> None:
    free = Storage(blobs, store, Room()).free()
    assert free is not None
    await Storage(blobs, store, Room(free=free // 2)).check_room(1000)
    with pytest.raises(StorageFull):
        await Storage(blobs, store, Room(free=free * 2)).check_room(1000)


async def test_knows_no_disk_where_the_blobs_are_elsewhere(store: Store) -> None:
    storage = Storage(Blobs("memory://elsewhere"), store, Room(free=2**62))
    assert storage.free() is None
    await storage.check_room(1000)


async def test_drops_what_one_job_needed_alone(store: Store, blobs: Blobs) -> None:
    storage = Storage(blobs, store, Room())
    shared, own = await storage.put(b"shared"), await storage.put(b"own")
    await store.add(job(content=shared), "me", "pool", 3)
    for name in (shared, own, own):
        await storage.drop(name)
    assert kept(blobs) == {b"shared"}
