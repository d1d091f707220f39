"""``/jobs``: what a member asked for lately, what became of it, and the paintings again."""

from typing import TYPE_CHECKING, Final

import discord
from discord import app_commands

from bot import texts
from bot.features.my_jobs.menu import jobs_view

if TYPE_CHECKING:
    from bot.client.client import Atelier

SHOWN: Final = 10
"""Jobs of a list: the newest."""


@app_commands.command(description="Your last pictures: what became of them, and the paintings again")
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def jobs(interaction: "discord.Interaction[Atelier]") -> None:
    """List them to the member alone; errors go to the command tree's handler."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    recent = await interaction.client.jobs.recent(interaction.user.id, SHOWN)
    await interaction.edit_original_response(content=texts.listed(recent), view=jobs_view(recent))
