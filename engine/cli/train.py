"""``atelier train``: teach a network one or several styles."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from engine import texts
from engine.cli.arguments import DeviceOption, Machine, PrecisionOption, ThreadsOption, WeightsOption
from engine.cli.network_files import Checkpoint, Words, base_in, check_output, names_of, photos_in, save
from engine.errors import AtelierError
from engine.networks.plan import STEPS, Plan, Trained, TrainingOrder
from engine.progress import StopToken
from engine.runtime.openmp import spin_briefly

if TYPE_CHECKING:
    from engine.networks.training import Training

MINUTES: Final = 30.0
"""How long a training takes where neither minutes nor steps are given."""
SAVE_EVERY: Final = 30.0
"""Seconds between two checkpoints, and of the work that a worker of a cluster is given at a time."""
LINES: Final = 20
"""Lines about the progress, where there is no terminal."""

_learns: Final = partial(typer.Option, rich_help_panel="What it learns from")
_long: Final = partial(typer.Option, rich_help_panel="How long")
_cluster: Final = partial(typer.Option, rich_help_panel="On a cluster")


@dataclass(frozen=True, slots=True)
class _Cluster:
    """The workers that train instead of this machine."""

    scheduler: str
    certificates: tuple[Path | None, Path | None, Path | None]
    """Of the authority, of this machine, and its key."""


def train(
    styles: Annotated[
        list[Path],
        typer.Argument(
            metavar="STYLE…",
            help="The pictures to learn. Each file's name becomes the name of a style.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Where to write the network: NAME.safetensors.", dir_okay=False, show_default=False
        ),
    ],
    base: Annotated[
        Path | None,
        _learns(
            "--from",
            help="A trained network. A copy of it learns the styles: first its normalisations, then all.",
            exists=True,
            dir_okay=False,
            show_default="from scratch",
        ),
    ] = None,
    photos: Annotated[
        Path | None,
        _learns(
            help="A folder of photos. A hundred make a better network than none, a thousand a still better one.",
            exists=True,
            file_okay=False,
            show_default="the styles' pictures and drawn shapes",
        ),
    ] = None,
    licences: Annotated[
        str, _learns(help="Sources and licences of photos and styles, for the model card.", show_default="not stated")
    ] = "",
    minutes: Annotated[
        float | None,
        _long(min=0.01, help="End after so many minutes.", show_default=f"{MINUTES:g}, or none with --steps"),
    ] = None,
    steps: Annotated[
        int | None,
        _long(min=1, help="End after so many steps. Without --minutes, the same command then gives the same network."),
    ] = None,
    seed: Annotated[int, _long(min=0, help="The seed of everything random.")] = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
    weights: WeightsOption = "embedded",
    scheduler: Annotated[
        str | None,
        _cluster(help="tls://HOST:PORT, or tcp:// on this machine: train on a worker.", show_default="train here"),
    ] = None,
    tls_ca: Annotated[Path | None, _cluster(envvar="TLS_CA", help="The authority: ca.pem.", show_default="no TLS")] = (
        None
    ),
    tls_certificate: Annotated[
        Path | None, _cluster(envvar="TLS_CERTIFICATE", help="certificate.pem.", show_default="no TLS")
    ] = None,
    tls_key: Annotated[Path | None, _cluster(envvar="TLS_KEY", help="key.pem.", show_default="no TLS")] = None,
) -> None:
    """Train a network that paints in the STYLEs in one pass. It learns to minimise the objective of a painting.

    Then it is a style: [bold]atelier stylize photo.jpg NAME.safetensors --quality instant -o out.png[/]

    Ctrl-C pauses. The same command goes on from there, also with other minutes or steps.

    A contact sheet NAME.jpg beside it shows what it learned. The file holds a model card and the styles' pictures.

    Without --photos it has not seen a photo: expect worse pictures, above all of faces.
    """
    console = Console(stderr=True)
    try:
        names = names_of(styles)
        check_output(output)
        plan = Plan(MINUTES if minutes is None and steps is None else minutes, steps or STEPS, seed=seed)
        order = TrainingOrder(
            plan,
            tuple(each.read_bytes() for each in styles),
            tuple(photos_in(photos, console)) if photos else (),
            base_in(base) if base else b"",
        )
        machine = Machine(device, precision, threads, weights)
        cluster = _Cluster(scheduler, (tls_ca, tls_certificate, tls_key)) if scheduler else None
        checkpoint = Checkpoint.of(output, order)
        training, name = _trained(order, machine, cluster, checkpoint, console)
        sheet = save(output, training, order, Words(names, licences, name))
        checkpoint.remove()
    except AtelierError as error:
        console.print(f"[red]{escape(texts.explain(error))}[/]")
        raise typer.Exit(1) from error
    except OSError as error:
        console.print(f"[red]{escape(f'{error.filename}: {error.strerror}' if error.filename else str(error))}[/]")
        raise typer.Exit(1) from error
    content, style = training.losses[1:]
    minutes = training.seconds / 60
    console.print(
        escape(
            f"{output}: {training.steps:,} steps in {minutes:.1f} min, content loss {content:.3f}, style {style:.3f}."
        )
    )
    console.print(escape(f"{sheet}: the contact sheet."))


def _trained(
    order: TrainingOrder, machine: Machine, cluster: _Cluster | None, checkpoint: Checkpoint, console: Console
) -> tuple["Training", str]:
    """The training at its end, and the name of the device for people."""
    before = checkpoint.read()
    with console.status("Loading VGG19 and the pictures …"):
        spin_briefly()
        from engine.images.codec import decode
        from engine.networks.training import begin
        from engine.vgg.vgg19 import load_cached

        compute = machine.compute()
        training = begin(order, load_cached(machine.weights, compute.device, compute.dtype), decode)
        if before is not None:
            training.resume(before)
    if before is not None:
        console.print(f"Going on from step {training.steps:,}.")
    name = "a cluster" if cluster else f"{compute.name}, {compute.precision}"
    with _bar(console) as bar:
        task = bar.add_task(name, total=1.0, loss="", left="")
        told = 0

        def show(trained: Trained) -> None:
            nonlocal told
            left = (1 - trained.done) / trained.done * trained.seconds if trained.done else 0.0
            loss = f"step {trained.step:,}, loss {trained.loss:.2f}"
            remaining = f"{left / 60:.0f} min left" if left > 90 else f"{left:.0f} s left"
            bar.update(task, completed=trained.done, loss=loss, left=remaining)
            # In a file a bar would show at the end only.
            if not console.is_terminal and trained.done * LINES >= told + 1:
                told = int(trained.done * LINES)
                console.print(f"{trained.done:.0%}: {loss}, {remaining}")

        if cluster:
            paused = _on_cluster(order, cluster, machine.weights, training, checkpoint, show)
        else:
            paused = _here(training, checkpoint, show)
    if paused:
        console.print(f"Paused at {training.done:.0%}. The same command goes on from there.")
        raise typer.Exit(130)
    return training, name


def _here(training: "Training", checkpoint: Checkpoint, show: Callable[[Trained], None]) -> bool:
    """Train on this machine. Returns whether it was paused by Ctrl-C."""
    stop = StopToken()
    saved = time.monotonic()
    with _pause_on_interrupt(stop):
        while training.done < 1 and not stop.pausing:
            show(training.step())
            if time.monotonic() - saved > SAVE_EVERY:
                checkpoint.write(training.state())
                saved = time.monotonic()
    if stop.pausing:
        checkpoint.write(training.state())
    return stop.pausing


def _on_cluster(
    order: TrainingOrder,
    cluster: _Cluster,
    weights: str,
    training: "Training",
    checkpoint: Checkpoint,
    show: Callable[[Trained], None],
) -> bool:
    """Train on the workers of a cluster, which paint in between. Returns whether it was paused by Ctrl-C."""
    from engine.cluster.safe_pickle import restrict
    from engine.cluster.tls import TLS, scheduler_security
    from engine.executor.executor import DaskExecutor
    from engine.worker.protocol import WorkerSettings

    async def run() -> None:
        security = scheduler_security(cluster.scheduler, TLS.given(*cluster.certificates))
        async with DaskExecutor.open(WorkerSettings(weights=weights), cluster.scheduler, security) as executor:
            while training.done < 1:
                chunk = await executor.train(order, training.state(), SAVE_EVERY)
                training.resume(chunk.state)
                checkpoint.write(chunk.state)
                for each in chunk.trained[-1:]:
                    show(each)

    restrict()
    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        return True
    return False


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[loss]}"),
        TextColumn("{task.fields[left]}"),
        console=console,
    )


@contextmanager
def _pause_on_interrupt(stop: StopToken) -> Iterator[None]:
    """The first Ctrl-C pauses after the current step, the second ends the process."""

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        if stop.pausing:
            raise KeyboardInterrupt
        stop.pause()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
