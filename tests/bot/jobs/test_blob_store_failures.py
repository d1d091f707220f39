"""A blob store that fails for a while: jobs wait for it."""

import pytest
from tenacity.wait import wait_fixed

from bot.jobs.errors import JobEnded
from bot.jobs.model import Actor
from engine.blobs import Blobs
from engine.errors import StorageFailed
from tests.bot.jobs.conftest import ANN, BOB, JobHarness
from tests.doubles.reply import discord_is_unavailable
from tests.failing_store import ClientError, FailingStore, new_url
from tests.waiting import eventually

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


class TestAFailingBlobStore:
    """Its library raises an error that is derived from no known one."""

    @pytest.fixture(autouse=True)
    def short_pauses(self, harness: JobHarness) -> None:
        harness.back_off = wait_fixed(0.02)
        harness.use(Blobs(new_url()))

    async def test_rejects_an_order(self, harness: JobHarness) -> None:
        with FailingStore.failing(ClientError(), "put"), pytest.raises(StorageFailed):
            await harness.accept(ANN)
        assert FailingStore.raised == 1
        assert await harness.store.count_open() == 0

    async def test_delivers_a_result_from_memory_and_stores_it_later(self, harness: JobHarness) -> None:
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            with FailingStore.failing(ClientError(), "put"):
                result = painting.finish(b"the picture")
                await harness.until(job, "delivered")
                await eventually(lambda: FailingStore.raised > 3)
                with pytest.raises(JobEnded):
                    await harness.jobs.picture(job.id, ANN)

            async def is_kept() -> bool:
                return (await harness.found(job)).painted is not None

            await eventually(is_kept)
            assert (await harness.jobs.picture(job.id, ANN))[1] == b"the picture"
        assert harness.replies.endings(job) == [result]
        assert len(harness.executor.paintings) == 1

    async def test_loses_no_result_that_cannot_be_delivered_either(self, harness: JobHarness) -> None:
        harness.replies.deliver = discord_is_unavailable
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            with FailingStore.failing(ClientError(), "put"):
                painting.finish(b"the picture")
                await harness.until(job, "delivering")
                harness.expire_now()
                await eventually(lambda: FailingStore.raised > 5)
                assert await harness.state(job) == "delivering"
            await harness.until(job, "delivered")
        assert (await harness.found(job)).delivered_by == "kept"
        assert (await harness.jobs.picture(job.id, ANN))[1] == b"the picture"
        assert len(harness.executor.paintings) == 1

    async def test_moves_its_jobs_to_the_end_of_the_queue(self, harness: JobHarness) -> None:
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN, b"ann")
            other = await harness.accept(BOB, b"bob")
            painting.fail(StorageFailed("ClientError"))
            painting = await harness.executor.painting(2)
            assert painting.content == b"bob"
            assert (await harness.state(job), harness.replies.endings(job)) == ("queued", [])
            painting.finish()
            await harness.until(other, "delivered")
            for number in range(3, 8):
                painting = await harness.executor.painting(number)
                assert painting.content == b"ann"
                painting.fail(StorageFailed("ClientError"))
            result = (await harness.executor.painting(8)).finish()
            await harness.until(job, "delivered")
        assert harness.replies.endings(job) == [result]

    @pytest.mark.parametrize("end", ["cancelled", "expired"])
    async def test_lets_waiting_jobs_be_cancelled_and_expire(self, harness: JobHarness, end: str) -> None:
        harness.back_off = wait_fixed(3600)
        harness.restart()
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            painting.fail(StorageFailed("ClientError"))
            await harness.until(job, "queued")
            other, painting = await harness.accept_and_paint(BOB)  # does not wait for the first job
            if end == "cancelled":
                await harness.jobs.cancel(job.id, Actor(ANN))
            else:
                painting.finish()
                await harness.until(other, "delivered")
                harness.expire_now()
            await harness.until(job, end)
        assert len(harness.replies.endings(job)) == 1
