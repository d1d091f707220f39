"""The command ``/jobs``: lists a member's latest jobs."""

from typing import Final

import discord
from discord import app_commands

from bot import texts
from bot.client.client import Atelier
from bot.features.my_jobs.menu import jobs_view

SHOWN: Final = 10
"""Jobs in the list, the newest first."""


@app_commands.command(description="Your latest pictures: their state, and the finished paintings again")
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def jobs(interaction: discord.Interaction[Atelier]) -> None:
    """Show the list to the member only. Errors go to the command tree."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    recent = await interaction.client.services.jobs.recent(interaction.user.id, SHOWN)
    await interaction.edit_original_response(content=texts.listed(recent), view=jobs_view(recent))
