"""Paint the pictures of docs/gallery.md: ``python -m tests.benchmarks.gallery FOLDER``.

This project's own code draws the photos and styles but one photo, which is NASA's portrait of Eileen Collins, in the
public domain. So the project may show the results. The sheets are JPEGs. Under each painting are the parts of its
recipe that differ from the defaults. ``--network`` paints another sheet by networks that ``atelier train`` made.
"""

import argparse
from collections.abc import Callable, Generator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from PIL import Image
from rich.console import Console

from bot.library.built_in import BUILT_IN
from engine.images.codec import Picture
from engine.networks import painting as by_network
from engine.networks.file import NetworkFile
from engine.painting.loop import paint
from engine.painting.options import RunOptions
from engine.painting.reporter import Pace
from engine.progress import Result
from engine.recipe import Inputs, Recipe
from engine.runtime.devices import choose, set_threads
from engine.runtime.malloc import keep_large_blocks
from engine.vgg.vgg19 import load_cached
from tests.benchmarks.quality.sheets import Cell, sheet
from tests.drawing import collection, pictures

Painting = tuple[str, Sequence[str], dict[str, Any]]
"""Content, styles, and the fields of the recipe that differ from the defaults."""


def _opened(source: Path | BytesIO) -> Image.Image:
    return Image.open(source).convert("RGB")


_NAMES: Final = [style.name for style in BUILT_IN]
SHEETS: Final[dict[str, Sequence[Sequence[Painting]]]] = {
    "strength": [[("portrait", ["impasto"], {"strength": strength}) for strength in (10, 30, 50, 75, 100)]],
    "choices": [
        [
            ("town", ["impasto"], {}),
            ("town", ["glass"], {}),
            ("town", ["impasto", "glass"], {"style_shares": (0.5, 0.5)}),
            ("town", ["impasto"], {"stroke": 0.5}),
        ],
        [
            ("town", ["glass"], {"colours": "matched"}),
            ("town", ["glass"], {"colours": "content"}),
            ("town", ["woodcut"], {"strength": 70}),
            ("still life", ["glass"], {"detail": 60}),
        ],
    ],
    "two-styles": [
        [
            ("astronaut", ["impasto", "glass"], {"where": "subject", "rest": "style"}),
            ("astronaut", ["Ink wash", "Mosaic"], {"where": "subject", "rest": "style"}),
            ("astronaut", ["Mosaic", "impasto"], {"where": "background", "rest": "style"}),
        ],
    ],
    "styles": [[("town", [name], {}) for name in _NAMES[start : start + 4]] for start in range(0, len(_NAMES), 4)],
}
DRAWN: Final[dict[str, Callable[[], Image.Image]]] = {
    "town": pictures.content,
    "impasto": pictures.style,
    "glass": pictures.style_glass,
    "portrait": collection.portrait,
    "still life": collection.still_life,
    "woodcut": collection.woodcut,
    "astronaut": partial(_opened, Path(__file__).parents[1] / "engine" / "segmentation" / "astronaut.jpg"),
    **{style.name: partial(_opened, style.file) for style in BUILT_IN},
}


def main() -> None:
    """Paint all sheets into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Paint the pictures of docs/gallery.md.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=384, help="longer side of each painting, in pixels")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--shown", type=int, default=300, help="longer side of each on its sheet")
    parser.add_argument("--threads", type=int, help="cores; all that are granted")
    parser.add_argument("--only", choices=SHEETS, help="one sheet")
    parser.add_argument("--network", type=Path, action="append", help="paint by this network, and no other sheet")
    options = parser.parse_args()
    console = Console()
    keep_large_blocks()
    set_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.network:
        _save(_by_networks(options.network, options.size), f"{options.size} px", options, "networks", console)
        return
    for name in [options.only] if options.only else SHEETS:
        rows = []
        for row in SHEETS[name]:
            cells = []
            for content, styles, fields in row:
                result = _painted(
                    content, styles, Recipe(method="neighbours", size=options.size, steps=options.steps, **fields)
                )
                said = ", ".join(f"{field} {value}" for field, value in fields.items()) or "as it is"
                console.print(f"{content} in {', '.join(styles)}: {said}: {result.seconds:.1f} s")
                cells.append(Cell(_opened(BytesIO(result.picture)), (f"{content}, {' + '.join(styles)}", said)))
            rows.append(cells)
        _save(rows, f"{options.size} px, {options.steps} steps", options, name, console)


def _save(rows: Sequence[Sequence[Cell]], title: str, options: argparse.Namespace, name: str, console: Console) -> None:
    path: Path = options.folder / f"{name}.jpg"
    sheet(rows, title, options.shown).save(path, quality=88, optimize=True)
    console.print(f"{path}: {path.stat().st_size // 1000} KB")


def _by_networks(files: Sequence[Path], size: int) -> list[list[Cell]]:
    """Two contents, each in all styles of all networks."""
    compute = choose("auto", "auto")
    rows = []
    for content in ("town", "portrait"):
        cells = []
        picture = Picture(DRAWN[content]())
        for file in files:
            network = NetworkFile.read(file.read_bytes())
            for index, style in enumerate(network.card.styles):
                recipe = Recipe(method="instant", size=size)
                loaded = by_network.loaded(network.only(index).write(), compute.device)
                result = _result(by_network.paint(picture, None, recipe, loaded, compute))
                said = f"{style}, tuned" if network.card.base else style
                cells.append(Cell(_opened(BytesIO(result.picture)), (content, said)))
        rows.append(cells)
    return rows


def _painted(content: str, styles: Sequence[str], recipe: Recipe) -> Result:
    compute = choose("auto", recipe.precision)
    network = load_cached("embedded", compute.device, compute.dtype)
    inputs = [Picture(DRAWN[name]()) for name in (content, *styles)]
    return _result(
        paint(Inputs(inputs[0], tuple(inputs[1:])), recipe, network, RunOptions(pace=Pace(progress=3600, preview=None)))
    )


def _result(painting: Generator[object, None, Result]) -> Result:
    while True:
        try:
            next(painting)
        except StopIteration as end:
            result: Result = end.value
            return result


if __name__ == "__main__":
    main()
