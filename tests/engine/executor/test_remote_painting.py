"""One painting on a real worker: failure, cancellation, pause, and continuation after a death."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import pytest
from distributed import Queue

from engine.blobs import Blobs
from engine.errors import (
    AtelierError,
    BlobLost,
    NotAPicture,
    PaintingCancelled,
    PaintingPaused,
    StorageFailed,
    WorkerLost,
)
from engine.executor import executor as executor_module
from engine.executor import remote_painting
from engine.executor.executor import DaskExecutor
from engine.images.codec import decode
from engine.painting.loop import paint
from engine.painting.options import RunOptions
from engine.painting.reporter import Pace
from engine.progress import Progress, Result, StopToken
from engine.recipe import Inputs, Recipe
from engine.vgg.vgg19 import VGG19
from engine.worker import tasks
from engine.worker.protocol import PaintingOrder
from tests.engine.executor.conftest import CONTENT, CONTENT_NAME, ENDLESS, SETTINGS, STYLE, STYLE_NAME, begin, process
from tests.engine.following import ended, eventually, first

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("no_paintings_left")]


# --- Failures ---


async def test_an_error_of_the_painting_is_raised(embedded: DaskExecutor, blobs: Blobs) -> None:
    painting = begin(embedded, ENDLESS, CONTENT_NAME, [blobs.put(b"no picture")])
    assert [event async for event in painting] == []
    with pytest.raises(NotAPicture):
        await painting.result()


@pytest.mark.slow
async def test_a_painting_too_large_for_the_memory_becomes_smaller_and_its_worker_survives(
    embedded: DaskExecutor,
) -> None:
    before = await process(embedded)
    result = await begin(embedded, Recipe(size=2048, steps=1)).result()
    assert 64 < result.recipe.size == result.width < 2048
    assert result.steps == 1
    assert (await begin(embedded, Recipe(size=64, steps=2)).result()).steps == 2
    assert await process(embedded) == before


# --- Cancelling ---


async def test_a_cancelled_painting_frees_its_worker_for_the_next(embedded: DaskExecutor) -> None:
    before = await process(embedded)
    painting = begin(embedded)
    await first(painting)
    await painting.cancel()
    started = asyncio.get_running_loop().time()
    following = begin(embedded)
    event = await first(following)
    print(f"free {asyncio.get_running_loop().time() - started:.2f} s after the cancel")  # noqa: T201
    assert event.step == 1
    await following.cancel()
    assert await process(embedded) == before


async def test_a_cancelled_painting_raises_an_error_and_can_be_cancelled_again(embedded: DaskExecutor) -> None:
    painting = begin(embedded)
    await first(painting)
    await painting.cancel()
    for _ in range(2):
        with pytest.raises(PaintingCancelled):
            await painting.result()
        await painting.cancel()
    async for _ in painting:  # there may be progress from before; then it ends
        pass


async def test_a_waiting_painting_can_be_cancelled(embedded: DaskExecutor) -> None:
    running = begin(embedded)
    await first(running)
    waiting = begin(embedded)
    await waiting.cancel()
    with pytest.raises(PaintingCancelled):
        await waiting.result()
    assert (await first(running)).step > 1
    await running.cancel()


async def test_cancelling_after_the_end_changes_nothing(embedded: DaskExecutor) -> None:
    painting = begin(embedded, Recipe(size=64, steps=1))
    result = await painting.result()
    await painting.cancel()
    assert await painting.result() == result


async def test_a_wait_for_the_result_can_be_cancelled_without_the_painting(embedded: DaskExecutor) -> None:
    painting = begin(embedded)
    waiter = asyncio.ensure_future(painting.result())
    await first(painting)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert (await first(painting)).step > 1
    await painting.cancel()


# --- Pausing ---


async def test_a_paused_painting_resumes_from_a_checkpoint_of_its_last_step(
    embedded: DaskExecutor, network: VGG19
) -> None:
    recipe = Recipe(size=64, steps=4000)
    painting = begin(embedded, recipe)
    await first(painting)
    pausing = asyncio.create_task(painting.pause())
    events = [event async for event in painting]
    await pausing
    with pytest.raises(PaintingPaused):
        await painting.result()
    last = events[-1]
    assert last.checkpoint is not None
    rest = begin(embedded, recipe, resume=last.checkpoint)
    assert (await first(rest)).step == last.step + 1
    await rest.finish_early()
    result = await rest.result()
    stop = StopToken()
    here = paint(
        Inputs(decode(CONTENT), (decode(STYLE),)), recipe, network, RunOptions(stop=stop, pace=Pace(progress=0))
    )
    while next(here).step < result.steps:
        pass
    stop.finish()
    assert result.picture == ended(here).picture


async def test_a_painting_is_finished_early_or_after_its_first_step_and_another_continues_it(
    embedded: DaskExecutor,
) -> None:
    recipe = Recipe(size=64, steps=4000)
    painting = begin(embedded, recipe)
    await first(painting)
    waiting = begin(embedded, recipe)
    await waiting.finish_early()
    await painting.finish_early()
    result = await painting.result()
    assert result.ending == "stopped"
    assert 1 <= result.steps < 2000
    assert (await waiting.result()).steps == 1
    assert result.checkpoint is not None
    more = await begin(embedded, Recipe(size=64, steps=10, continues=result.checkpoint)).result()
    assert (more.steps, more.ending, more.recipe.continues) == (3, "finished", result.checkpoint)
    lost = await begin(embedded, Recipe(size=64, steps=10, continues="0" * 64)).result()
    assert (lost.steps, lost.recipe) == (10, Recipe(size=64, steps=10))


async def test_a_waiting_painting_pauses_at_once_and_the_running_one_continues(embedded: DaskExecutor) -> None:
    running = begin(embedded)
    await first(running)
    waiting = begin(embedded)
    await waiting.pause()
    with pytest.raises(PaintingPaused):
        await waiting.result()
    assert [event async for event in waiting] == []
    assert (await first(running)).step > 1
    await running.cancel()


async def test_pausing_after_the_end_changes_nothing(embedded: DaskExecutor) -> None:
    painting = begin(embedded, Recipe(size=64, steps=1))
    result = await painting.result()
    await painting.pause()
    assert await painting.result() == result


async def test_pausing_does_not_wait_for_a_step_that_takes_too_long(
    embedded: DaskExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_painting, "PAUSE_TIMEOUT", 0.01)
    painting = begin(embedded, Recipe(size=1024, steps=2))

    async def at_work() -> bool:
        return any(each.painting for each in await embedded.workers())

    await eventually(at_work)
    await painting.pause()
    with pytest.raises(PaintingPaused):
        await painting.result()


# --- Missing blobs ---


async def test_a_lost_picture_ends_the_painting(embedded: DaskExecutor) -> None:
    with pytest.raises(BlobLost) as lost:
        await begin(embedded, ENDLESS, CONTENT_NAME, ["0" * 64]).result()
    assert lost.value.name == "0" * 64


@pytest.mark.parametrize("damaged", [False, True])
async def test_a_lost_or_damaged_checkpoint_restarts_the_painting(
    embedded: DaskExecutor, blobs: Blobs, damaged: bool
) -> None:
    name = blobs.put(b"no checkpoint") if damaged else "0" * 64
    painting = begin(embedded, Recipe(size=64, steps=3), resume=name)
    assert (await first(painting)).step == 1
    assert (await painting.result()).steps == 3


async def test_unreadable_pictures_are_retried_before_the_painting_fails(
    embedded: DaskExecutor, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_painting, "MAX_FAILURES", 2)
    monkeypatch.setattr(remote_painting, "RETRY_PAUSE", 0.1)
    folder = Path(blobs.url) / "ab" / ("ab" * 32)
    folder.mkdir(parents=True)  # a folder instead of a file
    with pytest.raises(StorageFailed):
        await begin(embedded, ENDLESS, "ab" * 32, [STYLE_NAME]).result()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is full soon after the pictures."""
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    small = ("-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path)
    if not mount or not unmount or subprocess.run([mount, *small], check=False).returncode:
        pytest.skip("needs to mount a file system")
    try:
        yield tmp_path
    finally:
        subprocess.run([unmount, tmp_path], check=True)


async def test_a_full_disk_loses_checkpoints_but_not_the_painting(
    monkeypatch: pytest.MonkeyPatch, tiny_disk: Path
) -> None:
    monkeypatch.setattr(executor_module, "CHECKPOINT_EVERY", 0.01)
    blobs = Blobs(str(tiny_disk))
    blobs.put(CONTENT), blobs.put(STYLE)
    with contextlib.suppress(OSError), (tiny_disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    async with DaskExecutor.open(replace(SETTINGS, blobs=blobs.url)) as executor:
        painting = begin(executor, Recipe(size=64, steps=20))
        events = [event async for event in painting]
        assert (await painting.result()).steps == 20
    assert {event.checkpoint for event in events} == {None}


# --- Workers that die ---


async def test_a_painting_continues_from_its_checkpoint_when_its_worker_is_killed(
    embedded: DaskExecutor, network: VGG19, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each progress contains a checkpoint, so no step is repeated. The picture is the same."""
    monkeypatch.setattr(executor_module, "CHECKPOINT_EVERY", 0.01)
    recipe = Recipe(size=64, steps=40)
    before = await process(embedded)
    painting = begin(embedded, recipe)
    steps = [(await first(painting, lambda event: event.checkpoint and event.step > 4)).step]
    os.kill(before, signal.SIGKILL)
    steps += [event.step async for event in painting]
    result = await painting.result()
    assert all(one < other for one, other in pairwise(steps))
    assert steps[-1] == 40
    assert await process(embedded) != before
    here = paint(Inputs(decode(CONTENT), (decode(STYLE),)), recipe, network)
    assert result.picture == ended(here).picture


async def test_a_new_painting_resumes_from_a_checkpoint(
    embedded: DaskExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "CHECKPOINT_EVERY", 0.01)
    recipe = Recipe(size=64, steps=30)
    painting = begin(embedded, recipe)
    event = await first(painting, lambda event: event.checkpoint)
    await painting.cancel()
    rest = begin(embedded, recipe, resume=event.checkpoint)
    steps = [event.step async for event in rest]
    assert steps[0] == event.step + 1
    assert (await rest.result()).steps == 30


async def test_a_painting_that_kills_several_workers_fails(
    embedded: DaskExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_painting, "MAX_FAILURES", 2)
    painting = begin(embedded)
    for _ in range(2):
        await first(painting, lambda event: event.step == 1)  # no checkpoint yet, so each attempt starts at step 1
        os.kill(await process(embedded), signal.SIGKILL)
    with pytest.raises(WorkerLost) as lost:
        await painting.result()
    assert lost.value.times == 2
    assert (await begin(embedded, Recipe(size=64, steps=1)).result()).steps == 1


async def test_a_checkpoint_resets_the_number_of_deaths(
    embedded: DaskExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_painting, "MAX_FAILURES", 2)
    monkeypatch.setattr(executor_module, "CHECKPOINT_EVERY", 0.01)
    painting = begin(embedded)
    for step in (1, 40):  # far apart, so that no progress from before a death counts
        await first(painting, lambda event, step=step: event.checkpoint and event.step > step)  # type: ignore[misc]
        os.kill(await process(embedded), signal.SIGKILL)
    assert (await first(painting, lambda event: event.step > 50)).checkpoint
    await painting.cancel()


def unreachable(channel: str, order: PaintingOrder) -> object:
    """What a worker does that can't open a connection to its scheduler."""
    with patch.object(tasks, "Queue", side_effect=TimeoutError):
        return tasks.paint_picture(channel, order)


async def test_a_painting_whose_worker_cannot_reach_the_scheduler_counts_as_cancelled(
    embedded: DaskExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "paint_picture", unreachable)
    with pytest.raises(PaintingCancelled):
        await begin(embedded).result()


def hostile(channel: str, order: PaintingOrder, sent: object, returned: object) -> object:
    """What a hostile worker does."""
    queue = Queue(channel)
    queue.put(sent)
    queue.close()
    return returned


GOOD = Progress(1, 10, 64, 1.0, 0.5, 0.5, 0.1, 0.9)
RESULT = Result(b"picture", "png", 4, 3, Recipe(), 5, 1.5, "finished")


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ({"step": "many"}, None),
        ([], None),
        (asdict(replace(GOOD, remaining=float("nan"))), RESULT),
        (asdict(replace(GOOD, device="\x1b[2J")), RESULT),
        (asdict(replace(GOOD, scale=-1)), RESULT),
        (asdict(GOOD), 5),
        (asdict(GOOD), None),
        (asdict(GOOD), AtelierError("any text")),
        (asdict(GOOD), replace(RESULT, format="exe")),  # type: ignore[arg-type]
        (asdict(GOOD), replace(RESULT, recipe=RESULT)),  # type: ignore[arg-type]
    ],
    ids=repr,
)
async def test_invalid_data_of_a_worker_is_rejected(
    embedded: DaskExecutor, monkeypatch: pytest.MonkeyPatch, sent: object, returned: object
) -> None:
    monkeypatch.setattr(remote_painting, "MAX_FAILURES", 2)
    monkeypatch.setattr(tasks, "paint_picture", partial(hostile, sent=sent, returned=returned))
    with pytest.raises(WorkerLost):
        await begin(embedded).result()
