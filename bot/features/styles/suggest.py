"""Suggests styles while a member types into an option."""

from dataclasses import replace

import discord
from discord import app_commands

from bot.client.client import Atelier
from bot.features.styles import texts
from bot.library.library import Reader, reference
from bot.limits import SUGGESTIONS

Choices = list[app_commands.Choice[str]]


def reader_of(interaction: discord.Interaction[Atelier]) -> Reader:
    """The member of an interaction. Discord states their permissions with each interaction."""
    return Reader(interaction.user.id, interaction.guild_id, manages=interaction.permissions.manage_guild)


async def every_style(interaction: discord.Interaction[Atelier], typed: str) -> Choices:
    """Suggest the member's styles, the server's and the built-in ones."""
    return await _suggested(interaction, typed, built_in=True)


async def saved_styles(interaction: discord.Interaction[Atelier], typed: str) -> Choices:
    """Suggest the member's styles and the server's."""
    return await _suggested(interaction, typed, built_in=False)


async def servers_styles(interaction: discord.Interaction[Atelier], typed: str) -> Choices:
    """Suggest what everybody in the server can use: the server's styles and the built-in ones."""
    return await _suggested(interaction, typed, built_in=True, own=False)


async def _suggested(
    interaction: discord.Interaction[Atelier], typed: str, *, built_in: bool, own: bool = True
) -> Choices:
    library, reader = interaction.client.services.styles, replace(reader_of(interaction), own=own)
    found = await library.search(typed, reader, SUGGESTIONS, built_in=built_in)
    return [app_commands.Choice(name=texts.label(style), value=reference(style)) for style in found]
