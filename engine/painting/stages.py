"""The stages in which a clip is painted: each frame, and then the end, which leads back to the beginning."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.recipe import Recipe

if TYPE_CHECKING:
    from engine.images.animation import Clip

SHARE_OF_FRAME: Final = 0.1
"""The steps of a later frame of a clip, as a share of those of the first one."""
FEWEST_OF_FRAME: Final = 2
"""The steps of a later frame, at least, and after a request to finish."""
CLOSING: Final = 1 / 2
"""The share of the frames that approach the first one at the end of a clip that repeats."""
MOST_CLOSING: Final = 12
"""The number of these frames, at most."""
FIRST_CLOSING: Final = 0.5
"""How far the first frame then moves to the last one. It is crisper than the frames that were moved along."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the work: a frame is painted, or approaches the first one."""

    frame: int
    steps: int
    """0 for a frame that is equal to the one before."""
    closes: float = 0.0
    """How far the frame moves to the next one, which has approached the first one, or the first one to the last one; 0
    for a frame that is painted.
    """


def stages_of(clip: "Clip", recipe: Recipe) -> list[Stage]:
    """What to do, in this order."""
    frames, later = clip.frames, later_steps(recipe)
    count = len(frames)
    stages = [Stage(0, recipe.steps)]
    for index in range(1, count):
        stages.append(Stage(index, 0 if frames[index] is frames[index - 1] else later))
    closing = min(MOST_CLOSING, int(CLOSING * count)) if clip.plays != 1 else 0
    # Each frame takes over less of the first one than the frame after it, by an equal part.
    stages += [Stage(count - 1 - back, 0, (closing - back) / (closing + 1 - back)) for back in range(closing)]
    if closing and frames[1] is not frames[0]:
        stages.append(Stage(0, 0, FIRST_CLOSING))
    return stages


def later_steps(recipe: Recipe) -> int:
    """The steps of each frame of a clip after the first one."""
    return max(FEWEST_OF_FRAME, round(SHARE_OF_FRAME * recipe.steps))
