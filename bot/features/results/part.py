"""The buttons that change which part of a photo is painted, while it is painted."""

import re
from typing import Self, cast

import discord
from discord import ui

from bot.client.actor import actor_of
from bot.client.client import Atelier
from bot.client.components import JobComponent
from bot.features.results import texts
from bot.features.results.again import PARTS, changeable
from bot.jobs.errors import NotKept
from bot.jobs.model import Job
from bot.jobs.rules import GuildRules
from bot.locales import gettext
from engine.recipe import SWAPPED, Where


class PartButton(
    JobComponent[ui.Button[ui.View]],
    template=r"part:(?P<name>[a-z]+):(?P<where>[a-z-]+):(?P<spread>-?[0-9]{1,2}):(?P<job>[0-9a-f]{16})",
):
    """Paints a job again with another part of its photo. Only its owner may press it.

    The custom id names the new part and not the change: a second press changes nothing.
    """

    def __init__(self, name: str, where: Where, spread: float, job: str) -> None:
        label, _ = PARTS[name]
        super().__init__(ui.Button(label=gettext(label), custom_id=f"part:{name}:{where}:{spread:.0f}:{job}"), row=1)
        self.where = where
        self.spread = spread
        self.job = job

    @classmethod
    def of(cls, job: Job) -> list[Self]:
        """The buttons that fit a job: none if everything is painted."""
        buttons = []
        for name, (_, change) in PARTS.items():
            if changeable(change, job.recipe):
                changed = change(job.recipe, "cuda", GuildRules())
                buttons.append(cls(name, changed.where, changed.spread, job.id))
        return buttons

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for each press."""
        name = match["name"] if match["name"] in PARTS else next(iter(PARTS))
        return cls(name, cast(Where, match["where"]), float(match["spread"]), match["job"])

    async def act(self, interaction: discord.Interaction[Atelier]) -> str:
        """Begin again."""
        if self.where not in {*SWAPPED, "opaque"} or abs(self.spread) > 10:
            raise NotKept
        await interaction.client.services.jobs.change_part(self.job, actor_of(interaction), self.where, self.spread)
        return texts.begins_again()
