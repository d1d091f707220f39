"""The executor with real workers: an embedded one, and one of a scheduler at an address.

A cluster takes seconds to start, so tests share them. Each test leaves the workers free.
"""

import asyncio
import contextlib
import gc
import itertools
import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import pytest
from distributed import Client
from PIL import Image

from engine.blobs import Blobs
from engine.errors import (
    AtelierError,
    BlobLost,
    DeviceUnavailable,
    NetworkUnusable,
    NotAPicture,
    NoWorkers,
    PaintingCancelled,
    PictureError,
    PictureTooLarge,
    PictureTooSmall,
    PictureTruncated,
    VersionMismatch,
    WeightsUnavailable,
    WorkerLost,
)
from engine.executor import connection, remote_painting
from engine.executor import executor as executor_module
from engine.executor.executor import MAX_DEATHS, DaskExecutor
from engine.executor.remote_painting import End
from engine.images.codec import decode
from engine.networks import training
from engine.networks.plan import Plan, TrainingOrder
from engine.painting.loop import paint
from engine.recipe import Inputs, Recipe
from engine.runtime.compatibility import version
from engine.vgg.vgg19 import VGG19
from engine.worker import tasks
from engine.worker.protocol import PaintingOrder, WorkerSettings
from engine.worker.tasks import check_picture, paint_picture
from tests.engine.executor.conftest import CONTENT, CONTENT_NAME, SETTINGS, STYLE, STYLE_NAME, begin, process
from tests.engine.following import ended, eventually, first
from tests.engine.images import corpus
from tests.engine.networks.made import file_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("no_paintings_left")]


# --- From the bot's side ---


async def test_progress_and_the_result_arrive(embedded: DaskExecutor) -> None:
    recipe = Recipe(size=64, steps=30)
    painting = begin(embedded, recipe)
    events = [event async for event in painting]
    result = await painting.result()
    assert all(one.step < other.step for one, other in pairwise(events))
    assert (events[0].step, events[-1].step) == (1, 30)
    assert len(events) > 2
    assert (result.recipe, result.steps, result.ending, result.format) == (recipe, 30, "finished", "png")
    assert Image.open(BytesIO(result.picture)).size == (result.width, result.height) == (64, 43)


async def test_previews_arrive(embedded: DaskExecutor) -> None:
    painting = begin(embedded)
    event = await first(painting, lambda event: event.preview)
    await painting.cancel()
    assert event.preview is not None
    preview = Image.open(BytesIO(event.preview))
    assert (preview.format, preview.size) == ("JPEG", (64, 43))


async def test_a_worker_gives_the_same_picture_as_this_process(embedded: DaskExecutor, network: VGG19) -> None:
    recipe = Recipe(size=64, steps=5, seed=3, style_shares=(1, 2))
    distant = await begin(embedded, recipe, CONTENT_NAME, [STYLE_NAME, CONTENT_NAME]).result()
    here = ended(paint(Inputs(decode(CONTENT), (decode(STYLE), decode(CONTENT))), recipe, network))
    assert (distant.picture, distant.thumbnail) == (here.picture, here.thumbnail)
    small = Image.open(BytesIO(distant.thumbnail))
    assert (small.format, small.size) == ("JPEG", (64, 43))


async def test_a_worker_paints_the_part_that_a_mask_shows(embedded: DaskExecutor) -> None:
    painting = begin(embedded, Recipe(size=64, steps=1, where="mask"), mask=STYLE_NAME)
    (event,) = [event async for event in painting]
    assert event.mask is not None
    assert not (await painting.result()).not_found


async def test_a_result_respects_the_limit_of_its_channel(embedded: DaskExecutor) -> None:
    result = await begin(embedded, Recipe(size=64, steps=1), max_bytes=4_000).result()
    assert (result.format, result.quality is None) == ("jpeg", False)
    assert len(result.picture) <= 4_000
    shrunk = await embedded.shrink(result.picture, 2_500)
    assert (shrunk.format, shrunk.scaled_to, len(shrunk.data) <= 2_500) == ("jpeg", None, True)
    with pytest.raises(NotAPicture):
        await embedded.shrink(b"this is no picture either", 10)


async def test_successive_paintings_use_the_same_worker_process(embedded: DaskExecutor) -> None:
    before = await process(embedded)
    for _ in range(2):
        await begin(embedded, Recipe(size=64, steps=1)).result()
        assert await process(embedded) == before
    assert before != os.getpid()


async def test_the_worker_reports_its_device(embedded: DaskExecutor) -> None:
    (worker,) = await embedded.workers()
    assert (worker.device, worker.precision, worker.name) == ("cpu", "float32", "CPU with 1 threads")
    assert await embedded.slots() == 1
    assert await embedded.tier() == "cpu-float32"


async def test_paintings_wait_for_each_other(embedded: DaskExecutor) -> None:
    running = begin(embedded)
    await first(running)
    waiting = begin(embedded, Recipe(size=64, steps=2))
    events = aiter(waiting)
    upcoming = asyncio.ensure_future(anext(events))
    await first(running)
    assert not upcoming.done()
    await running.cancel()
    assert (await upcoming).step >= 1
    assert (await waiting.result()).steps == 2


async def test_pictures_are_checked_while_a_painting_runs(embedded: DaskExecutor) -> None:
    painting = begin(embedded)
    await first(painting)
    await embedded.check(CONTENT)
    with pytest.raises(NotAPicture):
        await embedded.check(b"this is no picture")
    with pytest.raises(PictureTruncated):
        await embedded.check(CONTENT[: len(CONTENT) // 2])
    with pytest.raises(PictureTooLarge) as refused:  # the operator's limit, not the default
        await embedded.check(corpus.saved(Image.new("L", (2_000, 1_501)), "PNG"))
    assert refused.value.limit == 3_000_000
    thumbnail = Image.open(BytesIO(await embedded.thumbnail(CONTENT, 32)))
    assert (thumbnail.format, max(thumbnail.size)) == ("JPEG", 32)
    with pytest.raises(NotAPicture):
        await embedded.thumbnail(b"this is no picture", 32)
    timelapse = Image.open(BytesIO(await embedded.compose("webp", CONTENT_NAME, STYLE_NAME, max_bytes=2**20)))
    assert (timelapse.format, timelapse.n_frames) == ("WEBP", 2)  # type: ignore[attr-defined]
    with pytest.raises(BlobLost):
        await embedded.compose("thumbnail", "0" * 64, max_bytes=2**20)
    assert (await first(painting)).step > 1
    await painting.cancel()


async def test_a_worker_trains_a_network_and_paints_by_it(embedded: DaskExecutor, blobs: Blobs, narrow: VGG19) -> None:
    order = TrainingOrder(Plan(steps=3, batch=1, crop=64, widths=(8, 8)), (STYLE,), (CONTENT,), b"")
    here = training.begin(order, narrow, decode)
    one = await embedded.train(order, here.state(), 0)
    assert [each.step for each in one.trained] == [1]
    others = await embedded.train(order, one.state, 60)
    assert [(each.step, each.done < 1) for each in others.trained] == [(2, True), (3, False)]
    here.resume(others.state)
    assert here.done == 1
    network = file_of(here.network, here.styles, ("Stripes",)).write()
    with pytest.raises(NotAPicture):  # members may not send any
        await embedded.check(network)
    name = blobs.put(network)
    for recipe in (Recipe(size=64, steps=2, method="instant"), Recipe(size=64, steps=2)):
        result = await begin(embedded, recipe, styles=[name]).result()
        assert (result.steps, result.width) == (1 if recipe.method == "instant" else 2, 64)
    with pytest.raises(NotAPicture):
        await embedded.train(replace(order, styles=(b"this is no picture",)), one.state, 60)
    with pytest.raises(NetworkUnusable):
        await embedded.train(replace(order, base=b"this is no network"), one.state, 60)


# --- Checking pictures ---


async def test_checked_pictures_are_not_kept(embedded: DaskExecutor) -> None:
    """The bot and the embedded scheduler share this process."""

    async def check_many() -> None:
        for _ in range(20):
            with pytest.raises(NotAPicture):
                await embedded.check(os.urandom(900_000))
        gc.collect()

    await check_many()
    tracemalloc.start()
    try:
        await check_many()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 5_000_000


@pytest.mark.parametrize(
    "given",
    [
        "5",
        NotAPicture("[link](https://example.com)"),
        PictureTooSmall("many", 1, 1),  # type: ignore[arg-type]
        PictureTooLarge("bytes", 10**30, 1),
        PictureError("any text"),
        AtelierError("any text"),
    ],
    ids=repr,
)
async def test_an_invalid_answer_to_a_check_is_ignored(
    embedded: DaskExecutor, monkeypatch: pytest.MonkeyPatch, given: object
) -> None:
    monkeypatch.setattr(executor_module, "WORKER_TIMEOUT", 0.5)
    monkeypatch.setattr(tasks, "check_picture", partial(_given, given=given))
    with pytest.raises(NoWorkers):
        await embedded.check(CONTENT)


def _given(data: bytes, most_frames: int, given: object) -> object:
    return given


def kill_worker(data: bytes, most_frames: int) -> NoReturn:
    """Kill the worker, as a picture that crashes it would."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


async def test_a_picture_that_kills_two_workers_is_rejected(
    embedded: DaskExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "WORKER_TIMEOUT", 60)
    monkeypatch.setattr(tasks, "check_picture", kill_worker)
    with pytest.raises(WorkerLost) as lost:
        await embedded.check(CONTENT)
    assert lost.value.times == 2
    monkeypatch.setattr(tasks, "check_picture", check_picture)
    await embedded.check(CONTENT)


def kill_worker_once(data: bytes, most_frames: int, trace: Path) -> int:
    """Kill the worker the first time, for a reason other than the picture."""
    if not trace.exists():
        trace.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


async def test_a_check_is_repeated_when_its_worker_dies_once(
    embedded: DaskExecutor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(executor_module, "WORKER_TIMEOUT", 60)
    monkeypatch.setattr(tasks, "check_picture", partial(kill_worker_once, trace=tmp_path / "trace"))
    await embedded.check(CONTENT)
    assert (tmp_path / "trace").exists()


async def test_a_check_is_repeated_when_the_connection_breaks(
    scheduler: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the error that Dask's client raises when the connection breaks during a call."""
    closed = []

    async def broken(_connection: Any, future: Any, _over: Any) -> NoReturn:
        closed.append(future.client)
        monkeypatch.setattr(executor_module, "answer", remote_painting.answer)
        await future.client.close()
        raise AttributeError("'NoneType' object has no attribute 'send_recv'")

    async with DaskExecutor.open(SETTINGS, scheduler) as executor:
        monkeypatch.setattr(executor_module, "answer", broken)
        with pytest.raises(NotAPicture):
            await executor.check(b"no picture")
        assert len(closed) == 1


async def test_a_lost_scheduler_does_not_count_as_the_death_of_a_worker(
    scheduler: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: itertools.chain[End | int] = itertools.chain([End.LOST] * MAX_DEATHS, [1])

    async def answer(*_: Any) -> End | int:
        return next(lost)

    async with DaskExecutor.open(SETTINGS, scheduler) as executor:
        monkeypatch.setattr(executor_module, "answer", answer)
        await executor.check(CONTENT)
    assert list(lost) == []


async def test_a_check_is_not_repeated_after_a_bug(
    scheduler: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def faulty(*_: Any) -> NoReturn:
        raise AttributeError("a bug")

    async with DaskExecutor.open(SETTINGS, scheduler) as executor:
        monkeypatch.setattr(executor_module, "answer", faulty)
        with pytest.raises(AttributeError, match="a bug"):
            await executor.check(CONTENT)


# --- One scheduler, several bots ---


async def test_two_bots_share_a_worker(scheduler: str, blobs: Blobs) -> None:
    async with (
        DaskExecutor.open(SETTINGS, scheduler) as one,
        DaskExecutor.open(SETTINGS, scheduler) as other,
    ):
        assert await process(one) == await process(other)
        assert await one.slots() == await other.slots() == 1
        paintings = [begin(executor, Recipe(size=64, steps=8)) for executor in (one, other, one, other)]
        results = await asyncio.gather(*(painting.result() for painting in paintings))
        assert len({result.picture for result in results}) == 1


async def test_a_bot_that_shuts_down_cancels_its_paintings(scheduler: str, blobs: Blobs) -> None:
    async with DaskExecutor.open(SETTINGS, scheduler) as staying:
        async with DaskExecutor.open(SETTINGS, scheduler) as leaving:
            painting = begin(leaving)
            await first(painting)
        with pytest.raises(PaintingCancelled):
            await painting.result()
        following = begin(staying)
        assert (await first(following)).step == 1
        await following.cancel()


async def test_a_painting_continues_when_a_worker_of_a_shared_scheduler_is_killed(
    scheduler: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "CHECKPOINT_EVERY", 0.01)
    async with DaskExecutor.open(SETTINGS, scheduler) as executor:
        painting = begin(executor)
        steps = [(await first(painting, lambda event: event.checkpoint and event.step > 5)).step]
        killed = await process(executor)
        os.kill(killed, signal.SIGKILL)
        # Progress from before the death may still arrive, and the next test needs the new worker.
        while len(steps) < 6 or await process(executor) == killed:
            steps.append((await first(painting)).step)
        assert all(one < other for one, other in pairwise(steps))
        await painting.cancel()


async def test_the_scheduler_keeps_no_ended_tasks(scheduler: str, blobs: Blobs) -> None:
    """The scheduler would compute a kept task again when its worker dies."""
    gc.disable()  # an error refers to its traceback, which refers to the frames that raised it
    try:
        async with (
            DaskExecutor.open(SETTINGS, scheduler) as executor,
            Client(scheduler, asynchronous=True, set_as_default=False) as observer,
        ):
            await begin(executor, Recipe(size=64, steps=1)).result()
            with pytest.raises(NotAPicture):
                await begin(executor, styles=[blobs.put(b"no picture")]).result()
            with pytest.raises(NotAPicture):
                await executor.check(b"no picture")

            painting = begin(executor)
            await first(painting)
            channels: list[str] = []

            async def reported() -> bool:
                channels[:] = filter(None, (each.painting for each in await executor.workers()))
                return bool(channels)

            await eventually(reported)
            await painting.cancel()

            async def forgotten() -> bool:
                try:
                    await observer.scheduler.queue_qsize(name=channels[0])
                except KeyError:
                    return not await observer.who_has()
                return False

            await eventually(forgotten)
    finally:
        gc.enable()


async def test_a_worker_refuses_an_order_of_another_version(scheduler: str, blobs: Blobs) -> None:
    """Our own bots never send one."""
    order = PaintingOrder("another", Recipe(size=64, steps=1), Inputs(CONTENT_NAME, (STYLE_NAME,)), None, None, 10.0)
    async with Client(scheduler, asynchronous=True, set_as_default=False) as client:
        refused = await client.submit(paint_picture, "a channel", order, pure=False)
    assert isinstance(refused, VersionMismatch)
    assert (refused.wanted, refused.found) == ("another", version(SETTINGS.weights))


BOT = """
import asyncio, sys

from engine.blobs import Blobs
from engine.executor.executor import MAX_DEATHS, DaskExecutor
from engine.executor.remote_painting import End
from engine.recipe import Inputs, Recipe
from engine.worker.protocol import WorkerSettings


async def main():
    scheduler, folder, content, style = sys.argv[1:]
    async with DaskExecutor.open(WorkerSettings(), scheduler) as executor:
        await executor.workers()
        await executor.check(Blobs(folder).get(content))
        async for event in executor.submit(Recipe(size=64, steps=10_000), Inputs(content, (style,))):
            print("torch" if "torch" in sys.modules else "painting", flush=True)


asyncio.run(main())
"""


@contextlib.contextmanager
def bot(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", BOT, *arguments], cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


async def test_a_killed_bot_leaves_no_painting_and_never_imports_torch(scheduler: str, blobs: Blobs) -> None:
    with bot(scheduler, blobs.url, CONTENT_NAME, STYLE_NAME) as dying:
        assert dying.stdout is not None
        assert await asyncio.to_thread(dying.stdout.readline) == "painting\n"
    async with DaskExecutor.open(SETTINGS, scheduler) as staying:
        painting = begin(staying)
        assert (await first(painting)).step == 1
        await painting.cancel()


# --- Failures to open ---


async def test_unreadable_weights_fail_at_once(blobs: Blobs) -> None:
    with pytest.raises(WeightsUnavailable, match=r"no weights file at /nowhere/vgg19\.pt"):
        async with DaskExecutor.open(WorkerSettings(weights="/nowhere/vgg19.pt")):
            pass


async def test_a_missing_device_fails_at_once(blobs: Blobs) -> None:
    with pytest.raises(DeviceUnavailable, match="use auto, cpu, cuda or cuda:N"):
        async with DaskExecutor.open(WorkerSettings(device="gpu")):
            pass


async def test_an_embedded_worker_of_another_version_fails_at_once(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package was updated between the bot's start and the worker's."""
    monkeypatch.setattr(executor_module, "version", lambda weights: "another")
    with pytest.raises(VersionMismatch) as raised:
        async with DaskExecutor.open(SETTINGS):
            pass
    assert (raised.value.wanted, raised.value.found) == ("another", version(SETTINGS.weights))


async def test_an_address_without_a_scheduler_is_an_error_that_says_what_to_do(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 1.0)
    with pytest.raises(OSError, match=r"at tcp://127\.0\.0\.1:9 within 1 s .* Start it, or unset SCHEDULER"):
        async with DaskExecutor.open(SETTINGS, "tcp://127.0.0.1:9"):
            pass
