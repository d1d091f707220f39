"""A job: a recipe, its pictures, who asked, where to answer, and a state."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from engine.errors import AtelierError
from engine.progress import Progress, Result
from engine.recipe import Recipe


class State(StrEnum):
    """Where a job is in its life: the first three are open, the others are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN: Final = frozenset({State.QUEUED, State.RUNNING, State.DELIVERING})


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody asks for, before it is accepted."""

    owner: int
    """The member's id."""
    recipe: Recipe
    content: bytes
    styles: Sequence[bytes]
    address: str
    """Where to answer: opaque here, understood by whoever makes the replies; a secret."""
    description: str
    """The picture in a sentence, for those who can't see it."""
    max_bytes: int
    """Of the encoded result."""


@dataclass(frozen=True, slots=True)
class Job:
    """An accepted order; its pictures lie in :class:`bot.jobs.files.JobFiles`."""

    id: str
    owner: int
    recipe: Recipe
    address: str
    description: str
    max_bytes: int
    state: State


class Reply(Protocol):
    """What a member sees of a job."""

    def queued(self, place: int) -> None:
        """The job waits; ``place`` 1 is next. Returns at once: what is shown may lag and skip."""

    def progressed(self, progress: Progress) -> None:
        """The job is painted. Returns at once, as :meth:`queued`."""

    async def finished(self, result: Result) -> None:
        """Show the result; raises what kept it from being shown."""

    async def failed(self, error: AtelierError) -> None:
        """Tell the owner, in words, why there will be no result. Never raises."""

    async def cancelled(self) -> None:
        """Take back what is shown. Never raises."""

    async def close(self) -> None:
        """Stop editing, showing nothing more: the bot goes down and the job will go on later."""


def new_id() -> str:
    """A random id of 16 hexadecimal digits."""
    return secrets.token_hex(8)
