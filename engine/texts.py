"""English texts for the engine's errors and results, for members and for the command line."""

from typing import get_args

from engine.errors import (
    AtelierError,
    BlobLost,
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
from engine.progress import Result
from engine.recipe import Method, Recipe

MEBIBYTE = 2**20


def explain(error: AtelierError) -> str:  # noqa: PLR0911, PLR0912 - one return for each error is the clearest form
    """What is wrong and what to do about it. The message of an :class:`engine.errors.OperatorError` stays as it is."""
    match error:
        case NotAPicture(kind=kind):
            return _instead_of(kind)
        case PictureTooLarge(measure="bytes", limit=limit):
            return f"The file is too large. Send one under {limit // MEBIBYTE} MB."
        case PictureTooLarge(measure="pixels", limit=limit):
            return f"The picture has too many pixels. Scale it down to under {limit // 1_000_000} megapixels."
        case PictureTooLarge(limit=limit):
            return f"The picture is too large. Scale it down to at most {limit:,} px on each side."
        case PictureTooSmall(width=width, height=height, least=least):
            return f"The picture is too small: {width} × {height} px. Send one of at least {least} px on each side."
        case PictureTooNarrow(limit=limit):
            return f"The picture is too narrow. Crop it so that its long side is at most {limit} times the short one."
        case PictureTruncated():
            return "The file is incomplete, and too much of the picture is missing. Send the whole file."
        case PictureTransparent():
            return "The picture is completely transparent. Send one that shows something."
        case PictureDamaged():
            return "The file is damaged. Send it again, or open it, save it again, and send that."
        case PaintingCancelled():
            return "Cancelled."
        case PaintingPaused():
            return "Paused. It continues automatically."
        case OutOfMemory(size=size):
            return f"There was not enough memory to paint at {size} px. Try again with a smaller size or quality."
        case WorkerLost():
            return "Painting this picture failed several times. Try a lower quality, or another picture."
        case NoWorkers():
            return "Painting is not available right now. Try again in a minute."
        case StorageFull():
            return "The storage for pictures is full right now. Try again later."
        case BlobLost():
            return "The pictures of this job were lost. Send the command again."
        case StorageFailed():
            return "The storage for pictures is not available right now. Try again later."
        case UnknownMethod(method=method):
            return f"This version of Atelier has no method {method}. It has: {', '.join(get_args(Method))}."
        case VersionMismatch(wanted=wanted, found=found):
            return f"The worker has version {found}, but the bot has {wanted}. Install the same version on both."
        case _:
            return str(error)


def _instead_of(kind: str) -> str:
    """What to send instead of a file that is one of :data:`engine.images.kinds.KINDS`."""
    match kind:
        case "HEIC":
            return (
                "That is a HEIC photo, which I can't read. Send a screenshot of it, or set the camera to JPEG and take "
                "a new photo. iPhone: Settings → Camera → Formats → Most Compatible. Android: turn high efficiency off."
            )
        case "video":
            return "That is a video. Send a screenshot of it."
        case "web page":
            return "That is a web page, not a picture. Open the picture itself, save it, and send that."
        case "":
            return "That file is not a picture that I can read. Send a PNG, JPEG, WebP, AVIF, GIF or BMP."
        case _:
            article = "an" if kind[0] in "ESi" else "a"
            return f"That is {article} {kind} file, which I can't read. Export it as PNG or JPEG, and send that."


def truncated(shown: float) -> str:
    """A note about a painted picture whose file ends early.

    Args:
        shown: the share of the picture that is in the file: see :attr:`engine.images.codec.Picture.shown`.
    """
    if shown == 1:
        return "The file is incomplete, but only fine detail is missing."
    return f"The file is incomplete: {max(1, round(100 * (1 - shown)))} % of the picture is missing."


def ending(result: Result) -> str:
    """Why a painting ended."""
    of_all = f"after {result.steps:,} of {result.recipe.steps:,} steps"
    if result.recipe.continues:  # it takes fewer steps than the recipe has
        of_all = f"after {result.steps:,} {'step' if result.steps == 1 else 'steps'}"
    match result.ending:
        case "settled":
            return f"The picture stopped changing {of_all}."
        case "stopped":
            return f"Stopped early {of_all}."
        case "finished":
            return f"Finished after {result.steps:,} {'step' if result.steps == 1 else 'steps'}."


def painted(result: Result, ordered: Recipe) -> str:
    """A summary of a painting in one line."""
    size = f"{result.width} × {result.height} px in {result.seconds:.1f} s, recipe {result.recipe.id}."
    return " ".join(filter(None, (size, ending(result), reduced(result, ordered))))


def reduced(result: Result, ordered: Recipe) -> str | None:
    """Why a painting is smaller than ordered; None if it is not."""
    size = result.recipe.size
    if size >= ordered.size:
        return None
    return f"Painted at {size:,} px, because there was not enough memory for {ordered.size:,} px."
