"""The share of the convolutions' peak on this machine that a step of the engine reaches, and the parts of its time.

``python -m tests.benchmarks.roofline`` measures in turns, so that both see the same disturbances: a few steps of the
engine's own loop (:func:`engine.painting.loop.paint` at its full size), and each shape of VGG19's convolutions alone.
The peak is the fastest of those at its best; the share is the step's rate against it, at its best. Only what a step
needs counts as work: convolutions forward and backward (see :func:`tests.benchmarks.kernels.flop_of_step`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

import typer
from rich.console import Console
from rich.table import Table

from engine.images.codec import decode, fitted
from engine.painting.loop import paint
from engine.painting.options import RunOptions
from engine.painting.pyramid import scales
from engine.painting.reporter import Pace
from engine.progress import Progress
from engine.recipe import Inputs, Precision, Recipe
from engine.runtime.devices import Compute, choose, set_threads
from engine.runtime.malloc import keep_large_blocks
from engine.vgg.vgg19 import load_cached
from tests.benchmarks import parts
from tests.benchmarks.kernels import DIRECTIONS, Kernels, convolutions, flop_of_step
from tests.benchmarks.machine import CONTENT, STYLE, Content, Count, Device, Sizes, Style, Threads, described

SIZES: Final = (256, 512, 1024)


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured at one size."""

    size: int
    width: int
    height: int
    flop: int
    """Of a step's convolutions."""
    step: float
    """Seconds of the best step."""
    kernels: Kernels
    parts: dict[str, float]
    """Seconds of a step in each."""

    def share(self, peak: float) -> float:
        """Of ``peak``, in FLOP/s, that the best step reaches."""
        return self.flop / self.step / peak


def timed(painting: Iterator[Progress], size: int) -> Iterator[tuple[float, int]]:
    """Seconds and steps until each progress at the full size, from the second on: the first step looks at the style."""
    last = next(painting)
    while last.scale != size:
        last = next(painting)
    while True:
        began = perf_counter()
        progress = next(painting)
        yield perf_counter() - began, progress.step - last.step
        last = progress


def steps_for(size: int, at_full_size: int) -> int:
    """The steps to order so that so many are made at the full size."""
    steps = at_full_size
    while scales(size, steps)[-1].steps < at_full_size:
        steps += 1
    return steps


def measure(content: Path, style: Path, size: int, compute: Compute, *, rounds: int, steps: int) -> Found:
    """Everything at one size."""
    recipe = Recipe(size=size, steps=steps_for(size, (rounds + 1) * steps + 2))
    pictures = decode(content.read_bytes()), decode(style.read_bytes())
    width, height = fitted(pictures[0].rgb.size, size)
    deepest = max((*recipe.content_layers, *recipe.style_layers), key=lambda layer: layer[-3:])
    kernels = Kernels(convolutions(width, height, deepest), compute.device, compute.dtype)
    # Telling is waiting for the device: each step on a CPU, seldom on a GPU.
    pace = Pace(progress=0 if compute.device.type == "cpu" else 0.25, preview=None, checkpoint=None)
    network = load_cached("embedded", compute.device, compute.dtype)
    painting = paint(Inputs(pictures[0], pictures[1:]), recipe, network, RunOptions(pace=pace))
    clock = timed(painting, size)
    next(clock)
    taken: list[float] = []
    for _ in range(rounds):
        taken += [seconds / many for seconds, many in (next(clock) for _ in range(steps))]
        kernels.measure()
    profiled = []
    for _ in range(steps):
        with parts.profiler(compute.device) as profile:
            _, many = next(clock)
        found = parts.grouped(profile.events() or [], on_device=compute.device.type == "cuda")
        profiled.append({part: seconds / many for part, seconds in found.items()})
    painting.close()
    flop = flop_of_step(kernels.convolutions)
    return Found(size, width, height, flop, min(taken), kernels, parts.least(profiled))


def table_of_shares(found: Sequence[Found], peak: float) -> Table:
    """The answer."""
    table = Table(
        "size", "a step needs", "a step, best", "its rate", "share of the peak",
        title=f"convolutions' peak {peak / 1e9:.0f} GFLOP/s",
    )  # fmt: skip
    for each in found:
        table.add_row(
            f"{each.width} × {each.height}",
            f"{each.flop / 1e9:.1f} GFLOP",
            f"{each.step * 1e3:.1f} ms",
            f"{each.flop / each.step / 1e9:.0f} GFLOP/s",
            f"[bold]{each.share(peak):.0%}[/]",
        )
    return table


def table_of_layers(found: Found) -> Table:
    """Which kernels are slow."""
    table = Table("layer", "channels", "size", *DIRECTIONS, title=f"each convolution alone at {found.size} px, best")
    for each in found.kernels.convolutions:
        rates = (
            f"{found.kernels.rate(each, direction) / 1e9:.0f} GFLOP/s, "
            f"{found.kernels.best[each.name, direction] * 1e3:.2f} ms"
            for direction in DIRECTIONS
        )
        table.add_row(each.name, f"{each.inputs} → {each.outputs}", f"{each.width} × {each.height}", *rates)
    return table


def table_of_parts(found: Sequence[Found], peak: float) -> Table:
    """Where the time of a step goes, and what is lost to the peak."""
    table = Table(
        *("a step's time in", *(f"{each.size} px" for each in found)), title="by torch's profiler, the least of each"
    )

    def add(name: str, seconds: Sequence[float]) -> None:
        cells = (
            f"{it * 1e3:.1f} ms, {it / sum(each.parts.values()):.0%}" for it, each in zip(seconds, found, strict=True)
        )
        table.add_row(name, *cells)

    for part in parts.PARTS:
        add(part, [each.parts[part] for each in found])
    table.add_section()
    ideal = [each.flop / peak for each in found]
    add("convolutions, had they the peak", ideal)
    convolutions = [each.parts[parts.FORWARD] + each.parts[parts.BACKWARD] for each in found]
    add("lost: slower convolutions", [it - least for it, least in zip(convolutions, ideal, strict=True)])
    add("lost: everything else", [sum(each.parts.values()) - it for each, it in zip(found, convolutions, strict=True)])
    return table


def main(
    content: Content = CONTENT,
    style: Style = STYLE,
    sizes: Sizes = None,
    rounds: Count = 6,
    steps: Count = 3,
    threads: Threads = None,
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """The share of the convolutions' peak that a step reaches: so many steps, and all kernels, in so many rounds."""
    set_threads(threads)
    keep_large_blocks()
    compute = choose(device, precision)
    console = Console()
    console.print(described(compute), highlight=False, markup=False)
    found = [measure(content, style, size, compute, rounds=rounds, steps=steps) for size in sizes or SIZES]
    for each in found:
        console.print(table_of_layers(each))
    peak = max(each.kernels.peak for each in found)
    console.print(table_of_parts(found, peak))
    console.print(table_of_shares(found, peak))


if __name__ == "__main__":
    typer.run(main)
