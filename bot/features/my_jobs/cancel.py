"""The button that cancels a job. It outlives restarts: its id holds all that it needs."""

import re
from typing import TYPE_CHECKING, Self

import discord
import structlog
from discord import ui

from bot import texts
from bot.client.errors import UNDELIVERED, is_for_another_process, report_error
from bot.jobs.errors import JobEnded
from engine.errors import PaintingCancelled

if TYPE_CHECKING:
    from bot.client.client import Atelier

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class CancelButton(ui.DynamicItem[ui.Button[ui.View]], template=r"cancel:(?P<job>[0-9a-f]{16})"):
    """For the job's owner alone, while the job waits or is painted."""

    def __init__(self, job: str, label: str = "Cancel") -> None:
        super().__init__(ui.Button(label=label, style=discord.ButtonStyle.secondary, custom_id=f"cancel:{job}"))
        self.job = job

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for a press."""
        return cls(match["job"])

    async def callback(self, interaction: "discord.Interaction[Atelier]") -> None:  # type: ignore[override]
        """Acknowledge at once, cancel, and answer the one who pressed."""
        ended = False
        try:
            await interaction.response.defer()
            try:
                await interaction.client.jobs.cancel(self.job, interaction.user.id)
                text = texts.error_message(PaintingCancelled())
            except Exception as error:
                ended = isinstance(error, JobEnded)
                text = report_error(interaction, error)
            await interaction.followup.send(text, ephemeral=True)
            if ended:
                await _tidy(interaction)
        except UNDELIVERED as failure:
            if not is_for_another_process(interaction, failure):
                log.warning("a press could not be answered", job=self.job, reason=type(failure).__name__)


async def _tidy(interaction: discord.Interaction) -> None:
    """Take the buttons off a reply whose job has ended without it: it could not be edited then, by a press it can.

    The list of one's own jobs, which only its reader sees, keeps its buttons: they are for other jobs too.
    """
    if interaction.message is not None and not interaction.message.flags.ephemeral:
        await interaction.edit_original_response(view=None)


def cancel_view(job: str) -> ui.View:
    """A row with the button."""
    view = ui.View(timeout=None)
    view.add_item(CancelButton(job))
    return view
