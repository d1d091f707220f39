"""Jobs in a real database: they are durable, each change happens once, and secrets are removed at the end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from bot.jobs.database import leases
from bot.jobs.database.acknowledged import Acknowledged
from bot.jobs.database.store import QueuedJob, Store
from bot.jobs.errors import TooManyJobs, UnexpectedError
from bot.jobs.model import OPEN, Job, Painted, State, new_id
from engine.errors import OutOfMemory, PaintingCancelled
from tests.bot.jobs.conftest import SECRET, job, opened
from tests.waiting import eventually

ME, OTHER, CLUSTER = "me", "other", "cluster"
PAINTED = Painted("9" * 64, "png", 512, 384, 90, 41.5, "finished", shown=(0.75, None, 1.0))


async def added(store: Store, *jobs: Job, process: str = ME, cluster_id: str = CLUSTER) -> list[Job]:
    await store.renew(process)
    for each in jobs:
        await store.add(each, process, cluster_id, 1000)
    return list(jobs)


async def state(store: Store, job: Job) -> str:
    found = await store.get(job.id)
    assert found is not None
    return found.state.value


async def waiting(store: Store, process: str = ME) -> list[str]:
    return [each.id for each in (await store.queue(process, CLUSTER)).waiting]


class TestAJob:
    async def test_is_read_as_it_was_stored(self, store: Store) -> None:
        styles = tuple(f"{number:064}" for number in range(12))
        (stored,) = await added(store, job(owner=2**63 - 1, styles=styles, process=ME))
        assert await store.get(stored.id) == stored

    async def test_that_does_not_exist_is_none(self, store: Store) -> None:
        assert await store.get(new_id()) is None

    async def test_is_stored_once(self, store: Store) -> None:
        (stored,) = await added(store, job())
        with pytest.raises(IntegrityError):
            await store.add(stored, ME, CLUSTER, 3)
        assert await store.count_open(1) == 1

    async def test_is_rejected_above_its_owners_limit(self, store: Store) -> None:
        await added(store, job(), job(), job(owner=2))
        with pytest.raises(TooManyJobs):
            await store.add(job(), ME, CLUSTER, 2)
        await store.add(job(owner=2), ME, CLUSTER, 2)
        assert [await store.count_open(owner) for owner in (1, 2, 3)] == [2, 2, 0]

    async def test_passes_through_its_states(self, store: Store) -> None:
        (stored,) = await added(store, job())
        assert await store.begin(stored.id, ME, CLUSTER)
        assert await store.set_checkpoint(stored.id, ME, "1" * 64) is None
        assert await store.set_checkpoint(stored.id, ME, "2" * 64) == "1" * 64
        assert await store.finish(stored.id, ME, PAINTED)
        found = await store.get(stored.id)
        assert found is not None
        assert (found.state, found.checkpoint, found.painted) == (State.DELIVERING, "2" * 64, PAINTED)
        assert await store.conclude(stored.id, ME, State.DELIVERED, "edit")
        found = await store.get(stored.id)
        assert found is not None
        assert (found.state, found.delivered_by, found.address, found.checkpoint) == (State.DELIVERED, "edit", "", None)
        assert found.final_state is None, "a checkpoint is no final state"
        assert found.painted == PAINTED

    @pytest.mark.parametrize(("end", "kept"), [(State.DELIVERED, "3" * 64), (State.FAILED, None)])
    async def test_keeps_the_final_state_of_its_painting_with_its_result(
        self, store: Store, end: State, kept: str | None
    ) -> None:
        (stored,) = await added(store, job())
        await store.begin(stored.id, ME, CLUSTER)
        await store.set_checkpoint(stored.id, ME, "2" * 64)
        await store.finish(stored.id, ME, PAINTED, "3" * 64)
        await store.conclude(stored.id, ME, end, "edit")
        found = await store.get(stored.id)
        assert found is not None
        assert (found.final_state, found.checkpoint) == (kept, None)
        assert await store.claimed(["2" * 64, "3" * 64]) == ({kept} if kept else set())

    async def test_keeps_the_reason_why_it_has_no_result(self, store: Store) -> None:
        (stored,) = await added(store, job())
        await store.begin(stored.id, ME, CLUSTER)
        assert await store.give_up(stored.id, OutOfMemory(768), ME) is State.RUNNING
        found = await store.get(stored.id)
        assert found is not None
        assert isinstance(found.cause, OutOfMemory)
        assert found.cause.size == 768

    async def test_gives_up_the_checkpoint_that_a_newer_one_replaces(self, store: Store) -> None:
        (stored,) = await added(store, job())
        assert await store.set_checkpoint(stored.id, ME, "1" * 64) == "1" * 64, "it is not painted"
        await store.begin(stored.id, ME, CLUSTER)
        await store.set_checkpoint(stored.id, ME, "1" * 64)
        assert await store.set_checkpoint(stored.id, ME, "1" * 64) is None, "it is the same one"
        assert await store.set_checkpoint(stored.id, OTHER, "3" * 64) == "3" * 64, "another process owns the job"


class TestAChange:
    """Each change from each state: it happens once, only from its source states, and only for the owner."""

    async def put(self, store: Store, state: State) -> Job:
        (stored,) = await added(store, job())
        if state is State.QUEUED:
            return stored
        await store.begin(stored.id, ME, CLUSTER)
        if state is State.RUNNING:
            return stored
        await store.finish(stored.id, ME, PAINTED)
        if state is not State.DELIVERING:
            await store.conclude(stored.id, ME, state, "token")
        return stored

    @pytest.mark.parametrize("since", list(State))
    async def test_happens_only_from_its_source_states(self, store: Store, since: State) -> None:
        async def changed(name: str) -> bool:
            each = (await self.put(store, since)).id
            changes: dict[str, Callable[[], Awaitable[object]]] = {
                "begin": lambda: store.begin(each, ME, CLUSTER),
                "requeue": lambda: store.requeue(each, ME),
                "finish": lambda: store.finish(each, ME, None),
                "give up": lambda: store.give_up(each, PaintingCancelled()),
                "conclude": lambda: store.conclude(each, ME, State.FAILED, "kept"),
            }
            return bool(await changes[name]())

        names = ["begin", "requeue", "finish", "give up", "conclude"]
        happened = {name for name in names if await changed(name)}
        assert happened == {
            State.QUEUED: {"begin", "give up"},
            State.RUNNING: {"requeue", "finish", "give up"},
            State.DELIVERING: {"conclude"},
        }.get(since, set())

    @pytest.mark.parametrize("since", sorted(OPEN))
    async def test_is_possible_only_for_the_owner_of_the_job(self, store: Store, since: State) -> None:
        await store.renew(OTHER)
        each = (await self.put(store, since)).id
        assert not await store.begin(each, OTHER, CLUSTER)
        assert not await store.requeue(each, OTHER)
        assert not await store.finish(each, OTHER, None)
        assert await store.give_up(each, PaintingCancelled(), OTHER) is None
        assert not await store.conclude(each, OTHER, State.FAILED, "kept")

    async def test_that_several_processes_try_at_once_happens_once(self, store: Store, url: str) -> None:
        (stored,) = await added(store, job())
        async with AsyncExitStack() as stack:
            stores = [await stack.enter_async_context(opened(url)) for _ in range(4)]
            outcomes = await asyncio.gather(
                *(each.give_up(stored.id, PaintingCancelled()) for each in stores for _ in range(4))
            )
        assert [outcome for outcome in outcomes if outcome] == [State.QUEUED]

    async def test_records_its_time(self, store: Store) -> None:
        (stored,) = await added(store, job(created_at=datetime.now(UTC) - timedelta(days=1)))
        await store.begin(stored.id, ME, CLUSTER)
        async with store._engine.connect() as connection:
            (row,) = await connection.execute(text("SELECT created_at < changed_at FROM jobs"))
        assert row[0]


async def test_eight_processes_begin_each_of_fifty_jobs_once(store: Store, url: str) -> None:
    jobs = await added(store, *(job(owner=number % 10) for number in range(50)))
    await store.leave(ME)
    claimed: list[tuple[str, str]] = []

    async def claimer(name: str, own: Store) -> None:
        await own.renew(name)
        while await own.count_open() > len(claimed):
            await own.adopt(name, CLUSTER)
            for each in jobs:
                if await own.begin(each.id, name, CLUSTER):
                    claimed.append((each.id, name))

    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(opened(url)) for _ in range(8)]
        await asyncio.gather(*(claimer(f"claimer {number}", each) for number, each in enumerate(stores)))
    assert sorted(job for job, _ in claimed) == sorted(each.id for each in jobs)


async def test_eight_processes_start_at_once(url: str) -> None:
    names = [f"process {number}" for number in range(8)]

    async def start(name: str, own: Store) -> bool:
        await own.renew(name)
        await own.set_synced("everywhere", name)
        await own.switch("paused", on=True)
        return await own.block(7)

    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(opened(url)) for _ in names]
        blocked = await asyncio.gather(*map(start, names, stores))
        assert sum(blocked) == 1
        assert await stores[0].processes() == 8
        assert await stores[0].synced("everywhere") in names
        assert (await stores[0].controls()).paused


class TestProcesses:
    async def test_that_are_alive_keep_their_jobs(self, store: Store) -> None:
        (stored,) = await added(store, job())
        await store.renew(OTHER)
        assert await store.adopt(OTHER, CLUSTER) == []
        assert await store.owned(ME) == {stored.id: State.QUEUED}

    async def test_that_leave_release_their_jobs_at_once(self, store: Store) -> None:
        queued, running, delivering = await added(store, job(), job(), job())
        for each in (running, delivering):
            await store.begin(each.id, ME, CLUSTER)
        await store.set_checkpoint(running.id, ME, "1" * 64)
        await store.finish(delivering.id, ME, PAINTED)
        await store.leave(ME)
        assert await store.owned(ME) == {}
        await store.renew(OTHER)
        assert sorted(await store.adopt(OTHER, CLUSTER)) == sorted(
            [(queued.id, State.QUEUED), (running.id, State.QUEUED), (delivering.id, State.DELIVERING)]
        )
        found = await store.get(running.id)
        assert found is not None
        assert (found.checkpoint, found.process) == ("1" * 64, OTHER)

    async def test_lose_their_jobs_when_the_lease_expires(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        (stored,) = await added(store, job())
        await store.begin(stored.id, ME, CLUSTER)
        await store.renew(ME)
        await store.renew(OTHER)
        assert await store.adopt(OTHER, CLUSTER) == []
        monkeypatch.setattr(leases, "LEASE", 0.2)

        async def adopted() -> bool:
            await store.renew(OTHER)
            return await store.adopt(OTHER, CLUSTER) == [(stored.id, State.QUEUED)]

        await eventually(adopted)
        assert not await store.finish(stored.id, ME, PAINTED), "the process without a lease may no longer change it"

    async def test_repaint_a_job_whose_result_was_not_stored(self, store: Store) -> None:
        (stored,) = await added(store, job())
        await store.begin(stored.id, ME, CLUSTER)
        await store.finish(stored.id, ME, None)
        await store.leave(ME)
        assert await store.adopt(OTHER, CLUSTER) == [(stored.id, State.QUEUED)]

    async def test_change_no_ended_job(self, store: Store) -> None:
        (stored,) = await added(store, job())
        await store.give_up(stored.id, PaintingCancelled())
        await store.conclude(stored.id, ME, State.CANCELLED, "token")
        await store.leave(ME)
        assert await store.adopt(OTHER, CLUSTER) == []
        assert await state(store, stored) == "cancelled"


class TestAnAcknowledgedOrder:
    def order(self, *, seconds: float = 900) -> Acknowledged:
        return Acknowledged(new_id(), 7, SECRET, "A town", "de", later(seconds))

    async def test_is_adopted_once_when_its_process_is_dead(self, store: Store, url: str) -> None:
        order = self.order()
        await store.renew(ME)
        await store.note(order, ME)
        await store.note(self.order(seconds=-1), ME)
        await store.renew(OTHER)
        assert await store.interrupted(OTHER) == await store.interrupted(ME) == []
        await store.leave(ME)
        async with AsyncExitStack() as stack:
            names = [f"successor {number}" for number in range(4)]
            stores = [await stack.enter_async_context(opened(url)) for _ in names]
            for name in names:
                await store.renew(name)
            taken = await asyncio.gather(*(each.interrupted(name) for each, name in zip(stores, names, strict=True)))
        assert sorted(taken, key=len) == [[], [], [], [order]], "the expired order is left out"
        name = names[taken.index([order])]
        assert await store.interrupted(name) == [order], "it stays until it is answered"
        await store.answered(order.id, "another")
        assert await store.is_noted(order.id, name)
        await store.answered(order.id, name)
        assert await store.interrupted(name) == []

    async def test_has_no_record_once_it_is_a_job(self, store: Store) -> None:
        stored = job(owner=7)
        await store.note(Acknowledged(stored.id, 7, SECRET, "A town", "de", later(900)), ME)
        with pytest.raises(TooManyJobs):
            await store.add(stored, ME, CLUSTER, 0)
        assert await store.is_noted(stored.id, ME)
        await added(store, stored)
        assert not await store.is_noted(stored.id, ME)

    async def test_is_stored_without_its_token_in_plain_text(self, store: Store) -> None:
        await store.note(self.order(), ME)
        async with store._engine.connect() as connection:
            assert SECRET not in str((await connection.execute(text("SELECT * FROM acknowledged"))).all())


class TestQueries:
    async def test_the_queue_has_positions_among_all_jobs_and_only_the_processs_own_jobs(self, store: Store) -> None:
        """In the order of acceptance, although this machine's clock was set back meanwhile."""
        (first,) = await added(store, job(owner=1))
        (second,) = await added(store, job(owner=2, created_at=later(-3600)), process=OTHER)
        (third,) = await added(store, job(owner=3, created_at=later(-7200)))
        await added(store, job(owner=4), cluster_id="other workers", process="elsewhere")
        mine = await store.queue(ME, CLUSTER)
        assert mine.waiting == [QueuedJob(first.id, 1), QueuedJob(third.id, 3)]
        assert (await store.queue(OTHER, CLUSTER)).waiting == [QueuedJob(second.id, 2)]
        await store.begin(first.id, ME, CLUSTER)
        assert (await store.queue(OTHER, CLUSTER)).running == 1

    async def test_overdue_finds_expired_jobs(self, store: Store) -> None:
        old, delivering, _ = await added(store, job(), job(), job(created_at=later(-1e6)))
        await store.begin(delivering.id, ME, CLUSTER)
        await store.finish(delivering.id, ME, PAINTED)
        async with store._changing() as connection:
            change = text("UPDATE jobs SET accepted = accepted - 100 WHERE id IN (:old, :delivering)")
            await connection.execute(change, {"old": old.id, "delivering": delivering.id})
        assert await store.overdue(ME, 50) == [old.id]
        assert await store.overdue(OTHER, 50) == []

    async def test_queue_stats_have_the_age_of_the_oldest_job(self, store: Store) -> None:
        assert await store.queue_stats() == (0, 0.0)
        await added(store, job(created_at=later(-100)), job())
        count, age = await store.queue_stats()
        assert count == 2
        assert 100 <= age < 200


def later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


class TestForgetting:
    async def test_removes_old_jobs_and_their_claims(self, store: Store) -> None:
        jobs = await added(store, *(job(content=f"{number}" * 64) for number in range(3)))
        for each in jobs[:2]:
            await store.give_up(each.id, UnexpectedError(each.id))
            await store.conclude(each.id, ME, State.FAILED, "token")
        assert await store.forget(later(-10), 100) == 0
        names = [each.inputs.content for each in jobs] + ["f" * 64]
        assert await store.claimed(names) == {each.inputs.content for each in jobs}
        assert await store.forget(later(10), 1) == 1
        assert await store.forget(later(10), 100) == 1
        assert await store.claimed(names) == {jobs[2].inputs.content}
        assert await store.history(1, 10) == [jobs[2].id]


class TestSync:
    async def test_is_stored_for_each_scope(self, store: Store) -> None:
        await store.set_synced("global", "a")
        await store.set_synced("42", "b")
        await store.set_synced("global", "c")
        assert [await store.synced(scope) for scope in ("global", "42", "43")] == ["c", "b", None]
