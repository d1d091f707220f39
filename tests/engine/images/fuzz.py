"""Hostile files through the decoder of a worker: ``python -m tests.engine.images.fuzz --inputs 50000 --seed 0 --json
FILE``.

First the bombs, then all systematic inputs of :mod:`tests.engine.images.hostile`, then random mutations up to the
number of inputs. It asserts nothing; ``crashes`` must be 0.
"""

import argparse
import contextlib
import itertools
import json
import resource
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from engine.errors import PictureError
from engine.images.decoder import Decoder
from tests.engine.images import bombs
from tests.engine.images.hostile import Input, mutations, systematic

THREADS = 2
"""As many as a worker has."""
LONGER_SIDE = 512


@dataclass
class Report:
    """The results of the inputs."""

    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """``decoded``, or the name of the error."""
    kinds: Counter[str] = field(default_factory=Counter)
    """How many inputs there were of each kind."""
    deaths: list[str] = field(default_factory=list)
    """Inputs that the decoder did not survive, and how it ended."""
    crashes: list[str] = field(default_factory=list)
    """Inputs that raised another error than a :class:`PictureError`, or whose picture is not as requested."""
    restarts: int = 0
    slowest_ms: float = 0.0
    slowest: str = ""
    peak_mb: float = 0.0
    """The most that a process of the decoder held resident."""
    limit_mb: float = 0.0
    """The memory that a process may take in addition to that at its start."""
    seconds: float = 0.0


def run(inputs: Iterable[Input], decoder: Decoder, *, threads: int = THREADS) -> Report:
    """Decode all, from several threads at once."""
    report = Report(limit_mb=decoder.memory / 2**20)
    lock = threading.Lock()
    source = iter(inputs)
    ended = threading.Event()

    def work() -> None:
        while True:
            with lock:
                each = next(source, None)
            if each is None:
                return
            began = time.perf_counter()
            outcome, fault, death = _outcome(each, decoder)
            taken = (time.perf_counter() - began) * 1000
            with lock:
                report.inputs += 1
                report.outcomes[outcome] += 1
                report.kinds[each.kind] += 1
                report.crashes += fault
                report.deaths += death
                if taken > report.slowest_ms:
                    report.slowest_ms, report.slowest = taken, f"{each.kind}: {each.name}"

    watch = threading.Thread(target=_watch, args=(decoder, report, ended))
    workers = [threading.Thread(target=work) for _ in range(threads)]
    began = time.monotonic()
    decoder.warm_up()
    for thread in (watch, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    ended.set()
    watch.join()
    decoder.close()
    # Of all processes that were waited for, by their parent or ours. (This one's own memory, if it were more, would
    # count too: the kernel hands it on to what is started from here.)
    report.peak_mb = max(report.peak_mb, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
    report.restarts = decoder.restarts
    report.seconds = time.monotonic() - began
    return report


def _outcome(each: Input, decoder: Decoder) -> tuple[str, list[str], list[str]]:
    place = f"{each.kind}: {each.name}"
    try:
        picture = decoder.decode(each.data, longer_side=LONGER_SIDE)
    except PictureError as error:
        death = [f"{place}: {error}"] if "the decoder " in str(error) or "not decoded within" in str(error) else []
        return type(error).__name__, [], death
    except Exception as error:
        return type(error).__name__, [f"{place}: {error!r}"], []
    fits = picture.rgb.mode == "RGB" and max(picture.rgb.size) <= LONGER_SIDE and not picture.rgb.info
    alpha = picture.alpha is None or (picture.alpha.mode == "L" and picture.alpha.size == picture.rgb.size)
    return "decoded", [] if fits and alpha else [f"{place}: {picture}"], []


def _watch(decoder: Decoder, report: Report, ended: threading.Event) -> None:
    """Sample the running processes, because nobody waits for the forks of a killed process."""
    while not ended.wait(0.05):
        for process in decoder.processes():
            with contextlib.suppress(psutil.Error):
                for fork in psutil.Process(process).children():
                    report.peak_mb = max(report.peak_mb, fork.memory_info().rss / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description="Hostile files through the decoder of a worker.")
    parser.add_argument("--inputs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0, help="of the mutations")
    parser.add_argument("--json", type=Path, help="a file to write the figures to")
    options = parser.parse_args()
    # Making some of the bombs takes more memory than decoding them, so that is done elsewhere: see `run`.
    with ProcessPoolExecutor(1, get_context("spawn")) as elsewhere:
        made = (Input("bomb", name, elsewhere.submit(bombs.made, name).result()) for name in bombs.NAMES)
        inputs = itertools.chain(made, systematic(), mutations(options.seed))
        report = run(itertools.islice(inputs, options.inputs), Decoder())
    table = Table(title=f"{report.inputs:,} hostile files in {report.seconds:.0f} s", show_header=False)
    for name, count in sorted(report.kinds.items()):
        table.add_row(name, f"{count:,}")
    table.add_section()
    for name, count in report.outcomes.most_common():
        table.add_row(name, f"{count:,}")
    table.add_section()
    table.add_row("decoders that died or were ended", str(len(report.deaths)))
    table.add_row("decoders replaced", str(report.restarts))
    table.add_row("slowest", f"{report.slowest_ms:,.0f} ms ({report.slowest})")
    table.add_row("peak memory of a decoder", f"{report.peak_mb:,.0f} MB (may take {report.limit_mb:,.0f} MB)")
    table.add_row("crashes of the worker", str(len(report.crashes)))
    console = Console()
    console.print(table)
    for line in (*report.deaths, *report.crashes):
        console.print(line, markup=False)
    if options.json:
        options.json.write_text(json.dumps(vars(report), indent=2) + "\n")


if __name__ == "__main__":
    main()
