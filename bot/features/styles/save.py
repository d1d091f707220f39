"""Saves a picture as a style, for the command, the context menu and the menu under a result."""

import re
from typing import Final

import discord

from bot.client.attachments import Attached
from bot.client.client import Atelier
from bot.delivery.channels import Picture
from bot.features.styles import texts
from bot.features.styles.suggest import reader_of
from bot.jobs.database.styles import LibraryKind
from bot.jobs.errors import StyleNotFound, style_role
from bot.library.library import REFERENCE, Style

_FILE: Final = re.compile(r"style-([a-z0-9-]+)\.jpg")
"""What :func:`shown_small` calls a thumbnail."""


async def save(
    interaction: discord.Interaction[Atelier], picture: Attached | str, name: str, kind: LibraryKind
) -> None:
    """Acknowledge the interaction, get the picture, save it, and show the member what was saved.

    Args:
        interaction: the command or submission.
        picture: to download, or the reference of a style that has it.
        name: of the new style.
        kind: of the library that gets it.

    Raises:
        StyleNotFound: there is no such style any more.
        PictureRejected, DownloadFailed, AtelierError: see :meth:`bot.library.library.StyleLibrary.add`.
    """
    services = interaction.client.services
    if not isinstance(picture, str):
        services.attachments.check_stated_size(style_role(0), picture)
    await interaction.response.defer(ephemeral=True, thinking=True)
    reader = reader_of(interaction)
    library = reader.writable(kind)
    await services.styles.check(library, name)
    if isinstance(picture, str):
        data = await services.styles.whole_picture(await services.styles.find(picture, reader))
    else:
        data = await services.attachments.fetch(style_role(0), picture)
    added = await services.styles.add(library, name, data, interaction.user.id)
    await show_style(interaction, texts.added(added), added)


async def show_style(interaction: discord.Interaction[Atelier], text: str, style: Style) -> None:
    """Fill the deferred reply."""
    picture = shown_small(style, await interaction.client.services.styles.thumbnail(style))
    await interaction.edit_original_response(content=text, attachments=[picture.file()])


def shown_small(style: Style, thumbnail: bytes) -> Picture:
    """The thumbnail of a style, for a message. Its file name says which style it is: see :func:`style_shown`."""
    return Picture(thumbnail, f"style-{style.id}.jpg", style.name)


async def style_shown(interaction: discord.Interaction[Atelier], filename: str) -> Style | None:
    """The style of which a file of the bot's is the thumbnail. None if it is of none that the member may use here."""
    if (match := _FILE.fullmatch(filename)) is None:
        return None
    try:
        return await interaction.client.services.styles.find(REFERENCE + match[1], reader_of(interaction))
    except StyleNotFound:
        return None
