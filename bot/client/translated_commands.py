"""The names and descriptions of commands in each language, as Discord shows them to members.

discord.py's ``Translator`` leaves out Arabic, which its list of locales lacks, so this module adds the translations to
what discord.py sends. Members of other locales see the English names.

Source: Discord's documentation, page "Application Commands", section "Localization".
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import discord

from bot.locales import LOCALES, gettext, pgettext, using

COMMAND: Final = "command"
"""The context of the names of commands and subcommands in the catalogues."""
OPTION: Final = "option"
"""The same for the names of options. Choices have the name of their option as context."""
_COMMANDS: Final = frozenset({1, 2})
"""The types of options that are subcommands, and groups of them."""

Translate = Callable[[str | None, str], dict[str, str]]
"""Called with a context, or None, and an English text. Returns the translations by Discord's locales."""


def translations(context: str | None, text: str) -> dict[str, str]:
    """The translations of a text, without those that are the same as the text."""
    found = {}
    for locale in LOCALES:
        with using(locale):
            found[locale] = gettext(text) if context is None else pgettext(context, text)
    return {locale: each for locale, each in found.items() if each != text}


def translated_command(command: Mapping[str, Any], translate: Translate = translations) -> dict[str, Any]:
    """A command as discord.py describes it, with its names and descriptions in each language."""
    if command["type"] == discord.AppCommandType.chat_input.value:
        return _translated(command, COMMAND, translate)
    return {**command, "name_localizations": translate(None, command["name"])}  # the name in a menu is any text


def _translated(part: Mapping[str, Any], context: str, translate: Translate) -> dict[str, Any]:
    translated = {
        **part,
        "name_localizations": translate(context, part["name"]),
        "description_localizations": translate(None, part["description"]),
    }
    if "options" in part:
        translated["options"] = [
            _translated(option, COMMAND if option["type"] in _COMMANDS else OPTION, translate)
            for option in part["options"]
        ]
    if "choices" in part:
        translated["choices"] = [
            {**choice, "name_localizations": translate(part["name"], choice["name"])} for choice in part["choices"]
        ]
    return translated
