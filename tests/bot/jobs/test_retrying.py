"""Failed jobs that an operator has painted again, and jobs that an operator cancels."""

import pytest

from bot.jobs.errors import (
    AlreadyPainting,
    Blocked,
    CancelledByOperator,
    DailyLimit,
    Draining,
    NotFailed,
    NotKept,
    TooManyJobs,
)
from bot.jobs.model import Job, State, new_id
from bot.jobs.rules import Quota
from engine.errors import OutOfMemory
from tests.bot.jobs.conftest import ANN, JobHarness

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


async def failed(harness: JobHarness) -> Job:
    """A job that has failed."""
    job, painting = await harness.accept_and_paint(ANN, b"photo")
    painting.fail(OutOfMemory(512))
    await harness.until(job, "failed")
    return job


async def test_a_failed_job_is_painted_again_in_its_reply(harness: JobHarness) -> None:
    async with harness.running():
        job = await failed(harness)
        again = await harness.jobs.retry(job.id)
        painting = await harness.executor.painting(2)
        assert (painting.recipe, painting.content, painting.styles) == (job.recipe, b"photo", [b"style"])
        with pytest.raises(AlreadyPainting):
            await harness.jobs.retry(job.id)
        painting.finish(b"the picture")
        await harness.until(again, "delivered")
    assert harness.replies.of(again).job.address == f"where job {job.id} was posted"
    assert (again.owner, again.guild_id, again.parent) == (job.owner, job.guild_id, job.id)
    assert (await harness.jobs.picture(again.id, ANN))[1] == b"the picture"


async def test_a_retry_counts_towards_the_limits_of_its_owner(harness: JobHarness) -> None:
    async with harness.running():
        job = await failed(harness)
        await harness.store.check_day(ANN, 7, Quota(per_day=1))
        again = await harness.jobs.retry(job.id)
        with pytest.raises(DailyLimit):
            await harness.store.check_day(ANN, 7, Quota(per_day=1))
        painting = await harness.executor.painting(2)
        painting.fail(OutOfMemory(512))
        await harness.until(again, "failed")
    harness.limit = 1
    harness.restart()
    async with harness.running():
        await harness.accept_and_paint(ANN)
        with pytest.raises(TooManyJobs):
            await harness.jobs.retry(again.id)


async def test_only_failed_jobs_are_retried_and_only_while_orders_are_accepted(harness: JobHarness) -> None:
    async with harness.running():
        job = await failed(harness)
        open_job, painting = await harness.accept_and_paint(ANN)
        for number, error in ((open_job.id, NotFailed), (new_id(), NotKept)):
            with pytest.raises(error):
                await harness.jobs.retry(number)
        painting.finish()
        await harness.until(open_job, "delivered")
        with pytest.raises(NotFailed):
            await harness.jobs.retry(open_job.id)
        await harness.store.switch("draining", on=True)
        with pytest.raises(Draining):
            await harness.jobs.retry(job.id)
        await harness.store.block(ANN)
        with pytest.raises(Blocked):
            await harness.jobs.retry(job.id)
    assert len(harness.executor.paintings) == 2


async def test_an_operator_can_cancel_any_job_and_its_owner_is_notified(harness: JobHarness) -> None:
    async with harness.running():
        job, painting = await harness.accept_and_paint(ANN)
        assert set(harness.jobs.painting) == {job.id}
        await harness.jobs.cancel_as_operator(job.id)
        assert painting.cancelled
        await harness.until(job, State.CANCELLED.value)
    assert [type(ending) for ending in harness.replies.endings(job)] == [CancelledByOperator]
