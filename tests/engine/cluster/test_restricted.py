"""What a scheduler and a worker do for a hostile client that has access: real messages over real sockets.

Both run as an operator's do, but on loopback without TLS, and with a worker that has no network to load.
"""

import asyncio
import gc
import itertools
import logging
import os
import pickle
import sys
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import pytest
import pytest_asyncio
from dask._expr import LLGExpr
from dask._task_spec import Task
from dask.utils import key_split
from distributed import Client, Scheduler, Status, Worker, WorkerPlugin
from distributed.comm.core import Comm, connect
from distributed.core import clean_exception, rpc
from distributed.protocol.serialize import Serialized, ToPickle, serialize
from distributed.versions import get_versions

from engine.cluster.restricted import (
    FORGETTING,
    IGNORED,
    SCHEDULER_MESSAGES,
    SCHEDULER_OPERATIONS,
    WORKER_OPERATIONS,
    PaintingScheduler,
    PaintingWorker,
    QuietScheduler,
    QuietWorker,
)
from engine.cluster.safe_pickle import Refused, restrict
from engine.errors import NotAPicture
from engine.recipe import Recipe
from engine.worker.plugin import PainterPlugin
from engine.worker.protocol import FINISH, PAUSE, WorkerSettings
from engine.worker.tasks import check_picture
from tests.engine.following import eventually
from tests.forks import started
from tests.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Idle(PainterPlugin):
    """A plugin that prepares nothing, for workers that paint nothing."""

    def _prepare(self) -> None:
        self._about = {"device": "cpu", "name": "none", "precision": "float32", "process": os.getpid()}


@dataclass(frozen=True)
class _Scheduler:
    port: int

    async def __call__(self, ready: Callable[[], None]) -> None:
        restrict()
        async with PaintingScheduler(host="127.0.0.1", port=self.port) as scheduler:
            ready()
            await scheduler.finished()


@dataclass(frozen=True)
class _Worker:
    scheduler: str
    log: str = os.devnull

    async def __call__(self, ready: Callable[[], None]) -> None:
        restrict()
        os.dup2(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        async with PaintingWorker(
            self.scheduler, host="127.0.0.1", nthreads=2, plugins=[Idle(WorkerSettings())], memory_limit=None
        ) as worker:
            ready()
            await worker.finished()


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a scheduler with one worker."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as stack:
        stack.enter_context(started(_Scheduler(port)))
        stack.enter_context(started(_Worker(address)))
        yield address


async def worker_of(scheduler: str) -> str:
    async with rpc(scheduler) as remote:
        (address,) = (await remote.identity(n_workers=-1))["workers"]
    return str(address)


async def answer(address: str, message: dict[str, Any]) -> Any:
    """The answer of the server at ``address``; an exception as text, because Dask sometimes changes its type."""
    comm = await connect(address)
    try:
        async with asyncio.timeout(10):
            await comm.write(message)
            told = await comm.read()
    finally:
        comm.abort()
    if isinstance(told, dict) and told.get("status") == "uncaught-error":
        return told["exception_text"]
    return told


def named(module: str, name: str, attribute: str) -> dict[str, Any]:
    """A message that Dask's hook for MessagePack reads as that attribute."""
    return {"__Enum__": True, "__module__": module, "__name__": name, "name": attribute}


SYSTEM = named("distributed.utils", "os", "system")


def graph(*tasks: Task) -> Serialized:
    return Serialized(*serialize(LLGExpr({task.key: task for task in tasks})))  # type: ignore[no-untyped-call]


class Bot:
    """A client of the scheduler that can send any message."""

    def __init__(self, comm: Comm) -> None:
        self._comm = comm
        self._unread: deque[dict[str, Any]] = deque()

    async def say(self, op: str, **fields: Any) -> None:
        await self._comm.write([{"op": op, **fields}])

    async def order(self, key: str, task: Task | None = None, **fields: Any) -> None:
        await self.say(
            "update-graph",
            **{
                "expr_ser": graph(task or Task(key, check_picture, b"none", 1)),
                "keys": {key},
                "internal_priority": {key: 0},
                "submitting_task": None,
                "span_metadata": ToPickle({"collections": []}),
                **fields,
            },
        )

    async def told(self, op: str) -> dict[str, Any]:
        """Wait for the next message of that kind. Fails if the scheduler closes the connection."""
        async with asyncio.timeout(10):
            while not self._unread:
                self._unread.extend(await self._comm.read())
        message = self._unread.popleft()
        assert message["op"] == op
        return message


@asynccontextmanager
async def registered(scheduler: str, name: str = "hostile") -> AsyncIterator[Bot]:
    """A bot with access."""
    comm = await connect(scheduler)
    try:
        await comm.write({"op": "register-client", "client": name, "reply": False, "versions": get_versions()})
        bot = Bot(comm)
        await bot.told("stream-start")
        yield bot
    finally:
        comm.abort()


@pytest_asyncio.fixture(loop_scope="module")
async def bot(scheduler: str) -> AsyncIterator[Bot]:
    async with registered(scheduler) as bot:
        yield bot


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def unharmed(scheduler: str) -> AsyncIterator[None]:
    """After each test, the same worker still does its work."""
    before = await worker_of(scheduler)
    yield
    async with Client(scheduler, asynchronous=True, set_as_default=False) as client:
        found = await client.submit(check_picture, b"none", 1, pure=False, workers=[before])
        assert type(found) is NotAPicture
    assert await worker_of(scheduler) == before


class TestAReference:
    """A Python object that a message refers to."""

    @pytest.mark.parametrize(
        "value",
        [
            SYSTEM,
            named("distributed.core", "os", "system"),
            named("dask.utils", "importlib", "import_module"),
            named("distributed", "Client", "run"),
            named("dask.array", "linalg", "svd"),
            named("distributed.core", "Status.running", "name"),
            {"__Enum__": True},
        ],
        ids=lambda value: f"{value.get('__module__')}.{value.get('__name__')}.{value.get('name')}",
    )
    @pytest.mark.parametrize("receiver", ["scheduler", "worker"])
    async def test_is_refused_when_the_message_is_read(
        self, scheduler: str, receiver: str, value: dict[str, Any]
    ) -> None:
        address = scheduler if receiver == "scheduler" else await worker_of(scheduler)
        refused = await answer(address, {"op": "identity", "told": [value]})
        assert refused == f"Refused('{value.get('__module__')}.{value.get('__name__')} is not part of a painting')"

    async def test_is_refused_as_an_annotation_before_it_is_called(self, bot: Bot, tmp_path: Path) -> None:
        """Dask calls an annotation with the key of its task."""
        target = tmp_path / "owned"
        key = f"touch {target}"
        await bot.order(key, annotations={"owned": SYSTEM})
        with pytest.raises(OSError, match="closed"):
            await bot.told("key-in-memory")
        assert not target.exists()

    async def test_is_refused_as_an_annotation_even_if_a_pickle_may_contain_it(self, bot: Bot) -> None:
        for annotations in ({"owned": Recipe}, {"workers": [check_picture]}, {"priority": check_picture}):
            await bot.order("key", annotations=ToPickle(annotations))
            _, refused, _ = clean_exception((await bot.told("task-erred"))["exception"])
            assert isinstance(refused, Refused)
            assert str(refused) == f"the annotation {next(iter(annotations))} is not part of a painting"

    @pytest.mark.parametrize("receiver", ["scheduler", "worker"])
    async def test_is_refused_in_the_header_of_a_value(self, scheduler: str, receiver: str) -> None:
        address = scheduler if receiver == "scheduler" else await worker_of(scheduler)
        refused = await answer(address, {"op": "identity", "told": Serialized({"named": SYSTEM}, [])})
        assert refused == "Refused('distributed.utils.os is not part of a painting')"

    async def test_to_an_attribute_that_is_not_a_member_is_refused(self, scheduler: str) -> None:
        refused = await answer(scheduler, {"op": "identity", "told": named("distributed.core", "Status", "__class__")})
        assert refused == "KeyError('__class__')"

    async def test_that_the_cluster_itself_sends_is_accepted(self, scheduler: str) -> None:
        refused = await answer(scheduler, {"op": "identity", "told": Status.running})
        assert "unexpected keyword argument 'told'" in refused


class TestOperations:
    async def test_are_limited_to_those_of_a_painting(self, scheduler: str) -> None:
        """Blocked operations return an error. Those of Dask's extensions don't exist and return nothing."""
        async with ordinary_scheduler() as other, Worker(other.address) as worker:
            dasks = {scheduler: set(other.handlers), await worker_of(scheduler): set(worker.handlers)}
            bare = set(QuietScheduler(host="127.0.0.1", port=0).handlers), set(QuietWorker(other.address).handlers)
        allowed = (SCHEDULER_OPERATIONS, WORKER_OPERATIONS)
        for (address, every), blocked, ours in zip(dasks.items(), bare, allowed, strict=True):
            assert ours < blocked <= every
            for name in every - ours:
                refused = await answer(address, {"op": name})
                if name in blocked:
                    assert refused == f"Refused('the operation {name} is not part of a painting')"
                else:
                    assert refused is None

    @pytest.mark.parametrize(
        "message",
        [
            {"msg": {"op": "terminate"}},
            {"msg": {"op": PAUSE, "channel": "one"}, "workers": ["tcp://127.0.0.1:9"]},
            {"msg": {"op": PAUSE, "channel": "one", "serializers": ["pickle"]}},
            {"msg": {"op": "register-client", "channel": "one"}},
        ],
        ids=str,
    )
    async def test_that_the_scheduler_forwards_only_pause_or_finish_a_painting(
        self, scheduler: str, message: dict[str, Any]
    ) -> None:
        workers = [await worker_of(scheduler)]
        for name in (PAUSE, FINISH):
            asked = {"op": "broadcast", "msg": {"op": name, "channel": "one"}, "workers": workers}
            assert await answer(scheduler, asked) == {workers[0]: False}
        refused = await answer(scheduler, {"op": "broadcast", "workers": workers, **message})
        assert refused == "Refused('that message to workers is not part of a painting')"

    async def test_retire_only_named_workers(self, scheduler: str) -> None:
        asked = {"op": "retire_workers", "workers": [], "key": SYSTEM["name"], "names": ["any"], "close_workers": True}
        assert await answer(scheduler, asked) == {}


async def test_dasks_folder_is_not_on_the_import_path() -> None:
    async with PaintingScheduler(host="127.0.0.1", port=0) as scheduler, QuietWorker(scheduler.address) as worker:
        assert not {scheduler.local_directory, worker.local_directory} & set(sys.path)


@pytest.mark.slow
async def test_ended_tasks_leave_nothing_in_memory(caplog: pytest.LogCaptureFixture) -> None:
    """No collection of a scheduler, a worker or a client grows with the number of tasks."""
    caplog.set_level(logging.WARNING, "distributed")  # pytest's log collection would grow
    tasks = 100

    def lengths() -> dict[int, int]:
        """The sizes of all collections, by their identities."""
        gc.collect()
        return {id(each): len(each) for each in gc.get_objects() if type(each) in {dict, list, set, deque, OrderedDict}}

    async def look(client: Client) -> None:
        for _ in range(tasks):
            future = client.submit(check_picture, b"none", 1, pure=False)
            assert type(await future) is NotAPicture
            await future.cancel(force=True)
            future.release()

    with dask.config.set(FORGETTING | {"distributed.admin.system-monitor.interval": "1h"}):
        async with (
            QuietScheduler(host="127.0.0.1", port=0) as scheduler,
            QuietWorker(scheduler.address, plugins=[Idle(WorkerSettings())], memory_limit=None) as worker,
            Client(scheduler.address, asynchronous=True, set_as_default=False) as client,
        ):
            # Other collections of this process may grow too, but none by so much in each round.
            rounds = []
            for _ in range(4):
                await look(client)
                rounds.append(lengths())
            grown = {
                each
                for each in set.intersection(*map(set, rounds))
                if all(after[each] - before[each] >= tasks for before, after in itertools.pairwise(rounds))
            }
            assert [each for each in gc.get_objects() if id(each) in grown] == []

            async def idle() -> bool:
                return not scheduler.tasks and not worker.state.tasks

            await eventually(idle)
            assert len(scheduler.task_prefixes) == 1
            await worker.heartbeat()
            assert key_split.cache_info().currsize == 0  # a cache in C is not among those collections


class TestMessages:
    async def test_of_a_client_are_limited_to_those_of_a_painting(self, scheduler: str) -> None:
        async with ordinary_scheduler() as other:
            names = set(other.stream_handlers)
        assert names >= SCHEDULER_MESSAGES | IGNORED
        for name in names - SCHEDULER_MESSAGES - IGNORED:
            async with registered(scheduler) as bot:
                await bot.say(name, key="key", name="name", worker="worker", who_has={}, nbytes={})
                with pytest.raises(OSError, match="closed"):
                    await bot.told("anything")

    async def test_are_not_forwarded_to_other_clients_by_topics(self, scheduler: str) -> None:
        async with registered(scheduler, "one") as one, registered(scheduler, "other") as other:
            await one.say("subscribe-topic", topic="print")
            await other.say("log-event", topic="print", msg="\x1b[2J", worker="none")
            await one.say("unsubscribe-topic", topic="print")
            await other.say("heartbeat-client")
            await other.told("adjust-heartbeat-interval")
            await one.say("heartbeat-client")
            await one.told("adjust-heartbeat-interval")

    async def test_create_no_actors(self, scheduler: str, bot: Bot) -> None:
        await bot.order("acted", actors=["acted"])
        await bot.told("key-in-memory")
        gathered = await answer(scheduler, {"op": "gather", "keys": ["acted"]})
        assert type(gathered["data"]["acted"]) is NotAPicture


class TestAHostileScheduler:
    """A worker that joins it still unpickles and runs only paintings."""

    async def test_cannot_run_other_tasks_on_a_worker(self, tmp_path: Path) -> None:
        target = tmp_path / "owned"
        async with (
            hostile_scheduler() as scheduler,
            worker_that_joins(scheduler, tmp_path / "log"),
            Client(scheduler.address, asynchronous=True, set_as_default=False) as client,
        ):
            done = client.submit(Recipe, pure=False)
            with pytest.raises(Refused, match="That task is not part of a painting"):
                await done
            client.submit(os.mkdir, str(target), pure=False)
            await eventually(gone(scheduler))
        assert not target.exists()
        assert "refused a pickle with posix.mkdir" in (tmp_path / "log").read_text()

    async def test_cannot_make_a_worker_resolve_names(self, tmp_path: Path) -> None:
        async with hostile_scheduler() as scheduler, worker_that_joins(scheduler, tmp_path / "log"):
            (comm,) = scheduler.stream_comms.values()
            comm.send({"op": "close", "reason": SYSTEM})
            await eventually(gone(scheduler))
        assert "refused a message with distributed.utils.os" in (tmp_path / "log").read_text()

    async def test_cannot_install_a_plugin_on_a_worker(self, tmp_path: Path) -> None:
        target = tmp_path / "owned"
        async with hostile_scheduler() as scheduler:
            scheduler.worker_plugins["mine"] = pickle.dumps(Plugin(str(target)))
            with pytest.raises(EOFError):
                async with worker_that_joins(scheduler, tmp_path / "log"):
                    pass
        assert not target.exists()
        assert "refused a pickle with tests.engine.cluster.test_restricted.Plugin" in (tmp_path / "log").read_text()


class Plugin(WorkerPlugin):
    """A scheduler's plugin."""

    def __init__(self, target: str) -> None:
        self.target = target

    def setup(self, worker: Worker) -> None:
        Path(self.target).mkdir()


@asynccontextmanager
async def hostile_scheduler() -> AsyncIterator[Scheduler]:
    """A scheduler without restrictions."""
    async with QuietScheduler(host="127.0.0.1", port=0) as scheduler:
        yield scheduler


@asynccontextmanager
async def ordinary_scheduler() -> AsyncIterator[Scheduler]:
    """Dask's scheduler."""
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address=":0") as scheduler:
        yield scheduler


@asynccontextmanager
async def worker_that_joins(scheduler: Scheduler, log: Path) -> AsyncIterator[None]:
    """Start it in a thread, so that the scheduler can answer it."""
    with ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, started(_Worker(scheduler.address, str(log))))
        yield


def gone(scheduler: Scheduler) -> Callable[[], Awaitable[bool]]:
    async def there() -> bool:
        return not scheduler.workers

    return there
