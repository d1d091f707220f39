"""The cost of a painting: memory, seconds for each pixel, and the error of the predicted end.

``python -m tests.benchmarks.cost`` paints each size in a process of its own that works like a worker: it keeps
freed memory, decodes in another process, has VGG19 in memory, reports the same progress and keeps checkpoints. Dask is
loaded, for its memory, but not used. Sizes take turns, in rounds.
"""

import resource
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Final

import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from engine.blobs import Blobs
from engine.executor.executor import CHECKPOINT_EVERY
from engine.images import decoder
from engine.images.codec import Picture
from engine.images.limits import Limits
from engine.painting.loop import paint
from engine.painting.options import RunOptions
from engine.painting.reporter import Pace
from engine.progress import Progress
from engine.recipe import SMALLEST_SIZE, Inputs, Precision, Recipe
from engine.runtime.devices import choose, set_threads
from engine.runtime.malloc import keep_large_blocks, trim
from engine.vgg.vgg19 import load_cached
from tests.benchmarks.machine import (
    CONTENT,
    STYLE,
    Content,
    Count,
    Device,
    Sizes,
    Style,
    Threads,
    alone,
    described,
    followed,
)

STEPS: Final[Mapping[int, int]] = {256: 90, 512: 90, 1024: 60}
"""The number of steps by size: for small sizes that of ``quality=standard`` on a CPU with bfloat16. Other sizes have
:data:`FEW`.
"""
FEW: Final = 20


@dataclass(frozen=True, slots=True)
class Event:
    """Progress without its preview, which would count as memory of the job. Times are in seconds."""

    since: float
    """The time since the start of the job."""
    told: Progress
    shown: bool
    """Whether it had a preview."""


@dataclass(frozen=True, slots=True)
class Painted:
    """The measurements of one painting in one process, in bytes and seconds."""

    width: int
    height: int
    """The size of the result, which is smaller than ordered if there was not enough memory."""
    warm: int
    """Resident memory when the job arrived."""
    peak: int
    """Peak resident memory during the job."""
    process: int
    """Peak resident memory of the process. An operator's limit must allow it."""
    seconds: float
    """The time of the painting without the decoding of the pictures. The engine predicts this time."""
    events: list[Event]

    @property
    def added(self) -> int:
        """The memory that the job adds to a warm worker."""
        return self.peak - self.warm

    @property
    def step(self) -> float:
        """The median step at the last scale, which is the full size."""
        full = self.events[-1].told.scale
        return median(
            each.told.step_seconds for each in self.events if each.told.scale == full and each.told.step_seconds
        )

    @property
    def first_preview(self) -> float | None:
        """The time from the job's bytes to the first preview; None if the painting ended earlier."""
        return next((each.since for each in self.events if each.shown), None)

    @property
    def errors(self) -> list[float]:
        """The relative error of each prediction from the first preview on: at 0.1 the time is 10 % too long."""
        first = next((index for index, event in enumerate(self.events) if event.shown), 0)
        told = (each.told for each in self.events[first:])
        return [(each.elapsed + each.remaining) / self.seconds - 1 for each in told]


def paint_once(content: Path, style: Path, recipe: Recipe, threads: int | None, device: str) -> Painted:
    """Do the same as a worker from its start to the end of one job."""
    keep_large_blocks()
    decode = decoder.load_cached(Limits())
    decode.warm_up()
    set_threads(threads)
    compute = choose(device, recipe.precision)
    network = load_cached("embedded", compute.device, compute.dtype)
    grey = Picture(Image.new("RGB", (SMALLEST_SIZE, SMALLEST_SIZE), "grey"))
    followed(paint(Inputs(grey, (grey,)), Recipe(size=SMALLEST_SIZE, steps=1), network))
    files = content.read_bytes(), style.read_bytes()
    trim()
    warm = resident_memory()
    forget_peak()
    events: list[Event] = []

    def keep(progress: Progress) -> None:
        events.append(Event(perf_counter() - began, replace(progress, preview=None), bool(progress.preview)))

    with tempfile.TemporaryDirectory() as folder:
        blobs = Blobs(folder)
        began = perf_counter()
        pictures = [decode.decode(each, longer_side=recipe.size) for each in files]
        pace = Pace(checkpoint=CHECKPOINT_EVERY)
        result = followed(
            paint(Inputs(pictures[0], (pictures[1],)), recipe, network, RunOptions(pace=pace, save=blobs.put)), keep
        )
    peak = peak_memory()
    process = max(peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    return Painted(result.width, result.height, warm, peak, process, result.seconds, events)


def resident_memory() -> int:
    """Bytes of this process that are in memory now."""
    return _status("VmRSS")


def forget_peak() -> None:
    """Reset :func:`peak_memory`. See clear_refs in proc(5)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """The most bytes of this process that were in memory at a time, since :func:`forget_peak`."""
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def report(painted: Mapping[int, Sequence[Painted]]) -> Table:
    """A row for each size: the maximum memory, the fastest step and the slowest preview of all rounds."""
    table = Table("size", "a step, best", "a megapixel·step", "first preview, worst", "the job adds",
                  "whole process, at most", "error of the predicted time, median / worst")  # fmt: skip
    for size, rounds in painted.items():
        most = max(rounds, key=lambda each: each.process)
        step = min(each.step for each in rounds)
        previews = [each.first_preview for each in rounds if each.first_preview is not None]
        errors = [error for each in rounds for error in each.errors]
        table.add_row(
            str(size),
            f"{step * 1e3:.1f} ms of {len(rounds)}",
            f"{step / (most.width * most.height / 1e6):.2f} s",
            f"{max(previews):.2f} s" if previews else "none",
            f"{most.added / 1e6:,.0f} MB",
            f"{most.process / 1e6:,.0f} MB",
            f"{median(map(abs, errors)):.1%} / {max(errors, key=abs):+.1%}",
        )
    return table


def main(
    content: Content = CONTENT,
    style: Style = STYLE,
    sizes: Sizes = None,
    steps: Annotated[int | None, typer.Option(min=1, help=f"Of each; by size: {dict(STEPS)}, else {FEW}.")] = None,
    rounds: Count = 2,
    threads: Threads = None,
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """The cost of a painting: memory, seconds for each pixel, and the error of the predicted end."""
    set_threads(threads)
    console = Console()
    console.print(described(choose(device, precision)), highlight=False, markup=False)
    painted: dict[int, list[Painted]] = {size: [] for size in sizes or STEPS}
    for _ in range(rounds):
        for size, so_far in painted.items():
            recipe = Recipe(size=size, steps=steps or STEPS.get(size, FEW), precision=precision)
            so_far.append(alone(paint_once, content, style, recipe, threads, device))
    console.print(report(painted))


if __name__ == "__main__":
    typer.run(main)
