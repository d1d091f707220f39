"""Reports on paintings: means, curves over strength, and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import fmean
from typing import Final

from rich.table import Table

from tests.benchmarks.quality.painters import Painted
from tests.benchmarks.quality.pictures import Pair

COLUMNS: Final = {
    "style": "style\n1 → 0",
    "relations": "relations\n0 → 1",
    "ssim": "SSIM",
    "colours": "colours\nto style",
    "flat": "flat\ngrey",
    "grain": "grain",
    "weave": "weave:\nmean, most",
    "added_weave": "of it\nadded",
    "speckle": "speckle\nin greys",
}
"""Of :class:`tests.benchmarks.measures.Measures`, to its heading."""
EXPLAINED: Final = (
    "style: mean and covariance at relu2_2, relu3_4, relu4_4, the content's being 1. relations (self-similarity at "
    "relu3_4, relu4_4): from the content, the style picture's being 1. colours: sliced Wasserstein in Oklab. "
    "flat grey: beyond the style. grain: times theirs. weave: even against odd pixels; added: beyond the "
    "content's. speckle: beyond both, in plain places, grey levels."
)


def mean(paintings: Sequence[Painted]) -> dict[str, float]:
    """Each measure's mean over ``paintings``."""
    numbers = [asdict(painted.measures) for painted in paintings]
    return {name: fmean(each[name] for each in numbers) for name in COLUMNS}


def of_pairs(paintings: Sequence[Painted], pairs: Sequence[Pair]) -> list[Painted]:
    """Those of ``paintings`` that are of one of ``pairs``."""
    return [painted for painted in paintings if painted.pair in pairs]


def overview(groups: Mapping[str, Sequence[Painted]], title: str) -> Table:
    """A line of means for each group."""
    table = Table("", *COLUMNS.values(), "seconds", title=title, caption=EXPLAINED, caption_justify="left")
    for name, paintings in groups.items():
        numbers = {key: f"{value:.2f}" for key, value in mean(paintings).items()}
        numbers["flat"] = f"{fmean(each.measures.flat for each in paintings):.1%}"
        for key in ("weave", "added_weave"):
            values = [getattr(painted.measures, key) for painted in paintings]
            numbers[key] = f"{fmean(values):.1%}, {max(values):.1%}"
        table.add_row(name, *numbers.values(), f"{fmean(each.seconds for each in paintings):.1f}")
    return table


@dataclass(frozen=True, slots=True)
class Curve:
    """One contestant's paintings of one pair at several strengths."""

    contestant: str
    pair: Pair
    paintings: tuple[Painted, ...]
    """From the least strength to the most."""

    def at_style(self, style: float) -> tuple[float, float] | None:
        """Relations and SSIM where the curve first has the style distance ``style``, by straight lines between its
        strengths; None where it never has.
        """
        for before, after in pairwise(self.paintings):
            first, last = before.measures, after.measures
            if first.style >= style >= last.style:
                share = (first.style - style) / (first.style - last.style) if first.style > last.style else 0.0
                return (
                    first.relations + share * (last.relations - first.relations),
                    first.ssim + share * (last.ssim - first.ssim),
                )
        return None


def same_table(curves: Sequence[Curve], paintings: Sequence[Painted]) -> Table:
    """Who keeps more of the content at one style distance: relations (lower is better) and SSIM (higher is)."""
    table = Table("painting by", "pair", "style", "its relations, SSIM", "as near", "its relations, SSIM",
                  title="content at the same style distance, between the curve's strengths")  # fmt: skip
    for painted in paintings:
        own = painted.measures
        for curve in curves:
            if curve.pair is painted.pair and curve.contestant != painted.contestant:
                other = curve.at_style(own.style)
                table.add_row(
                    *(
                        painted.contestant,
                        painted.pair.name,
                        f"{own.style:.2f}",
                        f"{own.relations:.2f}, {own.ssim:.2f}",
                    ),
                    *(curve.contestant, "{:.2f}, {:.2f}".format(*other) if other else "—"),
                )
    return table


def curve_table(curves: Sequence[Curve]) -> Table:
    """Strengths from left to right: the style distance at each."""
    strengths = [f"{painted.strength:g}" for painted in curves[0].paintings]
    table = Table("", "pair", *strengths, title="distance from the style over strength")
    for curve in curves:
        table.add_row(curve.contestant, curve.pair.name, *(f"{each.measures.style:.2f}" for each in curve.paintings))
    return table


def by_style(paintings: Sequence[Painted]) -> dict[str, float]:
    """For each style picture the mean style distance of ``paintings`` in it, over contents."""
    found: dict[str, list[float]] = {}
    for painted in paintings:
        found.setdefault(painted.pair.style.name, []).append(painted.measures.style)
    return {name: fmean(distances) for name, distances in found.items()}


def spread(distances: Mapping[str, float]) -> float:
    """From the least of :func:`by_style` to the most: 0 where a strength means the same for each style picture."""
    return max(distances.values()) - min(distances.values())


def comparability(groups: Mapping[str, Sequence[Painted]]) -> Table:
    """Whether one strength means the same for each style picture."""
    names = list(by_style(next(iter(groups.values()))))
    table = Table("", *names, "spread", title="style distance by style picture, mean over contents")
    for name, paintings in groups.items():
        distances = by_style(paintings)
        told = (f"{distances[style]:.2f}" if style in distances else "" for style in names)
        table.add_row(name, *told, f"{spread(distances):.2f}")
    return table
