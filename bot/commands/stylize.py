"""``/stylize``: a photo and a style become a job."""

import asyncio
from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot import words
from bot.address import Address
from bot.commands.attachments import check_claimed_size, fetch
from bot.jobs.job import Order
from engine.quality import EFFORTS, Quality
from engine.recipe import Colours, Recipe

if TYPE_CHECKING:
    from bot.client import Atelier


@app_commands.command(description="Paint a photo in the style of another picture")
@app_commands.describe(
    content="The photo to paint: PNG, JPEG, WebP, AVIF, GIF or BMP",
    style="The picture whose style to take",
    strength="How much style: 0 leaves the photo as it is, 100 is nearly all style (50 unless set)",
    quality="How large and how well; better takes longer (standard unless set)",
    colours="Whose colours the painting has (the style's unless set)",
)
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def stylize(
    interaction: "discord.Interaction[Atelier]",
    content: discord.Attachment,
    style: discord.Attachment,
    strength: app_commands.Range[int, 0, 100] = 50,
    quality: Quality = "standard",
    colours: Colours = "style",
) -> None:
    """Acknowledge at once, read the pictures, hand the job over; errors go to the command tree's handler."""
    client = interaction.client
    limit = client.settings.limits.bytes
    check_claimed_size("content", content, limit)
    check_claimed_size("style", style, limit)
    acknowledged = await interaction.response.defer(thinking=True)
    if acknowledged is None or acknowledged.message_id is None:
        raise RuntimeError("Discord's answer to the deferral names no message")
    async with client.jobs.admission(interaction.user.id):
        content_bytes, style_bytes = await _fetched(client, content, style)
        effort = EFFORTS[await client.executor.tier()][quality]
        await client.jobs.accept(
            Order(
                owner=interaction.user.id,
                recipe=Recipe(size=effort.size, steps=effort.steps, strength=strength, colours=colours),
                content=content_bytes,
                styles=(style_bytes,),
                address=Address.of(interaction, acknowledged.message_id).model_dump_json(),
                description=words.described(content.filename, style.filename),
                max_bytes=interaction.filesize_limit,
            )
        )


async def _fetched(client: "Atelier", content: discord.Attachment, style: discord.Attachment) -> tuple[bytes, bytes]:
    """Both pictures at a time; where one fails the other is given up.

    Raises:
        DownloadFailed, PictureRejected: the first that failed.
    """
    cdn, limit = client.settings.discord_cdn_url, client.settings.limits.bytes
    try:
        async with asyncio.TaskGroup() as group:
            of_content = group.create_task(fetch(client.downloads, "content", content, cdn=cdn, limit=limit))
            of_style = group.create_task(fetch(client.downloads, "style", style, cdn=cdn, limit=limit))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return of_content.result(), of_style.result()
