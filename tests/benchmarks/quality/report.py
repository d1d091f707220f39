"""Reports on paintings: means, curves over strength, tables and data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any, Final

from rich.table import Table

from tests.benchmarks.quality.painters import Painted
from tests.benchmarks.quality.pictures import Pair

COLUMNS: Final = {
    "style": "style\n1 → 0",
    "relu4_2": "relu4_2\n0 → 1",
    "relations": "relations\n0 → 1",
    "ssim": "SSIM",
    "colours_style": "colours\nto style",
    "colours_content": "colours to\ncontent",
    "clipped": "clipped",
    "flat": "flat\ngrey",
    "frame": "frame",
    "grain": "grain",
}
"""Of :class:`tests.benchmarks.measures.Measures`, to its heading."""
SHARES: Final = {"clipped", "flat"}
EXPLAINED: Final = (
    "style: mean and covariance at relu2_2, relu3_4, relu4_4, the content's being 1. relu4_2 and relations "
    "(self-similarity at relu3_4, relu4_4): from the content, the style picture's being 1. colours: sliced Wasserstein "
    "in Oklab. clipped, frame: beyond content and style. flat grey: beyond the style. grain: times theirs."
)


def written(name: str, value: float) -> str:
    """A measure as the tables have it."""
    return f"{value:.1%}" if name in SHARES else f"{value:.3f}" if name == "frame" else f"{value:.2f}"


def mean(paintings: Sequence[Painted]) -> dict[str, float]:
    """Each measure's mean over ``paintings``."""
    numbers = [painted.measures.numbers() for painted in paintings]
    return {name: fmean(each[name] for each in numbers) for name in COLUMNS}


def of_pairs(paintings: Sequence[Painted], pairs: Sequence[Pair]) -> list[Painted]:
    """Those of ``paintings`` that are of one of ``pairs``."""
    names = {pair.name for pair in pairs}
    return [painted for painted in paintings if painted.pair.name in names]


def overview(groups: Mapping[str, Sequence[Painted]], title: str) -> Table:
    """A line of means for each group."""
    table = Table("", *COLUMNS.values(), title=title, caption=EXPLAINED, caption_justify="left")
    for name, paintings in groups.items():
        table.add_row(name, *(written(key, value) for key, value in mean(paintings).items()))
    return table


def each(paintings: Sequence[Painted], title: str) -> Table:
    """A line for each painting."""
    table = Table("content", "style", *COLUMNS.values(), title=title)
    for painted in paintings:
        numbers = painted.measures.numbers()
        pair = painted.pair
        table.add_row(pair.content.name, pair.style.name, *(written(key, numbers[key]) for key in COLUMNS))
    return table


@dataclass(frozen=True, slots=True)
class Curve:
    """One contestant's paintings of one pair at several strengths."""

    contestant: str
    pair: Pair
    paintings: tuple[Painted, ...]
    """From the least strength to the most."""

    @property
    def worst_rise(self) -> float:
        """The most by which the style distance grows from one strength to the next larger one; 0 where it never does:
        ``strength`` is then monotone.
        """
        distances = [painted.measures.style for painted in self.paintings]
        return max((max(0.0, after - before) for before, after in pairwise(distances)), default=0.0)

    def at_style(self, style: float) -> dict[str, float] | None:
        """Relations and SSIM where the curve first has the style distance ``style``, by straight lines between its
        strengths; None where it never has.
        """
        for before, after in pairwise(self.paintings):
            first, last = before.measures, after.measures
            if first.style >= style >= last.style:
                share = (first.style - style) / (first.style - last.style) if first.style > last.style else 0.0
                return {
                    "relations": first.relations + share * (last.relations - first.relations),
                    "ssim": first.ssim + share * (last.ssim - first.ssim),
                }
        return None


@dataclass(frozen=True, slots=True)
class Same:
    """What a painting costs in content, and what others cost that are as near to the style."""

    painted: Painted
    others: Mapping[str, Mapping[str, float] | None]
    """By contestant with a curve of the pair: see :meth:`Curve.at_style`."""

    def data(self) -> dict[str, Any]:
        """For JSON."""
        numbers = self.painted.numbers()
        own = {key: numbers[key] for key in ("contestant", "content_picture", "style_picture", "strength", "style")}
        return own | {"relations": numbers["relations"], "ssim": numbers["ssim"], "others": dict(self.others)}


def at_same_style(curves: Sequence[Curve], paintings: Sequence[Painted]) -> list[Same]:
    """Each of ``paintings`` of whose pair there are curves of others."""
    found = []
    for painted in paintings:
        others = {
            curve.contestant: curve.at_style(painted.measures.style)
            for curve in curves
            if curve.pair is painted.pair and curve.contestant != painted.contestant
        }
        if others:
            found.append(Same(painted, others))
    return found


def same_table(compared: Sequence[Same]) -> Table:
    """Who keeps more of the content at one style distance: relations (lower is better) and SSIM (higher is)."""
    names = list(dict.fromkeys(name for each in compared for name in each.others))
    table = Table("painting by", "pair", "style", "its relations, SSIM", *(f"{name} as near" for name in names),
                  title="content at the same style distance, between the curve's strengths")  # fmt: skip
    for each in compared:
        own = each.painted.measures
        told = [f"{own.relations:.2f}, {own.ssim:.2f}"]
        for name in names:
            other = each.others.get(name)
            told.append(f"{other['relations']:.2f}, {other['ssim']:.2f}" if other else "—")
        table.add_row(each.painted.contestant, each.painted.pair.name, f"{own.style:.2f}", *told)
    return table


def curve_table(curves: Sequence[Curve]) -> Table:
    """Strengths from left to right; under each other what is asked for and what it costs."""
    strengths = [painted.strength for painted in curves[0].paintings]
    table = Table("", "pair", "", *(f"{strength:g}" for strength in strengths), "monotone", title="over strength")
    for curve in curves:
        for measure in ("style", "relations", "ssim"):
            first = measure == "style"
            rises = f"no: +{curve.worst_rise:.3f}" if curve.worst_rise else "yes"
            table.add_row(
                curve.contestant if first else "",
                curve.pair.name if first else "",
                measure,
                *(written(measure, painted.measures.numbers()[measure]) for painted in curve.paintings),
                rises if first else "",
                end_section=measure == "ssim",
            )
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
    table = Table("", "strength", *names, "spread", title="style distance by style picture, mean over contents")
    for name, paintings in groups.items():
        strength = paintings[0].strength
        distances = by_style(paintings)
        told = (f"{distances[style]:.2f}" if style in distances else "" for style in names)
        table.add_row(name, "" if strength is None else f"{strength:g}", *told, f"{spread(distances):.2f}")
    return table


def curve_data(curve: Curve) -> dict[str, Any]:
    """For JSON."""
    return {
        "contestant": curve.contestant,
        "content_picture": curve.pair.content.name,
        "style_picture": curve.pair.style.name,
        "worst_rise": curve.worst_rise,
        "points": [painted.numbers() for painted in curve.paintings],
    }
