"""Saves a picture as a style, for the command, the context menu and the menu under a result."""

import discord

from bot.client.attachments import Attached
from bot.client.client import Atelier
from bot.delivery.channels import Picture
from bot.features.styles import texts
from bot.features.styles.suggest import reader_of
from bot.jobs.database.styles import LibraryKind
from bot.jobs.errors import style_role


async def save(interaction: discord.Interaction[Atelier], picture: Attached, name: str, kind: LibraryKind) -> None:
    """Acknowledge the interaction, download the picture, save it, and show the member what was saved.

    Raises:
        PictureRejected, DownloadFailed, AtelierError: see :meth:`bot.library.library.StyleLibrary.add`.
    """
    services = interaction.client.services
    services.attachments.check_stated_size(style_role(0), picture)
    await interaction.response.defer(ephemeral=True, thinking=True)
    library = reader_of(interaction).writable(kind)
    await services.styles.check(library, name)
    data = await services.attachments.fetch(style_role(0), picture)
    added = await services.styles.add(library, name, data, interaction.user.id)
    await show_style(interaction, texts.added(added), added.name, await services.styles.thumbnail(added))


async def show_style(interaction: discord.Interaction[Atelier], text: str, name: str, thumbnail: bytes) -> None:
    """Fill the deferred reply."""
    picture = Picture(thumbnail, "style.jpg", name)
    await interaction.edit_original_response(content=text, attachments=[picture.file()])
