"""An executor without workers. The test sets the progress and the end of each painting."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from engine.blobs import Blobs
from engine.errors import AtelierError, PaintingCancelled, PaintingPaused
from engine.images.codec import decode
from engine.images.compositions import Composition
from engine.images.encoding import encode_again
from engine.images.headers import is_lossless
from engine.images.limits import Limits
from engine.presets import Tier
from engine.progress import Encoded, Progress, Result
from engine.recipe import Inputs, Recipe
from engine.worker.protocol import WorkerInfo


class FakePainting:
    """A :class:`engine.executor.api.PaintingHandle`. The test publishes progress, finishes it or lets it fail."""

    def __init__(
        self,
        recipe: Recipe,
        blobs: Blobs | None = None,
        content: bytes = b"",
        styles: Sequence[bytes] = (),
        resume: bytes | None = None,
        max_bytes: int | None = None,
        *,
        idle_first: bool = False,
    ) -> None:
        """``blobs`` is for checkpoints. Without it, the painting has none."""
        self.recipe = recipe
        self.content = content
        self.styles = list(styles)
        self.resume = resume
        self.max_bytes = max_bytes
        self.idle_first = idle_first
        self.cancelled = False
        self.finishing = False
        self.paused = False
        self.end: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._blobs = blobs
        self._step = 0
        self._events: asyncio.Queue[Progress | None] = asyncio.Queue()
        self.end.add_done_callback(lambda _: self._events.put_nowait(None))

    @property
    def ended(self) -> bool:
        """Whether it has a result or an error."""
        return self.end.done()

    def publish(self, progress: Progress) -> None:
        """Publish progress, like a worker."""
        self._step = progress.step
        self._events.put_nowait(progress)

    def show(self, step: int, *, preview: bytes | None = None, checkpoint: bytes | None = None) -> Progress:
        """Publish the progress of one step of ten."""
        name = self._blobs.put(checkpoint) if self._blobs and checkpoint else None
        progress = Progress(step, 10, 512, 1.0, 0.5, 0.5, 1.0, 9.0, preview, name)
        self.publish(progress)
        return progress

    def finish(self, picture: bytes = b"picture", **changes: Any) -> Result:
        """End with a result."""
        result = replace(Result(picture, "png", 512, 384, self.recipe, 10, 9.5, "finished"), **changes)
        self.end.set_result(result)
        return result

    def fail(self, error: Exception) -> None:
        """End with an error."""
        self.end.set_exception(error)
        self.end.exception()  # mark it as retrieved

    async def __aiter__(self) -> AsyncIterator[Progress]:
        """See :class:`engine.executor.api.PaintingHandle`."""
        while (event := await self._events.get()) is not None:
            yield event

    async def result(self) -> Result:
        """See :class:`engine.executor.api.PaintingHandle`."""
        return await asyncio.shield(self.end)

    async def cancel(self) -> None:
        """See :class:`engine.executor.api.PaintingHandle`."""
        if not self.ended:
            self.cancelled = True
            self.fail(PaintingCancelled())

    async def finish_early(self) -> None:
        """See :class:`engine.executor.api.PaintingHandle`. The test ends the painting."""
        self.finishing = True

    async def pause(self) -> None:
        """See :class:`engine.executor.api.PaintingHandle`."""
        if not self.ended:
            self.paused = True
            if self._blobs:
                self.show(self._step, checkpoint=f"paused at {self._step}".encode())
            self.fail(PaintingPaused())


class FakeExecutor:
    """An :class:`engine.executor.api.Executor` that keeps each submitted painting for the test."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs
        self.cluster_id = "the fake cluster"
        self.slots_now = 1
        self.paintings: list[FakePainting] = []
        self.refused: dict[bytes, AtelierError] = {}
        """The pictures that :meth:`check` rejects, with the errors."""
        self.checks = 0
        self.composed: list[Composition] = []
        """The kinds of all calls of :meth:`compose`."""
        self.may_check = asyncio.Event()
        self.may_check.set()
        self._submitted = asyncio.Event()

    async def check(self, picture: bytes, most_frames: int = 1) -> int:
        """See :class:`engine.executor.api.Executor`. No picture moves."""
        self.checks += 1
        await self.may_check.wait()
        if picture in self.refused:
            raise self.refused[picture]
        return 1

    async def thumbnail(self, picture: bytes, side: int) -> bytes:
        """See :class:`engine.executor.api.Executor`. The thumbnail is the picture itself."""
        await self.check(picture)
        return picture

    async def compose(self, kind: Composition, *pictures: str, max_bytes: int) -> bytes:
        """See :class:`engine.executor.api.Executor`. The composition is its kind and the pictures."""
        self.composed.append(kind)
        return b" ".join([kind.encode(), *map(self.blobs.get, pictures)])

    async def shrink(self, picture: bytes, max_bytes: int) -> Encoded:
        """See :class:`engine.executor.api.Executor`. The result is that of a worker."""

        def encoded() -> Encoded:
            decoded = decode(picture, Limits(bytes=len(picture), least=1))
            return encode_again(decoded, len(picture), max_bytes, lossless=is_lossless(picture))

        return await asyncio.to_thread(encoded)

    def submit(
        self,
        recipe: Recipe,
        inputs: Inputs[str],
        *,
        resume: str | None = None,
        max_bytes: int | None = None,
        idle_first: bool = False,
    ) -> FakePainting:
        """See :class:`engine.executor.api.Executor`."""
        get = self.blobs.get
        checkpoint = None if resume is None else get(resume)
        pictures = get(inputs.content), [get(each) for each in inputs.styles]
        painting = FakePainting(recipe, self.blobs, *pictures, checkpoint, max_bytes, idle_first=idle_first)
        self.paintings.append(painting)
        self._submitted.set()
        return painting

    async def slots(self) -> int:
        """See :class:`engine.executor.api.Executor`."""
        return self.slots_now

    async def tier(self) -> Tier:
        """See :class:`engine.executor.api.Executor`."""
        return "cpu-float32"

    async def workers(self) -> list[WorkerInfo]:
        """See :class:`engine.executor.api.Executor`."""
        return []

    @property
    def running(self) -> list[FakePainting]:
        """The paintings that have not ended."""
        return [painting for painting in self.paintings if not painting.ended]

    async def painting(self, number: int = 1) -> FakePainting:
        """Wait for the ``number``-th submitted painting."""
        while len(self.paintings) < number:
            self._submitted.clear()
            await self._submitted.wait()
        return self.paintings[number - 1]
