"""Builds and places orders, for every command and component that paints."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

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
from bot.jobs.database.styles import SavedStyle
from bot.jobs.errors import MASK, NoStyle, PartUnusable, Role, roles_of
from bot.jobs.model import Job, Order
from bot.jobs.rules import GuildRules
from bot.library.built_in import BuiltInStyle
from bot.library.library import Style
from bot.library.networks import NetworkStyle
from bot.limits import TOKEN_LIFE
from engine.presets import PRESETS, Quality, Tier, with_frames
from engine.recipe import MOST_FRAMES, Colours, Inputs, Method, Recipe, Rest, Where

DEFAULTS: Final = Recipe()


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture in the blob store that an owner of claims has, such as a job or a saved style."""

    blob: str
    """Its name."""
    filename: str
    """For the description of the painting, with or without an ending."""
    spoiler: bool = False


def mask_of(job: Job) -> StoredPicture | None:
    """The mask picture of a job, for another painting."""
    return None if job.inputs.mask is None else StoredPicture(job.inputs.mask, "", job.spoiler)


Picture = Attached | StoredPicture | Style


@dataclass(frozen=True, slots=True)
class PaintingRequest:
    """What to paint, for an interaction that is acknowledged."""

    pictures: Inputs[Picture]
    recipe: Callable[[Tier, GuildRules], Recipe]
    """Makes the recipe for a kind of worker and the rules of the server. May raise errors of ours."""
    description: str
    parent: str = ""
    action: str = ""
    """As in :class:`bot.jobs.model.Order`."""
    motion: texts.Motion = "all frames"
    """What is painted of a moving content that has to be downloaded. The recipe decides it for others."""


@dataclass(frozen=True, slots=True)
class StylizeRequest:
    """A member's pictures and options. Everything else of a recipe follows from the quality and the workers."""

    content: Attached | str
    """A picture, or the reference of a style whose picture is painted."""
    styles: Sequence[Attached | str]
    """Up to three: pictures, or names or references of styles in the library. None stands for the server's style."""
    mix: str | None = None
    """How much of each style, as the member typed it. None for equal shares."""
    quality: Quality | None = None
    """None leaves it to the server's moderators, then to the bot."""
    strength: float | None = None
    """0 to 100. None as with the quality."""
    detail: float = DEFAULTS.detail
    """0 to 100."""
    stroke: texts.Stroke = "medium"
    colours: Colours = DEFAULTS.colours
    technique: Method | None = None
    """None leaves it to the quality."""
    where: Where = DEFAULTS.where
    mask: Attached | None = None
    rest: Rest = DEFAULTS.rest
    motion: texts.Motion = "all frames"


async def place(interaction: discord.Interaction[Atelier], request: StylizeRequest) -> Job:
    """Acknowledge the interaction, download the pictures, and have the job accepted.

    Raises:
        MixUnusable, PartUnusable, PictureRejected: the request can't be fulfilled. The interaction may not be
            acknowledged yet.
        StyleNotFound: the library has no such style for this member.
        NoStyle: the member gave none, and the moderators of the server chose none, or removed it.
        discord.HTTPException, aiohttp.ClientError, OSError: the interaction could not be acknowledged.
        AtelierError: what :func:`submit` raises.
    """
    style_shares = shares(request.mix, len(request.styles) or 1)
    _check_part(request)
    check_stated_sizes(interaction, Inputs(request.content, tuple(request.styles), request.mask))

    def recipe(tier: Tier, rules: GuildRules) -> Recipe:
        preset = PRESETS[tier][request.quality or rules.quality or "standard"]
        strengths = request.strength, rules.strength, DEFAULTS.strength
        return Recipe(
            **preset.fields(request.technique),
            strength=next(each for each in strengths if each is not None),
            detail=request.detail,
            stroke=texts.STROKES[request.stroke],
            colours=request.colours,
            style_shares=style_shares,
            where=request.where,
            rest=request.rest,
        )

    message = await acknowledge(interaction)
    library, reader = interaction.client.services.styles, reader_of(interaction)
    content, *styles = [
        await library.find(each, reader) if isinstance(each, str) else each
        for each in (request.content, *request.styles)
    ]
    if not styles:
        rules = await interaction.client.services.store.guild_rules(interaction.guild_id)
        if (servers := await library.servers_style(rules.style, reader)) is None:
            raise NoStyle
        styles.append(servers)
    pictures: Inputs[Picture] = Inputs(content, tuple(styles), request.mask)
    description = texts.names_of_files(*(picture.filename for picture in (content, *styles)))
    motion = request.motion if request.where == "everything" else "first frame only"
    return await submit(interaction, message, PaintingRequest(pictures, recipe, description, motion=motion))


def _check_part(request: StylizeRequest) -> None:
    """Raise ``PartUnusable`` if the part lacks a mask, or its rest a style."""
    masked = request.where in {"mask", "not-mask"}
    if masked and request.mask is None:
        raise PartUnusable("mask")
    if request.mask is not None and not masked:
        raise PartUnusable("use")
    if request.rest == "style" and request.where == "everything":
        raise PartUnusable("part")
    if request.rest == "style" and len(request.styles) < 2:
        raise PartUnusable("style")


def check_stated_sizes(interaction: discord.Interaction[Atelier], pictures: Inputs[Any]) -> None:
    """Check the sizes that Discord states of those that are attached, before anything is acknowledged.

    Args:
        interaction: the command, press or submission.
        pictures: of the order.

    Raises:
        PictureRejected: a file is too large.
    """
    for role, picture in _attached(pictures).items():
        interaction.client.services.attachments.check_stated_size(role, picture)


async def submit(interaction: discord.Interaction[Atelier], message: int, request: PaintingRequest) -> Job:
    """Download what is not stored yet, and have the job accepted. ``message`` is the reply that says "thinking …".

    Raises:
        DownloadFailed: a picture could not be downloaded.
        BlobLost, StorageFailed: the picture of a saved style could not be read.
        AtelierError: what ``request.recipe``, ``Jobs.admission`` and ``Jobs.accept`` raise.
    """
    services = interaction.client.services
    order = order_id(interaction)
    owner = interaction.user.id
    address = ReplyTarget.of(interaction, message).model_dump_json()
    expires_at = interaction.created_at + timedelta(seconds=TOKEN_LIFE)
    rules = await services.store.guild_rules(interaction.guild_id)
    # A reply in public is in the server's language, if its moderators chose one.
    locale = rules.locale or interaction.locale.value
    await services.jobs.acknowledged(Acknowledged(order, owner, address, request.description, locale, expires_at))
    async with services.jobs.admission(actor_of(interaction), order):
        attached = _attached(request.pictures)
        frames: dict[Role, int] = {}

        async def check(role: Role, picture: bytes) -> None:
            moves = role == "content" and request.motion == "all frames"
            frames[role] = await services.jobs.check(role, picture, MOST_FRAMES if moves else 1)

        inputs: dict[Role, bytes | str] = {}
        inputs |= zip(attached, await services.attachments.fetch_all(attached, check), strict=True)
        recipe = request.recipe(await services.executor.tier(), rules)
        if "content" in frames:
            recipe = with_frames(recipe, frames["content"])
        alone = len(request.pictures.styles) == 1
        roles = roles_of(request.pictures)
        for role, picture in zip(roles, request.pictures, strict=True):
            match picture:
                case StoredPicture():
                    inputs[role] = picture.blob
                case SavedStyle() | BuiltInStyle() | NetworkStyle() if role == "content":
                    inputs[role] = await services.styles.whole_picture(picture)
                case SavedStyle() | BuiltInStyle() | NetworkStyle():
                    inputs[role] = await services.styles.picture(picture, recipe if alone else None)
        content, *styles = (inputs[role] for role in roles if role != MASK)
        return await services.jobs.accept(
            Order(
                id=order,
                owner=owner,
                guild_id=interaction.guild_id,
                recipe=recipe,
                inputs=Inputs(content, tuple(styles), inputs.get(MASK)),
                address=address,
                description=request.description,
                max_bytes=interaction.filesize_limit,
                spoiler=any(picture.is_spoiler() for picture in attached.values())
                or any(isinstance(picture, StoredPicture) and picture.spoiler for picture in request.pictures),
                parent=request.parent,
                action=request.action,
                locale=locale,
            ),
            checked=[*attached, *_ours(request.pictures)],
        )


def _attached(pictures: Inputs[Any]) -> dict[Role, Attached]:
    """The pictures that have to be downloaded, by their roles."""
    return {
        role: picture
        for role, picture in zip(roles_of(pictures), pictures, strict=True)
        if not isinstance(picture, str | StoredPicture | SavedStyle | BuiltInStyle | NetworkStyle)
    }


def _ours(pictures: Inputs[Picture]) -> list[Role]:
    """The roles of our own pictures and networks. A check would refuse a network: members may send pictures only."""
    roles = zip(roles_of(pictures), pictures, strict=True)
    return [role for role, picture in roles if isinstance(picture, BuiltInStyle | NetworkStyle)]
