"""An upgrade: this version finishes the jobs in flight of the previous version."""

import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, insert, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.jobs.database.cipher import Cipher
from bot.jobs.errors import OrderInterrupted, dump
from bot.jobs.model import Painted
from bot.jobs.storage import Storage
from engine.blobs import Blobs
from engine.errors import OutOfMemory
from engine.progress import Result
from engine.recipe import Recipe
from tests.bot.jobs.conftest import KEY, SECRET, JobHarness, opened
from tests.doubles.executor import FakeExecutor
from tests.doubles.reply import FakeReplies
from tests.waiting import eventually

LEASE = 0.5
RECIPE = Recipe(seed=7, size=384)
LONG_AGO = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind, without tables."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'atelier.db'}"
    url: str = request.getfixturevalue("postgresql_url")
    return url


class OldData:
    """The data of a bot of the previous version: rows of revision 0004, and their blobs."""

    def __init__(self, blobs: Blobs) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.claims: list[dict[str, str]] = []
        self._blobs = blobs
        self._cipher = Cipher([KEY])
        self.style = self.put(b"style")

    def put(self, data: bytes) -> str:
        """Store a blob that is too old to be protected by its age."""
        name, folder = self._blobs.put(data), self._blobs.folder
        assert folder is not None
        os.utime(folder / name[:2] / name, (0, 0))
        return name

    def job(self, number: int, state: str, *, checkpoint: bytes = b"", picture: bytes = b"", **columns: Any) -> None:
        """Add a job in this state, of the member with this number."""
        name = f"{number:016x}"
        roles = {"content": self.put(f"photo {number}".encode()), "style-0": self.style}
        if checkpoint:
            roles["checkpoint"] = self.put(checkpoint)
        if picture:
            roles["painted"] = self.put(picture)
            columns["painted"] = json.dumps(
                asdict(Painted(roles["painted"], "png", 384, 288, 90, 41.5, "finished", 384))
            )
        self.claims += [{"job": name, "role": role, "name": blob} for role, blob in roles.items()]
        self.jobs.append(
            {
                "id": name, "owner": number, "state": state, "process": "before", "pool": "Scheduler-before", "turn": 0,
                "recipe": RECIPE.model_dump_json(), "address": self._cipher.encrypt(SECRET),
                "description": "A town, painted in the style of waves", "max_bytes": 10**7,
                "painted": "", "cause": "", "way": "", "accepted": 400.0 + number,
                "created_at": LONG_AGO + timedelta(seconds=number), "changed_at": datetime.now(UTC),
            }
            | columns
        )  # fmt: skip

    async def store(self, engine: AsyncEngine, more: Mapping[str, list[dict[str, Any]]]) -> None:
        """Create the tables of revision 0004 and insert the rows."""
        async with engine.begin() as connection:
            await connection.run_sync(_make_tables)
            tables = MetaData()
            await connection.run_sync(tables.reflect)
            for name, rows in {"jobs": self.jobs, "blobs": self.claims, **more}.items():
                await connection.execute(insert(tables.tables[name]), rows)


def _make_tables(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "bot.jobs.database:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "0004")


@pytest.fixture
async def before(url: str) -> AsyncIterator[AsyncEngine]:
    """The connections of the bot of the previous version."""
    engine = create_async_engine(url)
    yield engine
    await engine.dispose()


async def test_jobs_in_flight_are_finished_and_nothing_is_lost(
    before: AsyncEngine, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.jobs.service.POLL_EVERY", 0.05)
    monkeypatch.setattr("bot.jobs.service.RENEW_EVERY", 0.1)
    monkeypatch.setattr("bot.jobs.database.leases.LEASE", LEASE)
    blobs = Blobs(str(tmp_path / "blobs"))
    old = OldData(blobs)
    old.job(1, "queued", turn=1)
    old.job(2, "running", checkpoint=b"half done")
    old.job(3, "queued")
    old.job(4, "delivering", checkpoint=b"done", picture=b"painting 4")
    old.job(5, "delivering", cause=dump(OutOfMemory(384)))
    old.job(6, "delivering", checkpoint=b"nearly done")  # its result was only in memory
    old.job(7, "delivered", picture=b"painting 7", way="kept", address="", process="")
    now = time.monotonic() if url.startswith("sqlite") else time.time()
    written, orphan = old.put(b"of an order that is being stored"), old.put(b"an orphan")
    await old.store(
        before,
        {
            "processes": [{"id": "before", "seen": now}],
            "clock": [{"id": 1, "seconds": 500.0, "moved": now}],
            "holds": [{"id": "1", "name": written, "act": "put", "until": now + 600}],
            "acknowledged": [
                {
                    "id": f"{8:016x}", "owner": 8, "process": "before", "interrupted": False, "description": "A town",
                    "address": Cipher([KEY]).encrypt(SECRET), "expires_at": datetime.now(UTC) + timedelta(minutes=10),
                }
            ],
        },
    )  # fmt: skip
    async with opened(url) as store:
        # If the old bot still runs, it can neither sweep blobs nor change jobs.
        for statement in ("SELECT name FROM blobs", "UPDATE jobs SET pool = 'x', way = 'edit'"):
            async with before.connect() as connection:
                with pytest.raises(DBAPIError):
                    await connection.execute(text(statement))
        executor, replies = FakeExecutor(blobs), FakeReplies()
        harness = JobHarness(blobs, store, executor, replies)
        await Storage(blobs, store, harness.storage_policy).sweep()
        assert {b"photo 1", b"half done", b"painting 7", b"of an order that is being stored"} < harness.kept()
        assert orphan not in {blob.name for blob in blobs}
        jobs = {number: found for number in range(1, 8) if (found := await store.get(f"{number:016x}"))}
        assert len(jobs) == 7
        assert jobs[7].delivered_by == "kept"
        assert {(job.guild_id, job.spoiler) for job in jobs.values()} == {(None, False)}
        assert {(job.locale, job.description) for job in jobs.values()} == {("en-US", "A town\x1fwaves")}
        assert [await store.of_recipe(RECIPE.id, number, None) for number in (7, 9)] == [jobs[7].id, None]
        async with harness.running():
            for number in range(1, 5):
                painting = await executor.painting(number)
                painting.finish(painting.content.replace(b"photo", b"painting"))
            for number in (1, 2, 3, 4, 6):
                await harness.until(jobs[number], "delivered")
            await harness.until(jobs[5], "failed")
            await eventually(lambda: len(replies.made) >= 7, "the apology")
        # In the order of their turns, interrupted ones from their checkpoints.
        assert [(each.content, each.resume) for each in executor.paintings] == [
            (b"photo 2", b"half done"), (b"photo 3", None), (b"photo 6", b"nearly done"), (b"photo 1", None),
        ]  # fmt: skip
        assert all(each.recipe == RECIPE for each in executor.paintings)
        for number in (1, 2, 3, 4, 6):
            (ending,) = replies.endings(jobs[number])
            assert isinstance(ending, Result)
            assert ending.picture == f"painting {number}".encode()
            assert replies.of(jobs[number]).job.address == SECRET
            assert (await harness.found(jobs[number])).address != SECRET
        assert [type(ending) for ending in replies.endings(jobs[5])] == [OutOfMemory]
        (apology,) = [reply for reply in replies.made if reply.job.id == f"{8:016x}"]
        assert [type(ending) for ending in apology.endings] == [OrderInterrupted]
        assert await harness.jobs.picture(jobs[7].id, 7) == (jobs[7], b"painting 7")
        assert replies.endings(jobs[7]) == []
