"""The texts of ``/mydata``."""

from typing import Final

from bot.texts import counted

DELETE_EVERYTHING: Final = "Delete everything"


def nothing() -> str:
    """Where nothing is stored."""
    return "I have stored nothing of yours."


def part(number: int, *, last: bool, left_out: int) -> str:
    """With a part of an export."""
    lines = [f"Your data, part {number}." if number > 1 or not last else "Your data."]
    if last and number > 1:
        lines.append("This is the last part.")
    if last and left_out:
        lines.append(
            f"I couldn't add {counted(left_out, 'file')}: too large to send here, or lost. "
            "The JSON file of each picture names them."
        )
    return " ".join(lines)


def interrupted(part: str, after: str | None) -> str:
    """With the last part that can be sent, where there is more."""
    if after is None:
        return f"{part} There is more, but I can't send it here. Use `/mydata export` in a direct message to me."
    return f"{part} There is more: use `/mydata export after:{after}` for it."


def not_sent() -> str:
    """Where Discord refuses a part."""
    return "Discord didn't accept a part of your data. Try again later, or in a direct message to me."


def asked(jobs: int, styles: int) -> str:
    """Before everything is deleted."""
    return (
        f"This deletes everything that I have stored of yours: {counted(jobs, 'picture')} with photos, style pictures "
        f"and recipes, and {counted(styles, 'saved style')}. Pictures in progress are cancelled. "
        "It can't be undone. `/mydata export` gives you a copy first.\n"
        "What stays: pictures that are already posted (press *Delete* under them), styles that you added to a "
        "server, and what keeps the rules working: a block by the bot's operator, and how many pictures you asked for "
        "today."
    )


def deleted(jobs: int, styles: int) -> str:
    """After everything was deleted."""
    return f"Deleted: {counted(jobs, 'picture')} and {counted(styles, 'saved style')}."


def not_yours() -> str:
    """To another member who presses the button."""
    return "Only the member who asked can do that. Use `/mydata delete` for your own data."
