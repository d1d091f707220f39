"""Show the parts that are found in photos, and how long that takes: ``python -m tests.benchmarks.masks PHOTO …``.

The sheet has two pictures of each photo: with a tint on the subject, and with a tint on everything but faces. A photo
without a tint is one in which nothing was found.
"""

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Final

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from engine.images.codec import Picture, decode
from engine.painting.masks import find
from engine.recipe import Recipe, Where
from engine.runtime.devices import set_threads
from engine.segmentation.blazeface import faces
from engine.segmentation.u2net import saliency

SIZE: Final = 512
PARTS: Final[tuple[Where, ...]] = ("subject", "not-faces")
CELL: Final = 240
"""Pixels of the sides of a picture in the sheet."""


def shown(photo: Picture, where: Where) -> tuple[Image.Image, float | None]:
    """The photo with a tint on a part, and its share; None where there is no such part."""
    mask = find(photo, None, Recipe(size=SIZE, where=where))
    return (photo.rgb, None) if mask is None else (mask.tinted(photo.rgb), mask.share)


def main() -> None:
    """Print a table, and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, help="where to write the sheet")
    parser.add_argument("--columns", type=int, default=4, help="photos in a row")
    options = parser.parse_args()
    set_threads(None)
    table = Table("photo", "subject", "painted but for faces")
    sheet = Image.new("RGB", (2 * CELL * options.columns, CELL * -(-len(options.photos) // options.columns)), "white")
    for index, path in enumerate(options.photos):
        photo = decode(path.read_bytes(), longer_side=SIZE)
        shares = []
        for part, where in enumerate(PARTS):
            picture, share = shown(photo, where)
            shares.append("none" if share is None else f"{share:.0%}")
            picture.thumbnail((CELL - 4, CELL - 4))
            row, column = divmod(index, options.columns)
            sheet.paste(picture, ((2 * column + part) * CELL, row * CELL))
        table.add_row(path.name, *shares)
    image = torch.rand(1, 3, SIZE * 3 // 4, SIZE)
    for name, network in (("U²-Netp", saliency), ("BlazeFace", faces)):
        seconds = []
        for _ in range(5):
            began = time.perf_counter()
            network(image)
            seconds.append(time.perf_counter() - began)
        table.add_row(name, f"{median(seconds):.2f} s", "")
    Console().print(table)
    if options.out:
        sheet.save(options.out, quality=85)


if __name__ == "__main__":
    main()
