"""A recipe's strength and detail, as weights of losses and as a learning rate."""

from typing import Final

from engine.painting.pyramid import LEARNING_RATE

STRENGTH_PER_HALVING: Final = 50.0
"""The decrease in strength, from 50 on, that halves the first learning rate."""
MIN_STYLE_LOSS: Final = 0.05
"""The style loss of the content, see :func:`normalisation`, below which content and style count as similar."""


def style_weight(strength: float) -> float:
    """The weight of the style loss, relative to the content loss.

    The style loss is 1 for the unchanged content, see :func:`normalisation`.

    Args:
        strength: from 0 to 100.

    Returns:
        5 · 10^((strength - 50) / 30): from 0.1 over 5 at 50 to 230. 0 for a strength of 0.
    """
    return 5 * 10 ** ((strength - 50) / 30) if strength > 0 else 0.0


def neighbour_weights(strength: float) -> tuple[float, float]:
    """The weights of the two style losses of ``neighbours``, relative to the content loss.

    The loss of neighbours is about 0.6 for the unchanged content, and the other one 1.

    Args:
        strength: from 0 to 100.

    Returns:
        Of neighbours: 4.6 · 10^((strength - 50) / 60), from 0.7 to 31. Of Gram matrices: 2.1 · the same power.
    """
    power = 10 ** ((strength - 50) / 60) if strength > 0 else 0.0
    return 4.6 * power, 2.1 * power


def detail_weight(detail: float) -> float:
    """The weight of :class:`engine.losses.terms.StructureTerm`, relative to the content loss.

    Args:
        detail: from 0 to 100.

    Returns:
        10^((detail - 50) / 50): from 0.1 over 1 at 50 to 10. 0 for a detail of 0.
    """
    return 10 ** ((detail - 50) / 50) if detail > 0 else 0.0


def first_learning_rate(strength: float) -> float:
    """The learning rate of the first step at a scale, for a painting that starts from its content.

    A weak style changes the content little. Longer steps would leave grain in plain areas, which neither loss removes.
    A strong style gains nothing by longer steps either.

    Args:
        strength: from 0 to 100.

    Returns:
        0.042 · 2^((strength - 50) / 50), at most 0.042: from 0.021 to 0.042 at 50 and above.
    """
    return float(LEARNING_RATE[0] * 2 ** (min(0.0, strength - 50) / STRENGTH_PER_HALVING))


def kept_share(strength: tuple[float, float], stroke: tuple[float, float]) -> float:
    """How much of another painting's difference from the content a painting starts with that continues it.

    In the few steps that it takes, it would not remove all strokes of a stronger painting, to which the content loss is
    nearly blind, nor all strokes of another size.

    Args:
        strength: of the other painting and of this one, from 0 to 100; 0 if unknown.
        stroke: likewise.

    Returns:
        The ratio of the two strengths where this painting is the weaker one, times the ratio of the strokes' sizes.
        Ratios are at most 1.
    """
    share = min(1.0, strength[1] / strength[0]) if strength[0] else 1.0
    return share * min(stroke) / max(stroke) if stroke[0] else share


def normalisation(distance: float) -> tuple[float, float]:
    """The divisor of the style loss and the factor of the learning rate.

    After the division a strength has the same effect on every pair of pictures. The divisor has a lower bound, so that
    the division does not amplify noise where the distance is near 0, as for a picture in its own style. There the
    steps become shorter instead: longer ones would only add grain.

    Args:
        distance: the style loss of the unchanged content.

    Returns:
        max(distance, 0.05) and min(1, distance / 0.05).
    """
    return max(distance, MIN_STYLE_LOSS), min(1.0, distance / MIN_STYLE_LOSS)
