"""The command line of :mod:`tests.benchmarks.quality`."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import torch
import typer
from PIL import Image
from rich.console import Console

from engine.presets import PRESETS, tier
from engine.recipe import Recipe
from engine.runtime.devices import choose, set_threads
from engine.runtime.malloc import keep_large_blocks
from tests.benchmarks.contest import PEERS
from tests.benchmarks.machine import Device, Size, Threads, described
from tests.benchmarks.quality import pictures, report
from tests.benchmarks.quality.blind import at_equal_time, compare
from tests.benchmarks.quality.painters import LITE, Contestant, Painted, Studio
from tests.benchmarks.quality.pictures import Pair, scaled
from tests.benchmarks.quality.report import Curve, of_pairs
from tests.benchmarks.quality.sheets import CROP, Cell, crop, places, sheet

OURS: Final = "ours"


class Part(StrEnum):
    """What is compared."""

    ALL = "all"
    INSTANT = "instant"
    BLIND = "blind"


STRENGTHS: Final = (0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 100.0)


@dataclass(frozen=True, slots=True)
class Contest:
    """Everything that was painted in one run."""

    common: Sequence[Pair]
    """The pairs that everybody painted."""
    paintings: dict[str, list[Painted]]
    """By contestant, at their own strength."""
    curves: list[Curve]
    itself: dict[str, list[Painted]]
    """Content and style as if they were paintings, of :attr:`common`."""


def held(
    studio: Studio,
    contestants: Sequence[Contestant],
    pairs: Sequence[Pair],
    peer_pairs: Sequence[Pair],
    curve_pairs: Sequence[Pair],
) -> Contest:
    """Have everything painted."""
    paintings = {
        each.name: [studio.paint(each, pair) for pair in (pairs if each.recipe else peer_pairs)] for each in contestants
    }
    curves = [
        Curve(each.name, pair, tuple(studio.paint(each.at(strength), pair) for strength in STRENGTHS))
        for each in contestants
        if each.recipe
        for pair in curve_pairs
    ]
    common = peer_pairs if any(each.recipe is None for each in contestants) else pairs
    itself: dict[str, list[Painted]] = {}
    for pair in common:
        for name, found in studio.itself(pair).items():
            itself.setdefault(name, []).append(found)
    return Contest(common, paintings, curves, itself)


def tell(contest: Contest, console: Console) -> None:
    """Print the tables."""
    common = {name: of_pairs(each, contest.common) for name, each in contest.paintings.items()}
    title = f"means over the {len(contest.common)} pairs that all painted"
    console.print(report.overview({**contest.itself, **common}, title))
    console.print(report.comparability(contest.paintings))
    if contest.curves:
        console.print(report.curve_table(contest.curves))
        every = [painted for each in contest.paintings.values() for painted in each]
        console.print(report.same_table(contest.curves, every))


def draw(contest: Contest, size: int, folder: Path) -> None:
    """Write the sheets and the crops."""
    found: dict[str, Image.Image] = {}
    found["contestants"] = sheet(
        [_originals(pair, size) + [_told(each) for each in _of(contest, pair)] for pair in contest.common],
        "each pair by each contestant",
    )
    for name in dict.fromkeys(curve.contestant for curve in contest.curves):
        rows = [
            _originals(curve.pair, size) + [_told(painted) for painted in curve.paintings]
            for curve in contest.curves
            if curve.contestant == name
        ]
        found[f"strengths-{name}"] = sheet(rows, f"{name} over strength", 256)
    for pair in contest.common:
        found[f"crops-{pair.name}"] = _crops(pair, _of(contest, pair), size)
    for name, image in found.items():
        image.save(folder / f"{name}.png")


def _of(contest: Contest, pair: Pair) -> list[Painted]:
    return [painted for each in contest.paintings.values() for painted in each if painted.pair is pair]


def _originals(pair: Pair, size: int) -> list[Cell]:
    return [Cell(scaled(each.picture.rgb, size), (each.name,)) for each in (pair.content, pair.style)]


def _told(painted: Painted) -> Cell:
    numbers = painted.measures
    at = "" if painted.strength is None else f" at {painted.strength:g}"
    told = f"style {numbers.style:.2f}  rel. {numbers.relations:.2f}  SSIM {numbers.ssim:.2f}"
    return Cell(painted.image, (f"{painted.contestant}{at}", told))


def _crops(pair: Pair, paintings: Sequence[Painted], size: int) -> Image.Image:
    content = scaled(pair.content.picture.rgb, size)
    side = min(CROP, *content.size)
    rows = [
        [Cell(crop(content, place, side), (told,))]
        + [Cell(crop(painted.image, place, side), (painted.contestant,)) for painted in paintings]
        for told, place in places(content, side).items()
    ]
    return sheet(rows, f"{pair.name}, close", None)


def main(
    content: Annotated[list[Path] | None, typer.Option(help="A file; the project's own three. Repeatable.")] = None,
    style: Annotated[list[Path] | None, typer.Option(help="A file; the project's own three. Repeatable.")] = None,
    size: Size = 256,
    steps: Annotated[int | None, typer.Option(min=1, help="Of Atelier; a recipe's own.")] = None,
    candidate: Annotated[
        list[str] | None, typer.Option(metavar="NAME:JSON", help="Atelier with other fields, too. Repeatable.")
    ] = None,
    peer: Annotated[list[str] | None, typer.Option(help="Of seed, pastiche, crowsonkb. Repeatable.")] = None,
    peer_pairs: Annotated[int, typer.Option(min=1, help="How many the peers paint.")] = 3,
    curve_pairs: Annotated[int, typer.Option(min=0, help="How many are painted over strength.")] = 3,
    part: Annotated[
        Part,
        typer.Option(
            help="instant: that quality at its own size against feed-forward networks, on every pair. "
            "blind: Atelier and one candidate at equal time, on sheets without names."
        ),
    ] = Part.ALL,
    blind_pairs: Annotated[int, typer.Option(min=1, help="How many pairs the part blind has.")] = 12,
    out: Annotated[Path, typer.Option(help="Folder for pictures.")] = Path("build/quality"),
    threads: Threads = None,
    device: Device = "auto",
) -> None:
    """Atelier and peers paint each content in each style; measures that nobody optimised, and contact sheets."""
    console = Console(width=150)
    peers = peer or ["seed", "pastiche"]
    if unknown := set(peers) - PEERS.keys():
        raise typer.BadParameter(f"{', '.join(unknown)} is none of {', '.join(PEERS)}", param_hint="--peer")
    ours = Contestant(OURS, Recipe(size=size) if steps is None else Recipe(size=size, steps=steps))
    try:
        candidates = [ours.changed(each) for each in candidate or []]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--candidate") from error
    contestants = [ours, *candidates, *map(Contestant, peers)]
    set_threads(threads)
    keep_large_blocks()
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    compute = choose(device)
    console.print(described(compute), highlight=False, markup=False)
    pairs = pictures.pairs(pictures.contents(content), pictures.styles(style))
    if part is Part.INSTANT:
        preset = PRESETS[tier(compute.device.type, compute.precision)]["instant"]
        size, peer_pairs, curve_pairs = preset.size, len(pairs), 0
        contestants = [Contestant("instant", Recipe(**preset.fields())), Contestant(LITE)]
    studio = Studio(size, device, out, console.print)
    if part is Part.INSTANT:
        for each in contestants:
            studio.warm_up(each, pairs[0])
    if part is Part.BLIND:
        if len(candidates) != 1:
            raise typer.BadParameter("the part blind needs one candidate", param_hint="--candidate")
        both = (at_equal_time(studio, candidates[0], ours, pairs[0]), candidates[0])
        compare(studio, both, pairs[:blind_pairs], size, out)
        console.print(f"The sheets are in {out}. key.json says who painted what, and measures.txt how near.")
        return
    contest = held(studio, contestants, pairs, pairs[:peer_pairs], pairs[:curve_pairs])
    tell(contest, console)
    draw(contest, size, out)
    console.print(f"The pictures are in {out}.")


if __name__ == "__main__":
    typer.run(main)
