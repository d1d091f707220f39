"""The commands in the menu of a message. Each opens a modal."""

from dataclasses import replace

import discord
from discord import app_commands

from bot.client.client import Atelier
from bot.client.file_types import send_modal
from bot.client.message_pictures import MessagePicture, pictures_of
from bot.features.message_menus import texts
from bot.features.message_menus.modals import SaveModal, StyleModal, StylizeModal
from bot.features.styles.fields import offered_styles
from bot.features.styles.save import style_shown
from bot.features.styles.suggest import reader_of
from bot.library.library import NAME_LENGTH, reference
from bot.texts import file_title


@app_commands.context_menu(name=texts.STYLIZE)
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def stylize(interaction: discord.Interaction[Atelier], message: discord.Message) -> None:
    """Ask for the style."""
    if pictures := await _pictures(interaction, message):
        await send_modal(interaction, StylizeModal(pictures, await offered_styles(interaction)))


@app_commands.context_menu(name=texts.USE_AS_STYLE)
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def use_as_style(interaction: discord.Interaction[Atelier], message: discord.Message) -> None:
    """Ask for the photo."""
    if pictures := await _pictures(interaction, message):
        await send_modal(interaction, StyleModal(pictures))


@app_commands.context_menu(name=texts.SAVE_AS_STYLE)
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def save_as_style(interaction: discord.Interaction[Atelier], message: discord.Message) -> None:
    """Ask for the name."""
    await _ask_for_name(interaction, message)


async def save_result(interaction: discord.Interaction[Atelier], _job: str) -> None:
    """Ask for the name of a result. Its message has the picture."""
    if interaction.message is not None:
        await _ask_for_name(interaction, interaction.message)


async def _ask_for_name(interaction: discord.Interaction[Atelier], message: discord.Message) -> None:
    if pictures := await _pictures(interaction, message):
        reader = reader_of(interaction)
        manages = reader.manages and reader.guild_id is not None
        # The bot's own files are named by jobs.
        named = len(pictures) == 1 and message.author != interaction.client.user
        name = file_title(pictures[0].filename, NAME_LENGTH) if named else ""
        await send_modal(interaction, SaveModal(pictures, name, manages=manages))


async def _pictures(interaction: discord.Interaction[Atelier], message: discord.Message) -> list[MessagePicture]:
    """The pictures of a message. Answers the member if there are none."""
    pictures = pictures_of(message, interaction.client.services.attachments)
    if message.author == interaction.client.user:
        pictures = [await _whole(interaction, each) for each in pictures]
    if not pictures:
        await interaction.response.send_message(texts.no_picture(), ephemeral=True)
    return pictures


async def _whole(interaction: discord.Interaction[Atelier], picture: MessagePicture) -> MessagePicture:
    """A picture of a message of the bot's. The thumbnail of a style stands for the style."""
    style = await style_shown(interaction, picture.filename)
    return picture if style is None else replace(picture, filename=style.filename, style=reference(style))
