"""The menu of ``/jobs`` that shows a painting again."""

import re
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Final, Self

import discord
from discord import ui

from bot.client.client import Atelier
from bot.client.components import JobComponent
from bot.delivery.channels import Payload, Picture, Rejection, send_request, sent_within_limits
from bot.features.my_jobs import texts
from bot.features.results.views import result_view
from bot.jobs.errors import DeliveryDelayed
from bot.jobs.model import Job
from bot.locales import gettext
from bot.texts import caption, described, not_shown, titled, too_large_here

MENU: Final = "jobs:show"
"""The menu's custom id."""


class ShowMenu(JobComponent[ui.Select[ui.View]], template=MENU):
    """Shows a painting again, only to the job's owner."""

    thinking: ClassVar[bool] = True

    def __init__(self, options: Sequence[discord.SelectOption] = ()) -> None:
        super().__init__(ui.Select(custom_id=MENU, placeholder=gettext(texts.SHOW_AGAIN), options=list(options)))

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for each choice."""
        return cls()

    async def act(self, interaction: discord.Interaction[Atelier]) -> str | None:
        """Show the painting. Where Discord refuses it, return the reason."""
        job, payload = await _payload(interaction, self.item.values[0])
        try:
            outcome = await sent_within_limits(
                partial(_send, interaction, job), payload, interaction.client.services.executor
            )
        except DeliveryDelayed:
            return not_shown()
        if outcome is Rejection.TOO_LARGE:
            return too_large_here(payload.size)
        return not_shown() if isinstance(outcome, Rejection) else None


async def _payload(interaction: discord.Interaction[Atelier], job_id: str) -> tuple[Job, Payload]:
    """The job, and its painting with its caption. Raises what :meth:`bot.jobs.api.Jobs.picture` raises."""
    job, picture = await interaction.client.services.jobs.picture(job_id, interaction.user.id)
    kind = "png" if job.painted is None else job.painted.format
    description = described(job.description)
    text = titled(description)
    if job.painted is not None:
        text = caption(job.painted.result(job.recipe, picture), job.recipe)
    return job, Payload(text, Picture(picture, f"painting-{job.id}.{kind}", description, job.spoiler))


async def _send(
    interaction: discord.Interaction[Atelier], job: Job, payload: Payload
) -> discord.InteractionMessage | Rejection:
    """Show the painting with the components of a result."""
    if payload.size > interaction.filesize_limit:
        return Rejection.TOO_LARGE
    view = result_view(interaction.client, job)
    return await send_request(
        interaction.edit_original_response(content=payload.text, attachments=payload.files(), view=view)
    )
