"""Storage of blobs: it keeps what jobs claim, removes the rest, and stays within its bound."""

import contextlib
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from bot.jobs import storage as module
from bot.jobs.database.store import Store
from bot.jobs.model import Job, State
from bot.jobs.storage import Storage, StoragePolicy
from engine.blobs import Blobs
from engine.errors import PaintingCancelled, StorageFailed, StorageFull
from engine.recipe import Inputs
from tests.bot.jobs.conftest import job
from tests.bot.jobs.turns import SteppingBlobs, SteppingStore, Turns
from tests.failing_store import new_url


@pytest.fixture
def blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    """An empty blob store, in which no blob is too young for removal."""
    monkeypatch.setattr(module, "UNCLAIMED_FOR", timedelta(seconds=-1))
    return Blobs(str(tmp_path / "blobs"))


async def ended(store: Store, storage: Storage, owner: int, picture: bytes) -> None:
    """A cancelled job with its pictures."""
    stored = job(owner, content=await storage.put(picture), styles=(await storage.put(b"a common style"),))
    await store.add(stored, "me", "cluster", 100)
    await store.give_up(stored.id, PaintingCancelled())
    await store.conclude(stored.id, "me", State.CANCELLED, "token")


def kept(blobs: Blobs) -> set[bytes]:
    return {blobs.get(blob.name) for blob in blobs}


async def test_sweep_keeps_the_blobs_of_open_and_recent_jobs_only(store: Store, blobs: Blobs) -> None:
    storage = Storage(blobs, store, StoragePolicy(keep=timedelta(days=1)))
    await store.add(job(content=await storage.put(b"open")), "me", "cluster", 3)
    await ended(store, storage, 2, b"recent")
    await storage.put(b"nobody's")
    await storage.sweep()
    assert kept(blobs) == {b"open", b"recent", b"a common style"}
    assert storage.used == sum(map(len, kept(blobs)))


async def test_sweep_removes_old_jobs_but_not_shared_blobs(store: Store, blobs: Blobs) -> None:
    storage = Storage(blobs, store, StoragePolicy(keep=timedelta(seconds=-1)))
    await ended(store, storage, 1, b"old")
    await store.add(job(owner=2, content=await storage.put(b"a common style")), "me", "cluster", 3)
    await storage.sweep()
    assert kept(blobs) == {b"a common style"}


async def test_sweep_keeps_young_unclaimed_blobs(store: Store, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNCLAIMED_FOR", timedelta(hours=1))
    storage = Storage(blobs, store, StoragePolicy())
    young, old = await storage.put(b"young"), await storage.put(b"old")
    assert blobs.folder is not None
    os.utime(blobs.folder / old[:2] / old, (0, 0))
    await storage.sweep()
    assert kept(blobs) == {b"young"}
    os.utime(blobs.folder / young[:2] / young, (0, 0))
    await storage.put(b"young")  # arrives once more
    await storage.sweep()
    assert kept(blobs) == {b"young"}


async def test_sweep_removes_only_ended_jobs_for_space(store: Store, blobs: Blobs) -> None:
    storage = Storage(blobs, store, StoragePolicy(max_bytes=10_000))
    await store.add(job(content=await storage.put(bytes(6000))), "me", "cluster", 3)
    await ended(store, storage, 2, bytes(7000))
    with pytest.raises(StorageFull):
        await storage.check_space(1)
    await storage.sweep()
    assert kept(blobs) == {bytes(6000)}
    await storage.check_space(4000)
    with pytest.raises(StorageFull):
        await storage.check_space(4001)


async def test_sweep_frees_no_more_than_needed(store: Store, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Young blobs count too, once no job claims them."""
    storage = Storage(blobs, store, StoragePolicy(max_bytes=10_000))
    await store.add(job(content=await storage.put(b"open")), "me", "cluster", 3)
    pictures = [bytes([number]) * 1000 for number in range(10)]
    for owner, picture in enumerate(pictures):
        await ended(store, storage, owner, picture)
    monkeypatch.setattr(module, "UNCLAIMED_FOR", timedelta(hours=1))
    for _ in range(2):
        await storage.sweep()
        assert kept(blobs) == {b"open", b"a common style", *pictures[2:]}
        assert storage.used == sum(blob.bytes for blob in blobs)
    await storage.check_space(1500)


async def test_sweep_removes_no_job_if_that_frees_nothing(store: Store, blobs: Blobs) -> None:
    storage = Storage(blobs, store, StoragePolicy(max_bytes=10_000))
    await store.add(job(content=await storage.put(bytes(9200))), "me", "cluster", 3)
    for owner, picture in enumerate((b"ann's", b"bob's")):
        await ended(store, storage, owner, picture)
    await storage.sweep()
    assert kept(blobs) == {bytes(9200), b"ann's", b"bob's", b"a common style"}


async def test_equal_bytes_count_once(store: Store, blobs: Blobs) -> None:
    storage = Storage(blobs, store, StoragePolicy())
    for number in range(5):
        await storage.put_all([b"the same", b"the same", f"another {number}".encode()])
        assert storage.used == sum(blob.bytes for blob in blobs) == 8 + 9 * (number + 1)
    name = await storage.put(b"checkpoint")
    await storage.drop(name)
    assert storage.used == sum(blob.bytes for blob in blobs)
    await storage.sweep()
    assert storage.used == sum(blob.bytes for blob in blobs) == 0
    await storage.put(b"the same")
    assert storage.used == 8


async def test_the_age_of_a_blob_follows_the_clock_of_the_blob_store(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clock is two hours behind ours. A new blob is not old."""
    blobs = Blobs(new_url())
    now = MemoryFileSystem.modified
    monkeypatch.setattr(MemoryFileSystem, "modified", lambda *place: now(*place) - timedelta(hours=2))
    blobs.put(b"a checkpoint that is not noted yet")
    await Storage(blobs, store, StoragePolicy()).sweep()
    assert kept(blobs) == {b"a checkpoint that is not noted yet"}


async def test_a_failed_removal_does_not_stop_the_others(store: Store, tmp_path: Path) -> None:
    class Stuck(Blobs):
        def remove(self, name: str) -> None:
            if name == stuck:
                raise StorageFailed("Operation not permitted")
            super().remove(name)

    blobs = Stuck(str(tmp_path))
    storage = Storage(blobs, store, StoragePolicy())
    stuck, *_ = [blobs.put(f"{number}".encode()) for number in range(40)]
    for blob in blobs:
        os.utime(tmp_path / blob.name[:2] / blob.name, (0, 0))
    for _ in range(40):  # the order is random; a single failed removal raises
        with contextlib.suppress(StorageFailed):
            await storage.sweep()
        if len(list(blobs)) == 1:
            break
    assert [blob.name for blob in blobs] == [stuck]


async def test_blobs_that_leave_too_little_free_space_are_rejected(store: Store, blobs: Blobs) -> None:
    free = Storage(blobs, store, StoragePolicy()).free()
    assert free is not None
    await Storage(blobs, store, StoragePolicy(min_free_bytes=free // 2)).check_space(1000)
    with pytest.raises(StorageFull):
        await Storage(blobs, store, StoragePolicy(min_free_bytes=free * 2)).check_space(1000)


async def test_free_space_on_the_disk_is_ignored_if_the_blobs_are_elsewhere(store: Store) -> None:
    storage = Storage(Blobs("memory://elsewhere"), store, StoragePolicy(min_free_bytes=2**62))
    assert storage.free() is None
    await storage.check_space(1000)


async def test_drop_removes_only_unclaimed_blobs(store: Store, blobs: Blobs) -> None:
    storage = Storage(blobs, store, StoragePolicy())
    shared, own = await storage.put(b"shared"), await storage.put(b"own")
    await store.add(job(content=shared), "me", "cluster", 3)
    for name in (shared, own, own):
        await storage.drop(name)
    assert kept(blobs) == {b"shared"}


RACES = [("sweep", steps, others) for steps in range(2, 17) for others in (4, 6, 7)]
RACES += [("order", steps, others) for steps in (2, 3, 4, 5, 7) for others in (5, 7, 13, 15)]


@pytest.mark.slow
async def test_no_interleaving_removes_a_claimed_blob(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member sends stored pictures again to one process, while another process sweeps.

    The processes take turns after different numbers of steps.
    """
    monkeypatch.setattr(module, "POLL_EVERY", 0)
    turns = Turns()
    for first, steps, others in RACES:
        blobs = Blobs(str(tmp_path / f"{first} {steps} {others}"))
        pictures = [f"{kind} {blobs.url}".encode() * 50 for kind in ("an ended job's", "nobody's")]
        most = int(len(pictures[1]) / 0.9) + 1  # the ended job must be removed
        await ended(store, Storage(blobs, store, StoragePolicy()), 1, pictures[0])
        nobodys = blobs.put(pictures[1])
        os.utime(f"{blobs.url}/{nobodys[:2]}/{nobodys}", (0, 0))
        one, other = (
            Storage(SteppingBlobs(blobs.url, turns), SteppingStore(store, turns), StoragePolicy(max_bytes=most))
            for _ in range(2)
        )
        sent = job(2)

        async def order(storage: Storage = one, sent: Job = sent, pictures: list[bytes] = pictures) -> None:
            content, style = await storage.put_all(pictures)
            await storage._store.add(replace(sent, inputs=Inputs(content, (style,))), "me", "cluster", 1000)

        actors = {"order": order(), "sweep": other.sweep()}
        await turns.play(
            {name: actors[name] for name in sorted(actors, key=lambda name: name != first)}, [steps, others]
        )
        found = await store.get(sent.id)
        assert found is not None
        kept_now = [blobs.get(name) for name in found.inputs]
        assert kept_now == pictures, (first, steps, others)
        await other.sweep()
        assert other.used == sum(blob.bytes for blob in blobs)
        await store.give_up(sent.id, PaintingCancelled())
        await store.conclude(sent.id, "me", State.CANCELLED, "token")
