"""Coarse to fine: the scales of a painting, and the learning rate within a scale."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from engine.recipe import SMALLEST_SIZE, Layer, Method

COARSEST: Final = 96
"""The least longer side of a coarse scale, in pixels. At smaller scales the strokes would cover the content."""
COARSER: Final = 17 / 32
"""The size of a scale, relative to the next one. Edges lie between pixels. From half of the size, all of them would
come to lie between an odd and an even pixel of the next one, which shows as a weave.
"""
LEARNING_RATE: Final = (0.042, 0.002)
"""The highest and the lowest learning rate, for pixels in [0, 1]."""
HELD: Final = 0.15
"""The share of a scale's steps that have the first learning rate."""
CONTINUED: Final = 0.3
"""The share of its steps that a painting takes if it continues another one of its size."""
WORTH_PAINTING: Final = 1.25
"""The size from which on a painting takes a scale, relative to the image that it continues."""
COARSE_STYLE_FACTOR: Final = 0.5
"""The factor on the style's weight for each coarser scale. Coarse scales would distort the content otherwise."""
STRONG_STYLE_DECADE: Final = 120.0
"""The strength beyond 50 that divides this factor by ten, so that a strong style keeps faces recognisable, too."""

INSTANT_STYLE_FACTORS: Final = (1.5, 3.0)
"""The same for the two scales of ``instant``, which has too few steps to distort the content."""
INSTANT_LAYER_FACTORS: Final[Mapping[Layer, float]] = {"relu1_1": 0.5, "relu3_1": 2.0, "relu4_1": 2.0, "relu5_1": 0.5}
"""Few steps bring the layers of strokes nearest to the style if these weigh most. The start has the colours already."""


@dataclass(frozen=True, slots=True)
class Scale:
    """One size of the pyramid."""

    size: int
    """The longer side in pixels."""
    steps: int
    style_factor: float
    """The factor on the style's weight, in (0, 1]."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a method goes from the coarsest scale to the size of the painting."""

    scales: Callable[[int, int, int, float], tuple[Scale, ...]]
    """The scales, coarse to fine, for the arguments of :func:`scales`."""
    bands: tuple[float, float]
    """The share of the first image's detail that is added to an enlarged image: between two scales, and after the last
    one. The detail is what the first image has at the larger size beyond the smaller one.
    """
    learning_rate_factor: float = 1.0
    """On :func:`engine.painting.strength.first_learning_rate`."""
    style_layer_factors: Mapping[Layer, float] = field(default_factory=dict)
    """On the recipe's weights of style layers; 1 for the others."""
    step_cost: float = 1.0
    """The time of a step, in steps of ``gatys`` at the same size."""


def scales(size: int, steps: int, continued: int = 0, strength: float = 50) -> tuple[Scale, ...]:
    """The scales of a painting by ``gatys``.

    Each size is :data:`COARSER` times the next one, and at least :data:`COARSEST`. The scales share the steps equally,
    and the coarsest one takes the remainder. With fewer steps than scales, the coarsest ones are left out.

    A painting that continues another one of its size takes :data:`CONTINUED` of the steps at each scale. One that
    continues a smaller one leaves out the scales that are not :data:`WORTH_PAINTING` times as large as that one.

    Args:
        size: the longer side of the painting in pixels.
        steps: of all scales together, at least 1.
        continued: the size of the image that the painting starts from; 0 for one that starts from its pictures.
        strength: from 0 to 100.
    """
    sizes = [size]
    while (coarser := round(COARSER * sizes[0])) >= COARSEST and len(sizes) < steps:
        sizes.insert(0, coarser)
    each, rest = divmod(steps, len(sizes))
    if continued >= size:
        each, rest = max(1, round(CONTINUED * each)), 0
    elif continued:
        sizes, rest = [*(each for each in sizes[:-1] if each >= WORTH_PAINTING * continued), size], 0
    finest = len(sizes) - 1
    factor = COARSE_STYLE_FACTOR / 10 ** (max(0.0, strength - 50) / STRONG_STYLE_DECADE)
    return tuple(
        Scale(side, each + (rest if index == 0 else 0), factor ** (finest - index)) for index, side in enumerate(sizes)
    )


def instant_scales(size: int, steps: int, continued: int = 0, strength: float = 50) -> tuple[Scale, ...]:
    """The scales of a painting by ``instant``: a quarter and half of its size, so no step takes long.

    The coarser scale takes two thirds of the steps. ``size`` and ``steps`` are those of :func:`scales`; the other
    arguments change nothing.
    """
    fine, coarse = (max(SMALLEST_SIZE, size // divisor) for divisor in (2, 4))
    last = steps if coarse == fine else max(1, steps // 3)
    small = (Scale(coarse, steps - last, INSTANT_STYLE_FACTORS[0]),) if steps > last else ()
    return (*small, Scale(fine, last, INSTANT_STYLE_FACTORS[1]))


def neighbour_scales(size: int, steps: int, continued: int = 0, strength: float = 50) -> tuple[Scale, ...]:
    """The scales of a painting by ``neighbours``: as :func:`scales`, with the whole weight of the style at each."""
    return tuple(replace(scale, style_factor=1.0) for scale in scales(size, steps, continued, strength))


SCHEDULES: Final[Mapping[Method, Schedule]] = {
    "gatys": Schedule(scales, bands=(0.5, 0.5)),
    "neighbours": Schedule(neighbour_scales, bands=(0.5, 0.5), learning_rate_factor=0.7, step_cost=1.2),
    "instant": Schedule(
        instant_scales,
        bands=(1.0, 0.6),
        learning_rate_factor=1.5,
        style_layer_factors=INSTANT_LAYER_FACTORS,
    ),
}


def learning_rate(step: int, steps: int, first: float) -> float:
    """``first`` for :data:`HELD` of the steps, then cosine annealing to the lowest learning rate.

    Annealing: Loshchilov and Hutter (ICLR 2017).

    Args:
        step: within a scale, from 0.
        steps: of the scale.
        first: the learning rate of step 0, see :func:`engine.painting.strength.first_learning_rate`.
    """
    last = LEARNING_RATE[1]
    fallen = max(0.0, step / steps - HELD) / (1 - HELD)
    return last + (first - last) * (1 + math.cos(math.pi * fallen)) / 2
