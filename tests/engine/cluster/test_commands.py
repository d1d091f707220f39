"""``atelier scheduler`` and ``atelier worker`` as processes with TLS, and which connections they accept or refuse."""

import asyncio
import os
import re
import signal
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
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
from tests.engine.following import eventually, first
from tests.engine.images import corpus

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = WorkerSettings(device="cpu", precision="float32", threads=1)
PICTURE = corpus.saved(corpus.scene(), "PNG")


@dataclass
class RunningCluster:
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
            assert isinstance(await client.submit(check_picture, b"none", 1, pure=False), NotAPicture)
            assert await client.submit(check_picture, PICTURE, 1, pure=False) == 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def waiting_workers(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Machine]]:
    """Three workers without a scheduler, one for each test. They share the seconds of the start."""
    async with cluster(certificates, tmp_path_factory.mktemp("waiting_workers")) as nowhere:
        yield [await nowhere.worker() for _ in range(3)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    certificates: Path, tmp_path_factory: pytest.TempPathFactory, waiting_workers: list[Machine]
) -> AsyncIterator[RunningCluster]:
    """The worker started first and waited for its scheduler, at the same time as the ``waiting_workers`` ones."""
    async with cluster(certificates, tmp_path_factory.mktemp("machines")) as made:
        worker = await made.worker()
        await worker.says("can't be reached, retrying")
        scheduler = await made.scheduler()
        await made.joined(worker)
        yield RunningCluster(made, scheduler, worker)


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
        "a task with the client's code": (
            lambda client: client.submit(write, pure=False),
            "refused a pickle with cloudpickle.cloudpickle._make_function",
        ),
        "a class of ours as a task": (
            lambda client: client.submit(Recipe, pure=False),
            "That task is not part of a painting",
        ),
        "a value that runs code when it is read": (
            lambda client: client.submit(check_picture, Hostile(target), 1, pure=False),
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
        "data of the client": (lambda client: client.scatter([b"data"]), "refused the operation scatter"),
        "a file": (lambda client: client.upload_file(__file__), "refused the operation register_scheduler_plugin"),
        "a restart": (lambda client: client.restart(timeout=1), "refused the operation restart"),
        "a shutdown": (lambda client: client.shutdown(), "refused the operation terminate"),
    }


class TestWithACertificate:
    async def test_pictures_are_checked(self, running: RunningCluster) -> None:
        await running.check()

    async def test_pictures_are_painted(self, running: RunningCluster) -> None:
        blobs = Blobs(str(running.cluster.blobs))
        content = blobs.put(PICTURE)
        security = running.cluster.tls.security()
        async with DaskExecutor.open(SETTINGS, running.cluster.address, security) as executor:
            assert await executor.slots() == 1
            painting = executor.submit(Recipe(size=64, steps=10), Inputs(content, (content,)))
            steps = [event.step async for event in painting]
            assert steps[-1] == 10
            assert (await painting.result()).picture.startswith(b"\x89PNG")

    @pytest.mark.parametrize("what", list(attempts("")))
    async def test_any_other_request_is_refused(self, running: RunningCluster, what: str, tmp_path: Path) -> None:
        target = tmp_path / "owned"
        attempt, refusal = attempts(str(target))[what]
        before = running.logged()
        told = ""
        try:
            async with running.client() as client, asyncio.timeout(20):
                await attempt(client)
        except Exception as error:  # the client reacts in several ways to a refusal, sometimes with a failed assertion
            told = str(error)
        now = (after.removeprefix(once) for once, after in zip(before, running.logged(), strict=True))
        assert any(refusal in each for each in (told, *now))
        assert not target.exists()
        await running.check()

    @pytest.mark.parametrize("receiver", ["scheduler", "worker"])
    async def test_a_message_runs_no_code_when_it_is_read(
        self, running: RunningCluster, receiver: str, tmp_path: Path
    ) -> None:
        target = tmp_path / "owned"
        address = running.cluster.address if receiver == "scheduler" else await running.worker_address()
        comm = await connect(address, **running.cluster.tls.security().get_connection_args("client"))
        await comm.write({"op": "identity", "n_workers": ToPickle(Hostile(str(target)))})
        assert "is not part of a painting" in str(await comm.read())
        await comm.close()
        assert not target.exists()
        machine: Machine = getattr(running, receiver)
        assert "refused a pickle with posix.mkdir" in machine.logged()
        await running.check()

    @pytest.mark.parametrize("operation", ["run", "upload_file", "plugin-add", "terminate", "connection_stream"])
    async def test_a_worker_takes_orders_only_from_its_scheduler(self, running: RunningCluster, operation: str) -> None:
        security = running.cluster.tls.security()
        comm = await connect(await running.worker_address(), **security.get_connection_args("client"))
        await comm.write({"op": operation})
        assert f"the operation {operation} is not part of a painting" in str(await comm.read())
        await comm.close()
        await running.check()


class TestWithoutACertificate:
    async def test_connections_are_refused(self, running: RunningCluster, tmp_path: Path) -> None:
        make(tmp_path, ["bot"])
        foreign = TLS.folder(tmp_path / "bot")
        with pytest.raises(OSError, match=r".*"):
            await members(running.cluster.address, foreign)
        with pytest.raises(OSError, match=r".*"):
            await members(running.cluster.address.replace("tls://", "tcp://"), None)
        with pytest.raises(OSError, match=r".*"):
            await members((await running.worker_address()).replace("tls://", "tcp://"), None)
        await running.check()

    async def test_every_listening_port_uses_tls(self, running: RunningCluster) -> None:
        """On loopback, too: Dask's web server would answer every user of the machine."""
        parent = psutil.Process(running.worker.process.pid)
        processes = [psutil.Process(running.scheduler.process.pid), parent, *parent.children(recursive=True)]
        listening = [
            each.laddr for process in processes for each in process.net_connections() if each.status == "LISTEN"
        ]
        tls = {int(address.rpartition(":")[2]) for address in (running.cluster.address, await running.worker_address())}
        assert {each.port for each in listening} == tls

    async def test_files_are_in_a_private_folder(self, running: RunningCluster) -> None:
        arguments = running.cluster.tls.security().get_connection_args("client")
        async with rpc(running.cluster.address, connection_args=arguments) as scheduler:
            (worker,) = (await scheduler.identity(n_workers=-1))["workers"].values()
        folder = Path(worker["local_directory"])
        assert any(
            stat.S_IMODE(each.stat().st_mode) == 0o700 for each in folder.parents if each.name.startswith("atelier-")
        )


def has_pending(process: psutil.Process, number: signal.Signals) -> bool:
    """Whether the signal waits until ``process`` is resumed."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    (pending,) = re.findall(r"^ShdPnd:\s*(\w+)$", status, re.MULTILINE)
    return bool(int(pending, 16) >> (number - 1) & 1)


BEYOND_LOOPBACK = [
    "scheduler --host 0.0.0.0",
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
async def test_commands_beyond_loopback_fail_without_certificates(
    ended: dict[str, tuple[int | None, bytes]], command: str
) -> None:
    code, told = ended[command]
    assert code == 1
    assert b"Traceback" not in told
    assert b"atelier cluster certs" in told


class TestProcesses:
    async def test_a_worker_that_died_is_replaced(self, running: RunningCluster) -> None:
        before = running.worker.names()
        running.worker.worker_process().kill()
        async with asyncio.timeout(60):
            while running.worker.names() == before:  # noqa: ASYNC110 - another process writes
                await asyncio.sleep(0.1)
        await running.cluster.joined(running.worker)
        await running.check()

    async def test_a_painting_worker_joins_a_restarted_scheduler(self, running: RunningCluster) -> None:
        before = running.worker.logged()
        content = Blobs(str(running.cluster.blobs)).put(PICTURE)
        async with DaskExecutor.open(SETTINGS, running.cluster.address, running.cluster.tls.security()) as executor:
            painting = executor.submit(Recipe(size=64, steps=10_000), Inputs(content, (content,)))
            await first(painting)
            running.scheduler.die()
            await running.scheduler.process.wait()
            running.scheduler = await running.cluster.scheduler()
            await running.cluster.joined(running.worker)
            await first(painting, lambda event: event.step == 1)  # there is no checkpoint yet
            await painting.cancel()
        logged = running.worker.logged().removeprefix(before)
        assert logged.count("lost its scheduler") == 1
        for each in (logged, running.scheduler.logged()):
            assert "Traceback" not in each, each
            assert "refused" not in each, each
        await running.check()

    async def test_a_worker_without_a_scheduler_exits_on_sigterm(self, waiting_workers: list[Machine]) -> None:
        worker = waiting_workers.pop()
        await worker.says("can't be reached, retrying")
        assert await worker.leave() == 0
        reasons = worker.logged().split("can't be reached, ")[1:]
        assert len({reason.splitlines()[0] for reason in reasons}) == len(reasons)

    async def test_a_second_signal_ends_a_worker_at_once(self, waiting_workers: list[Machine]) -> None:
        worker = waiting_workers.pop()
        await worker.says("can't be reached, retrying")
        suspended = worker.worker_process()
        suspended.suspend()  # so that its shutdown takes time
        await eventually(lambda: suspended.status() == psutil.STATUS_STOPPED)
        worker.process.terminate()
        await eventually(partial(has_pending, suspended, signal.SIGTERM), "the command shuts its worker down")
        worker.process.send_signal(signal.SIGINT)
        assert await worker.process.wait() == 128 + signal.SIGINT  # a shutdown would return 0

    async def test_worker_processes_end_with_their_command(self, waiting_workers: list[Machine]) -> None:
        worker = waiting_workers.pop()
        await worker.says("can't be reached, retrying")
        family = psutil.Process(worker.process.pid).children(recursive=True)
        assert family
        worker.process.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, 20)
        assert alive == []

    async def test_a_worker_without_weights_exits_with_an_error(self, running: RunningCluster) -> None:
        worker = await running.cluster.worker("--weights", "/nowhere/weights.pth")
        async with asyncio.timeout(60):
            assert await worker.process.wait() == 2
        assert "/nowhere/weights.pth" in worker.logged()
        assert "Traceback" not in worker.logged()
        await running.cluster.joined(running.worker)

    async def test_a_scheduler_exits_on_sigterm(self, certificates: Path, tmp_path: Path) -> None:
        async with cluster(certificates, tmp_path) as other:
            scheduler = await other.scheduler()
            await other.joined()
            assert await scheduler.leave() == 0
            assert "Traceback" not in scheduler.logged()
