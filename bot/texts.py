"""What members read in several features. Texts are short and plain, and say what the member can do."""

import re
from collections.abc import Mapping
from typing import Final, Literal

import engine.texts
from bot.jobs.errors import (
    AddressUnreadable,
    AlreadyAccepted,
    AlreadyPainting,
    Blocked,
    CancelledByModerator,
    CancelledByOperator,
    Closing,
    DailyLimit,
    DeliveryDelayed,
    DownloadFailed,
    Draining,
    ExportRunning,
    FormLost,
    JobEnded,
    JobExpired,
    JobUnreadable,
    ManageServerNeeded,
    MixUnusable,
    NoStyle,
    NotBegun,
    NotFailed,
    NotInAServer,
    NotKept,
    NotManager,
    NotOperator,
    NotYourJob,
    OrderInterrupted,
    PictureRejected,
    RecipeNotFound,
    StillOpen,
    StyleBuiltIn,
    StyleGivenTwice,
    StyleNameTaken,
    StyleNameUnusable,
    StyleNotFound,
    StylesNotYours,
    TimelapseUnavailable,
    TooManyJobs,
    TooManyStyles,
    Unchangeable,
    Unchanged,
    UnexpectedError,
    WrongChannel,
    WrongRole,
    role_of,
)
from bot.jobs.model import DeliveredBy, Job, State
from bot.limits import SPOILER
from bot.settings import MEBIBYTE
from engine.errors import AtelierError, OperatorError
from engine.progress import Encoded, FileFormat, Progress, Result
from engine.recipe import Colours, Recipe

BAR: Final = 14
"""Characters of the progress bar."""
TITLE_LENGTH: Final = 50
"""Characters of a job's description within a message."""
Stroke = Literal["fine", "medium", "broad"]
_DEFAULTS: Final = Recipe()
STROKES: Final[Mapping[Stroke, float]] = {
    "fine": _DEFAULTS.stroke / 2,
    "medium": _DEFAULTS.stroke,
    "broad": _DEFAULTS.stroke * 2,
}
"""The names of values of ``Recipe.stroke``."""
COLOURS: Final[Mapping[Colours, str]] = {
    "style": "the style's colours",
    "matched": "colours matched to the photo",
    "content": "the photo's colours",
}
FORMATS: Final[Mapping[FileFormat, str]] = {"png": "PNG", "webp": "WebP", "jpeg": "JPEG"}
_MARKUP: Final = re.compile(r"([\\`*_~|<>\[\](){}#+:@-])")
"""Characters with a meaning in Discord's Markdown, including links and mentions."""
_NOT_IN_TITLES: Final = re.compile(r"[_\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Underscores, control characters, line breaks, changes of the writing direction, and surrogates."""


def error_message(error: AtelierError) -> str:  # noqa: PLR0911, PLR0912, PLR0915 - one return for each error
    """Say what went wrong, and what the member can do."""
    match error:
        case PictureRejected(role=role, reason=reason):
            return f"**{role.capitalize()}:** {engine.texts.explain(reason)}"
        case DownloadFailed(role=role):
            return f"**{role.capitalize()}:** I couldn't download this picture. Send the command again."
        case MixUnusable(styles=1):
            return "**Mix:** You gave only one style. Add a second one as `style2`, or leave out `mix`."
        case MixUnusable(styles=styles):
            example = " ".join(f"{share}" for share in (60, 30, 10, *[10] * styles)[:styles])
            return f"**Mix:** Enter one number for each of your {styles} styles, in their order. Example: `{example}`."
        case NoStyle():
            return "**Style:** Attach a style picture, or choose a saved style."
        case StyleGivenTwice(role=role):
            return (
                f"**{role.capitalize()}:** Give either a picture or a saved style, not both. "
                "To blend two styles in `/stylize`, give the second one as `style2` or `saved_style2`."
            )
        case StyleNotFound(name=""):
            return "This style doesn't exist any more. `/style list` shows your styles."
        case StyleNotFound(name=name):
            return f"I know no style named **{titled(name)}**. `/style list` shows your styles."
        case StyleNameUnusable(limit=limit):
            return f"A style's name needs 1 to {limit} characters."
        case StyleNameTaken(name=name):
            return (
                f"There is already a style named **{titled(name)}**. Choose another name, or remove that style first."
            )
        case TooManyStyles(limit=limit, kind="server"):
            return f"This server already has {counted(limit, 'style')}. Remove one with `/style remove` first."
        case TooManyStyles(limit=limit):
            return f"You already have {counted(limit, 'style')}. Remove one with `/style remove` first."
        case StyleBuiltIn():
            return "This is a built-in style. It can't be renamed or removed."
        case NotInAServer():
            return "A direct message has no server styles. Use this command in a server."
        case ManageServerNeeded():
            return "To change this server's styles you need the permission Manage Server."
        case TooManyJobs(limit=limit):
            return f"You already have {counted(limit, 'picture')} in progress. Wait for one to finish, or cancel one."
        case DailyLimit(limit=limit, free_at=free_at):
            return f"You can have {counted(limit, 'picture')} a day. The next one is free <t:{free_at}:R>."
        case WrongChannel(channels=channels):
            return f"In this server I paint only in {mentions('#', channels)}."
        case WrongRole(roles=roles):
            return f"In this server I paint only for {mentions('@&', roles)}."
        case Blocked():
            return "You can't use me at the moment. If you think that this is a mistake, ask the bot's operator."
        case NotOperator():
            return "Only the bot's operators can use this command."
        case NotManager():
            return "Only members who can manage this server can change its settings."
        case Draining():
            return "I'm not taking new pictures at the moment. Pictures in progress will be finished. Try again later."
        case CancelledByModerator():
            return "A moderator of this server cancelled this picture."
        case CancelledByOperator():
            return "The bot's operator cancelled this picture."
        case NotFailed():
            return "This picture did not fail."
        case NotYourJob(moderated=True):
            return "Only the member who requested this picture, or a moderator of its server, can do that."
        case NotYourJob():
            return "Only the member who requested this picture can do that."
        case JobEnded():
            return "This picture is already finished, cancelled or deleted. `/jobs` shows your latest pictures."
        case StillOpen():
            return "This picture is not finished yet. Try again in a moment."
        case NotBegun():
            return "This picture is still waiting in line, so there is nothing to show yet."
        case AlreadyPainting():
            return "I'm already painting that for you."
        case Unchangeable(name="size", value=size):
            return f"This picture is already {size:g} px, the largest size that I paint."
        case Unchangeable(name="size here", value=size):
            return f"Pictures in this server can have at most {size:g} px, so this one can't be bigger."
        case Unchangeable(name="stroke"):
            return "The strokes can't be changed any further."
        case Unchangeable(value=strength):
            return f"The strength is already {strength:g}, so there is nothing to change. *Tweak …* sets it exactly."
        case Unchanged():
            return "That is the picture that you see. Change one of the options."
        case FormLost():
            return (
                "I no longer know what this form was for: I was restarted, or it was open for too long. Open it again."
            )
        case NotKept():
            return "I no longer have the files of this picture. Send the command again."
        case RecipeNotFound():
            return "I know no such recipe here. Its id is under the picture: 8 characters, as in `1a2b3c4d`."
        case StylesNotYours():
            return (
                "This recipe is from another member's picture, and I can't use their style pictures. "
                "Use `/stylize` with a style of your own and the options of the recipe."
            )
        case ExportRunning():
            return "I'm already sending you your data. Wait for the last part."
        case TimelapseUnavailable():
            return "There is no timelapse of this picture: it was painted too fast, or I no longer have its previews."
        case AlreadyAccepted():
            return "This picture is already in progress. You can see it in `/jobs`."
        case JobExpired(hours=hours):
            return f"This picture was not finished within {counted(hours, 'hour')}. Send the command again."
        case Closing():
            return "I'm restarting. Send the command again in a minute. Pictures in progress will continue."
        case DeliveryDelayed():
            return "Discord didn't accept this message. I'll send it again later."
        case UnexpectedError(reference=reference):
            return (
                "Something went wrong. Try again. "
                f"If it happens again, give this reference to the bot's operator: `{reference}`."
            )
        case AddressUnreadable():
            return "I no longer know where to send this picture. Send the command again."
        case OrderInterrupted():
            return "I was restarted before I had saved your pictures. Send the command again."
        case JobUnreadable():
            return "My record of this picture is damaged. Send the command again."
        case OperatorError():
            return "I can't paint right now. Only the bot's operator can fix this: the log says what is wrong."
        case _:
            return engine.texts.explain(error)


def queued(place: int) -> str:
    """A waiting job; ``place`` 1 is next."""
    return "Next in line …" if place == 1 else f"Waiting in line: **{place - 1}** before yours …"


def paused(place: int) -> str:
    """A waiting job while no job begins; ``place`` 1 is next."""
    return f"Painting is paused. Your picture is number **{place}** in line and starts when painting resumes."


def painting(progress: Progress) -> str:
    """A running job: progress bar, step, and time left."""
    filled = round(BAR * progress.step / progress.steps)
    bar = "▰" * filled + "▱" * (BAR - filled)
    return f"Painting {bar} step {progress.step} of {progress.steps} · about {duration(progress.remaining)} left"


def caption(result: Result, ordered: Recipe) -> str:
    """The text under a finished picture: time, size, options and recipe, then notes about the result."""
    made: tuple[str, ...] = f"Painted in {duration(result.seconds)}", f"{result.width} × {result.height}"
    if result.quality is not None:  # the server's limit did not let a lossless file through
        made = *made, _lossy(result)
    lines = [" · ".join((*made, *chosen_options(result.recipe), f"recipe `{result.recipe.id}`"))]
    if result.ending != "finished":
        lines.append(engine.texts.ending(result))
    if smaller := engine.texts.reduced(result, ordered):
        lines.append(smaller)
    for index, shown in enumerate(result.shown):
        if shown is not None:
            lines.append(f"**{role_of(index).capitalize()}:** {engine.texts.truncated(shown)}")
    return "\n".join(lines)


def chosen_options(recipe: Recipe) -> list[str]:
    """The options of a recipe that differ from the defaults."""
    options = []
    if recipe.strength != _DEFAULTS.strength:
        options.append(f"strength {recipe.strength:g}")
    if recipe.colours != _DEFAULTS.colours:
        options.append(COLOURS[recipe.colours])
    if recipe.style_shares:
        options.append(f"styles {' : '.join(f'{share:g}' for share in recipe.style_shares)}")
    if recipe.stroke != _DEFAULTS.stroke:
        names = {value: f"{name} strokes" for name, value in STROKES.items()}
        options.append(names.get(recipe.stroke, f"strokes × {recipe.stroke:g}"))
    if recipe.detail != _DEFAULTS.detail:
        options.append(f"detail {recipe.detail:g}")
    return options


def sent(text: str, job: Job, *, named: bool) -> str:
    """A message apart from the reply: description, text and the job's id. ``named`` mentions the owner."""
    owner = f"For <@{job.owner}>: " if named else ""
    return f"{owner}{titled(job.description)}\n{text}\n-# Job {job.id}"


def ping(owner: int, ending: State, *, kept: bool) -> str:
    """Mentions the owner of a job that has ended. ``kept``: its picture could not be sent."""
    if ending is not State.DELIVERED:
        return f"<@{owner}> Your picture could not be painted."
    return f"<@{owner}> Your picture is finished: see `/jobs`." if kept else f"<@{owner}> Your picture is finished."


def too_large() -> str:
    """In place of a picture that is too large for every channel, even as the smallest file."""
    return "The painting is finished, but its file is too large to send here. Try `/jobs` in another server."


def kept() -> str:
    """In place of a picture that Discord rejects."""
    return "The painting is finished, but I can't send pictures here. Use `/jobs` to see it."


def shrunk(encoded: Encoded) -> str:
    """Under a picture that was encoded again: what was given up. Empty if nothing was."""
    if encoded.scaled_to is not None:
        width, height = encoded.scaled_to
        return f"Sent as {_lossy(encoded)}, {width} × {height}: the original is too large to send here."
    if encoded.quality is not None:
        return f"Sent as {_lossy(encoded)}: the original is too large to send here."
    return ""


def _lossy(picture: Encoded | Result) -> str:
    return f"{FORMATS[picture.format]} at quality {picture.quality}"


def delivered_elsewhere(delivered_by: DeliveredBy) -> str:
    """In a reply that can't show the picture: where the picture was sent."""
    return (
        "Finished: I sent you the painting in a direct message."
        if delivered_by == "direct"
        else "Finished: the painting is in my new message below."
    )


def too_large_here(size: int) -> str:
    """In place of a picture of ``size`` bytes that is too large for ``/jobs`` to show here."""
    return f"The painting is {size / MEBIBYTE:.1f} MB, more than I can send here. Try `/jobs` in another server."


def not_shown() -> str:
    """In place of a picture that Discord rejects in the answer of ``/jobs``."""
    return "Discord didn't accept the painting. Try again later, or use `/jobs` in another server."


def titled(description: str) -> str:
    """A job's description within a message: shortened, with Markdown escaped."""
    return _MARKUP.sub(r"\\\1", shortened(description, TITLE_LENGTH))


def shortened(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` characters."""
    return text if len(text) <= limit else f"{text[: limit - 2].rstrip()} …"


def described(content: str, *styles: str) -> str:
    """The alt text of a painting, from the names of the files. Fits into Discord's limit."""
    limit = 960 // (1 + len(styles))
    *others, last = (file_title(style, limit) for style in styles)
    combined = f"{', '.join(others)} and {last}" if others else last
    return f"{file_title(content, limit)}, painted in the style of {combined}"


def file_title(filename: str, limit: int) -> str:
    """What a file is called in a text, in at most ``limit`` characters."""
    parts = _NOT_IN_TITLES.sub(" ", filename.removeprefix(SPOILER).rsplit(".", 1)[0]).split()
    return " ".join(parts)[:limit].strip(" .") or "a picture"


def mentions(kind: Literal["#", "@&"], ids: str) -> str:
    """Mentions of channels or roles, whose ids are separated by spaces. At most 25 are written out."""
    every = ids.split()
    return ", ".join([*(f"<{kind}{each}>" for each in every[:25]), *(["…"] if every[25:] else [])])


def title_of(description: str) -> str:
    """The name of the photo in the text of :func:`described`."""
    return description.partition(", painted in the style of ")[0]


def styles_of(description: str) -> str:
    """The names of the style pictures in the text of :func:`described`."""
    return description.partition(", painted in the style of ")[2]


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
