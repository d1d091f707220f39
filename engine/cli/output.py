"""The output files of ``atelier stylize``. They are checked before the painting, so that no finished work is lost."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import typer
from rich.console import Console
from rich.markup import escape

Format = Literal["png", "jpeg", "webp", "gif"]

_FORMATS: Final[dict[str, Format]] = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".gif": "gif",
}


@dataclass(frozen=True, slots=True)
class Output:
    """The files of the painting, its recipe and the plot of its losses, and the folder of the previews."""

    painting: Path
    previews: Path | None
    recipe: Path | None
    plot: Path | None


def format_of(painting: Path) -> Format:
    """The format that belongs to the suffix of the name.

    Raises:
        typer.BadParameter: the suffix is unknown.
    """
    format = _FORMATS.get(painting.suffix.lower())
    if format is None:
        raise typer.BadParameter(f"{painting.name}: the name must end in {', '.join(_FORMATS)}", param_hint="--output")
    return format


def check(output: Output, size: int) -> None:
    """Create the folders, and check that the files can be written: the permission and the free space suffice.

    Args:
        output: the files to check.
        size: pixels of the painting's longer side.

    Raises:
        typer.BadParameter: two of the files are the same, or the name of the plot does not end in .svg.
        OSError: a file can't be written; with its name.
    """
    if output.recipe and output.recipe.resolve() == output.painting.resolve():
        raise typer.BadParameter("this is also the file of the painting", param_hint="--save-recipe")
    if output.plot:
        if output.plot.suffix.lower() != ".svg":
            raise typer.BadParameter(f"{output.plot.name}: the name must end in .svg", param_hint="--plot-losses")
        if output.recipe and output.plot.resolve() == output.recipe.resolve():
            raise typer.BadParameter("this is also the file of the recipe", param_hint="--plot-losses")
    for file, room in ((output.painting, 3 * size**2), (output.recipe, 4096), (output.plot, 200_000)):
        if file is None:
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            file.open("ab").close()
        try:
            if not file.exists() or file.is_file():
                with tempfile.TemporaryFile(dir=file.parent) as probe:
                    probe.write(os.urandom(room))  # not zeros, which a file system may store without space
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(file)) from error
    if output.previews:
        output.previews.mkdir(parents=True, exist_ok=True)


def write_preview(folder: Path, name: str, data: bytes, console: Console) -> bool:
    """Write a preview. If that fails, print why and return False, so that no more are written."""
    try:
        (folder / name).write_bytes(data)
    except OSError as error:
        console.print(f"[yellow]{escape(f'{folder}: {error.strerror}. No more previews are written.')}[/]")
        return False
    return True


def write(file: Path, data: bytes, console: Console) -> bool:
    """Write a result. If that fails, write it to another folder, print where, and return False."""
    try:
        file.write_bytes(data)
    except OSError as error:
        reason = f"{file}: {error.strerror}."
    else:
        return True
    for folder in (tempfile.gettempdir(), Path.home(), Path.cwd()):
        try:
            with tempfile.NamedTemporaryFile(
                dir=folder, prefix=f"{file.stem}-", suffix=file.suffix, delete=False
            ) as saved:
                saved.write(data)
        except OSError:
            continue
        console.print(f"[red]{escape(f'{reason} It is saved as {saved.name}')}[/]")
        return False
    console.print(f"[red]{escape(f'{reason} It could not be saved anywhere else.')}[/]")
    return False
