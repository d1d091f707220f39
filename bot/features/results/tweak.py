"""A modal that changes several options of a result at once."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Self, cast, get_args

import discord
from discord import ui

from bot.client.acknowledge import acknowledge
from bot.client.client import Atelier
from bot.client.components import JobButton, PersistentModal
from bot.features.results import texts
from bot.features.results.again import request
from bot.features.stylize.order import submit
from bot.jobs.errors import Unchanged
from bot.jobs.rules import GuildRules
from bot.locales import gettext, pgettext
from bot.texts import COLOURS, STROKES, colours
from engine.presets import PRESETS, Quality, Tier, with_frames
from engine.recipe import Recipe

PERCENT: Final = range(0, 101, 10)
_DEFAULTS: Final = Recipe()
SAME: Final = "same"
"""The quality of the result, whichever that is."""


class TweakButton(JobButton, action="tweak"):
    """Asks for other options. Everybody who sees the result may press it."""

    label = texts.TWEAK

    def defers(self, interaction: discord.Interaction[Atelier]) -> bool:
        """The answer is a modal."""
        return False

    async def act(self, interaction: discord.Interaction[Atelier]) -> None:
        """Open the modal, with the options of the result."""
        parent = await interaction.client.services.jobs.get(self.job)
        await interaction.response.send_modal(TweakModal(self.job, parent.painted_recipe))


class TweakModal(PersistentModal):
    """Takes the options, and paints the same photo in the same style with them."""

    action = "tweaked"

    def __init__(self, job: str, recipe: Recipe = _DEFAULTS) -> None:
        """``recipe`` has the options that are chosen at first."""
        super().__init__(texts.TWEAK_TITLE, job)
        strokes = {f"{value:g}": pgettext("stroke", name) for name, value in STROKES.items()}
        percent = {f"{each}": f"{each}" for each in PERCENT}
        self._strength = self._select("strength", texts.STRENGTH, percent, recipe.strength, texts.STRENGTH_HINT)
        self._detail = self._select("detail", texts.DETAIL, percent, recipe.detail, texts.DETAIL_HINT)
        self._stroke = self._select("stroke", texts.STROKE, strokes, recipe.stroke)
        self._colours = self._select(
            "colours", texts.COLOURS, {value: colours(value) for value in COLOURS}, recipe.colours
        )
        qualities = {SAME: gettext(texts.SAME_QUALITY)}
        qualities |= {quality: pgettext("quality", quality) for quality in get_args(Quality)}
        self._quality = self._select("quality", texts.QUALITY, qualities, SAME)

    def _select(
        self, name: str, label: str, choices: Mapping[Any, str], chosen: float | str, hint: str | None = None
    ) -> ui.Select[Self]:
        """Add a menu with one value chosen. A number that is not among the choices becomes one."""
        value = chosen if isinstance(chosen, str) else f"{chosen:g}"
        shown = {**choices} if value in choices else {**choices, value: value}
        options = [discord.SelectOption(label=text, value=key, default=key == value) for key, text in shown.items()]
        select = ui.Select[Self](custom_id=name, options=options)
        self.add_item(ui.Label(text=gettext(label), description=hint and gettext(hint), component=select))
        return select

    async def on_submit(self, interaction: discord.Interaction[Atelier]) -> None:  # type: ignore[override]
        """Place the order."""
        fields = self._strength, self._detail, self._stroke, self._colours, self._quality
        strength, detail, stroke, colours, quality = (field.values[0] for field in fields)
        options = {"strength": float(strength), "detail": float(detail), "stroke": float(stroke), "colours": colours}
        message = await acknowledge(interaction)
        # Its final state may be gone since the modal was opened.
        parent = await interaction.client.services.jobs.get(self.job)
        action = f"tweak {'-'.join((strength, detail, stroke, colours[:3], quality[:3]))}"
        await submit(interaction, message, request(parent, action, partial(_changed, options, quality)))


def _changed(options: Mapping[str, object], quality: str, recipe: Recipe, tier: Tier, rules: GuildRules) -> Recipe:
    changed = recipe.model_copy(update=options)
    if quality != SAME:
        preset = PRESETS[tier][cast(Quality, quality)].fields(recipe.method)
        changed = with_frames(changed.model_copy(update=preset | {"frames": 1}), recipe.frames)
    changed = rules.limited(changed)
    if changed == recipe:
        raise Unchanged
    continues = changed.method == recipe.method and changed.size >= recipe.size
    return changed if continues else changed.whole
