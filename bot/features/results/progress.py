"""The buttons under a painting that is not finished: end it now, or mention its member when it is done."""

import discord

from bot.client.actor import actor_of
from bot.client.client import Atelier
from bot.client.components import JobButton
from bot.features.results import texts


class FinishButton(JobButton, action="finish"):
    """Ends a painting with the picture as it is. Only the job's owner may press it."""

    label = texts.GOOD_ENOUGH

    async def act(self, interaction: discord.Interaction[Atelier]) -> str:
        """Finish."""
        jobs = interaction.client.services.jobs
        await jobs.finish(self.job, actor_of(interaction))
        return texts.finishing(clip=(await jobs.get(self.job)).recipe.frames > 1)


class PingButton(JobButton, action="ping"):
    """Begins or stops to mention the job's owner at its end. Only they may press it."""

    label = texts.PING

    async def act(self, interaction: discord.Interaction[Atelier]) -> str:
        """Toggle."""
        pings = await interaction.client.services.jobs.toggle_ping(self.job, actor_of(interaction))
        return texts.pings(pings)
