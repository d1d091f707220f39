"""The commands ``/style add``, ``list``, ``show``, ``rename`` and ``remove``."""

from typing import Final

import discord
from discord import app_commands

from bot.client.client import Atelier
from bot.features.styles import texts
from bot.features.styles.pages import show_styles
from bot.features.styles.save import save, show_style
from bot.features.styles.suggest import every_style, reader_of, saved_styles
from bot.jobs.database.styles import LibraryKind
from bot.library.library import NAME_LENGTH

style: Final = app_commands.Group(
    name="style",
    description="Saved styles: your own, this server's and the built-in ones",
    allowed_installs=app_commands.AppInstallationType(guild=True, user=True),
    allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=True),
)

Name = app_commands.Range[str, 1, NAME_LENGTH]


@style.command(description="Save a picture as a style")
@app_commands.describe(
    picture="The picture whose style to save: PNG, JPEG, WebP, AVIF, GIF or BMP",
    name="You will find the style under this name",
    library="Who can use it. Default: only you. For the server you need the permission Manage Server",
)
@app_commands.choices(
    library=[
        app_commands.Choice(name="only you", value="member"),
        app_commands.Choice(name="everybody in this server", value="server"),
    ]
)
async def add(
    interaction: discord.Interaction[Atelier], picture: discord.Attachment, name: Name, library: LibraryKind = "member"
) -> None:
    """Save a style. Errors go to the command tree."""
    await save(interaction, picture, name, library)


@style.command(name="list", description="Your styles, this server's and the built-in ones, with pictures")
async def list_(interaction: discord.Interaction[Atelier]) -> None:
    """Show the first page."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    if failure := await show_styles(interaction, 0):
        await interaction.edit_original_response(content=failure)


@style.command(description="Show a style")
@app_commands.describe(name="The style")
@app_commands.autocomplete(name=every_style)
async def show(interaction: discord.Interaction[Atelier], name: str) -> None:
    """Show one style with its picture."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    library = interaction.client.services.styles
    found = await library.find(name, reader_of(interaction))
    await show_style(interaction, texts.shown(found), found)


@style.command(description="Rename one of your styles or, with the permission Manage Server, one of this server's")
@app_commands.describe(name="The style", new_name="Its new name")
@app_commands.autocomplete(name=saved_styles)
async def rename(interaction: discord.Interaction[Atelier], name: str, new_name: Name) -> None:
    """Rename a style."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    before, after = await interaction.client.services.styles.rename(name, new_name, reader_of(interaction))
    await interaction.edit_original_response(content=texts.renamed(before.name, after))


@style.command(description="Remove one of your styles or, with the permission Manage Server, one of this server's")
@app_commands.describe(name="The style")
@app_commands.autocomplete(name=saved_styles)
async def remove(interaction: discord.Interaction[Atelier], name: str) -> None:
    """Remove a style."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    removed = await interaction.client.services.styles.remove(name, reader_of(interaction))
    await interaction.edit_original_response(content=texts.removed(removed))
