"""The one place that turns values and errors into words for a member. Short, in plain words, and with a way forward."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import engine.texts
from bot.jobs.errors import (
    AddressUnreadable,
    AlreadyAccepted,
    Closing,
    DeliveryDelayed,
    DownloadFailed,
    JobEnded,
    JobExpired,
    JobUnreadable,
    MixUnusable,
    NotYourJob,
    OrderInterrupted,
    PictureRejected,
    TooManyJobs,
    UnexpectedError,
    style_role,
)
from bot.jobs.model import DeliveredBy, Job, State
from bot.limits import MESSAGE_LENGTH, OPTION_LENGTH
from bot.settings import MEBIBYTE
from engine.errors import AtelierError, OperatorError
from engine.progress import Progress, Result
from engine.recipe import Colours, Recipe

BAR = 14
TITLE = 50
"""Characters of a description where several things share a message."""
Stroke = Literal["fine", "medium", "broad"]
_DEFAULTS: Final = Recipe()
STROKES: Final[Mapping[Stroke, float]] = {
    "fine": _DEFAULTS.stroke / 2,
    "medium": _DEFAULTS.stroke,
    "broad": _DEFAULTS.stroke * 2,
}
"""What people call the values of ``Recipe.stroke``."""
COLOURS: Final[Mapping[Colours, str]] = {
    "style": "the style's colours",
    "matched": "colours matched to the photo",
    "content": "the photo's colours",
}
_MARKUP = re.compile(r"([\\`*_~|<>\[\](){}#+:@-])")
"""All that can begin something in Discord's Markdown, links and mentions included."""
_UNSPEAKABLE = re.compile(r"[_\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What stands for a space in names of files, or breaks lines, turns the direction of writing, or is no character."""


def error_message(error: AtelierError) -> str:  # noqa: PLR0911, PLR0912 - one return for each error
    """What went wrong, and what to do about it."""
    match error:
        case PictureRejected(role=role, reason=reason):
            return f"**{role.capitalize()}:** {engine.texts.explain(reason)}"
        case DownloadFailed(role=role):
            return f"**{role.capitalize()}:** The picture could not be fetched from Discord. Send the command again."
        case MixUnusable(styles=1):
            return "**Mix:** There is one style only. Add another as `style2`, or leave `mix` out."
        case MixUnusable(styles=styles):
            example = " ".join(f"{share}" for share in (60, 30, 10, *[10] * styles)[:styles])
            return f"**Mix:** Give a number for each of your {styles} styles, in their order, such as `{example}`."
        case TooManyJobs(limit=limit):
            return f"You already have {counted(limit, 'picture')} in the works. Wait for one to finish, or cancel one."
        case NotYourJob():
            return "Only the member who asked for this picture can do that."
        case JobEnded():
            return "This picture is already finished, cancelled or gone. `/jobs` shows your last ones."
        case AlreadyAccepted():
            return "This picture is in the works already: `/jobs` shows it."
        case JobExpired(hours=hours):
            return f"This picture was not finished within {counted(hours, 'hour')}. Send the command again."
        case Closing():
            return "I am restarting. Send the command again in a minute; pictures in the works go on by themselves."
        case DeliveryDelayed():
            return "Discord would not take this just now. It is sent again in a while."
        case UnexpectedError(reference=reference):
            return f"Something went wrong on our side. Try again; if it stays, tell the operator `{reference}`."
        case AddressUnreadable():
            return "I no longer know where to answer about this picture. Send the command again."
        case OrderInterrupted():
            return "I was restarted before I had your pictures. Send the command again."
        case JobUnreadable():
            return "I can't read my record of this picture any more. Send the command again."
        case OperatorError():
            return "Painting is not possible right now: the operator has to look at the log."
        case _:
            return engine.texts.explain(error)


def queued(place: int) -> str:
    """A waiting job; ``place`` 1 is next."""
    return "Next in line …" if place == 1 else f"Waiting in line: **{place - 1}** before yours …"


def painting(progress: Progress) -> str:
    """A running job: bar, step of steps, time left."""
    filled = round(BAR * progress.step / progress.steps)
    bar = "▰" * filled + "▱" * (BAR - filled)
    return f"Painting {bar} step {progress.step} of {progress.steps} · about {duration(progress.remaining)} left"


def caption(result: Result, ordered: Recipe) -> str:
    """Under a finished picture a line with seconds, size and recipe; then what the member may wonder about it."""
    made = f"Painted in {duration(result.seconds)}", f"{result.width} × {result.height}"
    lines = [" · ".join((*made, *wishes(result.recipe), f"recipe `{result.recipe.id}`"))]
    if result.ending != "finished":
        lines.append(engine.texts.ending(result))
    if smaller := engine.texts.reduced(result, ordered):
        lines.append(smaller)
    for index, shown in enumerate(result.shown):
        if shown is not None:
            role = style_role(index - 1) if index else "content"
            lines.append(f"**{role.capitalize()}:** {engine.texts.truncated(shown)}")
    return "\n".join(lines)


def wishes(recipe: Recipe) -> list[str]:
    """What a member asked for that is not as it is unless they say so."""
    told = []
    if recipe.strength != _DEFAULTS.strength:
        told.append(f"strength {recipe.strength:g}")
    if recipe.colours != _DEFAULTS.colours:
        told.append(COLOURS[recipe.colours])
    if recipe.style_shares:
        told.append(f"styles {' : '.join(f'{share:g}' for share in recipe.style_shares)}")
    if recipe.stroke != _DEFAULTS.stroke:
        names = {value: f"{name} strokes" for name, value in STROKES.items()}
        told.append(names.get(recipe.stroke, f"strokes × {recipe.stroke:g}"))
    if recipe.detail != _DEFAULTS.detail:
        told.append(f"detail {recipe.detail:g}")
    return told


def sent(text: str, job: Job, *, named: bool) -> str:
    """A message that stands apart from the reply: of what it is, perhaps for whom, and the job's id at its end."""
    owner = f"For <@{job.owner}>: " if named else ""
    return f"{owner}{titled(job.description)}\n{text}\n-# Job {job.id}"


def too_large() -> str:
    """In place of a picture whose smallest file is still too large for every way."""
    return "The painting is finished, but its file is too large to send here. Try `/jobs` in another server."


def kept() -> str:
    """In place of a picture that Discord refuses."""
    return "The painting is finished, but I can't send pictures here. Use `/jobs` to see it."


def shrunk() -> str:
    """Under a picture that was encoded again."""
    return "Sent as a smaller file: the original is too large to send here."


def delivered_elsewhere(delivered_by: DeliveredBy) -> str:
    """In a reply that can't show the picture, which was sent in another way."""
    return (
        "Finished: I sent it in a direct message."
        if delivered_by == "direct"
        else "Finished: see my new message below."
    )


def too_large_here(size: int) -> str:
    """In place of a picture of ``size`` bytes that ``/jobs`` should show again."""
    return f"The painting is {size / MEBIBYTE:.1f} MB, more than I can send here. Try `/jobs` in another server."


def not_shown() -> str:
    """In place of a picture that ``/jobs`` should show again and Discord refuses."""
    return "Discord didn't accept the painting. Try again later, or use `/jobs` in another server."


def listed(jobs: Sequence[Job]) -> str:
    """A member's last jobs, numbered from 1; ten are at most 2,000 characters (Discord's limit)."""
    if not jobs:
        return "You have no pictures here yet. `/stylize` paints one."
    full, short = (
        "\n".join(_line(number, job, reason=reason) for number, job in enumerate(jobs, 1)) for reason in (True, False)
    )
    return full if len(full) <= MESSAGE_LENGTH else short


def option(number: int, job: Job) -> str:
    """A job as an option of a menu, where Markdown means nothing, in at most 100 characters."""
    return shortened(f"{number}. {job.description}", OPTION_LENGTH)


def titled(description: str) -> str:
    """A description within a message: short, and with nothing that Discord would take for Markdown."""
    return _MARKUP.sub(r"\\\1", shortened(description, TITLE))


def shortened(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` characters."""
    return text if len(text) <= limit else f"{text[: limit - 2].rstrip()} …"


def described(content: str, *styles: str) -> str:
    """Alt text from the names of the files, in at most 1,024 characters (Discord's limit)."""
    most = 960 // (1 + len(styles))
    *others, last = (_title(style, most) for style in styles)
    manner = f"{', '.join(others)} and {last}" if others else last
    return f"{_title(content, most)}, painted in the style of {manner}"


def duration(seconds: float) -> str:
    """``8 s``, ``1 min 20 s``, ``12 min``."""
    whole = max(1, round(seconds))
    minutes, rest = divmod(whole, 60)
    if not minutes:
        return f"{whole} s"
    return f"{minutes} min {rest} s" if minutes < 10 and rest else f"{minutes} min"


def counted(count: float, noun: str) -> str:
    """``1 picture``, ``3 pictures``, ``0.5 hours``."""
    return f"{count:g} {noun}" if count == 1 else f"{count:g} {noun}s"


def _line(number: int, job: Job, *, reason: bool) -> str:
    unreadable = isinstance(job.cause, JobUnreadable)
    state = "failed" if unreadable else _state(job)
    because = f" ({error_message(job.cause).rstrip('.')})" if reason and state == "failed" and job.cause else ""
    when = f"<t:{int(job.created_at.timestamp())}:R>"
    recipe = "" if unreadable else f" · recipe `{job.painted_recipe.id}`"
    return f"**{number}.** {titled(job.description)} · {state}{because} · {when}{recipe}"


def _state(job: Job) -> str:  # noqa: PLR0911 - one return for each state is the clearest form
    match job.state:
        case State.QUEUED:
            return "waiting in line"
        case State.RUNNING:
            return "being painted"
        case State.DELIVERING:
            return "about to be sent"
        case State.DELIVERED if job.delivered_by == "kept":
            return "finished and **kept here for you**"
        case State.DELIVERED:
            return "finished"
        case State.CANCELLED:
            return "cancelled"
        case State.EXPIRED:
            return "not finished in time"
        case State.FAILED:
            return "failed"


def _title(filename: str, most: int) -> str:
    words = _UNSPEAKABLE.sub(" ", filename.rsplit(".", 1)[0]).split()
    return " ".join(words)[:most].strip(" .") or "a picture"
