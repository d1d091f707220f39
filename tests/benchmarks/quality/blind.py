"""Two recipes side by side without their names, so that an eye that chooses does not know whose painting it sees."""

import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Final

from PIL import Image
from rich.console import Console
from rich.table import Table

from tests.benchmarks.peers import tensor
from tests.benchmarks.quality.painters import Contestant, Painted, Studio
from tests.benchmarks.quality.pictures import Pair, scaled
from tests.benchmarks.quality.sheets import Cell, sheet

ROWS: Final = 3
"""The pairs on one sheet."""
WARMING: Final = 3
"""Steps of a painting before a measurement."""
FIELDS: Final = ("style", "relations", "ssim", "colours")
"""Of :class:`tests.benchmarks.measures.Measures`."""


def at_equal_time(studio: Studio, first: Contestant, second: Contestant, pair: Pair) -> Contestant:
    """``second`` with as many steps as take the processor's time of ``first`` on ``pair``.

    The processor's time, because it changes less than seconds do while the machine has other work.
    """
    took = [_processor_seconds(studio, each, pair) for each in (first, second)]
    assert second.recipe
    steps = max(1, round(second.recipe.steps * took[0] / took[1]))
    return Contestant(second.name, second.recipe.model_copy(update={"steps": steps}))


def _processor_seconds(studio: Studio, contestant: Contestant, pair: Pair) -> float:
    assert contestant.recipe
    studio.warm_up(Contestant("warm", contestant.recipe.model_copy(update={"steps": WARMING})), pair)
    began = time.process_time()
    studio.warm_up(contestant, pair)
    return time.process_time() - began


def compare(studio: Studio, contestants: Sequence[Contestant], pairs: Sequence[Pair], size: int, folder: Path) -> None:
    """Have ``contestants`` paint ``pairs``, and write sheets without names.

    ``key.json`` has the names, and ``measures.txt`` the means of the measures: both to be read after the choice.
    """
    shuffle = random.SystemRandom()
    key: dict[str, list[str]] = {}
    rows: list[list[Cell]] = []
    found: dict[str, list[Painted]] = {}
    for number, pair in enumerate(pairs, 1):
        shown = [studio.paint(each, pair) for each in contestants]
        for painted in shown:
            found.setdefault(painted.contestant, []).append(painted)
        shuffle.shuffle(shown)
        key[f"{number} {pair.name}"] = [painted.contestant for painted in shown]
        pictures = [scaled(each.picture.rgb, size) for each in (pair.content, pair.style)]
        names = [f"{number} {pair.content.name}", pair.style.name, "A", "B"]
        rows.append(
            [
                Cell(image, (name,))
                for image, name in zip(pictures + [painted.image for painted in shown], names, strict=True)
            ]
        )
    for first in range(0, len(rows), ROWS):
        sheet(rows[first : first + ROWS], "", None).save(folder / f"blind-{first // ROWS + 1}.png")
    (folder / "key.json").write_text(json.dumps(key, indent=2) + "\n", encoding="utf-8")
    with (folder / "measures.txt").open("w", encoding="utf-8") as file:
        Console(file=file, width=120).print(_table(studio, contestants, found))


def _table(studio: Studio, contestants: Sequence[Contestant], found: dict[str, list[Painted]]) -> Table:
    table = Table("", "steps", *FIELDS, "patches to the style", "patches from the style", "seconds", title="means")
    for each in contestants:
        paintings = found[each.name]
        patches = [_patches(studio, painted.pair, painted.image) for painted in paintings]
        measures = [painted.measures for painted in paintings]
        table.add_row(
            each.name,
            str(each.recipe and each.recipe.steps),
            *(f"{fmean(getattr(found, field) for found in measures):.3f}" for field in FIELDS),
            *(f"{fmean(both[way] for both in patches):.3f}" for way in (0, 1)),
            f"{fmean(painted.seconds for painted in paintings):.1f}",
        )
    return table


def _patches(studio: Studio, pair: Pair, image: Image.Image) -> tuple[float, float]:
    judge = studio.judge(pair, image.size)
    return judge.patches(tensor(image, judge.content.device))
