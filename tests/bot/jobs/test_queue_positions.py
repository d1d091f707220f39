"""The queue as members see it: the order of jobs and the positions that are shown."""

from types import SimpleNamespace

import pytest
from sqlalchemy.event import listen

from bot.jobs.model import Actor
from bot.jobs.queue_positions import BUCKET_EVERY, FAR_A_SECOND, FAR_EVERY, NEAR
from tests.bot.jobs.conftest import ANN, BOB, CID, JobHarness
from tests.waiting import eventually


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
class TestTheQueue:
    async def test_shows_each_position_once(self, harness: JobHarness) -> None:
        async with harness.running():
            _, painting = await harness.accept_and_paint(ANN)
            bob, cid = await harness.accept(BOB), await harness.accept(CID)
            await eventually(lambda: [harness.replies.of(job).positions for job in (bob, cid)] == [[1], [2]])
            painting.finish()
            second = await harness.executor.painting(2)
            await eventually(lambda: harness.replies.of(cid).positions == [2, 1])
            second.finish()
            (await harness.executor.painting(3)).finish()
            await harness.until(cid, "delivered")
            assert [harness.replies.of(job).positions for job in (bob, cid)] == [[1], [2, 1]]

    async def test_lets_members_take_turns(self, harness: JobHarness) -> None:
        async with harness.running():
            _, painting = await harness.accept_and_paint(CID, b"cid")
            for content in (b"ann 1", b"ann 2", b"ann 3"):
                await harness.accept(ANN, content)
            await harness.accept(BOB, b"bob 1")
            for number in range(2, 6):
                painting.finish()
                painting = await harness.executor.painting(number)
            contents = [each.content for each in harness.executor.paintings]
            assert contents == [b"cid", b"ann 1", b"bob 1", b"ann 2", b"ann 3"]

    async def test_moves_up_when_a_job_ahead_is_cancelled(self, harness: JobHarness) -> None:
        async with harness.running():
            await harness.accept_and_paint(ANN)
            bob, cid = await harness.accept(BOB), await harness.accept(CID)
            await eventually(lambda: harness.replies.of(cid).positions == [2])
            await harness.jobs.cancel(bob.id, Actor(BOB))
            await eventually(lambda: harness.replies.of(cid).positions[-1:] == [1])

    async def test_needs_few_edits_and_statements_if_it_is_long(
        self, harness: JobHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a restart with a long queue: jobs at the front show each change, the others a few per second."""
        harness.executor.slots_now = 0
        jobs = [await harness.accept(owner) for owner in range(60)]
        await harness.store.leave(harness.jobs.process)
        now = 1000.0
        monkeypatch.setattr("bot.jobs.queue_positions.time", SimpleNamespace(monotonic=lambda: now))
        harness.replies.made.clear()
        harness.restart()
        statements: list[str] = []
        engine = harness.store._engine.sync_engine
        listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))

        def told() -> int:
            return sum(len(reply.positions) for reply in harness.replies.made)

        async def look() -> int:
            """The number of statements that read whole jobs during the next two polls."""
            since = len(statements)
            lines = sum("row_number" in each for each in statements)
            await eventually(lambda: sum("row_number" in each for each in statements) >= lines + 3)
            return sum("jobs.recipe" in each for each in statements[since:])

        async with harness.running():
            await eventually(lambda: told() == NEAR + FAR_A_SECOND)
            assert await look() == 0
            assert sum("jobs.recipe" in each for each in statements) == 1
            assert [harness.replies.of(job).positions for job in jobs[:10]] == [[place] for place in range(1, 11)]
            now += BUCKET_EVERY
            assert await look() == 1
            assert told() == NEAR + 2 * FAR_A_SECOND
            # A job at the front is cancelled: of those with a shown position, only the front shows the next at once.
            await harness.jobs.cancel(jobs[0].id, Actor(0))
            await harness.until(jobs[0], "cancelled")
            await look()
            assert [harness.replies.of(job).positions for job in jobs[1:7]] == [
                [2, 1],
                [3, 2],
                [4, 3],
                [5, 4],
                [6, 5],
                [7],
            ]
            now += FAR_EVERY
            await look()
            assert told() == NEAR + 3 * FAR_A_SECOND + NEAR
            # Jobs without a shown position come first.
            assert [len(harness.replies.of(job).positions) for job in jobs[6:20]] == [1] * 14
            new = await harness.accept(1000)
            await eventually(lambda: harness.replies.of(new).positions == [60])

    async def test_shares_the_rate_limit_of_a_channel(
        self, harness: JobHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 1000.0
        monkeypatch.setattr("bot.jobs.queue_positions.time", SimpleNamespace(monotonic=lambda: now))
        harness.executor.slots_now = 0
        jobs = [await harness.accept(owner) for owner in range(3)]
        for job, bucket in zip(jobs, ("old channel", "old channel", "elsewhere"), strict=True):
            harness.replies.of(job).bucket = bucket
        async with harness.running():
            await eventually(lambda: [harness.replies.of(job).positions for job in jobs] == [[1], [], [3]])
            now += BUCKET_EVERY
            await eventually(lambda: [harness.replies.of(job).positions for job in jobs] == [[1], [2], [3]])

    async def test_begins_as_many_jobs_as_there_are_workers(self, harness: JobHarness) -> None:
        harness.executor.slots_now = 3
        async with harness.running():
            jobs = [await harness.accept(owner) for owner in range(4)]
            await harness.executor.painting(3)
            assert [await harness.state(job) for job in jobs] == ["running"] * 3 + ["queued"]
            harness.executor.paintings[1].finish()
            await harness.executor.painting(4)
            assert len(harness.executor.running) == 3

    async def test_begins_jobs_early_if_there_are_many_workers(self, harness: JobHarness) -> None:
        harness.executor.slots_now, harness.limit = 10, 20
        harness.restart()
        async with harness.running():
            for _ in range(13):
                await harness.accept(ANN)
            await harness.executor.painting(11)
            queue = await harness.store.queue(harness.jobs.process, harness.executor.cluster_id)
            assert (queue.running, len(queue.waiting)) == (11, 2)

    async def test_begins_one_job_at_a_time_with_one_worker(self, harness: JobHarness) -> None:
        async with harness.running():
            jobs = [await harness.accept(owner) for owner in range(5)]
            for number in range(1, 6):
                painting = await harness.executor.painting(number)
                assert harness.executor.running == [painting]
                painting.finish()
            await harness.until(jobs[-1], "delivered")

    async def test_continues_after_the_scheduler_is_replaced(self, harness: JobHarness) -> None:
        harness.executor.slots_now = 0
        async with harness.running():
            job = await harness.accept(ANN)
            await eventually(lambda: len(harness.replies.made) == 1)
            harness.executor.cluster_id, harness.executor.slots_now = "another cluster", 1
            (await harness.executor.painting()).finish()
            await harness.until(job, "delivered")

    async def test_uses_workers_that_join_later(self, harness: JobHarness) -> None:
        harness.executor.slots_now = 0
        async with harness.running():
            jobs = [await harness.accept(ANN), await harness.accept(BOB)]
            await eventually(lambda: [harness.replies.of(job).positions for job in jobs] == [[1], [2]])
            assert harness.executor.paintings == []
            harness.executor.slots_now = 2
            for number in (1, 2):
                (await harness.executor.painting(number)).finish()
            for job in jobs:
                await harness.until(job, "delivered")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_a_job_takes_an_idle_worker_while_more_jobs_wait_than_there_are_slots(harness: JobHarness) -> None:
    """With fewer jobs, it may wait for a busy worker that finishes it sooner."""
    harness.executor.slots_now = 2
    for owner in range(4):
        await harness.accept(owner)
    async with harness.running():
        for number in range(2):
            await harness.executor.painting(number + 2)
            harness.executor.paintings[number].finish()
        await harness.executor.painting(4)
    first, second, *later = [painting.idle_first for painting in harness.executor.paintings]
    assert {first, second} == {False, True}  # they begin at the same time
    assert later == [True, False]
