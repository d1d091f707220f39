"""The texts of ``/mydata``."""

from typing import Final

from bot.locales import N_, ngettext
from bot.locales import gettext as _

DELETE_EVERYTHING: Final = N_("Delete everything")


def nothing() -> str:
    """Where nothing is stored."""
    return _("I have stored nothing of yours.")


def part(number: int, *, last: bool, left_out: int) -> str:
    """With a part of an export."""
    lines = [_("Your data, part {number}.", number=number) if number > 1 or not last else _("Your data.")]
    if last and number > 1:
        lines.append(_("This is the last part."))
    if last and left_out:
        lines.append(
            ngettext(
                "I couldn't add {count} file: too large to send here, or lost. "
                "The JSON file of each picture names them.",
                "I couldn't add {count} files: too large to send here, or lost. "
                "The JSON file of each picture names them.",
                left_out,
            )
        )
    return " ".join(lines)


def interrupted(part: str, after: str | None) -> str:
    """With the last part that can be sent, where there is more."""
    if after is None:
        return _(
            "{part} There is more, but I can't send it here. Use `/mydata export` in a direct message to me.", part=part
        )
    return _("{part} There is more: use `/mydata export after:{after}` for it.", part=part, after=after)


def not_sent() -> str:
    """Where Discord refuses a part."""
    return _("Discord didn't accept a part of your data. Try again later, or in a direct message to me.")


def asked(jobs: int, styles: int) -> str:
    """Before everything is deleted."""
    return _(
        "This deletes everything that I have stored of yours: {pictures} with photos, style pictures "
        "and recipes, and {styles}. Pictures in progress are cancelled. "
        "It can't be undone. `/mydata export` gives you a copy first.\n"
        "What stays: pictures that are already posted (press *Delete* under them), styles that you added to a "
        "server, and what keeps the rules working: a block by the bot's operator, and how many pictures you asked for "
        "today.",
        pictures=_pictures(jobs),
        styles=_styles(styles),
    )


def deleted(jobs: int, styles: int) -> str:
    """After everything was deleted."""
    return _("Deleted: {pictures} and {styles}.", pictures=_pictures(jobs), styles=_styles(styles))


def not_yours() -> str:
    """To another member who presses the button."""
    return _("Only the member who asked can do that. Use `/mydata delete` for your own data.")


def _pictures(count: int) -> str:
    return ngettext("{count} picture", "{count} pictures", count)


def _styles(count: int) -> str:
    return ngettext("{count} saved style", "{count} saved styles", count)
