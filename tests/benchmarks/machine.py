"""Shared by the benchmarks: options, a description of the machine, processes of their own, and paintings."""

import multiprocessing
import platform
import sys
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import torch
import typer
from dask.system import CPU_COUNT

from bot.demo.start import drawn
from engine.images.codec import decode
from engine.painting.loop import paint
from engine.progress import Progress, Result
from engine.recipe import SMALLEST_SIZE, Inputs, Recipe
from engine.runtime.devices import Compute, choose, set_threads
from engine.runtime.malloc import keep_large_blocks
from engine.vgg.vgg19 import load_cached

Content = Annotated[Path, typer.Option(help="A photo; the project's own if it is left out.")]
Style = Annotated[Path, typer.Option(help="A painting; the project's own if it is left out.")]
Size = Annotated[int, typer.Option(min=SMALLEST_SIZE, help="Longer side in pixels.")]
Sizes = Annotated[
    list[int] | None, typer.Option("--size", min=SMALLEST_SIZE, help="Longer side in pixels. Repeatable.")
]
Count = Annotated[int, typer.Option(min=1)]
Threads = Annotated[int | None, typer.Option(min=1, help="Cores for torch; all that are granted if it is left out.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
P = ParamSpec("P")
T = TypeVar("T")
CONTENT, STYLE = drawn("content.jpg"), drawn("style.jpg")


def described(compute: Compute | None = None) -> str:
    """The machine, and the command that runs on it."""
    found = Path("/proc/cpuinfo")
    lines = found.read_text().splitlines() if found.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    device = f"; {compute.name}, {compute.precision}" if compute else ""
    return (
        f"{name} ({instructions()}), {CPU_COUNT} cores granted{device}; "
        f"torch {torch.__version__}, Python {platform.python_version()}\n$ {' '.join(sys.orig_argv)}"
    )


def instructions() -> str:
    """The widest instructions of the processor for bfloat16, else for float32."""
    names = {"amx_bf16": "AMX-BF16", "avx512_bf16": "AVX-512 BF16"}
    found = torch.cpu.get_capabilities()
    return next((name for key, name in names.items() if found.get(key)), torch.backends.cpu.get_cpu_capability())


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of the values don't exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def alone(share: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """What ``share`` returns in a process of its own, which inherits the environment as it is now."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        return executor.submit(share, *arguments, **options).result()


def followed(painting: Generator[Progress, None, Result], told: Callable[[Progress], None] = lambda _: None) -> Result:
    """The result of a painting; ``told`` gets its progress."""
    while True:
        try:
            progress = next(painting)
        except StopIteration as end:
            result: Result = end.value
            return result
        told(progress)


def paintings(recipe: Recipe, repeats: int, *, keep: bool) -> list[float]:
    """Seconds of each painting of the project's own pictures on the CPU, after a short one that warms up.

    With ``keep``, the process keeps freed memory, as a worker does.
    """
    if keep:
        keep_large_blocks()
    set_threads(None)
    compute = choose("cpu")
    network = load_cached("embedded", compute.device, compute.dtype)
    content, style = (decode(path.read_bytes()) for path in (CONTENT, STYLE))
    followed(paint(Inputs(content, (style,)), recipe.model_copy(update={"steps": 2}), network))
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        followed(paint(Inputs(content, (style,)), recipe, network))
        found.append(time.perf_counter() - began)
    return found
