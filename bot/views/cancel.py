"""The button that cancels a job. It outlives restarts: its id holds all that it needs."""

import re
from typing import TYPE_CHECKING, Self

import discord
from discord import ui

from bot import words
from engine.errors import AtelierError, PaintingCancelled

if TYPE_CHECKING:
    from bot.client import Atelier


class CancelButton(ui.DynamicItem[ui.Button[ui.View]], template=r"cancel:(?P<job>[0-9a-f]{16})"):
    """For the job's owner alone, while the job waits or is painted."""

    def __init__(self, job: str) -> None:
        super().__init__(ui.Button(label="Cancel", style=discord.ButtonStyle.secondary, custom_id=f"cancel:{job}"))
        self.job = job

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for a press."""
        return cls(match["job"])

    async def callback(self, interaction: "discord.Interaction[Atelier]") -> None:  # type: ignore[override]
        """Cancel, and answer the one who pressed."""
        try:
            await interaction.client.jobs.cancel(self.job, interaction.user.id)
            text = words.explain(PaintingCancelled())
        except AtelierError as error:
            text = words.explain(error)
        await interaction.response.send_message(text, ephemeral=True)


def cancel_view(job: str) -> ui.View:
    """A row with the button."""
    view = ui.View(timeout=None)
    view.add_item(CancelButton(job))
    return view
