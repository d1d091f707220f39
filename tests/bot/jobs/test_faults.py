"""Failures: of a painting, of Discord or the database for a while, and bugs."""

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
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
from engine.errors import BlobLost, OutOfMemory, PaintingCancelled, StorageFull
from tests.bot.jobs.conftest import ANN, BOB, JobHarness
from tests.doubles.reply import discord_is_unavailable
from tests.failing_store import ClientError, FailingStore, new_url
from tests.waiting import eventually

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


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
def no_pauses(harness: JobHarness) -> None:
    """Retry without back-off."""
    harness.back_off = wait_none()
    harness.restart()


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
        self, harness: JobHarness, logged: list[Any]
    ) -> None:
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            other = await harness.accept(BOB)
            painting.fail(OutOfMemory(512))
            await harness.until(job, "failed")
            (await harness.executor.painting(2)).finish()
            await harness.until(other, "delivered")
        (ending,) = harness.replies.endings(job)
        assert isinstance(ending, OutOfMemory)
        assert ending.size == 512
        failed = entry(logged, "job failed")
        assert (failed["job"], failed["error"]) == (job.id, "OutOfMemory(512)")

    async def test_of_the_connection_between_worker_and_scheduler_has_the_job_painted_again(
        self, harness: JobHarness
    ) -> None:
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            painting.fail(PaintingCancelled())  # nobody cancelled it
            result = (await harness.executor.painting(2)).finish()
            await harness.until(job, "delivered")
        assert harness.replies.endings(job) == [result]

    async def test_by_a_bug_gives_the_member_a_reference_to_the_log(
        self, harness: JobHarness, logged: list[Any]
    ) -> None:
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            painting.fail(RuntimeError("a bug"))
            await harness.until(job, "failed")
            (error,) = harness.replies.endings(job)
            assert isinstance(error, UnexpectedError)
            assert error.reference == job.id
            assert await harness.accept_and_paint(ANN)
        unexpected = entry(logged, "job failed unexpectedly")
        assert (unexpected["job"], unexpected["exc_info"]) == (job.id, True)

    async def test_by_a_lost_blob_ends_only_its_job(self, harness: JobHarness) -> None:
        job = await harness.accept(ANN, b"ann")
        harness.blobs.remove(job.inputs.content)
        other = await harness.accept(BOB, b"bob")
        async with harness.running():
            await harness.until(job, "failed")
            (await harness.executor.painting()).finish()
            await harness.until(other, "delivered")
        assert isinstance(harness.replies.endings(job)[0], BlobLost)

    async def test_to_store_the_result_still_delivers_it(
        self, harness: JobHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def full(_: Sequence[bytes]) -> list[str]:
            raise StorageFull

        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            monkeypatch.setattr(harness.storage, "put_all", full)
            result = painting.finish()
            await harness.until(job, "delivered")
        assert harness.replies.endings(job) == [result]
        with pytest.raises(JobEnded):
            await harness.jobs.picture(job.id, ANN)

    @pytest.mark.usefixtures("no_pauses")
    async def test_to_deliver_is_retried_until_it_works(self, harness: JobHarness) -> None:
        errors: list[Exception] = [DeliveryDelayed("502"), RuntimeError("a bug"), DeliveryDelayed("reset")]

        async def deliver(_: Ending) -> DeliveredBy:
            if errors:
                raise errors.pop()
            return "post"

        harness.replies.deliver = deliver
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            result = painting.finish()
            await harness.until(job, "delivered")
        assert (await harness.found(job)).delivered_by == "post"
        assert harness.replies.endings(job) == [result]

    @pytest.mark.usefixtures("no_pauses")
    async def test_to_deliver_within_its_time_keeps_the_picture_for_the_member(self, harness: JobHarness) -> None:
        harness.replies.deliver = discord_is_unavailable
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            harness.jobs._runner._expire_after = timedelta(0)
            painting.finish(b"painting")
            await harness.until(job, "delivered")
        assert (await harness.found(job)).delivered_by == "kept"
        assert (await harness.jobs.picture(job.id, ANN))[1] == b"painting"

    @pytest.mark.parametrize("name", ["finish", "conclude", "set_checkpoint", "queue", "owned", "begin", "give_up"])
    @pytest.mark.usefixtures("no_pauses")
    async def test_of_the_database_is_retried_and_loses_nothing(self, harness: JobHarness, name: str) -> None:
        harness.store = FlakyStore(harness.store, name)
        harness.restart()
        async with harness.running():
            job, painting = await harness.accept_and_paint(ANN)
            painting.show(5, checkpoint=b"checkpoint")
            if name == "give_up":
                painting.fail(OutOfMemory(512))
                await harness.until(job, "failed")
            else:
                painting.finish()
                await harness.until(job, "delivered")
        assert harness.store.failed == (1 if name == "set_checkpoint" else 3)
        assert len(harness.replies.endings(job)) == 1


class TestMaintenance:
    @pytest.mark.parametrize(
        "name", ["renew", "move", "adopt", "interrupted", "overdue", "forget", "claimed", "owned", "queue"]
    )
    async def test_survives_a_bug_in_each_of_its_tasks(
        self, harness: JobHarness, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setattr("bot.jobs.service.SWEEP_EVERY", 0.05)
        await harness.accept(BOB)
        flaky = harness.store = FlakyStore(harness.store, name, ValueError("a row that nobody can read"))
        harness.restart()
        async with harness.running():
            await eventually(lambda: flaky.failed == 3)
            job = await harness.accept(ANN)
            for number in (1, 2):
                (await harness.executor.painting(number)).finish()
            await harness.until(job, "delivered")

    async def test_survives_a_failing_blob_store(self, harness: JobHarness, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bot.jobs.service.SWEEP_EVERY", 0.05)
        monkeypatch.setattr("bot.jobs.storage.UNCLAIMED_FOR", timedelta(seconds=-1))
        harness.use(Blobs(new_url()))
        harness.blobs.put(b"nobody's")
        with FailingStore.failing(ClientError(), "remove"):
            async with harness.running():
                for kind in ("remove", "list", "date"):
                    FailingStore.raised, FailingStore.failing_calls = 0, frozenset({kind})
                    await eventually(lambda: FailingStore.raised >= 3)
                FailingStore.error = None
                await eventually(lambda: list(harness.blobs) == [])

    async def test_ignores_foreign_files_beside_the_blobs(
        self, harness: JobHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = harness.blobs.folder
        assert folder is not None
        foreign = [folder / ".DS_Store", folder / "ab" / "Thumbs.db", folder / "ab" / ("AB" * 32)]
        for path in foreign:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"foreign")
            os.utime(path, (0, 0))
        nobodys = harness.blobs.put(b"nobody's")
        os.utime(folder / nobodys[:2] / nobodys, (0, 0))
        async with harness.running():
            await eventually(lambda: nobodys not in {blob.name for blob in harness.blobs})
            job, painting = await harness.accept_and_paint(ANN)
            painting.finish()
            await harness.until(job, "delivered")
        assert all(path.read_bytes() == b"foreign" for path in foreign)
