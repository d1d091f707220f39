"""``atelier stylize``: paint a picture without the bot."""

from collections.abc import Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from engine import texts
from engine.cli import arguments
from engine.cli.content import Frames, check_format, encoded, read, read_content
from engine.cli.following import followed
from engine.cli.loss_plot import plot
from engine.cli.network_files import style_in
from engine.cli.output import Output, check, format_of, write
from engine.errors import AtelierError
from engine.networks.file import picture_in
from engine.presets import PRESETS, Quality, tier
from engine.progress import Progress as Painting
from engine.progress import Result, StepLosses, StopToken
from engine.recipe import (
    LARGEST_SIZE,
    MOST_FRAMES,
    SMALLEST_SIZE,
    Balance,
    Colours,
    Inputs,
    Method,
    Optimiser,
    Pooling,
    Precision,
    Recipe,
    Rest,
    Start,
    Where,
)
from engine.runtime.openmp import spin_briefly

if TYPE_CHECKING:
    from engine.images.codec import Picture

_DEFAULTS: Final = Recipe()
_looks: Final = partial(typer.Option, rich_help_panel="What it looks like")
_optimised: Final = partial(typer.Option, rich_help_panel="How it is optimised")
_output: Final = partial(typer.Option, rich_help_panel="Output")


def stylize(
    context: typer.Context,
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="The photo to paint.", show_default=False)],
    styles: Annotated[
        list[str],
        typer.Argument(
            metavar="STYLE[:WEIGHT]",
            help="The style picture. Several are blended by their weights, which default to 1. Or a network of "
            "atelier train (NETWORK.safetensors#STYLE), which paints with --quality instant.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        _output(
            "--output",
            "-o",
            help="Where to write the painting (.png, .jpg or .webp; of a moving picture .gif, .webp or .png).",
            dir_okay=False,
            show_default=False,
        ),
    ],
    strength: Annotated[
        float, _looks(metavar="0-100", help="0 returns the photo, 100 is nearly pure style.")
    ] = _DEFAULTS.strength,
    detail: Annotated[
        float,
        _looks(metavar="0-100", help="How closely edges and self-similarity follow the photo."),
    ] = _DEFAULTS.detail,
    stroke: Annotated[
        float,
        _looks(metavar="0.25-4", help="Size of the strokes: below 1 finer, above 1 broader."),
    ] = _DEFAULTS.stroke,
    colours: Annotated[
        Colours,
        _looks(
            help="Colours of the style; of the style, matched to the photo's palette; or of each pixel of the photo."
        ),
    ] = _DEFAULTS.colours,
    method: Annotated[
        Method,
        _looks(
            help="What is taken from a style: gatys, its texture as a whole; neighbours, strokes, place by place; "
            "instant, as gatys, at half the size. Moving pictures need gatys.",
            show_default="by quality",
        ),
    ] = _DEFAULTS.method,
    where: Annotated[
        Where,
        _looks(
            help="The part to paint: what stands out in the photo, faces, the white parts of --mask, what is not "
            "transparent, or the rest of one of them. Usual with --mask: mask.",
        ),
    ] = _DEFAULTS.where,
    mask: Annotated[
        Path | None,
        _looks(
            help="A picture that is white where to paint and black elsewhere, or transparent elsewhere. It is "
            "stretched to the photo.",
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    spread: Annotated[
        float,
        _looks(metavar="-10-10", help="Widen the part to paint by this percentage of the longer side, or narrow it."),
    ] = _DEFAULTS.spread,
    rest: Annotated[
        Rest, _looks(help="The rest of the picture: the photo as it is, or painted in the last style alone.")
    ] = _DEFAULTS.rest,
    style_layers: Annotated[
        list[str] | None,
        _looks(
            "--style-layer",
            metavar="LAYER[:WEIGHT]",
            help="A layer of VGG19 for the style loss, convX_Y or reluX_Y; repeatable.",
            show_default=" ".join(_DEFAULTS.style_layers),
        ),
    ] = None,
    content_layers: Annotated[
        list[str] | None,
        _looks(
            "--content-layer",
            metavar="LAYER[:WEIGHT]",
            help="A layer of VGG19 for the content loss; repeatable.",
            show_default=" ".join(_DEFAULTS.content_layers),
        ),
    ] = None,
    style_weight: Annotated[
        float, _looks(help="Factor on the style loss, on top of --strength.")
    ] = _DEFAULTS.style_weight,
    content_weight: Annotated[float, _looks(help="Factor on the content loss.")] = _DEFAULTS.content_weight,
    total_variation: Annotated[
        float, _looks(help="Weight of the total variation: smooths.")
    ] = _DEFAULTS.total_variation,
    pooling: Annotated[
        Pooling, _looks(help="Pooling of VGG19: max, as it was trained, or average, which smooths.")
    ] = _DEFAULTS.pooling,
    quality: Annotated[
        Quality | None,
        _looks(
            help="Size, steps and method as the bot chooses them for this device. Other options override them.",
            show_default="standard, or as --recipe says",
        ),
    ] = None,
    recipe_file: Annotated[
        Path | None,
        _looks(
            "--recipe",
            help="A recipe file, as --save-recipe writes it. Other options override it.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int, _optimised(help="Steps of the optimiser, over all scales.", show_default="by quality")
    ] = _DEFAULTS.steps,
    optimiser: Annotated[
        Optimiser, _optimised(help="Adam, Adam along the direction of Gauss and Newton, or L-BFGS.")
    ] = _DEFAULTS.optimiser,
    tolerance: Annotated[
        float,
        _optimised(
            help="End early when ten steps change the picture by less than this many of 255 grey levels; 0: never."
        ),
    ] = _DEFAULTS.tolerance,
    balance: Annotated[
        Balance, _optimised(help="The style layers' weights: fixed, or shifted to the layers farthest from the style.")
    ] = _DEFAULTS.balance,
    start: Annotated[
        Start, _optimised(help="The first image: the photo, the photo in the style's palette, or noise.")
    ] = _DEFAULTS.start,
    noise: Annotated[
        float, _optimised(metavar="0-1", help="Noise on the first image, from which strokes grow in flat areas.")
    ] = _DEFAULTS.noise,
    seed: Annotated[int, _optimised(help="The seed of all noise.")] = _DEFAULTS.seed,
    device: arguments.DeviceOption = "auto",
    precision: arguments.PrecisionOption = _DEFAULTS.precision,
    threads: arguments.ThreadsOption = None,
    weights: arguments.WeightsOption = "embedded",
    size: Annotated[
        int,
        _output(
            metavar=f"{SMALLEST_SIZE}-{LARGEST_SIZE}",
            help="Longer side of the painting, in pixels.",
            show_default="by quality",
        ),
    ] = _DEFAULTS.size,
    frames: Annotated[
        int | None,
        _output(
            metavar=f"1-{MOST_FRAMES}",
            help="The most frames of a moving CONTENT to paint; 1 paints only the first one, as a picture.",
            show_default=f"{MOST_FRAMES}",
        ),
    ] = None,
    previews: Annotated[
        Path | None, _output(help="A folder for previews.", file_okay=False, show_default=False)
    ] = None,
    save_recipe: Annotated[
        Path | None,
        _output(help="Where to write the recipe, in JSON.", dir_okay=False, show_default=False),
    ] = None,
    plot_losses: Annotated[
        Path | None,
        _output(
            metavar="FILE.svg",
            help="Where to plot each layer's loss over the steps, with fixed and with dynamic weights (see --balance)."
            " It paints twice.",
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Paint CONTENT in the style of one or more STYLEs: starry.jpg:0.7 scream.jpg:0.3

    A moving picture (GIF, WebP, PNG or AVIF) is painted frame by frame, at most 384 px large.
    Only its first frame is painted where --where chooses a part.

    Ctrl-C ends the painting early and keeps the picture so far. A second Ctrl-C cancels it.

    The same recipe on the same pictures and device gives the same painting.
    """
    console = Console(stderr=True)
    spin_briefly()
    try:
        chosen = [arguments.style(each) for each in styles]
        given = _given(context, environment=recipe_file is None)
        if mask and "where" not in given:
            given["where"] = "mask"
        given.pop("frames", None)  # applies only to a moving picture
        if quality is None and recipe_file is None:
            quality = "instant" if given.get("method") == "instant" else "standard"
        recipe = arguments.recipe(recipe_file, _preset(quality, device, precision) | given, chosen)
        arguments.check_part(recipe, mask, len(chosen))
        _paint(
            recipe,
            Inputs(content, tuple(each.path for each in chosen), mask),
            arguments.Machine(device, recipe.precision, threads, weights),
            Output(output, previews, save_recipe, plot_losses),
            console,
            Frames(frames or (recipe.frames if recipe_file else MOST_FRAMES), given),
        )
    except ValidationError as error:
        for problem in error.errors():
            field = ".".join(map(str, problem["loc"])) or "recipe"
            console.print(f"[red]{escape(field)}:[/] {escape(problem['msg'])}")
        raise typer.Exit(2) from error
    except AtelierError as error:
        console.print(f"[red]{escape(texts.explain(error))}[/]")
        raise typer.Exit(1) from error
    except OSError as error:
        console.print(f"[red]{escape(f'{error.filename}: {error.strerror}')}[/]")
        raise typer.Exit(1) from error


def _preset(quality: Quality | None, device: str, precision: Precision) -> dict[str, Any]:
    """The fields of the recipe that follow from a quality on this device."""
    if quality is None:
        return {}
    from engine.runtime.devices import choose

    compute = choose(device, precision)
    return PRESETS[tier(compute.device.type, compute.precision)][quality].fields()


def _given(context: typer.Context, *, environment: bool) -> dict[str, Any]:
    """The fields of the recipe that were given as options or, with ``environment``, as environment variables."""
    sources = {"COMMANDLINE", "ENVIRONMENT"} if environment else {"COMMANDLINE"}
    given: dict[str, Any] = {}
    for name in Recipe.model_fields.keys() & context.params.keys():
        source = context.get_parameter_source(name)
        if source is not None and source.name in sources:
            value = context.params[name]
            given[name] = arguments.layers(value) if name in {"content_layers", "style_layers"} else value
    return given


def _paint(
    recipe: Recipe,
    inputs: Inputs[Path],
    machine: arguments.Machine,
    output: Output,
    console: Console,
    frames: Frames,
) -> None:
    format = format_of(output.painting)
    check(output, recipe.size)
    most = frames.most if recipe.where == "everything" else 1
    content, content_frames = read_content(inputs.content, recipe.size, most, format, console)
    recipe = frames.recipe(recipe, content)
    check_format(output.painting, recipe)
    files = [style_in(style) for style in inputs.styles]
    styles = tuple(
        read(style, picture_in(file), recipe.longest_style, console)
        for style, file in zip(inputs.styles, files, strict=True)
    )
    mask = _read_mask(inputs.mask, recipe.size, console)
    with console.status("Loading VGG19 …"):
        from engine.images.animation import first_frame
        from engine.networks import painting as by_network
        from engine.painting.methods import method
        from engine.painting.options import RunOptions
        from engine.painting.reporter import Pace
        from engine.vgg.vgg19 import load_cached

        compute = machine.compute()
        trained = by_network.paints(recipe, files)
        network = None if trained else load_cached(machine.weights, compute.device, compute.dtype)
    stop = StopToken()
    pace = Pace(preview=2.0 if output.previews else None)
    losses: dict[Balance, list[StepLosses]] = {"fixed": [], "dynamic": []}

    def painting(recipe: Recipe, pace: Pace) -> Generator[Painting, None, Result]:
        options = RunOptions(stop=stop, pace=pace, observe=losses[recipe.balance].append if output.plot else None)
        if network is None:
            loaded = by_network.loaded(files[0], compute.device)
            return by_network.paint(first_frame(content), mask, recipe, loaded, compute, options)
        return method(recipe)(Inputs(content, styles, mask), recipe, network, options)

    result = replace(
        followed(
            painting(recipe, pace), f"{compute.name}, {compute.precision}", recipe.steps, stop, output.previews, console
        ),
        content_frames=content_frames,
    )
    written = write(output.painting, encoded(result, format), console)
    if output.recipe:
        text = result.recipe.model_dump_json(indent=2) + "\n"
        written = write(output.recipe, text.encode(), console) and written
    console.print(escape(f"{output.painting}: {texts.painted(result, recipe)}"))
    if output.plot and losses[recipe.balance]:
        try:
            if not stop.finishing:
                other = _with_other_balance(result.recipe)
                again, name = painting(other, Pace(preview=None)), f"{other.balance} weights, for the plot"
                followed(again, name, other.steps, stop, None, console)
        finally:
            drawn = plot(
                losses, f"{inputs.content.name}, {max(result.width, result.height)} px, strength {recipe.strength:g}"
            )
            written = write(output.plot, drawn.encode(), console) and written
    elif output.plot:
        console.print("[yellow]The painting took no step, so there is no loss to plot.[/]")
    if not written:
        raise typer.Exit(1)


def _with_other_balance(recipe: Recipe) -> Recipe:
    other: Balance = "fixed" if recipe.balance == "dynamic" else "dynamic"
    return recipe.model_copy(update={"balance": other})


def _read_mask(path: Path | None, size: int, console: Console) -> "Picture | None":
    return None if path is None else read(path, path.read_bytes(), size, console)
