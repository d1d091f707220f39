"""Workers join, shut down and die during a painting, which ends once and correctly."""

import asyncio
from pathlib import Path

import pytest
from distributed.core import rpc

from engine.blobs import Blobs
from engine.errors import PaintingCancelled
from engine.executor import executor as executor_module
from engine.executor.executor import DaskExecutor
from engine.executor.remote_painting import RemotePainting
from engine.progress import Progress
from engine.recipe import Inputs, Recipe
from engine.worker.protocol import WorkerSettings
from tests.engine.cluster.machines import Cluster, Machine, cluster
from tests.engine.images import corpus

SETTINGS = WorkerSettings(device="cpu", precision="float32", threads=1)


async def follow(painting: RemotePainting, seen: list[Progress]) -> None:
    async for event in painting:
        seen.append(event)


async def until(seen: list[Progress], painting: RemotePainting, after: int, steps: int = 5) -> Progress:
    """Wait for a checkpoint at least ``steps`` events after the event number ``after``."""
    async with asyncio.timeout(90):
        while True:
            for event in seen[after + steps :]:
                if event.checkpoint:
                    return event
            await asyncio.sleep(0.05)


async def busy(there: Cluster, machines: list[Machine]) -> Machine:
    """The machine that paints."""
    arguments = there.tls.security().get_connection_args("client")
    async with rpc(there.address, connection_args=arguments) as scheduler:
        tasks = await scheduler.processing()
        workers = (await scheduler.identity(n_workers=-1))["workers"]
    (name,) = (workers[address]["name"] for address, keys in tasks.items() if keys)
    (machine,) = (each for each in machines if name in each.names())
    return machine


@pytest.mark.slow
@pytest.mark.timeout(300)  # four starts of torch
async def test_a_painting_continues_while_workers_join_shut_down_and_die(
    certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "CHECKPOINT_EVERY", 0.5)
    blobs = Blobs(str(tmp_path / "blobs"))
    content, style = (blobs.put(corpus.saved(each, "PNG")) for each in (corpus.scene(), corpus.stripes()))
    async with cluster(certificates, tmp_path) as there:
        await there.scheduler()
        machines = [await there.worker()]
        await there.joined(*machines)
        async with DaskExecutor.open(SETTINGS, there.address, there.tls.security()) as executor:
            painting = executor.submit(Recipe(size=64, steps=10_000), Inputs(content, (style,)))
            seen: list[Progress] = []
            following = asyncio.create_task(follow(painting, seen))
            await until(seen, painting, 0)

            machines += [await there.worker(), await there.worker()]  # they join
            await there.joined(*machines)
            assert await busy(there, machines) is machines[0]

            before = await until(seen, painting, len(seen))
            died = len(seen)
            machines.pop(0).die()
            after = await until(seen, painting, died)
            assert before.step <= seen[died].step  # it continued from its checkpoint
            assert after.step > before.step
            await there.joined(*machines)

            leaving = await busy(there, machines)
            machines.remove(leaving)
            assert await leaving.leave() == 0
            left = len(seen)
            await until(seen, painting, left)
            assert all(later.step > earlier.step for earlier, later in zip(seen[died:], seen[died + 1 :], strict=False))
            assert await busy(there, machines) is machines[0]
            assert "leaves" in leaving.logged()

            await painting.cancel()
            with pytest.raises(PaintingCancelled):
                await painting.result()
            await following

            result = await executor.submit(Recipe(size=64, steps=5), Inputs(content, (style,))).result()
            assert (result.steps, result.ending) == (5, "finished")
