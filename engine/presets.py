"""What ``quick``, ``standard`` and ``fine`` mean on what a worker computes with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Quality = Literal["quick", "standard", "fine"]
Tier = Literal["cuda", "cpu-bfloat16", "cpu-float32"]


@dataclass(frozen=True, slots=True)
class Effort:
    """How large, in pixels on the longer side, and in how many steps."""

    size: int
    steps: int


EFFORTS: Final[Mapping[Tier, Mapping[Quality, Effort]]] = {
    "cuda": {"quick": Effort(512, 150), "standard": Effort(1024, 240), "fine": Effort(2048, 400)},
    "cpu-bfloat16": {"quick": Effort(384, 50), "standard": Effort(512, 90), "fine": Effort(768, 150)},
    "cpu-float32": {"quick": Effort(256, 60), "standard": Effort(384, 60), "fine": Effort(512, 120)},
}
"""By what the worker computes with. Two cores with bfloat16 need about 20 s, 45 s and two and a half minutes (see
docs/benchmarks.md); the other rows aim at as much and are not measured yet.
"""


def tier(device: str, precision: str) -> Tier:
    """The row of :data:`EFFORTS` for a worker's device (``cpu`` or ``cuda``) and precision."""
    if device == "cuda":
        return "cuda"
    return "cpu-bfloat16" if precision == "bfloat16" else "cpu-float32"
