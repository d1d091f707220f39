"""The queue as members see it: the order of jobs and the positions that are shown."""

from types import SimpleNamespace

import pytest
from sqlalchemy.event import listen

from bot.jobs.model import Actor
from bot.jobs.queue_positions import BUCKET_EVERY, FAR_A_SECOND, FAR_EVERY, NEAR
from tests.bot.jobs.conftest import ANN, BOB, CID, Workshop
from tests.waiting import eventually


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
class TestTheQueue:
    async def test_shows_each_position_once(self, workshop: Workshop) -> None:
        async with workshop.running():
            _, painting = await workshop.accept_and_paint(ANN)
            bob, cid = await workshop.accept(BOB), await workshop.accept(CID)
            await eventually(lambda: [workshop.replies.of(job).positions for job in (bob, cid)] == [[1], [2]])
            painting.finish()
            second = await workshop.executor.painting(2)
            await eventually(lambda: workshop.replies.of(cid).positions == [2, 1])
            second.finish()
            (await workshop.executor.painting(3)).finish()
            await workshop.until(cid, "delivered")
            assert [workshop.replies.of(job).positions for job in (bob, cid)] == [[1], [2, 1]]

    async def test_lets_members_take_turns(self, workshop: Workshop) -> None:
        async with workshop.running():
            _, painting = await workshop.accept_and_paint(CID, b"cid")
            for content in (b"ann 1", b"ann 2", b"ann 3"):
                await workshop.accept(ANN, content)
            await workshop.accept(BOB, b"bob 1")
            for number in range(2, 6):
                painting.finish()
                painting = await workshop.executor.painting(number)
            contents = [each.content for each in workshop.executor.paintings]
            assert contents == [b"cid", b"ann 1", b"bob 1", b"ann 2", b"ann 3"]

    async def test_moves_up_when_a_job_ahead_is_cancelled(self, workshop: Workshop) -> None:
        async with workshop.running():
            await workshop.accept_and_paint(ANN)
            bob, cid = await workshop.accept(BOB), await workshop.accept(CID)
            await eventually(lambda: workshop.replies.of(cid).positions == [2])
            await workshop.jobs.cancel(bob.id, Actor(BOB))
            await eventually(lambda: workshop.replies.of(cid).positions[-1:] == [1])

    async def test_needs_few_edits_and_statements_if_it_is_long(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a restart with a long queue: jobs at the front show each change, the others a few per second."""
        workshop.executor.slots_now = 0
        jobs = [await workshop.accept(owner) for owner in range(60)]
        await workshop.store.leave(workshop.jobs.process)
        now = 1000.0
        monkeypatch.setattr("bot.jobs.queue_positions.time", SimpleNamespace(monotonic=lambda: now))
        workshop.replies.made.clear()
        workshop.restart()
        statements: list[str] = []
        engine = workshop.store._engine.sync_engine
        listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))

        def told() -> int:
            return sum(len(reply.positions) for reply in workshop.replies.made)

        async def look() -> int:
            """The number of statements that read whole jobs during the next two polls."""
            since = len(statements)
            lines = sum("row_number" in each for each in statements)
            await eventually(lambda: sum("row_number" in each for each in statements) >= lines + 3)
            return sum("jobs.recipe" in each for each in statements[since:])

        async with workshop.running():
            await eventually(lambda: told() == NEAR + FAR_A_SECOND)
            assert await look() == 0
            assert sum("jobs.recipe" in each for each in statements) == 1
            assert [workshop.replies.of(job).positions for job in jobs[:10]] == [[place] for place in range(1, 11)]
            now += BUCKET_EVERY
            assert await look() == 1
            assert told() == NEAR + 2 * FAR_A_SECOND
            # A job at the front is cancelled: of those with a shown position, only the front shows the next at once.
            await workshop.jobs.cancel(jobs[0].id, Actor(0))
            await workshop.until(jobs[0], "cancelled")
            await look()
            assert [workshop.replies.of(job).positions for job in jobs[1:7]] == [
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
            assert [len(workshop.replies.of(job).positions) for job in jobs[6:20]] == [1] * 14
            new = await workshop.accept(1000)
            await eventually(lambda: workshop.replies.of(new).positions == [60])

    async def test_shares_the_rate_limit_of_a_channel(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 1000.0
        monkeypatch.setattr("bot.jobs.queue_positions.time", SimpleNamespace(monotonic=lambda: now))
        workshop.executor.slots_now = 0
        jobs = [await workshop.accept(owner) for owner in range(3)]
        for job, bucket in zip(jobs, ("old channel", "old channel", "elsewhere"), strict=True):
            workshop.replies.of(job).bucket = bucket
        async with workshop.running():
            await eventually(lambda: [workshop.replies.of(job).positions for job in jobs] == [[1], [], [3]])
            now += BUCKET_EVERY
            await eventually(lambda: [workshop.replies.of(job).positions for job in jobs] == [[1], [2], [3]])

    async def test_begins_as_many_jobs_as_there_are_workers(self, workshop: Workshop) -> None:
        workshop.executor.slots_now = 3
        async with workshop.running():
            jobs = [await workshop.accept(owner) for owner in range(4)]
            await workshop.executor.painting(3)
            assert [await workshop.state(job) for job in jobs] == ["running"] * 3 + ["queued"]
            workshop.executor.paintings[1].finish()
            await workshop.executor.painting(4)
            assert len(workshop.executor.running) == 3

    async def test_begins_jobs_early_if_there_are_many_workers(self, workshop: Workshop) -> None:
        workshop.executor.slots_now, workshop.limit = 10, 20
        workshop.restart()
        async with workshop.running():
            for _ in range(13):
                await workshop.accept(ANN)
            await workshop.executor.painting(11)
            queue = await workshop.store.queue(workshop.jobs.process, workshop.executor.cluster_id)
            assert (queue.running, len(queue.waiting)) == (11, 2)

    async def test_begins_one_job_at_a_time_with_one_worker(self, workshop: Workshop) -> None:
        async with workshop.running():
            jobs = [await workshop.accept(owner) for owner in range(5)]
            for number in range(1, 6):
                painting = await workshop.executor.painting(number)
                assert workshop.executor.running == [painting]
                painting.finish()
            await workshop.until(jobs[-1], "delivered")

    async def test_continues_after_the_scheduler_is_replaced(self, workshop: Workshop) -> None:
        workshop.executor.slots_now = 0
        async with workshop.running():
            job = await workshop.accept(ANN)
            await eventually(lambda: len(workshop.replies.made) == 1)
            workshop.executor.cluster_id, workshop.executor.slots_now = "another cluster", 1
            (await workshop.executor.painting()).finish()
            await workshop.until(job, "delivered")

    async def test_uses_workers_that_join_later(self, workshop: Workshop) -> None:
        workshop.executor.slots_now = 0
        async with workshop.running():
            jobs = [await workshop.accept(ANN), await workshop.accept(BOB)]
            await eventually(lambda: [workshop.replies.of(job).positions for job in jobs] == [[1], [2]])
            assert workshop.executor.paintings == []
            workshop.executor.slots_now = 2
            for number in (1, 2):
                (await workshop.executor.painting(number)).finish()
            for job in jobs:
                await workshop.until(job, "delivered")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_a_job_takes_an_idle_worker_while_more_jobs_wait_than_there_are_slots(workshop: Workshop) -> None:
    """With fewer jobs, it may wait for a busy worker that finishes it sooner."""
    workshop.executor.slots_now = 2
    for owner in range(4):
        await workshop.accept(owner)
    async with workshop.running():
        for number in range(2):
            await workshop.executor.painting(number + 2)
            workshop.executor.paintings[number].finish()
        await workshop.executor.painting(4)
    first, second, *later = [painting.idle_first for painting in workshop.executor.paintings]
    assert {first, second} == {False, True}  # they begin at the same time
    assert later == [True, False]
