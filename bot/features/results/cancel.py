"""The button that cancels a job."""

import discord

from bot.client.actor import actor_of
from bot.client.client import Atelier
from bot.client.components import JobButton
from bot.error_messages import error_message
from bot.features.results import texts
from bot.jobs.errors import JobEnded
from engine.errors import PaintingCancelled


class CancelButton(JobButton, action="cancel"):
    """Cancels a queued or running job. Only the job's owner and the moderators of its server may press it."""

    label = texts.CANCEL

    async def act(self, interaction: discord.Interaction[Atelier]) -> str:
        """Cancel the job."""
        await interaction.client.services.jobs.cancel(self.job, actor_of(interaction))
        return error_message(PaintingCancelled())

    async def after_failure(self, interaction: discord.Interaction[Atelier], failure: Exception) -> None:
        """Remove the buttons from a reply whose job has ended. The bot itself may not be able to edit that reply.

        The list of ``/jobs``, which is ephemeral, keeps its buttons: they belong to other jobs, too.
        """
        message = interaction.message
        if isinstance(failure, JobEnded) and message is not None and not message.flags.ephemeral:
            await interaction.edit_original_response(view=None)
