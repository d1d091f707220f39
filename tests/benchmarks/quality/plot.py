"""A plot of style against content."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.quality.painters import Painted
from tests.benchmarks.quality.report import Curve

MARKS: Final = "sXDP*v^"


def plotted(curves: Sequence[Curve], others: Mapping[str, Sequence[Painted]], path: Path) -> None:
    """Write a PNG with two panels: content against style, and style against strength.

    Args:
        curves: over strength; one colour for each pair, one dash for each contestant.
        others: paintings that have no strength, as points.
        path: of the PNG.

    Raises ``ImportError`` without matplotlib (extra ``benchmark``).
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 6), layout="constrained")
    contestants = list(dict.fromkeys(curve.contestant for curve in curves))
    colours = {name: f"C{number % 10}" for number, name in enumerate(dict.fromkeys(c.pair.name for c in curves))}
    dashes = dict(zip(contestants, ("-", "--", ":", "-.") * len(contestants), strict=False))
    for curve in curves:
        style = [painted.measures.style for painted in curve.paintings]
        relations = [painted.measures.relations for painted in curve.paintings]
        strengths = [painted.strength for painted in curve.paintings]
        look: dict[str, Any] = {"color": colours[curve.pair.name], "linestyle": dashes[curve.contestant], "marker": "."}
        label = f"{curve.contestant}, {curve.pair.name}"
        left.plot(style, relations, label=label, **look)
        right.plot(strengths, style, label=label, **look)
        for x, y, strength in zip(style, relations, strengths, strict=True):
            left.annotate(f"{strength:g}", (x, y), xytext=(3, 3), textcoords="offset points", fontsize=7)
    for mark, (name, paintings) in zip(MARKS * len(others), others.items(), strict=False):
        for painted in paintings:
            at = painted.measures.style, painted.measures.relations
            told = name if painted is paintings[0] else ""
            left.plot(*at, mark, color=colours.get(painted.pair.name, "grey"), label=told)
    left.set(xlabel="distance to the style, held out (content 1, style 0)",
             ylabel="distance from the content, relations (content 0, style 1)",
             title="what style costs; lower left is better")  # fmt: skip
    right.set(xlabel="strength", ylabel="distance to the style, held out", title="what strength means")
    for panel in (left, right):
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
