"""Failures: of a painting, of Discord or the database for a while, and bugs."""

import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy.exc import OperationalError
from tenacity.wait import wait_none

from bot.jobs.database.store import Store
from bot.jobs.errors import DeliveryDelayed, JobEnded, UnexpectedError
from bot.jobs.model import DeliveredBy, Ending
from engine.blobs import Blobs
from engine.errors import BlobLost, OutOfMemory, StorageFull
from tests.bot.jobs.conftest import ANN, BOB, Workshop
from tests.doubles.reply import discord_is_unavailable
from tests.failing_store import ClientError, FailingStore, new_url
from tests.waiting import eventually


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """The log entries, with their context."""
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as entries:
        yield entries


def entry(logged: list[Any], event: str) -> dict[str, Any]:
    """The only log entry of this name."""
    (found,) = [each for each in logged if each["event"] == event]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def no_pauses(workshop: Workshop) -> None:
    """Retry without back-off."""
    workshop.back_off = wait_none()
    workshop.restart()


class FlakyStore(Store):
    """A real store, one method of which fails three times."""

    def __init__(self, store: Store, name: str, error: Exception | None = None) -> None:
        super().__init__(store._engine, store._cipher)
        self.failed = 0
        call: Callable[..., Awaitable[Any]] = getattr(super(), name)

        async def flaky(*arguments: Any, **options: Any) -> Any:
            if self.failed < 3:
                self.failed += 1
                raise error or OperationalError("a statement", None, Exception("disk I/O error"))
            return await call(*arguments, **options)

        setattr(self, name, flaky)


class TestAFailure:
    async def test_of_a_painting_is_delivered_once_and_the_next_job_runs(
        self, workshop: Workshop, logged: list[Any]
    ) -> None:
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            other = await workshop.accept(BOB)
            painting.fail(OutOfMemory(512))
            await workshop.until(job, "failed")
            (await workshop.executor.painting(2)).finish()
            await workshop.until(other, "delivered")
        (ending,) = workshop.replies.endings(job)
        assert isinstance(ending, OutOfMemory)
        assert ending.size == 512
        failed = entry(logged, "job failed")
        assert (failed["job"], failed["error"]) == (job.id, "OutOfMemory(512)")

    async def test_by_a_bug_gives_the_member_a_reference_to_the_log(
        self, workshop: Workshop, logged: list[Any]
    ) -> None:
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            painting.fail(RuntimeError("a bug"))
            await workshop.until(job, "failed")
            (error,) = workshop.replies.endings(job)
            assert isinstance(error, UnexpectedError)
            assert error.reference == job.id
            assert await workshop.accept_and_paint(ANN)
        unexpected = entry(logged, "job failed unexpectedly")
        assert (unexpected["job"], unexpected["exc_info"]) == (job.id, True)

    async def test_by_a_lost_blob_ends_only_its_job(self, workshop: Workshop) -> None:
        job = await workshop.accept(ANN, b"ann")
        workshop.blobs.remove(job.inputs.content)
        other = await workshop.accept(BOB, b"bob")
        async with workshop.running():
            await workshop.until(job, "failed")
            (await workshop.executor.painting()).finish()
            await workshop.until(other, "delivered")
        assert isinstance(workshop.replies.endings(job)[0], BlobLost)

    async def test_to_store_the_result_still_delivers_it(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def full(_: bytes) -> str:
            raise StorageFull

        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            monkeypatch.setattr(workshop.storage, "put", full)
            result = painting.finish()
            await workshop.until(job, "delivered")
        assert workshop.replies.endings(job) == [result]
        with pytest.raises(JobEnded):
            await workshop.jobs.picture(job.id, ANN)

    @pytest.mark.usefixtures("no_pauses")
    async def test_to_deliver_is_retried_until_it_works(self, workshop: Workshop) -> None:
        errors: list[Exception] = [DeliveryDelayed("502"), RuntimeError("a bug"), DeliveryDelayed("reset")]

        async def deliver(_: Ending) -> DeliveredBy:
            if errors:
                raise errors.pop()
            return "post"

        workshop.replies.deliver = deliver
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            result = painting.finish()
            await workshop.until(job, "delivered")
        assert (await workshop.found(job)).delivered_by == "post"
        assert workshop.replies.endings(job) == [result]

    @pytest.mark.usefixtures("no_pauses")
    async def test_to_deliver_within_its_time_keeps_the_picture_for_the_member(self, workshop: Workshop) -> None:
        workshop.replies.deliver = discord_is_unavailable
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            workshop.jobs._runner._expire_after = timedelta(0)
            painting.finish(b"painting")
            await workshop.until(job, "delivered")
        assert (await workshop.found(job)).delivered_by == "kept"
        assert (await workshop.jobs.picture(job.id, ANN))[1] == b"painting"

    @pytest.mark.parametrize("name", ["finish", "conclude", "set_checkpoint", "queue", "owned", "begin", "give_up"])
    @pytest.mark.usefixtures("no_pauses")
    async def test_of_the_database_is_retried_and_loses_nothing(self, workshop: Workshop, name: str) -> None:
        workshop.store = FlakyStore(workshop.store, name)
        workshop.restart()
        async with workshop.running():
            job, painting = await workshop.accept_and_paint(ANN)
            painting.show(5, checkpoint=b"checkpoint")
            if name == "give_up":
                painting.fail(OutOfMemory(512))
                await workshop.until(job, "failed")
            else:
                painting.finish()
                await workshop.until(job, "delivered")
        assert workshop.store.failed == (1 if name == "set_checkpoint" else 3)
        assert len(workshop.replies.endings(job)) == 1


class TestMaintenance:
    @pytest.mark.parametrize(
        "name", ["renew", "move", "adopt", "interrupted", "overdue", "forget", "claimed", "owned", "queue"]
    )
    async def test_survives_a_bug_in_each_of_its_tasks(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setattr("bot.jobs.service.SWEEP_EVERY", 0.05)
        await workshop.accept(BOB)
        flaky = workshop.store = FlakyStore(workshop.store, name, ValueError("a row that nobody can read"))
        workshop.restart()
        async with workshop.running():
            await eventually(lambda: flaky.failed == 3)
            job = await workshop.accept(ANN)
            for number in (1, 2):
                (await workshop.executor.painting(number)).finish()
            await workshop.until(job, "delivered")

    async def test_survives_a_failing_blob_store(self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bot.jobs.service.SWEEP_EVERY", 0.05)
        monkeypatch.setattr("bot.jobs.storage.UNCLAIMED_FOR", timedelta(seconds=-1))
        workshop.use(Blobs(new_url()))
        workshop.blobs.put(b"nobody's")
        with FailingStore.failing(ClientError(), "remove"):
            async with workshop.running():
                for kind in ("remove", "list", "date"):
                    FailingStore.raised, FailingStore.failing_calls = 0, frozenset({kind})
                    await eventually(lambda: FailingStore.raised >= 3)
                FailingStore.error = None
                await eventually(lambda: list(workshop.blobs) == [])

    async def test_ignores_foreign_files_beside_the_blobs(
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
            job, painting = await workshop.accept_and_paint(ANN)
            painting.finish()
            await workshop.until(job, "delivered")
        assert all(path.read_bytes() == b"foreign" for path in foreign)
