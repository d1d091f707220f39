"""A blob store that fails for a while: jobs wait for it."""

import pytest
from tenacity.wait import wait_fixed

from bot.jobs.errors import JobEnded
from bot.jobs.model import Actor
from engine.blobs import Blobs
from engine.errors import StorageFailed
from tests.bot.jobs.conftest import ANN, BOB, Workshop
from tests.doubles.reply import discord_is_unavailable
from tests.failing_store import ClientError, FailingStore, new_url
from tests.waiting import eventually


class TestAFailingBlobStore:
    """Its library raises an error that is derived from no known one."""

    @pytest.fixture(autouse=True)
    def short_pauses(self, workshop: Workshop) -> None:
        workshop.back_off = wait_fixed(0.02)
        workshop.use(Blobs(new_url()))

    async def test_rejects_an_order(self, workshop: Workshop) -> None:
        with FailingStore.failing(ClientError(), "put"), pytest.raises(StorageFailed):
            await workshop.accept(ANN)
        assert FailingStore.raised == 1
        assert await workshop.store.count_open() == 0

    async def test_delivers_a_result_from_memory_and_stores_it_later(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            with FailingStore.failing(ClientError(), "put"):
                result = painting.finish(b"the picture")
                await workshop.until(job, "delivered")
                await eventually(lambda: FailingStore.raised > 3)
                with pytest.raises(JobEnded):
                    await workshop.jobs.picture(job.id, ANN)

            async def is_kept() -> bool:
                return (await workshop.found(job)).painted is not None

            await eventually(is_kept)
            assert (await workshop.jobs.picture(job.id, ANN))[1] == b"the picture"
        assert workshop.replies.endings(job) == [result]
        assert len(workshop.executor.paintings) == 1

    async def test_loses_no_result_that_cannot_be_delivered_either(self, workshop: Workshop) -> None:
        workshop.replies.deliver = discord_is_unavailable
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            with FailingStore.failing(ClientError(), "put"):
                painting.finish(b"the picture")
                await workshop.until(job, "delivering")
                workshop.expire_now()
                await eventually(lambda: FailingStore.raised > 5)
                assert await workshop.state(job) == "delivering"
            await workshop.until(job, "delivered")
        assert (await workshop.found(job)).delivered_by == "kept"
        assert (await workshop.jobs.picture(job.id, ANN))[1] == b"the picture"
        assert len(workshop.executor.paintings) == 1

    async def test_moves_its_jobs_to_the_end_of_the_queue(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN, b"ann")
            other = await workshop.accept(BOB, b"bob")
            painting.fail(StorageFailed("ClientError"))
            painting = await workshop.executor.painting(2)
            assert painting.content == b"bob"
            assert (await workshop.state(job), workshop.replies.endings(job)) == ("queued", [])
            painting.finish()
            await workshop.until(other, "delivered")
            for number in range(3, 8):
                painting = await workshop.executor.painting(number)
                assert painting.content == b"ann"
                painting.fail(StorageFailed("ClientError"))
            result = (await workshop.executor.painting(8)).finish()
            await workshop.until(job, "delivered")
        assert workshop.replies.endings(job) == [result]

    @pytest.mark.parametrize("end", ["cancelled", "expired"])
    async def test_lets_waiting_jobs_be_cancelled_and_expire(self, workshop: Workshop, end: str) -> None:
        workshop.back_off = wait_fixed(3600)
        workshop.restart()
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            painting.fail(StorageFailed("ClientError"))
            await workshop.until(job, "queued")
            other, painting = await workshop.accept_and_paint(BOB)  # does not wait for the first job
            if end == "cancelled":
                await workshop.jobs.cancel(job.id, Actor(ANN))
            else:
                painting.finish()
                await workshop.until(other, "delivered")
                workshop.expire_now()
            await workshop.until(job, end)
        assert len(workshop.replies.endings(job)) == 1
