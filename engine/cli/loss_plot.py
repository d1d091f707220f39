"""A plot of each layer's loss over the steps, as SVG: a panel for each layer, a line for each balance of the layers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Final

from engine.progress import StepLosses
from engine.recipe import Balance, Layer

_COLUMNS: Final = 3
_WIDTH, _HEIGHT = 260, 170
_LEFT, _TOP, _RIGHT, _BOTTOM = 64, 124, 24, 48
"""Margins around the panels."""
_ACROSS, _DOWN = 56, 84
"""Gaps between the panels."""
_MOST_POINTS: Final = 2 * _WIDTH
"""Of a line."""
_PAD: Final = 0.15
"""The decades of the axis of losses beyond the smallest and the largest one."""
_EXPLANATION: Final = (
    "The loss of each layer without its weight: 0 at the target, about 1 for black. Numbers: at the last step."
)
_TICKS: Final = 5
"""The most labels of an axis."""
_CSS: Final = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.ground { fill: #ffffff } .soft { fill: #59636e } .large { font-size: 16px }
.frame { fill: none; stroke: #818b98 } .grid { stroke: #d1d9e0 } .scale { stroke: #818b98; stroke-dasharray: 2 3 }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round }
.fixed { stroke: #0969da } .dynamic { stroke: #bc4c00; stroke-dasharray: 5 2 }
text.fixed, text.dynamic { stroke: none } text.fixed { fill: #0969da } text.dynamic { fill: #bc4c00 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .ground { fill: #0d1117 } .soft { fill: #9198a1 }
  .frame { stroke: #656c76 } .grid { stroke: #3d444d } .scale { stroke: #9198a1 }
  .fixed { stroke: #58a6ff } .dynamic { stroke: #ffa657 } text.fixed { fill: #58a6ff } text.dynamic { fill: #ffa657 }
}
"""

Losses = Mapping[Balance, Sequence[StepLosses]]
Key = tuple[str, Layer]
"""A term and one of its layers."""


def plot(losses: Losses, title: str) -> str:
    """An SVG document, readable on light and on dark ground.

    Args:
        losses: of one painting by each balance, or of one only, step by step. At least one step.
        title: what was painted.
    """
    longest = max(losses.values(), key=len)
    keys = [(term, layer) for term, layers in longest[0].layers.items() for layer in layers]
    rows = math.ceil(len(keys) / _COLUMNS)
    width = _LEFT + _COLUMNS * (_WIDTH + _ACROSS) - _ACROSS + _RIGHT
    height = _TOP + rows * (_HEIGHT + _DOWN) - _DOWN + _BOTTOM
    axes = _Axes(losses, keys)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        f' role="img"><title>{escape(title)}: the loss of each layer over the steps</title><style>{_CSS}</style>',
        f'<rect class="ground" width="{width}" height="{height}"/>',
        _text(_LEFT, 30, title, "large"),
        *_legend(losses),
        _text(_LEFT, 76, _EXPLANATION, "soft"),
    ]
    for number, key in enumerate(keys):
        row, column = divmod(number, _COLUMNS)
        x, y = _LEFT + column * (_WIDTH + _ACROSS), _TOP + row * (_HEIGHT + _DOWN)
        parts += [f'<g transform="translate({x} {y})">', *axes.panel(key), "</g>"]
    return "\n".join([*parts, "</svg>\n"])


class _Axes:
    """The axes that all panels share: steps to the right, and the logarithm of the loss upwards."""

    def __init__(self, losses: Losses, keys: Sequence[Key]) -> None:
        self._losses = losses
        longest = max(losses.values(), key=len)
        self._first, self._last = longest[0].step, max(longest[-1].step, longest[0].step + 1)
        found = [_loss(step, key) for steps in losses.values() for step in steps for key in keys]
        shown = [value for value in found if value > 0 and math.isfinite(value)] or [1.0]
        self._low, self._high = math.log10(min(shown)) - _PAD, math.log10(max(shown)) + _PAD
        self._scales = [(self._first, longest[0].scale)] + [
            (after.step, after.scale) for before, after in pairwise(longest) if after.scale != before.scale
        ]

    def _x(self, step: float) -> float:
        return _WIDTH * (step - self._first) / (self._last - self._first)

    def _y(self, loss: float) -> float:
        share = (math.log10(max(loss, 10.0**self._low)) - self._low) / (self._high - self._low)
        return _HEIGHT * (1 - share)

    def panel(self, key: Key) -> Iterator[str]:
        """One layer, with its upper left corner at 0, 0."""
        yield _text(0, -24, " ".join(key))
        yield _text(-6, -6, "loss", "soft", "end")
        for loss in _round_losses(self._low, self._high):
            y = self._y(loss)
            yield f'<path class="grid" d="M0 {y:.1f}H{_WIDTH}"/>'
            yield _text(-6, y + 4, f"{loss:g}", "soft", "end")
        for step in _round_steps(self._first, self._last):
            x = self._x(step)
            yield f'<path class="frame" d="M{x:.1f} {_HEIGHT}v4"/>'
            yield _text(x, _HEIGHT + 18, f"{step}", "soft", "middle")
        yield _text(_WIDTH, _HEIGHT + 34, "step", "soft", "end")
        for step, size in self._scales:
            x = self._x(step)
            yield f'<path class="scale" d="M{x:.1f} 0V{_HEIGHT}"/>'
            yield _text(x, -6, f"{size} px" if step == self._first else f"{size}", "soft")
        yield f'<rect class="frame" width="{_WIDTH}" height="{_HEIGHT}"/>'
        at = _WIDTH
        for balance, steps in reversed(list(self._losses.items())):
            if steps:
                yield self._line(balance, steps, key)
                yield _text(at, -24, f"{_loss(steps[-1], key):.2g}", balance, "end")
                at -= 56

    def _line(self, balance: Balance, steps: Sequence[StepLosses], key: Key) -> str:
        every = math.ceil(len(steps) / _MOST_POINTS)
        points = [(step.step, _loss(step, key)) for step in (*steps[:-1:every], steps[-1])]
        drawn = " ".join(f"{self._x(step):.1f},{self._y(loss):.1f}" for step, loss in points if math.isfinite(loss))
        return f'<polyline class="line {balance}" points="{drawn}"/>'


def _loss(step: StepLosses, key: Key) -> float:
    term, layer = key
    return step.layers[term][layer]


def _round_losses(low: float, high: float) -> list[float]:
    """The labels of an axis from 10^low to 10^high: powers of ten, or on a short axis also 2 and 5 times those."""
    powers = range(math.floor(low), math.ceil(high) + 1, math.ceil((high - low) / _TICKS))
    digits = (1,) if high - low > 2 else (1, 2, 5)
    return [digit * 10.0**power for power in powers for digit in digits if low < math.log10(digit) + power < high]


def _round_steps(first: int, last: int) -> range:
    """The labels of an axis of steps."""
    sizes = (digit * 10**power for power in range(6) for digit in (1, 2, 5))
    every = next(size for size in sizes if size * _TICKS >= last - first)
    return range(-(-first // every) * every, last + 1, every)


def _legend(losses: Losses) -> Iterator[str]:
    """The lines and their names."""
    for number, balance in enumerate(each for each, steps in losses.items() if steps):
        x = _LEFT + 170 * number
        yield f'<path class="line {balance}" d="M{x} 48h32"/>' + _text(x + 40, 52, f"{balance} weights")


def _text(x: float, y: float, words: str, style: str = "", anchor: str = "start") -> str:
    return f'<text class="{style}" text-anchor="{anchor}" x="{x:g}" y="{y:g}">{escape(words)}</text>'
