"""``/stylize``: a photo and one or more styles become a job."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import discord
from discord import app_commands

from bot import texts
from bot.client.acknowledge import acknowledge, order_id
from bot.client.attachments import check_claimed_size, fetch
from bot.delivery.target import TOKEN_LIFE, ReplyTarget
from bot.features.stylize.mix import LONGEST, shares
from bot.jobs.database.acknowledged import Acknowledged
from bot.jobs.errors import Role, style_role
from bot.jobs.model import Order
from engine.presets import PRESETS, Quality
from engine.recipe import Colours, Recipe

if TYPE_CHECKING:
    from bot.client.client import Atelier

_DEFAULTS: Final = Recipe()
_STRENGTH: Final = round(_DEFAULTS.strength)
_DETAIL: Final = round(_DEFAULTS.detail)


@app_commands.command(description="Paint a photo in the style of another picture, or of several")
@app_commands.describe(
    content="The photo to paint: PNG, JPEG, WebP, AVIF, GIF or BMP",
    style="The picture whose style to take",
    strength=f"How much style: 0 leaves the photo as it is, 100 is nearly all style ({_STRENGTH} unless set)",
    quality="How large and how well; better takes longer (standard unless set)",
    colours=f"Whose colours the painting has ({texts.COLOURS[_DEFAULTS.colours]} unless set)",
    style2="A second style, blended with the first",
    style3="A third style",
    mix="How much of each style, in their order, such as 70 30 (alike unless set)",
    stroke="How large the strokes are (medium unless set)",
    detail=f"How closely edges and shapes are held to the photo's, 0 to 100 ({_DETAIL} unless set)",
)
@app_commands.choices(colours=[app_commands.Choice(name=name, value=value) for value, name in texts.COLOURS.items()])
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def stylize(
    interaction: "discord.Interaction[Atelier]",
    content: discord.Attachment,
    style: discord.Attachment,
    strength: app_commands.Range[int, 0, 100] = _STRENGTH,
    quality: Quality = "standard",
    colours: Colours = _DEFAULTS.colours,
    style2: discord.Attachment | None = None,
    style3: discord.Attachment | None = None,
    mix: app_commands.Range[str, 1, LONGEST] | None = None,
    stroke: texts.Stroke = "medium",
    detail: app_commands.Range[int, 0, 100] = _DETAIL,
) -> None:
    """Acknowledge at once, read the pictures, hand the job over; errors go to the command tree's handler."""
    client = interaction.client
    styles = [each for each in (style, style2, style3) if each is not None]
    style_shares = shares(mix, len(styles))
    pictures = {"content": content} | {style_role(index): each for index, each in enumerate(styles)}
    for role, picture in pictures.items():
        check_claimed_size(role, picture, client.settings.limits.bytes)
    order = order_id(interaction)
    message = await acknowledge(interaction)
    address = ReplyTarget.of(interaction, message).model_dump_json()
    description = texts.described(content.filename, *(each.filename for each in styles))
    expires_at = interaction.created_at + timedelta(seconds=TOKEN_LIFE)
    await client.jobs.acknowledged(Acknowledged(order, interaction.user.id, address, description, expires_at))
    async with client.jobs.admission(interaction.user.id, order):
        content_bytes, *styles_bytes = await _fetched(client, pictures)
        preset = PRESETS[await client.executor.tier()][quality]
        recipe = Recipe(
            size=preset.size,
            steps=preset.steps,
            strength=strength,
            detail=detail,
            stroke=texts.STROKES[stroke],
            colours=colours,
            style_shares=style_shares,
        )
        await client.jobs.accept(
            Order(
                id=order,
                owner=interaction.user.id,
                recipe=recipe,
                content=content_bytes,
                styles=tuple(styles_bytes),
                address=address,
                description=description,
                max_bytes=interaction.filesize_limit,
            )
        )


async def _fetched(client: "Atelier", pictures: Mapping[Role, discord.Attachment]) -> list[bytes]:
    """All pictures at a time, in their order; where one fails the others are given up.

    Raises:
        DownloadFailed, PictureRejected: the first that failed.
    """
    cdn, limit = client.settings.discord_cdn_url, client.settings.limits.bytes
    try:
        async with asyncio.TaskGroup() as group:
            fetching = [
                group.create_task(fetch(client.downloads, role, picture, cdn=cdn, limit=limit))
                for role, picture in pictures.items()
            ]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [each.result() for each in fetching]
