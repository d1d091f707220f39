"""The command ``/jobs``: pages through a member's jobs."""

import discord
from discord import app_commands

from bot.client.client import Atelier
from bot.features.my_jobs.page import SHOWN, show_jobs


@app_commands.command(description="Your pictures: their state, and the finished paintings again")
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def jobs(interaction: discord.Interaction[Atelier]) -> None:
    """Show the first page to the member only. Errors go to the command tree."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    page = await interaction.client.services.history.page(interaction.user.id, SHOWN)
    if failure := await show_jobs(interaction, page):
        await interaction.edit_original_response(content=failure)
