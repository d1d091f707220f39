"""What moderators and operators decide: the rules of a server, limits for members, and whether painting goes on."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from engine.presets import Quality
from engine.recipe import Recipe

_Limit = Annotated[int | None, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's limits for jobs."""

    max_open: int = 3
    """Maximum open jobs of one member."""
    expire_after: timedelta = timedelta(hours=24)
    """A job without an ending after this time is given up. Time without any bot process doesn't count."""
    max_per_day: int | None = None
    """Maximum jobs of one member in 24 hours. None for no limit."""


class GuildRules(BaseModel):
    """What the moderators of a server chose. The operator's limits hold as well."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    channels: tuple[int, ...] = ()
    """The ids of the channels in which members may order, with their threads. Empty for all."""
    roles: tuple[int, ...] = ()
    """The ids of the roles whose members may order. Empty for all."""
    max_open: _Limit = None
    """Open jobs of one member in the server. None leaves it to the operator, as with the next two."""
    max_per_day: _Limit = None
    """Jobs of one member in the server in 24 hours."""
    max_size: _Limit = None
    """The longer side of a painting, in pixels."""
    quality: Quality | None = None
    """For members who choose none."""
    strength: Annotated[int | None, Field(ge=0, le=100)] = None
    """For members who choose none."""
    style: str | None = None
    """For members who give none: the reference of a style of the server's or a built-in one, which may be removed."""
    spoiler: bool = False
    """Whether every painting is a spoiler."""
    locale: Annotated[str, Field(max_length=16)] | None = None
    """Discord's name of the language of replies in public. None leaves it to the member who asks."""

    def limited(self, recipe: Recipe) -> Recipe:
        """The recipe, with at most the size that is allowed."""
        if self.max_size is None or recipe.size <= self.max_size:
            return recipe
        return recipe.model_copy(update={"size": self.max_size})


NO_RULES: Final = GuildRules()


@dataclass(frozen=True, slots=True)
class Quota:
    """How many jobs one member may have, besides the operator's limit of open jobs. None means no limit."""

    open_here: int | None = None
    """Open jobs in the server of the order."""
    per_day: int | None = None
    """Jobs in 24 hours, wherever they were ordered."""
    per_day_here: int | None = None
    """Jobs in 24 hours in the server of the order."""

    @classmethod
    def of(cls, rules: GuildRules, per_day: int | None) -> "Quota":
        """The quota in a server with these rules. ``per_day`` is the operator's."""
        return cls(rules.max_open, per_day, rules.max_per_day)


NO_QUOTA: Final = Quota()


@dataclass(frozen=True, slots=True)
class Controls:
    """What the operators set for all bot processes."""

    paused: bool = False
    """Whether no job begins."""
    draining: bool = False
    """Whether no job is accepted."""
    blocked: frozenset[int] = frozenset()
    """The ids of the members who may not use the bot."""
