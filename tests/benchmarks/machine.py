"""Shared by the engine's benchmarks: options, a description of the machine, and the load of other processes."""

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import torch

from bot.demo.show import drawn
from engine.runtime.devices import Compute, choose, set_threads

Clock = Callable[[], float]
"""Tells seconds since some moment."""

MEGABYTE: Final = 1_000_000

_PROCESSOR_TIMES: Final = 8
"""Columns of the first line of /proc/stat that count once: user, nice, system, idle, iowait, irq, softirq, steal."""


def options(description: str, sizes: Sequence[int]) -> argparse.ArgumentParser:
    """The options that each of these benchmarks takes; ``sizes`` are what ``--size`` means where it is not given."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--content", type=Path, default=drawn("content.jpg"), help="a photo; the project's own")
    parser.add_argument("--style", type=Path, default=drawn("style.jpg"), help="a painting; the project's own")
    parser.add_argument(
        "--size",
        type=int,
        action="append",
        dest="sizes",
        help=f"longer side in pixels, may be repeated; {', '.join(map(str, sizes))}",
    )
    parser.add_argument("--json", type=Path, help="where to write everything as data")
    parser.add_argument("--threads", type=int, help="cores for torch; all that are granted")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    return parser


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a benchmark ran."""

    processor: str
    cores: int
    """Granted to this process, not built in."""
    memory: int
    """Bytes."""
    device: str
    """Its name."""
    threads: int
    precision: str
    torch: str
    python: str
    command: str

    def __str__(self) -> str:
        return (
            f"{self.processor}, {self.cores} cores granted, {self.memory / 1e9:.0f} GB; "
            f"{self.device}, {self.precision}; torch {self.torch}, Python {self.python}\n$ {self.command}"
        )


def prepared(arguments: argparse.Namespace) -> Compute:
    """Set torch's threads and choose the device, as a worker does.

    Raises:
        engine.errors.DeviceUnavailable: there is no such device.
    """
    set_threads(arguments.threads)
    return choose(arguments.device, arguments.precision)


def machine(compute: Compute, module: str, given: Sequence[str]) -> Machine:
    """Describe this one; ``module`` and ``given`` are the command line."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        device=compute.name,
        threads=torch.get_num_threads(),
        precision=compute.precision,
        torch=torch.__version__,
        python=platform.python_version(),
        command=" ".join(["python", "-m", module, *given]),
    )


def _processor() -> str:
    found = Path("/proc/cpuinfo")
    lines = found.read_text().splitlines() if found.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{names[0] if names else platform.processor() or platform.machine()} ({capability})"


def write_json(path: Path | None, table: Mapping[str, Any]) -> None:
    """Write ``table`` to the file that the command line names, if any."""
    if path:
        path.write_text(json.dumps(table, indent=1) + "\n")


def clock(name: str, threads: int) -> Clock:
    """``wall``, or ``processor``: this process's processor time, shared out among its threads.

    The second hardly depends on what else runs on the machine, but leaves out the waiting of one thread for another:
    it is what an idle machine with even shares would take. Threads must wait without spinning (:func:`waits_idly`).
    """
    return time.perf_counter if name == "wall" else lambda: time.process_time() / threads


def waits_idly() -> bool:
    """Whether OpenMP's threads sleep while they wait, as the variable that it was started with says."""
    return os.environ.get("OMP_WAIT_POLICY", "").lower() == "passive" and os.environ.get("GOMP_SPINCOUNT") == "0"


def start_again_waiting_idly(module: str, given: Sequence[str]) -> NoReturn:
    """Run the same command in place of this process, with OpenMP threads that sleep while they wait."""
    sys.stdout.flush()
    os.execve(  # noqa: S606 - this very program
        sys.executable,
        [sys.executable, "-m", module, *given],
        os.environ | {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"},
    )


class Neighbours:
    """The share of the machine that other processes used since this was made: a time measured beside them says little.

    Others are all processes but this one and those of its children that have ended, and the machines that share the
    processor with a virtual one (``steal``, where the host tells it).
    """

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._busy = _busy()
        self._own = _own()

    def share(self) -> float | None:
        """The share of all processor time since then, 0 to 1. None without /proc/stat."""
        busy = _busy()
        if busy is None or self._busy is None:
            return None
        ours = _own() - self._own
        whole = (time.monotonic() - self._since) * (os.cpu_count() or 1)
        return min(1.0, max(0.0, (busy - self._busy - ours) / whole))


def _busy() -> float | None:
    """Seconds, summed over all cores, since the system started."""
    found = Path("/proc/stat")
    if not found.exists():
        return None
    ticks = [int(each) for each in found.read_text().splitlines()[0].split()[1 : 1 + _PROCESSOR_TIMES]]
    idle, waiting = ticks[3], ticks[4]
    return (sum(ticks) - idle - waiting) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def told_share(share: float | None) -> str:
    """For people."""
    return "unknown" if share is None else f"{share:.0%}"


def given(arguments: Sequence[str] | None) -> Sequence[str]:
    """The command line's arguments, or those that a test gives."""
    return sys.argv[1:] if arguments is None else arguments
