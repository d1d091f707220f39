"""The sizes and steps that ``quick``, ``standard`` and ``fine`` stand for, by device and precision."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Quality = Literal["quick", "standard", "fine"]
Tier = Literal["cuda", "cpu-bfloat16", "cpu-float32"]


@dataclass(frozen=True, slots=True)
class Preset:
    """A painting's longer side in pixels, and its steps of the optimiser."""

    size: int
    steps: int


PRESETS: Final[Mapping[Tier, Mapping[Quality, Preset]]] = {
    "cuda": {"quick": Preset(512, 150), "standard": Preset(1024, 240), "fine": Preset(2048, 400)},
    "cpu-bfloat16": {"quick": Preset(384, 50), "standard": Preset(512, 90), "fine": Preset(768, 150)},
    "cpu-float32": {"quick": Preset(256, 60), "standard": Preset(384, 60), "fine": Preset(512, 120)},
}
"""For each kind of worker. On two cores with bfloat16 they take about 20 s, 45 s and 150 s (docs/benchmarks.md).

The other rows aim at the same times. They are not measured.
"""


def tier(device: str, precision: str) -> Tier:
    """The row of :data:`PRESETS` for a device (``cpu`` or ``cuda``) and a precision (``float32`` or ``bfloat16``)."""
    if device == "cuda":
        return "cuda"
    return "cpu-bfloat16" if precision == "bfloat16" else "cpu-float32"
