"""What features need of jobs, as Protocols.

:class:`bot.jobs.service.JobService`, :class:`bot.jobs.history.JobHistory` and :class:`bot.jobs.members.MemberData`
implement them.
"""

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Literal, Protocol

from bot.jobs.database.acknowledged import Acknowledged
from bot.jobs.database.history import Position
from bot.jobs.errors import Role
from bot.jobs.model import Actor, HistoryPage, Job, Order
from engine.recipe import Where


class Jobs(Protocol):
    """Accepts, cancels and lists members' jobs."""

    async def acknowledged(self, order: Acknowledged) -> None:
        """Record that an order's member waits for an answer. If this process dies first, another one apologises.

        :meth:`accept` and :meth:`answered` remove the record. The order continues even if the record can't be stored.
        """
        ...

    async def answered(self, order: str) -> None:
        """Remove the record of an order that was rejected, after its member was told why."""
        ...

    def admission(self, actor: Actor, order: str) -> AbstractAsyncContextManager[None]:
        """Enter this before an order's pictures are downloaded, and leave it after :meth:`accept`.

        The order counts towards the member's limit from the start, and the number of orders in memory is limited.

        Raises:
            Closing: the bot is shutting down.
            Blocked, Draining: the operators allow no order of the member, or of anybody.
            WrongChannel, WrongRole: the moderators of the server allow no order there, or of the member.
            TooManyJobs: the member has the maximum number of open jobs.
            DailyLimit: the member has ordered the maximum number of jobs in 24 hours.
        """
        ...

    def is_blocked(self, member: int) -> bool:
        """Whether the operators blocked a member, as of the last seconds."""
        ...

    async def read_controls(self) -> None:
        """Apply what the operators changed now, instead of within seconds."""
        ...

    async def check(self, role: Role, picture: bytes, most_frames: int = 1) -> int:
        """Check that a worker can decode a picture. Returns its frames: see :meth:`engine.executor.api.Executor.check`.

        Raises:
            PictureRejected: it can't be used.
            WorkerLost, NoWorkers: it could not be checked.
        """
        ...

    async def accept(self, order: Order, *, checked: Collection[Role] = ()) -> Job:
        """Check an order's pictures, store them and the job, and queue it. It is committed when this returns.

        Those of the roles ``checked`` passed :meth:`check` before.

        The rules of the server limit the recipe's size, and can make the painting a spoiler.

        Raises:
            Closing: the bot is shutting down.
            PictureRejected: one of the pictures can't be used.
            TooManyJobs, DailyLimit: see :meth:`admission`.
            AlreadyAccepted: this order is a job already.
            AlreadyPainting: the member's same choice for the same result is an open job.
            NotKept: a blob that the order names is not stored any more.
            StorageFull, StorageFailed: its pictures can't be stored.
            WorkerLost, NoWorkers: its pictures could not be checked.
        """
        ...

    async def finish(self, job_id: str, actor: Actor) -> None:
        """End a running job with the picture as it is.

        Raises:
            NotYourJob: the actor is not its owner.
            NotBegun: it still waits.
            JobEnded: it has ended already.
        """
        ...

    async def change_part(self, job_id: str, actor: Actor, where: Where, spread: float) -> None:
        """Paint an open job from the start, with another part of its photo. See :class:`engine.recipe.Recipe`.

        Has no effect if that is its part already.

        Raises:
            NotYourJob: the actor is not its owner.
            JobEnded: it has ended already, or ends now.
            pydantic.ValidationError: the values are out of range.
        """
        ...

    async def toggle_ping(self, job_id: str, actor: Actor) -> bool:
        """Begin or stop to mention the owner of an open job at its end. Returns whether it does now.

        Raises:
            NotYourJob: the actor is not its owner.
            JobEnded: it has ended already.
        """
        ...

    async def delete(self, job_id: str, actor: Actor) -> Job:
        """Remove an ended job, and its pictures unless others need them. Returns the job as it was.

        Raises:
            NotYourJob: the actor is neither its owner nor a moderator of its server.
            StillOpen: it has not ended.
            JobEnded: it is not stored any more.
        """
        ...

    async def cancel(self, job_id: str, actor: Actor) -> None:
        """Cancel an open job. Its worker is free within seconds.

        Raises:
            NotYourJob: the actor is neither its owner nor a moderator of its server.
            JobEnded: it has ended already.
        """
        ...

    async def get(self, job_id: str) -> Job:
        """A job, for any member who sees its reply: the caller checks that.

        Raises:
            NotKept: it is not stored any more.
        """
        ...

    async def picture(self, job_id: str, member: int) -> tuple[Job, bytes]:
        """A finished job and its picture.

        Raises:
            NotYourJob: ``member`` is not its owner.
            JobEnded: it has no picture, or no longer.
            BlobLost: the picture is lost.
        """
        ...


class History(Protocol):
    """Shows members what they have painted, as long as it is stored."""

    async def page(
        self, owner: int, limit: int, *, older_than: Position | None = None, newer_than: Position | None = None
    ) -> HistoryPage:
        """A part of a member's jobs: the newest, or those next to a position. At most one position is given."""
        ...

    async def thumbnails(self, jobs: Iterable[Job]) -> Mapping[str, bytes]:
        """Small JPEGs of these jobs' results, by the jobs' ids.

        Those that are not stored are missing. Workers make them meanwhile, so that they are there the next time.
        """
        ...

    async def comparison(self, job_id: str, member: int, max_bytes: int) -> tuple[Job, bytes]:
        """A finished job, and a JPEG of its content and its result side by side.

        Raises:
            NotYourJob, JobEnded, BlobLost: see :meth:`Jobs.picture`.
            NoWorkers, WorkerLost, StorageFailed: it can't be made for now.
        """
        ...

    async def timelapse(
        self, job_id: str, member: int, format: Literal["webp", "gif"], max_bytes: int
    ) -> tuple[Job, bytes]:
        """A finished job, and an animation of how it was painted.

        Raises:
            TimelapseUnavailable: too few previews are kept.
            NotYourJob, JobEnded, BlobLost, NoWorkers, WorkerLost, StorageFailed: see :meth:`comparison`.
        """
        ...

    async def recipe(self, text: str, member: int, guild_id: int | None) -> Job:
        """The job that a member means by the id of a recipe, as captions name it, or by the id of a job.

        It is the member's own, or else one that was finished in the same server. Then the member may know its recipe
        and nothing else.

        Raises:
            RecipeNotFound: there is none.
            JobUnreadable: its record is damaged.
        """
        ...

    async def search(self, owner: int, text: str, limit: int) -> list[Job]:
        """A member's jobs whose recipe or description fits ``text``, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class ExportPart:
    """One ZIP file."""

    number: int
    """From 1."""
    file: BufferedIOBase
    """A temporary file, at its start. The receiver closes it."""
    left_out: int
    """Files so far that are too large for a part, or lost. The JSON of their job names them."""
    last_job: str | None
    """The last job that is complete with this part, from which another export can continue. None before the first."""
    is_last: bool


class OwnData(Protocol):
    """Hands out and removes everything that is stored about a member."""

    def export(self, member: int, max_bytes: int, after: str | None = None) -> AsyncGenerator[ExportPart]:
        """All of a member's saved styles and jobs: pictures, recipes and rows, in ZIP files of at most ``max_bytes``.

        Args:
            member: their id.
            max_bytes: of each part.
            after: the last job of an earlier export, which this one continues.

        Raises:
            ExportRunning: another export of this member is running.
            ExportStartNotFound: ``after`` is no job of theirs.
            StorageFailed: a picture can't be read for now.
        """
        ...

    async def count(self, member: int) -> tuple[int, int]:
        """The numbers of a member's jobs and of their own styles."""
        ...

    async def forget(self, member: int) -> tuple[int, int]:
        """Cancel a member's open jobs, and remove all their jobs and their own styles. Returns their numbers.

        Takes up to :data:`bot.jobs.members.CANCELLED_WITHIN` seconds while the replies of open jobs go.
        """
        ...
