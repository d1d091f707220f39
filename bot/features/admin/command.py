"""The commands under ``/admin``. Discord shows them to administrators, and the bot refuses all but its operators."""

from typing import Final

import discord
from discord import app_commands

from bot.client.client import Atelier
from bot.delivery.channels import Picture
from bot.delivery.gallery import Page, try_gallery
from bot.features.admin import texts
from bot.jobs.errors import NotOperator
from bot.library.built_in import BUILT_IN
from bot.locales import gettext

SHOWN: Final = 10
"""Failures in the list, the newest first."""

admin = app_commands.Group(
    name="admin",
    description="For the bot's operators",
    default_permissions=discord.Permissions.none(),
    allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
    allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=False),
)


async def _begin(interaction: discord.Interaction[Atelier]) -> None:
    """Acknowledge the command.

    Raises:
        NotOperator: its member is not an operator.
    """
    await interaction.response.defer(ephemeral=True, thinking=True)
    if interaction.user.id not in interaction.client.operators:
        raise NotOperator


async def _apply(interaction: discord.Interaction[Atelier], text: str) -> None:
    """Apply the controls in this process at once, and answer."""
    await interaction.client.services.jobs.read_controls()
    await interaction.edit_original_response(content=text)


@admin.command(description="Begin no more paintings. Orders are still accepted and wait")
async def pause(interaction: discord.Interaction[Atelier]) -> None:
    """Pause."""
    await _begin(interaction)
    await interaction.client.services.store.switch("paused", on=True)
    await _apply(interaction, gettext(texts.PAUSED))


@admin.command(description="Accept and paint again, after /admin pause or /admin drain")
async def resume(interaction: discord.Interaction[Atelier]) -> None:
    """End a pause and a drain."""
    await _begin(interaction)
    store = interaction.client.services.store
    await store.switch("paused", on=False)
    await store.switch("draining", on=False)
    await _apply(interaction, gettext(texts.RESUMED))


@admin.command(description="Accept no more orders, and finish the open ones. Says how many are left")
async def drain(interaction: discord.Interaction[Atelier]) -> None:
    """Drain. Repeat it to see how many jobs are left."""
    await _begin(interaction)
    store = interaction.client.services.store
    await store.switch("draining", on=True)
    await _apply(interaction, texts.draining(await store.count_open(), (await store.controls()).paused))


@admin.command(description="The queue, what is being painted, and the workers")
async def status(interaction: discord.Interaction[Atelier]) -> None:
    """Show the state of all processes."""
    await _begin(interaction)
    services = interaction.client.services
    store = services.store
    queued, oldest = await store.queue_stats()
    text = texts.status(
        await store.controls(),
        queued=queued,
        oldest=oldest,
        running=await store.count_running(),
        open_jobs=await store.count_open(),
        processes=await store.processes(),
        workers=await services.executor.workers(),
    )
    await interaction.edit_original_response(content=text)


@admin.command(description="The last failed pictures, with their references in the log and the causes")
async def failures(interaction: discord.Interaction[Atelier]) -> None:
    """List them."""
    await _begin(interaction)
    found = await interaction.client.services.store.failures(SHOWN)
    await interaction.edit_original_response(content=texts.failures(found))


@admin.command(description="Try whether Discord accepts new pictures in a gallery, and use what works")
async def probe(interaction: discord.Interaction[Atelier]) -> None:
    """Answer with a picture in a gallery, or where Discord refuses it, with what Discord said."""
    await _begin(interaction)
    style = BUILT_IN[0]
    picture = Picture(await interaction.client.services.styles.thumbnail(style), "probe.jpg", style.name)
    refusal = await try_gallery(interaction, Page(gettext(texts.GALLERY_ACCEPTED), [picture]))
    if refusal is not None:
        text = texts.gallery_refused(refusal)
        await interaction.edit_original_response(content=text, attachments=[picture.file()])


@admin.command(description="Refuse every command and button of a member")
@app_commands.describe(member="The member, or their id")
async def block(interaction: discord.Interaction[Atelier], member: discord.User) -> None:
    """Block."""
    await _begin(interaction)
    if member.id in interaction.client.operators:
        await interaction.edit_original_response(content=texts.is_operator(member.id))
        return
    new = await interaction.client.services.store.block(member.id)
    await _apply(interaction, texts.blocked(member.id, new=new))


@admin.command(description="Undo /admin block")
@app_commands.describe(member="The member, or their id")
async def unblock(interaction: discord.Interaction[Atelier], member: discord.User) -> None:
    """Unblock."""
    await _begin(interaction)
    was = await interaction.client.services.store.unblock(member.id)
    await _apply(interaction, texts.unblocked(member.id, was=was))
