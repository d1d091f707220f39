"""The command ``/settings``: shows the rules of a server, to change them."""

import discord
from discord import app_commands

from bot.client.client import Atelier
from bot.features.guild_settings.panel import apply, managed_guild, panel
from bot.features.styles.suggest import servers_styles


@app_commands.command(description="Decide where and how members of this server can use me")
@app_commands.describe(style="The style for members who give none. Leave it out to see all settings")
@app_commands.autocomplete(style=servers_styles)
@app_commands.default_permissions(manage_guild=True)
@app_commands.allowed_installs(guilds=True, users=False)
@app_commands.allowed_contexts(guilds=True, dms=False, private_channels=False)
async def settings(interaction: discord.Interaction[Atelier], style: str | None = None) -> None:
    """Show the panel to the member only, after applying the option. Errors go to the command tree."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    if style is None:
        rules = await interaction.client.services.store.guild_rules(managed_guild(interaction))
    else:
        rules = await apply(interaction, "style", [style])
    await interaction.edit_original_response(view=await panel(interaction, rules))
