"""Jobs that continue from results, and what members can ask of running jobs."""

import asyncio
from dataclasses import replace

import pytest

from bot.jobs.database.claims import Owner, unclaim
from bot.jobs.errors import AlreadyPainting, JobEnded, NotBegun, NotKept, NotYourJob, StillOpen
from bot.jobs.model import Actor, Job, Order, State, new_id
from engine.errors import OutOfMemory
from engine.recipe import Inputs
from tests.bot.jobs.conftest import ANN, BOB, JobHarness, order
from tests.waiting import eventually


async def delivered(harness: JobHarness, state: bytes = b"final state") -> Job:
    """Ann's delivered painting, with its final state."""
    job, painting = await harness.accept_and_paint(ANN)
    painting.finish(b"painting", checkpoint=harness.blobs.put(state))
    await harness.until(job, "delivered")
    return await harness.found(job)


def from_result(parent: Job, owner: int = BOB, action: str = "stronger", **recipe: object) -> Order:
    """The order of a member who continues from a result."""
    changed = parent.recipe.model_copy(update={"continues": parent.final_state or "", **recipe})
    return replace(
        order(owner), inputs=Inputs(parent.inputs.content, parent.inputs.styles), recipe=changed, parent=parent.id,
        action=action,
    )  # fmt: skip


async def test_a_job_continues_from_a_result_and_keeps_its_pictures_if_the_result_is_deleted(
    harness: JobHarness,
) -> None:
    async with harness.running():
        parent = await delivered(harness)
        asked = from_result(parent, strength=75)
        with pytest.raises(NotYourJob):
            await harness.jobs.delete(parent.id, Actor(BOB))
        async with harness.jobs.admission(Actor(BOB), asked.id):
            child = await harness.jobs.accept(asked)
        painting = await harness.executor.painting(2)
        with pytest.raises(StillOpen):
            await harness.jobs.delete(child.id, Actor(BOB))
        await harness.jobs.delete(parent.id, Actor(ANN))
        assert harness.kept() == {b"content", b"style", b"final state"}
        assert (painting.content, painting.styles) == (b"content", [b"style"])
        assert painting.recipe == asked.recipe
        assert harness.blobs.get(painting.recipe.continues) == b"final state"
        painting.finish(b"stronger")
        await harness.until(child, "delivered")
        found = await harness.found(child)
        assert (found.parent, found.action, found.painted_recipe) == (parent.id, "stronger", asked.recipe)
        await harness.storage.sweep()
        await harness.jobs.delete(child.id, Actor(BOB))
        with pytest.raises(JobEnded):
            await harness.jobs.delete(child.id, Actor(BOB))
        with pytest.raises(NotKept):
            await harness.jobs.get(child.id)
        with pytest.raises(NotKept):
            async with harness.jobs.admission(Actor(BOB), "late"):
                await harness.jobs.accept(replace(asked, id=new_id()))


async def test_without_its_final_state_a_result_is_painted_from_the_start(harness: JobHarness) -> None:
    async with harness.running():
        parent = await delivered(harness)
        asked = from_result(parent)
        async with harness.store._changing() as connection:
            await unclaim(connection, Owner("job", parent.id), ["state"])
        async with harness.jobs.admission(Actor(BOB), asked.id):
            child = await harness.jobs.accept(asked)
        painting = await harness.executor.painting(2)
        painting.finish(recipe=asked.recipe.whole)
        await harness.until(child, "delivered")
        assert (await harness.found(child)).painted_recipe == asked.recipe.whole


async def test_pressing_twice_makes_one_job_until_it_is_delivered(harness: JobHarness) -> None:
    async with harness.running():
        parent = await delivered(harness)

        async def press(owner: int, action: str) -> Job:
            asked = from_result(parent, owner, action)
            async with harness.jobs.admission(Actor(owner), asked.id):
                return await harness.jobs.accept(asked)

        first, second = await asyncio.gather(press(BOB, "stronger"), press(BOB, "stronger"), return_exceptions=True)
        assert {type(first), type(second)} == {AlreadyPainting, Job}
        job = first if isinstance(first, Job) else second
        assert isinstance(job, Job)
        await press(BOB, "weaker")
        await press(ANN, "stronger")
        painting = await harness.executor.painting(2)
        with pytest.raises(AlreadyPainting):
            await press(BOB, "stronger")
        painting.finish()
        await harness.until(job, "delivered")
        await press(BOB, "stronger")


async def test_a_request_to_finish_a_job_early_survives_a_restart(harness: JobHarness) -> None:
    async with harness.running():
        job, painting = await harness.accept_and_paint(ANN)
        waiting = await harness.accept(ANN)
        with pytest.raises(NotBegun):
            await harness.jobs.finish(waiting.id, Actor(ANN))
        with pytest.raises(NotYourJob):
            await harness.jobs.finish(job.id, Actor(BOB))
        await harness.jobs.finish(job.id, Actor(ANN))
        assert painting.finishing
    harness.restart()
    async with harness.running():
        painting = await harness.executor.painting(2)
        await eventually(lambda: painting.finishing)
        painting.finish(ending="stopped")
        await harness.until(job, "delivered")
        with pytest.raises(JobEnded):
            await harness.jobs.finish(job.id, Actor(ANN))


async def test_the_owner_is_mentioned_once_if_they_asked_for_it(harness: JobHarness) -> None:
    async with harness.running():
        wanted, painting = await harness.accept_and_paint(ANN)
        with pytest.raises(NotYourJob):
            await harness.jobs.toggle_ping(wanted.id, Actor(BOB))
        assert await harness.jobs.toggle_ping(wanted.id, Actor(ANN))
        painting.show(3, checkpoint=b"half")
    harness.restart()
    async with harness.running():
        (await harness.executor.painting(2)).finish()
        await harness.until(wanted, "delivered")
        unwanted, painting = await harness.accept_and_paint(ANN)
        assert await harness.jobs.toggle_ping(unwanted.id, Actor(ANN))
        assert not await harness.jobs.toggle_ping(unwanted.id, Actor(ANN))
        painting.fail(OutOfMemory(512))
        await harness.until(unwanted, "failed")
        cancelled, _ = await harness.accept_and_paint(ANN)
        assert await harness.jobs.toggle_ping(cancelled.id, Actor(ANN))
        await harness.jobs.cancel(cancelled.id, Actor(ANN))
        await harness.until(cancelled, "cancelled")
        with pytest.raises(JobEnded):
            await harness.jobs.toggle_ping(cancelled.id, Actor(ANN))
    pings = [(reply.job.id, call) for reply in harness.replies.made for call in reply.calls if call[0] == "pinged"]
    assert pings == [(wanted.id, ("pinged", State.DELIVERED))]


async def test_a_changed_part_is_painted_from_the_start(harness: JobHarness) -> None:
    async with harness.running():
        job, first = await harness.accept_and_paint(ANN)
        first.show(3, preview=b"preview", checkpoint=b"checkpoint")
        await eventually_checkpointed(harness, job)
        with pytest.raises(NotYourJob):
            await harness.jobs.change_part(job.id, Actor(BOB), "subject", 0)
        with pytest.raises(ValueError, match="spread"):
            await harness.jobs.change_part(job.id, Actor(ANN), "subject", 99)
        for _ in range(2):  # the second press changes nothing
            await harness.jobs.change_part(job.id, Actor(ANN), "subject", 2)
        second = await harness.executor.painting(2)
        assert first.cancelled
        assert (second.recipe.where, second.recipe.spread, second.resume) == ("subject", 2, None)
        await harness.jobs.change_part(job.id, Actor(ANN), "subject", 2)
        assert not second.cancelled
        second.finish(b"the subject")
        await harness.until(job, "delivered")
        found = await harness.found(job)
        assert (found.frames, found.painted_recipe.where) == ({}, "subject")
        assert len(harness.executor.paintings) == 2
        with pytest.raises(JobEnded):
            await harness.jobs.change_part(job.id, Actor(ANN), "background", 0)


async def eventually_checkpointed(harness: JobHarness, job: Job) -> None:
    """Wait until the job has a checkpoint and a frame."""

    async def has_both() -> bool:
        found = await harness.found(job)
        return found.checkpoint is not None and bool(found.frames)

    await eventually(has_both)
