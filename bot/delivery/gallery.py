"""Pages of pictures: shown as a gallery, or as attachments where Discord refuses galleries.

Discord may answer 400 to an edit that uploads a file and shows it in a gallery (discord-api-docs, issue 7529). The bot
can only find that out when it answers a member. So the first page is tried as a gallery, and after a refusal this
process sends attachments, until an operator has it try again.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakSet

import discord
import structlog
from discord import ui

from bot.delivery.channels import NO_MENTIONS, Picture, Rejection, send_request
from bot.jobs.errors import DeliveryDelayed

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_REFUSED: Final[WeakSet[discord.Client]] = WeakSet()
"""The clients whose galleries Discord has refused. A process has one client."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A text, and perhaps a small picture beside it."""

    text: str
    picture: Picture | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Text, entries and pictures under it, and rows of components under them."""

    text: str
    """1 to :data:`bot.limits.MESSAGE_LENGTH` characters."""
    pictures: Sequence[Picture] = ()
    """At most :data:`bot.limits.GALLERY_ITEMS` with those of the entries. Their file names differ."""
    rows: Callable[[], Sequence[Sequence[ui.Item[Any]]]] = tuple
    """Makes the rows: each with up to five buttons or one menu. Called for each attempt."""
    entries: Sequence[Entry] = ()
    """Their texts and that of the page have at most :data:`bot.limits.MESSAGE_LENGTH` characters with line breaks."""

    @property
    def plain_text(self) -> str:
        """All texts, where they can't stand beside their pictures."""
        return "\n".join([self.text, *(entry.text for entry in self.entries)])

    def files(self) -> list[discord.File]:
        """All pictures."""
        beside = [entry.picture for entry in self.entries if entry.picture is not None]
        return [picture.file() for picture in (*beside, *self.pictures)]


async def show_page(interaction: discord.Interaction[Any], page: Page) -> Rejection | None:
    """Replace the deferred reply of an interaction, or the message whose component was used, by a page.

    A message that was a gallery can't become anything else. If Discord refuses the next gallery in it, the page comes
    as a new message, and the old one is deleted.

    Raises:
        DeliveryDelayed: the request may succeed later.
    """
    refused = interaction.client in _REFUSED
    if not refused:
        edited = await send_request(_show_gallery(interaction, page))
        if edited is not Rejection.CLOSED:
            return edited if isinstance(edited, Rejection) else None
    outcome = await _show_attachments(interaction, page)
    if isinstance(outcome, Rejection):
        return outcome
    if not refused:
        log.warning("Discord refuses galleries in edits, so this process sends attachments from now on")
        _REFUSED.add(interaction.client)
    return None


async def try_gallery(interaction: discord.Interaction[Any], page: Page) -> str | None:
    """Show a page as a gallery in a deferred reply, even where Discord has refused one. This process remembers the end.

    Returns what Discord said if it refuses the gallery. Then the reply is still empty.

    Raises:
        discord.HTTPException: Discord's answer says nothing about galleries.
        aiohttp.ClientError, OSError: it could not be reached.
    """
    try:
        await _show_gallery(interaction, page)
    except discord.HTTPException as error:
        if error.status != 400:
            raise
        _REFUSED.add(interaction.client)
        return str(error)
    _REFUSED.discard(interaction.client)
    return None


def _show_gallery(interaction: discord.Interaction[Any], page: Page) -> Awaitable[discord.InteractionMessage]:
    files = page.files()
    return interaction.edit_original_response(
        content=None, embeds=[], attachments=files, view=_gallery(page, files), allowed_mentions=NO_MENTIONS
    )


async def _show_attachments(interaction: discord.Interaction[Any], page: Page) -> discord.Message | Rejection:
    files = page.files()
    replaced = interaction.message
    if interaction.response.type is not discord.InteractionResponseType.deferred_message_update:
        replaced = None
    if replaced is None or not replaced.flags.components_v2:
        return await send_request(
            interaction.edit_original_response(
                content=page.plain_text, attachments=files, view=_rows(page), allowed_mentions=NO_MENTIONS
            )
        )
    sent = await send_request(
        interaction.followup.send(
            page.plain_text,
            files=files,
            view=_rows(page),
            ephemeral=replaced.flags.ephemeral,
            allowed_mentions=NO_MENTIONS,
            wait=True,
        )
    )
    if not isinstance(sent, Rejection):
        try:
            await send_request(interaction.delete_original_response())
        except DeliveryDelayed as error:
            log.warning("a page that was replaced could not be deleted", reason=str(error))
    return sent


def _gallery(page: Page, files: Sequence[discord.File]) -> ui.LayoutView:
    view = ui.LayoutView(timeout=None)
    view.add_item(ui.TextDisplay(page.text))
    left = list(files)
    for entry in page.entries:
        if entry.picture is None:
            view.add_item(ui.TextDisplay(entry.text))
        else:
            view.add_item(ui.Section(entry.text, accessory=ui.Thumbnail(left.pop(0))))
    if left:
        view.add_item(ui.MediaGallery(*(discord.MediaGalleryItem(file) for file in left)))
    for row in page.rows():
        view.add_item(ui.ActionRow(*row))
    return view


def _rows(page: Page) -> ui.View:
    view = ui.View(timeout=None)
    for number, row in enumerate(page.rows()):
        for item in row:
            item.row = number
            view.add_item(item)
    return view
