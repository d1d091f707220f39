"""Acceptance of orders: the limit for each member, and rejections."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from bot.jobs.errors import AlreadyAccepted, Closing, PictureRejected, TooManyJobs
from bot.jobs.model import Actor, Job
from bot.jobs.storage import StoragePolicy
from engine.errors import NotAPicture, StorageFull, WorkerLost
from tests.bot.jobs.conftest import ANN, BOB, Workshop, order
from tests.waiting import eventually


class TestTheLimit:
    async def test_rejects_a_job_above_the_limit(self, workshop: Workshop) -> None:
        workshop.limit = 2
        workshop.restart()
        for _ in range(2):
            await workshop.accept(ANN)
        with pytest.raises(TooManyJobs) as refused:
            await workshop.accept(ANN)
        assert refused.value.limit == 2
        await workshop.accept(BOB)
        assert (await workshop.store.count_open(ANN), await workshop.store.count_open()) == (2, 3)

    async def test_counts_running_jobs_and_not_ended_ones(self, workshop: Workshop) -> None:
        workshop.limit = 1
        workshop.restart()
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            with pytest.raises(TooManyJobs):
                await workshop.accept(ANN)
            painting.finish()
            await workshop.until(job, "delivered")
            await workshop.accept(ANN)

    async def test_holds_for_concurrent_orders(self, workshop: Workshop) -> None:
        workshop.limit = 2
        workshop.restart()
        outcomes = await asyncio.gather(*(workshop.accept(ANN) for _ in range(6)), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Job"] * 2 + ["TooManyJobs"] * 4
        assert await workshop.store.count_open(ANN) == 2

    async def test_checks_no_pictures_of_orders_above_the_limit(self, workshop: Workshop) -> None:
        workshop.limit = 2
        workshop.restart()
        workshop.executor.may_check.clear()
        flood = [asyncio.create_task(workshop.accept(ANN)) for _ in range(20)]
        await eventually(lambda: sum(task.done() for task in flood) == 18 and workshop.executor.checks >= 2)
        assert workshop.executor.checks == 2
        workshop.executor.may_check.set()
        await asyncio.gather(*flood, return_exceptions=True)
        assert await workshop.store.count_open(ANN) == 2

    async def test_counts_an_order_once_while_it_is_stored(self, workshop: Workshop) -> None:
        """Another order of its member arrives after the commit of the first, but before its acceptance returns."""
        workshop.limit = 2
        workshop.restart()
        add, committed, may_return = workshop.store.add, asyncio.Event(), asyncio.Event()

        async def slowly(*arguments: Any, **options: Any) -> None:
            await add(*arguments, **options)
            committed.set()
            await may_return.wait()

        workshop.store.add = slowly  # type: ignore[method-assign]
        first = asyncio.create_task(workshop.accept(ANN))
        await committed.wait()
        second = asyncio.create_task(workshop.accept(ANN))
        await eventually(lambda: second.done() or workshop.executor.checks == 4)
        with pytest.raises(TooManyJobs):
            await workshop.accept(ANN)
        may_return.set()
        assert {(await first).id, (await second).id} == {job.id for job in await workshop.store.open_jobs(ANN)}

    @pytest.mark.parametrize("stored", [True, False])
    async def test_counts_an_order_correctly_whose_acceptance_ends_during_the_read_of_the_database(
        self, workshop: Workshop, stored: bool
    ) -> None:
        """If it was stored, the read of the database was too early to see it. If it was rejected, it never counts."""
        workshop.limit = 1
        workshop.restart()
        workshop.executor.refused[b"bad"] = NotAPicture()
        open_jobs, seen, may_return = workshop.store.open_jobs, asyncio.Event(), asyncio.Event()

        async def slowly(owner: int) -> list[Job]:
            found = await open_jobs(owner)
            seen.set()
            await may_return.wait()
            return found

        workshop.executor.may_check.clear()
        first = asyncio.create_task(workshop.accept(ANN, b"good" if stored else b"bad"))
        await eventually(lambda: workshop.executor.checks == 1)
        workshop.store.open_jobs = slowly  # type: ignore[method-assign]
        second = asyncio.create_task(workshop.accept(ANN))
        await seen.wait()
        workshop.executor.may_check.set()
        await asyncio.wait([first])
        looked_at = workshop.executor.checks
        may_return.set()
        if stored:
            with pytest.raises(TooManyJobs):
                await second
            assert workshop.executor.checks == looked_at
        else:
            await second
        assert await workshop.store.count_open(ANN) == 1

    async def test_does_not_count_unreadable_jobs(self, workshop: Workshop) -> None:
        workshop.limit = 1
        workshop.restart()
        damaged = await workshop.accept(ANN)
        async with workshop.store._engine.begin() as connection:
            await connection.execute(text("UPDATE jobs SET recipe = '{'"))
        async with workshop.jobs.admission(Actor(ANN), "another"):
            pass
        workshop.executor.slots_now = 0
        async with workshop.running():
            await workshop.until(damaged, "failed")
            await workshop.accept(ANN)

    async def test_does_not_count_rejected_orders(self, workshop: Workshop) -> None:
        workshop.limit = 1
        workshop.restart()
        workshop.executor.refused[b"bad"] = NotAPicture()
        for _ in range(2):
            with pytest.raises(PictureRejected):
                await workshop.accept(ANN, b"bad")
        await workshop.accept(ANN)


class TestARejectedOrder:
    async def test_for_an_accepted_job_adds_no_second_job(self, workshop: Workshop) -> None:
        once = order(ANN)
        await workshop.jobs.accept(once)
        with pytest.raises(AlreadyAccepted):
            await workshop.jobs.accept(once)
        assert await workshop.store.count_open() == 1

    @pytest.mark.parametrize(
        ("content", "styles", "role"), [(b"bad", b"good", "content"), (b"good", b"bad", "style 2")]
    )
    async def test_names_the_picture_and_the_reason(
        self, workshop: Workshop, content: bytes, styles: bytes, role: str
    ) -> None:
        reason = workshop.executor.refused[b"bad"] = NotAPicture()
        with pytest.raises(PictureRejected) as refused:
            await workshop.accept(ANN, content, b"good", styles)
        assert (refused.value.role, refused.value.reason) == (role, reason)
        assert await workshop.store.count_open() == 0
        assert (workshop.kept(), workshop.replies.made) == (set(), [])

    async def test_whose_check_killed_the_worker_raises_worker_lost(self, workshop: Workshop) -> None:
        workshop.executor.refused[b"bomb"] = WorkerLost(1)
        with pytest.raises(WorkerLost):
            await workshop.accept(ANN, b"bomb")

    @pytest.mark.parametrize(
        "policy", [StoragePolicy(max_bytes=1000, min_free_bytes=0), StoragePolicy(min_free_bytes=2**62)]
    )
    async def test_for_full_storage_stores_nothing(self, workshop: Workshop, policy: StoragePolicy) -> None:
        workshop.storage_policy = policy
        workshop.restart()
        with pytest.raises(StorageFull):
            await workshop.accept(ANN, bytes(2000))
        assert await workshop.store.count_open() == 0

    async def test_during_a_shutdown_is_rejected_at_once(self, workshop: Workshop) -> None:
        async with workshop.running():
            pass
        with pytest.raises(Closing):
            await workshop.accept(ANN)
