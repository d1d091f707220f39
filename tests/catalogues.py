"""Extracts the texts of the commands for the catalogues. ``[tool.babel]`` in ``pyproject.toml`` names it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from bot import features
from bot.client.client import Atelier
from bot.client.translated_commands import translated_command
from bot.settings import Settings

Extracted = tuple[int, str, tuple[str, ...], list[str]]
"""Line, name of the function that marks it, its arguments, comments for translators."""


def extract_commands(
    fileobj: BinaryIO, keywords: Iterable[str], comment_tags: Iterable[str], options: Mapping[str, object]
) -> Iterator[Extracted]:
    """A method of extraction for Babel. The commands themselves are read, so that their texts need no marks."""
    found: dict[tuple[str | None, str], set[str]] = {}

    for command in commands():

        def note(context: str | None, text: str, name: str = command["name"]) -> dict[str, str]:
            found.setdefault((context, text), set()).add(name)
            return {}

        translated_command(command, note)
    for (context, text), names in found.items():
        if any(character.isalpha() for character in text):
            comments = [f"Of the command {name}" for name in sorted(names)]
            yield (1, "gettext", (text,), comments) if context is None else (1, "pgettext", (context, text), comments)


def commands() -> list[dict[str, Any]]:
    """The commands as discord.py describes them, with those of operators."""
    client = Atelier(Settings(_env_file=None, operator_ids="1"))
    features.load(client)
    return [command.to_dict(client.tree) for command in client.tree.get_commands()]
