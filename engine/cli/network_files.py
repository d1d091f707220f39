"""The files of ``atelier train``: the photos, the checkpoint, the network and its contact sheet."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console
from rich.markup import escape

from engine.errors import NetworkUnusable, PictureError
from engine.networks.file import LARGEST_FILE, MOST_STYLES, Card, NetworkFile
from engine.networks.plan import EVENED, STYLE_SIDE, TrainingOrder

if TYPE_CHECKING:
    from PIL import Image

    from engine.networks.training import Training

MOST_PHOTOS: Final = 2000
"""The most photos of a folder that are used. Each takes 1.2 MB of memory."""
SUFFIX: Final = ".safetensors"
_PHOTO_QUALITY: Final = 92
_STYLE_QUALITY: Final = 90
_CELL: Final = 192
"""Pixels of a picture's side on the contact sheet."""
_ROWS: Final = 4
"""Photos on the contact sheet."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a model card says besides figures."""

    styles: Sequence[str]
    licences: str
    device: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The file of an unfinished training."""

    path: Path
    key: bytes
    """Identifies the order: see :attr:`engine.networks.plan.TrainingOrder.key`."""

    @classmethod
    def of(cls, output: Path, order: TrainingOrder) -> "Checkpoint":
        """The checkpoint of an order. It lies beside the network."""
        return cls(output.with_suffix(".checkpoint"), order.key)

    def read(self) -> bytes | None:
        """The state of the training; None if it begins now.

        Raises:
            NetworkUnusable: the file is of another training.
        """
        if not self.path.exists():
            return None
        data = self.path.read_bytes()
        if not data.startswith(self.key):
            raise NetworkUnusable(
                f"{self.path} is of a training with other styles, photos or options. Remove it, or choose another name."
            )
        return data.removeprefix(self.key)

    def write(self, state: bytes) -> None:
        """Replace the file."""
        new = self.path.with_suffix(".checkpoint-new")
        new.write_bytes(self.key + state)
        new.replace(self.path)

    def remove(self) -> None:
        """Remove the file, if there is one."""
        self.path.unlink(missing_ok=True)


def check_output(output: Path) -> None:
    """Make the folder of the network, and check that files can be written there, before hours of work.

    Raises:
        typer.BadParameter: the name has another ending.
        OSError: nothing can be written.
    """
    if output.suffix != SUFFIX:
        raise typer.BadParameter(f"{output.name}: the name must end in {SUFFIX}", param_hint="--output")
    output.parent.mkdir(parents=True, exist_ok=True)
    probe = output.with_suffix(".checkpoint-new")
    probe.write_bytes(b"")
    probe.unlink()


def names_of(styles: Sequence[Path]) -> list[str]:
    """The names of styles, from those of their files.

    Raises:
        typer.BadParameter: there are too many, or two are the same.
    """
    names = [" ".join(each.stem.replace("-", " ").replace("_", " ").split())[:50] or "Style" for each in styles]
    names = [each[0].upper() + each[1:] for each in names]
    if len(names) > MOST_STYLES:
        raise typer.BadParameter(f"{len(names)} styles; a network learns at most {MOST_STYLES}", param_hint="STYLE…")
    if len({each.casefold() for each in names}) < len(names):
        raise typer.BadParameter("two files have the same name: rename one of them", param_hint="STYLE…")
    return names


def style_in(path: Path) -> bytes:
    """A style for a painting: the bytes of a picture, or of a network with one style.

    A network with several styles needs the name of one: ``NETWORK.safetensors#NAME``.

    Raises:
        NetworkUnusable: it is no network, or has no such style.
        OSError: it can't be read.
    """
    text, _, name = str(path).partition(f"{SUFFIX}#")
    file = Path(text + SUFFIX) if name else path
    if file.suffix != SUFFIX:
        return path.read_bytes()
    network = NetworkFile.read(base_in(file))
    names = [each.casefold() for each in network.card.styles]
    if not name and len(names) == 1:
        return network.write()
    if name.casefold() not in names:
        raise NetworkUnusable(
            f"Choose one of its styles, such as {file}#{network.card.styles[0]}: {', '.join(network.card.styles)}."
        )
    return network.only(names.index(name.casefold())).write()


def base_in(path: Path) -> bytes:
    """The bytes of a network.

    Raises:
        NetworkUnusable: the file is too large for one.
    """
    if (size := path.stat().st_size) > LARGEST_FILE:
        raise NetworkUnusable(f"{path} is no trained network: it has {size:,} bytes.")
    return path.read_bytes()


def photos_in(folder: Path, console: Console) -> list[bytes]:
    """The pictures in a folder and its subfolders, reduced to what a training reads of them.

    Raises:
        typer.BadParameter: there are none.
    """
    from engine.images.codec import decode, encode
    from engine.networks.training import LONGEST_PHOTO

    found = []
    files = sorted(each for each in folder.rglob("*") if each.is_file() and not each.name.startswith("."))
    with console.status(f"Reading {folder} …"):
        for file in files:
            try:
                picture = decode(file.read_bytes(), longer_side=LONGEST_PHOTO)
            except PictureError:
                continue  # a folder of photos often has other files, too
            found.append(encode(picture.rgb, "jpeg", quality=_PHOTO_QUALITY))
            if len(found) == MOST_PHOTOS:
                break
    if not found:
        raise typer.BadParameter(f"{folder} has no pictures", param_hint="--photos")
    console.print(escape(f"{folder}: {_count(len(found), 'photo')} of {_count(len(files), 'file')}."))
    return found


def save(output: Path, training: "Training", order: TrainingOrder, words: Words) -> Path:
    """Write the network and its contact sheet. Returns the path of the latter."""
    from engine.images.codec import encode

    base = NetworkFile.read(order.base).card.styles if order.base else ()
    content, style = training.losses[1:]
    card = Card(
        styles=tuple(words.styles),
        widths=training.network.widths,
        photos=_count(len(order.photos), "photo") if order.photos else "the styles' pictures, and drawn shapes",
        licences=words.licences or "not stated",
        base=", ".join(base),
        steps=training.steps,
        seconds=round(training.seconds, 1) if order.plan.minutes else None,
        seed=order.plan.seed,
        objective=f"Gatys et al. at strength {order.plan.strength[1]:g}, squares of {order.plan.crop} px, "
        f"styles of {STYLE_SIDE} px; unevenness from {EVENED[0]:.0%} on",
        figures={"content loss": round(content, 4), "style loss": round(style, 4)},
        device=words.device,
        version=f"Atelier {version('atelier')}, torch {version('torch')}",
    )
    pictures = [encode(each, "jpeg", quality=_STYLE_QUALITY) for each in training.styles]
    _replace(output, NetworkFile(card, training.network.parameters_as_bytes(), pictures).write())
    sheet = output.with_suffix(".jpg")
    buffer = BytesIO()
    _sheet(training).save(buffer, "JPEG", quality=90)
    _replace(sheet, buffer.getvalue())
    return sheet


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _sheet(training: "Training") -> "Image.Image":
    """Each style above some of the photos that the network painted in it."""
    from PIL import Image, ImageOps

    photos = [ImageOps.fit(each, (_CELL, _CELL)) for each in training.examples(_ROWS)]
    columns = [ImageOps.fit(each, (_CELL, _CELL)) for each in training.styles]
    sheet = Image.new("RGB", ((len(columns) + 1) * _CELL, (len(photos) + 1) * _CELL), "white")
    for row, photo in enumerate(photos, 1):
        sheet.paste(photo, (0, row * _CELL))
    for column, style in enumerate(columns, 1):
        sheet.paste(style, (column * _CELL, 0))
        for row, photo in enumerate(photos, 1):
            sheet.paste(training.painted(photo, column - 1), (column * _CELL, row * _CELL))
    return sheet


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_bytes(data)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
