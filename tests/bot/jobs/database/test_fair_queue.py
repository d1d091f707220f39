"""The fair queue: members take turns and no job waits forever, in any sequence of actions."""

import asyncio
import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.jobs.database.store import Store
from bot.jobs.errors import TooManyJobs
from bot.jobs.model import Job, State
from engine.errors import PaintingCancelled
from tests.bot.jobs.conftest import job, opened

ME = "me"
numbers = itertools.count(1)

Act = tuple[str, int]
acts = st.lists(
    st.tuples(st.sampled_from(["arrive", "arrive", "arrive", "begin", "end", "cancel"]), st.integers(0, 5)),
    max_size=40,
)


class Members:
    """Members with a queue of their own, in a database with other queues."""

    def __init__(self, store: Store) -> None:
        number = next(numbers)
        self.store = store
        self.cluster_id = f"cluster {number}"
        self.first_owner = number * 1000
        self.jobs: dict[str, Job] = {}
        self.running: list[str] = []
        self.arrivals = 0

    async def waiting(self) -> list[str]:
        return [each.id for each in (await self.store.queue(ME, self.cluster_id)).waiting]

    async def owners(self) -> list[int]:
        """The owners of the queued jobs, in order."""
        return [self.jobs[each].owner - self.first_owner for each in await self.waiting()]

    async def arrive(self, owner: int, server: int | None = 0) -> str:
        """A member orders in a server. None stands for direct messages."""
        self.arrivals += 1
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.arrivals)
        guild_id = None if server is None else self.first_owner + server
        arrived = job(self.first_owner + owner, created_at=moment, guild_id=guild_id)
        self.jobs[arrived.id] = arrived
        await self.store.add(arrived, ME, self.cluster_id, 1000)
        return arrived.id

    async def begin(self) -> str | None:
        waiting = await self.waiting()
        if not waiting:
            return None
        assert await self.store.begin(waiting[0], ME, self.cluster_id)
        self.running.append(waiting[0])
        return waiting[0]

    async def end(self) -> None:
        if self.running:
            ended = self.running.pop(0)
            assert await self.store.finish(ended, ME, None)
            assert await self.store.conclude(ended, ME, State.DELIVERED, "token")

    async def cancel(self, which: int) -> str | None:
        waiting = await self.waiting()
        if not waiting:
            return None
        gone = waiting[which % len(waiting)]
        assert await self.store.give_up(gone, PaintingCancelled()) is State.QUEUED
        assert await self.store.conclude(gone, ME, State.CANCELLED, "token")
        return gone


async def play(store: Store, acts: list[Act]) -> None:
    members = Members(store)
    begun: list[str] = []
    after: list[str] = []
    for act, number in acts:
        before = after
        match act:
            case "arrive":
                open_before = Counter(members.jobs[each].owner for each in (*before, *members.running))
                arrived = await members.arrive(number)
                after = await members.waiting()
                # No later member's job overtakes a queued job.
                assert [each for each in after if each != arrived] == before
                if not open_before[members.jobs[arrived].owner]:
                    ahead = Counter(members.jobs[each].owner for each in after[: after.index(arrived)])
                    assert all(count <= 1 for count in ahead.values()), "more than one job of a member goes first"
            case "begin":
                if (first := await members.begin()) is not None:
                    begun.append(first)
                after = await members.waiting()
                assert after == before[1:]
            case "end":
                await members.end()
                after = await members.waiting()
                assert after == before
            case "cancel":
                gone = await members.cancel(number)
                after = await members.waiting()
                others = [each for each in before if gone and members.jobs[each].owner != members.jobs[gone].owner]
                # The order of the other members and of the owner's jobs stays.
                assert [each for each in after if each in others] == others
                assert sorted(after) == sorted(each for each in before if each != gone)
    started = [members.jobs[each] for each in begun]
    for owner in {each.owner for each in started}:
        own = [each.created_at for each in started if each.owner == owner]
        assert own == sorted(own), "a member's jobs keep their order"


@given(acts=acts)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_members_take_turns(url: str, acts: list[Act]) -> None:
    async def run() -> None:
        async with opened(url) as store:
            await store.renew(ME)
            await play(store, acts)

    asyncio.run(run())


@given(owners=st.lists(st.integers(0, 3), max_size=20), limit=st.integers(1, 4))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_concurrent_orders_do_not_exceed_the_limit(url: str, owners: list[int], limit: int) -> None:
    async def run() -> None:
        async with opened(url) as store:
            first = next(numbers) * 1000
            adding = (store.add(job(first + owner), ME, "cluster", limit) for owner in owners)
            outcomes = await asyncio.gather(*adding, return_exceptions=True)
            refused = [outcome for outcome in outcomes if outcome is not None]
            assert all(isinstance(outcome, TooManyJobs) for outcome in refused)
            asked = Counter(owners)
            assert {owner: await store.count_open(first + owner) for owner in asked} == {
                owner: min(count, limit) for owner, count in asked.items()
            }
            assert len(refused) == sum(max(0, count - limit) for count in asked.values())

    asyncio.run(run())


async def test_the_queue_serves_each_member_once_before_any_member_twice(store: Store) -> None:
    await store.renew(ME)
    members = Members(store)
    await members.arrive(0)
    await members.begin()
    for owner in (1, 1, 1, 2, 0, 0, 3, 3):
        await members.arrive(owner)
    assert await members.owners() == [1, 2, 3, 1, 0, 3, 1, 0]


async def test_the_later_jobs_of_a_member_who_cancels_move_up(store: Store) -> None:
    await store.renew(ME)
    members = Members(store)
    for owner in (1, 1, 1, 2, 2):
        await members.arrive(owner)
    assert await members.owners() == [1, 2, 1, 2, 1]
    await members.cancel(0)
    assert await members.owners() == [1, 2, 1, 2]


async def test_a_member_who_cancels_and_orders_again_has_no_advantage(store: Store) -> None:
    await store.renew(ME)
    members = Members(store)
    for owner in (1, 2, 3):
        await members.arrive(owner)
    await members.cancel(0)
    await members.arrive(1)
    assert await members.owners() == [2, 3, 1]


async def test_a_requeued_job_is_served_before_later_ones(store: Store) -> None:
    await store.renew(ME)
    members = Members(store)
    first = await members.arrive(1)
    await members.begin()
    for owner in (2, 1, 3):
        await members.arrive(owner)
    assert await store.requeue(first, ME)
    assert (await members.waiting())[0] == first


@pytest.mark.parametrize(
    ("one", "then"),
    [("waits", [2, 3, 1]), ("was begun", [2, 3, 1]), ("has ended", [2, 1, 3]), ("was cancelled", [2, 1, 3])],
)
async def test_a_new_job_gets_the_turn_after_the_open_jobs_of_its_owner(
    store: Store, one: str, then: list[int]
) -> None:
    """The only job of member 1 is open or ended when they order another. Member 2 waits, and 3 comes later."""
    await store.renew(ME)
    members = Members(store)
    await members.arrive(1)
    if one == "was cancelled":
        await members.cancel(0)
    elif one != "waits":
        await members.begin()
    await members.arrive(2)
    if one == "has ended":
        await members.end()
    await members.arrive(1)
    await members.arrive(3)
    first = [1] if one == "waits" else []
    assert await members.owners() == first + then


places = st.lists(
    st.tuples(
        st.sampled_from(["arrive", "arrive", "arrive", "begin", "end", "cancel", "requeue", "begin and requeue"]),
        st.sampled_from([0, 1, 2, None]),
        st.integers(0, 2),
    ),
    max_size=40,
)


@given(acts=places)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_servers_take_turns(url: str, acts: list[tuple[str, int | None, int]]) -> None:
    async def run() -> None:
        async with opened(url) as store:
            await store.renew(ME)
            await play_in_servers(Members(store), acts)

    asyncio.run(run())


async def play_in_servers(members: Members, acts: list[tuple[str, int | None, int]]) -> None:
    def server(each: str) -> int:
        found = members.jobs[each]
        return -found.owner if found.guild_id is None else found.guild_id

    before: list[str] = []
    requeued = Counter[int]()
    for act, place, number in acts:
        open_before = [*before, *members.running]
        match act:
            case "arrive":
                arrived = await members.arrive(number, place)
                before = await members.waiting()
                ahead = [server(each) for each in before[: before.index(arrived)]]
                if server(arrived) not in {server(each) for each in open_before}:
                    # A job that is queued again has its old turn, besides the next one of its server.
                    assert Counter(ahead) <= Counter(set(ahead)) + requeued, "a server goes first more than once"
            case "begin":
                expected = before[1:]
                await members.begin()
                before = await members.waiting()
                assert before == expected
            case "end":
                await members.end()
            case "cancel":
                gone = await members.cancel(number)
                others = [each for each in before if gone and server(each) != server(gone)]
                before = await members.waiting()
                assert [each for each in before if each in others] == others, "other servers keep their order"
            case "requeue" if members.running:
                again = members.running.pop(0)
                assert await members.store.requeue(again, ME)
                requeued[server(again)] += 1
                after = await members.waiting()
                for there in {server(each) for each in before}:
                    here = [each for each in before if server(each) == there]
                    assert [each for each in after if each in here] == here, "the jobs of a server keep their order"
                before = after
            case "begin and requeue" if before:
                again = await members.begin() or ""
                members.running.remove(again)
                assert await members.store.requeue(again, ME)
                assert await members.waiting() == before, "everything is as before"


async def test_a_busy_server_does_not_starve_another(store: Store) -> None:
    """Members 1 to 9 order in one server, 10 in another, and 11 in direct messages. Member 9 orders last."""
    await store.renew(ME)
    members = Members(store)
    for owner in (1, 1, 2, 3, 4, 5):
        await members.arrive(owner, 0)
    await members.begin()
    await members.arrive(10, 1)
    await members.arrive(10, 1)
    await members.arrive(11, None)
    await members.arrive(9, 0)
    assert await members.owners() == [10, 11, 2, 10, 3, 4, 5, 9, 1]
    # A member who cancels does not change the turns of the server.
    await members.cancel(2)
    assert await members.owners() == [10, 11, 3, 10, 4, 5, 9, 1]
    # With one slot, the servers still take turns after each job has ended.
    served = []
    while await members.waiting():
        await members.end()
        served.append(members.jobs[await members.begin() or ""].owner - members.first_owner)
    assert served == [10, 11, 3, 10, 4, 5, 9, 1]


async def test_orders_in_a_server_at_the_same_time_get_one_turn_each(store: Store) -> None:
    await store.renew(ME)
    members = Members(store)
    await asyncio.gather(*(members.arrive(owner, 0) for owner in range(1, 7)))
    for _ in range(2):
        await members.arrive(10, 1)
    owners = await members.owners()
    assert [owners.index(10), owners[2:].index(10)] == [1, 1]


async def test_a_job_that_moves_to_the_end_does_not_move_other_jobs_of_its_server(store: Store) -> None:
    await store.renew(ME)
    members = Members(store)
    unreadable = await members.arrive(1, 0)
    for owner, server in ((2, 1), (3, 0), (2, 1), (2, 1)):
        await members.arrive(owner, server)
    await members.begin()
    assert await store.requeue(unreadable, ME, last=True)
    await members.arrive(4, 0)
    assert await members.owners() == [2, 3, 2, 2, 4, 1]
