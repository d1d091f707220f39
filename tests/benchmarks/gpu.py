"""Everything that has to be known of a GPU, in one command of less than ten minutes.

``python -m tests.benchmarks.gpu`` paints the project's own pictures by the recipe of ``quality=standard`` at each size:
with a recorded step (a CUDA graph) and without, in bfloat16 and in float32, each several times. It compares the bytes
of the repeats, and the pictures with that of float32. Then it measures the share of the convolutions' peak that a step
reaches (:mod:`tests.benchmarks.roofline`), and the time in which the default recipe reaches the objective of
crowsonkb's style-transfer-pytorch (:mod:`tests.benchmarks.time_to_quality`). Each table is printed as soon as it is
known. Without a CUDA device it says so and exits with 1.
"""

import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any, Final
from unittest import mock

import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from engine.images.codec import decode
from engine.optim import cuda_graphs
from engine.painting import style_statistics
from engine.painting.loop import paint
from engine.presets import PRESETS
from engine.recipe import Inputs, Precision, Recipe
from engine.runtime.devices import choose
from engine.vgg.vgg19 import load_cached
from tests.benchmarks import contest, roofline
from tests.benchmarks.machine import CONTENT, STYLE, Count, Sizes, alone, described, followed
from tests.benchmarks.time_to_quality import held, table_of

TARGETS: Final = {512: 1.0, 1024: 4.0}
"""Seconds by size, for a card of the class of an H100."""
STEPS: Final = PRESETS["cuda"]["standard"].steps
NO_DEVICE: Final = "This benchmark needs a CUDA device, and torch sees none."


@dataclass(frozen=True, slots=True)
class Found:
    """The paintings of one size, precision and way to step."""

    size: int
    precision: str
    recorded: bool
    """Whether each step was replayed from a CUDA graph. False where the recording failed."""
    steps: int
    seconds: float
    """Of the fastest repeat, from the decoded pictures to the encoded one."""
    peak_mb: float
    """Of torch's allocations on the device."""
    pictures: Sequence[bytes]
    """Of all repeats."""

    @property
    def equal(self) -> bool:
        """Whether all repeats gave the same bytes."""
        return len(set(self.pictures)) == 1

    @property
    def pixels(self) -> Any:
        """Of the first picture, float32, in 0 to 255."""
        with Image.open(BytesIO(self.pictures[0])) as picture:
            return np.asarray(picture.convert("RGB"), dtype=np.float32)


class _Warnings(logging.Handler):
    """Counts them."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


def paintings(size: int, steps: int, device: str, precision: Precision, *, record: bool, repeats: int) -> Found:
    """Paint ``repeats`` times after a painting that warms up. Styles are looked at anew each time."""
    compute = choose(device, precision)
    on_gpu = compute.device.type == "cuda"
    network = load_cached("embedded", compute.device, compute.dtype)
    recipe = Recipe(size=size, steps=steps)
    content, style = (decode(path.read_bytes()) for path in (CONTENT, STYLE))
    failures = _Warnings()
    seconds, pictures, done = [], [], 0
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(compute.device)
    cuda_graphs.log.addHandler(failures)
    try:
        with nullcontext() if record else mock.patch("engine.optim.optimisers.replayed", lambda step, *_: step):
            for _ in range(repeats + 1):
                style_statistics._kept.clear()
                began = time.perf_counter()
                result = followed(paint(Inputs(content, (style,)), recipe, network))
                seconds.append(time.perf_counter() - began)
                pictures.append(result.picture)
                done = result.steps
    finally:
        cuda_graphs.log.removeHandler(failures)
    peak = torch.cuda.max_memory_allocated(compute.device) / 2**20 if on_gpu else 0.0
    recorded = record and on_gpu and not failures.count
    return Found(size, compute.precision, recorded, done, min(seconds[1:]), peak, pictures)


def table_of_paintings(found: Sequence[Found]) -> Table:
    """A row for each way to paint."""
    table = Table(
        *("size", "precision", "CUDA graph", "steps", "a painting", "target", "a step", "peak", "same bytes"),
        "from float32",
        title="paintings, warm, the fastest of each",
    )
    full = {each.size: each for each in found if each.precision == "float32"}
    for each in found:
        target = TARGETS.get(each.size)
        exact = full.get(each.size)
        table.add_row(
            f"{each.size} px",
            each.precision,
            "yes" if each.recorded else "no",
            str(each.steps),
            f"{each.seconds:.2f} s",
            f"{target:.0f} s, {'reached' if each.seconds < target else 'missed'}" if target else "",
            f"{each.seconds / each.steps * 1e3:.1f} ms",
            f"{each.peak_mb:,.0f} MB",
            "yes" if each.equal else "no",
            f"{np.abs(each.pixels - exact.pixels).mean():.1f} grey levels" if exact else "",
        )
    return table


def report(
    device: str,
    sizes: Sequence[int],
    steps: int,
    repeats: int,
    peer_steps: int | None,
    say: Callable[[Any], None],
    start: Callable[..., Any] = alone,
) -> None:
    """Measure all of it, and ``say`` each table. ``peer_steps`` and ``start`` are as in ``time_to_quality.held``."""
    began = time.perf_counter()
    precisions: tuple[Precision, Precision] = "bfloat16", "float32"
    say(
        table_of_paintings(
            [
                paintings(size, steps, device, precision, record=record, repeats=repeats)
                for size, precision, record in product(sizes, precisions, (True, False))
            ]
        )
    )
    shares = [
        roofline.measure(CONTENT, STYLE, size, choose(device, "bfloat16"), rounds=repeats, steps=repeats)
        for size in sizes
    ]
    peak = max(each.kernels.peak for each in shares)
    say(roofline.table_of_parts(shares, peak))
    say(roofline.table_of_shares(shares, peak))
    with tempfile.TemporaryDirectory() as folder:
        order = contest.prepared(CONTENT, STYLE, min(sizes), Path(folder), None, device)
        say(table_of(held(order, ["crowsonkb"], steps, peer_steps=peer_steps, start=start, say=say), "crowsonkb"))
    say(f"All of it took {time.perf_counter() - began:.0f} s.")


def main(sizes: Sizes = None, steps: Count = STEPS, repeats: Count = 3, device: str = "cuda") -> None:
    """Time, precision, sameness, share of the peak and the yardstick of a GPU."""
    console = Console()
    if not torch.cuda.is_available():
        console.print(NO_DEVICE)
        raise typer.Exit(1)
    console.print(described(choose(device)), highlight=False, markup=False)
    report(device, sizes or list(TARGETS), steps, repeats, None, console.print)


if __name__ == "__main__":
    typer.run(main)
