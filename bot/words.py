"""The one place that turns values and errors into words for a member. Short, in plain words, and with a way forward."""

import re

import engine.words
from bot.jobs.errors import (
    AddressUnreadable,
    Closing,
    DownloadFailed,
    JobEnded,
    JobExpired,
    NotYourJob,
    PictureRejected,
    SecretKeyUnusable,
    TooManyJobs,
    UnexpectedError,
)
from engine.errors import AtelierError, DeviceUnavailable, WeightsUnavailable
from engine.progress import Progress, Result

BAR = 14
_UNSPEAKABLE = re.compile(r"[_\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What stands for a space in names of files, or breaks lines, turns the direction of writing, or is no character."""


def explain(error: AtelierError) -> str:  # noqa: PLR0911 - one return for each error is the clearest form
    """What went wrong, and what to do about it."""
    match error:
        case PictureRejected(role=role, reason=reason):
            return f"**{role.capitalize()}:** {engine.words.explain(reason)}"
        case DownloadFailed(role=role):
            return f"**{role.capitalize()}:** The picture could not be fetched from Discord. Send the command again."
        case TooManyJobs(limit=limit):
            return f"You already have {counted(limit, 'picture')} in the works. Wait for one to finish, or cancel one."
        case NotYourJob():
            return "Only the member who asked for this picture can do that."
        case JobEnded():
            return "This picture is already finished or cancelled."
        case JobExpired(hours=hours):
            return f"This picture was not finished within {duration(hours * 3600)}. Send the command again."
        case Closing():
            return "I am restarting. Send the command again in a minute; pictures in the works go on by themselves."
        case UnexpectedError(reference=reference):
            return f"Something went wrong on our side. Try again; if it stays, tell the operator `{reference}`."
        case AddressUnreadable():
            return "I no longer know where to answer about this picture. Send the command again."
        case WeightsUnavailable() | DeviceUnavailable() | SecretKeyUnusable():
            return "Painting is not possible right now: the operator has to look at the log."
        case _:
            return engine.words.explain(error)


def queued(place: int) -> str:
    """A waiting job; ``place`` 1 is next."""
    return "Next in line …" if place == 1 else f"Waiting in line: **{place - 1}** before yours …"


def painting(progress: Progress) -> str:
    """A running job: bar, step of steps, time left."""
    filled = round(BAR * progress.step / progress.steps)
    bar = "▰" * filled + "▱" * (BAR - filled)
    return f"Painting {bar} step {progress.step} of {progress.steps} · about {duration(progress.remaining)} left"


def caption(result: Result) -> str:
    """One line under a finished picture: seconds, size, recipe."""
    size = f"{result.width} × {result.height}"
    return f"Painted in {duration(result.seconds)} · {size} · recipe `{result.recipe.id}`"


def described(content: str, style: str) -> str:
    """Alt text from the names of the files, in at most 1,024 characters (Discord's limit)."""
    return f"{_title(content)}, painted in the style of {_title(style)}"


def duration(seconds: float) -> str:
    """``8 s``, ``1 min 20 s``, ``12 min``."""
    whole = max(1, round(seconds))
    minutes, rest = divmod(whole, 60)
    if not minutes:
        return f"{whole} s"
    return f"{minutes} min {rest} s" if minutes < 10 and rest else f"{minutes} min"


def counted(count: int, noun: str) -> str:
    """``1 picture``, ``3 pictures``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _title(filename: str) -> str:
    words = _UNSPEAKABLE.sub(" ", filename.rsplit(".", 1)[0]).split()
    return " ".join(words)[:480].strip(" .") or "a picture"
