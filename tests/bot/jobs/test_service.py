"""The service of jobs: each job gets its turn, its one end, and survives whatever happens to the process."""

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from sqlalchemy import text, update
from sqlalchemy.event import listen
from sqlalchemy.exc import OperationalError

from bot import words
from bot.jobs import patience, work
from bot.jobs.errors import (
    AlreadyAccepted,
    Closing,
    DeliveryDelayed,
    JobEnded,
    JobExpired,
    JobUnreadable,
    NotYourJob,
    PictureRejected,
    TooManyJobs,
    UnexpectedError,
)
from bot.jobs.job import Ending, Job, State, Way, new_id
from bot.jobs.places import FAR_A_SECOND, FAR_EVERY, LANE_EVERY, NEAR
from bot.jobs.storage import Room
from bot.jobs.store import Store
from bot.jobs.tables import JobRow
from engine.blobs import Blobs
from engine.errors import BlobLost, NotAPicture, OutOfMemory, PaintingCancelled, StorageFailed, StorageFull, WorkerLost
from engine.progress import Result
from engine.recipe import Recipe
from tests.bot.jobs.conftest import Canvas, Noted, Workshop, eventually, order
from tests.shaky import ClientError, Shaky, new_place

ANN, BOB, CID = 1, 2, 3
RECIPE_OF_VERSION_1 = (
    '{"version":1,"method":"gatys","size":384,"steps":50,"strength":70.0,"content_weight":1.0,"style_weight":1.0,'
    '"content_layers":{"relu4_2":1.0},'
    '"style_layers":{"relu1_1":1.0,"relu2_1":1.0,"relu3_1":1.0,"relu4_1":1.0,"relu5_1":1.0},'
    '"style_shares":[],"colours":"content","noise":0.03,"seed":7,"precision":"auto"}'
)
"""As the first version of the program wrote it."""
PAINTED_OF_VERSION_1 = (
    '{"picture": "PICTURE", "format": "png", "width": 384, "height": 288, "steps": 50, "seconds": 9.5, '
    '"ending": "finished"}'
)


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """What is logged, with what is bound to the context."""
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as entries:
        yield entries


async def discord_is_gone(_: Ending) -> Way:
    raise DeliveryDelayed("Discord is gone")


def entry(logged: list[Any], event: str) -> dict[str, Any]:
    """The one log entry of this name."""
    (found,) = [each for each in logged if each["event"] == event]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    for module in (patience, work):
        monkeypatch.setattr(module, "pauses", lambda: iter([0.0] * 1000))


class TestAJob:
    async def test_is_queued_painted_shown_and_delivered_in_this_order(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint()
            shown = [canvas.show(step, preview=b"preview") for step in (1, 5, 10)]
            result = canvas.finish(b"the picture")
            await workshop.until(job, "delivered")
        assert workshop.desk.of(job).calls == [
            *(("progressed", progress) for progress in shown),
            ("delivered", result),
        ]

    async def test_reaches_the_painter_as_it_was_ordered(self, workshop: Workshop) -> None:
        recipe = Recipe(size=777, strength=12, seed=5)
        async with workshop.running():
            await workshop.jobs.accept(order(ANN, b"photo", b"style 1", b"style 2", recipe=recipe))
            canvas = await workshop.studio.canvas()
            assert (canvas.recipe, canvas.content, canvas.styles) == (recipe, b"photo", [b"style 1", b"style 2"])
            assert (canvas.resume, canvas.max_bytes) == (None, 10_000_000)

    async def test_is_stored_with_its_pictures_before_it_is_acknowledged(self, workshop: Workshop) -> None:
        job = await workshop.accept(ANN, b"photo", b"style")
        found = await workshop.found(job)
        assert (found.state, found.address, found.owner) == (State.QUEUED, "the secret address of 1", ANN)
        assert workshop.blobs.get(found.content) == b"photo"
        assert [workshop.blobs.get(style) for style in found.styles] == [b"style"]

    async def test_moves_through_its_states_while_it_is_made(self, workshop: Workshop) -> None:
        may_arrive = workshop.desk.hold("edit")
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint()
            assert await workshop.state(job) == "running"
            canvas.finish(b"the picture")
            await workshop.until(job, "delivering")
            may_arrive.set()
            await workshop.until(job, "delivered")
        assert (await workshop.found(job)).way == "edit"

    async def test_that_was_delivered_keeps_its_pictures_but_neither_checkpoint_nor_address(
        self, workshop: Workshop
    ) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN, b"photo")
            canvas.show(5, checkpoint=b"checkpoint")
            canvas.finish(b"painting")
            await workshop.until(job, "delivered")
            await eventually(lambda: workshop.kept() == {b"photo", b"style", b"painting"})
        assert (await workshop.found(job)).address == ""
        assert await workshop.jobs.picture(job.id, ANN) == (await workshop.found(job), b"painting")

    async def test_keeps_its_last_checkpoint_alone(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint()
            canvas.show(1, checkpoint=b"first")
            canvas.show(2)
            canvas.show(3, checkpoint=b"second")
            canvas.show(4)
            await eventually(lambda: len(workshop.desk.of(job).calls) == 4)
            assert workshop.kept() == {b"content", b"style", b"second"}


class TestTheLine:
    async def test_is_told_place_by_place_and_each_once(self, workshop: Workshop) -> None:
        async with workshop.running():
            _, canvas = await workshop.accept_and_paint(ANN)
            bob, cid = await workshop.accept(BOB), await workshop.accept(CID)
            await eventually(lambda: [workshop.desk.of(job).places for job in (bob, cid)] == [[1], [2]])
            canvas.finish()
            second = await workshop.studio.canvas(2)
            await eventually(lambda: workshop.desk.of(cid).places == [2, 1])
            second.finish()
            (await workshop.studio.canvas(3)).finish()
            await workshop.until(cid, "delivered")
            assert [workshop.desk.of(job).places for job in (bob, cid)] == [[1], [2, 1]]

    async def test_lets_members_take_turns(self, workshop: Workshop) -> None:
        async with workshop.running():
            _, canvas = await workshop.accept_and_paint(CID, b"cid")
            for content in (b"ann 1", b"ann 2", b"ann 3"):
                await workshop.accept(ANN, content)
            await workshop.accept(BOB, b"bob 1")
            for number in range(2, 6):
                canvas.finish()
                canvas = await workshop.studio.canvas(number)
            assert [each.content for each in workshop.studio.canvases[1:]] == [b"ann 1", b"bob 1", b"ann 2", b"ann 3"]

    async def test_moves_up_when_somebody_ahead_cancels(self, workshop: Workshop) -> None:
        async with workshop.running():
            await workshop.accept_and_paint(ANN)
            bob, cid = await workshop.accept(BOB), await workshop.accept(CID)
            await eventually(lambda: workshop.desk.of(cid).places == [2])
            await workshop.jobs.cancel(bob.id, BOB)
            await eventually(lambda: workshop.desk.of(cid).places[-1:] == [1])

    async def test_that_is_long_costs_few_edits_and_statements(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The line that another process left: near the front each change is told, further behind a few in a second."""
        workshop.studio.slots_now = 0
        jobs = [await workshop.accept(owner) for owner in range(60)]
        await workshop.store.leave(workshop.jobs.process)
        now = 1000.0
        monkeypatch.setattr("bot.jobs.places.time", SimpleNamespace(monotonic=lambda: now))
        workshop.desk.replies.clear()
        workshop.open_anew()
        statements: list[str] = []
        engine = workshop.store._engine.sync_engine
        listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))

        def told() -> int:
            return sum(len(reply.places) for reply in workshop.desk.replies)

        async def look() -> int:
            """How many statements read whole jobs until the next two looks are over."""
            since = len(statements)
            lines = sum("row_number" in each for each in statements)
            await eventually(lambda: sum("row_number" in each for each in statements) >= lines + 3)
            return sum("jobs.recipe" in each for each in statements[since:])

        async with workshop.running():
            await eventually(lambda: told() == NEAR + FAR_A_SECOND)
            assert await look() == 0
            assert sum("jobs.recipe" in each for each in statements) == 1
            assert [workshop.desk.of(job).places for job in jobs[:10]] == [[place] for place in range(1, 11)]
            now += LANE_EVERY
            assert await look() == 1
            assert told() == NEAR + 2 * FAR_A_SECOND
            # One leaves at the front: of those that read a place, only the near ones read the next at once.
            await workshop.jobs.cancel(jobs[0].id, 0)
            await workshop.until(jobs[0], "cancelled")
            await look()
            assert [workshop.desk.of(job).places for job in jobs[1:7]] == [[2, 1], [3, 2], [4, 3], [5, 4], [6, 5], [7]]
            now += FAR_EVERY
            await look()
            assert told() == NEAR + 3 * FAR_A_SECOND + NEAR
            # Those who wait for their first place are before those who read one.
            assert [len(workshop.desk.of(job).places) for job in jobs[6:20]] == [1] * 14
            new = await workshop.accept(1000)
            await eventually(lambda: workshop.desk.of(new).places == [60])

    async def test_shares_the_limit_of_a_channel_with_others(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 1000.0
        monkeypatch.setattr("bot.jobs.places.time", SimpleNamespace(monotonic=lambda: now))
        workshop.studio.slots_now = 0
        jobs = [await workshop.accept(owner) for owner in range(3)]
        for job, lane in zip(jobs, ("old channel", "old channel", "elsewhere"), strict=True):
            workshop.desk.of(job).lane = lane
        async with workshop.running():
            await eventually(lambda: [workshop.desk.of(job).places for job in jobs] == [[1], [], [3]])
            now += LANE_EVERY
            await eventually(lambda: [workshop.desk.of(job).places for job in jobs] == [[1], [2], [3]])

    async def test_is_painted_side_by_side_where_there_are_workers(self, workshop: Workshop) -> None:
        workshop.studio.slots_now = 3
        async with workshop.running():
            jobs = [await workshop.accept(owner) for owner in range(4)]
            await workshop.studio.canvas(3)
            assert [await workshop.state(job) for job in jobs] == ["running"] * 3 + ["queued"]
            workshop.studio.canvases[1].finish()
            await workshop.studio.canvas(4)
            assert len(workshop.studio.busy) == 3

    async def test_is_begun_a_little_early_where_there_are_many_workers(self, workshop: Workshop) -> None:
        workshop.studio.slots_now, workshop.limit = 10, 20
        workshop.open_anew()
        async with workshop.running():
            for _ in range(13):
                await workshop.accept(ANN)
            await workshop.studio.canvas(11)
            line = await workshop.store.line(workshop.jobs.process, workshop.studio.pool)
            assert (line.running, len(line.waiting)) == (11, 2)

    async def test_is_painted_one_by_one_with_one_worker(self, workshop: Workshop) -> None:
        async with workshop.running():
            jobs = [await workshop.accept(owner) for owner in range(5)]
            for number in range(1, 6):
                canvas = await workshop.studio.canvas(number)
                assert workshop.studio.busy == [canvas]
                canvas.finish()
            await workshop.until(jobs[-1], "delivered")

    async def test_goes_on_when_the_scheduler_starts_anew(self, workshop: Workshop) -> None:
        workshop.studio.slots_now = 0
        async with workshop.running():
            job = await workshop.accept(ANN)
            await eventually(lambda: len(workshop.desk.replies) == 1)
            workshop.studio.pool, workshop.studio.slots_now = "another studio", 1
            (await workshop.studio.canvas()).finish()
            await workshop.until(job, "delivered")

    async def test_uses_workers_that_join_later(self, workshop: Workshop) -> None:
        workshop.studio.slots_now = 0
        async with workshop.running():
            jobs = [await workshop.accept(ANN), await workshop.accept(BOB)]
            await eventually(lambda: [workshop.desk.of(job).places for job in jobs] == [[1], [2]])
            assert workshop.studio.canvases == []
            workshop.studio.slots_now = 2
            for number in (1, 2):
                (await workshop.studio.canvas(number)).finish()
            for job in jobs:
                await workshop.until(job, "delivered")


class TestTheLimit:
    async def test_refuses_one_job_too_many(self, workshop: Workshop) -> None:
        workshop.limit = 2
        workshop.open_anew()
        for _ in range(2):
            await workshop.accept(ANN)
        with pytest.raises(TooManyJobs) as refused:
            await workshop.accept(ANN)
        assert refused.value.limit == 2
        await workshop.accept(BOB)
        assert (await workshop.store.count_open(ANN), await workshop.store.count_open()) == (2, 3)

    async def test_counts_what_is_painted_and_frees_what_ended(self, workshop: Workshop) -> None:
        workshop.limit = 1
        workshop.open_anew()
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            with pytest.raises(TooManyJobs):
                await workshop.accept(ANN)
            canvas.finish()
            await workshop.until(job, "delivered")
            await workshop.accept(ANN)

    async def test_holds_for_orders_that_come_at_once(self, workshop: Workshop) -> None:
        workshop.limit = 2
        workshop.open_anew()
        outcomes = await asyncio.gather(*(workshop.accept(ANN) for _ in range(6)), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Job"] * 2 + ["TooManyJobs"] * 4
        assert await workshop.store.count_open(ANN) == 2

    async def test_lets_no_more_pictures_be_looked_at_than_it_may_accept(self, workshop: Workshop) -> None:
        workshop.limit = 2
        workshop.open_anew()
        workshop.studio.may_check.clear()
        flood = [asyncio.create_task(workshop.accept(ANN)) for _ in range(20)]
        await eventually(lambda: sum(task.done() for task in flood) == 18)
        assert workshop.studio.checks == 2
        workshop.studio.may_check.set()
        await asyncio.gather(*flood, return_exceptions=True)
        assert await workshop.store.count_open(ANN) == 2

    async def test_counts_an_order_once_while_it_is_stored(self, workshop: Workshop) -> None:
        """Another order of its member comes when the first is committed and has not returned yet."""
        workshop.limit = 2
        workshop.open_anew()
        add, committed, may_return = workshop.store.add, asyncio.Event(), asyncio.Event()

        async def slowly(*arguments: Any) -> None:
            await add(*arguments)
            committed.set()
            await may_return.wait()

        workshop.store.add = slowly  # type: ignore[assignment, method-assign]
        first = asyncio.create_task(workshop.accept(ANN))
        await committed.wait()
        second = asyncio.create_task(workshop.accept(ANN))
        await eventually(lambda: second.done() or workshop.studio.checks == 4)
        with pytest.raises(TooManyJobs):
            await workshop.accept(ANN)
        may_return.set()
        assert {(await first).id, (await second).id} == {job.id for job in await workshop.store.open_jobs(ANN)}

    @pytest.mark.parametrize("stored", [True, False])
    async def test_counts_an_order_that_ends_its_way_while_the_database_is_read(
        self, workshop: Workshop, stored: bool
    ) -> None:
        """If it is stored, the look at the database was too early for it; if it is refused, it never counts."""
        workshop.limit = 1
        workshop.open_anew()
        workshop.studio.refused[b"bad"] = NotAPicture()
        open_jobs, seen, may_return = workshop.store.open_jobs, asyncio.Event(), asyncio.Event()

        async def slowly(owner: int) -> list[Job]:
            found = await open_jobs(owner)
            seen.set()
            await may_return.wait()
            return found

        workshop.studio.may_check.clear()
        first = asyncio.create_task(workshop.accept(ANN, b"good" if stored else b"bad"))
        await eventually(lambda: workshop.studio.checks == 1)
        workshop.store.open_jobs = slowly  # type: ignore[method-assign]
        second = asyncio.create_task(workshop.accept(ANN))
        await seen.wait()
        workshop.studio.may_check.set()
        await asyncio.wait([first])
        looked_at = workshop.studio.checks
        may_return.set()
        if stored:
            with pytest.raises(TooManyJobs):
                await second
            assert workshop.studio.checks == looked_at
        else:
            await second
        assert await workshop.store.count_open(ANN) == 1

    async def test_does_not_count_what_can_not_be_read(self, workshop: Workshop) -> None:
        workshop.limit = 1
        workshop.open_anew()
        damaged = await workshop.accept(ANN)
        async with workshop.store._engine.begin() as connection:
            await connection.execute(text("UPDATE jobs SET recipe = '{'"))
        async with workshop.jobs.admission(ANN, "another"):
            pass
        workshop.studio.slots_now = 0
        async with workshop.running():
            await workshop.until(damaged, "failed")
            await workshop.accept(ANN)

    async def test_is_not_used_up_by_orders_that_were_refused(self, workshop: Workshop) -> None:
        workshop.limit = 1
        workshop.open_anew()
        workshop.studio.refused[b"bad"] = NotAPicture()
        for _ in range(2):
            with pytest.raises(PictureRejected):
                await workshop.accept(ANN, b"bad")
        await workshop.accept(ANN)


class TestARefusedOrder:
    async def test_that_arrives_twice_is_one_job(self, workshop: Workshop) -> None:
        once = order(ANN)
        await workshop.jobs.accept(once)
        with pytest.raises(AlreadyAccepted):
            await workshop.jobs.accept(once)
        assert await workshop.store.count_open() == 1

    @pytest.mark.parametrize(
        ("content", "styles", "role"), [(b"bad", b"good", "content"), (b"good", b"bad", "style 2")]
    )
    async def test_says_which_picture_and_why(
        self, workshop: Workshop, content: bytes, styles: bytes, role: str
    ) -> None:
        reason = workshop.studio.refused[b"bad"] = NotAPicture()
        with pytest.raises(PictureRejected) as refused:
            await workshop.accept(ANN, content, b"good", styles)
        assert (refused.value.role, refused.value.reason) == (role, reason)
        assert await workshop.store.count_open() == 0
        assert (workshop.kept(), workshop.desk.replies) == (set(), [])

    async def test_by_a_worker_that_died_looking_is_told_as_such(self, workshop: Workshop) -> None:
        workshop.studio.refused[b"bomb"] = WorkerLost(1)
        with pytest.raises(WorkerLost):
            await workshop.accept(ANN, b"bomb")

    @pytest.mark.parametrize("room", [Room(most=1000, free=0), Room(free=2**62)])
    async def test_for_want_of_room_leaves_what_is_there_alone(self, workshop: Workshop, room: Room) -> None:
        workshop.room = room
        workshop.open_anew()
        with pytest.raises(StorageFull):
            await workshop.accept(ANN, bytes(2000))
        assert await workshop.store.count_open() == 0

    async def test_because_the_bot_goes_down_is_refused_at_once(self, workshop: Workshop) -> None:
        async with workshop.running():
            pass
        with pytest.raises(Closing):
            await workshop.accept(ANN)


class TestCancelling:
    async def test_while_queued_ends_the_job_unpainted(self, workshop: Workshop) -> None:
        async with workshop.running():
            first, canvas = await workshop.accept_and_paint(ANN)
            job = await workshop.accept(BOB)
            await workshop.jobs.cancel(job.id, BOB)
            await workshop.until(job, "cancelled")
            canvas.finish()
            await workshop.until(first, "delivered")
        assert [type(ending) for ending in workshop.desk.told(job)] == [PaintingCancelled]
        assert len(workshop.studio.canvases) == 1

    async def test_while_painted_frees_the_worker_for_the_next(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            other = await workshop.accept(BOB)
            canvas.show(3, checkpoint=b"checkpoint")
            await eventually(lambda: "progressed" in workshop.desk.of(job).names)
            await workshop.jobs.cancel(job.id, ANN)
            assert canvas.cancelled
            await workshop.until(job, "cancelled")
            (await workshop.studio.canvas(2)).finish()
            await workshop.until(other, "delivered")
            assert b"checkpoint" not in workshop.kept()
        assert [type(ending) for ending in workshop.desk.told(job)] == [PaintingCancelled]

    async def test_of_several_in_another_process_while_one_of_them_ends(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cancel = Canvas.cancel

        async def slowly(canvas: Canvas) -> None:
            await asyncio.sleep(0.1)
            await cancel(canvas)

        monkeypatch.setattr(Canvas, "cancel", slowly)
        workshop.studio.slots_now = 4
        async with workshop.running():
            jobs = [(await workshop.accept_and_paint(owner))[0] for owner in (ANN, BOB, CID)]
            await asyncio.gather(*(workshop.store.give_up(job.id, PaintingCancelled()) for job in jobs))
            for job in jobs:
                await workshop.until(job, "cancelled")
        assert [len(workshop.desk.told(job)) for job in jobs] == [1, 1, 1]

    async def test_in_another_process_stops_the_painting_here(self, workshop: Workshop) -> None:
        here = workshop.jobs
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            workshop.open_anew()
            await workshop.jobs.cancel(job.id, ANN)
            workshop.jobs = here
            await eventually(lambda: canvas.cancelled)
            await workshop.until(job, "cancelled")
        assert [type(ending) for ending in workshop.desk.told(job)] == [PaintingCancelled]

    async def test_while_delivered_comes_too_late(self, workshop: Workshop) -> None:
        may_arrive = workshop.desk.hold("token")
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            result = canvas.finish()
            await workshop.until(job, "delivering")
            with pytest.raises(JobEnded):
                await workshop.jobs.cancel(job.id, ANN)
            may_arrive.set()
            await workshop.until(job, "delivered")
        assert workshop.desk.told(job) == [result]

    @pytest.mark.parametrize("painted", [False, True])
    async def test_twice_says_that_it_has_ended(self, workshop: Workshop, painted: bool) -> None:
        async with workshop.running():
            job, _ = await workshop.accept_and_paint(ANN)
            if not painted:
                job = await workshop.accept(ANN)
            outcomes = await asyncio.gather(
                *(workshop.jobs.cancel(job.id, ANN) for _ in range(3)), return_exceptions=True
            )
            assert sorted(str(type(outcome).__name__) for outcome in outcomes) == ["JobEnded", "JobEnded", "NoneType"]
            await workshop.until(job, "cancelled")
            with pytest.raises(JobEnded):
                await workshop.jobs.cancel(job.id, ANN)
        assert len(workshop.desk.told(job)) == 1

    async def test_by_somebody_else_changes_nothing(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            waiting = await workshop.accept(ANN)
            for each in (job, waiting):
                with pytest.raises(NotYourJob):
                    await workshop.jobs.cancel(each.id, BOB)
            assert not canvas.cancelled
            assert [await workshop.state(each) for each in (job, waiting)] == ["running", "queued"]

    async def test_what_was_delivered_or_never_there_says_that_it_has_ended(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            canvas.finish()
            await workshop.until(job, "delivered")
            for gone in (job.id, new_id()):
                with pytest.raises(JobEnded):
                    await workshop.jobs.cancel(gone, ANN)

    @pytest.mark.parametrize("patience", range(6))
    async def test_at_the_moment_it_finishes_ends_one_way_or_the_other(self, workshop: Workshop, patience: int) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            canvas.finish()
            for _ in range(patience):
                await asyncio.sleep(0)
            try:
                await workshop.jobs.cancel(job.id, ANN)
                end = "cancelled"
            except JobEnded:
                end = "delivered"
            await workshop.until(job, end)
        (told,) = workshop.desk.told(job)
        assert isinstance(told, PaintingCancelled if end == "cancelled" else Result)


class TestAFailure:
    async def test_of_painting_is_told_once_and_the_next_job_is_painted(
        self, workshop: Workshop, logged: list[Any]
    ) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            other = await workshop.accept(BOB)
            canvas.fail(OutOfMemory(512))
            await workshop.until(job, "failed")
            (await workshop.studio.canvas(2)).finish()
            await workshop.until(other, "delivered")
        (told,) = workshop.desk.told(job)
        assert isinstance(told, OutOfMemory)
        assert told.size == 512
        failed = entry(logged, "job failed")
        assert (failed["job"], failed["error"]) == (job.id, "OutOfMemory(512)")

    async def test_that_nobody_expected_gets_a_reference_that_is_in_the_log(
        self, workshop: Workshop, logged: list[Any]
    ) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            canvas.fail(RuntimeError("a bug"))
            await workshop.until(job, "failed")
            (error,) = workshop.desk.told(job)
            assert isinstance(error, UnexpectedError)
            assert error.reference == job.id
            assert await workshop.accept_and_paint(ANN)
        unexpected = entry(logged, "job failed unexpectedly")
        assert (unexpected["job"], unexpected["exc_info"]) == (job.id, True)

    async def test_of_the_disk_ends_one_job_alone(self, workshop: Workshop) -> None:
        job = await workshop.accept(ANN, b"ann")
        workshop.blobs.remove(job.content)
        other = await workshop.accept(BOB, b"bob")
        async with workshop.running():
            await workshop.until(job, "failed")
            (await workshop.studio.canvas()).finish()
            await workshop.until(other, "delivered")
        assert isinstance(workshop.desk.told(job)[0], BlobLost)

    async def test_to_keep_the_result_still_delivers_it(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def full(_: bytes) -> str:
            raise StorageFull

        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            monkeypatch.setattr(workshop.storage, "put", full)
            result = canvas.finish()
            await workshop.until(job, "delivered")
        assert workshop.desk.told(job) == [result]
        with pytest.raises(JobEnded):
            await workshop.jobs.picture(job.id, ANN)

    @pytest.mark.usefixtures("no_pauses")
    async def test_to_deliver_is_tried_until_it_works(self, workshop: Workshop) -> None:
        troubles: list[Exception] = [DeliveryDelayed("502"), RuntimeError("a bug"), DeliveryDelayed("reset")]

        async def deliver(_: Ending) -> Way:
            if troubles:
                raise troubles.pop()
            return "post"

        workshop.desk.deliver = deliver
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            result = canvas.finish()
            await workshop.until(job, "delivered")
        assert (await workshop.found(job)).way == "post"
        assert workshop.desk.told(job) == [result]

    @pytest.mark.usefixtures("no_pauses")
    async def test_to_deliver_within_its_time_keeps_the_picture_for_the_member(self, workshop: Workshop) -> None:
        workshop.desk.deliver = discord_is_gone
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            workshop.jobs._work._expire_after = timedelta(0)
            canvas.finish(b"a long night's work")
            await workshop.until(job, "delivered")
        assert (await workshop.found(job)).way == "kept"
        assert (await workshop.jobs.picture(job.id, ANN))[1] == b"a long night's work"

    @pytest.mark.parametrize("name", ["finish", "conclude", "set_checkpoint", "line", "in_care", "claim", "give_up"])
    @pytest.mark.usefixtures("no_pauses")
    async def test_of_the_database_for_a_while_loses_nothing(self, workshop: Workshop, name: str) -> None:
        workshop.store = FlakyStore(workshop.store, name)
        workshop.open_anew()
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            canvas.show(5, checkpoint=b"checkpoint")
            if name == "give_up":
                canvas.fail(OutOfMemory(512))
                await workshop.until(job, "failed")
            else:
                canvas.finish()
                await workshop.until(job, "delivered")
        assert workshop.store.failed == (1 if name == "set_checkpoint" else 3)
        assert len(workshop.desk.told(job)) == 1


class TestAStoreOutOfOrder:
    """Whatever its library raises, jobs wait for it."""

    @pytest.fixture(autouse=True)
    def short_pauses(self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (patience, work):
            monkeypatch.setattr(module, "pauses", lambda: itertools.repeat(0.02))
        workshop.use(Blobs(new_place()))

    async def test_refuses_an_order_in_words(self, workshop: Workshop) -> None:
        with Shaky.troubled(ClientError(), "put"), pytest.raises(StorageFailed):
            await workshop.accept(ANN)
        assert Shaky.raised == 1
        assert await workshop.store.count_open() == 0

    async def test_has_what_is_finished_told_from_memory_and_kept_when_it_is_back(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            with Shaky.troubled(ClientError(), "put"):
                result = canvas.finish(b"the picture")
                await workshop.until(job, "delivered")
                await eventually(lambda: Shaky.raised > 3)
                with pytest.raises(JobEnded):
                    await workshop.jobs.picture(job.id, ANN)

            async def is_kept() -> bool:
                return (await workshop.found(job)).painted is not None

            await eventually(is_kept)
            assert (await workshop.jobs.picture(job.id, ANN))[1] == b"the picture"
        assert workshop.desk.told(job) == [result]
        assert len(workshop.studio.canvases) == 1

    async def test_does_not_lose_what_can_not_be_told_either(self, workshop: Workshop) -> None:
        workshop.desk.deliver = discord_is_gone
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            with Shaky.troubled(ClientError(), "put"):
                canvas.finish(b"the picture")
                await workshop.until(job, "delivering")
                workshop.expire_now()
                await eventually(lambda: Shaky.raised > 5)
                assert await workshop.state(job) == "delivering"
            await workshop.until(job, "delivered")
        assert (await workshop.found(job)).way == "kept"
        assert (await workshop.jobs.picture(job.id, ANN))[1] == b"the picture"
        assert len(workshop.studio.canvases) == 1

    async def test_has_its_jobs_tried_again_behind_the_others(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN, b"ann")
            other = await workshop.accept(BOB, b"bob")
            canvas.fail(StorageFailed("ClientError"))
            canvas = await workshop.studio.canvas(2)
            assert canvas.content == b"bob"
            assert (await workshop.state(job), workshop.desk.told(job)) == ("queued", [])
            canvas.finish()
            await workshop.until(other, "delivered")
            for number in range(3, 8):
                canvas = await workshop.studio.canvas(number)
                assert canvas.content == b"ann"
                canvas.fail(StorageFailed("ClientError"))
            result = (await workshop.studio.canvas(8)).finish()
            await workshop.until(job, "delivered")
        assert workshop.desk.told(job) == [result]

    @pytest.mark.parametrize("end", ["cancelled", "expired"])
    async def test_keeps_nobody_from_cancelling_and_nothing_from_expiring(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, end: str
    ) -> None:
        monkeypatch.setattr(work, "pauses", lambda: itertools.repeat(3600.0))
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            canvas.fail(StorageFailed("ClientError"))
            await workshop.until(job, "queued")
            other, canvas = await workshop.accept_and_paint(BOB)  # need not wait for it
            if end == "cancelled":
                await workshop.jobs.cancel(job.id, ANN)
            else:
                canvas.finish()
                await workshop.until(other, "delivered")
                workshop.expire_now()
            await workshop.until(job, end)
        assert len(workshop.desk.told(job)) == 1


class TestMaintenance:
    @pytest.mark.parametrize(
        "name", ["renew", "move", "adopt", "interrupted", "overdue", "forget", "claimed", "in_care", "line"]
    )
    async def test_outlives_a_fault_of_ours_in_each_of_its_tasks(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setattr("bot.jobs.service.SWEEP_EVERY", 0.05)
        await workshop.accept(BOB)
        flaky = workshop.store = FlakyStore(workshop.store, name, ValueError("a row that nobody can read"))
        workshop.open_anew()
        async with workshop.running():
            await eventually(lambda: flaky.failed == 3)
            job = await workshop.accept(ANN)
            for number in (1, 2):
                (await workshop.studio.canvas(number)).finish()
            await workshop.until(job, "delivered")

    async def test_outlives_a_store_that_is_out_of_order(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bot.jobs.service.SWEEP_EVERY", 0.05)
        monkeypatch.setattr("bot.jobs.storage.UNCLAIMED_FOR", timedelta(seconds=-1))
        workshop.use(Blobs(new_place()))
        with Shaky.troubled(ClientError(), "remove"):
            workshop.blobs.put(b"nobody's")
            async with workshop.running():
                for kind in ("remove", "list", "date"):
                    Shaky.raised, Shaky.at = 0, frozenset({kind})
                    await eventually(lambda: Shaky.raised == 3)
                Shaky.trouble = None
                await eventually(lambda: list(workshop.blobs) == [])

    async def test_outlives_what_others_put_beside_the_pictures(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = workshop.blobs.folder
        assert folder is not None
        foreign = [folder / ".DS_Store", folder / "ab" / "Thumbs.db", folder / "ab" / ("AB" * 32)]
        for path in foreign:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"foreign")
            os.utime(path, (0, 0))
        nobodys = workshop.blobs.put(b"nobody's")
        os.utime(folder / nobodys[:2] / nobodys, (0, 0))
        async with workshop.running():
            await eventually(lambda: nobodys not in {blob.name for blob in workshop.blobs})
            job, canvas = await workshop.accept_and_paint(ANN)
            canvas.finish()
            await workshop.until(job, "delivered")
        assert all(path.read_bytes() == b"foreign" for path in foreign)


DAMAGES: dict[str, tuple[str, object]] = {
    "state of another version": ("state", "drying"),
    "recipe cut off": ("recipe", '{"version":2,"size":'),
    "recipe of another version": ("recipe", '{"version":4}'),
    "recipe out of range": ("recipe", '{"size":1}'),
    "recipe with a field of another version": ("recipe", '{"glaze":1}'),
    "painted cut off": ("painted", '{"picture": "'),
    "painted that is a list": ("painted", "[]"),
    "painted without its picture": ("painted", '{"format": "png"}'),
    "painted in no time": (
        "painted",
        '{"picture":"","format":"png","width":1,"height":1,"steps":1,"seconds":NaN,"ending":"finished"}',
    ),
    "cause cut off": ("cause", '["OutOfMem'),
    "cause that is nothing": ("cause", "null"),
    "cause with too few fields": ("cause", '["OutOfMemory"]'),
    "cause with a field of another type": ("cause", '["PictureTooLarge","pixels","many",1]'),
    "limit of no bytes": ("max_bytes", 0),
}
ONLY_IN_SQLITE: dict[str, tuple[str, object]] = {
    "state that is a number": ("state", 5),
    "owner that is a word": ("owner", "Ann"),
    "turn that is a word": ("turn", "first"),
    "limit that is a word": ("max_bytes", "much"),
    "description that is bytes": ("description", b"\xff"),
    "recipe that is bytes": ("recipe", b"\xff"),
    "moment that is none": ("created_at", "the other day"),
    "moment that is a number": ("created_at", 5),
}
"""PostgreSQL has no such values in these columns."""


class TestARowThatCantBeRead:
    async def test_ends_as_failed_in_words_and_all_else_goes_on(self, workshop: Workshop, url: str) -> None:
        """Each damage to a job that waits and to one that is about to be sent, each of another member."""
        in_sqlite = url.startswith("sqlite")
        damages = DAMAGES | (ONLY_IN_SQLITE if in_sqlite else {})
        statements = {
            name: (f"UPDATE jobs SET {column} = :it", value)  # noqa: S608 - a column of our own
            for name, (column, value) in damages.items()
        }
        for role in ("content", "style-0", "style-1"):
            statements[f"{role} missing"] = ("DELETE FROM blobs WHERE role = :it AND job", role)
        if in_sqlite:
            statements["recipe that is no text"] = ("UPDATE jobs SET recipe = CAST(:it AS TEXT)", b"\xff")
        jobs: dict[str, Job] = {}
        for owner, (name, (statement, value)) in enumerate(statements.items(), 100):
            for waits in (True, False):
                job = jobs[f"{name}, waits: {waits}"] = await workshop.accept(
                    owner, b"content", b"one", b"two", b"three"
                )
                if not waits:
                    await workshop.store.claim(job.id, workshop.jobs.process, workshop.studio.pool)
                    await workshop.store.finish(job.id, workshop.jobs.process, None)
                where = " = :id" if statement.endswith("job") else " WHERE id = :id"
                async with workshop.store._engine.begin() as connection:
                    await connection.execute(text(statement + where), {"it": value, "id": job.id})
        sound = await workshop.accept(ANN)
        await workshop.store.waiting_line()
        workshop.studio.slots_now = 1000
        async with workshop.running():
            (await workshop.studio.canvas()).finish()
            await workshop.until(sound, "delivered")
            await eventually(lambda: all(workshop.desk.told(job) for job in jobs.values()))
            await eventually(lambda: not workshop.jobs._working)
        assert len(workshop.studio.canvases) == 1
        for name, job in jobs.items():
            assert [type(ending) for ending in workshop.desk.told(job)] == [JobUnreadable], name
        async with workshop.store._engine.connect() as connection:
            states: dict[str, int] = dict(
                (await connection.execute(text("SELECT state, count(*) FROM jobs GROUP BY state"))).all()
            )
        assert states == {"delivered": 1, "failed": len(jobs)}
        for owner, name in enumerate(statements, 100):
            if not name.startswith("owner"):
                listed = await workshop.jobs.recent(owner)
                assert words.listed(listed).count("failed (What I had noted about this picture can't be") == 2, name
        assert await workshop.store.count_open() == 0

    async def test_keeps_to_itself_where_its_address_is_damaged(self, workshop: Workshop) -> None:
        """Decrypted, it is no address: the painting is kept."""

        def confused(job: Job, may_edit: Callable[[], bool]) -> Noted:
            if job.owner == ANN:
                raise ValueError("no address")
            return workshop.desk(job, may_edit)

        workshop.jobs._replies._reply_to = confused
        jobs = [await workshop.accept(ANN), await workshop.accept(BOB)]
        workshop.studio.slots_now = 2
        async with workshop.running():
            for number in (1, 2):
                (await workshop.studio.canvas(number)).finish()
            for job in jobs:
                await workshop.until(job, "delivered")
        assert [(await workshop.found(job)).way for job in jobs] == ["kept", "token"]


class TestExpiry:
    async def test_ends_what_waits_too_long(self, workshop: Workshop) -> None:
        workshop.studio.slots_now = 0
        async with workshop.running():
            job = await workshop.accept(ANN)
            await eventually(lambda: workshop.desk.of(job).places == [1])
            workshop.expire_now()
            await workshop.until(job, "expired")
        (told,) = workshop.desk.told(job)
        assert isinstance(told, JobExpired)

    async def test_stops_what_is_painted_for_too_long(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            workshop.expire_now()
            await workshop.until(job, "expired")
            assert canvas.cancelled


class TestGoingDown:
    async def test_brings_paintings_to_a_checkpoint_and_lets_go_of_all_jobs(self, workshop: Workshop) -> None:
        async with workshop.running():
            painted, canvas = await workshop.accept_and_paint(ANN)
            waiting = await workshop.accept(BOB)
            canvas.show(7)
        assert canvas.paused
        assert not canvas.cancelled
        found = await workshop.found(painted)
        assert (found.state, found.process) == (State.QUEUED, "")
        assert found.checkpoint is not None
        assert workshop.blobs.get(found.checkpoint) == b"paused at 7"
        assert [workshop.desk.told(job) for job in (painted, waiting)] == [[], []]

    @pytest.mark.parametrize("patience", range(4))
    async def test_is_not_missed_when_a_job_comes_at_that_moment(self, workshop: Workshop, patience: int) -> None:
        async with workshop.running():
            await workshop.accept_and_paint(ANN)
            for _ in range(patience):
                await asyncio.sleep(0)
            await workshop.accept(BOB)

    async def test_does_not_wait_for_a_discord_that_is_gone(self, workshop: Workshop) -> None:
        workshop.desk.deliver = discord_is_gone
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            canvas.finish()
            await workshop.until(job, "delivering")
        workshop.desk.deliver = None
        workshop.open_anew()
        async with workshop.running():
            await workshop.until(job, "delivered")
        assert len(workshop.studio.canvases) == 1


@pytest.fixture(params=["stopped", "killed"])
def killed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the first process dies without a word; then its lease runs out at once."""
    if request.param == "killed":
        monkeypatch.setattr("bot.jobs.line.LEASE", -1.0)
    return bool(request.param == "killed")


class TestARestart:
    async def test_goes_on_from_the_last_checkpoint_with_each_job_once(self, workshop: Workshop, killed: bool) -> None:
        async with workshop.running(killed=killed):
            painted, canvas = await workshop.accept_and_paint(ANN, b"ann")
            waiting = await workshop.accept(BOB, b"bob")
            canvas.show(1, checkpoint=b"first")
            canvas.show(2, checkpoint=b"second")
            await eventually(lambda: workshop.desk.of(painted).names.count("progressed") == 2)
        workshop.studio.canvases.clear()
        workshop.open_anew()
        async with workshop.running():
            first = await workshop.studio.canvas(1)
            assert (first.content, first.resume) == (b"ann", b"second" if killed else b"paused at 2")
            result = first.finish()
            second = await workshop.studio.canvas(2)
            assert (second.content, second.resume) == (b"bob", None)
            second.finish()
            await workshop.until(waiting, "delivered")
        assert workshop.desk.told(painted) == [result]
        assert len(workshop.studio.canvases) == 2
        assert workshop.desk.of(painted).job.address == "the secret address of 1"

    async def test_delivers_what_it_was_about_to_deliver_without_painting_anew(
        self, workshop: Workshop, killed: bool
    ) -> None:
        """With all that can be said of it: so also that memory was short, and the picture is smaller than ordered."""

        async def hang(_: Ending) -> Way:
            await asyncio.Event().wait()
            return "token"

        workshop.desk.deliver = hang
        async with workshop.running(killed=True):
            job, canvas = await workshop.accept_and_paint(ANN)
            smaller = canvas.recipe.model_copy(update={"size": 362})
            result = canvas.finish(recipe=smaller, width=362, height=272, steps=7, ending="settled")
            await workshop.until(job, "delivering")
        if not killed:
            await workshop.store.leave(workshop.jobs.process)
        workshop.desk.deliver = None
        workshop.open_anew()
        async with workshop.running():
            await workshop.until(job, "delivered")
        assert workshop.desk.told(job) == [result]
        assert len(workshop.studio.canvases) == 1

    async def test_has_few_pictures_in_memory_and_lets_none_that_is_delayed_hold_up_the_others(
        self, workshop: Workshop, killed: bool
    ) -> None:
        workshop.desk.deliver = discord_is_gone
        workshop.studio.slots_now = 3 * work.TOLD_AT_ONCE
        async with workshop.running(killed=killed):
            jobs = [await workshop.accept(owner) for owner in range(workshop.studio.slots_now)]
            for number, _ in enumerate(jobs, 1):
                (await workshop.studio.canvas(number)).finish(f"picture {number}".encode())
            for job in jobs:
                await workshop.until(job, "delivering")
        delayed, sending, most = {f"picture {number}".encode() for number in range(1, 13)}, 0, 0
        may_arrive = asyncio.Event()

        async def deliver(ending: Ending) -> Way:
            nonlocal sending, most
            sending += 1
            most = max(most, sending)
            await may_arrive.wait()
            sending -= 1
            assert isinstance(ending, Result)
            if ending.picture in delayed:
                raise DeliveryDelayed("Discord is overloaded")
            return "token"

        workshop.desk.deliver = deliver
        workshop.open_anew()
        async with workshop.running():
            await eventually(lambda: sending == work.TOLD_AT_ONCE)
            may_arrive.set()
            await eventually(lambda: sum(bool(workshop.desk.told(job)) for job in jobs) == len(jobs) - len(delayed))
            delayed.clear()
            for job in jobs:
                await workshop.until(job, "delivered")
        assert most == work.TOLD_AT_ONCE
        assert [len(workshop.desk.told(job)) for job in jobs] == [1] * len(jobs)

    @pytest.mark.parametrize("cancelled", [True, False], ids=["cancelled", "failed"])
    async def test_tells_what_ended_without_a_picture_and_does_not_paint_it_again(
        self, workshop: Workshop, killed: bool, cancelled: bool
    ) -> None:
        workshop.desk.deliver = discord_is_gone
        async with workshop.running(killed=killed):
            job, canvas = await workshop.accept_and_paint(ANN)
            canvas.show(3, checkpoint=b"checkpoint")
            if cancelled:
                await workshop.jobs.cancel(job.id, ANN)
            else:
                canvas.fail(OutOfMemory(512))
            await workshop.until(job, "delivering")
        workshop.desk.deliver = None
        workshop.open_anew()
        async with workshop.running():
            await workshop.until(job, "cancelled" if cancelled else "failed")
        (told,) = workshop.desk.told(job)
        assert isinstance(told, PaintingCancelled if cancelled else OutOfMemory)
        assert len(workshop.studio.canvases) == 1

    async def test_leaves_alone_what_has_ended(self, workshop: Workshop, killed: bool) -> None:
        async with workshop.running(killed=killed):
            failed, canvas = await workshop.accept_and_paint(ANN)
            canvas.fail(OutOfMemory(512))
            await workshop.until(failed, "failed")
            delivered, canvas = await workshop.accept_and_paint(ANN)
            canvas.finish()
            await workshop.until(delivered, "delivered")
            cancelled, _ = await workshop.accept_and_paint(ANN)
            await workshop.jobs.cancel(cancelled.id, ANN)
            await workshop.until(cancelled, "cancelled")
        before = len(workshop.desk.replies)
        workshop.open_anew()
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(BOB, b"bob")
            assert canvas.content == b"bob"
            await eventually(lambda: len(workshop.desk.replies) > before)
        assert {reply.job.id for reply in workshop.desk.replies[before:]} == {job.id}

    async def test_keeps_the_order_of_the_line(self, workshop: Workshop, killed: bool) -> None:
        workshop.studio.slots_now = 0
        contents = [f"job {number}".encode() for number in range(4)]
        async with workshop.running(killed=killed):
            jobs = [await workshop.accept(owner, content) for owner, content in enumerate(contents)]
        workshop.studio.slots_now = 1
        workshop.open_anew()
        async with workshop.running():
            for number in range(1, 5):
                (await workshop.studio.canvas(number)).finish()
            await workshop.until(jobs[-1], "delivered")
        assert [canvas.content for canvas in workshop.studio.canvases] == contents

    async def test_repaints_what_was_finished_but_could_not_be_kept(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def full(_: bytes) -> str:
            raise StorageFull

        async def delayed(_: Ending) -> Way:
            raise DeliveryDelayed("Discord is gone")

        workshop.desk.deliver = delayed
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            canvas.show(9, checkpoint=b"nearly")
            monkeypatch.setattr(workshop.storage, "put", full)
            canvas.finish()
            await workshop.until(job, "delivering")
        workshop.desk.deliver = None
        workshop.open_anew()
        async with workshop.running():
            canvas = await workshop.studio.canvas(2)
            assert canvas.resume == b"nearly"
            canvas.finish()
            await workshop.until(job, "delivered")
        assert len(workshop.desk.told(job)) == 1

    @pytest.mark.parametrize("back", [True, False])
    async def test_tells_what_was_finished_once_it_can_be_read_again(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, back: bool
    ) -> None:
        async def delayed(_: Ending) -> Way:
            raise DeliveryDelayed("Discord is gone")

        workshop.desk.deliver = delayed
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            result = canvas.finish()
            await workshop.until(job, "delivering")
        workshop.desk.deliver = None
        workshop.open_anew()
        attempts = 0

        async def away(name: str) -> bytes:
            nonlocal attempts
            attempts += 1
            if back and attempts > 1:
                return await get(name)
            raise StorageFailed("the network is down")

        get = workshop.storage.get
        monkeypatch.setattr(workshop.storage, "get", away)
        async with workshop.running():
            await eventually(lambda: attempts == 1)
            assert await workshop.state(job) == "delivering"
            if back:
                await workshop.until(job, "delivered")
            else:
                workshop.expire_now()
                await workshop.until(job, "failed")
        (told,) = workshop.desk.told(job)
        assert told == result if back else isinstance(told, StorageFailed)


class TestTwoProcesses:
    async def test_share_the_workers_and_each_job_is_painted_once(self, workshop: Workshop) -> None:
        workshop.studio.slots_now, workshop.limit = 2, 50
        services = []
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                workshop.open_anew()
                services.append((workshop.jobs, group.create_task(workshop.jobs.run())))
            jobs = [await services[number % 2][0].accept(order(number)) for number in range(8)]
            for number in range(1, 9):
                canvas = await workshop.studio.canvas(number)
                assert len(workshop.studio.busy) <= 2
                canvas.finish()
            for job in jobs:
                await workshop.until(job, "delivered")
            for jobs_of_one, run in services:
                await jobs_of_one.close()
                run.cancel()
        assert len(workshop.studio.canvases) == 8
        assert [len(workshop.desk.told(job)) for job in jobs] == [1] * 8

    async def test_one_that_was_silent_for_too_long_stays_silent(self, workshop: Workshop) -> None:
        stopped = workshop.jobs
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            reply = workshop.desk.of(job)
            assert reply.may_edit()
            workshop.open_anew()
            await workshop.store.renew(workshop.jobs.process)
            async with workshop.store._changing() as connection:  # as adopted after the lease, which is seconds
                await connection.execute(update(JobRow).values(process=workshop.jobs.process, state=State.QUEUED))
            other = asyncio.create_task(workshop.jobs.run())
            await eventually(lambda: canvas.cancelled)
            second = await workshop.studio.canvas(2)
            result = second.finish()
            await workshop.until(job, "delivered")
            await workshop.jobs.close()
            other.cancel()
            await asyncio.wait([other])
            workshop.jobs = stopped
        assert workshop.desk.told(job) == [result]
        assert reply.told == []


class FlakyStore(Store):
    """A real store, one call of which fails three times."""

    def __init__(self, store: Store, name: str, trouble: Exception | None = None) -> None:
        super().__init__(store._engine, store._cipher)
        self.failed = 0
        call: Callable[..., Awaitable[Any]] = getattr(super(), name)

        async def flaky(*arguments: Any, **options: Any) -> Any:
            if self.failed < 3:
                self.failed += 1
                raise trouble or OperationalError("a statement", None, Exception("disk I/O error"))
            return await call(*arguments, **options)

        setattr(self, name, flaky)


async def test_a_job_whose_address_no_key_reads_is_kept_for_its_member(workshop: Workshop) -> None:
    job = await workshop.accept(ANN)
    workshop.store = type(workshop.store)(workshop.store._engine, type(workshop.store._cipher)([service_key()]))
    workshop.open_anew()
    async with workshop.running():
        (await workshop.studio.canvas()).finish(b"painting")
        await workshop.until(job, "delivered")
    assert (await workshop.found(job)).way == "kept"
    assert (await workshop.jobs.picture(job.id, ANN))[1] == b"painting"


def service_key() -> str:
    """Another key than the one of the tests."""
    from bot.jobs.cipher import new_key

    return new_key()


async def test_jobs_from_before_an_upgrade_are_painted_and_shown_after_it(workshop: Workshop) -> None:
    async with workshop.running():
        ended, canvas = await workshop.accept_and_paint(ANN)
        canvas.finish(b"an old painting")
        await workshop.until(ended, "delivered")
    workshop.open_anew()
    waiting = await workshop.accept(ANN)
    found = await workshop.found(ended)
    assert found.painted is not None
    painted = PAINTED_OF_VERSION_1.replace("PICTURE", found.painted.picture)
    async with workshop.store._engine.begin() as connection:
        await connection.execute(text("UPDATE jobs SET recipe = :recipe"), {"recipe": RECIPE_OF_VERSION_1})
        await connection.execute(text("UPDATE jobs SET painted = :it WHERE painted != ''"), {"it": painted})
    async with workshop.running():
        canvas = await workshop.studio.canvas(2)
        canvas.finish(b"a new painting")
        await workshop.until(waiting, "delivered")
    asked = {"size": 384, "steps": 50, "strength": 70, "colours": "content", "noise": 0.03, "seed": 7}
    assert canvas.recipe.model_dump(include=set(asked)) == asked
    assert canvas.recipe.version == Recipe().version
    job, picture = await workshop.jobs.picture(ended.id, ANN)
    assert (picture, job.painted_recipe) == (b"an old painting", canvas.recipe)
    assert (await workshop.jobs.picture(waiting.id, ANN))[1] == b"a new painting"


async def test_members_see_their_own_jobs_newest_first(workshop: Workshop) -> None:
    mine: list[Job] = [await workshop.accept(ANN) for _ in range(3)]
    await workshop.accept(BOB)
    assert [job.id for job in await workshop.jobs.recent(ANN, 2)] == [mine[2].id, mine[1].id]
    with pytest.raises(NotYourJob):
        await workshop.jobs.picture(mine[0].id, BOB)
    with pytest.raises(JobEnded):
        await workshop.jobs.picture(mine[0].id, ANN)
