"""The command ``/settings``: shows the rules of a server, to change them."""

import discord
from discord import app_commands

from bot.client.client import Atelier
from bot.features.guild_settings.panel import managed_guild, panel


@app_commands.command(description="Decide where and how members of this server can use me")
@app_commands.default_permissions(manage_guild=True)
@app_commands.allowed_installs(guilds=True, users=False)
@app_commands.allowed_contexts(guilds=True, dms=False, private_channels=False)
async def settings(interaction: discord.Interaction[Atelier]) -> None:
    """Show the panel to the member only. Errors go to the command tree."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    services = interaction.client.services
    rules = await services.store.guild_rules(managed_guild(interaction))
    await interaction.edit_original_response(view=panel(rules, services.policy))
