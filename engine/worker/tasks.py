"""The functions that bots submit to a worker. They import torch late: the bot imports this module too.

They return errors of ours instead of raising them, because Dask logs each exception as a failure of the worker.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Final, cast

from distributed import Queue, get_worker

from engine.blobs import Blobs
from engine.errors import AtelierError, BlobLost, PaintingCancelled, StorageFailed, StorageFull, VersionMismatch
from engine.images.compositions import Composition
from engine.images.limits import Limits
from engine.networks.file import picture_in
from engine.networks.plan import TrainedChunk, TrainingOrder
from engine.progress import Encoded, Result, StopToken
from engine.recipe import MOST_FRAMES, SMALLEST_SIZE, Inputs, Method
from engine.runtime.malloc import trim
from engine.worker.plugin import PainterPlugin
from engine.worker.protocol import BEGUN, LEFT, PLUGIN, PaintingOrder

log = logging.getLogger(__name__)

FIRST_PREVIEW: Final[Mapping[Method, float]] = {"gatys": 0.6, "neighbours": 0.6, "instant": 2.0}
"""Seconds to the first preview. An instant painting usually ends before."""

THUMBNAIL_QUALITY: Final = 85
"""Of a thumbnail's JPEG, 1 to 100."""
LARGEST_RESULT: Final = 128 * 2**20
"""Bytes of a result that a worker still opens."""


def check_picture(data: bytes, most_frames: int) -> int | AtelierError:
    """Decode untrusted bytes and discard the pixels. Returns a :class:`engine.errors.PictureError` if that fails.

    Returns the number of frames: see :meth:`engine.executor.api.Executor.check`.
    """
    from engine.images import decoder
    from engine.images.animation import Clip

    try:
        decode = decoder.load_cached(_plugin().settings.limits).decode_frames
        content = decode(data, most_frames, longer_side=SMALLEST_SIZE)
    except AtelierError as error:
        return error
    return len(content.frames) if isinstance(content, Clip) else 1


def make_thumbnail(data: bytes, side: int) -> bytes | AtelierError:
    """Decode untrusted bytes into a JPEG whose longer side has at most ``side`` pixels.

    Returns a :class:`engine.errors.PictureError` if they can't be decoded.
    """
    from engine.images import codec, decoder

    try:
        picture = decoder.load_cached(_plugin().settings.limits).decode(data, longer_side=side)
    except AtelierError as error:
        return error
    return codec.encode(picture.rgb, "jpeg", alpha=picture.alpha, quality=THUMBNAIL_QUALITY)


def compose_pictures(kind: Composition, max_bytes: int, *pictures: str) -> bytes | AtelierError:
    """Make a picture of stored ones, given by the names of their blobs: see :func:`engine.images.compose.compose`.

    Returns an error where one of them can't be read or decoded.
    """
    from engine.images import decoder
    from engine.images.compose import LONGER_SIDES, compose

    blobs = Blobs(_plugin().settings.blobs)
    try:
        decode = decoder.load_cached(_limits_of_results()).decode
        decoded = [decode(blobs.get(each), longer_side=LONGER_SIDES[kind][0]).rgb for each in pictures]
        return compose(kind, decoded, max_bytes)
    except AtelierError as error:
        return error


def shrink_picture(data: bytes, max_bytes: int) -> Encoded | AtelierError:
    """Encode a result again in at most ``max_bytes``: see :func:`engine.images.encoding.encode_again`.

    Returns a :class:`engine.errors.PictureError` if it can't be decoded.
    """
    from engine.images import decoder
    from engine.images.animation import Clip
    from engine.images.animation_encoding import smaller_clip
    from engine.images.encoding import encode_again
    from engine.images.headers import is_lossless

    try:
        picture = decoder.load_cached(_limits_of_results()).decode_frames(data, MOST_FRAMES)
    except AtelierError as error:
        return error
    if isinstance(picture, Clip):
        return smaller_clip(picture, max_bytes)
    return encode_again(picture, len(data), max_bytes, lossless=is_lossless(data))


def paint_picture(channel: str, order: PaintingOrder) -> Result | AtelierError:
    """Paint, and put each :class:`engine.progress.Progress` as a dictionary into the Dask queue ``channel``.

    Stops within a fraction of a step when the scheduler no longer wants the result, because the bot cancelled the
    painting or is gone. Returns :class:`engine.errors.PaintingPaused` after a request to pause. When the worker shuts
    down, it pauses the painting and puts :data:`engine.worker.protocol.LEFT` into the queue.
    """
    plugin = _plugin()
    if plugin.version != order.version:
        return VersionMismatch(order.version, plugin.version)
    stop = StopToken(_unwanted())
    if order.finish:
        stop.finish()
    try:
        with _queue(channel) as queue, plugin.running(channel, stop):
            try:
                _send(queue, BEGUN)
                return _paint(plugin, queue, order, stop)
            finally:
                if stop.pausing and plugin.leaving:
                    _send(queue, LEFT)
    except AtelierError as error:
        # Tracebacks hold the frames, and so the tensors, of the painting that failed.
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    finally:
        trim()


def train_network(order: TrainingOrder, state: bytes, seconds: float) -> TrainedChunk | AtelierError:
    """Train a network for some seconds, from a state on: see :mod:`engine.networks.training`.

    The state is part of the task and of its result, so that any worker can go on, with any blob store or none.
    """
    from engine.images import decoder
    from engine.networks.training import begin
    from engine.vgg.vgg19 import load_cached

    plugin, unwanted = _plugin(), _unwanted()
    try:
        compute = plugin.compute("auto")
        vgg = load_cached(plugin.settings.weights, compute.device, compute.dtype)
        training = begin(order, vgg, decoder.load_cached(plugin.settings.limits).decode)
        training.resume(state)
        stop = StopToken(lambda: plugin.leaving or unwanted())
        return training.run(seconds, stop.check)
    except AtelierError as error:
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    finally:
        trim()


def _unwanted() -> Callable[[], bool]:
    """Whether the scheduler no longer wants the result of the task that runs in this thread."""
    worker = get_worker()
    key = worker.get_current_task()

    def unwanted() -> bool:
        # A dictionary look-up in the worker's own state, without a message: cheap enough to call between layers.
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    return unwanted


def _plugin() -> PainterPlugin:
    return cast(PainterPlugin, get_worker().plugins[PLUGIN])


def _limits_of_results() -> Limits:
    """Results may be larger than what members may send. They are still untrusted: other machines painted them."""
    limits = _plugin().settings.limits
    return replace(limits, bytes=max(limits.bytes, LARGEST_RESULT), least=1)


def _paint(plugin: PainterPlugin, queue: Queue, order: PaintingOrder, stop: StopToken) -> Result:
    from engine.images import decoder, headers
    from engine.images.animation import first_frame
    from engine.networks import painting as by_network
    from engine.painting.methods import method
    from engine.painting.options import RunOptions
    from engine.painting.reporter import Pace
    from engine.vgg.vgg19 import load_cached

    blobs = Blobs(plugin.settings.blobs)
    confined = decoder.load_cached(plugin.settings.limits)
    recipe = order.recipe
    compute = plugin.compute(recipe.precision)
    photo, *styles = map(blobs.get, (order.inputs.content, *order.inputs.styles))
    trained = by_network.paints(recipe, styles)
    pictures = () if trained else map(picture_in, styles)
    with ThreadPoolExecutor() as together:  # each decoder is a process
        reading = together.submit(confined.decode_frames, photo, recipe.frames, longer_side=recipe.size)
        masking = order.inputs.mask and together.submit(
            confined.decode, blobs.get(order.inputs.mask), longer_side=recipe.size
        )
        decoded = tuple(together.map(partial(confined.decode, longer_side=recipe.longest_style), pictures))
        content, mask = reading.result(), masking.result() if masking else None
    frames, *others = map(headers.frames_of, (photo, *styles))
    moving: dict[str, Any] = {
        "content_frames": frames,
        "stills": tuple(at for at, count in enumerate(others, 1) if count > 1),
    }
    options = RunOptions(
        stop=stop,
        pace=Pace(checkpoint=order.checkpoint_every, first_preview=FIRST_PREVIEW[recipe.method]),
        save=partial(_save_checkpoint, blobs),
        max_bytes=order.max_bytes,
    )
    if trained:
        network = by_network.loaded(styles[0], compute.device)
        painting = by_network.paint(first_frame(content), mask, recipe, network, compute, options)
    else:
        vgg = load_cached(plugin.settings.weights, compute.device, compute.dtype)
        resume, final_state = (_read_state(blobs, name) for name in (order.resume, recipe.continues))
        options = replace(options, resume=resume, final_state=final_state)
        painting = method(recipe)(Inputs(content, decoded, mask), recipe, vgg, options)
    while True:
        try:
            progress = next(painting)
        except StopIteration as end:
            return replace(cast(Result, end.value), **moving)
        plugin.record(progress, recipe.method)
        _send(queue, asdict(progress) | moving)


@contextmanager
def _queue(channel: str) -> Iterator[Queue]:
    """The queue to the bot. The first one of a worker opens a connection to the scheduler."""
    try:
        queue = Queue(channel)
    except OSError as error:  # as in _send
        raise PaintingCancelled from error
    try:
        yield queue
    finally:
        queue.close()


def _send(queue: Queue, message: object) -> None:
    try:
        queue.put(message)
    except (OSError, KeyError) as error:  # the scheduler is gone or was restarted: nobody wants the picture now
        raise PaintingCancelled from error


def _read_state(blobs: Blobs, name: str | None) -> bytes | None:
    """A checkpoint or final state; None where there is none or it is lost. Then the painting starts without it."""
    if not name:
        return None
    try:
        return blobs.get(name)
    except BlobLost:
        log.warning("the state %s is lost, the painting starts without it", name)
        return None


def _save_checkpoint(blobs: Blobs, data: bytes) -> str | None:
    """The checkpoint's name; None where it can't be stored. The painting then continues without it."""
    try:
        return blobs.put(data)
    except (StorageFull, StorageFailed) as error:
        log.warning("a checkpoint could not be stored: %r", error)
        return None
