"""A process shuts down or is killed, and the next one continues its jobs."""

import asyncio
from collections.abc import Sequence

import pytest

from bot.jobs import runner
from bot.jobs.errors import DeliveryDelayed
from bot.jobs.model import Actor, DeliveredBy, Ending, State
from engine.errors import OutOfMemory, PaintingCancelled, StorageFailed, StorageFull
from engine.progress import Result
from tests.bot.jobs.conftest import ANN, BOB, JobHarness
from tests.doubles.reply import discord_is_unavailable
from tests.waiting import eventually

sqlite_only = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@sqlite_only
class TestAShutdown:
    async def test_pauses_paintings_and_releases_all_jobs(self, harness: JobHarness) -> None:
        async with harness.running():
            painted, painting = await harness.accept_and_paint(ANN)
            waiting = await harness.accept(BOB)
            painting.show(7)
        assert painting.paused
        assert not painting.cancelled
        found = await harness.found(painted)
        assert (found.state, found.process) == (State.QUEUED, "")
        assert found.checkpoint is not None
        assert harness.blobs.get(found.checkpoint) == b"paused at 7"
        assert [harness.replies.endings(job) for job in (painted, waiting)] == [[], []]

    @pytest.mark.parametrize("loop_turns", range(4))
    async def test_pauses_a_painting_that_begins_at_that_moment(self, harness: JobHarness, loop_turns: int) -> None:
        async with harness.running():
            await harness.accept_and_paint(ANN)
            for _ in range(loop_turns):
                await asyncio.sleep(0)
            await harness.accept(BOB)

    async def test_does_not_wait_for_an_unreachable_discord(self, harness: JobHarness) -> None:
        harness.replies.deliver = discord_is_unavailable
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            painting.finish()
            await harness.until(job, "delivering")
        harness.replies.deliver = None
        harness.restart()
        async with harness.running():
            await harness.until(job, "delivered")
        assert len(harness.executor.paintings) == 1


@pytest.fixture(params=["stopped", "killed"])
def killed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the first process is killed. Its lease expires at once."""
    if request.param == "killed":
        monkeypatch.setattr("bot.jobs.database.leases.LEASE", -1.0)
    return bool(request.param == "killed")


class TestARestart:
    async def test_continues_each_job_once_from_its_last_checkpoint(self, harness: JobHarness, killed: bool) -> None:
        async with harness.running(killed=killed):
            painted, painting = await harness.accept_and_paint(ANN, b"ann")
            waiting = await harness.accept(BOB, b"bob")
            painting.show(1, checkpoint=b"first")
            painting.show(2, checkpoint=b"second")
            await eventually(lambda: harness.replies.of(painted).names.count("progressed") == 2)
        harness.executor.paintings.clear()
        harness.restart()
        async with harness.running():
            first = await harness.executor.painting(1)
            assert (first.content, first.resume) == (b"ann", b"second" if killed else b"paused at 2")
            result = first.finish()
            second = await harness.executor.painting(2)
            assert (second.content, second.resume) == (b"bob", None)
            second.finish()
            await harness.until(waiting, "delivered")
        assert harness.replies.endings(painted) == [result]
        assert len(harness.executor.paintings) == 2
        assert harness.replies.of(painted).job.address == "the secret address of 1"

    async def test_delivers_a_stored_result_without_repainting(self, harness: JobHarness, killed: bool) -> None:
        """With all fields of the result, also if memory was short and the picture is smaller than ordered."""

        async def hang(_: Ending) -> DeliveredBy:
            await asyncio.Event().wait()
            return "token"

        harness.replies.deliver = hang
        async with harness.running(killed=True):
            job, painting = await harness.accept_and_paint(ANN)
            smaller = painting.recipe.model_copy(update={"size": 362})
            result = painting.finish(recipe=smaller, width=362, height=272, steps=7, ending="settled")
            await harness.until(job, "delivering")
        if not killed:
            await harness.store.leave(harness.jobs.process)
        harness.replies.deliver = None
        harness.restart()
        async with harness.running():
            await harness.until(job, "delivered")
        assert harness.replies.endings(job) == [result]
        assert len(harness.executor.paintings) == 1

    @sqlite_only
    async def test_limits_pictures_in_memory_and_a_delayed_delivery_blocks_no_other(
        self, harness: JobHarness, killed: bool
    ) -> None:
        harness.replies.deliver = discord_is_unavailable
        harness.executor.slots_now = 3 * runner.DELIVERED_AT_ONCE
        async with harness.running(killed=killed):
            jobs = [await harness.accept(owner) for owner in range(harness.executor.slots_now)]
            for number, _ in enumerate(jobs, 1):
                (await harness.executor.painting(number)).finish(f"picture {number}".encode())
            for job in jobs:
                await harness.until(job, "delivering")
        delayed, sending, most = {f"picture {number}".encode() for number in range(1, 13)}, 0, 0
        may_arrive = asyncio.Event()

        async def deliver(ending: Ending) -> DeliveredBy:
            nonlocal sending, most
            sending += 1
            most = max(most, sending)
            await may_arrive.wait()
            sending -= 1
            assert isinstance(ending, Result)
            if ending.picture in delayed:
                raise DeliveryDelayed("Discord is overloaded")
            return "token"

        harness.replies.deliver = deliver
        harness.restart()
        async with harness.running():
            await eventually(lambda: sending == runner.DELIVERED_AT_ONCE)
            may_arrive.set()
            await eventually(
                lambda: sum(bool(harness.replies.endings(job)) for job in jobs) == len(jobs) - len(delayed)
            )
            delayed.clear()
            for job in jobs:
                await harness.until(job, "delivered")
        assert most == runner.DELIVERED_AT_ONCE
        assert [len(harness.replies.endings(job)) for job in jobs] == [1] * len(jobs)

    @sqlite_only
    @pytest.mark.parametrize("cancelled", [True, False], ids=["cancelled", "failed"])
    async def test_delivers_an_ending_without_a_picture_and_does_not_repaint(
        self, harness: JobHarness, killed: bool, cancelled: bool
    ) -> None:
        harness.replies.deliver = discord_is_unavailable
        async with harness.running(killed=killed):
            job, painting = await harness.accept_and_paint(ANN)
            painting.show(3, checkpoint=b"checkpoint")
            if cancelled:
                await harness.jobs.cancel(job.id, Actor(ANN))
            else:
                painting.fail(OutOfMemory(512))
            await harness.until(job, "delivering")
        harness.replies.deliver = None
        harness.restart()
        async with harness.running():
            await harness.until(job, "cancelled" if cancelled else "failed")
        (ending,) = harness.replies.endings(job)
        assert isinstance(ending, PaintingCancelled if cancelled else OutOfMemory)
        assert len(harness.executor.paintings) == 1

    async def test_changes_no_ended_job(self, harness: JobHarness, killed: bool) -> None:
        async with harness.running(killed=killed):
            failed, painting = await harness.accept_and_paint(ANN)
            painting.fail(OutOfMemory(512))
            await harness.until(failed, "failed")
            delivered, painting = await harness.accept_and_paint(ANN)
            painting.finish()
            await harness.until(delivered, "delivered")
            cancelled, _ = await harness.accept_and_paint(ANN)
            await harness.jobs.cancel(cancelled.id, Actor(ANN))
            await harness.until(cancelled, "cancelled")
        before = len(harness.replies.made)
        harness.restart()
        async with harness.running():
            job, painting = await harness.accept_and_paint(BOB, b"bob")
            assert painting.content == b"bob"
            await eventually(lambda: len(harness.replies.made) > before)
        assert {reply.job.id for reply in harness.replies.made[before:]} == {job.id}

    @sqlite_only
    async def test_keeps_the_order_of_the_queue(self, harness: JobHarness, killed: bool) -> None:
        harness.executor.slots_now = 0
        contents = [f"job {number}".encode() for number in range(4)]
        async with harness.running(killed=killed):
            jobs = [await harness.accept(owner, content) for owner, content in enumerate(contents)]
        harness.executor.slots_now = 1
        harness.restart()
        async with harness.running():
            for number in range(1, 5):
                (await harness.executor.painting(number)).finish()
            await harness.until(jobs[-1], "delivered")
        assert [painting.content for painting in harness.executor.paintings] == contents

    @sqlite_only
    async def test_repaints_a_job_whose_result_was_not_stored(
        self, harness: JobHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def full(_: Sequence[bytes]) -> list[str]:
            raise StorageFull

        harness.replies.deliver = discord_is_unavailable
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            painting.show(9, checkpoint=b"nearly")
            monkeypatch.setattr(harness.storage, "put_all", full)
            painting.finish()
            await harness.until(job, "delivering")
        harness.replies.deliver = None
        harness.restart()
        async with harness.running():
            painting = await harness.executor.painting(2)
            assert painting.resume == b"nearly"
            painting.finish()
            await harness.until(job, "delivered")
        assert len(harness.replies.endings(job)) == 1

    @sqlite_only
    @pytest.mark.parametrize("back", [True, False])
    async def test_delivers_a_result_once_it_can_be_read(
        self, harness: JobHarness, monkeypatch: pytest.MonkeyPatch, back: bool
    ) -> None:
        harness.replies.deliver = discord_is_unavailable
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            result = painting.finish()
            await harness.until(job, "delivering")
        harness.replies.deliver = None
        harness.restart()
        attempts, may_return = 0, asyncio.Event()

        async def away(name: str) -> bytes:
            nonlocal attempts
            attempts += 1
            if attempts > 1:
                await may_return.wait()
                if back:
                    return await get(name)
            raise StorageFailed("the network is down")

        get = harness.storage.get
        monkeypatch.setattr(harness.storage, "get", away)
        async with harness.running():
            await eventually(lambda: attempts >= 1)
            assert await harness.state(job) == "delivering"
            may_return.set()
            if back:
                await harness.until(job, "delivered")
            else:
                harness.expire_now()
                await harness.until(job, "failed")
        (ending,) = harness.replies.endings(job)
        assert ending == result if back else isinstance(ending, StorageFailed)
