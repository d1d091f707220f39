"""The command ``/recipe``: shows the recipe of a picture, and paints a new photo with it."""

import io

import discord
from discord import app_commands

from bot import texts as common
from bot.client.acknowledge import acknowledge
from bot.client.client import Atelier
from bot.delivery.channels import NO_MENTIONS
from bot.features.history import texts
from bot.features.stylize.order import PaintingRequest, Picture, StoredPicture, check_stated_sizes, mask_of, submit
from bot.jobs.errors import JobUnreadable, StylesNotYours
from bot.jobs.model import NAMES_SEPARATOR, Job
from bot.limits import OPTION_LENGTH, SUGGESTIONS
from engine.recipe import Inputs


@app_commands.command(description="Show the recipe of a picture, or paint a new photo with it")
@app_commands.describe(
    id="One of your pictures, or the id of a recipe, shown under a picture in this server",
    content="A photo to paint with the recipe and the style pictures of one of your pictures",
)
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def recipe(interaction: discord.Interaction[Atelier], id: str, content: discord.Attachment | None = None) -> None:
    """Show the recipe, or paint with it. Errors go to the command tree."""
    if content is None:
        await _show(interaction, id)
    else:
        await _paint(interaction, id, content)


async def _show(interaction: discord.Interaction[Atelier], wanted: str) -> None:
    """Show it to the member only, in readable lines and as a JSON file."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    job = await interaction.client.services.history.recipe(wanted, interaction.user.id, interaction.guild_id)
    await show(interaction, job)


async def show_of_result(interaction: discord.Interaction[Atelier], job_id: str) -> None:
    """Show the recipe of a result, chosen in its menu, to the member only."""
    await show(interaction, await interaction.client.services.jobs.get(job_id))


async def show(interaction: discord.Interaction[Atelier], job: Job) -> None:
    """Fill the private answer."""
    painted = job.painted_recipe
    file = discord.File(io.BytesIO(painted.model_dump_json(indent=2).encode()), f"recipe-{painted.id}.json")
    # The description names the files of its owner.
    text = texts.recipe(painted, job.description if job.owner == interaction.user.id else None)
    await interaction.edit_original_response(content=text, attachments=[file], allowed_mentions=NO_MENTIONS)


async def _paint(interaction: discord.Interaction[Atelier], wanted: str, content: discord.Attachment) -> None:
    """Paint a photo with the recipe and the style pictures of the member's own job.

    The style pictures of others stay theirs: a recipe's id doesn't show that the member can see where they were posted.
    """
    check_stated_sizes(interaction, Inputs(content, ()))
    message = await acknowledge(interaction)
    member = interaction.user.id
    job = await interaction.client.services.history.recipe(wanted, member, interaction.guild_id)
    if job.owner != member:
        raise StylesNotYours
    painted = job.painted_recipe.whole
    styles = tuple(StoredPicture(each, "", job.spoiler) for each in job.inputs.styles)
    _photo, *names = job.description.split(NAMES_SEPARATOR)
    description = common.names_of_files(content.filename, *names)
    pictures: Inputs[Picture] = Inputs(content, styles, mask_of(job))
    await submit(interaction, message, PaintingRequest(pictures, lambda *_: painted, description))


@recipe.autocomplete("id")
async def suggest(interaction: discord.Interaction[Atelier], typed: str) -> list[app_commands.Choice[str]]:
    """The member's own jobs."""
    found = await interaction.client.services.history.search(interaction.user.id, typed, SUGGESTIONS)
    return [
        app_commands.Choice(name=common.shortened(texts.suggestion(job), OPTION_LENGTH), value=job.id)
        for job in found
        if not isinstance(job.cause, JobUnreadable)
    ]
