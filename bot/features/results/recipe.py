"""Shows the recipe of a result."""

import discord

from bot.client.client import Atelier
from bot.features.results import texts


async def show_recipe(interaction: discord.Interaction[Atelier], job_id: str) -> str:
    """Return the recipe as it was painted."""
    job = await interaction.client.services.jobs.get(job_id)
    return texts.recipe(job.painted_recipe)
