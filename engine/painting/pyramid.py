"""Coarse to fine: the scales of a painting, and the learning rate within a scale."""

import math
from dataclasses import dataclass
from typing import Final

COARSEST: Final = 192
"""The least longer side of a coarse scale, in pixels. At smaller scales the strokes would cover the content."""
LEARNING_RATE: Final = (0.06, 0.002)
"""The highest and the lowest learning rate, for pixels in [0, 1]."""
CONTINUED: Final = 0.35
"""The share of its steps that a painting takes which continues another one of its size."""
COARSE_STYLE_FACTOR: Final = 0.5
"""The factor on the style's weight for each halving of the size. Coarse scales would distort the content otherwise."""


@dataclass(frozen=True, slots=True)
class Scale:
    """One size of the pyramid."""

    size: int
    """The longer side in pixels."""
    steps: int
    style_factor: float
    """The factor on the style's weight, in (0, 1]."""


def scales(size: int, steps: int, continued: int = 0) -> tuple[Scale, ...]:
    """The scales of a painting, coarse to fine.

    Each size is half of the next one, and at least :data:`COARSEST`. The scales share the steps equally, and the
    coarsest one takes the remainder. With fewer steps than scales, the coarsest ones are left out.

    A painting that continues another one of its size takes :data:`CONTINUED` of the steps at each scale. One that
    continues a smaller one leaves out the scales up to the size of that one.

    Args:
        size: the longer side of the painting in pixels.
        steps: of all scales together, at least 1.
        continued: the size of the image that the painting starts from; 0 for one that starts from its pictures.
    """
    sizes = [size]
    while sizes[0] // 2 >= COARSEST and len(sizes) < steps:
        sizes.insert(0, sizes[0] // 2)
    each, rest = divmod(steps, len(sizes))
    if continued >= size:
        each, rest = max(1, round(CONTINUED * each)), 0
    elif continued:
        sizes, rest = [larger for larger in sizes if larger > continued], 0
    finest = len(sizes) - 1
    return tuple(
        Scale(side, each + (rest if index == 0 else 0), COARSE_STYLE_FACTOR ** (finest - index))
        for index, side in enumerate(sizes)
    )


def learning_rate(step: int, steps: int, first: float) -> float:
    """Cosine annealing from ``first`` to the lowest learning rate (Loshchilov and Hutter, ICLR 2017).

    Args:
        step: within a scale, from 0.
        steps: of the scale.
        first: the learning rate of step 0, see :func:`engine.painting.strength.first_learning_rate`.
    """
    last = LEARNING_RATE[1]
    return last + (first - last) * (1 + math.cos(math.pi * step / steps)) / 2
