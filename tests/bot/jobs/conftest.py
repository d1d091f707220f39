"""The service of jobs among stand-ins: a studio whose paintings the test makes, and a desk that notes every reply."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from bot.jobs.database.cipher import Cipher, new_key
from bot.jobs.database.connect import connected
from bot.jobs.database.store import Store
from bot.jobs.database.tables import Base
from bot.jobs.errors import DeliveryDelayed
from bot.jobs.model import DeliveredBy, Ending, Job, Order, State, new_id
from bot.jobs.service import JobService, Policy
from bot.jobs.storage import Storage, StoragePolicy
from engine.blobs import Blobs
from engine.errors import AtelierError, PaintingCancelled, PaintingPaused
from engine.executor.executor import DaskExecutor
from engine.progress import Progress, Result
from engine.recipe import Recipe
from tests.postgresql import Server

ANN, BOB, CID = 1, 2, 3
KEY = new_key()
SECRET = '{"token":"aW50ZXJhY3Rpb24"}'


async def eventually(check: Callable[[], bool | Awaitable[bool]], what: str = "") -> None:
    """Wait until `check` is true; fail when it isn't for very long."""
    try:
        async with asyncio.timeout(20):
            while True:
                found = check()
                if await found if inspect.isawaitable(found) else found:
                    return
                await asyncio.sleep(0.005)
    except TimeoutError:
        pytest.fail(f"never: {what or inspect.getsource(check).strip()}")


def order(owner: int = 1, content: bytes = b"content", *styles: bytes, recipe: Recipe | None = None) -> Order:
    """What a member asks for."""
    return Order(
        id=new_id(),
        owner=owner,
        recipe=recipe or Recipe(),
        content=content,
        styles=styles or (b"style",),
        address=f"the secret address of {owner}",
        description="A town, painted",
        max_bytes=10_000_000,
    )


async def discord_is_gone(_: Ending) -> DeliveredBy:
    raise DeliveryDelayed("Discord is gone")


class Canvas:
    """A painting that the test makes: it shows, finishes or fails when told to."""

    def __init__(
        self,
        blobs: Blobs,
        recipe: Recipe,
        content: str,
        styles: Sequence[str],
        resume: str | None,
        max_bytes: int | None,
    ) -> None:
        self._blobs = blobs
        self.recipe = recipe
        self.content = blobs.get(content)
        self.styles = [blobs.get(style) for style in styles]
        self.resume = resume and blobs.get(resume)
        self.max_bytes = max_bytes
        self.cancelled = False
        self.paused = False
        self._step = 0
        self._events: asyncio.Queue[Progress | None] = asyncio.Queue()
        self._end: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._end.add_done_callback(lambda _: self._events.put_nowait(None))

    @property
    def ended(self) -> bool:
        return self._end.done()

    def show(self, step: int, *, preview: bytes | None = None, checkpoint: bytes | None = None) -> Progress:
        self._step = step
        name = self._blobs.put(checkpoint) if checkpoint else None
        progress = Progress(step, 10, 512, 1.0, 0.5, 0.5, 1.0, 9.0, preview, name)
        self._events.put_nowait(progress)
        return progress

    def finish(self, picture: bytes = b"picture", **otherwise: Any) -> Result:
        result = replace(Result(picture, "png", 512, 384, self.recipe, 10, 9.5, "finished"), **otherwise)
        self._end.set_result(result)
        return result

    def fail(self, error: Exception) -> None:
        self._end.set_exception(error)
        self._end.exception()

    async def __aiter__(self) -> AsyncIterator[Progress]:
        while (event := await self._events.get()) is not None:
            yield event

    async def result(self) -> Result:
        return await asyncio.shield(self._end)

    async def cancel(self) -> None:
        if not self._end.done():
            self.cancelled = True
            self.fail(PaintingCancelled())

    async def pause(self) -> None:
        if not self._end.done():
            self.paused = True
            self.show(self._step, checkpoint=f"paused at {self._step}".encode())
            self.fail(PaintingPaused())


class Studio:
    """An executor by its public interface."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs
        self.cluster_id = "the studio"
        self.slots_now = 1
        self.canvases: list[Canvas] = []
        self.refused: dict[bytes, AtelierError] = {}
        self.checks = 0
        self.may_check = asyncio.Event()
        self.may_check.set()

    async def check(self, picture: bytes) -> None:
        self.checks += 1
        await self.may_check.wait()
        if picture in self.refused:
            raise self.refused[picture]

    def submit(
        self,
        recipe: Recipe,
        content: str,
        styles: Sequence[str],
        *,
        resume: str | None = None,
        max_bytes: int | None = None,
    ) -> Canvas:
        self.canvases.append(Canvas(self.blobs, recipe, content, styles, resume, max_bytes))
        return self.canvases[-1]

    async def slots(self) -> int:
        return self.slots_now

    @property
    def busy(self) -> list[Canvas]:
        return [canvas for canvas in self.canvases if not canvas.ended]

    async def canvas(self, number: int = 1) -> Canvas:
        """The painting that was begun as the `number`-th of all."""
        await eventually(lambda: len(self.canvases) >= number, f"a painting number {number}")
        return self.canvases[number - 1]


class Noted:
    """A reply that notes what it was told."""

    def __init__(
        self, job: Job, may_edit: Callable[[], bool], deliver: Callable[[Ending], Awaitable[DeliveredBy]]
    ) -> None:
        self.job = job
        self.may_edit = may_edit
        self.calls: list[tuple[str, Any]] = []
        self.bucket = job.id
        self._deliver = deliver

    def queued(self, position: int) -> None:
        self.calls.append(("queued", position))

    def progressed(self, progress: Progress) -> None:
        self.calls.append(("progressed", progress))

    async def deliver(self, ending: Ending) -> DeliveredBy:
        delivered_by = await self._deliver(ending)
        self.calls.append(("delivered", ending))
        return delivered_by

    async def close(self) -> None:
        self.calls.append(("closed", None))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    @property
    def positions(self) -> list[int]:
        return [position for name, position in self.calls if name == "queued"]

    @property
    def told(self) -> list[Ending]:
        """The ends that the member was told."""
        return [ending for name, ending in self.calls if name == "delivered"]


@dataclass
class Desk:
    """Makes the replies; `deliver` is what the handing over of an end does."""

    replies: list[Noted] = field(default_factory=list)
    deliver: Callable[[Ending], Awaitable[DeliveredBy]] | None = None

    def __call__(self, job: Job, may_edit: Callable[[], bool]) -> Noted:
        async def deliver(ending: Ending) -> DeliveredBy:
            return "token" if self.deliver is None else await self.deliver(ending)

        self.replies.append(Noted(job, may_edit, deliver))
        return self.replies[-1]

    def hold(self, delivered_by: DeliveredBy) -> asyncio.Event:
        """Hand every end over in that way, but not before the event is set."""
        may_arrive = asyncio.Event()

        async def deliver(_: Ending) -> DeliveredBy:
            await may_arrive.wait()
            return delivered_by

        self.deliver = deliver
        return may_arrive

    def of(self, job: Job) -> Noted:
        """The newest reply of a job."""
        return next(reply for reply in reversed(self.replies) if reply.job.id == job.id)

    def told(self, job: Job) -> list[Ending]:
        """Every end that the member was told, by whatever process."""
        return [ending for reply in self.replies if reply.job.id == job.id for ending in reply.told]


@dataclass
class Workshop:
    """A service of jobs with everything around it; `limit` counts a member's jobs."""

    blobs: Blobs
    store: Store
    studio: Studio
    desk: Desk
    limit: int = 10
    expire_after: timedelta = timedelta(hours=1)
    storage_policy: StoragePolicy = field(default_factory=lambda: StoragePolicy(min_free_bytes=0))

    def __post_init__(self) -> None:
        self.open_anew()

    def use(self, blobs: Blobs) -> None:
        """Keep pictures there."""
        self.blobs = self.studio.blobs = blobs
        self.open_anew()

    def open_anew(self) -> None:
        """A new service on what the last one left in the database and on disk."""
        self.storage = Storage(self.blobs, self.store, self.storage_policy)
        self.jobs = JobService(
            self.store,
            self.storage,
            cast(DaskExecutor, self.studio),
            self.desk,
            Policy(self.limit, self.expire_after),
        )

    @asynccontextmanager
    async def running(self, *, killed: bool = False) -> AsyncIterator[None]:
        """Let the service run; when left, it goes down in good order, or as if it were killed."""
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
        # SQLAlchemy closes a connection whose query was cancelled in a task of its own.
        await eventually(lambda: asyncio.all_tasks() <= before, "the end of all its tasks")
        assert self.studio.busy == []

    def expire_now(self) -> None:
        """Let every job be too old."""
        self.jobs._policy = Policy(self.limit, timedelta(0))
        self.jobs._runner._expire_after = timedelta(0)

    async def accept(self, owner: int = 1, content: bytes = b"content", *styles: bytes) -> Job:
        """Accept an order."""
        asked = order(owner, content, *styles)
        async with self.jobs.admission(owner, asked.id):
            return await self.jobs.accept(asked)

    async def accept_and_paint(self, owner: int = 1, content: bytes = b"content") -> tuple[Job, Canvas]:
        """Accept an order and wait until it is painted."""
        begun = len(self.studio.canvases)
        return await self.accept(owner, content), await self.studio.canvas(begun + 1)

    async def found(self, job: Job) -> Job:
        """What the database says of a job."""
        found = await self.store.get(job.id)
        assert found is not None
        return found

    async def state(self, job: Job) -> str:
        """Its state."""
        return (await self.found(job)).state.value

    async def until(self, job: Job, state: str) -> None:
        """Wait for a state."""

        async def is_there() -> bool:
            return await self.state(job) == state

        await eventually(is_there, f"job {state}")

    def kept(self) -> set[bytes]:
        """All bytes that are kept."""
        return {self.blobs.get(blob.name) for blob in self.blobs}


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    """A store on that database."""
    async with Store.open(url, Cipher([KEY])) as store:
        yield store


def job(owner: int = 1, state: State = State.QUEUED, **fields: Any) -> Job:
    """A job as it is accepted."""
    plain = Job(
        id=new_id(),
        owner=owner,
        recipe=Recipe(seed=7, strength=33.3),
        content="c" * 64,
        styles=("5" * 64,),
        address=SECRET,
        description="A “town” – ☃ 🎨",
        max_bytes=10**7,
        state=state,
        created_at=datetime.now(UTC),
    )
    return replace(plain, **fields)


@pytest.fixture(scope="session")
def postgresql_with_tables(postgresql: Server) -> Iterator[str]:
    """The URL of one database for all tests that use :func:`url`: making one takes longer than most of them."""

    async def migrate(url: str) -> None:
        async with connected(url):
            pass

    with postgresql.database() as url:
        asyncio.run(migrate(url))
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind. For one alone: ``parametrize("url", ["sqlite"], indirect=True)``."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'atelier.db'}"
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
def workshop(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A service that does not run yet, and looks around more often than it would."""
    monkeypatch.setattr("bot.jobs.service.LOOK_EVERY", 0.05)
    monkeypatch.setattr("bot.jobs.service.ALIVE_EVERY", 0.1)
    blobs = Blobs(str(tmp_path / "blobs"))
    return Workshop(blobs, store, Studio(blobs), Desk())
