"""Builds and places an order. Apart from the command, so that other commands and components can use it, too."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import discord

from bot import texts
from bot.client.acknowledge import acknowledge, order_id
from bot.client.actor import actor_of
from bot.client.attachments import Attached
from bot.client.client import Atelier
from bot.delivery.target import ReplyTarget
from bot.features.styles.suggest import reader_of
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

    content: Attached
    styles: Sequence[Attached | str]
    """One or more: pictures, or names or references of styles in the library."""
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
        StyleNotFound: the library has no such style for this member.
        DownloadFailed: a picture could not be downloaded.
        BlobLost, StorageFailed: the picture of a saved style could not be read.
        AtelierError: what ``Jobs.admission`` and ``Jobs.accept`` raise.
        discord.HTTPException, aiohttp.ClientError, OSError: the interaction could not be acknowledged.
    """
    services = interaction.client.services
    style_shares = shares(request.mix, len(request.styles))
    styles = {style_role(index): each for index, each in enumerate(request.styles)}
    attached = {"content": request.content} | {role: each for role, each in styles.items() if not isinstance(each, str)}
    for role, picture in attached.items():
        services.attachments.check_stated_size(role, picture)
    order = order_id(interaction)
    owner = interaction.user.id
    message = await acknowledge(interaction)
    reader = reader_of(interaction)
    saved = {role: await services.styles.find(each, reader) for role, each in styles.items() if isinstance(each, str)}
    address = ReplyTarget.of(interaction, message).model_dump_json()
    names = {role: each.filename for role, each in (attached | saved).items()}
    description = texts.described(names["content"], *(names[role] for role in styles))
    expires_at = interaction.created_at + timedelta(seconds=TOKEN_LIFE)
    await services.jobs.acknowledged(Acknowledged(order, owner, address, description, expires_at))
    async with services.jobs.admission(actor_of(interaction), order):
        pictures = dict(zip(attached, await services.attachments.fetch_all(attached), strict=True))
        pictures |= {role: await services.styles.picture(each) for role, each in saved.items()}
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
                inputs=Inputs(pictures["content"], tuple(pictures[role] for role in styles)),
                address=address,
                description=description,
                max_bytes=interaction.filesize_limit,
                spoiler=any(picture.is_spoiler() for picture in attached.values()),
            )
        )
