"""The service of jobs: each job gets its turn and one ending, and only its owner acts on it."""

import asyncio

import pytest
from sqlalchemy import update

from bot.jobs.database.tables import JobRow
from bot.jobs.errors import CancelledByModerator, JobEnded, JobExpired, NotYourJob
from bot.jobs.model import Actor, Job, State, new_id
from engine.errors import PaintingCancelled
from engine.progress import Progress, Result
from engine.recipe import Recipe
from tests.bot.jobs.conftest import ANN, BOB, CID, JobHarness, order
from tests.doubles.executor import FakePainting
from tests.waiting import eventually


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
class TestAJob:
    async def test_shows_its_progress_in_order_and_then_its_result(self, harness: JobHarness) -> None:
        async with harness.running():
            job, painting = await harness.accept_and_paint()
            shown = [painting.show(step, preview=b"preview") for step in (1, 5, 10)]
            result = painting.finish(b"the picture")
            await harness.until(job, "delivered")
        assert harness.replies.of(job).calls == [
            *(("progressed", progress) for progress in shown),
            ("delivered", result),
        ]

    async def test_reaches_the_executor_as_it_was_ordered(self, harness: JobHarness) -> None:
        recipe = Recipe(size=777, strength=12, seed=5)
        async with harness.running():
            await harness.jobs.accept(order(ANN, b"photo", b"style 1", b"style 2", recipe=recipe))
            painting = await harness.executor.painting()
            assert (painting.recipe, painting.content, painting.styles) == (recipe, b"photo", [b"style 1", b"style 2"])
            assert (painting.resume, painting.max_bytes) == (None, 10_000_000)

    async def test_is_stored_with_its_pictures_before_it_is_acknowledged(self, harness: JobHarness) -> None:
        job = await harness.accept(ANN, b"photo", b"style")
        found = await harness.found(job)
        assert (found.state, found.address, found.owner) == (State.QUEUED, "the secret address of 1", ANN)
        assert found.guild_id == 7
        assert harness.blobs.get(found.inputs.content) == b"photo"
        assert [harness.blobs.get(style) for style in found.inputs.styles] == [b"style"]

    async def test_passes_through_its_states(self, harness: JobHarness) -> None:
        may_arrive = harness.replies.hold("edit")
        async with harness.running():
            job, painting = await harness.accept_and_paint()
            assert await harness.state(job) == "running"
            painting.finish(b"the picture")
            await harness.until(job, "delivering")
            may_arrive.set()
            await harness.until(job, "delivered")
        assert (await harness.found(job)).delivered_by == "edit"

    async def test_that_was_delivered_keeps_its_pictures_and_final_state_but_no_secret_address(
        self, harness: JobHarness
    ) -> None:
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN, b"photo")
            painting.show(5, checkpoint=b"checkpoint")
            painting.finish(b"painting", checkpoint=harness.blobs.put(b"final state"))
            await harness.until(job, "delivered")
            await eventually(lambda: harness.kept() == {b"photo", b"style", b"painting", b"final state"})
        found = await harness.found(job)
        assert (found.address, found.checkpoint) == (harness.replies.of(job).posted, None)
        assert found.final_state is not None
        assert harness.blobs.get(found.final_state) == b"final state"
        assert await harness.jobs.picture(job.id, ANN) == (await harness.found(job), b"painting")

    async def test_shows_its_progress_to_every_observer_even_if_one_fails(self, harness: JobHarness) -> None:
        seen: list[tuple[str, int]] = []

        def fail(_job: Job, _progress: Progress) -> None:
            raise RuntimeError("a bug")

        harness.jobs.observe(fail)
        harness.jobs.observe(lambda job, progress: seen.append((job.id, progress.step)))
        async with harness.running():
            job, painting = await harness.accept_and_paint()
            shown = [painting.show(step) for step in (1, 5)]
            result = painting.finish()
            await harness.until(job, "delivered")
        assert seen == [(job.id, 1), (job.id, 5)]
        assert harness.replies.of(job).calls == [*(("progressed", each) for each in shown), ("delivered", result)]

    async def test_keeps_only_its_last_checkpoint(self, harness: JobHarness) -> None:
        async with harness.running():
            job, painting = await harness.accept_and_paint()
            painting.show(1, checkpoint=b"first")
            painting.show(2)
            painting.show(3, checkpoint=b"second")
            painting.show(4)
            await eventually(lambda: len(harness.replies.of(job).calls) == 4)
            assert harness.kept() == {b"content", b"style", b"second"}


class TestCancelling:
    async def test_while_queued_ends_the_job_unpainted(self, harness: JobHarness) -> None:
        async with harness.running():
            first, painting = await harness.accept_and_paint(ANN)
            job = await harness.accept(BOB)
            await harness.jobs.cancel(job.id, Actor(BOB))
            await harness.until(job, "cancelled")
            painting.finish()
            await harness.until(first, "delivered")
        assert [type(ending) for ending in harness.replies.endings(job)] == [PaintingCancelled]
        assert len(harness.executor.paintings) == 1

    async def test_while_running_frees_the_worker_for_the_next_job(self, harness: JobHarness) -> None:
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            other = await harness.accept(BOB)
            painting.show(3, checkpoint=b"checkpoint")
            await eventually(lambda: "progressed" in harness.replies.of(job).names)
            await harness.jobs.cancel(job.id, Actor(ANN))
            assert painting.cancelled
            await harness.until(job, "cancelled")
            (await harness.executor.painting(2)).finish()
            await harness.until(other, "delivered")
            assert b"checkpoint" not in harness.kept()
        assert [type(ending) for ending in harness.replies.endings(job)] == [PaintingCancelled]

    async def test_of_several_in_another_process_while_one_of_them_ends(
        self, harness: JobHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cancel = FakePainting.cancel

        async def slowly(painting: FakePainting) -> None:
            await asyncio.sleep(0.1)
            await cancel(painting)

        monkeypatch.setattr(FakePainting, "cancel", slowly)
        harness.executor.slots_now = 4
        async with harness.running():
            jobs = [(await harness.accept_and_paint(owner))[0] for owner in (ANN, BOB, CID)]
            await asyncio.gather(*(harness.store.give_up(job.id, PaintingCancelled()) for job in jobs))
            for job in jobs:
                await harness.until(job, "cancelled")
        assert [len(harness.replies.endings(job)) for job in jobs] == [1, 1, 1]

    async def test_in_another_process_stops_the_painting_here(self, harness: JobHarness) -> None:
        here = harness.jobs
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            harness.restart()
            await harness.jobs.cancel(job.id, Actor(ANN))
            harness.jobs = here
            await eventually(lambda: painting.cancelled)
            await harness.until(job, "cancelled")
        assert [type(ending) for ending in harness.replies.endings(job)] == [PaintingCancelled]

    async def test_during_delivery_raises_job_ended(self, harness: JobHarness) -> None:
        may_arrive = harness.replies.hold("token")
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            result = painting.finish()
            await harness.until(job, "delivering")
            with pytest.raises(JobEnded):
                await harness.jobs.cancel(job.id, Actor(ANN))
            may_arrive.set()
            await harness.until(job, "delivered")
        assert harness.replies.endings(job) == [result]

    @pytest.mark.parametrize("painted", [False, True])
    async def test_twice_raises_job_ended(self, harness: JobHarness, painted: bool) -> None:
        async with harness.running():
            job, _ = await harness.accept_and_paint(ANN)
            if not painted:
                job = await harness.accept(ANN)
            outcomes = await asyncio.gather(
                *(harness.jobs.cancel(job.id, Actor(ANN)) for _ in range(3)), return_exceptions=True
            )
            assert sorted(str(type(outcome).__name__) for outcome in outcomes) == ["JobEnded", "JobEnded", "NoneType"]
            await harness.until(job, "cancelled")
            with pytest.raises(JobEnded):
                await harness.jobs.cancel(job.id, Actor(ANN))
        assert len(harness.replies.endings(job)) == 1

    async def test_by_another_member_changes_nothing(self, harness: JobHarness) -> None:
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            waiting = await harness.accept(ANN)
            for each in (job, waiting):
                for other in (Actor(BOB), Actor(BOB, 7), Actor(BOB, 8, moderates=True), Actor(BOB, moderates=True)):
                    with pytest.raises(NotYourJob):
                        await harness.jobs.cancel(each.id, other)
            assert not painting.cancelled
            assert [await harness.state(each) for each in (job, waiting)] == ["running", "queued"]

    async def test_by_a_moderator_of_its_server_tells_its_owner(self, harness: JobHarness) -> None:
        async with harness.running():
            job, _ = await harness.accept_and_paint(ANN)
            await harness.jobs.cancel(job.id, Actor(BOB, 7, moderates=True))
            await harness.until(job, "cancelled")
        assert [type(ending) for ending in harness.replies.endings(job)] == [CancelledByModerator]

    async def test_an_ended_or_unknown_job_raises_job_ended(self, harness: JobHarness) -> None:
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            painting.finish()
            await harness.until(job, "delivered")
            for gone in (job.id, new_id()):
                with pytest.raises(JobEnded):
                    await harness.jobs.cancel(gone, Actor(ANN))

    @pytest.mark.parametrize("loop_turns", range(6))
    async def test_at_the_moment_of_its_end_has_one_ending(self, harness: JobHarness, loop_turns: int) -> None:
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            painting.finish()
            for _ in range(loop_turns):
                await asyncio.sleep(0)
            try:
                await harness.jobs.cancel(job.id, Actor(ANN))
                end = "cancelled"
            except JobEnded:
                end = "delivered"
            await harness.until(job, end)
        (ending,) = harness.replies.endings(job)
        assert isinstance(ending, PaintingCancelled if end == "cancelled" else Result)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
class TestExpiry:
    async def test_ends_a_job_that_waits_too_long(self, harness: JobHarness) -> None:
        harness.executor.slots_now = 0
        async with harness.running():
            job = await harness.accept(ANN)
            await eventually(lambda: harness.replies.of(job).positions == [1])
            harness.expire_now()
            await harness.until(job, "expired")
        (ending,) = harness.replies.endings(job)
        assert isinstance(ending, JobExpired)

    async def test_stops_a_job_that_runs_too_long(self, harness: JobHarness) -> None:
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            harness.expire_now()
            await harness.until(job, "expired")
            assert painting.cancelled


class TestTwoProcesses:
    async def test_share_the_workers_and_paint_each_job_once(self, harness: JobHarness) -> None:
        harness.executor.slots_now, harness.limit = 2, 50
        services = []
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                harness.restart()
                services.append((harness.jobs, group.create_task(harness.jobs.run())))
            jobs = [await services[number % 2][0].accept(order(number)) for number in range(8)]
            for number in range(1, 9):
                painting = await harness.executor.painting(number)
                assert len(harness.executor.running) <= 2
                painting.finish()
            for job in jobs:
                await harness.until(job, "delivered")
            for jobs_of_one, run in services:
                await jobs_of_one.close()
                run.cancel()
        assert len(harness.executor.paintings) == 8
        assert [len(harness.replies.endings(job)) for job in jobs] == [1] * 8

    async def test_one_without_a_lease_edits_no_replies(self, harness: JobHarness) -> None:
        stopped = harness.jobs
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            reply = harness.replies.of(job)
            assert reply.may_edit()
            harness.restart()
            await harness.store.renew(harness.jobs.process)
            async with harness.store._changing() as connection:  # as adopted after the lease, which is seconds
                await connection.execute(update(JobRow).values(process=harness.jobs.process, state=State.QUEUED))
            other = asyncio.create_task(harness.jobs.run())
            await eventually(lambda: painting.cancelled)
            second = await harness.executor.painting(2)
            result = second.finish()
            await harness.until(job, "delivered")
            await harness.jobs.close()
            other.cancel()
            await asyncio.wait([other])
            harness.jobs = stopped
        assert harness.replies.endings(job) == [result]
        assert reply.endings == []


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_only_its_owner_gets_a_picture_and_only_after_it_is_painted(harness: JobHarness) -> None:
    mine = await harness.accept(ANN)
    with pytest.raises(NotYourJob):
        await harness.jobs.picture(mine.id, BOB)
    with pytest.raises(JobEnded):
        await harness.jobs.picture(mine.id, ANN)
