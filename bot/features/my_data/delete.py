"""The button that deletes everything of a member."""

import re
from typing import ClassVar, Self

import discord
from discord import ui

from bot.client.client import Atelier
from bot.client.components import JobComponent
from bot.features.my_data import texts
from bot.locales import gettext


class DeleteEverythingButton(JobComponent[ui.Button[ui.View]], template=r"forget:(?P<member>[0-9]{1,20})"):
    """Deletes everything of the member who asked for it. Nobody else may press it."""

    thinking: ClassVar[bool] = True

    def __init__(self, member: int) -> None:
        super().__init__(
            ui.Button(
                label=gettext(texts.DELETE_EVERYTHING),
                style=discord.ButtonStyle.danger,
                custom_id=f"forget:{member}",
            )
        )
        self.member = member

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for each press."""
        return cls(int(match["member"]))

    async def act(self, interaction: discord.Interaction[Atelier]) -> str:
        """Delete everything. A second press finds nothing more."""
        if self.member != interaction.user.id:
            return texts.not_yours()
        jobs, styles = await interaction.client.services.own_data.forget(interaction.user.id)
        return texts.deleted(jobs, styles) if jobs or styles else texts.nothing()
