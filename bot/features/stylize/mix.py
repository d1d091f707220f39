"""Reading what a member typed to say how much of each style they want."""

import re
from typing import Final

from bot.jobs.errors import MixUnusable

LONGEST: Final = 60
"""Characters."""
_BETWEEN: Final = re.compile(r"[\s,;:/+]+")
_SHARE: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)%?")


def shares(mix: str | None, styles: int) -> tuple[float, ...]:
    """``70 30``, ``70% / 30%`` or ``0.7, 0.3`` as weights of so many styles; empty, for equal shares, where nothing is
    said.

    Raises:
        MixUnusable: not a number for each, or none above 0.
    """
    if mix is None:
        return ()
    read = [_SHARE.fullmatch(part) for part in _BETWEEN.split(mix.strip())]
    weights = tuple(float(share[1]) for share in read if share)
    if not len(read) == len(weights) == styles or styles == 1 or not any(weights):
        raise MixUnusable(styles)
    return weights
