"""The button that deletes a result."""

import re
from typing import Self

import discord
from discord import ui

from bot.client.actor import actor_of
from bot.client.client import Atelier
from bot.client.components import JobComponent
from bot.features.results import texts


class DeleteButton(JobComponent[ui.Button[ui.View]], template=r"delete:(?P<job>[0-9a-f]{16})"):
    """Deletes a result: its message, its job, and the pictures that no other job needs.

    Only the job's owner and the moderators of its server may press it.
    """

    def __init__(self, job: str) -> None:
        super().__init__(ui.Button(label=texts.DELETE, style=discord.ButtonStyle.danger, custom_id=f"delete:{job}"))
        self.job = job

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for each press."""
        return cls(match["job"])

    async def act(self, interaction: discord.Interaction[Atelier]) -> str:
        """Delete."""
        await interaction.client.services.jobs.delete(self.job, actor_of(interaction))
        try:
            await interaction.delete_original_response()
        except discord.NotFound:
            pass
        except discord.HTTPException:
            return texts.message_stays()
        return texts.deleted()
