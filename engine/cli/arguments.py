"""What is typed at ``atelier stylize``, read: styles and layers with their weights, and recipes in files."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer

from engine.recipe import Recipe

_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Style:
    """A style picture, and its weight where one was given."""

    path: Path
    weight: float | None = None


def style(given: str) -> Style:
    """``PATH`` or ``PATH:WEIGHT``: a weight is a number after the last colon, unless there is a file of the whole name.

    Raises:
        typer.BadParameter: there is only a file without what follows the colon, and that is no number.
    """
    path, colon, weight = given.rpartition(":")
    if not path or not colon or Path(given).exists():
        return Style(Path(given))
    if _NUMBER.fullmatch(weight):
        return Style(Path(path), float(weight))
    if Path(path).is_file():
        raise typer.BadParameter(f"{given}: {weight or 'nothing'} is no weight; give a number after the colon")
    return Style(Path(given))


def layers(given: Sequence[str]) -> dict[str, float | str]:
    """``relu4_2:0.5`` and ``relu4_2`` to weights; what is no layer or no number is left to the recipe to refuse."""
    return {layer: weight or 1.0 for layer, _, weight in (each.partition(":") for each in given)}


def recipe(file: Path | None, said: Mapping[str, Any], styles: Sequence[Style]) -> Recipe:
    """The recipe in a file, or the default one, but for the fields that were ``said`` and the weights of the styles.

    Raises:
        typer.BadParameter: the file holds no recipe, or one for another number of styles.
        pydantic.ValidationError: a field is out of range.
        OSError: the file can't be read.
    """
    fields = (_fields(file) if file else {}) | dict(said)
    if any(each.weight is not None for each in styles):
        fields["style_shares"] = [1.0 if each.weight is None else each.weight for each in styles]
    made = Recipe.model_validate(fields)
    if made.style_shares and len(made.style_shares) != len(styles):
        raise typer.BadParameter(
            f"{file} has weights for {len(made.style_shares)} styles, not for {len(styles)}",
            param_hint="--recipe",
        )
    return made


def _fields(file: Path) -> dict[str, Any]:
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # of JSON, or of UTF-8
        raise typer.BadParameter(f"{file} is no JSON: {error}", param_hint="--recipe") from error
    if not isinstance(fields, dict):
        raise typer.BadParameter(f"{file} holds no recipe: a JSON object is wanted", param_hint="--recipe")
    return fields
