"""Orders and jobs: a recipe, its pictures, the owner, where to reply, the state, and the ending."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, Protocol, Self

from pydantic import Field

from bot.locales import ENGLISH
from engine.errors import AtelierError
from engine.progress import FileFormat, Progress, Quality, Result
from engine.recipe import Inputs, Recipe


class State(StrEnum):
    """The state of a job. The first three are open states, the others are final.

    ``queued → running → delivering →`` a final state. Every ending, with a picture or without, is delivered in the
    state ``delivering``. If the process dies meanwhile, another one delivers it, and no ending is delivered twice.
    """

    QUEUED = "queued"
    RUNNING = "running"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Actor:
    """A member who acts on jobs, and where."""

    id: int
    """The member's id."""
    guild_id: int | None = None
    """The server in which they act. None in direct messages."""
    moderates: bool = False
    """Whether they may manage messages there, and so cancel and delete the jobs of that server."""
    channels: frozenset[int] = frozenset()
    """The id of the channel, and of the channel or forum that a thread belongs to."""
    roles: frozenset[int] = frozenset()
    """The ids of their roles in the server."""

    def moderates_job(self, job: "Job") -> bool:
        """Whether the job is of the server in which they are a moderator."""
        return self.moderates and self.guild_id is not None and job.guild_id == self.guild_id


OPEN: Final = frozenset({State.QUEUED, State.RUNNING, State.DELIVERING})

FAILED: Final = frozenset({State.FAILED, State.EXPIRED})
"""The states of a job without a picture that nobody cancelled."""

DeliveredBy = Literal["token", "edit", "post", "direct", "kept"]
"""How an ending reached its member: by an edit of the reply with the interaction's token or with the bot's token, by a
new message in the channel, by a direct message, or not at all. In the last case, ``/jobs`` shows it.
"""
Ending = Result | AtelierError
"""A result, or the reason why there is none."""


NAMES_SEPARATOR: Final = "\x1f"
"""ASCII's unit separator, which no name contains."""
NO_INPUTS: Final = Inputs("", ())
"""Of a job that can't be painted."""


@dataclass(frozen=True, slots=True)
class Order:
    """A member's request, before it is accepted."""

    id: str
    """16 hexadecimal digits. An order that arrives twice has the same id, and is accepted once."""
    owner: int
    """The member's id."""
    guild_id: int | None
    """The server's id. None in direct messages."""
    recipe: Recipe
    inputs: Inputs[bytes | str]
    """The pictures, or the names of blobs that an owner of claims already has. The job claims them, too."""
    address: str
    """Where to reply. A secret, and opaque to this package: :data:`bot.jobs.replies.ReplyTo` reads it."""
    description: str
    """The names of the photo and of its styles, separated by :data:`NAMES_SEPARATOR`. :func:`bot.texts.described` puts
    them into words.
    """
    max_bytes: int
    """The largest size of the encoded result."""
    spoiler: bool = False
    """Whether the result and its previews stay blurred until a member clicks on them."""
    parent: str = ""
    """The id of the job whose result this one goes on from, or empty."""
    action: str = ""
    """What the member chose there, in up to 32 characters. The same choice is accepted again only after its end."""
    locale: str = ENGLISH
    """Discord's name of the language of its reply."""


RETRY: Final = "retry"
"""The action of :meth:`Job.ordered_again`. The parent is the failed job."""

_OF_THE_RECIPE: Final = frozenset({"size", "continues", "recipe_id"})
"""The fields of :class:`Painted` that a result has in its recipe."""


@dataclass(frozen=True, slots=True)
class Painted:
    """A :class:`engine.progress.Result` whose picture is in the blob store."""

    picture: str
    format: FileFormat
    width: int
    height: int
    steps: int
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    ending: Literal["finished", "settled", "stopped"]
    size: int | None = None
    """The recipe's size as painted, which may be smaller than ordered. None in old rows: the size is as ordered."""
    continues: str = ""
    """The recipe's ``continues`` as painted. Empty if the final state was lost."""
    shown: tuple[float | None, ...] = ()
    not_found: bool = False
    content_frames: int = 1
    stills: tuple[int, ...] = ()
    recipe_id: str = ""
    """The id of the recipe as painted, as the caption names it. Empty in old rows."""
    quality: Quality | None = None

    def __post_init__(self) -> None:
        """Convert the lists from JSON to tuples."""
        for name in ("shown", "stills"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @classmethod
    def of(cls, result: Result, picture: str) -> Self:
        """Describe a result whose picture is the blob ``picture``."""
        same = {each.name: getattr(result, each.name) for each in fields(cls) if each.name not in _OF_THE_RECIPE}
        of_recipe = {"size": result.recipe.size, "continues": result.recipe.continues, "recipe_id": result.recipe.id}
        return cls(**same | of_recipe | {"picture": picture})

    def result(self, ordered: Recipe, picture: bytes) -> Result:
        """Undo :meth:`of`, given the picture's bytes."""
        same = {name: value for name, value in asdict(self).items() if name not in _OF_THE_RECIPE}
        return Result(**same | {"recipe": self.recipe(ordered), "picture": picture})

    def recipe(self, ordered: Recipe) -> Recipe:
        """The recipe as it was painted, given the ordered one."""
        size = ordered.size if self.size is None else self.size
        return ordered.model_copy(update={"size": size, "continues": self.continues})


@dataclass(frozen=True, slots=True)
class Job:
    """An accepted order. Its pictures and checkpoints are names in :class:`engine.blobs.Blobs`."""

    id: str
    owner: int
    """The member's id."""
    guild_id: int | None
    """The server's id. None in direct messages, and for jobs that were accepted before it was stored."""
    recipe: Recipe
    """As ordered."""
    inputs: Inputs[str]
    address: str
    """As in the order. After the end of the job: :attr:`Reply.posted`, or empty if it was cancelled."""
    description: str
    max_bytes: int
    state: State
    created_at: datetime
    spoiler: bool = False
    parent: str = ""
    action: str = ""
    locale: str = ENGLISH
    """As in the order."""
    pings: bool = False
    """Whether its owner wants to be mentioned when it ends."""
    finishing: bool = False
    """Whether its owner wants the picture as it is now."""
    accepted: float = field(default=0.0, compare=False)
    """The time when it was stored, in seconds of :func:`bot.jobs.database.tables.service_time`."""
    process: str = ""
    """The id of the bot process that owns the job."""
    checkpoint: str | None = None
    """The checkpoint from which an interrupted painting continues."""
    final_state: str | None = None
    """The state of the finished painting, from which another one can continue. Retention may remove it early."""
    painted: Painted | None = None
    """The result, until retention removes the job."""
    frames: Mapping[int, str] = field(default_factory=dict)
    """Previews of the painting, by :func:`frame_of`. Retention may remove them early."""
    thumbnail: str | None = None
    """A small JPEG of the result. None for jobs of earlier versions, until somebody has looked at them in ``/jobs``."""
    cause: AtelierError | None = None
    """The reason why there is no result."""
    delivered_by: DeliveredBy | None = None

    @property
    def painted_recipe(self) -> Recipe:
        """The recipe as it was painted, or as ordered if nothing is painted yet."""
        return self.recipe if self.painted is None else self.painted.recipe(self.recipe)

    def ordered_again(self) -> Order:
        """An order of the same picture by the same member, in the same reply."""
        same = {each.name: getattr(self, each.name) for each in fields(Order)}
        return Order(**same | {"id": new_id(), "parent": self.id, "action": RETRY})


FRAMES: Final = 19
"""The previews that are kept of a painting, for its timelapse: one for each equal share of its steps."""
FRAMES_OF_LARGE: Final = 8
"""The same for a painting whose longer side is over :data:`LARGE`."""
LARGE: Final = 1024
"""Pixels."""
FRAME_BYTES: Final = 3 * 2**19
"""The largest preview that is kept, in bytes. A job's frames take 2 MB at 512 px, and 30 MB at the very most."""


def frame_of(recipe: Recipe, progress: Progress) -> int:
    """The number of the frame, from 0, that a preview at this progress may become."""
    count = FRAMES if recipe.size <= LARGE else FRAMES_OF_LARGE
    return min((progress.step - 1) * count // progress.steps, count - 1)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A part of a member's jobs, newest first."""

    jobs: Sequence[Job]
    first: int
    """The number of the first one, counted from 1 for the member's newest job."""
    older: bool
    """Whether there are older jobs than these."""

    @property
    def newer(self) -> bool:
        """Whether there are newer jobs than these."""
        return self.first > 1

    @property
    def numbered(self) -> Sequence[tuple[int, Job]]:
        """The jobs with their numbers."""
        return list(enumerate(self.jobs, self.first))


Observer = Callable[[Job, Progress], None]
"""A callback for the progress of every running job of this process. It returns at once."""


class Reply(Protocol):
    """The message that shows a job to its member."""

    @property
    def bucket(self) -> str:
        """The rate-limit bucket. Edits of replies with the same bucket share one of Discord's rate limits."""

    @property
    def posted(self) -> str:
        """The address of the message that shows the end, without a secret. Empty if it is unknown."""

    def renew(self, job: Job) -> None:
        """Show the job as it is now, from the next edit on: its recipe may have changed."""

    def queued(self, position: int, *, paused: bool = False) -> None:
        """Show the position in the queue, from 1, and whether painting is paused.

        Returns at once: the display may lag and skip values.
        """

    def progressed(self, progress: Progress) -> None:
        """Show the progress. Returns at once, as :meth:`queued`."""

    async def deliver(self, ending: Ending) -> DeliveredBy:
        """Deliver the ending in the first way that works. Idempotent: it may be repeated after a crash.

        Raises:
            DeliveryDelayed: every way fails for now.
        """

    async def ping(self, delivered_by: DeliveredBy, ending: State) -> None:
        """Mention the owner in a message of its own, after the delivery.

        Raises:
            DeliveryDelayed: that fails for now.
        """

    async def close(self) -> None:
        """Stop all edits. A pending edit is abandoned."""


def new_id() -> str:
    """A random id of 16 hexadecimal digits."""
    return secrets.token_hex(8)
