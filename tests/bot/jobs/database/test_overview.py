"""What operators see of all jobs at a glance."""

from datetime import UTC, datetime, timedelta

from bot.jobs.database.store import Store
from bot.jobs.errors import JobExpired
from bot.jobs.model import State
from bot.jobs.rules import Controls
from engine.errors import AtelierError, OutOfMemory
from tests.bot.jobs.conftest import job
from tests.doubles.jobs import insert_job


async def test_lists_each_state_with_its_limit_and_counts_causes(store: Store) -> None:
    now = datetime.now(UTC)

    async def put(state: State, minutes: float, cause: AtelierError | None = None) -> str:
        at = now - timedelta(minutes=minutes)
        return (await insert_job(store, job(state=state, created_at=at, cause=cause))).id

    queued = [await put(State.QUEUED, minutes) for minutes in (1, 9, 5)]
    running = await put(State.RUNNING, 3)
    delivering = await put(State.DELIVERING, 4)
    ended = [
        await put(State.FAILED, 60, OutOfMemory(512)),
        await put(State.FAILED, 30, OutOfMemory(1024)),
        await put(State.EXPIRED, 10, JobExpired(24)),
        await put(State.DELIVERED, 20),
    ]
    await put(State.FAILED, 60 * 25, OutOfMemory(512))
    await store.switch("paused", on=True)
    await store.block(9)
    found = await store.overview(2)
    assert found.counts == {State.QUEUED: 3, State.RUNNING: 1, State.DELIVERING: 1}
    assert found.oldest is not None
    assert abs((now - found.oldest).total_seconds() - 9 * 60) < 1
    assert [each.id for each in found.begun] == [delivering, running]
    assert [each.id for each in found.waiting] == [queued[1], queued[2]]
    assert [each.id for each in found.ended] == [ended[2], ended[3]]
    assert isinstance(found.ended[0].cause, JobExpired)
    assert found.waiting[0].recipe["strength"] == 33.3
    assert found.controls == Controls(paused=True, blocked=frozenset({9}))
    assert await store.count_causes(timedelta(hours=24)) == {"OutOfMemory": 2, "JobExpired": 1}
