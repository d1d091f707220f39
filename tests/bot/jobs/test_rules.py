"""The rules of servers and operators: who can order a job, how often, and whether it begins."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from bot.jobs.database.tables import UsageRow
from bot.jobs.errors import AlreadyAccepted, Blocked, DailyLimit, Draining, TooManyJobs, WrongChannel, WrongRole
from bot.jobs.model import Actor, Job
from engine.errors import OutOfMemory
from engine.recipe import Recipe
from tests.bot.jobs.conftest import ANN, BOB, JobHarness, order
from tests.waiting import eventually

HERE, ELSEWHERE = 7, 8


async def place(harness: JobHarness, owner: int = ANN, guild_id: int | None = HERE) -> Job:
    """Order in a server. None stands for direct messages."""
    placed = replace(order(owner), guild_id=guild_id)
    async with harness.jobs.admission(Actor(owner, guild_id), placed.id):
        return await harness.jobs.accept(placed)


def allow(harness: JobHarness, per_day: int) -> None:
    """Set the operator's limit of a day."""
    harness.jobs._admission._max_per_day = per_day
    harness.jobs._policy = replace(harness.jobs._policy, max_per_day=per_day)


class TestTheDailyQuota:
    async def test_holds_after_a_restart_and_ends_after_24_hours(self, harness: JobHarness) -> None:
        allow(harness, 2)
        first = await place(harness)
        await place(harness, guild_id=ELSEWHERE)
        harness.restart()
        allow(harness, 2)
        with pytest.raises(DailyLimit) as refused:
            await place(harness, guild_id=None)
        assert (refused.value.limit, refused.value.here) == (2, False)
        assert 0 <= refused.value.free_at - (first.created_at + timedelta(hours=24)).timestamp() < 1
        await place(harness, BOB)
        await harness.store.change_guild_rules(HERE, max_per_day=1)
        async with harness.store._changing() as connection:
            day_ago = datetime.now(UTC) - timedelta(hours=24)
            await connection.execute(update(UsageRow).where(UsageRow.job == first.id).values(at=day_ago))
        await place(harness)

    async def test_holds_for_orders_that_arrive_at_several_processes(self, harness: JobHarness) -> None:
        """Each process admits them all. The database decides."""
        allow(harness, 3)
        jobs = harness.jobs
        orders = [order(ANN) for _ in range(6)]
        outcomes = await asyncio.gather(*(jobs.accept(each) for each in [*orders, *orders]), return_exceptions=True)
        assert sum(isinstance(each, Job) for each in outcomes) == 3
        assert {type(each) for each in outcomes} <= {Job, DailyLimit, AlreadyAccepted}

    async def test_can_be_lower_in_a_server(self, harness: JobHarness) -> None:
        allow(harness, 3)
        await harness.store.change_guild_rules(HERE, max_per_day=1)
        await place(harness)
        with pytest.raises(DailyLimit) as refused:
            await place(harness)
        assert (refused.value.limit, refused.value.here) == (1, True)
        await place(harness, guild_id=ELSEWHERE)
        await place(harness, guild_id=None)

    async def test_is_not_used_by_jobs_that_fail_or_are_cancelled_unpainted(self, harness: JobHarness) -> None:
        allow(harness, 1)
        async with harness.running():
            failing, painting = await harness.accept_and_paint(ANN)
            painting.fail(OutOfMemory(384))
            await harness.until(failing, "failed")
            kept, painting = await harness.accept_and_paint(ANN)
            queued = await place(harness, BOB)
            await harness.jobs.cancel(queued.id, Actor(BOB))
            await harness.jobs.cancel(kept.id, Actor(ANN))
            await harness.until(kept, "cancelled")
            with pytest.raises(DailyLimit):
                await place(harness)
            await place(harness, BOB)


async def test_concurrent_changes_of_different_rules_are_all_kept(harness: JobHarness) -> None:
    rules = harness.store.change_guild_rules
    await asyncio.gather(rules(HERE, max_open=1), rules(HERE, max_per_day=2), rules(HERE, max_size=256))
    found = await harness.store.guild_rules(HERE)
    assert (found.max_open, found.max_per_day, found.max_size) == (1, 2, 256)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
class TestTheRulesOfAServer:
    async def test_limit_the_open_jobs_of_a_member_in_it(self, harness: JobHarness) -> None:
        await harness.store.change_guild_rules(HERE, max_open=1)
        await place(harness, guild_id=ELSEWHERE)
        await place(harness)
        with pytest.raises(TooManyJobs) as refused:
            await place(harness)
        assert (refused.value.limit, refused.value.here) == (1, True)
        with pytest.raises(TooManyJobs) as refused:  # the database, without the admission
            await harness.jobs.accept(order(ANN))
        assert (refused.value.limit, refused.value.here) == (1, True)
        await place(harness, guild_id=None)

    async def test_allow_channels_with_their_threads_and_roles(self, harness: JobHarness) -> None:
        rules = harness.store.change_guild_rules
        await rules(HERE, channels=(11, 12))
        at = frozenset({11, 99})  # a thread
        async with harness.jobs.admission(Actor(ANN, HERE, channels=at), "order"):
            pass
        with pytest.raises(WrongChannel) as wrong:
            await harness.jobs.admission(Actor(ANN, HERE, channels=frozenset({99})), "order").__aenter__()
        assert wrong.value.channels == "11 12"
        await rules(HERE, roles=(21,))
        with pytest.raises(WrongRole):
            await harness.jobs.admission(Actor(ANN, HERE, channels=at), "order").__aenter__()
        async with harness.jobs.admission(Actor(ANN, HERE, channels=at, roles=frozenset({21, 22})), "order"):
            pass
        assert (await rules(HERE, channels=())).roles == (21,)
        assert await harness.store.guild_rules(ELSEWHERE) == await harness.store.guild_rules(None)

    async def test_limit_the_size_and_make_spoilers(self, harness: JobHarness) -> None:
        await harness.store.change_guild_rules(HERE, max_size=256, spoiler=True)
        orders = [replace(order(ANN, recipe=Recipe(size=size)), guild_id=HERE) for size in (1024, 128)]
        jobs = [await harness.jobs.accept(each) for each in orders]
        assert [(job.recipe.size, job.spoiler) for job in jobs] == [(256, True), (128, True)]
        other = await harness.jobs.accept(replace(order(ANN, recipe=Recipe(size=1024)), guild_id=None))
        assert (other.recipe.size, other.spoiler) == (1024, False)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
class TestTheOperatorsControls:
    async def test_pause_stops_new_jobs_in_all_processes_and_is_shown_to_members(self, harness: JobHarness) -> None:
        async with harness.running():
            first, painting = await harness.accept_and_paint(ANN)
            await harness.store.switch("paused", on=True)  # by another process
            await eventually(lambda: harness.jobs._controls.paused)
            painting.finish()
            await harness.until(first, "delivered")
            waiting = await place(harness, BOB)
            await eventually(lambda: ("paused", 1) in harness.replies.of(waiting).calls)
            assert len(harness.executor.paintings) == 1
        harness.restart()
        async with harness.running():
            await eventually(lambda: ("paused", 1) in harness.replies.of(waiting).calls)
            await harness.store.switch("paused", on=False)
            (await harness.executor.painting(2)).finish()
            await harness.until(waiting, "delivered")

    async def test_drain_rejects_all_orders_and_block_those_of_one_member(self, harness: JobHarness) -> None:
        store = harness.store
        await store.switch("draining", on=True)
        await store.switch("draining", on=True)
        with pytest.raises(Draining):
            await place(harness)
        await store.switch("draining", on=False)
        assert [await store.block(ANN), await store.block(ANN)] == [True, False]
        with pytest.raises(Blocked):
            await place(harness)
        await harness.jobs.read_controls()
        assert [harness.jobs.is_blocked(each) for each in (ANN, BOB)] == [True, False]
        assert [await store.unblock(ANN), await store.unblock(ANN)] == [True, False]
        await place(harness)

    async def test_failures_are_listed_with_their_causes(self, harness: JobHarness) -> None:
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            painting.fail(OutOfMemory(384))
            await harness.until(job, "failed")
            done, painting = await harness.accept_and_paint(ANN)
            painting.finish()
            await harness.until(done, "delivered")
        (failure,) = await harness.store.failures(10)
        assert (failure.job, failure.guild_id, type(failure.cause)) == (job.id, HERE, OutOfMemory)
