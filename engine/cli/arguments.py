"""The arguments of ``atelier stylize`` and ``atelier train``: styles and layers with weights, recipe files, devices."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from engine.recipe import Precision, Recipe
from engine.runtime.malloc import keep_large_blocks

if TYPE_CHECKING:
    from engine.runtime.devices import Compute

_runs: Final = partial(typer.Option, rich_help_panel="Where it runs")
DeviceOption = Annotated[str, _runs(help="auto, cpu, cuda or cuda:N.", envvar="DEVICE")]
PrecisionOption = Annotated[
    Precision,
    _runs(help="Precision of the activations. auto: bfloat16 where the device computes in it.", envvar="PRECISION"),
]
ThreadsOption = Annotated[
    int | None, _runs(help="Cores to use.", envvar="THREADS", min=1, show_default="all available")
]
WeightsOption = Annotated[str, _runs(help="Weights of VGG19: embedded, torchvision or a file.", envvar="VGG19_WEIGHTS")]

_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where torch computes."""

    device: str
    precision: Precision
    threads: int | None
    """None for all cores."""
    weights: str
    """Of VGG19: see :func:`engine.vgg.weights.load`."""

    def compute(self) -> "Compute":
        """Prepare this process for painting on the device.

        Raises:
            DeviceUnavailable: this machine has no such device.
        """
        from engine.runtime.devices import choose, set_threads

        keep_large_blocks()
        set_threads(self.threads)
        return choose(self.device, self.precision)


@dataclass(frozen=True, slots=True)
class Style:
    """A style picture, and its weight if one was given."""

    path: Path
    weight: float | None = None


def style(given: str) -> Style:
    """Parse ``PATH`` or ``PATH:WEIGHT``. A file whose name is the whole argument takes precedence.

    Raises:
        typer.BadParameter: the text after the last colon is not a number, and the file is the text before it.
    """
    path, colon, weight = given.rpartition(":")
    if not path or not colon or Path(given).exists():
        return Style(Path(given))
    if _NUMBER.fullmatch(weight):
        return Style(Path(path), float(weight))
    if Path(path).is_file():
        raise typer.BadParameter(f"{given}: {weight or 'nothing'} is not a weight; give a number after the colon")
    return Style(Path(given))


def layers(given: Sequence[str]) -> dict[str, float | str]:
    """Parse ``relu4_2:0.5`` and ``relu4_2`` into weights by layer. The recipe validates both."""
    return {layer: weight or 1.0 for layer, _, weight in (each.partition(":") for each in given)}


def recipe(file: Path | None, given: Mapping[str, Any], styles: Sequence[Style]) -> Recipe:
    """The recipe in ``file``, or the default one, with the ``given`` fields and the weights of the styles instead.

    Raises:
        typer.BadParameter: the file does not contain a recipe, or one for another number of styles.
        pydantic.ValidationError: a field is out of range.
        OSError: the file can't be read.
    """
    fields = (_fields(file) if file else {}) | dict(given)
    if any(each.weight is not None for each in styles):
        fields["style_shares"] = [1.0 if each.weight is None else each.weight for each in styles]
    made = Recipe.model_validate(fields)
    if made.style_shares and len(made.style_shares) != len(styles):
        raise typer.BadParameter(
            f"{file} has weights for {len(made.style_shares)} styles, not for {len(styles)}",
            param_hint="--recipe",
        )
    return made


def check_part(recipe: Recipe, mask: Path | None, styles: int) -> None:
    """Check that the part to paint has what it needs.

    Raises:
        typer.BadParameter: it lacks the mask picture or a second style, or there is a mask picture that it ignores.
    """
    masked = recipe.where in {"mask", "not-mask"}
    if masked and mask is None:
        raise typer.BadParameter(f"{recipe.where} needs a mask picture: --mask FILE", param_hint="--where")
    if mask is not None and not masked:
        raise typer.BadParameter(f"{recipe.where} uses no mask picture; give mask or not-mask", param_hint="--where")
    if recipe.rest == "style" and styles < 2:
        raise typer.BadParameter(
            "style needs two styles: one for the part, and the last for the rest", param_hint="--rest"
        )


def _fields(file: Path) -> dict[str, Any]:
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # of JSON, or of UTF-8
        raise typer.BadParameter(f"{file} is not JSON: {error}", param_hint="--recipe") from error
    if not isinstance(fields, dict):
        raise typer.BadParameter(f"{file} does not contain a recipe: it must be a JSON object", param_hint="--recipe")
    return fields
