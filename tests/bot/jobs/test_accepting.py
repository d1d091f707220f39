"""Acceptance of orders: the limit for each member, and rejections."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from bot.jobs.errors import AlreadyAccepted, Closing, PictureRejected, TooManyJobs
from bot.jobs.model import Actor, Job
from bot.jobs.storage import StoragePolicy
from engine.errors import NotAPicture, StorageFull, WorkerLost
from engine.recipe import Inputs
from tests.bot.jobs.conftest import ANN, BOB, JobHarness, order
from tests.waiting import eventually


class TestTheLimit:
    async def test_rejects_a_job_above_the_limit(self, harness: JobHarness) -> None:
        harness.limit = 2
        harness.restart()
        for _ in range(2):
            await harness.accept(ANN)
        with pytest.raises(TooManyJobs) as refused:
            await harness.accept(ANN)
        assert refused.value.limit == 2
        await harness.accept(BOB)
        assert (await harness.store.count_open(ANN), await harness.store.count_open()) == (2, 3)

    async def test_counts_running_jobs_and_not_ended_ones(self, harness: JobHarness) -> None:
        harness.limit = 1
        harness.restart()
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            with pytest.raises(TooManyJobs):
                await harness.accept(ANN)
            painting.finish()
            await harness.until(job, "delivered")
            await harness.accept(ANN)

    async def test_holds_for_concurrent_orders(self, harness: JobHarness) -> None:
        harness.limit = 2
        harness.restart()
        outcomes = await asyncio.gather(*(harness.accept(ANN) for _ in range(6)), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Job"] * 2 + ["TooManyJobs"] * 4
        assert await harness.store.count_open(ANN) == 2

    async def test_checks_no_pictures_of_orders_above_the_limit(self, harness: JobHarness) -> None:
        harness.limit = 2
        harness.restart()
        harness.executor.may_check.clear()
        flood = [asyncio.create_task(harness.accept(ANN)) for _ in range(20)]
        await eventually(lambda: sum(task.done() for task in flood) == 18 and harness.executor.checks >= 2)
        assert harness.executor.checks == 2
        harness.executor.may_check.set()
        await asyncio.gather(*flood, return_exceptions=True)
        assert await harness.store.count_open(ANN) == 2

    async def test_counts_an_order_once_while_it_is_stored(self, harness: JobHarness) -> None:
        """Another order of its member arrives after the commit of the first, but before its acceptance returns."""
        harness.limit = 2
        harness.restart()
        add, committed, may_return = harness.store.add, asyncio.Event(), asyncio.Event()

        async def slowly(*arguments: Any, **options: Any) -> None:
            await add(*arguments, **options)
            committed.set()
            await may_return.wait()

        harness.store.add = slowly  # type: ignore[method-assign]
        first = asyncio.create_task(harness.accept(ANN))
        await committed.wait()
        second = asyncio.create_task(harness.accept(ANN))
        await eventually(lambda: second.done() or harness.executor.checks == 4)
        with pytest.raises(TooManyJobs):
            await harness.accept(ANN)
        may_return.set()
        assert {(await first).id, (await second).id} == {job.id for job in await harness.store.open_jobs(ANN)}

    @pytest.mark.parametrize("stored", [True, False])
    async def test_counts_an_order_correctly_whose_acceptance_ends_during_the_read_of_the_database(
        self, harness: JobHarness, stored: bool
    ) -> None:
        """If it was stored, the read of the database was too early to see it. If it was rejected, it never counts."""
        harness.limit = 1
        harness.restart()
        harness.executor.refused[b"bad"] = NotAPicture()
        open_jobs, seen, may_return = harness.store.open_jobs, asyncio.Event(), asyncio.Event()

        async def slowly(owner: int) -> list[Job]:
            found = await open_jobs(owner)
            seen.set()
            await may_return.wait()
            return found

        harness.executor.may_check.clear()
        first = asyncio.create_task(harness.accept(ANN, b"good" if stored else b"bad"))
        await eventually(lambda: harness.executor.checks == 1)
        harness.store.open_jobs = slowly  # type: ignore[method-assign]
        second = asyncio.create_task(harness.accept(ANN))
        await seen.wait()
        harness.executor.may_check.set()
        await asyncio.wait([first])
        looked_at = harness.executor.checks
        may_return.set()
        if stored:
            with pytest.raises(TooManyJobs):
                await second
            assert harness.executor.checks == looked_at
        else:
            await second
        assert await harness.store.count_open(ANN) == 1

    async def test_does_not_count_unreadable_jobs(self, harness: JobHarness) -> None:
        harness.limit = 1
        harness.restart()
        damaged = await harness.accept(ANN)
        async with harness.store._engine.begin() as connection:
            await connection.execute(text("UPDATE jobs SET recipe = '{'"))
        async with harness.jobs.admission(Actor(ANN), "another"):
            pass
        harness.executor.slots_now = 0
        async with harness.running():
            await harness.until(damaged, "failed")
            await harness.accept(ANN)

    async def test_does_not_count_rejected_orders(self, harness: JobHarness) -> None:
        harness.limit = 1
        harness.restart()
        harness.executor.refused[b"bad"] = NotAPicture()
        for _ in range(2):
            with pytest.raises(PictureRejected):
                await harness.accept(ANN, b"bad")
        await harness.accept(ANN)


class TestARejectedOrder:
    async def test_for_an_accepted_job_adds_no_second_job(self, harness: JobHarness) -> None:
        once = order(ANN)
        await harness.jobs.accept(once)
        with pytest.raises(AlreadyAccepted):
            await harness.jobs.accept(once)
        assert await harness.store.count_open() == 1

    @pytest.mark.parametrize(
        ("content", "styles", "role"), [(b"bad", b"good", "content"), (b"good", b"bad", "style 2")]
    )
    async def test_names_the_picture_and_the_reason(
        self, harness: JobHarness, content: bytes, styles: bytes, role: str
    ) -> None:
        reason = harness.executor.refused[b"bad"] = NotAPicture()
        with pytest.raises(PictureRejected) as refused:
            await harness.accept(ANN, content, b"good", styles)
        assert (refused.value.role, refused.value.reason) == (role, reason)
        assert await harness.store.count_open() == 0
        assert (harness.kept(), harness.replies.made) == (set(), [])

    async def test_checks_its_mask_and_keeps_it(self, harness: JobHarness) -> None:
        masked = replace(order(ANN), inputs=Inputs(b"photo", (b"style",), b"mask"))
        harness.executor.refused[b"mask"] = NotAPicture()
        with pytest.raises(PictureRejected) as refused:
            await harness.jobs.accept(masked)
        assert refused.value.role == "mask"
        del harness.executor.refused[b"mask"]
        job = await harness.jobs.accept(masked)
        assert job.inputs == (await harness.found(job)).inputs == job.ordered_again().inputs
        assert job.inputs.mask is not None
        assert harness.blobs.get(job.inputs.mask) == b"mask"

    async def test_whose_check_killed_the_worker_raises_worker_lost(self, harness: JobHarness) -> None:
        harness.executor.refused[b"bomb"] = WorkerLost(1)
        with pytest.raises(WorkerLost):
            await harness.accept(ANN, b"bomb")

    @pytest.mark.parametrize(
        "policy", [StoragePolicy(max_bytes=1000, min_free_bytes=0), StoragePolicy(min_free_bytes=2**62)]
    )
    async def test_for_full_storage_stores_nothing(self, harness: JobHarness, policy: StoragePolicy) -> None:
        harness.storage_policy = policy
        harness.restart()
        with pytest.raises(StorageFull):
            await harness.accept(ANN, bytes(2000))
        assert await harness.store.count_open() == 0

    async def test_during_a_shutdown_is_rejected_at_once(self, harness: JobHarness) -> None:
        async with harness.running():
            pass
        with pytest.raises(Closing):
            await harness.accept(ANN)
