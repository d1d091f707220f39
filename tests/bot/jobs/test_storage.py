"""Room for blobs: nothing that a job needs goes, everything else does, and there is an end to it."""

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
from tests.shaky import new_place


@pytest.fixture
def blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    """An empty place, in which nothing is too young to be removed."""
    monkeypatch.setattr(module, "UNCLAIMED_FOR", timedelta(seconds=-1))
    return Blobs(str(tmp_path / "blobs"))


async def ended(store: Store, storage: Storage, owner: int, picture: bytes) -> None:
    """A job that was cancelled, with its pictures."""
    stored = job(owner, content=await storage.put(picture), styles=(await storage.put(b"a common style"),))
    await store.add(stored, "me", "cluster", 100)
    await store.give_up(stored.id, PaintingCancelled())
    await store.conclude(stored.id, "me", State.CANCELLED, "token")


def kept(blobs: Blobs) -> set[bytes]:
    return {blobs.get(blob.name) for blob in blobs}


async def test_keeps_what_open_and_recent_jobs_need_and_removes_the_rest(store: Store, blobs: Blobs) -> None:
    storage = Storage(blobs, store, StoragePolicy(keep=timedelta(days=1)))
    await store.add(job(content=await storage.put(b"open")), "me", "cluster", 3)
    await ended(store, storage, 2, b"recent")
    await storage.put(b"nobody's")
    await storage.sweep()
    assert kept(blobs) == {b"open", b"recent", b"a common style"}
    assert storage.used == sum(map(len, kept(blobs)))


async def test_forgets_what_ended_long_ago_but_not_what_others_share(store: Store, blobs: Blobs) -> None:
    storage = Storage(blobs, store, StoragePolicy(keep=timedelta(seconds=-1)))
    await ended(store, storage, 1, b"old")
    await store.add(job(owner=2, content=await storage.put(b"a common style")), "me", "cluster", 3)
    await storage.sweep()
    assert kept(blobs) == {b"a common style"}


async def test_leaves_alone_what_may_belong_to_a_job_that_is_just_accepted(
    store: Store, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
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


async def test_makes_room_at_the_cost_of_ended_jobs_alone(store: Store, blobs: Blobs) -> None:
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


async def test_makes_no_more_room_than_is_needed(store: Store, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of what was put just now, once no job claims it."""
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


async def test_forgets_nobody_where_that_makes_no_room(store: Store, blobs: Blobs) -> None:
    storage = Storage(blobs, store, StoragePolicy(max_bytes=10_000))
    await store.add(job(content=await storage.put(bytes(9200))), "me", "cluster", 3)
    for owner, picture in enumerate((b"ann's", b"bob's")):
        await ended(store, storage, owner, picture)
    await storage.sweep()
    assert kept(blobs) == {bytes(9200), b"ann's", b"bob's", b"a common style"}


async def test_counts_the_same_bytes_once(store: Store, blobs: Blobs) -> None:
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


async def test_goes_by_the_clock_of_the_place(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clock is two hours behind ours: what a worker put just now is not old."""
    blobs = Blobs(new_place())
    now = MemoryFileSystem.modified
    monkeypatch.setattr(MemoryFileSystem, "modified", lambda *place: now(*place) - timedelta(hours=2))
    blobs.put(b"a checkpoint that is not noted yet")
    await Storage(blobs, store, StoragePolicy()).sweep()
    assert kept(blobs) == {b"a checkpoint that is not noted yet"}


async def test_one_blob_that_can_not_be_removed_keeps_none_of_the_others(store: Store, tmp_path: Path) -> None:
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
    for _ in range(40):  # in another order each time; one alone is a trouble that is told
        with contextlib.suppress(StorageFailed):
            await storage.sweep()
        if len(list(blobs)) == 1:
            break
    assert [blob.name for blob in blobs] == [stuck]


async def test_refuses_what_would_leave_too_little_free(store: Store, blobs: Blobs) -> None:
    free = Storage(blobs, store, StoragePolicy()).free()
    assert free is not None
    await Storage(blobs, store, StoragePolicy(min_free_bytes=free // 2)).check_space(1000)
    with pytest.raises(StorageFull):
        await Storage(blobs, store, StoragePolicy(min_free_bytes=free * 2)).check_space(1000)


async def test_knows_no_disk_where_the_blobs_are_elsewhere(store: Store) -> None:
    storage = Storage(Blobs("memory://elsewhere"), store, StoragePolicy(min_free_bytes=2**62))
    assert storage.free() is None
    await storage.check_space(1000)


async def test_drops_what_one_job_needed_alone(store: Store, blobs: Blobs) -> None:
    storage = Storage(blobs, store, StoragePolicy())
    shared, own = await storage.put(b"shared"), await storage.put(b"own")
    await store.add(job(content=shared), "me", "cluster", 3)
    for name in (shared, own, own):
        await storage.drop(name)
    assert kept(blobs) == {b"shared"}


RACES = [("sweep", steps, others) for steps in range(2, 17) for others in (4, 6, 7)]
RACES += [("order", steps, others) for steps in (2, 3, 4, 5, 7) for others in (5, 7, 13, 15)]


async def test_no_order_of_steps_removes_what_a_job_claims(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member sends pictures that were here before, to one process, while another one sweeps.

    One makes some steps, then the other some, and so on to the end: at every place where it may matter.
    """
    monkeypatch.setattr(module, "POLL_EVERY", 0)
    turns = Turns()
    for first, steps, others in RACES:
        blobs = Blobs(str(tmp_path / f"{first} {steps} {others}"))
        pictures = [f"{kind} {blobs.url}".encode() * 50 for kind in ("an ended job's", "nobody's")]
        most = int(len(pictures[1]) / 0.9) + 1  # the ended job has to go
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
