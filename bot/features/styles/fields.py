"""The fields of a modal that ask for a style."""

from collections.abc import Sequence
from typing import Any

import discord
from discord import ui

from bot.client.client import Atelier
from bot.client.file_types import PictureUpload
from bot.features.styles import texts
from bot.features.styles.suggest import reader_of
from bot.jobs.errors import StyleGivenTwice, style_role
from bot.library.library import Style, reference
from bot.limits import MENU_OPTIONS
from bot.locales import gettext


async def offered_styles(interaction: discord.Interaction[Atelier]) -> list[Style]:
    """The styles for the menu: the member's, the server's, then the built-in ones."""
    library = interaction.client.services.styles
    return await library.search("", reader_of(interaction), MENU_OPTIONS)


class StyleFields:
    """An upload for a style picture, and a menu of saved styles. The member fills in one of them."""

    def __init__(self, modal: ui.Modal, styles: Sequence[Style]) -> None:
        """Add the fields to a modal. ``styles`` are the options of the menu."""
        self._upload = PictureUpload(custom_id="style", required=False, max_values=1)
        options = [discord.SelectOption(label=texts.label(each), value=reference(each)) for each in styles]
        self._menu: ui.Select[Any] = ui.Select(custom_id="saved", options=options, required=False)
        modal.add_item(ui.Label(text=gettext(texts.STYLE), component=self._upload))
        saved = ui.Label(
            text=gettext(texts.SAVED_STYLE), description=gettext(texts.SAVED_STYLE_HINT), component=self._menu
        )
        modal.add_item(saved)

    def chosen(self) -> discord.Attachment | str | None:
        """The picture, or the reference of a saved style. None if the member filled in neither.

        Raises:
            StyleGivenTwice: the member filled in both.
        """
        if self._upload.values and self._menu.values:
            raise StyleGivenTwice(style_role(0))
        if self._upload.values:
            return self._upload.values[0]
        if self._menu.values:
            saved: str = self._menu.values[0]
            return saved
        return None
