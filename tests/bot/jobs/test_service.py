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
from tests.bot.jobs.conftest import ANN, BOB, CID, Workshop, order
from tests.doubles.executor import FakePainting
from tests.waiting import eventually


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
class TestAJob:
    async def test_shows_its_progress_in_order_and_then_its_result(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, painting = await workshop.accept_and_paint()
            shown = [painting.show(step, preview=b"preview") for step in (1, 5, 10)]
            result = painting.finish(b"the picture")
            await workshop.until(job, "delivered")
        assert workshop.replies.of(job).calls == [
            *(("progressed", progress) for progress in shown),
            ("delivered", result),
        ]

    async def test_reaches_the_executor_as_it_was_ordered(self, workshop: Workshop) -> None:
        recipe = Recipe(size=777, strength=12, seed=5)
        async with workshop.running():
            await workshop.jobs.accept(order(ANN, b"photo", b"style 1", b"style 2", recipe=recipe))
            painting = await workshop.executor.painting()
            assert (painting.recipe, painting.content, painting.styles) == (recipe, b"photo", [b"style 1", b"style 2"])
            assert (painting.resume, painting.max_bytes) == (None, 10_000_000)

    async def test_is_stored_with_its_pictures_before_it_is_acknowledged(self, workshop: Workshop) -> None:
        job = await workshop.accept(ANN, b"photo", b"style")
        found = await workshop.found(job)
        assert (found.state, found.address, found.owner) == (State.QUEUED, "the secret address of 1", ANN)
        assert found.guild_id == 7
        assert workshop.blobs.get(found.inputs.content) == b"photo"
        assert [workshop.blobs.get(style) for style in found.inputs.styles] == [b"style"]

    async def test_passes_through_its_states(self, workshop: Workshop) -> None:
        may_arrive = workshop.replies.hold("edit")
        async with workshop.running():
            job, painting = await workshop.accept_and_paint()
            assert await workshop.state(job) == "running"
            painting.finish(b"the picture")
            await workshop.until(job, "delivering")
            may_arrive.set()
            await workshop.until(job, "delivered")
        assert (await workshop.found(job)).delivered_by == "edit"

    async def test_that_was_delivered_keeps_its_pictures_and_final_state_but_no_secret_address(
        self, workshop: Workshop
    ) -> None:
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN, b"photo")
            painting.show(5, checkpoint=b"checkpoint")
            painting.finish(b"painting", checkpoint=workshop.blobs.put(b"final state"))
            await workshop.until(job, "delivered")
            await eventually(lambda: workshop.kept() == {b"photo", b"style", b"painting", b"final state"})
        found = await workshop.found(job)
        assert (found.address, found.checkpoint) == (workshop.replies.of(job).posted, None)
        assert found.final_state is not None
        assert workshop.blobs.get(found.final_state) == b"final state"
        assert await workshop.jobs.picture(job.id, ANN) == (await workshop.found(job), b"painting")

    async def test_shows_its_progress_to_every_observer_even_if_one_fails(self, workshop: Workshop) -> None:
        seen: list[tuple[str, int]] = []

        def fail(_job: Job, _progress: Progress) -> None:
            raise RuntimeError("a bug")

        workshop.jobs.observe(fail)
        workshop.jobs.observe(lambda job, progress: seen.append((job.id, progress.step)))
        async with workshop.running():
            job, painting = await workshop.accept_and_paint()
            shown = [painting.show(step) for step in (1, 5)]
            result = painting.finish()
            await workshop.until(job, "delivered")
        assert seen == [(job.id, 1), (job.id, 5)]
        assert workshop.replies.of(job).calls == [*(("progressed", each) for each in shown), ("delivered", result)]

    async def test_keeps_only_its_last_checkpoint(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, painting = await workshop.accept_and_paint()
            painting.show(1, checkpoint=b"first")
            painting.show(2)
            painting.show(3, checkpoint=b"second")
            painting.show(4)
            await eventually(lambda: len(workshop.replies.of(job).calls) == 4)
            assert workshop.kept() == {b"content", b"style", b"second"}


class TestCancelling:
    async def test_while_queued_ends_the_job_unpainted(self, workshop: Workshop) -> None:
        async with workshop.running():
            first, painting = await workshop.accept_and_paint(ANN)
            job = await workshop.accept(BOB)
            await workshop.jobs.cancel(job.id, Actor(BOB))
            await workshop.until(job, "cancelled")
            painting.finish()
            await workshop.until(first, "delivered")
        assert [type(ending) for ending in workshop.replies.endings(job)] == [PaintingCancelled]
        assert len(workshop.executor.paintings) == 1

    async def test_while_running_frees_the_worker_for_the_next_job(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            other = await workshop.accept(BOB)
            painting.show(3, checkpoint=b"checkpoint")
            await eventually(lambda: "progressed" in workshop.replies.of(job).names)
            await workshop.jobs.cancel(job.id, Actor(ANN))
            assert painting.cancelled
            await workshop.until(job, "cancelled")
            (await workshop.executor.painting(2)).finish()
            await workshop.until(other, "delivered")
            assert b"checkpoint" not in workshop.kept()
        assert [type(ending) for ending in workshop.replies.endings(job)] == [PaintingCancelled]

    async def test_of_several_in_another_process_while_one_of_them_ends(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cancel = FakePainting.cancel

        async def slowly(painting: FakePainting) -> None:
            await asyncio.sleep(0.1)
            await cancel(painting)

        monkeypatch.setattr(FakePainting, "cancel", slowly)
        workshop.executor.slots_now = 4
        async with workshop.running():
            jobs = [(await workshop.accept_and_paint(owner))[0] for owner in (ANN, BOB, CID)]
            await asyncio.gather(*(workshop.store.give_up(job.id, PaintingCancelled()) for job in jobs))
            for job in jobs:
                await workshop.until(job, "cancelled")
        assert [len(workshop.replies.endings(job)) for job in jobs] == [1, 1, 1]

    async def test_in_another_process_stops_the_painting_here(self, workshop: Workshop) -> None:
        here = workshop.jobs
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            workshop.restart()
            await workshop.jobs.cancel(job.id, Actor(ANN))
            workshop.jobs = here
            await eventually(lambda: painting.cancelled)
            await workshop.until(job, "cancelled")
        assert [type(ending) for ending in workshop.replies.endings(job)] == [PaintingCancelled]

    async def test_during_delivery_raises_job_ended(self, workshop: Workshop) -> None:
        may_arrive = workshop.replies.hold("token")
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            result = painting.finish()
            await workshop.until(job, "delivering")
            with pytest.raises(JobEnded):
                await workshop.jobs.cancel(job.id, Actor(ANN))
            may_arrive.set()
            await workshop.until(job, "delivered")
        assert workshop.replies.endings(job) == [result]

    @pytest.mark.parametrize("painted", [False, True])
    async def test_twice_raises_job_ended(self, workshop: Workshop, painted: bool) -> None:
        async with workshop.running():
            job, _ = await workshop.accept_and_paint(ANN)
            if not painted:
                job = await workshop.accept(ANN)
            outcomes = await asyncio.gather(
                *(workshop.jobs.cancel(job.id, Actor(ANN)) for _ in range(3)), return_exceptions=True
            )
            assert sorted(str(type(outcome).__name__) for outcome in outcomes) == ["JobEnded", "JobEnded", "NoneType"]
            await workshop.until(job, "cancelled")
            with pytest.raises(JobEnded):
                await workshop.jobs.cancel(job.id, Actor(ANN))
        assert len(workshop.replies.endings(job)) == 1

    async def test_by_another_member_changes_nothing(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            waiting = await workshop.accept(ANN)
            for each in (job, waiting):
                for other in (Actor(BOB), Actor(BOB, 7), Actor(BOB, 8, moderates=True), Actor(BOB, moderates=True)):
                    with pytest.raises(NotYourJob):
                        await workshop.jobs.cancel(each.id, other)
            assert not painting.cancelled
            assert [await workshop.state(each) for each in (job, waiting)] == ["running", "queued"]

    async def test_by_a_moderator_of_its_server_tells_its_owner(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, _ = await workshop.accept_and_paint(ANN)
            await workshop.jobs.cancel(job.id, Actor(BOB, 7, moderates=True))
            await workshop.until(job, "cancelled")
        assert [type(ending) for ending in workshop.replies.endings(job)] == [CancelledByModerator]

    async def test_an_ended_or_unknown_job_raises_job_ended(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            painting.finish()
            await workshop.until(job, "delivered")
            for gone in (job.id, new_id()):
                with pytest.raises(JobEnded):
                    await workshop.jobs.cancel(gone, Actor(ANN))

    @pytest.mark.parametrize("loop_turns", range(6))
    async def test_at_the_moment_of_its_end_has_one_ending(self, workshop: Workshop, loop_turns: int) -> None:
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            painting.finish()
            for _ in range(loop_turns):
                await asyncio.sleep(0)
            try:
                await workshop.jobs.cancel(job.id, Actor(ANN))
                end = "cancelled"
            except JobEnded:
                end = "delivered"
            await workshop.until(job, end)
        (ending,) = workshop.replies.endings(job)
        assert isinstance(ending, PaintingCancelled if end == "cancelled" else Result)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
class TestExpiry:
    async def test_ends_a_job_that_waits_too_long(self, workshop: Workshop) -> None:
        workshop.executor.slots_now = 0
        async with workshop.running():
            job = await workshop.accept(ANN)
            await eventually(lambda: workshop.replies.of(job).positions == [1])
            workshop.expire_now()
            await workshop.until(job, "expired")
        (ending,) = workshop.replies.endings(job)
        assert isinstance(ending, JobExpired)

    async def test_stops_a_job_that_runs_too_long(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            workshop.expire_now()
            await workshop.until(job, "expired")
            assert painting.cancelled


class TestTwoProcesses:
    async def test_share_the_workers_and_paint_each_job_once(self, workshop: Workshop) -> None:
        workshop.executor.slots_now, workshop.limit = 2, 50
        services = []
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                workshop.restart()
                services.append((workshop.jobs, group.create_task(workshop.jobs.run())))
            jobs = [await services[number % 2][0].accept(order(number)) for number in range(8)]
            for number in range(1, 9):
                painting = await workshop.executor.painting(number)
                assert len(workshop.executor.running) <= 2
                painting.finish()
            for job in jobs:
                await workshop.until(job, "delivered")
            for jobs_of_one, run in services:
                await jobs_of_one.close()
                run.cancel()
        assert len(workshop.executor.paintings) == 8
        assert [len(workshop.replies.endings(job)) for job in jobs] == [1] * 8

    async def test_one_without_a_lease_edits_no_replies(self, workshop: Workshop) -> None:
        stopped = workshop.jobs
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            reply = workshop.replies.of(job)
            assert reply.may_edit()
            workshop.restart()
            await workshop.store.renew(workshop.jobs.process)
            async with workshop.store._changing() as connection:  # as adopted after the lease, which is seconds
                await connection.execute(update(JobRow).values(process=workshop.jobs.process, state=State.QUEUED))
            other = asyncio.create_task(workshop.jobs.run())
            await eventually(lambda: painting.cancelled)
            second = await workshop.executor.painting(2)
            result = second.finish()
            await workshop.until(job, "delivered")
            await workshop.jobs.close()
            other.cancel()
            await asyncio.wait([other])
            workshop.jobs = stopped
        assert workshop.replies.endings(job) == [result]
        assert reply.endings == []


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_only_its_owner_gets_a_picture_and_only_after_it_is_painted(workshop: Workshop) -> None:
    mine = await workshop.accept(ANN)
    with pytest.raises(NotYourJob):
        await workshop.jobs.picture(mine.id, BOB)
    with pytest.raises(JobEnded):
        await workshop.jobs.picture(mine.id, ANN)
