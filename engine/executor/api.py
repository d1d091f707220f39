"""What the bot needs from an executor, as Protocols. :class:`engine.executor.executor.DaskExecutor` implements them."""

from collections.abc import AsyncIterator
from typing import Protocol

from engine.images.compositions import Composition
from engine.presets import Tier
from engine.progress import Encoded, Progress, Result
from engine.recipe import Inputs, Recipe
from engine.worker.protocol import WorkerInfo


class PaintingHandle(Protocol):
    """A submitted painting. Neither the death of a worker nor the loss of a scheduler ends it."""

    def __aiter__(self) -> AsyncIterator[Progress]:
        """Iterate over its progress until the painting ends, with a result or without. One consumer only."""
        ...

    async def result(self) -> Result:
        """Wait for the end.

        Raises:
            PaintingCancelled: :meth:`cancel` was called, or the worker could not reach the scheduler.
            PaintingPaused: :meth:`pause` was called. The painting can resume from the last checkpoint in its progress.
            WorkerLost: several workers in a row died while they painted it, or sent invalid data.
            BlobLost: one of its pictures is gone.
            StorageFailed: several workers in a row could not read its pictures.
            AtelierError: any other error of the painting itself.
        """
        ...

    async def cancel(self) -> None:
        """Stop the painting and free its worker. Has no effect after the end."""
        ...

    async def finish_early(self) -> None:
        """End after the current step: the present picture becomes the result. Has no effect after the end.

        A painting that waits for a worker ends after its first step.
        """
        ...

    async def pause(self) -> None:
        """Stop after the current step, with a checkpoint of it as the last progress. Has no effect after the end.

        A painting that waits for a worker stops at once, and one whose step takes too long stops without a checkpoint
        of that step. Both can resume from an earlier checkpoint.
        """
        ...


class Executor(Protocol):
    """Checks and paints pictures on workers."""

    @property
    def cluster_id(self) -> str:
        """Identifies the cluster of workers, which several bots may share. Empty before the first connection."""
        ...

    async def check(self, picture: bytes, most_frames: int = 1) -> int:
        """Have a worker check that it can decode an untrusted picture. Does not wait for paintings.

        Returns:
            How many of its frames would be painted, at most ``most_frames``: 1 for a picture that does not move.

        Raises:
            PictureError: it can't.
            WorkerLost: several workers died while they checked it.
            NoWorkers: there is no worker.
        """
        ...

    async def thumbnail(self, picture: bytes, side: int) -> bytes:
        """Have a worker check an untrusted picture, and make a JPEG of it. Its longer side has at most ``side`` pixels.

        Raises:
            PictureError, WorkerLost, NoWorkers: see :meth:`check`.
        """
        ...

    async def compose(self, kind: Composition, *pictures: str, max_bytes: int) -> bytes:
        """Have a worker make a picture of stored ones. Does not wait for paintings.

        Args:
            kind: what to make, and of which pictures: see :func:`engine.images.compose.compose`.
            pictures: the names of their blobs.
            max_bytes: of the result, as far as its smallest size allows it.

        Raises:
            BlobLost: a picture is gone.
            StorageFailed: a picture can't be read for now.
            PictureError, WorkerLost, NoWorkers: see :meth:`check`.
        """
        ...

    async def shrink(self, picture: bytes, max_bytes: int) -> Encoded:
        """Have a worker encode a result again, in at most ``max_bytes`` if that is possible at all.

        Does not wait for paintings.

        Raises:
            PictureError, WorkerLost, NoWorkers: see :meth:`check`.
        """
        ...

    def submit(
        self,
        recipe: Recipe,
        inputs: Inputs[str],
        *,
        resume: str | None = None,
        max_bytes: int | None = None,
        idle_first: bool = False,
    ) -> PaintingHandle:
        """Have a worker paint.

        Progress contains the names of new checkpoints; the caller removes those that it no longer needs.

        Args:
            recipe: what to paint.
            inputs: the names of the pictures' blobs, with one style for each of the recipe's weights.
            resume: the name of a checkpoint. A painting without one, or whose checkpoint is lost, starts at step 1.
            max_bytes: the largest encoded result; None for no limit.
            idle_first: prefer an idle worker to a busy one that would finish sooner, so that none is idle while jobs
                wait.
        """
        ...

    async def slots(self) -> int:
        """How many paintings the present workers can make at a time; 0 without a connection to the scheduler."""
        ...

    async def tier(self) -> Tier:
        """The tier of the slowest worker, which decides what a quality means.

        Raises:
            NoWorkers: no worker has joined yet.
        """
        ...

    async def workers(self) -> list[WorkerInfo]:
        """The present workers; none without a connection to the scheduler."""
        ...
