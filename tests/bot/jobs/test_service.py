"""The service of jobs: each job gets its turn, its one end, and leaves nothing behind."""

import asyncio
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from bot.jobs import files, service
from bot.jobs.errors import JobEnded, NotYourJob, PictureRejected, TooManyJobs, UnexpectedError
from bot.jobs.job import Job, State, new_id
from bot.jobs.store import Store
from engine.errors import NotAPicture, OutOfMemory, WorkerLost
from engine.recipe import Recipe
from tests.bot.jobs.conftest import Workshop, eventually, order

ANN, BOB, CID = 1, 2, 3


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """What is logged, with what is bound to the context."""
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as entries:
        yield entries


def entry(logged: list[Any], event: str) -> dict[str, Any]:
    """The one log entry of this name."""
    (found,) = [each for each in logged if each["event"] == event]
    assert isinstance(found, dict)
    return found


class TestAJob:
    async def test_is_queued_painted_shown_and_delivered_in_this_order(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint()
            shown = [canvas.show(step, preview=b"preview") for step in (1, 5, 10)]
            result = canvas.finish(b"the picture")
            await workshop.until(job, "delivered")
            await workshop.until_gone(job)
        assert workshop.desk.of(job).calls == [
            ("queued", 1),
            *(("progressed", progress) for progress in shown),
            ("finished", result),
        ]

    async def test_reaches_the_painter_as_it_was_ordered(self, workshop: Workshop) -> None:
        recipe = Recipe(size=777, strength=12, seed=5)
        async with workshop.running():
            await workshop.jobs.accept(order(ANN, b"photo", b"style 1", b"style 2", recipe=recipe))
            canvas = await workshop.studio.canvas()
            assert (canvas.recipe, canvas.content, canvas.styles) == (recipe, b"photo", [b"style 1", b"style 2"])
            assert (canvas.resume, canvas.max_bytes) == (None, 10_000_000)

    async def test_is_stored_before_it_is_acknowledged(self, workshop: Workshop) -> None:
        job = await workshop.accept(ANN, b"photo", b"style")
        assert await workshop.store.open_jobs() == [job]
        assert await workshop.files.inputs(job.id) == (b"photo", [b"style"])
        assert job.state is State.QUEUED

    async def test_moves_through_its_states_while_it_is_made(self, workshop: Workshop) -> None:
        may_arrive = asyncio.Event()
        workshop.desk.deliver = may_arrive.wait  # type: ignore[assignment]
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint()
            assert await workshop.state(job) == "running"
            canvas.finish()
            await workshop.until(job, "delivering")
            await eventually(lambda: workshop.desk.of(job).names[-1] == "finished")
            may_arrive.set()
            await workshop.until(job, "delivered")

    async def test_that_was_delivered_leaves_no_file_and_no_address(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint()
            canvas.show(5, checkpoint=b"checkpoint")
            canvas.finish()
            await workshop.until(job, "delivered")
            await workshop.until_gone(job)
        found = await workshop.store.get(job.id)
        assert found is not None
        assert found.address == ""
        assert workshop.on_disk() == set()

    async def test_keeps_its_last_checkpoint_on_disk(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint()
            canvas.show(1, checkpoint=b"first")
            canvas.show(2)
            canvas.show(3, checkpoint=b"second")
            canvas.show(4)
            await eventually(lambda: len(workshop.desk.of(job).calls) == 5)
            assert await workshop.files.checkpoint(job.id) == b"second"


class TestTheLine:
    async def test_is_told_place_by_place_and_each_once(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service, "LOOK_FOR_WORKERS", 0.01)
        async with workshop.running():
            _, canvas = await workshop.accept_and_paint(ANN)
            bob, cid = await workshop.accept(BOB), await workshop.accept(CID)
            looks = workshop.studio.looks
            await eventually(lambda: workshop.studio.looks > looks + 2)
            assert [workshop.desk.of(job).places for job in (bob, cid)] == [[1], [2]]
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
            await workshop.jobs.cancel(bob.id, BOB)
            assert workshop.desk.of(cid).places[-1] == 1

    async def test_is_painted_side_by_side_where_there_are_workers(self, workshop: Workshop) -> None:
        workshop.studio.slots_now = 3
        async with workshop.running():
            jobs = [await workshop.accept(owner) for owner in range(4)]
            await workshop.studio.canvas(3)
            assert [await workshop.state(job) for job in jobs] == ["running"] * 3 + ["queued"]
            workshop.studio.canvases[1].finish()
            await workshop.studio.canvas(4)
            assert len(workshop.studio.busy) == 3
            assert await workshop.state(jobs[1]) == "delivered"

    async def test_is_painted_one_by_one_with_one_worker(self, workshop: Workshop) -> None:
        async with workshop.running():
            jobs = [await workshop.accept(owner) for owner in range(5)]
            for number in range(1, 6):
                canvas = await workshop.studio.canvas(number)
                assert workshop.studio.busy == [canvas]
                canvas.finish()
            await workshop.until(jobs[-1], "delivered")

    async def test_uses_workers_that_join_later(self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(service, "LOOK_FOR_WORKERS", 0.01)
        async with workshop.running():
            await workshop.accept_and_paint(ANN)
            await workshop.accept(BOB)
            assert len(workshop.studio.canvases) == 1
            workshop.studio.slots_now = 2
            await workshop.studio.canvas(2)

    async def test_goes_on_while_the_only_worker_restarts(self, workshop: Workshop) -> None:
        workshop.studio.slots_now = 0
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint()
            canvas.finish()
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
        assert len(await workshop.store.open_jobs()) == len(workshop.on_disk()) == len(workshop.desk.replies) == 2

    async def test_is_each_members_own(self, workshop: Workshop) -> None:
        workshop.limit = 1
        workshop.open_anew()
        await workshop.accept(ANN)
        await workshop.accept(BOB)

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

    async def test_holds_for_an_order_that_is_counted_while_another_is_stored(self, workshop: Workshop) -> None:
        store = HesitantStore.over(workshop.store)
        workshop.store, workshop.limit = store, 1
        workshop.open_anew()
        workshop.studio.may_check.clear()
        first = asyncio.create_task(workshop.accept(ANN))
        await eventually(lambda: workshop.studio.checks == 1)
        store.pause("count_open")
        second = asyncio.create_task(workshop.accept(ANN))
        await store.reached.wait()
        workshop.studio.may_check.set()
        await asyncio.wait([first], timeout=0.3)
        store.go_on.set()
        outcomes = await asyncio.gather(first, second, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Job, TooManyJobs]

    async def test_counts_no_order_twice(self, workshop: Workshop) -> None:
        store = HesitantStore.over(workshop.store)
        workshop.store, workshop.limit = store, 2
        workshop.open_anew()
        store.pause("add")
        first = asyncio.create_task(workshop.accept(ANN))
        await store.reached.wait()
        second = asyncio.create_task(workshop.accept(ANN))
        await asyncio.wait([second], timeout=0.3)
        store.go_on.set()
        outcomes = await asyncio.gather(first, second, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Job, Job]

    async def test_is_not_used_up_by_orders_that_were_refused(self, workshop: Workshop) -> None:
        workshop.limit = 1
        workshop.open_anew()
        workshop.studio.refused[b"bad"] = NotAPicture()
        for _ in range(2):
            with pytest.raises(PictureRejected):
                await workshop.accept(ANN, b"bad")
        await workshop.accept(ANN)


class TestARefusedOrder:
    @pytest.mark.parametrize(("content", "styles", "role"), [(b"bad", b"good", "content"), (b"good", b"bad", "style")])
    async def test_says_which_picture_and_why(
        self, workshop: Workshop, content: bytes, styles: bytes, role: str
    ) -> None:
        reason = workshop.studio.refused[b"bad"] = NotAPicture()
        with pytest.raises(PictureRejected) as refused:
            await workshop.accept(ANN, content, b"good", styles)
        assert (refused.value.role, refused.value.reason) == (role, reason)
        assert await workshop.store.open_jobs() == []
        assert (workshop.on_disk(), workshop.desk.replies) == (set(), [])

    async def test_by_a_worker_that_died_looking_is_told_as_such(self, workshop: Workshop) -> None:
        workshop.studio.refused[b"bomb"] = WorkerLost(1)
        with pytest.raises(WorkerLost):
            await workshop.accept(ANN, b"bomb")

    async def test_leaves_no_pictures_when_the_database_is_gone(self, workshop: Workshop) -> None:
        store = HesitantStore.over(workshop.store)
        store.broken.add("add")
        workshop.store = store
        workshop.open_anew()
        with pytest.raises(OSError, match="broken"):
            await workshop.accept(ANN)
        assert (workshop.on_disk(), workshop.desk.replies) == (set(), [])


class TestCancelling:
    async def test_while_queued_ends_the_job_unpainted(self, workshop: Workshop) -> None:
        async with workshop.running():
            first, canvas = await workshop.accept_and_paint(ANN)
            job = await workshop.accept(BOB)
            await workshop.jobs.cancel(job.id, BOB)
            assert await workshop.state(job) == "cancelled"
            assert workshop.desk.of(job).names == ["queued", "cancelled"]
            assert workshop.on_disk() == {first.id}
            canvas.finish()
            await workshop.until(first, "delivered")
        assert len(workshop.studio.canvases) == 1

    async def test_while_painted_frees_the_worker_for_the_next(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            other = await workshop.accept(BOB)
            canvas.show(3, checkpoint=b"checkpoint")
            await eventually(lambda: "progressed" in workshop.desk.of(job).names)
            await workshop.jobs.cancel(job.id, ANN)
            assert canvas.cancelled
            assert await workshop.state(job) == "cancelled"
            assert workshop.desk.of(job).names == ["queued", "progressed", "cancelled"]
            assert workshop.on_disk() == {other.id}
            (await workshop.studio.canvas(2)).finish()
            await workshop.until(other, "delivered")

    async def test_while_a_checkpoint_is_written_leaves_no_file(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        began, go_on = threading.Event(), threading.Event()
        write = files._write_durably

        def slow(path: Path, data: bytes) -> Path:
            began.set()
            assert go_on.wait(20)
            return write(path, data)

        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            monkeypatch.setattr(files, "_write_durably", slow)
            canvas.show(1, checkpoint=b"checkpoint")
            await asyncio.to_thread(began.wait, 20)
            cancelling = asyncio.create_task(workshop.jobs.cancel(job.id, ANN))
            await asyncio.wait([cancelling], timeout=0.3)
            go_on.set()
            await cancelling
            await asyncio.get_running_loop().shutdown_default_executor()
        assert workshop.on_disk() == set()

    async def test_while_delivered_comes_too_late(self, workshop: Workshop) -> None:
        may_arrive = asyncio.Event()
        workshop.desk.deliver = may_arrive.wait  # type: ignore[assignment]
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            canvas.finish()
            await workshop.until(job, "delivering")
            with pytest.raises(JobEnded):
                await workshop.jobs.cancel(job.id, ANN)
            may_arrive.set()
            await workshop.until(job, "delivered")
        assert workshop.desk.of(job).ends == ["finished"]

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
            with pytest.raises(JobEnded):
                await workshop.jobs.cancel(job.id, ANN)
            assert workshop.desk.of(job).ends == ["cancelled"]

    async def test_by_somebody_else_changes_nothing(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            waiting = await workshop.accept(ANN)
            for each in (job, waiting):
                with pytest.raises(NotYourJob):
                    await workshop.jobs.cancel(each.id, BOB)
            assert not canvas.cancelled
            assert [await workshop.state(each) for each in (job, waiting)] == ["running", "queued"]
            canvas.finish()
            await workshop.until(job, "delivered")

    async def test_what_was_delivered_or_never_there_says_that_it_has_ended(self, workshop: Workshop) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            canvas.finish()
            await workshop.until(job, "delivered")
            for gone in (job.id, new_id()):
                with pytest.raises(JobEnded):
                    await workshop.jobs.cancel(gone, ANN)

    async def test_works_before_the_service_runs(self, workshop: Workshop) -> None:
        job = await workshop.accept(ANN)
        await workshop.jobs.cancel(job.id, ANN)
        other = await workshop.accept(BOB)
        async with workshop.running():
            (await workshop.studio.canvas()).finish()
            await workshop.until(other, "delivered")
        assert len(workshop.studio.canvases) == 1
        assert workshop.desk.of(job).ends == ["cancelled"]

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
            await workshop.until_gone(job)
        assert workshop.desk.of(job).ends == ["cancelled" if end == "cancelled" else "finished"]


class TestAFailure:
    async def test_of_painting_is_told_once_and_the_next_job_is_painted(
        self, workshop: Workshop, logged: list[Any]
    ) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            other = await workshop.accept(BOB)
            error = OutOfMemory(512)
            canvas.fail(error)
            await workshop.until(job, "failed")
            (await workshop.studio.canvas(2)).finish()
            await workshop.until(other, "delivered")
            await workshop.until_gone(job)
        assert workshop.desk.of(job).calls == [("queued", 1), ("failed", error)]
        failed = entry(logged, "job failed")
        assert (failed["job"], failed["error"]) == (job.id, "OutOfMemory(512)")

    async def test_that_nobody_expected_gets_a_reference_that_is_in_the_log(
        self, workshop: Workshop, logged: list[Any]
    ) -> None:
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            canvas.fail(RuntimeError("a bug"))
            await workshop.until(job, "failed")
            await eventually(lambda: workshop.desk.of(job).ends == ["failed"])
            _, error = workshop.desk.of(job).calls[-1]
            assert isinstance(error, UnexpectedError)
            assert error.reference == job.id
            assert await workshop.accept_and_paint(ANN)
        unexpected = entry(logged, "job failed unexpectedly")
        assert (unexpected["job"], unexpected["exc_info"]) == (job.id, True)

    async def test_of_the_disk_ends_one_job_alone(self, workshop: Workshop) -> None:
        job = await workshop.accept(ANN)
        await workshop.files.remove(job.id)
        other = await workshop.accept(BOB)
        async with workshop.running():
            (await workshop.studio.canvas()).finish()
            await workshop.until(other, "delivered")
        assert workshop.desk.of(job).ends == ["failed"]
        assert await workshop.state(job) == "failed"

    async def test_to_keep_a_checkpoint_stops_the_painting(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            monkeypatch.setattr(workshop.files, "save_checkpoint", full)
            canvas.show(1, checkpoint=b"checkpoint")
            await workshop.until(job, "failed")
            await eventually(lambda: workshop.desk.of(job).ends == ["failed"])
            assert canvas.cancelled

    async def test_to_deliver_keeps_the_picture_and_the_service_goes_on(
        self, workshop: Workshop, logged: list[Any]
    ) -> None:
        async def fail() -> None:
            raise OSError("Discord is gone")

        workshop.desk.deliver = fail
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            canvas.finish(b"a long night's work")
            await workshop.until(job, "failed")
            workshop.desk.deliver = None
            other, canvas = await workshop.accept_and_paint(BOB)
            canvas.finish()
            await workshop.until(other, "delivered")
            await workshop.until_gone(other)
        kept = entry(logged, "the finished picture could not be delivered and is kept")
        assert kept["job"] == job.id
        path = workshop.directory / job.id / "result.png"
        assert kept["path"] == str(path)
        assert path.read_bytes() == b"a long night's work"
        assert workshop.desk.of(job).ends == ["finished"]


class TestStopping:
    @pytest.mark.parametrize("patience", range(4))
    async def test_is_not_missed_when_a_job_comes_at_that_moment(self, workshop: Workshop, patience: int) -> None:
        async with workshop.running():
            await workshop.accept_and_paint(ANN)
            for _ in range(patience):
                await asyncio.sleep(0)
            await workshop.accept(BOB)

    async def test_without_any_job_just_ends(self, workshop: Workshop) -> None:
        async with workshop.running():
            await asyncio.sleep(0)


class TestARestart:
    async def stopped_in_the_middle(self, workshop: Workshop) -> tuple[Job, Job]:
        """One job was painted up to a checkpoint, another waits; the service was stopped."""
        async with workshop.running():
            painted, canvas = await workshop.accept_and_paint(ANN, b"ann")
            waiting = await workshop.accept(BOB, b"bob")
            canvas.show(1, checkpoint=b"first")
            canvas.show(2, checkpoint=b"second")
            await eventually(lambda: workshop.desk.of(painted).names.count("progressed") == 2)
        assert canvas.cancelled
        return painted, waiting

    async def test_closes_replies_and_tells_no_failure(self, workshop: Workshop) -> None:
        jobs = await self.stopped_in_the_middle(workshop)
        assert [workshop.desk.of(job).ends for job in jobs] == [["closed"], ["closed"]]
        assert [job.id for job in await workshop.store.open_jobs()] == [job.id for job in jobs]
        assert workshop.on_disk() == {job.id for job in jobs}

    async def test_goes_on_from_the_last_checkpoint_with_each_job_once(self, workshop: Workshop) -> None:
        painted, waiting = await self.stopped_in_the_middle(workshop)
        workshop.studio.canvases.clear()
        workshop.open_anew()
        async with workshop.running():
            first = await workshop.studio.canvas(1)
            assert (first.content, first.resume) == (b"ann", b"second")
            result = first.finish()
            second = await workshop.studio.canvas(2)
            assert (second.content, second.resume) == (b"bob", None)
            second.finish()
            await workshop.until(waiting, "delivered")
            await workshop.until_gone(waiting)
            assert workshop.desk.of(painted).calls[-1] == ("finished", result)
        assert len(workshop.studio.canvases) == 2
        assert len(workshop.desk.replies) == 4
        assert workshop.on_disk() == set()

    async def test_answers_where_the_job_was_asked(self, workshop: Workshop) -> None:
        painted, _ = await self.stopped_in_the_middle(workshop)
        workshop.open_anew()
        async with workshop.running():
            await workshop.studio.canvas(2)
            reply = workshop.desk.of(painted)
            assert (reply.job.address, reply.job.description) == (painted.address, painted.description)

    async def test_delivers_what_it_was_about_to_deliver(self, workshop: Workshop) -> None:
        workshop.desk.deliver = asyncio.Event().wait  # type: ignore[assignment]
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(ANN)
            canvas.show(9, checkpoint=b"nearly")
            canvas.finish()
            await workshop.until(job, "delivering")
            await eventually(lambda: workshop.desk.of(job).names[-1] == "finished")
            # Its reply is closed again when the service stops, which ends nothing twice for a member.
            workshop.desk.of(job).calls.pop()
        workshop.desk.deliver = None
        workshop.open_anew()
        async with workshop.running():
            canvas = await workshop.studio.canvas(2)
            assert canvas.resume == b"nearly"
            canvas.finish()
            await workshop.until(job, "delivered")

    async def test_leaves_alone_what_has_ended(self, workshop: Workshop) -> None:
        async with workshop.running():
            failed, canvas = await workshop.accept_and_paint(ANN)
            canvas.fail(OutOfMemory(512))
            await workshop.until(failed, "failed")
            delivered, canvas = await workshop.accept_and_paint(ANN)
            canvas.finish()
            await workshop.until(delivered, "delivered")
            cancelled, _ = await workshop.accept_and_paint(ANN)
            await workshop.jobs.cancel(cancelled.id, ANN)
        workshop.open_anew()
        async with workshop.running():
            job, canvas = await workshop.accept_and_paint(BOB, b"bob")
            assert canvas.content == b"bob"
        assert [reply.job.id for reply in workshop.desk.replies[3:]] == [job.id]

    async def test_keeps_the_order_of_the_line(self, workshop: Workshop) -> None:
        contents = [f"job {number}".encode() for number in range(4)]
        for owner, content in enumerate(contents):
            await workshop.accept(owner, content)
        workshop.desk.replies.clear()
        workshop.open_anew()
        async with workshop.running():
            for number in range(1, 5):
                (await workshop.studio.canvas(number)).finish()
            await eventually(lambda: not workshop.on_disk())
        assert [canvas.content for canvas in workshop.studio.canvases] == contents

    async def test_paints_an_order_once_that_is_accepted_meanwhile(self, workshop: Workshop) -> None:
        store = HesitantStore.over(workshop.store)
        workshop.store = store
        workshop.open_anew()
        store.pause("add")
        accepting = asyncio.create_task(workshop.accept(ANN))
        await store.reached.wait()
        async with workshop.running():
            canvas = await workshop.studio.canvas(1)
            store.go_on.set()
            job = await accepting
            canvas.finish()
            await workshop.until(job, "delivered")
            other, canvas = await workshop.accept_and_paint(BOB)
            canvas.finish()
            await workshop.until(other, "delivered")
        assert len(workshop.desk.replies) == len(workshop.studio.canvases) == 2


class HesitantStore(Store):
    """A real store whose calls a test can hold up, once they have done their work, or break."""

    @classmethod
    def over(cls, store: Store) -> "HesitantStore":
        """The same database."""
        return cls(store._engine)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.broken: set[str] = set()
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        self._paused = ""

    def pause(self, name: str) -> None:
        """Hold up the next call of this name."""
        self._paused = name

    async def _hesitate(self, name: str) -> None:
        if name in self.broken:
            raise OSError("broken")
        if name == self._paused:
            self._paused = ""
            self.reached.set()
            await self.go_on.wait()

    async def add(self, job: Job) -> None:
        await super().add(job)
        await self._hesitate("add")

    async def count_open(self, owner: int) -> int:
        counted = await super().count_open(owner)
        await self._hesitate("count_open")
        return counted

    async def change(self, job: str, to: State, *, since: Collection[State], cause: str = "") -> bool:
        changed = await super().change(job, to, since=since, cause=cause)
        await self._hesitate("change")
        return changed
