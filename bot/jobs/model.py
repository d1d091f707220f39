"""A job: a recipe, its pictures, who asked, where to answer, a state, and how it ended."""

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, Protocol, Self

from pydantic import Field

from engine.errors import AtelierError
from engine.progress import Progress, Result
from engine.recipe import Inputs, Recipe


class State(StrEnum):
    """Where a job is in its life: the first three are open, the others are ends.

    ``queued → running → delivering →`` one of the ends. Whatever the end is, it is told while the job is delivering: a
    process that dies in between leaves a job that another one tells, and no end is told twice.
    """

    QUEUED = "queued"
    RUNNING = "running"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


OPEN: Final = frozenset({State.QUEUED, State.RUNNING, State.DELIVERING})

DeliveredBy = Literal["token", "edit", "post", "direct", "kept"]
"""How an end reached its member: an edit of the reply by the interaction's token or by the bot's own, a new message in
the channel, a direct message, or none of them: then it is kept for ``/jobs``.
"""
Ending = Result | AtelierError


NO_INPUTS: Final = Inputs("", ())
"""Of a job that can't be painted."""


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody asks for, before it is accepted."""

    id: str
    """Sixteen hexadecimal digits, the same whenever the same order arrives again: it is accepted once."""
    owner: int
    """The member's id."""
    guild_id: int | None
    """The server's id. None in direct messages."""
    recipe: Recipe
    inputs: Inputs[bytes]
    address: str
    """Where to answer: opaque here, understood by whoever makes the replies; a secret."""
    description: str
    """The picture in a sentence, for those who can't see it."""
    max_bytes: int
    """Of the encoded result."""


@dataclass(frozen=True, slots=True)
class Painted:
    """A :class:`engine.progress.Result` whose picture lies in the blobs."""

    picture: str
    format: Literal["png", "jpeg"]
    width: int
    height: int
    steps: int
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    ending: Literal["finished", "settled", "stopped"]
    size: int | None = None
    """The recipe's that was painted, which may be smaller than ordered. None in rows that were written before it could
    be: as ordered.
    """
    shown: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        """Make a tuple of the list that JSON holds."""
        object.__setattr__(self, "shown", tuple(self.shown))

    @classmethod
    def of(cls, result: Result, picture: str) -> Self:
        """A result, whose picture was kept under that name."""
        same = {each.name: getattr(result, each.name) for each in fields(cls) if each.name != "size"}
        return cls(**same | {"picture": picture, "size": result.recipe.size})

    def result(self, ordered: Recipe, picture: bytes) -> Result:
        """Undo :meth:`of`."""
        same = {name: value for name, value in asdict(self).items() if name != "size"}
        return Result(**same | {"recipe": self.recipe(ordered), "picture": picture})

    def recipe(self, ordered: Recipe) -> Recipe:
        """What was painted of what was ordered."""
        return ordered if self.size is None else ordered.model_copy(update={"size": self.size})


@dataclass(frozen=True, slots=True)
class Job:
    """An accepted order. Pictures are names of :class:`engine.blobs.Blobs`."""

    id: str
    owner: int
    """The member's id."""
    guild_id: int | None
    """The server's id. None in direct messages, and for jobs that were accepted before it was stored."""
    recipe: Recipe
    """As ordered."""
    inputs: Inputs[str]
    address: str
    """Empty once the job has ended."""
    description: str
    max_bytes: int
    state: State
    created_at: datetime
    accepted: float = field(default=0.0, compare=False)
    """When it was stored, by :func:`bot.jobs.database.tables.service_time`."""
    process: str = ""
    """The bot process that looks after the job."""
    checkpoint: str | None = None
    """From which an interrupted painting goes on."""
    final_state: str | None = None
    """The state of the finished painting, from which another painting can go on. Retention may remove it early."""
    painted: Painted | None = None
    """The result, from the moment that it is there until retention removes it."""
    cause: AtelierError | None = None
    """Why there is no result."""
    delivered_by: DeliveredBy | None = None

    @property
    def painted_recipe(self) -> Recipe:
        """What was painted; as ordered, where nothing is yet."""
        return self.recipe if self.painted is None else self.painted.recipe(self.recipe)


Observer = Callable[[Job, Progress], None]
"""Gets the progress of each job that this process paints. Returns at once."""


class Reply(Protocol):
    """What a member sees of a job."""

    @property
    def bucket(self) -> str:
        """Edits of replies with the same bucket share a rate limit of Discord's."""

    def queued(self, position: int) -> None:
        """The job waits; ``position`` 1 is next. Returns at once: what is shown may lag and skip."""

    def progressed(self, progress: Progress) -> None:
        """The job is painted. Returns at once, as :meth:`queued`."""

    async def deliver(self, ending: Ending) -> DeliveredBy:
        """Tell how the job ended, in the first way that works; the same again, after a crash, changes nothing.

        Raises:
            DeliveryDelayed: no way works now, but one may later.
        """

    async def close(self) -> None:
        """Stop editing, showing nothing more; what is on its way is abandoned."""


def new_id() -> str:
    """A random id of 16 hexadecimal digits."""
    return secrets.token_hex(8)
