"""What a member reads about styles."""

from collections.abc import Sequence
from typing import Final

import discord

from bot.jobs.database.styles import Library, SavedStyle
from bot.library.library import Style
from bot.library.networks import NetworkStyle
from bot.locales import N_
from bot.locales import gettext as _
from bot.texts import mention, titled

STYLE: Final = N_("Style picture")
SAVED_STYLE: Final = N_("Saved style")
SAVED_STYLE_HINT: Final = N_("Instead of a style picture. /stylize finds more as you type.")

PREVIOUS: Final = N_("Previous")
NEXT: Final = N_("Next")


def label(style: Style) -> str:
    """A style in a list of choices, where Discord shows no Markdown. Up to 100 characters."""
    match style:
        case SavedStyle(library=Library(kind="member")):
            return style.name
        case SavedStyle():
            return _("{style} (this server)", style=style.name)
        case NetworkStyle():
            return _("{style} (trained)", style=style.name)
        case _:
            return _("{style} (built-in)", style=style.name)


def added(style: SavedStyle) -> str:
    """A style was added."""
    name = titled(style.name)
    if style.library.kind == "server":
        return _(
            "Added **{style}** to this server's styles. Everybody here can use it as `saved_style` of `/stylize`.",
            style=name,
        )
    return _("Added **{style}** to your styles. Use it as `saved_style` of `/stylize`.", style=name)


def renamed(before: str, name: str) -> str:
    """A style was renamed."""
    return _("Renamed **{before}** to **{name}**.", before=titled(before), name=titled(name))


def removed(style: SavedStyle) -> str:
    """A style was removed."""
    return _("Removed **{style}**. Pictures in progress still use it.", style=titled(style.name))


def shown(style: Style) -> str:
    """One style, above its picture."""
    name = titled(style.name)
    match style:
        case SavedStyle(library=Library(kind="member"), added_at=added_at):
            return _("**{style}** · your style, added {when}", style=name, when=discord.utils.format_dt(added_at, "R"))
        case SavedStyle(added_at=added_at, added_by=member):
            return _(
                "**{style}** · this server's style, added {when} by {member}",
                style=name,
                when=discord.utils.format_dt(added_at, "R"),
                member=mention(member),
            )
        case NetworkStyle():
            return _(
                "**{style}** · trained style. With the quality `instant`, a network that learned it paints.", style=name
            )
        case _:
            return _("**{style}** · built-in style", style=name)


def listed(styles: Sequence[Style], first: int, total: int) -> str:
    """A page of styles, numbered from ``first``, above their pictures in the same order."""
    lines = [_line(number, style) for number, style in enumerate(styles, first)]
    shown = _(
        "{first} to {last} of {total}. Add your own with `/style add`.",
        first=first,
        last=first + len(styles) - 1,
        total=total,
    )
    return "\n".join([*lines, f"-# {shown}"])


def not_listed() -> str:
    """Discord refused a page."""
    return _("Discord didn't accept the list. Try again later.")


def _line(number: int, style: Style) -> str:
    line = f"**{number}.** {titled(style.name)}"
    match style:
        case SavedStyle(library=Library(kind="member")):
            return line
        case SavedStyle():
            source = _("this server")
        case NetworkStyle():
            source = _("trained")
        case _:
            source = _("built-in")
    return f"{line} · {source}"
