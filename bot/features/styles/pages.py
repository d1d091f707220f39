"""The pages of ``/style list``."""

import asyncio
import re
from typing import Any, Final, Self

import discord
from discord import ui

from bot.client.client import Atelier
from bot.client.components import JobComponent
from bot.delivery.gallery import Page, show_page
from bot.features.styles import texts
from bot.features.styles.save import shown_small
from bot.features.styles.suggest import reader_of
from bot.jobs.errors import DeliveryDelayed
from bot.library.library import Style, StyleLibrary
from bot.limits import GALLERY_ITEMS
from bot.locales import gettext
from engine.errors import AtelierError

PAGE: Final = GALLERY_ITEMS
"""Styles on a page."""


class PageButton(JobComponent[ui.Button[ui.View]], template=r"styles:page:(?P<page>[0-9]{1,4})"):
    """Shows another page in the message of the button."""

    def __init__(self, page: int, label: str = texts.NEXT, *, disabled: bool = False) -> None:
        super().__init__(
            ui.Button(
                label=gettext(label),
                style=discord.ButtonStyle.secondary,
                custom_id=f"styles:page:{page}",
                disabled=disabled,
            )
        )
        self.page = page

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for each press."""
        return cls(int(match["page"]))

    async def act(self, interaction: discord.Interaction[Atelier]) -> str | None:
        """Show the page."""
        return await show_styles(interaction, self.page)


async def show_styles(interaction: discord.Interaction[Atelier], number: int) -> str | None:
    """Replace an acknowledged reply by a page, from 0, of the styles that its member can use there.

    Returns a text for the member if Discord refuses the page.
    """
    library = interaction.client.services.styles
    styles, total = await library.page(number, PAGE, reader_of(interaction))
    last = (total - 1) // PAGE
    number = min(number, last)
    first = number * PAGE + 1
    thumbnails = await asyncio.gather(*(_thumbnail(library, style) for style in styles))
    pictures = [shown_small(style, data) for style, data in zip(styles, thumbnails, strict=True) if data is not None]

    def rows() -> list[list[ui.Item[Any]]]:
        # A button without a page has a custom id that no other button of the message has.
        previous = PageButton(number - 1 if number else last + 1, texts.PREVIOUS, disabled=number == 0)
        following = PageButton(number + 1, texts.NEXT, disabled=number == last)
        return [[previous, following]] if last else []

    try:
        rejection = await show_page(interaction, Page(texts.listed(styles, first, total), pictures, rows))
    except DeliveryDelayed:
        return texts.not_listed()
    return texts.not_listed() if rejection else None


async def _thumbnail(library: StyleLibrary, style: Style) -> bytes | None:
    """None if it is lost: the list still shows the name."""
    try:
        return await library.thumbnail(style)
    except AtelierError:
        return None
