"""What ``instant``, ``quick``, ``standard`` and ``fine`` stand for, by device and precision."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from engine.recipe import LARGEST_CLIP, Method, Recipe

Quality = Literal["instant", "quick", "standard", "fine"]
Tier = Literal["cuda", "cpu-bfloat16", "cpu-float32"]


@dataclass(frozen=True, slots=True)
class Preset:
    """The fields of a recipe that follow from a quality."""

    size: int
    """The longer side in pixels."""
    steps: int
    """Of the optimiser."""
    method: Method = "gatys"

    def fields(self, method: Method | None = None) -> dict[str, Any]:
        """The same as a dictionary, for :class:`engine.recipe.Recipe`.

        With another ``method``, unless either is ``instant``, which has a size and a number of steps of its own.
        """
        fields = asdict(self)
        return fields if method is None or "instant" in {method, self.method} else fields | {"method": method}


PRESETS: Final[Mapping[Tier, Mapping[Quality, Preset]]] = {
    "cuda": {
        "instant": Preset(768, 60, "instant"),
        "quick": Preset(512, 125, "neighbours"),
        "standard": Preset(1024, 200, "neighbours"),
        "fine": Preset(2048, 330, "neighbours"),
    },
    "cpu-bfloat16": {
        "instant": Preset(512, 12, "instant"),
        "quick": Preset(384, 40, "neighbours"),
        "standard": Preset(512, 78, "neighbours"),
        "fine": Preset(768, 126, "neighbours"),
    },
    "cpu-float32": {
        "instant": Preset(320, 9, "instant"),
        "quick": Preset(256, 26, "neighbours"),
        "standard": Preset(384, 48, "neighbours"),
        "fine": Preset(512, 66, "neighbours"),
    },
}
"""For each kind of worker. On two cores they take about 1, 6, 19 and 48 s with bfloat16, and 2, 13, 34 and 80 s with
AVX2 (docs/benchmarks.md). The row of GPUs aims at the first times. It is not measured.
"""


def tier(device: str, precision: str) -> Tier:
    """The row of :data:`PRESETS` for a device (``cpu`` or ``cuda``) and a precision (``float32`` or ``bfloat16``)."""
    if device == "cuda":
        return "cuda"
    return "cpu-bfloat16" if precision == "bfloat16" else "cpu-float32"


SMALLEST_CLIP: Final = 256
"""Pixels of the longer side from which on a clip is smaller than a picture of its quality."""
CLIP_SHARE: Final = 5 / 8
"""The size of a clip, as a share of that of a picture of the same quality."""
FEWEST_STEPS: Final = 40
"""Of the first frame of a clip."""


def with_frames(recipe: Recipe, frames: int) -> Recipe:
    """The recipe for a content with so many frames. A clip is smaller, so that it is painted in a minute or two.

    Only the first frame is painted where the recipe names a part of it.

    On two cores with bfloat16, clips of ``quick``, ``standard`` and ``fine`` have 256, 320 and 384 px.
    """
    if recipe.where != "everything":
        frames = 1
    if frames == 1 or recipe.frames > 1:
        return recipe.model_copy(update={"frames": frames})
    size = min(recipe.size, LARGEST_CLIP, max(SMALLEST_CLIP, round(CLIP_SHARE * recipe.size)))
    steps = max(recipe.steps, FEWEST_STEPS)
    method: Method = "gatys" if recipe.method == "instant" else recipe.method
    return recipe.model_copy(update={"frames": frames, "method": method, "size": size, "steps": steps, "continues": ""})
