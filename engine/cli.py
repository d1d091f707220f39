"""``atelier stylize``: the engine alone, at the command line."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from engine import words
from engine.errors import AtelierError, PictureError
from engine.memory import keep_large_blocks
from engine.progress import Result, Stop
from engine.recipe import Colours, Precision, Recipe

if TYPE_CHECKING:
    from engine.pictures import Picture

_FORMATS: Final[dict[str, Literal["png", "jpeg", "webp"]]] = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
}
_DEFAULTS: Final = Recipe()


def stylize(
    content: Annotated[Path, typer.Argument(help="The photo to paint.", show_default=False)],
    styles: Annotated[
        list[Path], typer.Argument(help="The picture whose style to take; several are blended.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Where to write the painting (.png, .jpg or .webp).", show_default=False),
    ],
    size: Annotated[int, typer.Option(help="Longer side of the painting, in pixels.")] = _DEFAULTS.size,
    steps: Annotated[int, typer.Option(help="Steps of Adam in all, over all scales.")] = _DEFAULTS.steps,
    strength: Annotated[float, typer.Option(help="0 gives the photo back, 100 is nearly all style.")] = 50,
    colours: Annotated[Colours, typer.Option(help="Whose colours the painting has.")] = "style",
    seed: Annotated[int, typer.Option(help="Of the noise on the first image.")] = 0,
    content_weight: Annotated[float, typer.Option(help="Factor on the content loss.")] = 1.0,
    style_weight: Annotated[float, typer.Option(help="Factor on the style loss.")] = 1.0,
    content_layer: Annotated[
        list[str] | None, typer.Option(help="LAYER[:WEIGHT], repeatable.", show_default="relu4_2")
    ] = None,
    style_layer: Annotated[
        list[str] | None, typer.Option(help="LAYER[:WEIGHT], repeatable.", show_default="relu1_1 … relu5_1")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.", envvar="DEVICE")] = "auto",
    precision: Annotated[Precision, typer.Option(help="Of the network's activations.", envvar="PRECISION")] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="Cores to use.", envvar="THREADS", min=1, show_default="all that are granted")
    ] = None,
    weights: Annotated[str, typer.Option(help="embedded, torchvision or a file.", envvar="VGG19_WEIGHTS")] = "embedded",
    previews: Annotated[Path | None, typer.Option(help="A folder for pictures on the way.", show_default=False)] = None,
) -> None:
    """Paint CONTENT in the manner of STYLES.

    Ctrl-C ends it early and keeps the picture so far; a second Ctrl-C gives it up.
    """
    console = Console(stderr=True)
    try:
        recipe = Recipe(
            size=size,
            steps=steps,
            strength=strength,
            colours=colours,
            seed=seed,
            content_weight=content_weight,
            style_weight=style_weight,
            content_layers=_layers(content_layer) or _DEFAULTS.content_layers,
            style_layers=_layers(style_layer) or _DEFAULTS.style_layers,
            precision=precision,
        )
    except ValidationError as error:
        for problem in error.errors():
            field = ".".join(map(str, problem["loc"])) or "recipe"
            console.print(f"[red]{escape(field)}:[/] {escape(problem['msg'])}")
        raise typer.Exit(2) from error
    try:
        _paint(recipe, content, styles, output, device, threads, weights, previews, console)
    except AtelierError as error:
        console.print(f"[red]{escape(words.explain(error))}[/]")
        raise typer.Exit(1) from error
    except OSError as error:
        console.print(f"[red]{escape(f'{error.filename}: {error.strerror}')}[/]")
        raise typer.Exit(1) from error


def _layers(given: list[str] | None) -> Any:
    """``relu4_2:0.5`` and ``relu4_2`` to weights; what is no layer or no number is left to the recipe to refuse."""
    return {layer: weight or 1.0 for layer, _, weight in (each.partition(":") for each in given or [])}


def _paint(
    recipe: Recipe,
    content: Path,
    styles: list[Path],
    output: Path,
    device: str,
    threads: int | None,
    weights: str,
    previews: Path | None,
    console: Console,
) -> None:
    format = _FORMATS.get(output.suffix.lower())
    if format is None:
        raise typer.BadParameter(f"{output.name}: the name must end in {', '.join(_FORMATS)}", param_hint="--output")
    pictures = [_read(path, recipe.size) for path in (content, *styles)]
    output.parent.mkdir(parents=True, exist_ok=True)
    if previews:
        previews.mkdir(parents=True, exist_ok=True)
    with console.status("Loading VGG19 …"):
        from PIL import Image

        from engine.devices import choose, set_threads
        from engine.painting import Pace, paint
        from engine.pictures import encode
        from engine.vgg19 import resident

        keep_large_blocks()
        set_threads(threads)
        compute = choose(device, recipe.precision)
        network = resident(weights, compute.device, compute.dtype)
    stop = Stop()
    painting = paint(pictures[0], pictures[1:], recipe, network, stop, pace=Pace(preview=2.0 if previews else None))
    with _finish_on_interrupt(stop), _bar(console) as bar:
        task = bar.add_task(
            f"{compute.name}, {compute.precision}", total=recipe.steps, loss=float("nan"), rate="", left="…"
        )
        while True:
            try:
                progress = next(painting)
            except StopIteration as end:
                result: Result = end.value
                break
            if progress.preview and previews:
                (previews / f"preview-{progress.step:04}.jpg").write_bytes(progress.preview)
            bar.update(
                task,
                completed=progress.step,
                loss=progress.loss,
                rate=f"{progress.step / progress.elapsed:.1f} steps/s",
                left=f"{progress.remaining:.0f} s left",
            )
    picture = Image.open(BytesIO(result.picture))
    alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
    output.write_bytes(result.picture if format == "png" else encode(picture.convert("RGB"), format, alpha=alpha))
    early = "" if result.ending == "finished" else f", ended early after {result.steps} steps"
    size = f"{result.width} × {result.height} px"
    console.print(f"{escape(str(output))}: {size} in {result.seconds:.1f} s{early}, recipe {recipe.id}")


def _read(path: Path, size: int) -> "Picture":
    from engine.pictures import decode

    try:
        return decode(path.read_bytes(), longer_side=size)
    except PictureError as error:
        raise typer.BadParameter(f"{path}: {words.explain(error)}") from error


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[left]}"),
        console=console,
    )


@contextmanager
def _finish_on_interrupt(stop: Stop) -> Iterator[None]:
    """The first Ctrl-C ends the painting and keeps it, the second gives it up."""

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        if stop.finishing:
            stop.cancel()
        else:
            stop.finish()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
