"""The cost of a painting: memory, seconds for each pixel, and the error of the predicted end.

``python -m tests.benchmarks.cost`` paints each size in a process of its own that works like a worker: it keeps
freed memory, decodes in another process, has VGG19 in memory, reports the same progress and keeps checkpoints. Dask is
loaded, for its memory, but not used. Sizes take turns, in rounds.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from engine.blobs import Blobs
from engine.executor.executor import CHECKPOINT_EVERY
from engine.images import decoder
from engine.images.codec import Picture
from engine.images.limits import Limits
from engine.painting.loop import paint
from engine.painting.reporter import Pace
from engine.progress import Progress, Result
from engine.recipe import SMALLEST_SIZE, Recipe
from engine.runtime.malloc import keep_large_blocks, trim
from engine.vgg.vgg19 import load_cached
from tests.benchmarks import machine
from tests.benchmarks.machine import MEGABYTE
from tests.benchmarks.prediction import FRACTIONS, Told, error_at, errors

MODULE: Final = "tests.benchmarks.cost"
SIZES: Final = (256, 512, 1024)
STEPS: Final[Mapping[int, int]] = {256: 90, 512: 90, 1024: 60}
"""Steps by size: those of ``quality=standard`` on a CPU with bfloat16 for small sizes. For others: :data:`FEW`."""
FEW: Final = 20
ROUNDS: Final = 2


@dataclass(frozen=True, slots=True)
class Painted:
    """One painting in one process. Bytes, seconds."""

    size: int
    width: int
    height: int
    """Of the result: smaller than ordered where memory was too little."""
    steps: int
    warm: int
    """Resident memory when the job arrived."""
    files: int
    """The part of that which is pages of program files: the system can drop those and read them again."""
    peak: int
    """Peak resident memory during the job."""
    process: int
    """Peak resident memory of the process, which an operator's limit has to allow."""
    after: int
    """Resident memory after the job."""
    device_peak: int | None
    """Peak memory of tensors on a GPU; None on a CPU."""
    step: float
    """The median step at the full size, by the painting's progress."""
    first_preview: float | None
    """From the job's bytes to the first preview; None where it ended earlier."""
    total: float
    """From the job's bytes to the result's."""
    seconds: float
    """Of the painting as the engine counts them, which is what it predicts: without the decoding."""
    told: list[Told]
    """Every prediction."""
    judged: int
    """Index of the first of them that came with a preview or after one; 0 where there was none."""
    others: float | None
    """The share of the machine that other processes used at that time."""

    @property
    def added(self) -> int:
        """By the job, on top of a warm worker."""
        return self.peak - self.warm

    @property
    def step_per_megapixel(self) -> float:
        """Seconds of a step for each million of pixels."""
        return self.step / (self.width * self.height / 1e6)


@dataclass(frozen=True, slots=True)
class _Event:
    """An event without its picture: keeping pictures would count as the job's memory."""

    since: float
    """Seconds since the job came."""
    told: Progress
    shown: bool
    """Whether a preview came with it."""


def paint_once(content: bytes, style: bytes, recipe: Recipe, arguments: argparse.Namespace) -> Painted:
    """Do what a worker does, from its start to the end of one job."""
    keep_large_blocks()
    decode = decoder.load_cached(Limits())
    decode.warm_up()
    compute = machine.prepared(arguments)
    network = load_cached("embedded", compute.device, compute.dtype)
    grey = Picture(Image.new("RGB", (SMALLEST_SIZE, SMALLEST_SIZE), "grey"))
    for _ in paint(grey, [grey], Recipe(size=SMALLEST_SIZE, steps=1), network):
        pass
    trim()
    neighbours, warm, files = machine.Neighbours(), resident_memory(), _status("RssFile")
    forget_peak()
    events: list[_Event] = []
    with tempfile.TemporaryDirectory() as folder:
        blobs = Blobs(folder)
        began = perf_counter()
        painting = paint(
            decode.decode(content, longer_side=recipe.size),
            [decode.decode(style, longer_side=recipe.size)],
            recipe,
            network,
            pace=Pace(checkpoint=CHECKPOINT_EVERY),
            save=blobs.put,
        )
        while True:
            try:
                progress = next(painting)
            except StopIteration as end:
                result: Result = end.value
                break
            events.append(_Event(perf_counter() - began, replace(progress, preview=None), bool(progress.preview)))
        total = perf_counter() - began
    peak = peak_memory()
    del painting, progress
    trim()
    first = next((index for index, event in enumerate(events) if event.shown), None)
    return Painted(
        size=recipe.size,
        width=result.width,
        height=result.height,
        steps=result.steps,
        warm=warm,
        files=files,
        peak=peak,
        process=max(peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024),
        after=resident_memory(),
        device_peak=torch.cuda.max_memory_allocated(compute.device) if compute.device.type == "cuda" else None,
        step=median(_step_seconds(events)),
        first_preview=None if first is None else events[first].since,
        total=total,
        seconds=result.seconds,
        told=[Told(each.told.elapsed, each.told.elapsed + each.told.remaining) for each in events],
        judged=first or 0,
        others=neighbours.share(),
    )


def _step_seconds(events: Sequence[_Event]) -> list[float]:
    """The seconds of a step at the last scale, which is the full size."""
    full = events[-1].told.scale
    return [each.told.step_seconds for each in events if each.told.scale == full and each.told.step_seconds]


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


def in_process(size: int, steps: int, arguments: argparse.Namespace) -> Painted:
    """:func:`paint_once` in a fresh one.

    Raises:
        subprocess.CalledProcessError: it failed; its traceback was printed.
    """
    command = [
        sys.executable, "-m", MODULE, "--once", "--size", str(size), "--steps", str(steps),
        "--content", str(arguments.content), "--style", str(arguments.style),
        "--device", arguments.device, "--precision", arguments.precision,
        *(["--threads", str(arguments.threads)] if arguments.threads else []),
    ]  # fmt: skip
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
    fields = json.loads(out.stdout)
    return Painted(**fields | {"told": [Told(**each) for each in fields["told"]]})


@dataclass(frozen=True, slots=True)
class Cost:
    """All paintings of one size."""

    painted: list[Painted]

    @property
    def size(self) -> int:
        """As ordered."""
        return self.painted[0].size

    @property
    def step_per_megapixel(self) -> float:
        """The least of the rounds: others on the machine only ever add."""
        return min(each.step_per_megapixel for each in self.painted)

    def errors(self) -> list[float]:
        """Of every prediction in every round, from the first preview on."""
        return [error for each in self.painted for error in errors(each.told[each.judged :], each.seconds)]

    def error_at(self, fraction: float) -> float | None:
        """The worst of the rounds at that share of the time; None before the first prediction."""
        found = [error_at(each.told, each.seconds, fraction) for each in self.painted]
        return max((error for error in found if error is not None), key=abs, default=None)


def linearity(costs: Sequence[Cost]) -> float | None:
    """What a pixel costs at the largest size against the smallest, 1 for as much; None for one size alone."""
    ordered = sorted(costs, key=lambda cost: cost.size)
    if len(ordered) < 2:
        return None
    return ordered[-1].step_per_megapixel / ordered[0].step_per_megapixel


def table_of_memory(costs: Sequence[Cost]) -> Table:
    """The most of the rounds."""
    table = Table(
        "size", "warm worker", "of it files", "the job adds", "whole process, at most", "afterwards",
        "tensors on the GPU", title="memory",
    )  # fmt: skip
    for cost in costs:
        most = max(cost.painted, key=lambda each: each.process)
        table.add_row(
            f"{most.width} × {most.height}",
            _megabytes(most.warm),
            _megabytes(most.files),
            _megabytes(most.added),
            f"[bold]{_megabytes(most.process)}[/]",
            _megabytes(most.after),
            "" if most.device_peak is None else _megabytes(most.device_peak),
        )
    return table


def _megabytes(many: int) -> str:
    return f"{many / MEGABYTE:,.0f} MB"


def table_of_time(costs: Sequence[Cost]) -> Table:
    """The best of the rounds for steps, the worst for the rest."""
    ratio = linearity(costs)
    table = Table(
        "size", "steps", "a step, best of the rounds", "a megapixel·step", "first preview, worst", "whole, worst",
        "others on the machine, worst",
        title="time" if ratio is None else f"time; a pixel of the largest size takes {ratio:.2f} of the smallest's",
    )  # fmt: skip
    for cost in costs:
        previews = [each.first_preview for each in cost.painted if each.first_preview is not None]
        others = [each.others for each in cost.painted if each.others is not None]
        table.add_row(
            str(cost.size),
            str(cost.painted[0].steps),
            f"{min(each.step for each in cost.painted) * 1e3:.1f} ms of {len(cost.painted)}",
            f"{cost.step_per_megapixel:.2f} s",
            f"{max(previews):.2f} s" if previews else "none",
            f"{max(each.total for each in cost.painted):.1f} s",
            machine.told_share(max(others, default=None)),
        )
    return table


def table_of_predictions(costs: Sequence[Cost]) -> Table:
    """The errors of the predictions."""
    table = Table(
        "size", "predictions", "median error", "worst error", *(f"at {share:.0%} of the time" for share in FRACTIONS),
        title="predicted whole time against the real one, from the first preview on; worst of the rounds",
    )  # fmt: skip
    for cost in costs:
        found = cost.errors()
        at = [cost.error_at(share) for share in FRACTIONS]
        table.add_row(
            str(cost.size),
            str(len(found)),
            f"{median(map(abs, found)):.1%}",
            f"{max(found, key=abs):+.1%}",
            *("nothing told yet" if error is None else f"{error:+.1%}" for error in at),
        )
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = machine.options(__doc__.splitlines()[0], SIZES)
    parser.add_argument("--steps", type=int, help=f"of each painting; by size: {dict(STEPS)}, else {FEW}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="paintings of each size")
    parser.add_argument("--once", action="store_true", help="one painting in this very process; prints data")
    given = machine.given(arguments)
    chosen = parser.parse_args(given)
    sizes = chosen.sizes or SIZES
    if min(sizes) < SMALLEST_SIZE or chosen.rounds < 1 or (chosen.steps is not None and chosen.steps < 1):
        parser.error(f"sizes begin at {SMALLEST_SIZE}, rounds and steps at 1")
    if chosen.once:
        recipe = Recipe(size=sizes[0], steps=chosen.steps or STEPS.get(sizes[0], FEW), precision=chosen.precision)
        painted = paint_once(chosen.content.read_bytes(), chosen.style.read_bytes(), recipe, chosen)
        print(json.dumps(asdict(painted)))  # noqa: T201 - read by the process that started this one
        return
    console = Console()
    about = machine.machine(machine.prepared(chosen), MODULE, given)
    console.print(str(about), highlight=False, markup=False)
    painted_by_size: dict[int, list[Painted]] = {size: [] for size in sizes}
    for _ in range(chosen.rounds):
        for size, painted_so_far in painted_by_size.items():
            painted_so_far.append(in_process(size, chosen.steps or STEPS.get(size, FEW), chosen))
    costs = [Cost(each) for each in painted_by_size.values()]
    for table in (table_of_memory(costs), table_of_time(costs), table_of_predictions(costs)):
        console.print(table)
    machine.write_json(chosen.json, as_data(about, costs))


def as_data(about: machine.Machine, costs: Sequence[Cost]) -> dict[str, Any]:
    """For ``--json``; sizes are keys."""
    return {
        "machine": asdict(about),
        "linearity": linearity(costs),
        "sizes": {
            str(cost.size): {
                "process_peak": max(each.process for each in cost.painted),
                "job_adds": max(each.added for each in cost.painted),
                "step": min(each.step for each in cost.painted),
                "step_per_megapixel": cost.step_per_megapixel,
                "first_preview": [each.first_preview for each in cost.painted],
                "prediction": {
                    "median": median(map(abs, cost.errors())),
                    "worst": max(map(abs, cost.errors())),
                    "at": {str(share): cost.error_at(share) for share in FRACTIONS},
                },
                "painted": [asdict(each) for each in cost.painted],
            }
            for cost in costs
        },
    }


if __name__ == "__main__":
    main()
