"""What ``atelier stylize`` reads and writes: pictures, and clips, which move."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from engine import texts
from engine.cli.output import Format, format_of
from engine.errors import PictureError
from engine.presets import with_frames
from engine.progress import Result
from engine.recipe import MOST_FRAMES, Recipe

if TYPE_CHECKING:
    from engine.images.animation import Clip
    from engine.images.codec import Picture

_OF_FRAMES: Final = frozenset({"method", "size", "steps"})
"""The fields of a recipe that a clip has others of."""


@dataclass(frozen=True, slots=True)
class Frames:
    """How a moving content is painted."""

    most: int
    """The most of its frames that are painted."""
    given: Mapping[str, Any]
    """The fields of the recipe that were given as options. Others follow from the number of frames."""

    def recipe(self, recipe: Recipe, content: "Clip | Picture") -> Recipe:
        """The recipe for this content.

        Raises:
            pydantic.ValidationError: a field that was given is out of range for a clip.
        """
        from engine.images.animation import Clip

        if not isinstance(content, Clip):
            return with_frames(recipe, 1)
        changed = with_frames(recipe, len(content.frames)).model_dump()
        return Recipe.model_validate(changed | {name: self.given[name] for name in _OF_FRAMES & self.given.keys()})


def check_format(painting: Path, recipe: Recipe) -> None:
    """Check that the name of the output suits what is painted.

    Raises:
        typer.BadParameter: it is that of a GIF, but the painting does not move.
    """
    if format_of(painting) == "gif" and recipe.frames == 1:
        raise typer.BadParameter(
            f"{painting.name}: a single picture is painted, so the name must end in .png, .jpg or .webp",
            param_hint="--output",
        )


def read_content(path: Path, size: int, frames: int, format: Format, console: Console) -> "tuple[Clip | Picture, int]":
    """Read at most so many frames of a picture. Returns the number of its frames, too.

    Raises:
        typer.BadParameter: it can't be decoded.
        OSError: it can't be read.
    """
    from engine.images.animation import Clip, decode_frames
    from engine.images.headers import frames_of

    data = path.read_bytes()
    try:
        content = decode_frames(data, frames, longer_side=size)
    except PictureError as error:
        raise typer.BadParameter(f"{path}: {texts.explain(error)}") from error
    if not isinstance(content, Clip):
        return _told(path, content, console), frames_of(data)
    if format == "jpeg":
        console.print(f"[yellow]{escape(f'{path} moves, but a JPEG does not: only its first frame is painted.')}[/]")
        return content.frames[0], 1
    return content, frames_of(data)


def read(path: Path, data: bytes, size: int, console: Console) -> "Picture":
    """Decode a style or a mask, at most ``size`` pixels large.

    Raises:
        typer.BadParameter: it can't be decoded.
    """
    from engine.images.codec import decode
    from engine.images.headers import frames_of

    if frames_of(data) > 1:
        console.print(f"[yellow]{escape(f'{path}: {texts.still()}')}[/]")
    try:
        return _told(path, decode(data, longer_side=size), console)
    except PictureError as error:
        raise typer.BadParameter(f"{path}: {texts.explain(error)}") from error


def encoded(result: Result, format: Format) -> bytes:
    """The painting as a file of this format."""
    from PIL import Image

    from engine.images.animation import Clip, decode_frames
    from engine.images.animation_encoding import encode_clip
    from engine.images.codec import encode

    if format != "jpeg" and result.recipe.frames > 1:
        clip = decode_frames(result.picture, MOST_FRAMES)
        if isinstance(clip, Clip):
            return encode_clip(clip, format)
    if format not in {"jpeg", "webp"}:
        return result.picture
    picture = Image.open(BytesIO(result.picture))
    alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
    return encode(picture.convert("RGB"), "jpeg" if format == "jpeg" else "webp", alpha=alpha)


def _told(path: Path, picture: "Picture", console: Console) -> "Picture":
    """Say if the file was cut off."""
    if picture.shown is not None:
        console.print(f"[yellow]{escape(f'{path}: {texts.truncated(picture.shown)}')}[/]")
    return picture
