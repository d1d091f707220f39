"""What a member reads about styles."""

from collections.abc import Sequence
from typing import Final

import discord

from bot.jobs.database.styles import Library, SavedStyle
from bot.library.library import Style
from bot.texts import titled

STYLE: Final = "Style picture"
SAVED_STYLE: Final = "Saved style"
SAVED_STYLE_HINT: Final = "Instead of a style picture. /stylize finds more as you type."


def label(style: Style) -> str:
    """A style in a list of choices, where Discord shows no Markdown. Up to 100 characters."""
    match style:
        case SavedStyle(library=Library(kind="member")):
            return style.name
        case SavedStyle():
            return f"{style.name} (this server)"
        case _:
            return f"{style.name} (built-in)"


def added(style: SavedStyle) -> str:
    """A style was added."""
    name = titled(style.name)
    if style.library.kind == "server":
        return f"Added **{name}** to this server's styles. Everybody here can use it as `saved_style` of `/stylize`."
    return f"Added **{name}** to your styles. Use it as `saved_style` of `/stylize`."


def renamed(before: str, name: str) -> str:
    """A style was renamed."""
    return f"Renamed **{titled(before)}** to **{titled(name)}**."


def removed(style: SavedStyle) -> str:
    """A style was removed."""
    return f"Removed **{titled(style.name)}**. Pictures that use it are painted all the same."


def shown(style: Style) -> str:
    """One style, above its picture."""
    name = titled(style.name)
    match style:
        case SavedStyle(library=Library(kind="member"), added_at=added_at):
            return f"**{name}** · your style, added {discord.utils.format_dt(added_at, 'R')}"
        case SavedStyle(added_at=added_at, added_by=member):
            return f"**{name}** · this server's style, added {discord.utils.format_dt(added_at, 'R')} by <@{member}>"
        case _:
            return f"**{name}** · built-in style"


def listed(styles: Sequence[Style], first: int, total: int) -> str:
    """A page of styles, numbered from ``first``, above their pictures in the same order."""
    lines = [_line(number, style) for number, style in enumerate(styles, first)]
    range_ = f"-# {first} to {first + len(styles) - 1} of {total}. Add your own with `/style add`."
    return "\n".join([*lines, range_])


def not_listed() -> str:
    """Discord refused a page."""
    return "Discord didn't accept the list. Try again later."


def _line(number: int, style: Style) -> str:
    name = titled(style.name)
    match style:
        case SavedStyle(library=Library(kind="member")):
            return f"**{number}.** {name}"
        case SavedStyle():
            return f"**{number}.** {name} · this server"
        case _:
            return f"**{number}.** {name} · built-in"
