"""A member's own data: a copy of everything, and the removal of everything."""

import asyncio
import json
import zipfile
from collections.abc import AsyncGenerator

import pytest

from bot.jobs.api import ExportPart
from bot.jobs.errors import ExportRunning, ExportStartNotFound
from bot.jobs.members import MemberData
from engine.errors import PaintingCancelled
from tests.bot.jobs.conftest import ANN, BOB, JobHarness

LIMIT = 10 * 2**20
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def own(harness: JobHarness) -> MemberData:
    return MemberData(harness.store, harness.storage, harness.jobs)


async def files(parts: AsyncGenerator[ExportPart]) -> tuple[list[ExportPart], dict[str, bytes]]:
    """All parts, and all files in them."""
    found, contents = [], dict[str, bytes]()
    async for part in parts:
        found.append(part)
        with part.file as file, zipfile.ZipFile(file) as archive:
            assert archive.testzip() is None
            assert not contents.keys() & set(archive.namelist())
            contents |= {name: archive.read(name) for name in archive.namelist()}
    return found, contents


async def test_everything_is_exported_in_parts_that_fit(harness: JobHarness, own: MemberData) -> None:
    jobs = []
    async with harness.running():
        for number in range(3):
            accepted, painting = await harness.accept_and_paint(ANN, b"photo %d" % number)
            painting.show(5, preview=b"preview", checkpoint=b"checkpoint")
            painting.finish(PNG + bytes(9000))
            await harness.until(accepted, "delivered")
            jobs.append(accepted)
        other, painting = await harness.accept_and_paint(BOB)
        painting.finish(b"large" * 10_000)
        await harness.until(other, "delivered")
        waiting = await harness.accept(ANN)
        (whole,), contents = await files(own.export(ANN, LIMIT))
        folders = {job.id: f"pictures/{job.created_at:%Y-%m-%d}-{job.id}" for job in (*jobs, waiting)}
        finished = {"painting.png", "photo.bin", "style-0.bin", "recipe.json", "picture.json"}
        assert contents.keys() == {f"{folders[job.id]}/{name}" for job in jobs for name in finished} | {
            f"{folders[waiting.id]}/{name}" for name in finished - {"painting.png"}
        }
        assert (whole.number, whole.is_last, whole.left_out) == (1, True, 0)
        first = folders[jobs[0].id]
        assert contents[f"{first}/photo.bin"] == b"photo 0"
        assert json.loads(contents[f"{first}/recipe.json"]) == jobs[0].recipe.model_dump(mode="json")
        told = json.loads(contents[f"{first}/picture.json"])
        assert (told["id"], told["description"], told["painted"]["width"]) == (jobs[0].id, "A town, painted", 512)
        assert "address" not in told
        # In parts, nothing is missing and nothing is twice. An export can go on after any whole job.
        parts, again = await files(own.export(ANN, 15_000))
        assert again.keys() == contents.keys()
        assert len(parts) > 2
        assert [part.is_last for part in parts] == [False] * (len(parts) - 1) + [True]
        newest_first = [waiting.id, *(job.id for job in reversed(jobs))]
        for part in parts[1:]:
            assert part.last_job is not None
            older = newest_first[newest_first.index(part.last_job) + 1 :]
            _, rest = await files(own.export(ANN, LIMIT, part.last_job))
            assert rest.keys() == {name for name in contents if any(job in name for job in older)}
        # What no part can hold is named.
        (part,), few = await files(own.export(BOB, 15_000))
        assert part.left_out == 1
        (name,) = (name for name in few if name.endswith("picture.json"))
        assert json.loads(few[name])["left_out"] == {"painted": "50000 bytes, too large to send here"}
        with pytest.raises(ExportStartNotFound):
            await files(own.export(BOB, LIMIT, jobs[0].id))
        assert await files(own.export(404, LIMIT)) == ([], {})
        running = own.export(ANN, LIMIT)
        (await anext(running)).file.close()
        with pytest.raises(ExportRunning):
            await files(own.export(ANN, LIMIT))
        await running.aclose()


async def test_everything_of_a_member_is_removed_during_a_painting_and_nothing_of_others(
    harness: JobHarness, own: MemberData
) -> None:
    async with harness.running():
        for owner in (ANN, BOB):
            accepted, painting = await harness.accept_and_paint(owner)
            painting.show(5, preview=b"preview of %d" % owner)
            painting.finish(b"painting of %d" % owner)
            await harness.until(accepted, "delivered")
        running, painting = await harness.accept_and_paint(ANN, b"another photo")
        waiting = await harness.accept(ANN, b"a third photo")
        counts = await asyncio.gather(own.forget(ANN), own.forget(ANN))
        assert sorted(counts) == [(0, 0), (3, 0)]
        assert painting.cancelled
        for job in (running, waiting):
            assert [type(ending) for ending in harness.replies.endings(job)] == [PaintingCancelled]
            assert await harness.store.get(job.id) is None
        assert await own.forget(ANN) == (0, 0)
        assert await own.count(BOB) == (1, 0)
        # Bob's job has the same photo and style.
        assert harness.kept() == {b"content", b"style", b"painting of 2", b"preview of 2"}
