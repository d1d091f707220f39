"""Texts for the engine's errors and results, for members and for the command line.

They are English on the command line. The bot translates them: it passes the language that applies, as a ``wording``.
"""

from typing import Final, Protocol, get_args

from engine.errors import (
    AtelierError,
    BlobLost,
    ClipTooLong,
    NotAPicture,
    NoWorkers,
    OutOfMemory,
    PaintingCancelled,
    PaintingPaused,
    PictureDamaged,
    PictureTooLarge,
    PictureTooNarrow,
    PictureTooSmall,
    PictureTransparent,
    PictureTruncated,
    StorageFailed,
    StorageFull,
    UnknownMethod,
    VersionMismatch,
    WorkerLost,
)
from engine.progress import Progress, Result
from engine.recipe import Method, Recipe

MEBIBYTE = 2**20


class Wording(Protocol):
    """A language: it translates an English text, and replaces the placeholders in it."""

    def gettext(self, text: str, /, **values: str | float) -> str:
        """Translate a text."""

    def ngettext(self, singular: str, plural: str, count: float, /, **values: str | float) -> str:
        """The same in the plural form for a number, which replaces ``{count}``."""


class _English:
    def gettext(self, text: str, /, **values: str | float) -> str:
        return text.format(
            **{name: value if isinstance(value, str) else f"{value:,}" for name, value in values.items()}
        )

    def ngettext(self, singular: str, plural: str, count: float, /, **values: str | float) -> str:
        return self.gettext(singular if count == 1 else plural, count=count, **values)


ENGLISH: Final[Wording] = _English()


def explain(error: AtelierError, wording: Wording = ENGLISH) -> str:  # noqa: PLR0911, PLR0912 - one return for each error
    """What is wrong and what to do about it. The message of an :class:`engine.errors.OperatorError` stays as it is."""
    gettext = wording.gettext
    match error:
        case NotAPicture(kind=kind):
            return _instead_of(kind, wording)
        case PictureTooLarge(measure="bytes", limit=limit):
            return gettext("The file is too large. Send one under {limit} MB.", limit=limit // MEBIBYTE)
        case PictureTooLarge(measure="pixels", limit=limit):
            return gettext(
                "The picture has too many pixels. Scale it down to under {limit} megapixels.", limit=limit // 1_000_000
            )
        case PictureTooLarge(limit=limit):
            return gettext("The picture is too large. Scale it down to at most {limit} px on each side.", limit=limit)
        case ClipTooLong(limit=limit):
            return gettext(
                "The animation is too long: its frames together may have {limit} megapixels. Send a shorter or smaller "
                "one, or choose only the first frame.",
                limit=limit // 1_000_000,
            )
        case PictureTooSmall(width=width, height=height, least=least):
            return gettext(
                "The picture is too small: {size} px. Send one of at least {least} px on each side.",
                size=dimensions(width, height),
                least=least,
            )
        case PictureTooNarrow(limit=limit):
            return gettext(
                "The picture is too narrow. Crop it so that its long side is at most {limit} times the short one.",
                limit=limit,
            )
        case PictureTruncated():
            return gettext("The file is incomplete, and too much of the picture is missing. Send the whole file.")
        case PictureTransparent():
            return gettext("The picture is completely transparent. Send one that shows something.")
        case PictureDamaged():
            return gettext("The file is damaged. Send it again, or open it, save it again, and send that.")
        case PaintingCancelled():
            return gettext("Cancelled.")
        case PaintingPaused():
            return gettext("Paused. It continues automatically.")
        case OutOfMemory(size=size):
            return gettext(
                "There was not enough memory to paint at {size} px. Try again with a smaller size or quality.",
                size=size,
            )
        case WorkerLost():
            return gettext("Painting this picture failed several times. Try a lower quality, or another picture.")
        case NoWorkers():
            return gettext("Painting is not available right now. Try again in a minute.")
        case StorageFull():
            return gettext("The storage for pictures is full right now. Try again later.")
        case BlobLost():
            return gettext("The pictures of this job were lost. Send the command again.")
        case StorageFailed():
            return gettext("The storage for pictures is not available right now. Try again later.")
        case UnknownMethod(method=method):
            return f"This version of Atelier has no method {method}. It has: {', '.join(get_args(Method))}."
        case VersionMismatch(wanted=wanted, found=found):
            return f"The worker has version {found}, but the bot has {wanted}. Install the same version on both."
        case _:
            return str(error)


def _instead_of(kind: str, wording: Wording) -> str:  # noqa: PLR0911 - one return for each kind
    """What to send instead of a file that is one of :data:`engine.images.kinds.KINDS`."""
    gettext = wording.gettext
    match kind:
        case "HEIC":
            return gettext(
                "That is a HEIC photo, which I can't read. Send a screenshot of it, or set the camera to JPEG and take "
                "a new photo. iPhone: Settings → Camera → Formats → Most Compatible. Android: turn high efficiency off."
            )
        case "video":
            return gettext(
                "That is a video, which I can't read. Make a short GIF of it, and send that. Or send a screenshot."
            )
        case "web page":
            return gettext("That is a web page, not a picture. Open the picture itself, save it, and send that.")
        case "camera's raw":
            return gettext("That is a camera's raw file, which I can't read. Export it as PNG or JPEG, and send that.")
        case "icon":
            return gettext("That is an icon file, which I can't read. Export it as PNG or JPEG, and send that.")
        case "":
            return gettext("That file is not a picture that I can read. Send a PNG, JPEG, WebP, AVIF, GIF or BMP.")
        case _ if kind[0] in "ES":
            return gettext(
                "That is an {kind} file, which I can't read. Export it as PNG or JPEG, and send that.", kind=kind
            )
        case _:
            return gettext(
                "That is a {kind} file, which I can't read. Export it as PNG or JPEG, and send that.", kind=kind
            )


def dimensions(width: int, height: int) -> str:
    """A size, such as ``1920 × 1080``."""
    return f"{width} × {height}"


def truncated(shown: float, wording: Wording = ENGLISH) -> str:
    """A note about a painted picture whose file ends early.

    Args:
        shown: the share of the picture that is in the file: see :attr:`engine.images.codec.Picture.shown`.
        wording: the language.
    """
    if shown == 1:
        return wording.gettext("The file is incomplete, but only fine detail is missing.")
    return wording.gettext(
        "The file is incomplete: {percent} % of the picture is missing.", percent=max(1, round(100 * (1 - shown)))
    )


def ending(result: Result, wording: Wording = ENGLISH) -> str:
    """Why a painting ended."""
    ngettext, steps = wording.ngettext, result.steps
    if result.recipe.frames > 1 and result.ending == "stopped":
        return wording.gettext("Ended early: the last frames took fewer steps.")
    # One that continues another takes fewer steps than its recipe has.
    every = None if result.recipe.continues else result.recipe.steps
    match result.ending, every:
        case "settled", None:
            return ngettext(
                "The picture stopped changing after {count} step.",
                "The picture stopped changing after {count} steps.",
                steps,
            )
        case "settled", int():
            return ngettext(
                "The picture stopped changing after {steps} of {count} step.",
                "The picture stopped changing after {steps} of {count} steps.",
                every,
                steps=steps,
            )
        case "stopped", None:
            return ngettext("Stopped early after {count} step.", "Stopped early after {count} steps.", steps)
        case "stopped", int():
            return ngettext(
                "Stopped early after {steps} of {count} step.",
                "Stopped early after {steps} of {count} steps.",
                every,
                steps=steps,
            )
        case _:
            return ngettext("Finished after {count} step.", "Finished after {count} steps.", steps)


def painted(result: Result, ordered: Recipe) -> str:
    """A summary of a painting in one line, in English."""
    moves = f", {frames(result)}" if result.recipe.frames > 1 else ""
    size = f"{dimensions(result.width, result.height)} px{moves} in {result.seconds:.1f} s, recipe {result.recipe.id}."
    notes = (
        ending(result),
        reduced(result, ordered),
        not_found(result, result.recipe),
        first_frame(result, result.recipe),
    )
    return " ".join(filter(None, (size, *notes)))


def not_found(painting: Progress | Result, recipe: Recipe, wording: Wording = ENGLISH) -> str | None:
    """Why everything is painted, and not the part that the recipe names; None if the part is painted."""
    gettext = wording.gettext
    if not painting.not_found:
        return None
    match recipe.where:
        case "subject" | "background":
            return gettext("No clear subject was found, so everything is painted.")
        case "faces" | "not-faces":
            return gettext("No face was found, so everything is painted.")
        case "opaque":
            return gettext("The photo has no transparency, so everything is painted.")
        case _:
            return gettext("The mask leaves nothing to paint, so everything is painted.")


def frames(result: Result, wording: Wording = ENGLISH) -> str:
    """How many frames a painted clip has, and its content if that has more."""
    painted, every = result.recipe.frames, result.content_frames
    if painted < every:
        return wording.ngettext("{painted} of {count} frame", "{painted} of {count} frames", every, painted=painted)
    return wording.ngettext("{count} frame", "{count} frames", painted)


def first_frame(painting: Progress | Result, recipe: Recipe, wording: Wording = ENGLISH) -> str | None:
    """That a moving content is painted as a picture, or None: the content does not move, or is painted as a clip."""
    if recipe.frames > 1 or painting.content_frames == 1:
        return None
    if recipe.where != "everything":
        return wording.gettext("Only the first frame is painted, as you chose a part of it.")
    return wording.gettext("Only the first frame is painted.")


def still(wording: Wording = ENGLISH) -> str:
    """A note about a moving picture that is no content."""
    return wording.gettext("It moves. Only its first frame is used.")


def reduced(result: Result, ordered: Recipe, wording: Wording = ENGLISH) -> str | None:
    """Why a painting is smaller than ordered; None if it is not."""
    size = result.recipe.size
    if size >= ordered.size:
        return None
    return wording.gettext(
        "Painted at {size} px, because there was not enough memory for {ordered} px.", size=size, ordered=ordered.size
    )
