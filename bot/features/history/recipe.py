"""The command ``/recipe``: shows the recipe of a picture."""

import io

import discord
from discord import app_commands

from bot import texts as common
from bot.client.client import Atelier
from bot.delivery.channels import NO_MENTIONS
from bot.features.history import texts
from bot.jobs.errors import JobUnreadable
from bot.limits import OPTION_LENGTH, SUGGESTIONS


@app_commands.command(description="Show the recipe of a picture")
@app_commands.describe(id="One of your pictures, or the id of a recipe, as it stands under a picture in this server")
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def recipe(interaction: discord.Interaction[Atelier], id: str) -> None:
    """Show it to the member only, in readable lines and as a JSON file. Errors go to the command tree."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    member = interaction.user.id
    job = await interaction.client.services.history.recipe(id, member, interaction.guild_id)
    painted = job.painted_recipe
    file = discord.File(io.BytesIO(painted.model_dump_json(indent=2).encode()), f"recipe-{painted.id}.json")
    # The description names the files of its owner.
    text = texts.recipe(painted, job.description if job.owner == member else None)
    await interaction.edit_original_response(content=text, attachments=[file], allowed_mentions=NO_MENTIONS)


@recipe.autocomplete("id")
async def suggest(interaction: discord.Interaction[Atelier], typed: str) -> list[app_commands.Choice[str]]:
    """The member's own jobs."""
    found = await interaction.client.services.history.search(interaction.user.id, typed, SUGGESTIONS)
    return [
        app_commands.Choice(name=common.shortened(texts.suggestion(job), OPTION_LENGTH), value=job.id)
        for job in found
        if not isinstance(job.cause, JobUnreadable)
    ]
