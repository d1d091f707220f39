"""``atelier scheduler`` and ``atelier worker`` as processes with TLS, and what they accept from whom."""

import asyncio
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from distributed import Client
from distributed.comm.core import connect
from distributed.core import rpc
from distributed.protocol.serialize import ToPickle

from engine.blobs import Blobs
from engine.cluster.certificates import make
from engine.cluster.status import members
from engine.cluster.tls import TLS
from engine.errors import NotAPicture
from engine.executor.executor import DaskExecutor
from engine.recipe import Inputs, Recipe
from engine.worker.plugin import PainterPlugin
from engine.worker.protocol import WorkerSettings
from engine.worker.tasks import check_picture
from tests.engine.cluster.machines import ROOT, Cluster, Machine, clean, cluster
from tests.engine.following import first
from tests.engine.images import corpus

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = WorkerSettings(device="cpu", precision="float32", threads=1)
PICTURE = corpus.saved(corpus.scene(), "PNG")


@dataclass
class There:
    """A running scheduler and a running worker."""

    cluster: Cluster
    scheduler: Machine
    worker: Machine

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A client with a valid certificate that is not our bot."""
        security = self.cluster.tls.security()
        async with Client(self.cluster.address, security=security, asynchronous=True, set_as_default=False) as client:
            yield client

    async def worker_address(self) -> str:
        arguments = self.cluster.tls.security().get_connection_args("client")
        async with rpc(self.cluster.address, connection_args=arguments) as scheduler:
            (address,) = (await scheduler.identity(n_workers=-1))["workers"]
        return str(address)

    def logged(self) -> tuple[str, str]:
        """The logs of scheduler and worker."""
        return self.scheduler.logged(), self.worker.logged()

    async def check(self) -> None:
        """Check that pictures are still checked."""
        async with self.client() as client:
            assert isinstance(await client.submit(check_picture, b"none", pure=False), NotAPicture)
            assert await client.submit(check_picture, PICTURE, pure=False) is None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lonely(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Machine]]:
    """Three workers without a scheduler, one for each test. They share the seconds of the start."""
    async with cluster(certificates, tmp_path_factory.mktemp("lonely")) as nowhere:
        yield [await nowhere.worker() for _ in range(3)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there(
    certificates: Path, tmp_path_factory: pytest.TempPathFactory, lonely: list[Machine]
) -> AsyncIterator[There]:
    """The worker started first and waited for its scheduler, at the same time as the ``lonely`` ones."""
    async with cluster(certificates, tmp_path_factory.mktemp("machines")) as made:
        worker = await made.worker()
        await worker.says("can't be reached, retrying")
        scheduler = await made.scheduler()
        await made.joined(worker)
        yield There(made, scheduler, worker)


class Hostile:
    """Its pickle makes a call."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.target,)


def attempts(target: str) -> dict[str, tuple[Callable[[Client], Awaitable[Any]], str]]:
    """Each way of Dask's client to run foreign code or to do other harm, and the log line of its refusal."""

    def write() -> None:
        Path(target).write_text("owned", encoding="utf-8")

    return {
        "a task that calls the system": (
            lambda client: client.submit(os.mkdir, target, pure=False),
            "refused a pickle with posix.mkdir",
        ),
        "a task of one's own": (
            lambda client: client.submit(write, pure=False),
            "refused a pickle with cloudpickle.cloudpickle._make_function",
        ),
        "a task that is a class of ours": (
            lambda client: client.submit(Recipe, pure=False),
            "That task is not part of a painting",
        ),
        "a value that calls when it is read": (
            lambda client: client.submit(check_picture, Hostile(target), pure=False),
            "refused a pickle with posix.mkdir",
        ),
        "an actor": (
            lambda client: client.submit(Recipe, actor=True, pure=False),
            "That task is not part of a painting",
        ),
        "a run on workers": (
            lambda client: client.run(os.mkdir, target),
            "refused a message to workers",
        ),
        "a run on the scheduler": (
            lambda client: client.run_on_scheduler(os.mkdir, target),
            "refused the operation run_function",
        ),
        "a plugin": (
            lambda client: client.register_plugin(PainterPlugin(SETTINGS)),
            "refused the operation register_worker_plugin",
        ),
        "data of one's own": (lambda client: client.scatter([b"data"]), "refused the operation scatter"),
        "a file": (lambda client: client.upload_file(__file__), "refused the operation register_scheduler_plugin"),
        "a restart": (lambda client: client.restart(timeout=1), "refused the operation restart"),
        "an end": (lambda client: client.shutdown(), "refused the operation terminate"),
    }


class TestWithACertificate:
    async def test_pictures_are_checked(self, there: There) -> None:
        await there.check()

    async def test_pictures_are_painted(self, there: There) -> None:
        blobs = Blobs(str(there.cluster.blobs))
        content = blobs.put(PICTURE)
        security = there.cluster.tls.security()
        async with DaskExecutor.open(SETTINGS, there.cluster.address, security) as executor:
            assert await executor.slots() == 1
            painting = executor.submit(Recipe(size=64, steps=10), Inputs(content, (content,)))
            steps = [event.step async for event in painting]
            assert steps[-1] == 10
            assert (await painting.result()).picture.startswith(b"\x89PNG")

    @pytest.mark.parametrize("what", list(attempts("")))
    async def test_nothing_else_is_done(self, there: There, what: str, tmp_path: Path) -> None:
        target = tmp_path / "owned"
        attempt, refusal = attempts(str(target))[what]
        before = there.logged()
        told = ""
        try:
            async with there.client() as client, asyncio.timeout(20):
                await attempt(client)
        except Exception as error:  # the client reacts in several ways to a refusal, sometimes with a failed assertion
            told = str(error)
        now = (after.removeprefix(once) for once, after in zip(before, there.logged(), strict=True))
        assert any(refusal in each for each in (told, *now))
        assert not target.exists()
        await there.check()

    @pytest.mark.parametrize("receiver", ["scheduler", "worker"])
    async def test_no_message_runs_code_when_it_is_read(self, there: There, receiver: str, tmp_path: Path) -> None:
        target = tmp_path / "owned"
        address = there.cluster.address if receiver == "scheduler" else await there.worker_address()
        comm = await connect(address, **there.cluster.tls.security().get_connection_args("client"))
        await comm.write({"op": "identity", "n_workers": ToPickle(Hostile(str(target)))})
        assert "is not part of a painting" in str(await comm.read())
        await comm.close()
        assert not target.exists()
        machine: Machine = getattr(there, receiver)
        assert "refused a pickle with posix.mkdir" in machine.logged()
        await there.check()

    @pytest.mark.parametrize("operation", ["run", "upload_file", "plugin-add", "terminate", "connection_stream"])
    async def test_a_worker_takes_no_orders_but_from_its_scheduler(self, there: There, operation: str) -> None:
        security = there.cluster.tls.security()
        comm = await connect(await there.worker_address(), **security.get_connection_args("client"))
        await comm.write({"op": operation})
        assert f"the operation {operation} is not part of a painting" in str(await comm.read())
        await comm.close()
        await there.check()


class TestWithoutACertificate:
    async def test_nobody_is_let_in(self, there: There, tmp_path: Path) -> None:
        make(tmp_path, ["bot"])
        stranger = TLS.folder(tmp_path / "bot")
        with pytest.raises(OSError, match=r".*"):
            await members(there.cluster.address, stranger)
        with pytest.raises(OSError, match=r".*"):
            await members(there.cluster.address.replace("tls://", "tcp://"), None)
        with pytest.raises(OSError, match=r".*"):
            await members((await there.worker_address()).replace("tls://", "tcp://"), None)
        await there.check()

    async def test_nothing_listens_but_by_tls(self, there: There) -> None:
        """On loopback too: Dask's web server would answer every user of the machine."""
        parent = psutil.Process(there.worker.process.pid)
        processes = [psutil.Process(there.scheduler.process.pid), parent, *parent.children(recursive=True)]
        listening = [
            each.laddr for process in processes for each in process.net_connections() if each.status == "LISTEN"
        ]
        tls = {int(address.rpartition(":")[2]) for address in (there.cluster.address, await there.worker_address())}
        assert {each.port for each in listening} == tls

    async def test_nothing_is_kept_in_a_folder_that_others_may_have_made(self, there: There) -> None:
        arguments = there.cluster.tls.security().get_connection_args("client")
        async with rpc(there.cluster.address, connection_args=arguments) as scheduler:
            (worker,) = (await scheduler.identity(n_workers=-1))["workers"].values()
        folder = Path(worker["local_directory"])
        assert any(
            stat.S_IMODE(each.stat().st_mode) == 0o700 for each in folder.parents if each.name.startswith("atelier-")
        )


BEYOND_LOOPBACK = [
    "scheduler --host 0.0.0.0",
    "scheduler --host 10.0.0.1",
    "worker --scheduler tcp://10.0.0.1:8786",
    "worker --scheduler tls://127.0.0.1:8786",
    "worker --scheduler tcp://127.0.0.1:8786 --host 0.0.0.0",
    "cluster status --scheduler tcp://10.0.0.1:8786",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ended() -> dict[str, tuple[int | None, bytes]]:
    """The exit code and output of each command without certificates. They run at the same time."""

    async def run(command: str) -> tuple[int | None, bytes]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", *command.split()), cwd=ROOT, env=clean(), stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(60):
            _, told = await process.communicate()
        return process.returncode, told

    return dict(zip(BEYOND_LOOPBACK, await asyncio.gather(*map(run, BEYOND_LOOPBACK)), strict=True))


@pytest.mark.parametrize("command", BEYOND_LOOPBACK)
async def test_nothing_starts_beyond_loopback_without_tls(
    ended: dict[str, tuple[int | None, bytes]], command: str
) -> None:
    code, told = ended[command]
    assert code == 1
    assert b"Traceback" not in told
    assert b"atelier cluster certs" in told


class TestComingAndGoing:
    async def test_a_worker_that_died_is_replaced(self, there: There) -> None:
        before = there.worker.names()
        there.worker.painter().kill()
        async with asyncio.timeout(60):
            while there.worker.names() == before:  # noqa: ASYNC110 - another process writes
                await asyncio.sleep(0.1)
        await there.cluster.joined(there.worker)
        await there.check()

    async def test_a_worker_that_paints_joins_the_next_scheduler(self, there: There) -> None:
        before = there.worker.logged()
        content = Blobs(str(there.cluster.blobs)).put(PICTURE)
        async with DaskExecutor.open(SETTINGS, there.cluster.address, there.cluster.tls.security()) as executor:
            painting = executor.submit(Recipe(size=64, steps=10_000), Inputs(content, (content,)))
            await first(painting)
            there.scheduler.die()
            await there.scheduler.process.wait()
            there.scheduler = await there.cluster.scheduler()
            await there.cluster.joined(there.worker)
            await first(painting, lambda event: event.step == 1)  # there is no checkpoint yet
            await painting.cancel()
        logged = there.worker.logged().removeprefix(before)
        assert logged.count("lost its scheduler") == 1
        for each in (logged, there.scheduler.logged()):
            assert "Traceback" not in each, each
            assert "refused" not in each, each
        await there.check()

    async def test_a_worker_whose_scheduler_never_comes_leaves_when_asked(self, lonely: list[Machine]) -> None:
        worker = lonely.pop()
        await worker.says("can't be reached, retrying")
        assert await worker.leave() == 0
        reasons = worker.logged().split("can't be reached, ")[1:]
        assert len({reason.splitlines()[0] for reason in reasons}) == len(reasons)

    async def test_a_second_signal_ends_a_worker_at_once(self, lonely: list[Machine]) -> None:
        worker = lonely.pop()
        await worker.says("can't be reached, retrying")
        worker.painter().suspend()  # so that its shutdown takes time
        worker.process.terminate()
        await asyncio.sleep(0.5)
        assert worker.process.returncode is None
        worker.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(2):
            assert await worker.process.wait() == 128 + signal.SIGINT

    async def test_no_worker_outlives_its_command(self, lonely: list[Machine]) -> None:
        worker = lonely.pop()
        await worker.says("can't be reached, retrying")
        family = psutil.Process(worker.process.pid).children(recursive=True)
        assert family
        worker.process.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, 20)
        assert alive == []

    async def test_a_worker_that_can_never_paint_says_why(self, there: There) -> None:
        worker = await there.cluster.worker("--weights", "/nowhere/weights.pth")
        async with asyncio.timeout(60):
            assert await worker.process.wait() == 2
        assert "/nowhere/weights.pth" in worker.logged()
        assert "Traceback" not in worker.logged()
        await there.cluster.joined(there.worker)

    async def test_a_scheduler_leaves_when_asked(self, certificates: Path, tmp_path: Path) -> None:
        async with cluster(certificates, tmp_path) as other:
            scheduler = await other.scheduler()
            await other.joined()
            assert await scheduler.leave() == 0
            assert "Traceback" not in scheduler.logged()
