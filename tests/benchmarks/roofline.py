"""The share of the convolutions' peak on this machine that a step of the engine reaches, and the parts of its time.

``python -m tests.benchmarks.roofline`` measures in turns, so that both see the same disturbances: a few steps of the
engine's own loop (:func:`engine.painting.loop.paint` at its full size), and each shape of VGG19's convolutions alone.
The peak is the fastest of those at its best; the share is the step's rate against it, both at their best, and the
median step's as well. Only what a step needs counts as work: convolutions forward and backward (see
:mod:`tests.benchmarks.flop`).

On a machine with other load, ``--clock processor`` counts processor time instead of the wall's, in both: see
:func:`tests.benchmarks.machine.clock`. The profiler's table is by the wall's in any case.
"""

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

import torch
from rich.console import Console
from rich.table import Table

from engine.images.codec import decode, fitted
from engine.painting.loop import paint
from engine.painting.pyramid import scales
from engine.painting.reporter import Pace
from engine.progress import Progress, Result
from engine.recipe import SMALLEST_SIZE, Recipe
from engine.runtime.devices import Compute
from engine.runtime.malloc import keep_large_blocks
from engine.vgg.vgg19 import load_cached
from tests.benchmarks import machine, parts
from tests.benchmarks.flop import StepFlop, convolutions, of_step
from tests.benchmarks.kernels import Kernels, Product, Timing

MODULE: Final = "tests.benchmarks.roofline"
SIZES: Final = (256, 512, 1024)
ROUNDS: Final = 6
STEPS: Final = 3
"""That are measured in each round, and that are profiled at the end."""
OPERATIONS: Final = 12
"""The number of torch's most expensive operations in the report."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution alone, in GFLOP/s and milliseconds at best."""

    name: str
    inputs: int
    outputs: int
    width: int
    height: int
    forward: float
    forward_ms: float
    backward: float
    backward_ms: float


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured at one size. Seconds, FLOP/s."""

    size: int
    width: int
    height: int
    flop: StepFlop
    step_best: float
    step_median: float
    steps: int
    """That were measured."""
    alone: float
    """Seconds of the step's convolutions, each alone and at its best: no step of these kernels is faster."""
    peak: float
    """Of the convolutions at this size."""
    peak_of: str
    peak_median: float
    """The median of that fastest one."""
    product: float
    """FLOP/s of a plain matrix product at best."""
    layers: list[Layer]
    parts: dict[str, float]
    """Seconds of a step in each."""
    operations: dict[str, float]
    """Seconds of a step in torch's operations, the dearest ones."""
    outside: float
    """Seconds of a step outside of torch's operations."""
    others: float | None
    """The share of the machine that other processes used at that time."""

    @property
    def rate(self) -> float:
        """FLOP/s of the best step, its convolutions alone being counted."""
        return self.flop.convolutions / self.step_best

    def share(self, peak: float) -> float:
        """Of ``peak`` that the best step reaches."""
        return self.rate / peak

    def share_median(self, peak: float) -> float:
        """The same of the median step."""
        return self.flop.convolutions / self.step_median / peak


class Steps:
    """The engine's loop at its full size, one step at a time."""

    def __init__(
        self, content: Path, style: Path, recipe: Recipe, compute: Compute, clock: machine.Clock = perf_counter
    ) -> None:
        """Paint up to the first step at ``recipe.size``, which isn't measured: it looks at the style."""
        self.size = recipe.size
        self.clock = clock
        # Telling is waiting for the device: each step on a CPU, seldom on a GPU.
        pace = Pace(progress=0 if compute.device.type == "cpu" else 0.25, preview=None, checkpoint=None)
        self._painting: Generator[Progress, None, Result] = paint(
            decode(content.read_bytes()),
            [decode(style.read_bytes())],
            recipe,
            load_cached("embedded", compute.device, compute.dtype),
            pace=pace,
        )
        self._last = next(self._painting)
        while self._last.scale != self.size:
            self._last = next(self._painting)

    def take(self) -> float:
        """Advance to the next progress; the seconds of a step until then."""
        began = self.clock()
        progress = next(self._painting)
        took = (self.clock() - began) / (progress.step - self._last.step)
        self._last = progress
        return took

    @property
    def step(self) -> int:
        """The last step that was reported."""
        return self._last.step

    def close(self) -> None:
        """Leave the painting as it is."""
        self._painting.close()


def steps_for(size: int, at_full_size: int) -> int:
    """The steps to order so that so many are made at the full size."""
    steps = at_full_size
    while scales(size, steps)[-1].steps < at_full_size:
        steps += 1
    return steps


def measure(
    content: Path, style: Path, size: int, compute: Compute, clock: machine.Clock, *, rounds: int, steps: int
) -> Found:
    """Everything at one size."""
    neighbours = machine.Neighbours()
    recipe = Recipe(size=size, steps=steps_for(size, (rounds + 1) * steps + 2), precision="auto")
    width, height = fitted(decode(content.read_bytes()).rgb.size, size)
    deepest = max((*recipe.content_layers, *recipe.style_layers), key=lambda layer: layer[-3:])
    kernels = Kernels(convolutions(width, height, deepest), compute.device, compute.dtype, clock)
    product = Product(compute.device, compute.dtype, clock)
    painting = Steps(content, style, recipe, compute, clock)
    painting.take()
    taken: list[float] = []
    for _ in range(rounds):
        taken += [painting.take() for _ in range(steps)]
        kernels.measure()
        product.measure()
    profiled = [_profiled(painting, compute) for _ in range(steps)]
    painting.close()
    peak = kernels.peak
    return Found(
        size=size,
        width=width,
        height=height,
        flop=of_step(width, height, recipe.content_layers, recipe.style_layers),
        step_best=min(taken),
        step_median=median(taken),
        steps=len(taken),
        alone=kernels.at_best(),
        peak=peak.rate,
        peak_of=next(f"{name}, {direction}" for (name, direction), timing in kernels.timings.items() if timing is peak),
        peak_median=peak.flop / median(peak.seconds),
        product=product.timing.rate,
        layers=_layers(kernels),
        parts=parts.least(groups for groups, _, _ in profiled),
        operations=dict(list(parts.least(operations for _, operations, _ in profiled).items())[:OPERATIONS]),
        outside=min(outside for _, _, outside in profiled),
        others=neighbours.share(),
    )


def _profiled(painting: Steps, compute: Compute) -> tuple[dict[str, float], dict[str, float], float]:
    """A step's seconds by part, by operation, and outside of both; by the profiler's clock, which is the wall's."""
    on_device = compute.device.type == "cuda"
    began = painting.step
    with parts.profiler(compute.device) as profile:
        since = perf_counter()
        painting.take()
        took = perf_counter() - since
    events = list(profile.events() or [])
    many = painting.step - began
    groups, operations = (
        {name: seconds / many for name, seconds in found(events, on_device=on_device).items()}
        for found in (parts.grouped, parts.by_operation)
    )
    return groups, operations, max(0.0, took / many - sum(groups.values()))


def _layers(kernels: Kernels) -> list[Layer]:
    def told(timing: Timing) -> tuple[float, float]:
        return timing.rate / 1e9, timing.best * 1e3

    return [
        Layer(each.name, each.inputs, each.outputs, each.width, each.height,
              *told(kernels.timing(each, "forward")), *told(kernels.timing(each, "backward")))
        for each in kernels.convolutions
    ]  # fmt: skip


def table_of_shares(found: Sequence[Found], peak: float, clock: str) -> Table:
    """The answer."""
    table = Table(
        "size", "a step needs", "Gram matrices", "step, best / median", "its rate, best",
        "share of the peak, best / median", "convolutions alone", "of the step", "others on the machine",
        title=f"by {clock} time: convolutions' peak {peak / 1e9:.0f} GFLOP/s; matrix product "
        f"{max(each.product for each in found) / 1e9:.0f} GFLOP/s",
    )  # fmt: skip
    for each in found:
        table.add_row(
            f"{each.width} × {each.height}",
            f"{each.flop.convolutions / 1e9:.1f} GFLOP",
            f"{each.flop.gram / 1e9:.1f} GFLOP",
            f"{each.step_best * 1e3:.1f} / {each.step_median * 1e3:.1f} ms of {each.steps}",
            f"{each.rate / 1e9:.0f} GFLOP/s",
            f"[bold]{each.share(peak):.0%}[/] / {each.share_median(peak):.0%}",
            f"{each.alone * 1e3:.1f} ms",
            f"{each.alone / each.step_best:.0%}",
            machine.told_share(each.others),
        )
    return table


def table_of_layers(found: Found) -> Table:
    """Which kernels are slow."""
    table = Table(
        "layer", "channels", "size", "forward", "", "backward", "",
        title=f"each convolution alone at {found.size} px, best; the fastest is {found.peak_of}",
    )  # fmt: skip
    for layer in found.layers:
        table.add_row(
            layer.name,
            f"{layer.inputs} → {layer.outputs}",
            f"{layer.width} × {layer.height}",
            f"{layer.forward:.0f} GFLOP/s",
            f"{layer.forward_ms:.2f} ms",
            f"{layer.backward:.0f} GFLOP/s",
            f"{layer.backward_ms:.2f} ms",
        )
    return table


def table_of_parts(found: Sequence[Found]) -> Table:
    """Where the time of a step goes."""
    table = Table(
        "a step's time in", *(f"{each.size} px" for each in found), title="by torch's profiler, the least of each"
    )
    for part in parts.PARTS:
        table.add_row(part, *(_told(each.parts[part], sum(each.parts.values())) for each in found))
    wholes = [sum(each.parts.values()) + each.outside for each in found]
    table.add_row("outside of torch's operations", *map(_told, (each.outside for each in found), wholes))
    return table


def _told(seconds: float, whole: float) -> str:
    return f"{seconds * 1e3:.1f} ms, {seconds / whole:.0%}"


def table_of_operations(found: Found) -> Table:
    """The same by torch's own names."""
    table = Table("operation", "a step", title=f"the dearest operations at {found.size} px")
    for name, seconds in found.operations.items():
        table.add_row(name, _told(seconds, sum(found.parts.values())))
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = machine.options(__doc__.splitlines()[0], SIZES)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of steps and kernels in turns, at each size")
    parser.add_argument("--steps", type=int, default=STEPS, help="in each round")
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall", help="for a machine that is busy")
    given = machine.given(arguments)
    chosen = parser.parse_args(given)
    if min(chosen.sizes or SIZES) < SMALLEST_SIZE or min(chosen.rounds, chosen.steps) < 1:
        parser.error(f"sizes begin at {SMALLEST_SIZE}, rounds and steps at 1")
    compute = machine.prepared(chosen)
    if chosen.clock == "processor" and compute.device.type != "cpu":
        parser.error("a GPU's work is not in processor time")
    if chosen.clock == "processor" and not machine.waits_idly():
        machine.start_again_waiting_idly(MODULE, given)
    keep_large_blocks()
    clock = machine.clock(chosen.clock, torch.get_num_threads())
    about = machine.machine(compute, MODULE, given)
    console = Console()
    console.print(str(about), highlight=False, markup=False)
    found = [
        measure(chosen.content, chosen.style, size, compute, clock, rounds=chosen.rounds, steps=chosen.steps)
        for size in chosen.sizes or SIZES
    ]
    peak = max(each.peak for each in found)
    for each in found:
        console.print(table_of_layers(each))
    for each in found:
        console.print(table_of_operations(each))
    console.print(table_of_parts(found))
    console.print(table_of_shares(found, peak, chosen.clock))
    machine.write_json(chosen.json, as_data(about, found, peak, chosen.clock))


def as_data(about: machine.Machine, found: Sequence[Found], peak: float, clock: str) -> dict[str, Any]:
    """For ``--json``; sizes are keys."""
    return {
        "machine": asdict(about),
        "clock": clock,
        "peak": peak,
        "product": max(each.product for each in found),
        "sizes": {
            str(each.size): asdict(each) | {"share": each.share(peak), "share_median": each.share_median(peak)}
            for each in found
        },
    }


if __name__ == "__main__":
    main()
