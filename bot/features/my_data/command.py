"""The commands ``/mydata export`` and ``/mydata delete``."""

from contextlib import aclosing
from typing import Final

import discord
from discord import app_commands, ui

from bot.client.client import Atelier
from bot.delivery.channels import Rejection, send_request
from bot.features.my_data import texts
from bot.features.my_data.delete import DeleteEverythingButton
from bot.jobs.api import ExportPart
from bot.jobs.errors import DeliveryDelayed
from bot.limits import FILE_SIZE, TOKEN_LIFE

LARGEST_PART: Final = 24 * 2**20
"""Bytes. A whole request may have 25 MiB."""
PARTS: Final = 20
"""Parts of one export, which the interaction's token lives long enough for."""
VISITOR_PARTS: Final = 5
"""The same where only the member has installed the app: Discord allows so many follow-ups there."""
LAST_PART_WITHIN: Final = TOKEN_LIFE - 120.0
"""Seconds after the command. Later, no further part is begun."""

my_data: Final = app_commands.Group(
    name="mydata",
    description="What I have stored about you: a copy, or delete it",
    allowed_installs=app_commands.AppInstallationType(guild=True, user=True),
    allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=True),
)


@my_data.command(description="Get a copy of your pictures, recipes and saved styles, as ZIP files")
@app_commands.describe(after="To continue an earlier export: the id that its last part named")
async def export(
    interaction: discord.Interaction[Atelier], after: app_commands.Range[str, 16, 16] | None = None
) -> None:
    """Send the parts to the member only, each as a message. Errors go to the command tree."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    limit = min(max(interaction.filesize_limit, FILE_SIZE), LARGEST_PART)
    most = PARTS if interaction.is_guild_integration() or interaction.context.dm_channel else VISITOR_PARTS
    parts = interaction.client.services.own_data.export(interaction.user.id, limit, after)
    sent = 0
    # Close the export at once where it ends early, and with it its temporary file.
    async with aclosing(parts):
        async for part in parts:
            age = (discord.utils.utcnow() - interaction.created_at).total_seconds()
            final = part.is_last or sent + 1 == most or age > LAST_PART_WITHIN
            text = texts.part(part.number, last=part.is_last, left_out=part.left_out)
            if final and not part.is_last:
                text = texts.interrupted(text, part.last_job)
            if not await _send(interaction, part, text):
                return
            sent += 1
            if final:
                return
    await interaction.edit_original_response(content=texts.nothing())


async def _send(interaction: discord.Interaction[Atelier], part: ExportPart, text: str) -> bool:
    """Send a part. Where Discord refuses it, say so and return false."""
    with part.file as file:
        upload = discord.File(file, f"atelier-{part.number}.zip")
        try:
            outcome = await send_request(interaction.followup.send(text, file=upload, ephemeral=True, wait=True))
        except DeliveryDelayed:
            outcome = Rejection.CLOSED
    if isinstance(outcome, Rejection):
        await interaction.followup.send(texts.not_sent(), ephemeral=True)
        return False
    return True


@my_data.command(description="Delete everything that I have stored about you")
async def delete(interaction: discord.Interaction[Atelier]) -> None:
    """Ask once, by a button."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    jobs, styles = await interaction.client.services.own_data.count(interaction.user.id)
    if not jobs and not styles:
        await interaction.edit_original_response(content=texts.nothing())
        return
    view = ui.View(timeout=None)
    view.add_item(DeleteEverythingButton(interaction.user.id))
    await interaction.edit_original_response(content=texts.asked(jobs, styles), view=view)
