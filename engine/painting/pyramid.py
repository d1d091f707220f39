"""Coarse to fine: which sizes a painting goes through, and how Adam's learning rate falls at each."""

import math
from dataclasses import dataclass
from typing import Final

COARSEST: Final = 192
"""The longer side, in pixels, under which a scale would paint over the content instead of on it."""
LEARNING_RATE: Final = (0.06, 0.002)
"""From, to, within each scale, for pixels in [0, 1]."""
STRENGTH_PER_HALVING: Final = 50.0
"""The difference in strength for which the first of them halves."""
COARSE_STYLE_FACTOR: Final = 0.5
"""Factor on the style's weight for each halving: at a coarse scale the same weight turns houses into swirls."""


@dataclass(frozen=True, slots=True)
class Scale:
    """One size of the pyramid."""

    size: int
    """The longer side in pixels."""
    steps: int
    style_factor: float


def scales(size: int, steps: int) -> tuple[Scale, ...]:
    """Halve ``size`` down to :data:`COARSEST` and share ``steps`` equally, the rest going to the coarsest.

    With fewer steps than scales, the coarse scales are left out.
    """
    sizes = [size]
    while sizes[0] // 2 >= COARSEST and len(sizes) < steps:
        sizes.insert(0, sizes[0] // 2)
    each, rest = divmod(steps, len(sizes))
    finest = len(sizes) - 1
    return tuple(
        Scale(side, each + (rest if index == 0 else 0), COARSE_STYLE_FACTOR ** (finest - index))
        for index, side in enumerate(sizes)
    )


def first_learning_rate(strength: float) -> float:
    """Of a painting that begins with its content: 0.06 for a ``strength`` of 100, 0.03 for 50, 0.015 for next to none.

    The less style is asked for, the shorter is the way. Longer steps leave it, and what they stir up in plain areas,
    where neither loss minds it much, stays as grain.
    """
    return float(LEARNING_RATE[0] * 2 ** ((strength - 100) / STRENGTH_PER_HALVING))


def learning_rate(step: int, steps: int, first: float) -> float:
    """Cosine from ``first`` to the last of :data:`LEARNING_RATE`; ``step`` counts from 0 within a scale."""
    last = LEARNING_RATE[1]
    return last + (first - last) * (1 + math.cos(math.pi * step / steps)) / 2


def style_weight(strength: float) -> float:
    """The style loss's weight against the content loss's for a ``strength`` from 0 to 100: 0, then 0.1 to 230.

    The style loss of the unchanged content is 1, see :func:`engine.losses.objective.style_normalisation`. The weight in
    the middle is 5.
    """
    return 5 * 10 ** ((strength - 50) / 30) if strength > 0 else 0.0


def detail_weight(detail: float) -> float:
    """The weight of edges and self-similarity for a ``detail`` from 0 to 100: 0, then 0.1 to 10, against content 1."""
    return 10 ** ((detail - 50) / 50) if detail > 0 else 0.0
