"""What members read in several features. Texts are short and plain, and say what the member can do."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import engine.texts
from bot import locales
from bot.jobs.errors import MASK, Role, role_of
from bot.jobs.model import NAMES_SEPARATOR, DeliveredBy, Job, State
from bot.limits import SPOILER
from bot.locales import gettext as _
from bot.locales import ngettext, pgettext
from bot.settings import MEBIBYTE
from engine.progress import Encoded, FileFormat, Progress, Result
from engine.recipe import Colours, Method, Recipe, Rest, Where

BAR: Final = 14
"""Characters of the progress bar."""
TITLE_LENGTH: Final = 50
"""Characters of a job's description within a message."""
NAMES_LENGTH: Final = 900
"""Characters of all names in a job's description."""
Stroke = Literal["fine", "medium", "broad"]
Motion = Literal["all frames", "first frame only"]
"""What is painted of a moving picture."""
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
TECHNIQUES: Final[Mapping[Method, str]] = {"neighbours": "whole brush strokes", "gatys": "texture"}
"""The names of values of ``Recipe.method`` that members choose from, as with :data:`COLOURS`."""
PARTS: Final[Mapping[Where, str]] = {
    "everything": "everything",
    "subject": "the subject",
    "background": "the background",
    "not-faces": "everything but faces",
    "faces": "faces",
    "mask": "the white part of the mask",
    "not-mask": "the black part of the mask",
    "opaque": "what isn't transparent",
}
"""The same of ``Recipe.where``."""
RESTS: Final[Mapping[Rest, str]] = {"photo": "the photo as it is", "style": "the last style"}
"""The same of ``Recipe.rest``."""
FORMATS: Final[Mapping[FileFormat, str]] = {"png": "PNG", "webp": "WebP", "jpeg": "JPEG", "gif": "GIF"}
_MARKUP: Final = re.compile(r"([\\`*_~|<>\[\](){}#+:@-])")
"""Characters with a meaning in Discord's Markdown, including links and mentions."""
_NOT_IN_TITLES: Final = re.compile(r"[_\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Underscores, control characters, line breaks, changes of the writing direction, and surrogates."""


def role_name(role: Role) -> str:
    """What a member calls a picture of an order: as the option of ``/stylize``."""
    if role == "content":
        return _("Content")
    if role == MASK:
        return _("Mask")
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


def painting(progress: Progress, recipe: Recipe, styles: int = 1) -> str:
    """A running job with so many styles: progress bar, step, and time left. Then notes about what is painted."""
    filled = round(BAR * progress.step / progress.steps)
    bar = "▰" * filled + "▱" * (BAR - filled)
    left = duration(progress.remaining)
    if progress.frames > 1:
        line = _(
            "Painting {bar} frame {frame} of {frames} · about {duration} left",
            bar=bar,
            frame=progress.frame,
            frames=progress.frames,
            duration=left,
        )
    else:
        line = _(
            "Painting {bar} step {step} of {steps} · about {duration} left",
            bar=bar,
            step=progress.step,
            steps=progress.steps,
            duration=left,
        )
    notes = [
        _tinted(recipe, styles) if progress.mask else None,
        engine.texts.not_found(progress, recipe, locales),
        engine.texts.first_frame(progress, recipe, locales),
        *_stills(progress),
    ]
    return "\n".join(filter(None, (line, *notes)))


def _tinted(recipe: Recipe, styles: int) -> str:
    """What the tints of the mask mean."""
    if recipe.rest == "photo" or styles == 1:
        return _("The tinted part gets painted.")
    if styles == 2:
        return _("The pink part gets the first style, the blue part the second one.")
    return _("The pink part gets the first two styles, the blue part the last one.")


def _stills(painting: Progress | Result) -> list[str]:
    """Which moving pictures are used by their first frames only."""
    return [f"**{role_name(role_of(at))}:** {engine.texts.still(locales)}" for at in painting.stills]


def caption(result: Result, ordered: Recipe) -> str:
    """The text under a finished picture: time, size, options and recipe, then notes about the result."""
    made: tuple[str, ...] = (
        _("Painted in {duration}", duration=duration(result.seconds)),
        engine.texts.dimensions(result.width, result.height),
    )
    if result.recipe.frames > 1:
        made = *made, engine.texts.frames(result, locales)
    if result.quality is not None:  # the server's limit did not let a lossless file through
        made = *made, _lossy(result)
    recipe = _("recipe `{id}`", id=result.recipe.id)
    lines = [" · ".join((*made, *chosen_options(result.recipe), recipe))]
    if result.ending != "finished":
        lines.append(engine.texts.ending(result, locales))
    if smaller := engine.texts.reduced(result, ordered, locales):
        lines.append(smaller)
    if nothing := engine.texts.not_found(result, result.recipe, locales):
        lines.append(nothing)
    if still := engine.texts.first_frame(result, result.recipe, locales):
        lines.append(still)
    roles = [role_of(index) for index in range(len(result.shown))]
    if result.recipe.where in {"mask", "not-mask"}:
        roles[-1:] = [MASK]
    for role, shown in zip(roles, result.shown, strict=False):
        if shown is not None:
            lines.append(f"**{role_name(role)}:** {engine.texts.truncated(shown, locales)}")
    lines += _stills(result)
    return "\n".join(lines)


def chosen_options(recipe: Recipe) -> list[str]:
    """The options of a recipe that differ from the defaults."""
    options = []
    if recipe.where != _DEFAULTS.where:
        options.append(_("painted: {part}", part=part(recipe)))
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


def part(recipe: Recipe) -> str:
    """The part of the photo that is painted, and what the rest is if it is not the photo."""
    name = pgettext("where", PARTS[recipe.where])
    if recipe.spread > 0:
        name = _("{part}, {percent} % wider", part=name, percent=recipe.spread)
    elif recipe.spread < 0:
        name = _("{part}, {percent} % tighter", part=name, percent=-recipe.spread)
    return name if recipe.rest == "photo" else _("{part}; the rest in the last style", part=name)


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
    name = _("Job {id}", id=job.id)
    return f"{title}\n{text}\n-# {name}"


def requested(text: str, owner: int) -> str:
    """A reply under which Discord doesn't show who asked."""
    name = _("Requested by {member}", member=mention(owner))
    return f"{text}\n-# {name}"


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
