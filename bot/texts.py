"""What members read in several features. Texts are short and plain, and say what the member can do."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import engine.texts
from bot import locales
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
    Role,
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
from bot.jobs.model import NAMES_SEPARATOR, DeliveredBy, Job, State
from bot.limits import SPOILER
from bot.locales import gettext as _
from bot.locales import ngettext, pgettext
from bot.settings import MEBIBYTE
from engine.errors import AtelierError, OperatorError
from engine.progress import Encoded, FileFormat, Progress, Result
from engine.recipe import Colours, Recipe

BAR: Final = 14
"""Characters of the progress bar."""
TITLE_LENGTH: Final = 50
"""Characters of a job's description within a message."""
NAMES_LENGTH: Final = 900
"""Characters of all names in a job's description."""
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
"""The names of values of ``Recipe.colours``: the choices of ``/stylize``, with which the catalogues have them."""
FORMATS: Final[Mapping[FileFormat, str]] = {"png": "PNG", "webp": "WebP", "jpeg": "JPEG"}
_MARKUP: Final = re.compile(r"([\\`*_~|<>\[\](){}#+:@-])")
"""Characters with a meaning in Discord's Markdown, including links and mentions."""
_NOT_IN_TITLES: Final = re.compile(r"[_\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Underscores, control characters, line breaks, changes of the writing direction, and surrogates."""


def error_message(error: AtelierError) -> str:  # noqa: PLR0911, PLR0912, PLR0915 - one return for each error
    """Say what went wrong, and what the member can do."""
    match error:
        case PictureRejected(role=role, reason=reason):
            return f"**{role_name(role)}:** {engine.texts.explain(reason, locales)}"
        case DownloadFailed(role=role):
            failure = _("I couldn't download this picture. Send the command again.")
            return f"**{role_name(role)}:** {failure}"
        case MixUnusable(styles=1):
            return _("**Mix:** You gave only one style. Add a second one as `style2`, or leave out `mix`.")
        case MixUnusable(styles=styles):
            example = " ".join(f"{share}" for share in (60, 30, 10, *[10] * styles)[:styles])
            return ngettext(
                "**Mix:** Enter one number for your {count} style. Example: `{example}`.",
                "**Mix:** Enter one number for each of your {count} styles, in their order. Example: `{example}`.",
                styles,
                example=example,
            )
        case NoStyle():
            return _("**Style:** Attach a style picture, or choose a saved style.")
        case StyleGivenTwice(role=role):
            advice = _(
                "Give either a picture or a saved style, not both. "
                "To blend two styles in `/stylize`, give the second one as `style2` or `saved_style2`."
            )
            return f"**{role_name(role)}:** {advice}"
        case StyleNotFound(name=""):
            return _("This style doesn't exist any more. `/style list` shows your styles.")
        case StyleNotFound(name=name, similar=""):
            return _("I know no style named **{name}**. `/style list` shows your styles.", name=titled(name))
        case StyleNotFound(name=name, similar=similar):
            return _(
                "I know no style named **{name}**. The closest name is **{similar}**.",
                name=titled(name),
                similar=titled(similar),
            )
        case StyleNameUnusable(limit=limit):
            return ngettext(
                "A style's name needs 1 to {count} character.", "A style's name needs 1 to {count} characters.", limit
            )
        case StyleNameTaken(name=name):
            return _(
                "There is already a style named **{name}**. Choose another name, or remove that style first.",
                name=titled(name),
            )
        case TooManyStyles(limit=limit, kind="server"):
            return ngettext(
                "This server already has {count} style. Remove one with `/style remove` first.",
                "This server already has {count} styles. Remove one with `/style remove` first.",
                limit,
            )
        case TooManyStyles(limit=limit):
            return ngettext(
                "You already have {count} style. Remove one with `/style remove` first.",
                "You already have {count} styles. Remove one with `/style remove` first.",
                limit,
            )
        case StyleBuiltIn():
            return _("This is a built-in style. It can't be renamed or removed.")
        case NotInAServer():
            return _("A direct message has no server styles. Use this command in a server.")
        case ManageServerNeeded():
            return _("To change this server's styles you need the permission Manage Server.")
        case TooManyJobs(limit=limit):
            return ngettext(
                "You already have {count} picture in progress. Wait for one to finish, or cancel one.",
                "You already have {count} pictures in progress. Wait for one to finish, or cancel one.",
                limit,
            )
        case DailyLimit(limit=limit, free_at=free_at):
            return ngettext(
                "You can have {count} picture a day. The next one is free {when}.",
                "You can have {count} pictures a day. The next one is free {when}.",
                limit,
                when=relative_time(free_at),
            )
        case WrongChannel(channels=channels):
            return _("In this server I paint only in {channels}.", channels=mentions("#", channels))
        case WrongRole(roles=roles):
            return _("In this server I paint only for {roles}.", roles=mentions("@&", roles))
        case Blocked():
            return _("You can't use me at the moment. If you think that this is a mistake, ask the bot's operator.")
        case NotOperator():
            return _("Only the bot's operators can use this command.")
        case NotManager():
            return _("Only members who can manage this server can change its settings.")
        case Draining():
            return _(
                "I'm not taking new pictures at the moment. Pictures in progress will be finished. Try again later."
            )
        case CancelledByModerator():
            return _("A moderator of this server cancelled this picture.")
        case CancelledByOperator():
            return _("The bot's operator cancelled this picture.")
        case NotFailed():
            return _("This picture did not fail.")
        case NotYourJob(moderated=True):
            return _("Only the member who requested this picture, or a moderator of its server, can do that.")
        case NotYourJob():
            return _("Only the member who requested this picture can do that.")
        case JobEnded():
            return _("This picture is already finished, cancelled or deleted. `/jobs` shows your latest pictures.")
        case StillOpen():
            return _("This picture is not finished yet. Try again in a moment.")
        case NotBegun():
            return _("This picture is still waiting in line, so there is nothing to show yet.")
        case AlreadyPainting():
            return _("I'm already painting that for you.")
        case Unchangeable(name="size", value=size):
            return _("This picture is already {size} px, the largest size that I paint.", size=size)
        case Unchangeable(name="size here", value=size):
            return _("Pictures in this server can have at most {size} px, so this one can't be bigger.", size=size)
        case Unchangeable(name="stroke"):
            return _("The strokes can't be changed any further.")
        case Unchangeable(value=strength):
            return _(
                "The strength is already {strength}, so there is nothing to change. *Tweak …* sets it exactly.",
                strength=strength,
            )
        case Unchanged():
            return _("That is the picture that you see. Change one of the options.")
        case FormLost():
            return _(
                "I no longer know what this form was for: I was restarted, or it was open for too long. Open it again."
            )
        case NotKept():
            return _("I no longer have the files of this picture. Send the command again.")
        case RecipeNotFound():
            return _("I can't find this recipe. Its id is under the picture: 8 characters, as in `1a2b3c4d`.")
        case StylesNotYours():
            return _(
                "This recipe is from another member's picture, and I can't use their style pictures. "
                "Use `/stylize` with a style of your own and the options of the recipe."
            )
        case ExportRunning():
            return _("I'm already sending you your data. Wait for the last part.")
        case TimelapseUnavailable():
            return _(
                "There is no timelapse of this picture: it was painted too fast, or I no longer have its previews."
            )
        case AlreadyAccepted():
            return _("This picture is already in progress. You can see it in `/jobs`.")
        case JobExpired(hours=hours):
            return ngettext(
                "This picture was not finished within {count} hour. Send the command again.",
                "This picture was not finished within {count} hours. Send the command again.",
                hours,
            )
        case Closing():
            return _("I'm restarting. Send the command again in a minute. Pictures in progress will continue.")
        case DeliveryDelayed():
            return _("Discord didn't accept this message. I'll send it again later.")
        case UnexpectedError(reference=reference):
            return _(
                "Something went wrong. Try again. "
                "If it happens again, give this reference to the bot's operator: `{reference}`.",
                reference=reference,
            )
        case AddressUnreadable():
            return _("I no longer know where to send this picture. Send the command again.")
        case OrderInterrupted():
            return _("I was restarted before I had saved your pictures. Send the command again.")
        case JobUnreadable():
            return _("My record of this picture is damaged. Send the command again.")
        case OperatorError():
            return _("I can't paint right now. Only the bot's operator can fix this: the log says what is wrong.")
        case _:
            return engine.texts.explain(error, locales)


def role_name(role: Role) -> str:
    """What a member calls a picture of an order: as the option of ``/stylize``."""
    if role == "content":
        return _("Content")
    _kind, _space, number = role.partition(" ")
    return _("Style {number}", number=number) if number else _("Style")


def queued(place: int) -> str:
    """A waiting job; ``place`` 1 is next."""
    if place == 1:
        return _("Next in line …")
    return ngettext(
        "Waiting in line: **{count}** before yours …", "Waiting in line: **{count}** before yours …", place - 1
    )


def paused(place: int) -> str:
    """A waiting job while no job begins; ``place`` 1 is next."""
    return _(
        "Painting is paused. Your picture is number **{place}** in line and starts when painting resumes.", place=place
    )


def painting(progress: Progress) -> str:
    """A running job: progress bar, step, and time left."""
    filled = round(BAR * progress.step / progress.steps)
    return _(
        "Painting {bar} step {step} of {steps} · about {duration} left",
        bar="▰" * filled + "▱" * (BAR - filled),
        step=progress.step,
        steps=progress.steps,
        duration=duration(progress.remaining),
    )


def caption(result: Result, ordered: Recipe) -> str:
    """The text under a finished picture: time, size, options and recipe, then notes about the result."""
    made: tuple[str, ...] = (
        _("Painted in {duration}", duration=duration(result.seconds)),
        engine.texts.dimensions(result.width, result.height),
    )
    if result.quality is not None:  # the server's limit did not let a lossless file through
        made = *made, _lossy(result)
    recipe = _("recipe `{id}`", id=result.recipe.id)
    lines = [" · ".join((*made, *chosen_options(result.recipe), recipe))]
    if result.ending != "finished":
        lines.append(engine.texts.ending(result, locales))
    if smaller := engine.texts.reduced(result, ordered, locales):
        lines.append(smaller)
    for index, shown in enumerate(result.shown):
        if shown is not None:
            lines.append(f"**{role_name(role_of(index))}:** {engine.texts.truncated(shown, locales)}")
    return "\n".join(lines)


def chosen_options(recipe: Recipe) -> list[str]:
    """The options of a recipe that differ from the defaults."""
    options = []
    if recipe.strength != _DEFAULTS.strength:
        options.append(_("strength {value}", value=recipe.strength))
    if recipe.colours != _DEFAULTS.colours:
        options.append(colours(recipe.colours))
    if recipe.style_shares:
        options.append(_("styles {shares}", shares=ratio(recipe.style_shares)))
    if recipe.stroke != _DEFAULTS.stroke:
        names = {STROKES["fine"]: _("fine strokes"), STROKES["broad"]: _("broad strokes")}
        options.append(names.get(recipe.stroke) or _("strokes × {factor}", factor=recipe.stroke))
    if recipe.detail != _DEFAULTS.detail:
        options.append(_("detail {value}", value=recipe.detail))
    return options


def ratio(shares: Sequence[float]) -> str:
    """How much of each style: ``70 : 30``."""
    return " : ".join(f"{share:g}" for share in shares)


def colours(value: Colours) -> str:
    """The name of a value of ``Recipe.colours``."""
    return pgettext("colours", COLOURS[value])


def sent(text: str, job: Job, *, named: bool) -> str:
    """A message apart from the reply: description, text and the job's id. ``named`` mentions the owner."""
    title = titled(described(job.description))
    if named:
        title = _("For {member}: {picture}", member=mention(job.owner), picture=title)
    return f"{title}\n{text}\n-# {_('Job {id}', id=job.id)}"


def ping(owner: int, ending: State, *, kept: bool) -> str:
    """Mentions the owner of a job that has ended. ``kept``: its picture could not be sent."""
    member = mention(owner)
    if ending is not State.DELIVERED:
        return _("{member} Your picture could not be painted.", member=member)
    if kept:
        return _("{member} Your picture is finished: see `/jobs`.", member=member)
    return _("{member} Your picture is finished.", member=member)


def too_large() -> str:
    """In place of a picture that is too large for every channel, even as the smallest file."""
    return _("The painting is finished, but its file is too large to send here. Try `/jobs` in another server.")


def kept() -> str:
    """In place of a picture that Discord rejects."""
    return _("The painting is finished, but I can't send pictures here. Use `/jobs` to see it.")


def shrunk(encoded: Encoded) -> str:
    """Under a picture that was encoded again: what was given up. Empty if nothing was."""
    if encoded.scaled_to is not None:
        return _(
            "Sent as {format}, {size}: the original is too large to send here.",
            format=_lossy(encoded),
            size=engine.texts.dimensions(*encoded.scaled_to),
        )
    if encoded.quality is not None:
        return _("Sent as {format}: the original is too large to send here.", format=_lossy(encoded))
    return ""


def _lossy(picture: Encoded | Result) -> str:
    if picture.quality is None:
        return FORMATS[picture.format]
    return _("{format} at quality {quality}", format=FORMATS[picture.format], quality=picture.quality)


def delivered_elsewhere(delivered_by: DeliveredBy) -> str:
    """In a reply that can't show the picture: where the picture was sent."""
    if delivered_by == "direct":
        return _("Finished: I sent you the painting in a direct message.")
    return _("Finished: the painting is in my new message below.")


def too_large_here(size: int) -> str:
    """In place of a picture of ``size`` bytes that is too large for ``/jobs`` to show here."""
    return _(
        "The painting is {size} MB, more than I can send here. Try `/jobs` in another server.",
        size=round(size / MEBIBYTE, 1),
    )


def not_shown() -> str:
    """In place of a picture that Discord rejects in the answer of ``/jobs``."""
    return _("Discord didn't accept the painting. Try again later, or use `/jobs` in another server.")


def titled(description: str) -> str:
    """A job's description within a message: shortened, with Markdown escaped."""
    return _MARKUP.sub(r"\\\1", shortened(description, TITLE_LENGTH))


def shortened(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` characters."""
    return text if len(text) <= limit else f"{text[: limit - 2].rstrip()} …"


def names_of_files(content: str, *styles: str) -> str:
    """A job's description, from the names of its files: see :attr:`bot.jobs.model.Order.description`."""
    limit = NAMES_LENGTH // (1 + len(styles))
    return NAMES_SEPARATOR.join(file_title(name, limit) for name in (content, *styles))


def described(description: str) -> str:
    """A job's description in words, such as the alt text of its painting. Fits into Discord's limit."""
    content, *styles = description.split(NAMES_SEPARATOR)
    if not styles:
        return content
    *others, last = styles
    if not others:
        return _("{content}, painted in the style of {style}", content=content, style=last)
    return _(
        "{content}, painted in the style of {styles} and {last}",
        content=content,
        styles=_(", ").join(others),
        last=last,
    )


def file_title(filename: str, limit: int) -> str:
    """What a file is called in a text, in at most ``limit`` characters."""
    parts = _NOT_IN_TITLES.sub(" ", filename.removeprefix(SPOILER).rsplit(".", 1)[0]).split()
    return " ".join(parts)[:limit].strip(" .") or _("a picture")


def mention(member: int) -> str:
    """A mention of a member. It notifies them only where the message allows that."""
    return f"<@{member}>"


def relative_time(seconds: int) -> str:
    """A Unix time, which Discord writes as "in 5 minutes" in the reader's language."""
    return f"<t:{seconds}:R>"


def mentions(kind: Literal["#", "@&"], ids: str) -> str:
    """Mentions of channels or roles, whose ids are separated by spaces. At most 25 are written out."""
    every = ids.split()
    return ", ".join([*(f"<{kind}{each}>" for each in every[:25]), *(["…"] if every[25:] else [])])


def duration(seconds: float) -> str:
    """``8 s``, ``1 min 20 s``, ``12 min``."""
    whole = max(1, round(seconds))
    minutes, rest = divmod(whole, 60)
    if not minutes:
        return _("{seconds} s", seconds=whole)
    if minutes < 10 and rest:
        return _("{minutes} min {seconds} s", minutes=minutes, seconds=rest)
    return _("{minutes} min", minutes=minutes)
