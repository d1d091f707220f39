"""What members can look at later: pages, thumbnails, comparisons, timelapses and recipes."""

import asyncio
import dataclasses
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from bot.jobs.database.history import Position
from bot.jobs.errors import JobEnded, NotYourJob, RecipeNotFound, TimelapseUnavailable
from bot.jobs.history import JobHistory
from bot.jobs.model import FRAMES, Actor, HistoryPage, Job
from engine.errors import BlobLost
from engine.recipe import Recipe
from tests.bot.jobs.conftest import ANN, BOB, CID, JobHarness, job
from tests.waiting import eventually

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SERVER = 7
"""The server of :func:`job` and of the orders."""


@pytest.fixture
def history(harness: JobHarness) -> JobHistory:
    return JobHistory(harness.store, harness.storage, harness.executor)


def position(of: Job) -> Position:
    return Position(of.created_at, of.id)


async def painted(
    harness: JobHarness, owner: int = ANN, previews: int = 0, recipe: Recipe | None = None, thumbnail: bytes = b""
) -> Job:
    """A delivered job, which showed this number of previews in its ten steps."""
    accepted, painting = await harness.accept_and_paint(owner)
    for number in range(previews):
        painting.show(1 + number * 10 // previews, preview=f"preview {number}".encode())
    await eventually(lambda: harness.replies.of(accepted).names.count("progressed") == previews)
    painting.finish(b"painting", thumbnail=thumbnail, **({} if recipe is None else {"recipe": recipe}))
    await harness.until(accepted, "delivered")
    return await harness.found(accepted)


async def until_framed(harness: JobHarness, of: Job) -> None:
    async def is_framed() -> bool:
        return bool((await harness.found(of)).frames)

    await eventually(is_framed, "a frame")


class TestPages:
    async def test_lead_through_all_jobs_and_back(self, harness: JobHarness, history: JobHistory) -> None:
        store = harness.store
        assert await history.page(ANN, 3) == HistoryPage([], 1, older=False)
        # Two jobs of the same time are ordered by their ids.
        mine = [job(ANN, id=f"{number:016x}", created_at=NOW + timedelta(seconds=number // 2)) for number in range(8)]
        for each in (*mine, job(BOB, created_at=NOW)):
            await store.add(each, "here", "cluster", 100)
        newest_first = [each.id for each in reversed(mine)]
        page = await history.page(ANN, 3)
        pages = [page]
        while page.older:
            page = await history.page(ANN, 3, older_than=position(page.jobs[-1]))
            pages.append(page)
        assert [[each.id for each in page.jobs] for page in pages] == [
            newest_first[:3], newest_first[3:6], newest_first[6:],
        ]  # fmt: skip
        assert [page.first for page in pages] == [1, 4, 7]
        back = await history.page(ANN, 3, newer_than=position(page.jobs[0]))
        assert (back.first, back.older, back.jobs) == (4, True, pages[1].jobs)
        # The way back ends at a whole page with the newest job.
        await store.add(job(ANN, id="f" * 16, created_at=NOW + timedelta(hours=1)), "here", "cluster", 100)
        first = await history.page(ANN, 3, newer_than=position(pages[1].jobs[2]))
        assert [each.id for each in first.jobs] == newest_first[2:5]
        first = await history.page(ANN, 3, newer_than=position(pages[0].jobs[1]))
        assert [each.id for each in first.jobs] == ["f" * 16, *newest_first[:2]]
        assert not first.newer
        gone = await history.page(ANN, 3, older_than=position(mine[0]))
        assert (gone.jobs, gone.first) == (first.jobs, 1)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
class TestAFinishedPainting:
    async def test_has_the_thumbnail_of_its_worker(self, harness: JobHarness, history: JobHistory) -> None:
        async with harness.running():
            done = await painted(harness, thumbnail=b"small")
        assert await history.thumbnails([done, job(ANN)]) == {done.id: b"small"}
        assert harness.executor.composed == []
        await harness.jobs.delete(done.id, Actor(ANN))
        assert harness.kept() == set()

    async def test_gets_a_missing_thumbnail_for_the_next_time(self, harness: JobHarness, history: JobHistory) -> None:
        async with harness.running():
            done = await painted(harness)
        assert await asyncio.gather(*(history.thumbnails([done]) for _ in range(2))) == [{}, {}]
        await eventually(lambda: not history._making, "the thumbnail")
        again = await harness.found(done)
        assert await history.thumbnails([again]) == {done.id: b"thumbnail painting"}
        assert harness.executor.composed == ["thumbnail"]
        # A thumbnail that is lost is made again.
        harness.blobs.remove(again.thumbnail or "")
        assert await history.thumbnails([again]) == {}
        await eventually(lambda: not history._making, "the thumbnail")
        assert await history.thumbnails([again]) == {done.id: b"thumbnail painting"}

    async def test_has_a_comparison_and_a_timelapse_for_its_owner_only(
        self, harness: JobHarness, history: JobHistory
    ) -> None:
        async with harness.running():
            done = await painted(harness, previews=3)
        assert await history.comparison(done.id, ANN, 10**7) == (done, b"comparison content painting")
        _, animation = await history.timelapse(done.id, ANN, "webp", 10**7)
        assert animation == b"webp preview 0 preview 1 preview 2 painting"
        with pytest.raises(NotYourJob):
            await history.comparison(done.id, BOB, 10**7)
        with pytest.raises(NotYourJob):
            await history.timelapse(done.id, BOB, "gif", 10**7)
        with pytest.raises(JobEnded):
            await history.timelapse("0" * 16, ANN, "gif", 10**7)
        harness.blobs.remove(done.inputs.content)
        with pytest.raises(BlobLost):
            await history.comparison(done.id, ANN, 10**7)

    async def test_keeps_few_frames_and_they_are_removed_first(self, harness: JobHarness, history: JobHistory) -> None:
        async with harness.running():
            accepted, painting = await harness.accept_and_paint()
            for step in range(1, 401):
                painting.publish(dataclasses.replace(painting.show(1), step=step, steps=400, preview=b"%03d" % step))
            painting.finish(b"painting")
            await harness.until(accepted, "delivered")
            short = await painted(harness, previews=1)
        done = await harness.found(accepted)
        frames = [int(harness.blobs.get(done.frames[number])) for number in sorted(done.frames)]
        assert len(frames) == FRAMES
        assert {later - earlier for earlier, later in itertools.pairwise(frames)} <= {21, 22}
        with pytest.raises(TimelapseUnavailable):
            await history.timelapse(short.id, ANN, "webp", 10**7)
        sizes = {blob.name: blob.bytes for blob in harness.blobs}
        freed = await harness.store.make_room(sizes, 0, [sum(sizes.values()) - 3 * FRAMES])
        assert (freed.jobs, freed.states) == (0, 1)
        assert (await harness.found(done)).frames == {}
        assert await harness.jobs.picture(done.id, ANN) == (await harness.found(done), b"painting")

    async def test_keeps_its_frames_over_a_restart(self, harness: JobHarness) -> None:
        async with harness.running():
            accepted, painting = await harness.accept_and_paint()
            painting.show(2, preview=b"two", checkpoint=b"checkpoint")
            await until_framed(harness, accepted)
        harness.restart()
        async with harness.running():
            painting = await harness.executor.painting(2)
            painting.show(2, preview=b"another two")
            painting.show(6, preview=b"six")
            painting.finish(b"painting")
            await harness.until(accepted, "delivered")
            cancelled, painting = await harness.accept_and_paint()
            painting.show(5, preview=b"five")
            await until_framed(harness, cancelled)
            await harness.store.give_up(cancelled.id, BlobLost("it"))
            painting.show(9, preview=b"late")
            await harness.until(cancelled, "failed")
        frames = (await harness.found(accepted)).frames
        assert [harness.blobs.get(frames[number]) for number in sorted(frames)] == [b"two", b"six"]
        assert (await harness.found(cancelled)).frames == {}
        assert b"late" not in harness.kept()


class TestARecipe:
    async def test_is_found_by_its_owner_and_in_its_server(self, harness: JobHarness, history: JobHistory) -> None:
        smaller = Recipe(size=96)
        harness.executor.slots_now = 2
        async with harness.running():
            done = await painted(harness, recipe=smaller)
            waiting, _ = await harness.accept_and_paint(BOB)
            assert done.painted_recipe == smaller
            for text in (smaller.id, f" `{smaller.id.upper()}` ", done.id):
                assert (await history.recipe(text, ANN, None)).id == done.id
                assert (await history.recipe(text, CID, SERVER)).id == done.id
                for place in (None, SERVER + 1):
                    with pytest.raises(RecipeNotFound):
                        await history.recipe(text, CID, place)
            # Only its owner finds a job without a result.
            assert (await history.recipe(waiting.id, BOB, None)).id == waiting.id
            for text in (waiting.id, Recipe().id, "no id", ""):
                with pytest.raises(RecipeNotFound):
                    await history.recipe(text, CID, SERVER)
            # A member's own job comes before a newer one of the server.
            mine = await painted(harness, CID, recipe=smaller)
            assert (await history.recipe(smaller.id, CID, SERVER)).id == mine.id
            assert (await history.recipe(smaller.id, ANN, SERVER)).id == done.id
            assert (await history.recipe(smaller.id, BOB, SERVER)).id == mine.id

    async def test_is_searched_among_the_members_own_jobs(self, harness: JobHarness, history: JobHistory) -> None:
        town, cat = (
            job(ANN, description=name, recipe=Recipe(seed=seed), created_at=NOW + timedelta(seconds=seed))
            for seed, name in enumerate(("Town, painted", "50 % of a cat, painted"))
        )
        for each in (town, cat, job(BOB)):
            await harness.store.add(each, "here", "cluster", 100)
        assert [each.id for each in await history.search(ANN, "", 25)] == [cat.id, town.id]
        assert [each.id for each in await history.search(ANN, "", 1)] == [cat.id]
        for text, found in (("TOWN", [town]), ("0 %", [cat]), (town.recipe.id[:6], [town]), ("_", []), (cat.id, [cat])):
            assert [each.id for each in await history.search(ANN, text, 25)] == [each.id for each in found]
