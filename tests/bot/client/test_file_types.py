"""Members choose pictures, in commands and in modals, even if Discord refuses to filter files."""

from typing import Any

import discord as library
import pytest
from discord import app_commands, ui

from bot.client.client import Atelier
from bot.client.file_types import PictureUpload, send_modal
from bot.sandbox import Invocation, InvocationRefused, LocalDiscord, Upload
from tests.bot.conftest import CONTENT, STYLE

SYNC = "PUT /applications/{application_id}/commands"
CALLBACK = "POST /interactions/{interaction_id}/{interaction_token}/callback"
DOCUMENT = Upload("town.pdf", CONTENT.data)


class Form(ui.Modal, title="A picture"):
    """One field, for a picture."""

    def __init__(self) -> None:
        super().__init__(custom_id="form")
        self.add_item(ui.Label(text="Picture", component=PictureUpload(custom_id="picture")))


@app_commands.command(description="Open the form")
async def form(interaction: library.Interaction) -> None:
    await send_modal(interaction, Form())


async def opened(discord: LocalDiscord) -> Invocation:
    invocation = await discord.member("Ada").invoke("form")
    await invocation.acknowledged()
    return invocation


async def test_a_command_accepts_only_pictures(discord: LocalDiscord, client: Atelier) -> None:
    ada = discord.member("Ada")
    with pytest.raises(InvocationRefused, match=r"town\.pdf"):
        await ada.invoke("stylize", content=DOCUMENT, style=STYLE)
    discord.fail_next(SYNC, 400, code=50035)
    registered = await client.tree.sync()
    assert [command.name for command in registered] == [command.name for command in client.tree.get_commands()]
    await ada.invoke("stylize", content=DOCUMENT, style=STYLE)
    discord.fail_next(SYNC, 400, code=50035, times=2)
    with pytest.raises(app_commands.CommandSyncFailure):
        await client.tree.sync()


async def test_a_modal_accepts_only_pictures(discord: LocalDiscord, client: Atelier) -> None:
    client.tree.add_command(form)
    await client.tree.sync()
    ada = discord.member("Ada")

    async def submit(invocation: Invocation) -> None:
        await ada.submit(invocation, picture=[DOCUMENT])

    with pytest.raises(InvocationRefused, match=r"town\.pdf"):
        await submit(await opened(discord))
    discord.fail_next(CALLBACK, 400, code=50035)
    await submit(await opened(discord))
    before = len(callbacks(discord))
    await submit(await opened(discord))
    assert len(callbacks(discord)) - before == 1  # the refused filter is not tried again


def callbacks(discord: LocalDiscord) -> list[Any]:
    return [request for request in discord.requests if f"{request.method} {request.route}" == CALLBACK]
