"""Pages of pictures as a member sees them: as a gallery, or as attachments if Discord refuses the gallery."""

import re
from typing import Any, Self

import discord as library
import pytest
from discord import app_commands, ui

from bot.client.client import Atelier
from bot.client.components import JobComponent
from bot.delivery.channels import Picture
from bot.delivery.gallery import Page, show_page
from bot.sandbox import LocalDiscord, Message
from tests.bot.conftest import photo
from tests.bot.delivery.conftest import the_one

EDIT = "PATCH /webhooks/{webhook_id}/{webhook_token}/messages/@original"


class Next(JobComponent[ui.Button[ui.View]], template=r"next:(?P<number>\d)"):
    """Shows the next page in its message."""

    def __init__(self, number: int) -> None:
        super().__init__(ui.Button(label="Next", custom_id=f"next:{number}"))
        self.number = number

    @classmethod
    async def from_custom_id(
        cls, interaction: library.Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> Self:
        return cls(int(match["number"]))

    async def act(self, interaction: library.Interaction[Atelier]) -> None:
        assert await show_page(interaction, page(self.number)) is None


def page(number: int) -> Page:
    """Page 0 has no pictures. The other pages have two each, and the second is a spoiler."""
    pictures = [
        Picture(photo((32, 32), hue=number), f"{name}-{number}.png", f"{name}, page {number}", spoiler=name == "b")
        for name in "ab"
    ]
    return Page(f"Page {number}", pictures if number else (), lambda: [[Next(number + 1)]])


@pytest.fixture
async def pages(client: Atelier) -> None:
    """The command `/pages number`, which shows an ephemeral page."""

    @app_commands.command(description="Show a page")
    async def pages(interaction: library.Interaction, number: int) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        assert await show_page(interaction, page(number)) is None

    client.tree.add_command(pages)
    client.add_dynamic_items(Next)
    await client.tree.sync()


def parts(message: Message, kind: int) -> list[dict[str, Any]]:
    return [part for part in message.components if part["type"] == kind]


def edits(discord: LocalDiscord) -> list[int]:
    """The statuses of the edits so far."""
    return [each.status for each in discord.requests if f"{each.method} {each.route}" == EDIT]


@pytest.mark.usefixtures("pages")
async def test_a_page_is_a_gallery_and_the_next_page_replaces_it(discord: LocalDiscord) -> None:
    ada = discord.member("Ada")
    first = await ada.invoke("pages", number=1)
    shown = await first.wait_until(lambda message: bool(message.components))
    for number in (1, 2):
        (text,), (gallery,) = parts(shown, 10), parts(shown, 12)
        assert text["content"] == f"Page {number}"
        assert [item["description"] for item in gallery["items"]] == [f"a, page {number}", f"b, page {number}"]
        assert [item["spoiler"] for item in gallery["items"]] == [False, True]
        assert [each.filename for each in shown.attachments] == [f"a-{number}.png", f"SPOILER_b-{number}.png"]
        assert (shown.content, shown.ephemeral) == ("", True)
        if number == 1:
            pressed = await ada.press(shown, "Next")
            shown = await pressed.wait_until(lambda message: "Page 2" in str(message.components))
    assert shown.id == first.history[0].id
    assert edits(discord) == [200, 200]


@pytest.mark.usefixtures("pages")
async def test_a_page_has_attachments_if_galleries_are_refused(discord: LocalDiscord) -> None:
    discord.refuses_gallery_edits = True
    ada = discord.member("Ada")
    # A page without pictures is not refused. After it, the message can't become anything but a gallery.
    laid_out = await (await ada.invoke("pages", number=0)).wait_until(lambda message: bool(message.components))
    pressed = await ada.press(laid_out, "Next")
    shown = await pressed.wait_until(lambda message: bool(message.attachments))
    await pressed.wait_until(lambda message: message.deleted and message.id == laid_out.id)
    assert shown.id != laid_out.id
    for number in (1, 2):
        assert shown.content == f"Page {number}"
        assert [each.filename for each in shown.attachments] == [f"a-{number}.png", f"SPOILER_b-{number}.png"]
        assert [each.description for each in shown.attachments] == [f"a, page {number}", f"b, page {number}"]
        assert ([button.label for button in shown.buttons], shown.ephemeral) == (["Next"], True)
        if number == 1:
            again = await ada.press(shown, "Next")
            shown = await again.wait_until(lambda message: message.content == "Page 2")
    assert edits(discord) == [200, 400, 200]  # no second gallery was tried


async def test_discord_py_finds_no_attachment_that_a_gallery_shows(client: Atelier, discord: LocalDiscord) -> None:
    view = ui.LayoutView()
    file = Picture(photo((32, 32)), "a.png", "a").file()
    view.add_item(ui.MediaGallery(library.MediaGalleryItem(file)))
    sent = await client.get_partial_messageable(discord.channel_id).send(view=view, file=file)
    (attachment,) = the_one(discord.channel_messages).attachments
    gallery = sent.components[0]
    assert isinstance(gallery, library.MediaGalleryComponent)
    assert sent.attachments == []
    assert gallery.items[0].media.attachment_id == attachment.id
