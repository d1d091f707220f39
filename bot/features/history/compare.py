"""Shows a painting beside its photo, and how it was painted. Only its owner may ask, and only they see the answer."""

from typing import Literal

import discord
from discord import ui

from bot import texts as common
from bot.client.client import Atelier
from bot.client.components import JobButton
from bot.delivery.channels import NO_MENTIONS, Picture, Rejection, send_request
from bot.features.history import texts
from bot.jobs.errors import DeliveryDelayed


class GifButton(JobButton, action="gif"):
    """Shows a timelapse as GIF, for clients that show an animated WebP as a still picture."""

    label = texts.AS_GIF
    thinking = True

    async def act(self, interaction: discord.Interaction[Atelier]) -> str | None:
        """Show the animation."""
        return await _show_timelapse(interaction, self.job, "gif")


async def compare(interaction: discord.Interaction[Atelier], job_id: str) -> str | None:
    """Show the photo and the painting side by side. Where Discord refuses them, return the reason."""
    history = interaction.client.services.history
    job, data = await history.comparison(job_id, interaction.user.id, interaction.filesize_limit)
    picture = Picture(data, f"comparison-{job.id}.jpg", texts.comparison_alt(job), job.spoiler)
    return await _show(interaction, texts.compared(job), picture)


async def timelapse(interaction: discord.Interaction[Atelier], job_id: str) -> str | None:
    """Show the timelapse. Where Discord refuses it, return the reason."""
    return await _show_timelapse(interaction, job_id, "webp")


async def _show_timelapse(
    interaction: discord.Interaction[Atelier], job_id: str, format: Literal["webp", "gif"]
) -> str | None:
    history = interaction.client.services.history
    job, data = await history.timelapse(job_id, interaction.user.id, format, interaction.filesize_limit)
    picture = Picture(data, f"timelapse-{job.id}.{format}", texts.timelapse_alt(job), job.spoiler)
    return await _show(interaction, texts.replayed(job), picture, GifButton(job.id) if format == "webp" else None)


async def _show(
    interaction: discord.Interaction[Atelier], text: str, picture: Picture, button: GifButton | None = None
) -> str | None:
    if len(picture.data) > interaction.filesize_limit:
        return common.too_large_here(len(picture.data))
    view = ui.View(timeout=None)
    if button is not None:
        view.add_item(button)
    try:
        edited = await send_request(
            interaction.edit_original_response(
                content=text, attachments=[picture.file()], view=view, allowed_mentions=NO_MENTIONS
            )
        )
    except DeliveryDelayed:
        return common.not_shown()
    if edited is Rejection.TOO_LARGE:
        return common.too_large_here(len(picture.data))
    return common.not_shown() if isinstance(edited, Rejection) else None
