"""The button that deletes a result."""

import discord

from bot.client.actor import actor_of
from bot.client.client import Atelier
from bot.client.components import JobButton
from bot.features.results import texts


class DeleteButton(JobButton, action="delete"):
    """Deletes a result: its message, its job, and the pictures that no other job needs.

    Only the job's owner and the moderators of its server may press it.
    """

    label = texts.DELETE
    style = discord.ButtonStyle.danger

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
