"""How a painting runs: what ends it, what it reports, and where it begins."""

from collections.abc import Callable
from dataclasses import dataclass

from engine.painting.reporter import Pace
from engine.progress import StepLosses, StopToken

Save = Callable[[bytes], str | None]
"""Saves bytes and returns the name to find them by; None where that failed."""
Observe = Callable[[StepLosses], None]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of one run of a painting."""

    stop: StopToken | None = None
    """Ends the painting from outside."""
    pace: Pace = Pace()
    """The intervals between reports."""
    resume: bytes | None = None
    """A checkpoint of the same recipe, to resume from: a :class:`engine.painting.checkpoint.Checkpoint`, or a
    :class:`engine.painting.checkpoint.ClipCheckpoint` of a clip.
    """
    final_state: bytes | None = None
    """A :class:`engine.painting.checkpoint.FinalState` of any recipe, named by ``recipe.continues``. The painting
    starts from its image instead of ``recipe.start`` and without noise, and takes fewer steps: see
    :func:`engine.painting.pyramid.scales`. Not used for a clip.

    This and ``resume`` need a content of the same aspect ratio. Other bytes are logged, and the painting starts as
    without them.
    """
    save: Save | None = None
    """Saves states, under the names in :class:`engine.progress.Progress` and :class:`engine.progress.Result`. If it
    fails, the painting goes on.
    """
    max_bytes: int | None = None
    """Of the encoded result, as far as :func:`engine.images.encoding.encode_within` can make it so small."""
    observe: Observe | None = None
    """Called with the losses after each step of a picture, or of a frame that is painted as one. On a GPU each call
    waits for the step.
    """
