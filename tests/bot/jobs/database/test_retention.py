"""The choice of jobs to remove, checked against a model that computes bytes from sets; claims and holds."""

from collections import Counter
from collections.abc import Collection, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.jobs.database.claims import Owner, claim, claimed_by, unclaim
from bot.jobs.database.retention import Freed, enough
from bot.jobs.database.store import Store
from bot.jobs.model import DeliveredBy, Job, Painted, State
from tests.bot.jobs.conftest import job

SIZES = {"a": 0, "b": 1, "c": 2, "d": 3, "e": 5, "f": 8, "g": 13, "h": 50}
blobs = st.frozensets(st.sampled_from(sorted(SIZES)), max_size=3)


def freed(forgotten: Collection[str], ended: Mapping[str, frozenset[str]], needed: frozenset[str]) -> int:
    """The bytes of the blobs that only the forgotten jobs claim."""
    stays = needed.union(*(names for job, names in ended.items() if job not in forgotten))
    goes = frozenset[str]().union(*(ended[job] for job in forgotten)) - stays
    return sum(SIZES[name] for name in goes)


@given(jobs=st.lists(blobs, max_size=8), needed=st.lists(blobs, max_size=3), need=st.integers(1, 90))
def test_the_oldest_jobs_are_removed_and_no_more_than_needed(
    jobs: list[frozenset[str]], needed: list[frozenset[str]], need: int
) -> None:
    ended = {str(number): names for number, names in enumerate(jobs)}
    open_jobs = frozenset[str]().union(*needed)
    claims = Counter(name for names in [*needed, *jobs] for name in names)
    chosen = enough(ended, claims, SIZES, need)
    if freed(ended, ended, open_jobs) < need:
        assert chosen == [], "no job is removed if that cannot make enough room"
        return
    assert freed(chosen, ended, open_jobs) >= need
    shortest = next(
        oldest for count in range(len(ended) + 1) if freed(oldest := list(ended)[:count], ended, open_jobs) >= need
    )
    assert set(chosen) <= set(shortest), "an older job would be enough"
    for each in chosen:
        assert freed([other for other in chosen if other != each], ended, open_jobs) < need, "it is not needed"


def test_one_large_job_is_removed_before_many_small_ones() -> None:
    """86 jobs of 2 MB in all, and one of 92 MB that ended after them: 4 MB too much."""
    ended = {str(number): {str(number)} for number in range(87)}
    sizes = {str(number): 2_000_000 // 86 for number in range(86)} | {"86": 92_000_000}
    claims = dict.fromkeys(sizes, 1)
    assert enough(ended, claims, sizes, 4_000_000) == ["86"]
    assert enough(ended, claims | {"86": 2}, sizes, 4_000_000) == [], "nothing can make room"
    assert enough(ended, claims, sizes, 40_000) == ["0", "1"]


async def stored(
    store: Store, number: int, state: State, *, delivered_by: DeliveredBy = "token", final_state: str | None = None
) -> Job:
    """A job in this state with its own content and a shared style."""
    made = job(number, content=f"{number:064}", styles=("5" * 64,))
    await store.add(made, "me", "cluster", 100)
    if state is State.QUEUED:
        return made
    await store.begin(made.id, "me", "cluster")
    await store.finish(made.id, "me", Painted(f"{number:063}f", "png", 512, 384, 90, 41.5, "finished"), final_state)
    await store.conclude(made.id, "me", state, delivered_by)
    return made


async def test_making_room_frees_blobs_without_other_claims(store: Store) -> None:
    """Each job has 100 bytes of its own; the 1,000 bytes of the style are in use."""
    waits = await stored(store, 0, State.DELIVERED, delivered_by="kept")
    ended = [await stored(store, number, State.DELIVERED) for number in range(1, 6)]
    painted = await stored(store, 6, State.QUEUED)
    sizes = {"5" * 64: 1000}
    sizes |= {f"{number:064}": 60 for number in range(7)} | {f"{number:063}f": 40 for number in range(6)}
    used = sum(sizes.values()) + 500

    async def left() -> list[str]:
        return [each.id for each in [waits, *ended, painted] if await store.get(each.id)]

    assert await store.make_room(sizes, 500, (used, used)) == Freed()
    assert await store.make_room(sizes, 500, (900.0, 1000.0)) == Freed(), "no goal can be reached"
    assert await store.make_room(sizes, 500, (900.0, used - 150)) == Freed(
        2, 0, frozenset({f"{number:064}" for number in (1, 2)} | {f"{number:063}f" for number in (1, 2)})
    )
    assert await left() == [each.id for each in [waits, *ended[2:], painted]]
    assert await store.make_room(sizes, 500, (used - 150,)) == Freed(), "what others have freed is counted"
    freed_now = await store.make_room(sizes, 500, (used - 600,))
    assert (freed_now.jobs, len(freed_now.blobs)) == (4, 8)
    assert await left() == [painted.id], "the job that waits for its member is removed last"


async def test_making_room_frees_final_states_before_any_job(store: Store) -> None:
    ended = [await stored(store, number, State.DELIVERED, final_state=f"{number:063}e") for number in range(3)]
    sizes = {f"{number:063}e": 100 for number in range(3)} | {f"{number:064}": 10 for number in range(3)}

    async def states() -> list[str | None]:
        return [found.final_state for each in ended if (found := await store.get(each.id))]

    assert await store.make_room(sizes, 0, (250,)) == Freed(0, 1, frozenset({f"{0:063}e"}))
    assert await states() == [None, f"{1:063}e", f"{2:063}e"]
    # Without all states, the jobs have 30 bytes left: 10 too many.
    assert await store.make_room(sizes, 0, (20,)) == Freed(
        1, 2, frozenset({f"{1:063}e", f"{2:063}e", f"{0:064}", f"{0:063}f"})
    )
    assert await states() == [None, None]


@pytest.mark.parametrize("owner", [Owner("style", "7"), Owner("member", str(2**64 - 1))])
async def test_making_room_keeps_the_blobs_of_styles_and_members(store: Store, owner: Owner) -> None:
    ended = await stored(store, 1, State.DELIVERED)
    async with store._changing() as connection:
        await claim(connection, owner, {"picture": ended.inputs.content})
        await claim(connection, Owner("job", "gone"), {"content": "d" * 64})
    sizes = {ended.inputs.content: 100, f"{1:063}f": 40, "d" * 64: 7}
    assert await store.claimed(sizes) == sizes.keys()
    assert await store.make_room(sizes, 0, (120,)) == Freed(1, 0, frozenset({f"{1:063}f", "5" * 64}))
    assert (await store.begin_removal([ended.inputs.content], 60, young=True))[1] == set()
    async with store._changing() as connection:
        assert await claimed_by(connection, owner.kind, [owner.id]) == {owner.id: {"picture": ended.inputs.content}}
        await unclaim(connection, owner)
    assert await store.claimed(sizes) == {"d" * 64}


async def test_making_room_frees_no_blob_with_a_hold(store: Store) -> None:
    ended = await stored(store, 1, State.DELIVERED)
    holds = await store.hold([ended.inputs.content], 60)
    for _ in range(2):
        assert await store.make_room({ended.inputs.content: 100}, 0, (50,)) == Freed()
        await store.written(holds)
    await store.add(job(2, content=ended.inputs.content), "me", "cluster", 100)
    assert await store.make_room({ended.inputs.content: 100}, 0, (50,)) == Freed()


async def test_a_claim_ends_one_hold(store: Store) -> None:
    """Two orders put the same picture. The first is stored, ends and is removed before the second is stored."""
    made = job(content="c" * 64)
    for _ in range(2):
        await store.written(await store.hold(["c" * 64], 60))
    await store.add(made, "me", "cluster", 100)
    for claimed in (True, False):
        holds, free = await store.begin_removal(["c" * 64], 60, young=True)
        assert free == set()
        assert await store.removed(["c" * 64]) == {"c" * 64}
        await store.release_holds(holds)
        assert await store.removed(["c" * 64]) == set()
        if claimed:
            await stored_end(store, made)
    await store.add(job(content="c" * 64), "me", "cluster", 100)


async def test_a_hold_of_a_dead_process_expires(store: Store) -> None:
    await store.hold(["c" * 64], -1)
    await store.begin_removal(["d" * 64], -1, young=True)
    assert await store.removed(["d" * 64]) == set()
    assert (await store.begin_removal(["c" * 64], 60, young=True))[1] == {"c" * 64}


async def stored_end(store: Store, made: Job) -> None:
    """End a job and remove it."""
    await store.begin(made.id, "me", "cluster")
    await store.finish(made.id, "me", None)
    await store.conclude(made.id, "me", State.FAILED, "token")
    assert await store.make_room({made.inputs.styles[0]: 100, made.inputs.content: 0}, 0, (50,)) == Freed(
        1, 0, frozenset({made.inputs.styles[0]})
    )
