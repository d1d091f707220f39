"""The button that cancels a job."""

import re
from typing import Self

import discord
from discord import ui

from bot import texts
from bot.client.actor import actor_of
from bot.client.client import Atelier
from bot.client.components import JobComponent
from bot.jobs.errors import JobEnded
from engine.errors import PaintingCancelled


class CancelButton(JobComponent[ui.Button[ui.View]], template=r"cancel:(?P<job>[0-9a-f]{16})"):
    """Cancels a queued or running job. Only the job's owner and the moderators of its server may press it."""

    def __init__(self, job: str, label: str = "Cancel") -> None:
        super().__init__(ui.Button(label=label, style=discord.ButtonStyle.secondary, custom_id=f"cancel:{job}"))
        self.job = job

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for each press."""
        return cls(match["job"])

    async def act(self, interaction: discord.Interaction[Atelier]) -> str:
        """Cancel the job."""
        await interaction.client.services.jobs.cancel(self.job, actor_of(interaction))
        return texts.error_message(PaintingCancelled())

    async def after_failure(self, interaction: discord.Interaction[Atelier], failure: Exception) -> None:
        """Remove the buttons from a reply whose job has ended. The bot itself may not be able to edit that reply.

        The list of ``/jobs``, which is ephemeral, keeps its buttons: they belong to other jobs, too.
        """
        message = interaction.message
        if isinstance(failure, JobEnded) and message is not None and not message.flags.ephemeral:
            await interaction.edit_original_response(view=None)
