"""The buttons and entries that paint a result again with one change.

Everybody who sees a result may press them: discord.py acts only on a component that the pressed message has. The member
who presses is the owner of the new job. Its recipe is that of the result as it was painted, with the change. Where the
picture stays the same photo in the same style, the new painting continues from the result's final state.
"""

import re
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Self

import discord
from discord import ui

from bot.client.acknowledge import acknowledge
from bot.client.client import Atelier
from bot.client.components import JobComponent
from bot.features.results import texts
from bot.features.stylize.order import PaintingRequest, StoredPicture, mask_of, submit
from bot.jobs.errors import Unchangeable
from bot.jobs.model import NAMES_SEPARATOR, Job
from bot.jobs.rules import GuildRules
from bot.locales import gettext
from engine.presets import PRESETS, Tier, with_frames
from engine.recipe import SWAPPED, Inputs, Recipe

Change = Callable[[Recipe, Tier, GuildRules], Recipe]
"""Makes the new recipe from that of a result, for a kind of worker and the rules of a server.

Raises :class:`bot.jobs.errors.Unchangeable` where it can't.
"""

STRENGTH_STEP: Final = 25
LEAST_STRENGTH: Final = 5
"""0 would be the photo itself."""
NOISE_AGAIN: Final = 0.1
"""Of a painting with another seed. With the default noise, the two pictures would hardly differ."""
SPREAD_STEP: Final = 2.0
MAX_SPREAD: Final = 10
"""Percent of the longer side, for ``Recipe.spread``."""
STROKES: Final = (0.25, 4.0)
"""The smallest and the largest value of ``Recipe.stroke``."""


def more_style(recipe: Recipe, *_: object) -> Recipe:
    """Raise the strength."""
    if recipe.strength >= 100:
        raise Unchangeable("strength", 100)
    return recipe.model_copy(update={"strength": min(100.0, recipe.strength + STRENGTH_STEP)})


def less_style(recipe: Recipe, *_: object) -> Recipe:
    """Lower the strength."""
    if recipe.strength <= LEAST_STRENGTH:
        raise Unchangeable("strength", recipe.strength)
    return recipe.model_copy(update={"strength": max(float(LEAST_STRENGTH), recipe.strength - STRENGTH_STEP)})


def again(recipe: Recipe, *_: object) -> Recipe:
    """Start over with another seed."""
    noise = max(recipe.noise, NOISE_AGAIN)
    return recipe.whole.model_copy(update={"seed": secrets.randbelow(2**63), "noise": noise})


def bigger(recipe: Recipe, tier: Tier, rules: GuildRules) -> Recipe:
    """Take the next larger preset, as far as the server allows."""
    if recipe.frames > 1:
        raise Unchangeable("size", recipe.size)
    larger = [each for each in PRESETS[tier].values() if each.method != "instant" and each.size > recipe.size]
    if not larger:
        raise Unchangeable("size", recipe.size)
    preset = min(larger, key=lambda each: each.size)
    enlarged = rules.limited(recipe.model_copy(update=preset.fields(recipe.method)))
    if enlarged.size <= recipe.size:
        raise Unchangeable("size here", enlarged.size)
    return enlarged


def finish(recipe: Recipe, tier: Tier, _: GuildRules) -> Recipe:
    """Paint an instant picture with all steps, from its photo."""
    finished = recipe.whole.model_copy(update=PRESETS[tier]["standard"].fields() | {"frames": 1})
    return with_frames(finished, recipe.frames)


def stroke(factor: float, recipe: Recipe, *_: object) -> Recipe:
    """Multiply the size of the strokes."""
    changed = recipe.stroke * factor
    if not STROKES[0] <= changed <= STROKES[1]:
        raise Unchangeable("stroke", recipe.stroke)
    return recipe.model_copy(update={"stroke": changed})


def keep_colours(recipe: Recipe, *_: object) -> Recipe:
    """Keep the photo's colours."""
    return recipe.model_copy(update={"colours": "content"})


def swap(recipe: Recipe, *_: object) -> Recipe:
    """Paint the other part, from the photo."""
    if recipe.where not in SWAPPED:
        raise Unchangeable("part", recipe.spread)
    return recipe.whole.model_copy(update={"where": SWAPPED[recipe.where], "spread": 0 - recipe.spread})


def spread(percent: float, recipe: Recipe, *_: object) -> Recipe:
    """Widen the part that is painted, or narrow it, from the photo."""
    changed = recipe.spread + percent
    if recipe.where == "everything" or abs(changed) > MAX_SPREAD:
        raise Unchangeable("part", recipe.spread)
    return recipe.whole.model_copy(update={"spread": changed})


PARTS: Final[Mapping[str, tuple[str, Change]]] = {
    "swap": (texts.SWAP, swap),
    "wider": (texts.WIDER, partial(spread, SPREAD_STEP)),
    "tighter": (texts.TIGHTER, partial(spread, -SPREAD_STEP)),
}
"""The changes of the part that is painted."""


def changeable(change: Change, recipe: Recipe) -> bool:
    """Whether a recipe can be changed so."""
    try:
        change(recipe, "cuda", GuildRules())
    except Unchangeable:
        return False
    return True


BUTTONS: Final[Mapping[str, tuple[str, Change]]] = {
    "standard": (texts.FINISH_IT, finish),
    "stronger": (texts.MORE_STYLE, more_style),
    "weaker": (texts.LESS_STYLE, less_style),
    "again": (texts.AGAIN, again),
    "bigger": (texts.BIGGER, bigger),
}


def _has_part(change: Change, job: Job) -> bool:
    """Whether the part that was painted can be changed so."""
    found = job.painted is None or not job.painted.not_found
    return found and changeable(change, job.painted_recipe)


ENTRIES: Final[Mapping[str, tuple[str, Change, Callable[[Job], bool]]]] = {
    "finer": (texts.FINER, partial(stroke, 0.5), lambda job: job.painted_recipe.stroke / 2 >= STROKES[0]),
    "broader": (texts.BROADER, partial(stroke, 2.0), lambda job: job.painted_recipe.stroke * 2 <= STROKES[1]),
    "colours": (texts.KEEP_COLOURS, keep_colours, lambda job: job.painted_recipe.colours != "content"),
    **{name: (label, change, partial(_has_part, change)) for name, (label, change) in PARTS.items()},
}


class PaintAgainButton(
    JobComponent[ui.Button[ui.View]], template=rf"(?P<action>{'|'.join(BUTTONS)}):(?P<job>[0-9a-f]{{16}})"
):
    """Paints a result again with the change of one of :data:`BUTTONS`."""

    def __init__(self, action: str, job: str) -> None:
        label, self._change = BUTTONS[action]
        super().__init__(ui.Button(label=gettext(label), custom_id=f"{action}:{job}"))
        self.action = action
        self.job = job

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for each press."""
        return cls(match["action"], match["job"])

    def defers(self, interaction: discord.Interaction[Atelier]) -> bool:
        """The new job has a public reply."""
        return False

    async def act(self, interaction: discord.Interaction[Atelier]) -> None:
        """Place the order."""
        await paint_again(self.action, self._change, interaction, self.job)


async def paint_again(action: str, change: Change, interaction: discord.Interaction[Atelier], job_id: str) -> None:
    """Acknowledge by a public reply, and paint a result again with a change.

    Raises:
        NotKept: the result, or its pictures, are not stored any more.
        Unchangeable: the result can't be changed so.
        AtelierError: what :func:`bot.features.stylize.order.submit` raises.
        discord.HTTPException, aiohttp.ClientError, OSError: the interaction could not be acknowledged.
    """
    message = await acknowledge(interaction)
    parent = await interaction.client.services.jobs.get(job_id)
    await submit(interaction, message, request(parent, action, change))


def request(parent: Job, action: str, change: Change) -> PaintingRequest:
    """Paint the same photo in the same style."""
    photo, *styles = (
        StoredPicture(each, "", parent.spoiler) for each in (parent.inputs.content, *parent.inputs.styles)
    )
    return PaintingRequest(
        Inputs(photo, tuple(styles), mask_of(parent)),
        partial(change, _continued(parent)),
        parent.description,
        parent.id,
        action,
    )


def photo_of(parent: Job) -> StoredPicture:
    """The photo of a result, for a painting in another style."""
    return StoredPicture(parent.inputs.content, photo_name(parent), parent.spoiler)


def photo_name(job: Job) -> str:
    """The name of a job's photo."""
    return job.description.split(NAMES_SEPARATOR)[0]


def _continued(parent: Job) -> Recipe:
    """The recipe of a result as it was painted, from whose final state the next painting continues if it is stored."""
    update: dict[str, Any] = {"continues": parent.final_state or ""}
    return parent.painted_recipe.model_copy(update=update)
