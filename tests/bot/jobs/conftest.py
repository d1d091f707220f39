"""The service of jobs with a fake executor, whose paintings the test controls, and with replies that are recorded."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tenacity.wait import wait_base

from bot.jobs.database.cipher import Cipher, new_key
from bot.jobs.database.connect import connected
from bot.jobs.database.store import Store
from bot.jobs.database.tables import Base
from bot.jobs.model import Actor, Job, Order, State, new_id
from bot.jobs.retry import BACK_OFF
from bot.jobs.rules import Policy
from bot.jobs.service import JobService
from bot.jobs.storage import Storage, StoragePolicy
from engine.blobs import Blobs
from engine.recipe import Inputs, Recipe
from tests.doubles.executor import FakeExecutor, FakePainting
from tests.doubles.reply import FakeReplies
from tests.postgresql import Server
from tests.waiting import eventually

ANN, BOB, CID = 1, 2, 3
KEY = new_key()
SECRET = '{"token":"aW50ZXJhY3Rpb24"}'


def order(owner: int = 1, content: bytes = b"content", *styles: bytes, recipe: Recipe | None = None) -> Order:
    """A member's order."""
    return Order(
        id=new_id(),
        owner=owner,
        guild_id=7,
        recipe=recipe or Recipe(),
        inputs=Inputs(content, styles or (b"style",)),
        address=f"the secret address of {owner}",
        description="A town, painted",
        max_bytes=10_000_000,
    )


@dataclass
class JobHarness:
    """A service of jobs with all its parts. `limit` is the maximum number of a member's open jobs."""

    blobs: Blobs
    store: Store
    executor: FakeExecutor
    replies: FakeReplies
    limit: int = 10
    expire_after: timedelta = timedelta(hours=1)
    back_off: wait_base = BACK_OFF
    storage_policy: StoragePolicy = field(default_factory=lambda: StoragePolicy(min_free_bytes=0))

    def __post_init__(self) -> None:
        self.restart()

    def use(self, blobs: Blobs) -> None:
        """Use this blob store."""
        self.blobs = self.executor.blobs = blobs
        self.restart()

    def restart(self) -> None:
        """Make a new service on the same database and blob store."""
        self.storage = Storage(self.blobs, self.store, self.storage_policy)
        self.jobs = JobService(
            self.store,
            self.storage,
            self.executor,
            self.replies,
            Policy(self.limit, self.expire_after),
            self.back_off,
        )

    @asynccontextmanager
    async def running(self, *, killed: bool = False) -> AsyncIterator[None]:
        """Run the service. At the exit it shuts down, or ends as if it were killed."""
        before = asyncio.all_tasks()
        run = asyncio.create_task(self.jobs.run())
        try:
            yield
            assert not run.done(), "the service ended by itself"
            if not killed:
                await self.jobs.close()
        finally:
            run.cancel()
            await asyncio.wait([run], timeout=20)
        assert run.cancelled(), "the service did not stop"
        # SQLAlchemy closes a connection with a cancelled query in a task of its own.
        await eventually(lambda: asyncio.all_tasks() <= before, "the end of all its tasks")
        assert self.executor.running == []

    def expire_now(self) -> None:
        """Make every job expired."""
        self.jobs._policy = replace(self.jobs._policy, expire_after=timedelta(0))
        self.jobs._runner._expire_after = timedelta(0)

    async def accept(self, owner: int = 1, content: bytes = b"content", *styles: bytes) -> Job:
        """Accept an order."""
        asked = order(owner, content, *styles)
        async with self.jobs.admission(Actor(owner, asked.guild_id), asked.id):
            return await self.jobs.accept(asked)

    async def accept_and_paint(self, owner: int = 1, content: bytes = b"content") -> tuple[Job, FakePainting]:
        """Accept an order and wait until its painting is submitted."""
        begun = len(self.executor.paintings)
        return await self.accept(owner, content), await self.executor.painting(begun + 1)

    async def found(self, job: Job) -> Job:
        """The current state of a job in the database."""
        found = await self.store.get(job.id)
        assert found is not None
        return found

    async def state(self, job: Job) -> str:
        """The state of a job in the database."""
        return (await self.found(job)).state.value

    async def until(self, job: Job, state: str) -> None:
        """Wait until a job has this state."""

        async def is_there() -> bool:
            return await self.state(job) == state

        await eventually(is_there, f"job {state}")

    def kept(self) -> set[bytes]:
        """The bytes of all blobs."""
        return {self.blobs.get(blob.name) for blob in self.blobs}


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    """A store on this database."""
    async with Store.open(url, Cipher([KEY])) as store:
        yield store


def job(
    owner: int = 1,
    state: State = State.QUEUED,
    *,
    content: str = "c" * 64,
    styles: tuple[str, ...] = ("5" * 64,),
    **fields: Any,
) -> Job:
    """A new job."""
    plain = Job(
        id=new_id(),
        owner=owner,
        guild_id=7,
        recipe=Recipe(seed=7, strength=33.3),
        inputs=Inputs(content, styles),
        address=SECRET,
        description="A “town” – ☃ 🎨",
        max_bytes=10**7,
        state=state,
        created_at=datetime.now(UTC),
    )
    return replace(plain, **fields)


@pytest.fixture(scope="session")
def postgresql_with_tables(postgresql: Server) -> Iterator[str]:
    """The URL of one database for all tests that use :func:`url`. A new one takes longer than most tests."""

    async def migrate(url: str) -> None:
        async with connected(url):
            pass

    with postgresql.database() as url:
        asyncio.run(migrate(url))
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with empty tables of each kind. For only one: ``parametrize("url", ["sqlite"], indirect=True)``."""
    if request.param == "sqlite":
        database = tmp_path / "atelier.db"
        shutil.copyfile(request.getfixturevalue("empty_database"), database)
        yield f"sqlite+aiosqlite:///{database}"
        return
    url: str = request.getfixturevalue("postgresql_with_tables")
    yield url
    server: Server = request.getfixturevalue("postgresql")
    server.empty(url, *Base.metadata.tables)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """An empty database."""
    async with opened(url) as store:
        yield store


@pytest.fixture
def harness(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobHarness:
    """A service that does not run yet, with short intervals between its polls."""
    monkeypatch.setattr("bot.jobs.service.POLL_EVERY", 0.05)
    monkeypatch.setattr("bot.jobs.service.RENEW_EVERY", 0.1)
    blobs = Blobs(str(tmp_path / "blobs"))
    return JobHarness(blobs, store, FakeExecutor(blobs), FakeReplies())
