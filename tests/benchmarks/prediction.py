"""The error of a painting's predicted end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FRACTIONS: Final = (0.1, 0.25, 0.5)
"""Shares of a painting's time at which its prediction is evaluated."""


@dataclass(frozen=True, slots=True)
class Told:
    """One prediction, in seconds since the painting began."""

    elapsed: float
    """When it was made."""
    total: float
    """When the painting was said to end."""


def errors(told: Sequence[Told], total: float) -> list[float]:
    """Of each prediction, relative to ``total``, the real whole time in seconds: 0.1 said a tenth too much."""
    return [each.total / total - 1 for each in told]


def error_at(told: Sequence[Told], total: float, fraction: float) -> float | None:
    """The error of what was known at that share of ``total``: the last prediction made until then, None before any."""
    until = [each for each in told if each.elapsed <= fraction * total]
    return errors(until[-1:], total)[0] if until else None
