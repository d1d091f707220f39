"""The time of a painting that continues another one, as a share of the time of a new painting.

``python -m tests.benchmarks.continuing`` paints each quality that is named, then changes of it, and prints
a table. Each time is the processor's, so that a busy machine hardly matters. The new painting has the same recipe. Both
compute the statistics of the style where no painting before them needed the same ones.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, cast

import typer
from rich.console import Console
from rich.table import Table

from engine.images.codec import decode
from engine.painting import style_statistics
from engine.painting.loop import paint
from engine.painting.options import RunOptions
from engine.presets import PRESETS, Quality
from engine.recipe import Inputs, Recipe
from engine.runtime.devices import choose, set_threads
from engine.runtime.malloc import keep_large_blocks
from engine.vgg.vgg19 import load_cached
from tests.benchmarks.machine import CONTENT, STYLE, described, followed

CHANGES: Final[dict[str, dict[str, Any]]] = {
    "more style": {"strength": 75},
    "less style": {"strength": 25},
    "broader strokes": {"stroke": 2},
    "more detail": {"detail": 70},
    "the photo's colours": {"colours": "content"},
}
_CONTINUES: Final = {"continues": "0" * 64}


@dataclass(frozen=True, slots=True)
class Painter:
    """Paints the project's own pictures on the CPU, and writes each one into ``folder`` if there is one."""

    folder: Path | None

    def paint(self, name: str, recipe: Recipe, final_state: bytes | None = None) -> tuple[float, bytes]:
        """Seconds of processor time, and the final state."""
        compute = choose("cpu")
        network = load_cached("embedded", compute.device, compute.dtype)
        content = decode(CONTENT.read_bytes(), longer_side=recipe.size)
        style = decode(STYLE.read_bytes(), longer_side=recipe.longest_style)
        saved: list[bytes] = []

        def save(data: bytes) -> str:
            saved.append(data)
            return "state"

        began = time.process_time()
        result = followed(
            paint(Inputs(content, (style,)), recipe, network, RunOptions(final_state=final_state, save=save))
        )
        seconds = time.process_time() - began
        if self.folder is not None:
            (self.folder / f"{name}.{result.format}").write_bytes(result.picture)
        return seconds, saved[-1]


def main(
    quality: Annotated[list[str], typer.Option(help="Repeatable.")] = ["standard"],  # noqa: B006 - typer copies it
    out: Annotated[Path | None, typer.Option(help="A folder for the pictures.", exists=True)] = None,
) -> None:
    """The time of a painting that continues another one, as a share of the time of a new painting."""
    keep_large_blocks()
    set_threads(None)
    painter, presets = Painter(out), PRESETS["cpu-bfloat16"]
    painter.paint("warm-up", Recipe(size=128, steps=2))
    table = Table("painting", "continued", "new", "share")
    for name in quality:
        preset = presets[cast(Quality, name)]
        recipe = Recipe(size=preset.size, steps=preset.steps)
        new, state = painter.paint(name, recipe)
        table.add_row(f"{name}, {preset.size} px", "", f"{new:.1f} s", "")
        for change, fields in CHANGES.items():
            changed, known = recipe.model_copy(update=fields), dict(style_statistics._kept)
            seconds, _ = painter.paint(f"{name}-{change}", changed.model_copy(update=_CONTINUES), state)
            style_statistics._kept.clear()
            style_statistics._kept.update(known)  # without those that the continued one has just computed
            whole, _ = painter.paint(f"{name}-{change}-new", changed)
            table.add_row(f"  {change}", f"{seconds:.1f} s", f"{whole:.1f} s", f"{seconds / whole:.0%}")
    console = Console()
    console.print(described(), highlight=False, markup=False)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
