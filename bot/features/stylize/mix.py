"""Parses the option ``mix``: how much of each style."""

import re
from typing import Final

from bot.jobs.errors import MixUnusable

MAX_LENGTH: Final = 60
"""Characters."""
_SEPARATORS: Final = re.compile(r"[\s,;:/+]+")
_SHARE: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)%?")


def shares(mix: str | None, styles: int) -> tuple[float, ...]:
    """Parse ``70 30``, ``70% / 30%`` or ``0.7, 0.3`` into one weight for each style. None means equal shares: ``()``.

    Raises:
        MixUnusable: there is not one number for each style, or all are 0.
    """
    if mix is None:
        return ()
    read = [_SHARE.fullmatch(part) for part in _SEPARATORS.split(mix.strip())]
    weights = tuple(float(share[1]) for share in read if share)
    if not len(read) == len(weights) == styles or styles == 1 or not any(weights):
        raise MixUnusable(styles)
    return weights
