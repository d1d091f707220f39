"""Fine-tuning a trained network against training a new one: ``python -m tests.benchmarks.tuning``.

Both learn the same style from the same squares of the same photos. They take turns, so that other work on the machine
slows both alike, and each has a clock of its own. The plot needs the extra ``benchmark``.
"""

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from engine.images.codec import decode
from engine.networks.plan import Plan, TrainingOrder
from engine.networks.training import AVERAGED, Training, begin
from engine.runtime.devices import choose
from engine.runtime.malloc import keep_large_blocks
from engine.vgg.vgg19 import load_cached

WINDOW: Final = 15
"""Steps over which the plot averages."""


@dataclass
class Run:
    """A training, with the seconds and the loss of each of its steps."""

    name: str
    training: Training
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def step(self) -> None:
        """Take one step."""
        before = self.training.losses[0]
        trained = self.training.step()
        self.seconds.append(trained.seconds)
        self.losses.append(before + (trained.loss - before) * min(trained.step, AVERAGED))


def plot(runs: list[Run], file: Path) -> None:
    """The loss against the minutes of each run, means over :data:`WINDOW` steps."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for run in runs:
        means = np.convolve(run.losses, np.ones(WINDOW) / WINDOW, mode="valid")
        axes.plot(np.array(run.seconds[WINDOW - 1 :]) / 60, means, label=run.name)
    axes.set(xlabel="minutes of its own", ylabel=f"loss, mean of {WINDOW} steps", yscale="log")
    axes.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    """Train, print the losses, and plot them."""
    parser = argparse.ArgumentParser(description="Compare fine-tuning with training from scratch, at equal minutes.")
    parser.add_argument("style", type=Path)
    parser.add_argument("--base", type=Path, required=True, help="a trained network")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photos")
    parser.add_argument("--minutes", type=float, default=10, help="of each of both")
    parser.add_argument("--plot", type=Path, default=Path("tuning.png"))
    given = parser.parse_args()
    keep_large_blocks()
    compute = choose()
    vgg = load_cached("embedded", compute.device, compute.dtype)
    photos = tuple(each.read_bytes() for each in sorted(given.photos.iterdir()))
    order = TrainingOrder(Plan(given.minutes), (given.style.read_bytes(),), photos, given.base.read_bytes())
    runs = [
        Run("fine-tuned", begin(order, vgg, decode)),
        Run("from scratch", begin(replace(order, base=b""), vgg, decode)),
    ]
    while unfinished := [run for run in runs if run.training.done < 1]:
        for run in unfinished:
            run.step()
    for run in runs:
        folder: Path = given.plot.parent
        for index, photo in enumerate(run.training.examples(3)):
            run.training.painted(photo, 0).save(folder / f"{run.name.replace(' ', '-')}-{index}.png")
        _, content, style = run.training.losses
        print(  # noqa: T201
            f"{run.name}: {run.training.steps} steps, loss {np.mean(run.losses[-30:]):.2f} over the last 30; "
            f"over the last {AVERAGED}: content {content:.3f}, style {style:.3f}"
        )
    plot(runs, given.plot)


if __name__ == "__main__":
    main()
