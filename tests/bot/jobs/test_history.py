"""What members can look at later: pages, thumbnails, comparisons, timelapses and recipes."""

import dataclasses
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from bot.jobs.database.history import Position
from bot.jobs.errors import JobEnded, NotYourJob, RecipeNotFound, TimelapseUnavailable
from bot.jobs.history import JobHistory
from bot.jobs.model import FRAMES, HistoryPage, Job
from engine.errors import BlobLost
from engine.recipe import Recipe
from tests.bot.jobs.conftest import ANN, BOB, CID, Workshop, job
from tests.waiting import eventually

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SERVER = 7
"""The server of :func:`job` and of the orders."""


@pytest.fixture
def history(workshop: Workshop) -> JobHistory:
    return JobHistory(workshop.store, workshop.storage, workshop.executor)


def position(of: Job) -> Position:
    return Position(of.created_at, of.id)


async def painted(workshop: Workshop, owner: int = ANN, previews: int = 0, recipe: Recipe | None = None) -> Job:
    """A delivered job, which showed this number of previews in its ten steps."""
    accepted, painting = await workshop.accept_and_paint(owner)
    for number in range(previews):
        painting.show(1 + number * 10 // previews, preview=f"preview {number}".encode())
    await eventually(lambda: workshop.replies.of(accepted).names.count("progressed") == previews)
    painting.finish(b"painting", **({} if recipe is None else {"recipe": recipe}))
    await workshop.until(accepted, "delivered")
    return await workshop.found(accepted)


async def until_framed(workshop: Workshop, of: Job) -> None:
    async def is_framed() -> bool:
        return bool((await workshop.found(of)).frames)

    await eventually(is_framed, "a frame")


class TestPages:
    async def test_lead_through_all_jobs_and_back(self, workshop: Workshop, history: JobHistory) -> None:
        store = workshop.store
        assert await history.page(ANN, 3) == HistoryPage([], newer=False, older=False)
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
        assert [page.newer for page in pages] == [False, True, True]
        back = await history.page(ANN, 3, newer_than=position(page.jobs[0]))
        assert (back.newer, back.older, back.jobs) == (True, True, pages[1].jobs)
        # The way back ends at a whole page with the newest job.
        await store.add(job(ANN, id="f" * 16, created_at=NOW + timedelta(hours=1)), "here", "cluster", 100)
        first = await history.page(ANN, 3, newer_than=position(pages[1].jobs[2]))
        assert [each.id for each in first.jobs] == newest_first[2:5]
        first = await history.page(ANN, 3, newer_than=position(pages[0].jobs[1]))
        assert [each.id for each in first.jobs] == ["f" * 16, *newest_first[:2]]
        assert not first.newer
        gone = await history.page(ANN, 3, older_than=position(mine[0]))
        assert (gone.jobs, gone.older) == ([], False)


class TestAFinishedPainting:
    async def test_has_a_thumbnail_that_is_made_once(self, workshop: Workshop, history: JobHistory) -> None:
        async with workshop.running():
            done = await painted(workshop)
        queued = job(ANN)
        assert await history.thumbnails([done, queued]) == {done.id: b"thumbnail painting"}
        again = await workshop.found(done)
        assert await history.thumbnails([again]) == {done.id: b"thumbnail painting"}
        assert workshop.executor.composed == ["thumbnail"]
        # A thumbnail that is lost is made again. Where that fails, the page comes without it.
        workshop.blobs.remove(again.thumbnail or "")
        assert await history.thumbnails([again]) == {done.id: b"thumbnail painting"}
        workshop.blobs.remove(again.thumbnail or "")
        workshop.blobs.remove(done.painted.picture if done.painted else "")
        assert await history.thumbnails([again]) == {}

    async def test_has_a_comparison_and_a_timelapse_for_its_owner_only(
        self, workshop: Workshop, history: JobHistory
    ) -> None:
        async with workshop.running():
            done = await painted(workshop, previews=3)
        assert await history.comparison(done.id, ANN, 10**7) == (done, b"comparison content painting")
        _, animation = await history.timelapse(done.id, ANN, "webp", 10**7)
        assert animation == b"webp preview 0 preview 1 preview 2 painting"
        with pytest.raises(NotYourJob):
            await history.comparison(done.id, BOB, 10**7)
        with pytest.raises(NotYourJob):
            await history.timelapse(done.id, BOB, "gif", 10**7)
        with pytest.raises(JobEnded):
            await history.timelapse("0" * 16, ANN, "gif", 10**7)
        workshop.blobs.remove(done.inputs.content)
        with pytest.raises(BlobLost):
            await history.comparison(done.id, ANN, 10**7)

    async def test_keeps_few_frames_and_they_are_removed_first(self, workshop: Workshop, history: JobHistory) -> None:
        async with workshop.running():
            accepted, painting = await workshop.accept_and_paint()
            for step in range(1, 401):
                painting.publish(dataclasses.replace(painting.show(1), step=step, steps=400, preview=b"%03d" % step))
            painting.finish(b"painting")
            await workshop.until(accepted, "delivered")
            short = await painted(workshop, previews=1)
        done = await workshop.found(accepted)
        frames = [int(workshop.blobs.get(done.frames[number])) for number in sorted(done.frames)]
        assert len(frames) == FRAMES
        assert {later - earlier for earlier, later in itertools.pairwise(frames)} <= {21, 22}
        with pytest.raises(TimelapseUnavailable):
            await history.timelapse(short.id, ANN, "webp", 10**7)
        sizes = {blob.name: blob.bytes for blob in workshop.blobs}
        freed = await workshop.store.make_room(sizes, 0, [sum(sizes.values()) - 3 * FRAMES])
        assert (freed.jobs, freed.states) == (0, 1)
        assert (await workshop.found(done)).frames == {}
        assert await workshop.jobs.picture(done.id, ANN) == (await workshop.found(done), b"painting")

    async def test_keeps_its_frames_over_a_restart(self, workshop: Workshop) -> None:
        async with workshop.running():
            accepted, painting = await workshop.accept_and_paint()
            painting.show(2, preview=b"two", checkpoint=b"checkpoint")
            await until_framed(workshop, accepted)
        workshop.restart()
        async with workshop.running():
            painting = await workshop.executor.painting(2)
            painting.show(2, preview=b"another two")
            painting.show(6, preview=b"six")
            painting.finish(b"painting")
            await workshop.until(accepted, "delivered")
            cancelled, painting = await workshop.accept_and_paint()
            painting.show(5, preview=b"five")
            await until_framed(workshop, cancelled)
            await workshop.store.give_up(cancelled.id, BlobLost("it"))
            painting.show(9, preview=b"late")
            await workshop.until(cancelled, "failed")
        frames = (await workshop.found(accepted)).frames
        assert [workshop.blobs.get(frames[number]) for number in sorted(frames)] == [b"two", b"six"]
        assert (await workshop.found(cancelled)).frames == {}
        assert b"late" not in workshop.kept()


class TestARecipe:
    async def test_is_found_by_its_owner_and_in_its_server(self, workshop: Workshop, history: JobHistory) -> None:
        smaller = Recipe(size=96)
        workshop.executor.slots_now = 2
        async with workshop.running():
            done = await painted(workshop, recipe=smaller)
            waiting, _ = await workshop.accept_and_paint(BOB)
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
            mine = await painted(workshop, CID, recipe=smaller)
            assert (await history.recipe(smaller.id, CID, SERVER)).id == mine.id
            assert (await history.recipe(smaller.id, ANN, SERVER)).id == done.id
            assert (await history.recipe(smaller.id, BOB, SERVER)).id == mine.id

    async def test_is_searched_among_the_members_own_jobs(self, workshop: Workshop, history: JobHistory) -> None:
        town, cat = (
            job(ANN, description=name, recipe=Recipe(seed=seed), created_at=NOW + timedelta(seconds=seed))
            for seed, name in enumerate(("Town, painted", "50 % of a cat, painted"))
        )
        for each in (town, cat, job(BOB)):
            await workshop.store.add(each, "here", "cluster", 100)
        assert [each.id for each in await history.search(ANN, "", 25)] == [cat.id, town.id]
        assert [each.id for each in await history.search(ANN, "", 1)] == [cat.id]
        for text, found in (("TOWN", [town]), ("0 %", [cat]), (town.recipe.id[:6], [town]), ("_", []), (cat.id, [cat])):
            assert [each.id for each in await history.search(ANN, text, 25)] == [each.id for each in found]
