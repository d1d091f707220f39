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
from tests.bot.jobs.conftest import ANN, BOB, Workshop, order
from tests.waiting import eventually

HERE, ELSEWHERE = 7, 8


async def place(workshop: Workshop, owner: int = ANN, guild_id: int | None = HERE) -> Job:
    """Order in a server. None stands for direct messages."""
    placed = replace(order(owner), guild_id=guild_id)
    async with workshop.jobs.admission(Actor(owner, guild_id), placed.id):
        return await workshop.jobs.accept(placed)


def allow(workshop: Workshop, per_day: int) -> None:
    """Set the operator's limit of a day."""
    workshop.jobs._admission._max_per_day = per_day
    workshop.jobs._policy = replace(workshop.jobs._policy, max_per_day=per_day)


class TestTheDailyQuota:
    async def test_holds_after_a_restart_and_ends_after_24_hours(self, workshop: Workshop) -> None:
        allow(workshop, 2)
        first = await place(workshop)
        await place(workshop, guild_id=ELSEWHERE)
        workshop.restart()
        allow(workshop, 2)
        with pytest.raises(DailyLimit) as refused:
            await place(workshop, guild_id=None)
        assert refused.value.limit == 2
        assert 0 <= refused.value.free_at - (first.created_at + timedelta(hours=24)).timestamp() < 1
        await place(workshop, BOB)
        await workshop.store.change_guild_rules(HERE, max_per_day=1)
        async with workshop.store._changing() as connection:
            day_ago = datetime.now(UTC) - timedelta(hours=24)
            await connection.execute(update(UsageRow).where(UsageRow.job == first.id).values(at=day_ago))
        await place(workshop)

    async def test_holds_for_orders_that_arrive_at_several_processes(self, workshop: Workshop) -> None:
        """Each process admits them all. The database decides."""
        allow(workshop, 3)
        jobs = workshop.jobs
        orders = [order(ANN) for _ in range(6)]
        outcomes = await asyncio.gather(*(jobs.accept(each) for each in [*orders, *orders]), return_exceptions=True)
        assert sum(isinstance(each, Job) for each in outcomes) == 3
        assert {type(each) for each in outcomes} <= {Job, DailyLimit, AlreadyAccepted}

    async def test_can_be_lower_in_a_server(self, workshop: Workshop) -> None:
        allow(workshop, 3)
        await workshop.store.change_guild_rules(HERE, max_per_day=1)
        await place(workshop)
        with pytest.raises(DailyLimit) as refused:
            await place(workshop)
        assert refused.value.limit == 1
        await place(workshop, guild_id=ELSEWHERE)
        await place(workshop, guild_id=None)

    async def test_is_not_used_by_jobs_that_fail_or_are_cancelled_unpainted(self, workshop: Workshop) -> None:
        allow(workshop, 1)
        async with workshop.running():
            failing, painting = await workshop.accept_and_paint(ANN)
            painting.fail(OutOfMemory(384))
            await workshop.until(failing, "failed")
            kept, painting = await workshop.accept_and_paint(ANN)
            queued = await place(workshop, BOB)
            await workshop.jobs.cancel(queued.id, Actor(BOB))
            await workshop.jobs.cancel(kept.id, Actor(ANN))
            await workshop.until(kept, "cancelled")
            with pytest.raises(DailyLimit):
                await place(workshop)
            await place(workshop, BOB)


async def test_concurrent_changes_of_different_rules_are_all_kept(workshop: Workshop) -> None:
    rules = workshop.store.change_guild_rules
    await asyncio.gather(rules(HERE, max_open=1), rules(HERE, max_per_day=2), rules(HERE, max_size=256))
    found = await workshop.store.guild_rules(HERE)
    assert (found.max_open, found.max_per_day, found.max_size) == (1, 2, 256)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
class TestTheRulesOfAServer:
    async def test_limit_the_open_jobs_of_a_member_in_it(self, workshop: Workshop) -> None:
        await workshop.store.change_guild_rules(HERE, max_open=1)
        await place(workshop, guild_id=ELSEWHERE)
        await place(workshop)
        with pytest.raises(TooManyJobs) as refused:
            await place(workshop)
        assert refused.value.limit == 1
        with pytest.raises(TooManyJobs):  # the database, without the admission
            await workshop.jobs.accept(order(ANN))
        await place(workshop, guild_id=None)

    async def test_allow_channels_with_their_threads_and_roles(self, workshop: Workshop) -> None:
        rules = workshop.store.change_guild_rules
        await rules(HERE, channels=(11, 12))
        at = frozenset({11, 99})  # a thread
        async with workshop.jobs.admission(Actor(ANN, HERE, channels=at), "order"):
            pass
        with pytest.raises(WrongChannel) as wrong:
            await workshop.jobs.admission(Actor(ANN, HERE, channels=frozenset({99})), "order").__aenter__()
        assert wrong.value.channels == "11 12"
        await rules(HERE, roles=(21,))
        with pytest.raises(WrongRole):
            await workshop.jobs.admission(Actor(ANN, HERE, channels=at), "order").__aenter__()
        async with workshop.jobs.admission(Actor(ANN, HERE, channels=at, roles=frozenset({21, 22})), "order"):
            pass
        assert (await rules(HERE, channels=())).roles == (21,)
        assert await workshop.store.guild_rules(ELSEWHERE) == await workshop.store.guild_rules(None)

    async def test_limit_the_size_and_make_spoilers(self, workshop: Workshop) -> None:
        await workshop.store.change_guild_rules(HERE, max_size=256, spoiler=True)
        orders = [replace(order(ANN, recipe=Recipe(size=size)), guild_id=HERE) for size in (1024, 128)]
        jobs = [await workshop.jobs.accept(each) for each in orders]
        assert [(job.recipe.size, job.spoiler) for job in jobs] == [(256, True), (128, True)]
        other = await workshop.jobs.accept(replace(order(ANN, recipe=Recipe(size=1024)), guild_id=None))
        assert (other.recipe.size, other.spoiler) == (1024, False)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
class TestTheOperatorsControls:
    async def test_pause_stops_new_jobs_in_all_processes_and_is_shown_to_members(self, workshop: Workshop) -> None:
        async with workshop.running():
            first, painting = await workshop.accept_and_paint(ANN)
            await workshop.store.switch("paused", on=True)  # by another process
            await eventually(lambda: workshop.jobs._controls.paused)
            painting.finish()
            await workshop.until(first, "delivered")
            waiting = await place(workshop, BOB)
            await eventually(lambda: ("paused", 1) in workshop.replies.of(waiting).calls)
            assert len(workshop.executor.paintings) == 1
        workshop.restart()
        async with workshop.running():
            await eventually(lambda: ("paused", 1) in workshop.replies.of(waiting).calls)
            await workshop.store.switch("paused", on=False)
            (await workshop.executor.painting(2)).finish()
            await workshop.until(waiting, "delivered")

    async def test_drain_rejects_all_orders_and_block_those_of_one_member(self, workshop: Workshop) -> None:
        store = workshop.store
        await store.switch("draining", on=True)
        await store.switch("draining", on=True)
        with pytest.raises(Draining):
            await place(workshop)
        await store.switch("draining", on=False)
        assert [await store.block(ANN), await store.block(ANN)] == [True, False]
        with pytest.raises(Blocked):
            await place(workshop)
        await workshop.jobs.read_controls()
        assert [workshop.jobs.is_blocked(each) for each in (ANN, BOB)] == [True, False]
        assert [await store.unblock(ANN), await store.unblock(ANN)] == [True, False]
        await place(workshop)

    async def test_failures_are_listed_with_their_causes(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            painting.fail(OutOfMemory(384))
            await workshop.until(job, "failed")
            done, painting = await workshop.accept_and_paint(ANN)
            painting.finish()
            await workshop.until(done, "delivered")
        (failure,) = await workshop.store.failures(10)
        assert (failure.job, failure.guild_id, type(failure.cause)) == (job.id, HERE, OutOfMemory)
