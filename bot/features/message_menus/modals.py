"""The modals of a message's menu."""

from collections.abc import Sequence
from typing import Any, Final, cast, get_args

import discord
from discord import ui

from bot.client.client import Atelier
from bot.client.components import JobModal
from bot.client.file_types import PictureUpload
from bot.client.message_pictures import MessagePicture
from bot.features.message_menus import texts
from bot.features.styles.fields import StyleFields
from bot.features.styles.save import save
from bot.features.stylize.order import StylizeRequest, place
from bot.jobs.database.styles import LibraryKind
from bot.library.library import NAME_LENGTH, Style
from bot.limits import MENU_OPTIONS, OPTION_LENGTH
from bot.locales import gettext, pgettext
from bot.texts import shortened
from engine.presets import Quality

OPEN_FOR: Final = 3600.0
"""Seconds for which a modal can be sent. Discord does not tell the bot when a member closes it."""


class PictureModal(JobModal):
    """Asks which picture of a message is meant, if it has several. Subclasses add further fields."""

    def __init__(self, title: str, pictures: Sequence[MessagePicture], choice: str) -> None:
        """``choice`` is the label of the menu of pictures. It and the title are translated here."""
        super().__init__(title=gettext(title), timeout=OPEN_FOR)
        self._pictures = pictures[:MENU_OPTIONS]
        options = [
            discord.SelectOption(
                label=shortened(f"{number}. {picture.filename}", OPTION_LENGTH),
                value=str(number),
                default=number == 1,
            )
            for number, picture in enumerate(self._pictures, 1)
        ]
        self._chosen = _menu("picture", options)
        if len(options) > 1:
            self.add_item(ui.Label(text=gettext(choice), component=self._chosen))

    @property
    def picture(self) -> MessagePicture | str:
        """The chosen picture, by default the first, or the reference of the style that it shows."""
        chosen = self._pictures[int(_value(self._chosen) or "1") - 1]
        return chosen.style or chosen

    def _add_quality(self) -> ui.Select[Any]:
        menu = _menu(
            "quality", [discord.SelectOption(label=pgettext("quality", each), value=each) for each in get_args(Quality)]
        )
        self.add_item(ui.Label(text=gettext(texts.QUALITY), description=gettext(texts.QUALITY_HINT), component=menu))
        return menu


class StylizeModal(PictureModal):
    """Asks for the style in which to paint a picture of the message."""

    def __init__(self, pictures: Sequence[MessagePicture], styles: Sequence[Style]) -> None:
        """``styles`` are offered."""
        super().__init__(texts.STYLIZE, pictures, texts.PHOTO_CHOICE)
        self._style = StyleFields(self, styles)
        self._quality = self._add_quality()

    async def on_submit(self, interaction: discord.Interaction[Atelier]) -> None:  # type: ignore[override]
        """Place an order."""
        style = self._style.chosen()
        styles = [] if style is None else [style]
        await place(interaction, StylizeRequest(self.picture, styles, quality=_quality(self._quality)))


class StyleModal(PictureModal):
    """Asks for the photo to paint in the style of a picture of the message."""

    def __init__(self, pictures: Sequence[MessagePicture]) -> None:
        super().__init__(texts.USE_AS_STYLE, pictures, texts.STYLE_CHOICE)
        self._photo = PictureUpload(custom_id="photo", max_values=1)
        self.add_item(
            ui.Label(text=gettext(texts.PHOTO), description=gettext(texts.PHOTO_UPLOAD), component=self._photo)
        )
        self._quality = self._add_quality()

    async def on_submit(self, interaction: discord.Interaction[Atelier]) -> None:  # type: ignore[override]
        """Place an order."""
        photo = self._photo.values[0]
        await place(interaction, StylizeRequest(photo, [self.picture], quality=_quality(self._quality)))


class SaveModal(PictureModal):
    """Asks for the name under which to save a picture of the message as a style."""

    def __init__(self, pictures: Sequence[MessagePicture], name: str, *, manages: bool) -> None:
        """``name`` is filled in. ``manages`` offers the server's library."""
        super().__init__(texts.SAVE_AS_STYLE, pictures, texts.STYLE_CHOICE)
        self._name: ui.TextInput[Any] = ui.TextInput(
            custom_id="name", max_length=NAME_LENGTH, default=name[:NAME_LENGTH] or None
        )
        self.add_item(ui.Label(text=gettext(texts.NAME), description=gettext(texts.NAME_HINT), component=self._name))
        self._library = _menu(
            "library",
            [
                discord.SelectOption(label=gettext(texts.ONLY_YOU), value="member", default=True),
                discord.SelectOption(label=gettext(texts.EVERYBODY_HERE), value="server"),
            ],
        )
        if manages:
            self.add_item(ui.Label(text=gettext(texts.LIBRARY), component=self._library))

    async def on_submit(self, interaction: discord.Interaction[Atelier]) -> None:  # type: ignore[override]
        """Save the style."""
        kind: LibraryKind = "server" if _value(self._library) == "server" else "member"
        await save(interaction, self.picture, self._name.value, kind)


def _menu(custom_id: str, options: list[discord.SelectOption]) -> ui.Select[Any]:
    return ui.Select(custom_id=custom_id, options=options, required=False)


def _value(menu: ui.Select[Any]) -> str | None:
    return menu.values[0] if menu.values else None


def _quality(menu: ui.Select[Any]) -> Quality | None:
    return cast(Quality | None, _value(menu))
