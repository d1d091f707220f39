"""What a painting tells while it is made, what it ends as, and how it is stopped."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from engine.errors import PaintingCancelled
from engine.recipe import Recipe


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a text with characters that can not be printed")
    return text


# The receiver validates these: another machine may send anything.
Name = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Progress:
    """One event of a running painting."""

    step: Positive
    """Steps done, 1 to ``steps``, over all scales. Goes back only where a worker died and another took over."""
    steps: Positive
    scale: Positive
    """The longer side, in pixels, that is worked on now."""
    loss: float
    content_loss: float
    style_loss: float
    """The losses at this step, each relative to its target (see :mod:`engine.losses.objective`); ``loss`` is what
    Adam sees."""
    elapsed: Seconds
    """Seconds since the painting began, those before a resumed checkpoint included."""
    remaining: Seconds
    """Predicted seconds to the end."""
    preview: bytes | None = None
    """The picture so far as JPEG, of the size that the result will have."""
    checkpoint: str | None = None
    """The name under which enough was kept to go on from this step: see :mod:`engine.painting.checkpoint`."""
    device: Name = ""
    """What people call the device that paints."""
    step_seconds: Seconds | None = None
    """The median of the last steps at this scale; None before the first."""


@dataclass(frozen=True, slots=True)
class Result:
    """A finished painting."""

    picture: bytes
    """The encoded picture, without metadata."""
    format: Literal["png", "jpeg"]
    width: int
    height: int
    recipe: Recipe
    """What was painted: the order's recipe, but for a smaller ``size`` where the device had too little memory."""
    steps: int
    """Steps done: fewer than the recipe's where ``ending`` is not ``finished``, none where the style has no weight."""
    seconds: float
    ending: Literal["finished", "settled", "stopped"]
    """All steps were done; the picture had stopped changing (see ``Recipe.tolerance``); it ended early, because
    somebody asked for that or the device had too little memory to go on.
    """
    shown: tuple[float | None, ...] = ()
    """How much of each picture was in its file, the content's first: see :attr:`engine.images.codec.Picture.shown`.
    Empty where all were whole.
    """


class StopToken:
    """A token that a painting looks at on each step, and between the layers within a step.

    Safe to use from another thread or from a signal handler.
    """

    def __init__(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        """``cancelled`` is asked too, cheaply and often: for example whether the scheduler still wants the result."""
        self._also_cancelled = cancelled
        self._cancelled = False
        self.finishing = False
        self.pausing = False

    def pause(self) -> None:
        """Stop after the step in hand with a checkpoint of it: the painting raises :class:`PaintingPaused`."""
        self.pausing = True

    def cancel(self) -> None:
        """Abandon the painting: it raises :class:`PaintingCancelled` within a fraction of a step."""
        self._cancelled = True

    def finish(self) -> None:
        """End the painting after the step in hand and keep the picture so far as its result."""
        self.finishing = True

    def check(self) -> None:
        """Raise :class:`PaintingCancelled` if somebody cancelled."""
        if self._cancelled or self._also_cancelled():
            raise PaintingCancelled
