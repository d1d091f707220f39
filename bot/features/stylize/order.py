"""Builds and places an order. Apart from the command, so that other commands and components can use it, too."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import discord

from bot import texts
from bot.client.acknowledge import acknowledge, order_id
from bot.client.client import Atelier
from bot.delivery.target import ReplyTarget
from bot.features.stylize.mix import shares
from bot.jobs.database.acknowledged import Acknowledged
from bot.jobs.errors import style_role
from bot.jobs.model import Job, Order
from bot.limits import TOKEN_LIFE
from engine.presets import PRESETS, Quality
from engine.recipe import Colours, Inputs, Recipe

DEFAULTS: Final = Recipe()


@dataclass(frozen=True, slots=True)
class StylizeRequest:
    """A member's pictures and options. Everything else of a recipe follows from the quality and the workers."""

    content: discord.Attachment
    styles: Sequence[discord.Attachment]
    """One or more."""
    mix: str | None = None
    """How much of each style, as the member typed it. None for equal shares."""
    quality: Quality = "standard"
    strength: float = DEFAULTS.strength
    """0 to 100."""
    detail: float = DEFAULTS.detail
    """0 to 100."""
    stroke: texts.Stroke = "medium"
    colours: Colours = DEFAULTS.colours


async def place(interaction: discord.Interaction[Atelier], request: StylizeRequest) -> Job:
    """Acknowledge the interaction, download the pictures, and have the job accepted.

    Raises:
        MixUnusable, PictureRejected: the request can't be fulfilled. The interaction may not be acknowledged yet.
        DownloadFailed: a picture could not be downloaded.
        AtelierError: what ``Jobs.admission`` and ``Jobs.accept`` raise.
        discord.HTTPException, aiohttp.ClientError, OSError: the interaction could not be acknowledged.
    """
    services = interaction.client.services
    style_shares = shares(request.mix, len(request.styles))
    pictures = {"content": request.content} | {style_role(index): each for index, each in enumerate(request.styles)}
    for role, picture in pictures.items():
        services.attachments.check_stated_size(role, picture)
    order = order_id(interaction)
    owner = interaction.user.id
    message = await acknowledge(interaction)
    address = ReplyTarget.of(interaction, message).model_dump_json()
    description = texts.described(*(picture.filename for picture in pictures.values()))
    expires_at = interaction.created_at + timedelta(seconds=TOKEN_LIFE)
    await services.jobs.acknowledged(Acknowledged(order, owner, address, description, expires_at))
    async with services.jobs.admission(owner, order):
        content, *styles = await services.attachments.fetch_all(pictures)
        preset = PRESETS[await services.executor.tier()][request.quality]
        recipe = Recipe(
            size=preset.size,
            steps=preset.steps,
            strength=request.strength,
            detail=request.detail,
            stroke=texts.STROKES[request.stroke],
            colours=request.colours,
            style_shares=style_shares,
        )
        return await services.jobs.accept(
            Order(
                id=order,
                owner=owner,
                guild_id=interaction.guild_id,
                recipe=recipe,
                inputs=Inputs(content, tuple(styles)),
                address=address,
                description=description,
                max_bytes=interaction.filesize_limit,
                spoiler=any(picture.is_spoiler() for picture in pictures.values()),
            )
        )
