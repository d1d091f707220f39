"""Real workers: one embedded in this process's cluster, and one behind the address of a scheduler.

A cluster takes seconds to start, so tests share them; each leaves its workers free.
"""

import asyncio
import contextlib
import gc
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import pytest
import pytest_asyncio
from distributed import Client, Queue
from PIL import Image

from engine import worker as worker_module
from engine.blobs import Blobs
from engine.errors import (
    AtelierError,
    BlobLost,
    DeviceUnavailable,
    NotAPicture,
    NoWorkers,
    PaintingCancelled,
    PaintingPaused,
    PictureError,
    PictureTooLarge,
    PictureTooSmall,
    PictureTruncated,
    StorageFailed,
    VersionMismatch,
    WeightsUnavailable,
    WorkerLost,
)
from engine.executor import connection, remote_painting
from engine.executor import executor as executor_module
from engine.executor.executor import Executor, Painting
from engine.images.codec import decode
from engine.images.limits import Limits
from engine.painting.loop import paint
from engine.progress import Progress, Result
from engine.recipe import Recipe
from engine.runtime.compatibility import version
from engine.vgg.vgg19 import VGG19
from engine.worker import Order, WorkerSettings, check_picture, paint_picture
from tests.engine.following import ended, eventually, first
from tests.engine.images import corpus

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONTENT = corpus.saved(corpus.scene(), "PNG")
STYLE = corpus.saved(corpus.stripes(), "PNG")
CONTENT_NAME, STYLE_NAME = (sha256(data).hexdigest() for data in (CONTENT, STYLE))
SETTINGS = WorkerSettings(
    device="cpu", precision="float32", threads=1, memory=2 * 2**30, limits=Limits(pixels=3_000_000)
)
ENDLESS = Recipe(size=64, steps=10_000)


@pytest.fixture(scope="module")
def blobs(place: str) -> Blobs:
    """Where this module's pictures and checkpoints are, the two pictures among them."""
    blobs = Blobs(place)
    assert (blobs.put(CONTENT), blobs.put(STYLE)) == (CONTENT_NAME, STYLE_NAME)
    return blobs


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def embedded(blobs: Blobs) -> AsyncIterator[Executor]:
    """An executor with a worker of its own."""
    async with Executor.open(replace(SETTINGS, blobs=blobs.url)) as executor:
        yield executor


BEGUN: list[Painting] = []


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def free() -> AsyncIterator[None]:
    """A test that fails leaves nothing behind that the next one would wait for."""
    yield
    while BEGUN:
        await BEGUN.pop().cancel()


def begin(
    executor: Executor,
    recipe: Recipe = ENDLESS,
    content: str = CONTENT_NAME,
    styles: Sequence[str] = (STYLE_NAME,),
    **options: Any,
) -> Painting:
    BEGUN.append(executor.submit(recipe, content, styles, **options))
    return BEGUN[-1]


async def process(executor: Executor) -> int:
    """The one worker's process; after a death, the next one's as soon as it is there."""
    found: list[int] = []

    async def there() -> bool:
        found[:] = [each.process for each in await executor.workers()]
        return bool(found)

    await eventually(there)
    (one,) = found
    return one


# --- From the bot's side ---


async def test_progress_and_the_result_arrive(embedded: Executor) -> None:
    recipe = Recipe(size=64, steps=30)
    painting = begin(embedded, recipe)
    events = [event async for event in painting]
    result = await painting.result()
    assert all(one.step < other.step for one, other in pairwise(events))
    assert (events[0].step, events[-1].step) == (1, 30)
    assert len(events) > 2
    assert (result.recipe, result.steps, result.ending, result.format) == (recipe, 30, "finished", "png")
    assert Image.open(BytesIO(result.picture)).size == (result.width, result.height) == (64, 43)


async def test_previews_arrive_on_the_way(embedded: Executor) -> None:
    painting = begin(embedded)
    event = await first(painting, lambda event: event.preview)
    await painting.cancel()
    assert event.preview is not None
    preview = Image.open(BytesIO(event.preview))
    assert (preview.format, preview.size) == ("JPEG", (64, 43))


async def test_a_worker_paints_what_would_be_painted_here(embedded: Executor, network: VGG19) -> None:
    recipe = Recipe(size=64, steps=5, seed=3, style_shares=(1, 2))
    distant = await begin(embedded, recipe, CONTENT_NAME, [STYLE_NAME, CONTENT_NAME]).result()
    here = paint(decode(CONTENT), [decode(STYLE), decode(CONTENT)], recipe, network)
    assert distant.picture == ended(here).picture


async def test_a_result_respects_the_limit_of_its_channel(embedded: Executor) -> None:
    result = await begin(embedded, Recipe(size=64, steps=1), max_bytes=4_000).result()
    assert result.format == "jpeg"
    assert len(result.picture) <= 4_000


async def test_the_worker_stays_warm_from_one_painting_to_the_next(embedded: Executor) -> None:
    before = await process(embedded)
    for _ in range(2):
        await begin(embedded, Recipe(size=64, steps=1)).result()
        assert await process(embedded) == before
    assert before != os.getpid()


async def test_the_worker_says_what_it_computes_with(embedded: Executor) -> None:
    (worker,) = await embedded.workers()
    assert (worker.device, worker.precision, worker.name) == ("cpu", "float32", "CPU with 1 threads")
    assert await embedded.slots() == 1
    assert await embedded.tier() == "cpu-float32"


async def test_paintings_wait_for_each_other(embedded: Executor) -> None:
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


async def test_pictures_are_looked_at_while_a_painting_runs(embedded: Executor) -> None:
    painting = begin(embedded)
    await first(painting)
    await embedded.check(CONTENT)
    with pytest.raises(NotAPicture):
        await embedded.check(b"this is no picture")
    with pytest.raises(PictureTruncated):
        await embedded.check(CONTENT[: len(CONTENT) // 2])
    with pytest.raises(PictureTooLarge) as refused:  # the operator's limit, not the usual one
        await embedded.check(corpus.saved(Image.new("L", (2_000, 1_501)), "PNG"))
    assert refused.value.limit == 3_000_000
    assert (await first(painting)).step > 1
    await painting.cancel()


# --- What goes wrong in a painting ---


async def test_what_the_painting_raises_arrives_as_it_was(embedded: Executor, blobs: Blobs) -> None:
    painting = begin(embedded, ENDLESS, CONTENT_NAME, [blobs.put(b"no picture")])
    assert [event async for event in painting] == []
    with pytest.raises(NotAPicture):
        await painting.result()


async def test_a_painting_too_large_for_the_memory_is_smaller_and_its_worker_paints_on(embedded: Executor) -> None:
    before = await process(embedded)
    result = await begin(embedded, Recipe(size=2048, steps=1)).result()
    assert 64 < result.recipe.size == result.width < 2048
    assert result.steps == 1
    assert (await begin(embedded, Recipe(size=64, steps=2)).result()).steps == 2
    assert await process(embedded) == before


# --- Cancelling ---


async def test_a_cancelled_painting_frees_its_worker_for_the_next(embedded: Executor) -> None:
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


async def test_a_cancelled_painting_says_so_and_can_be_cancelled_again(embedded: Executor) -> None:
    painting = begin(embedded)
    await first(painting)
    await painting.cancel()
    for _ in range(2):
        with pytest.raises(PaintingCancelled):
            await painting.result()
        await painting.cancel()
    async for _ in painting:  # whatever was told before; the end comes
        pass


async def test_a_painting_that_waits_can_be_cancelled(embedded: Executor) -> None:
    running = begin(embedded)
    await first(running)
    waiting = begin(embedded)
    await waiting.cancel()
    with pytest.raises(PaintingCancelled):
        await waiting.result()
    assert (await first(running)).step > 1
    await running.cancel()


async def test_cancelling_after_the_end_changes_nothing(embedded: Executor) -> None:
    painting = begin(embedded, Recipe(size=64, steps=1))
    result = await painting.result()
    await painting.cancel()
    assert await painting.result() == result


async def test_who_waits_for_the_result_can_give_up_without_ending_the_painting(embedded: Executor) -> None:
    painting = begin(embedded)
    waiter = asyncio.ensure_future(painting.result())
    await first(painting)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert (await first(painting)).step > 1
    await painting.cancel()


# --- Pausing ---


async def test_a_paused_painting_tells_a_checkpoint_of_its_last_step_and_goes_on_from_it(
    embedded: Executor, network: VGG19
) -> None:
    recipe = Recipe(size=64, steps=40)
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
    here = paint(decode(CONTENT), [decode(STYLE)], recipe, network)
    assert (await rest.result()).picture == ended(here).picture


async def test_a_painting_that_waits_pauses_at_once_and_leaves_the_one_that_runs(embedded: Executor) -> None:
    running = begin(embedded)
    await first(running)
    waiting = begin(embedded)
    await waiting.pause()
    with pytest.raises(PaintingPaused):
        await waiting.result()
    assert [event async for event in waiting] == []
    assert (await first(running)).step > 1
    await running.cancel()


async def test_pausing_after_the_end_changes_nothing(embedded: Executor) -> None:
    painting = begin(embedded, Recipe(size=64, steps=1))
    result = await painting.result()
    await painting.pause()
    assert await painting.result() == result


async def test_a_step_that_takes_too_long_is_not_waited_for(
    embedded: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_painting, "PATIENCE", 0.01)
    painting = begin(embedded, Recipe(size=1024, steps=2))

    async def at_work() -> bool:
        return any(each.painting for each in await embedded.workers())

    await eventually(at_work)
    await painting.pause()
    with pytest.raises(PaintingPaused):
        await painting.result()


# --- Bytes that are not there ---


async def test_a_lost_picture_ends_the_painting(embedded: Executor) -> None:
    with pytest.raises(BlobLost) as lost:
        await begin(embedded, ENDLESS, CONTENT_NAME, ["0" * 64]).result()
    assert lost.value.name == "0" * 64


@pytest.mark.parametrize("damaged", [False, True])
async def test_a_lost_or_damaged_checkpoint_begins_the_painting_anew(
    embedded: Executor, blobs: Blobs, damaged: bool
) -> None:
    name = blobs.put(b"no checkpoint") if damaged else "0" * 64
    painting = begin(embedded, Recipe(size=64, steps=3), resume=name)
    assert (await first(painting)).step == 1
    assert (await painting.result()).steps == 3


async def test_pictures_that_can_not_be_reached_are_tried_for_again_before_the_painting_ends(
    embedded: Executor, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_painting, "ATTEMPTS", 2)
    monkeypatch.setattr(remote_painting, "BREATH", 0.1)
    folder = Path(blobs.url) / "ab" / ("ab" * 32)
    folder.mkdir(parents=True)  # a folder in the place of a file
    with pytest.raises(StorageFailed):
        await begin(embedded, ENDLESS, "ab" * 32, [STYLE_NAME]).result()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A place with room for the pictures and little more."""
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    small = ("-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path)
    if not mount or not unmount or subprocess.run([mount, *small], check=False).returncode:
        pytest.skip("needs to mount a file system")
    try:
        yield tmp_path
    finally:
        subprocess.run([unmount, tmp_path], check=True)


async def test_a_full_disk_costs_checkpoints_but_not_the_painting(
    monkeypatch: pytest.MonkeyPatch, tiny_disk: Path
) -> None:
    monkeypatch.setattr(executor_module, "CHECKPOINT_EVERY", 0.01)
    blobs = Blobs(str(tiny_disk))
    blobs.put(CONTENT), blobs.put(STYLE)
    with contextlib.suppress(OSError), (tiny_disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    async with Executor.open(replace(SETTINGS, blobs=blobs.url)) as executor:
        painting = begin(executor, Recipe(size=64, steps=20))
        events = [event async for event in painting]
        assert (await painting.result()).steps == 20
    assert {event.checkpoint for event in events} == {None}


# --- Workers that die ---


async def test_a_painting_goes_on_from_its_checkpoint_when_its_worker_is_killed(
    embedded: Executor, network: VGG19, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each progress brings a checkpoint here, so not one step is done again, and the picture is the same."""
    monkeypatch.setattr(executor_module, "CHECKPOINT_EVERY", 0.01)
    recipe = Recipe(size=64, steps=60)
    painting = begin(embedded, recipe)
    steps = [(await first(painting, lambda event: event.checkpoint and event.step > 10)).step]
    before = await process(embedded)
    os.kill(before, signal.SIGKILL)
    steps += [event.step async for event in painting]
    result = await painting.result()
    assert all(one < other for one, other in pairwise(steps))
    assert steps[-1] == 60
    assert await process(embedded) != before
    here = paint(decode(CONTENT), [decode(STYLE)], recipe, network)
    assert result.picture == ended(here).picture


async def test_a_painting_goes_on_from_a_checkpoint_that_outlived_the_bot(
    embedded: Executor, monkeypatch: pytest.MonkeyPatch
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


async def test_a_painting_under_which_workers_die_again_and_again_is_given_up(
    embedded: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_painting, "ATTEMPTS", 2)
    painting = begin(embedded)
    for _ in range(2):
        await first(painting, lambda event: event.step == 1)  # no checkpoint yet, so each begins anew
        os.kill(await process(embedded), signal.SIGKILL)
    with pytest.raises(WorkerLost) as lost:
        await painting.result()
    assert lost.value.times == 2
    assert (await begin(embedded, Recipe(size=64, steps=1)).result()).steps == 1


async def test_deaths_count_in_a_row_and_a_checkpoint_begins_anew(
    embedded: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_painting, "ATTEMPTS", 2)
    monkeypatch.setattr(executor_module, "CHECKPOINT_EVERY", 0.01)
    painting = begin(embedded)
    for step in (1, 40):  # far apart, so that what was told before a death is none of the next ones
        await first(painting, lambda event, step=step: event.checkpoint and event.step > step)  # type: ignore[misc]
        os.kill(await process(embedded), signal.SIGKILL)
    assert (await first(painting, lambda event: event.step > 80)).checkpoint
    await painting.cancel()


def senseless(channel: str, order: Order, told: object, given: object) -> object:
    """A worker of somebody hostile."""
    queue = Queue(channel)
    queue.put(told)
    queue.close()
    return given


GOOD = Progress(1, 10, 64, 1.0, 0.5, 0.5, 0.1, 0.9)
RESULT = Result(b"picture", "png", 4, 3, Recipe(), 5, 1.5, "finished")


@pytest.mark.parametrize(
    ("told", "given"),
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
async def test_what_makes_no_sense_of_a_worker_is_no_picture(
    embedded: Executor, monkeypatch: pytest.MonkeyPatch, told: object, given: object
) -> None:
    monkeypatch.setattr(remote_painting, "ATTEMPTS", 2)
    monkeypatch.setattr(worker_module, "paint_picture", partial(senseless, told=told, given=given))
    with pytest.raises(WorkerLost):
        await begin(embedded).result()


async def test_pictures_that_were_looked_at_are_not_kept(embedded: Executor) -> None:
    """Neither by the bot nor by its scheduler, which share this process."""

    async def look() -> None:
        for _ in range(20):
            with pytest.raises(NotAPicture):
                await embedded.check(os.urandom(900_000))
        gc.collect()

    await look()
    tracemalloc.start()
    try:
        await look()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 5_000_000


@pytest.mark.parametrize(
    "given",
    [
        5,
        NotAPicture("[link](https://example.com)"),
        PictureTooSmall("many", 1, 1),  # type: ignore[arg-type]
        PictureTooLarge("bytes", 10**30, 1),
        PictureError("any text"),
        AtelierError("any text"),
    ],
    ids=repr,
)
async def test_what_makes_no_sense_of_a_look_is_no_answer(
    embedded: Executor, monkeypatch: pytest.MonkeyPatch, given: object
) -> None:
    monkeypatch.setattr(executor_module, "WAIT_FOR_WORKERS", 0.5)
    monkeypatch.setattr(worker_module, "check_picture", partial(_given, given=given))
    with pytest.raises(NoWorkers):
        await embedded.check(CONTENT)


def _given(data: bytes, given: object) -> object:
    return given


def deadly(data: bytes) -> NoReturn:
    """A picture that a decoder doesn't survive, as seen from outside."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


async def test_a_picture_under_which_workers_die_twice_is_told_to_the_one_who_sent_it(
    embedded: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "WAIT_FOR_WORKERS", 60)
    monkeypatch.setattr(worker_module, "check_picture", deadly)
    with pytest.raises(WorkerLost) as lost:
        await embedded.check(CONTENT)
    assert lost.value.times == 2
    monkeypatch.setattr(worker_module, "check_picture", check_picture)
    await embedded.check(CONTENT)


def deadly_once(data: bytes, trace: Path) -> None:
    """A worker that dies of something else, as seen from outside."""
    if not trace.exists():
        trace.touch()
        os.kill(os.getpid(), signal.SIGKILL)


async def test_a_picture_is_looked_at_again_when_its_worker_died_of_something_else(
    embedded: Executor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(executor_module, "WAIT_FOR_WORKERS", 60)
    monkeypatch.setattr(worker_module, "check_picture", partial(deadly_once, trace=tmp_path / "trace"))
    await embedded.check(CONTENT)
    assert (tmp_path / "trace").exists()


async def test_a_picture_is_looked_at_again_when_the_connection_goes_meanwhile(
    scheduler: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Dask's client says it, when it notices in the middle of a call."""
    closed = []

    async def broken(_pool: Any, future: Any, _over: Any) -> NoReturn:
        closed.append(future.client)
        monkeypatch.setattr(executor_module, "answer", remote_painting.answer)
        await future.client.close()
        raise AttributeError("'NoneType' object has no attribute 'send_recv'")

    async with Executor.open(SETTINGS, scheduler) as executor:
        monkeypatch.setattr(executor_module, "answer", broken)
        with pytest.raises(NotAPicture):
            await executor.check(b"no picture")
        assert len(closed) == 1


async def test_a_fault_of_ours_in_a_look_is_not_repeated(
    scheduler: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def faulty(*_: Any) -> NoReturn:
        raise AttributeError("a bug")

    async with Executor.open(SETTINGS, scheduler) as executor:
        monkeypatch.setattr(executor_module, "answer", faulty)
        with pytest.raises(AttributeError, match="a bug"):
            await executor.check(CONTENT)


# --- One scheduler, several bots ---


async def test_two_bots_share_a_worker(scheduler: str, blobs: Blobs) -> None:
    async with (
        Executor.open(SETTINGS, scheduler) as one,
        Executor.open(SETTINGS, scheduler) as other,
    ):
        assert await process(one) == await process(other)
        assert await one.slots() == await other.slots() == 1
        paintings = [begin(executor, Recipe(size=64, steps=8)) for executor in (one, other, one, other)]
        results = await asyncio.gather(*(painting.result() for painting in paintings))
        assert len({result.picture for result in results}) == 1


async def test_a_bot_that_leaves_takes_its_paintings_along(scheduler: str, blobs: Blobs) -> None:
    async with Executor.open(SETTINGS, scheduler) as staying:
        async with Executor.open(SETTINGS, scheduler) as leaving:
            painting = begin(leaving)
            await first(painting)
        with pytest.raises(PaintingCancelled):
            await painting.result()
        following = begin(staying)
        assert (await first(following)).step == 1
        await following.cancel()


async def test_a_painting_goes_on_when_a_worker_of_a_shared_scheduler_is_killed(
    scheduler: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "CHECKPOINT_EVERY", 0.01)
    async with Executor.open(SETTINGS, scheduler) as executor:
        painting = begin(executor)
        steps = [(await first(painting, lambda event: event.checkpoint and event.step > 5)).step]
        os.kill(await process(executor), signal.SIGKILL)
        while len(steps) < 6:  # some told before the death may still be on their way
            steps.append((await first(painting)).step)
        assert all(one < other for one, other in pairwise(steps))
        await painting.cancel()


async def test_nothing_is_kept_of_what_has_ended(scheduler: str, blobs: Blobs) -> None:
    """What the scheduler keeps would be computed anew when its worker dies."""
    gc.disable()  # an error refers to its traceback, and that to whatever raised it
    try:
        async with (
            Executor.open(SETTINGS, scheduler) as executor,
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

            async def told() -> bool:
                channels[:] = filter(None, (each.painting for each in await executor.workers()))
                return bool(channels)

            await eventually(told)
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


async def test_a_worker_refuses_what_it_would_paint_differently(scheduler: str, blobs: Blobs) -> None:
    """Whoever sends it: our own bots send it none."""
    order = Order("another", Recipe(size=64, steps=1), CONTENT_NAME, [STYLE_NAME], None, None, 10.0)
    async with Client(scheduler, asynchronous=True, set_as_default=False) as client:
        refused = await client.submit(paint_picture, "a channel", order, pure=False)
    assert isinstance(refused, VersionMismatch)
    assert (refused.wanted, refused.found) == ("another", version(SETTINGS.weights))


BOT = """
import asyncio, sys

from engine.blobs import Blobs
from engine.executor.executor import Executor
from engine.recipe import Recipe
from engine.worker import WorkerSettings


async def main():
    scheduler, folder, content, style = sys.argv[1:]
    async with Executor.open(WorkerSettings(), scheduler) as executor:
        await executor.workers()
        await executor.check(Blobs(folder).get(content))
        async for event in executor.submit(Recipe(size=64, steps=10_000), content, [style]):
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


async def test_a_bot_that_dies_leaves_no_painting_behind_and_never_had_torch(scheduler: str, blobs: Blobs) -> None:
    with bot(scheduler, blobs.url, CONTENT_NAME, STYLE_NAME) as dying:
        assert dying.stdout is not None
        assert await asyncio.to_thread(dying.stdout.readline) == "painting\n"
    async with Executor.open(SETTINGS, scheduler) as staying:
        painting = begin(staying)
        assert (await first(painting)).step == 1
        await painting.cancel()


# --- What can not be opened ---


async def test_weights_that_no_worker_can_read_fail_at_once(blobs: Blobs) -> None:
    with pytest.raises(WeightsUnavailable, match=r"no weights file at /nowhere/vgg19\.pt"):
        async with Executor.open(WorkerSettings(weights="/nowhere/vgg19.pt")):
            pass


async def test_a_device_that_the_worker_does_not_have_fails_at_once(blobs: Blobs) -> None:
    with pytest.raises(DeviceUnavailable, match="use auto, cpu, cuda or cuda:N"):
        async with Executor.open(WorkerSettings(device="gpu")):
            pass


async def test_a_worker_of_another_version_than_ours_fails_at_once(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is installed changed between our start and its own: nothing would ever be painted."""
    monkeypatch.setattr(executor_module, "version", lambda weights: "another")
    with pytest.raises(VersionMismatch) as told:
        async with Executor.open(SETTINGS):
            pass
    assert (told.value.wanted, told.value.found) == ("another", version(SETTINGS.weights))


async def test_an_address_where_nobody_answers_is_an_error_that_says_what_to_do(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT", 1.0)
    with pytest.raises(OSError, match=r"at tcp://127\.0\.0\.1:9 within 1 s .* Start it, or unset SCHEDULER"):
        async with Executor.open(SETTINGS, "tcp://127.0.0.1:9"):
            pass
