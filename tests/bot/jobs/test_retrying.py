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
from tests.bot.jobs.conftest import ANN, Workshop

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


async def failed(workshop: Workshop) -> Job:
    """A job that has failed."""
    job, painting = await workshop.accept_and_paint(ANN, b"photo")
    painting.fail(OutOfMemory(512))
    await workshop.until(job, "failed")
    return job


async def test_a_failed_job_is_painted_again_in_its_reply(workshop: Workshop) -> None:
    async with workshop.running():
        job = await failed(workshop)
        again = await workshop.jobs.retry(job.id)
        painting = await workshop.executor.painting(2)
        assert (painting.recipe, painting.content, painting.styles) == (job.recipe, b"photo", [b"style"])
        with pytest.raises(AlreadyPainting):
            await workshop.jobs.retry(job.id)
        painting.finish(b"the picture")
        await workshop.until(again, "delivered")
    assert workshop.replies.of(again).job.address == f"where job {job.id} was posted"
    assert (again.owner, again.guild_id, again.parent) == (job.owner, job.guild_id, job.id)
    assert (await workshop.jobs.picture(again.id, ANN))[1] == b"the picture"


async def test_a_retry_counts_towards_the_limits_of_its_owner(workshop: Workshop) -> None:
    async with workshop.running():
        job = await failed(workshop)
        await workshop.store.check_day(ANN, 7, Quota(per_day=1))
        again = await workshop.jobs.retry(job.id)
        with pytest.raises(DailyLimit):
            await workshop.store.check_day(ANN, 7, Quota(per_day=1))
        painting = await workshop.executor.painting(2)
        painting.fail(OutOfMemory(512))
        await workshop.until(again, "failed")
    workshop.limit = 1
    workshop.restart()
    async with workshop.running():
        await workshop.accept_and_paint(ANN)
        with pytest.raises(TooManyJobs):
            await workshop.jobs.retry(again.id)


async def test_only_failed_jobs_are_retried_and_only_while_orders_are_accepted(workshop: Workshop) -> None:
    async with workshop.running():
        job = await failed(workshop)
        open_job, painting = await workshop.accept_and_paint(ANN)
        for number, error in ((open_job.id, NotFailed), (new_id(), NotKept)):
            with pytest.raises(error):
                await workshop.jobs.retry(number)
        painting.finish()
        await workshop.until(open_job, "delivered")
        with pytest.raises(NotFailed):
            await workshop.jobs.retry(open_job.id)
        await workshop.store.switch("draining", on=True)
        with pytest.raises(Draining):
            await workshop.jobs.retry(job.id)
        await workshop.store.block(ANN)
        with pytest.raises(Blocked):
            await workshop.jobs.retry(job.id)
    assert len(workshop.executor.paintings) == 2


async def test_an_operator_can_cancel_any_job_and_its_owner_is_notified(workshop: Workshop) -> None:
    async with workshop.running():
        job, painting = await workshop.accept_and_paint(ANN)
        assert set(workshop.jobs.painting) == {job.id}
        await workshop.jobs.cancel_as_operator(job.id)
        assert painting.cancelled
        await workshop.until(job, State.CANCELLED.value)
    assert [type(ending) for ending in workshop.replies.endings(job)] == [CancelledByOperator]
