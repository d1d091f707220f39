"""The buttons under a painting that is not finished: end it now, or mention its member when it is done."""

import re
from typing import Self

import discord
from discord import ui

from bot.client.actor import actor_of
from bot.client.client import Atelier
from bot.client.components import JobComponent
from bot.features.results import texts


class FinishButton(JobComponent[ui.Button[ui.View]], template=r"finish:(?P<job>[0-9a-f]{16})"):
    """Ends a painting with the picture as it is. Only the job's owner may press it."""

    def __init__(self, job: str) -> None:
        super().__init__(ui.Button(label=texts.GOOD_ENOUGH, custom_id=f"finish:{job}"))
        self.job = job

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for each press."""
        return cls(match["job"])

    async def act(self, interaction: discord.Interaction[Atelier]) -> str:
        """Finish."""
        await interaction.client.services.jobs.finish(self.job, actor_of(interaction))
        return texts.finishing()


class PingButton(JobComponent[ui.Button[ui.View]], template=r"ping:(?P<job>[0-9a-f]{16})"):
    """Begins or stops to mention the job's owner at its end. Only they may press it."""

    def __init__(self, job: str) -> None:
        super().__init__(ui.Button(label=texts.PING, custom_id=f"ping:{job}"))
        self.job = job

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for each press."""
        return cls(match["job"])

    async def act(self, interaction: discord.Interaction[Atelier]) -> str:
        """Toggle."""
        pings = await interaction.client.services.jobs.toggle_ping(self.job, actor_of(interaction))
        return texts.pings(pings)
