"""The progress and the result of a painting, its files, and the token that stops it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from engine.errors import PaintingCancelled
from engine.recipe import Layer, Recipe


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("the text contains unprintable characters")
    return text


# The receiver validates these, because another machine may send anything.
Name = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Stills = Annotated[tuple[Positive, ...], Field(max_length=10)]


FileFormat = Literal["png", "webp", "jpeg", "gif"]
Quality = Annotated[int, Field(ge=1, le=100)]

THUMBNAIL_BYTES: Final = 100_000
"""The largest thumbnail of a result."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A result as a file, without metadata, and what was given up for its size."""

    data: bytes
    format: FileFormat
    quality: Quality | None = None
    """Of a lossy file, as Pillow counts it; None where each pixel is kept."""
    scaled_to: tuple[Positive, Positive] | None = None
    """Width and height of a picture that was scaled down; None where it was not."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One event of a running painting."""

    step: Positive
    """Steps done over all scales, 1 to ``steps``. Decreases only when another worker continues after a death."""
    steps: Positive
    scale: Positive
    """The longer side of the current scale, in pixels."""
    loss: float
    content_loss: float
    style_loss: float
    """The losses at this step, relative to their targets (see :mod:`engine.losses.objective`). The optimiser minimises
    ``loss``."""
    elapsed: Seconds
    """Seconds of painting, including those before a resumed checkpoint."""
    remaining: Seconds
    """Predicted seconds to the end."""
    preview: bytes | None = None
    """The present picture as JPEG, in the size of the result."""
    checkpoint: str | None = None
    """The name of a stored checkpoint of this step: see :mod:`engine.painting.checkpoint`."""
    device: Name = ""
    """The name of the device that paints, for people."""
    mask: bytes | None = None
    """The photo as JPEG, with a tint on the part that is painted, and another one on the rest if that has a style of
    its own: see ``Recipe.where``. In the first progress only.
    """
    not_found: bool = False
    """Whether the content lacks the part that ``Recipe.where`` names, so that everything is painted."""
    step_seconds: Seconds | None = None
    """The median duration of the last steps at this scale; None before the first one."""
    frame: Positive = 1
    """The frame of a clip that is being painted, from 1."""
    frames: Positive = 1
    """The frames of the clip; 1 for a picture."""
    content_frames: Positive = 1
    """The frames of the content's file, of which some may not be painted; 1 if it does not move."""
    stills: Stills = ()
    """The indices of the other pictures that move, in the order of :class:`engine.recipe.Inputs`: 1 is the first style.
    Only their first frames are used.
    """


@dataclass(frozen=True, slots=True)
class StepLosses:
    """The losses of the image before a step, layer by layer."""

    step: Positive
    """Counted over all scales, from 1."""
    scale: Positive
    """The longer side of the scale, in pixels."""
    layers: Mapping[str, Mapping[Layer, float]]
    """Each layer's loss without its weight, by the name of its term, such as ``content`` and ``style``. 0 at the
    target, about 1 for black.
    """


@dataclass(frozen=True, slots=True)
class Result:
    """A finished painting."""

    picture: bytes
    """The encoded picture, without metadata."""
    format: FileFormat
    width: int
    height: int
    recipe: Recipe
    """The ordered recipe, with a smaller ``size`` if the device had too little memory, and without ``continues`` if the
    painting started from its pictures, because the final state was lost.
    """
    steps: int
    """Steps done: fewer than the recipe's if ``ending`` is not ``finished`` or if the painting continued another one,
    and 0 if the style has no weight.
    """
    seconds: float
    ending: Literal["finished", "settled", "stopped"]
    """``finished``: all steps were done. ``settled``: the picture stopped changing (see ``Recipe.tolerance``).
    ``stopped``: it was asked to finish early, or the device had too little memory for the next scale.
    """
    shown: tuple[float | None, ...] = ()
    """The share of each picture that was in its file, the content's first: see
    :attr:`engine.images.codec.Picture.shown`. Empty if all files were complete.
    """
    quality: Quality | None = None
    """Of a lossy file: see :attr:`Encoded.quality`."""
    not_found: bool = False
    """Whether the content lacks the part that ``Recipe.where`` names, so that everything was painted."""
    content_frames: Positive = 1
    """As in :class:`Progress`."""
    stills: Stills = ()
    """Likewise."""
    checkpoint: str | None = None
    """The name under which the final state was saved, for another painting to start from: see
    :class:`engine.painting.checkpoint.FinalState`. None where it was not saved, or where the style has no weight.
    """
    thumbnail: Annotated[bytes, Field(max_length=THUMBNAIL_BYTES)] = b""
    """The picture as a small JPEG, for lists. Empty where it is not at hand."""


class StopToken:
    """A painting checks this token at each step, and between the layers within a step.

    Its methods can be called from another thread or from a signal handler.
    """

    def __init__(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        """``cancelled`` is another condition for cancellation. It is called often, so it must be fast."""
        self._also_cancelled = cancelled
        self._cancelled = False
        self.finishing = False
        self.pausing = False

    def pause(self) -> None:
        """Stop after the current step, with a checkpoint of it. The painting raises :class:`PaintingPaused`."""
        self.pausing = True

    def cancel(self) -> None:
        """Cancel the painting. It raises :class:`PaintingCancelled` within a fraction of a step."""
        self._cancelled = True

    def finish(self) -> None:
        """End the painting after the current step. Its present picture becomes the result."""
        self.finishing = True

    def check(self) -> None:
        """Raise :class:`PaintingCancelled` if the painting was cancelled."""
        if self._cancelled or self._also_cancelled():
            raise PaintingCancelled
