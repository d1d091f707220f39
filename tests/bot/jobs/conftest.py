"""The service of jobs among stand-ins: a studio whose paintings the test makes, and a desk that notes every reply."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from bot.jobs.files import JobFiles
from bot.jobs.job import Job, Order
from bot.jobs.service import Jobs
from bot.jobs.store import Store
from engine.errors import AtelierError, PaintingCancelled
from engine.executor import Executor
from engine.progress import Progress, Result
from engine.recipe import Recipe

ENDS = {"finished", "failed", "cancelled", "closed"}


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
        owner=owner,
        recipe=recipe or Recipe(),
        content=content,
        styles=styles or (b"style",),
        address=f"the secret address of {owner}",
        description="A town, painted",
        max_bytes=10_000_000,
    )


class Canvas:
    """A painting that the test makes: it shows, finishes or fails when told to."""

    def __init__(
        self, recipe: Recipe, content: bytes, styles: Sequence[bytes], resume: bytes | None, max_bytes: int | None
    ) -> None:
        self.recipe = recipe
        self.content = content
        self.styles = styles
        self.resume = resume
        self.max_bytes = max_bytes
        self.cancelled = False
        self._events: asyncio.Queue[Progress | None] = asyncio.Queue()
        self._end: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._end.add_done_callback(lambda _: self._events.put_nowait(None))

    @property
    def ended(self) -> bool:
        return self._end.done()

    def show(self, step: int, *, preview: bytes | None = None, checkpoint: bytes | None = None) -> Progress:
        progress = Progress(step, 10, 512, 1.0, 0.5, 0.5, 1.0, 9.0, preview, checkpoint)
        self._events.put_nowait(progress)
        return progress

    def finish(self, picture: bytes = b"picture") -> Result:
        result = Result(picture, "png", 512, 384, self.recipe, 10, 9.5, "finished")
        self._end.set_result(result)
        return result

    def fail(self, error: Exception) -> None:
        self._end.set_exception(error)

    async def __aiter__(self) -> AsyncIterator[Progress]:
        while (event := await self._events.get()) is not None:
            yield event

    async def result(self) -> Result:
        return await asyncio.shield(self._end)

    async def cancel(self) -> None:
        if not self._end.done():
            self.cancelled = True
            self._end.set_exception(PaintingCancelled())
            self._end.exception()


class Studio:
    """An executor by its public interface."""

    def __init__(self) -> None:
        self.slots_now = 1
        self.canvases: list[Canvas] = []
        self.refused: dict[bytes, AtelierError] = {}
        self.checks = 0
        self.looks = 0
        """How often somebody asked for the slots."""
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
        content: bytes,
        styles: Sequence[bytes],
        *,
        resume: bytes | None = None,
        max_bytes: int | None = None,
    ) -> Canvas:
        self.canvases.append(Canvas(recipe, content, styles, resume, max_bytes))
        return self.canvases[-1]

    async def slots(self) -> int:
        self.looks += 1
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

    def __init__(self, job: Job, deliver: Callable[[], Awaitable[None]]) -> None:
        self.job = job
        self.calls: list[tuple[str, Any]] = []
        self._deliver = deliver

    def queued(self, place: int) -> None:
        self.calls.append(("queued", place))

    def progressed(self, progress: Progress) -> None:
        self.calls.append(("progressed", progress))

    async def finished(self, result: Result) -> None:
        self.calls.append(("finished", result))
        await self._deliver()

    async def failed(self, error: AtelierError) -> None:
        self.calls.append(("failed", error))

    async def cancelled(self) -> None:
        self.calls.append(("cancelled", None))

    async def close(self) -> None:
        self.calls.append(("closed", None))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    @property
    def places(self) -> list[int]:
        return [place for name, place in self.calls if name == "queued"]

    @property
    def ends(self) -> list[str]:
        return [name for name in self.names if name in ENDS]


@dataclass
class Desk:
    """Makes the replies; `deliver` is what the handing over of a finished picture does."""

    replies: list[Noted] = field(default_factory=list)
    deliver: Callable[[], Awaitable[None]] | None = None

    def __call__(self, job: Job) -> Noted:
        async def deliver() -> None:
            if self.deliver is not None:
                await self.deliver()

        self.replies.append(Noted(job, deliver))
        return self.replies[-1]

    def of(self, job: Job) -> Noted:
        """The newest reply of a job."""
        return next(reply for reply in reversed(self.replies) if reply.job.id == job.id)


@dataclass
class Workshop:
    """A service of jobs with everything around it."""

    directory: Path
    store: Store
    studio: Studio
    desk: Desk
    limit: int = 10

    def __post_init__(self) -> None:
        self.files = JobFiles(self.directory)
        self.open_anew()

    def open_anew(self) -> None:
        """A new service on what the last one left in the database and on disk."""
        self.jobs = Jobs(self.store, self.files, cast(Executor, self.studio), self.desk, self.limit)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let the service run; when left, it is stopped and has left nothing running."""
        before = asyncio.all_tasks()
        run = asyncio.create_task(self.jobs.run())
        try:
            yield
            assert not run.done(), "the service ended by itself"
        finally:
            run.cancel()
            await asyncio.wait([run], timeout=20)
        assert run.cancelled(), "the service did not stop"
        assert asyncio.all_tasks() <= before
        assert self.studio.busy == []
        assert [reply.names for reply in self.desk.replies if len(reply.ends) != 1] == []

    async def accept(self, owner: int = 1, content: bytes = b"content", *styles: bytes) -> Job:
        """Accept an order."""
        return await self.jobs.accept(order(owner, content, *styles))

    async def accept_and_paint(self, owner: int = 1, content: bytes = b"content") -> tuple[Job, Canvas]:
        """Accept an order and wait until it is painted."""
        begun = len(self.studio.canvases)
        return await self.accept(owner, content), await self.studio.canvas(begun + 1)

    async def state(self, job: Job) -> str:
        """What the database says of a job."""
        found = await self.store.get(job.id)
        assert found is not None
        return found.state.value

    async def until(self, job: Job, state: str) -> None:
        """Wait for a state, and for what follows from it."""

        async def is_there() -> bool:
            return await self.state(job) == state

        await eventually(is_there, f"job {state}")

    async def until_gone(self, job: Job) -> None:
        """Wait until nothing of a job is on disk."""
        await eventually(lambda: not (self.directory / job.id).exists(), "the job's files removed")

    def on_disk(self) -> set[str]:
        """The jobs that have files."""
        return {path.name for path in self.directory.iterdir()} if self.directory.exists() else set()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database that is not there yet."""
    return f"sqlite+aiosqlite:///{tmp_path / 'atelier.db'}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """An empty database on disk."""
    async with Store.open(url) as opened:
        yield opened


@pytest.fixture
def workshop(store: Store, tmp_path: Path) -> Workshop:
    """A service that does not run yet."""
    return Workshop(tmp_path / "jobs", store, Studio(), Desk())
