"""Follows a painting in the terminal: a bar, previews in a folder, and Ctrl-C."""

import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from engine.cli.output import write_preview
from engine.progress import Progress as Painting
from engine.progress import Result, StopToken


def followed(
    painting: Generator[Painting, None, Result],
    name: str,
    steps: int,
    stop: StopToken,
    previews: Path | None,
    console: Console,
) -> Result:
    """Paint, with a bar that has this name, and with Ctrl-C as in :func:`_finish_on_interrupt`."""
    with _finish_on_interrupt(stop), _bar(console) as bar:
        task = bar.add_task(name, total=steps, loss="", rate="", left="…")
        while True:
            try:
                progress = next(painting)
            except StopIteration as end:
                result: Result = end.value
                return result
            shown = {"mask.jpg": progress.mask, f"preview-{progress.step:04}.jpg": progress.preview}
            for file, data in shown.items():
                if previews and data and not write_preview(previews, file, data, console):
                    previews = None  # the reason is printed
            bar.update(
                task,
                description=f"frame {progress.frame}/{progress.frames}" if progress.frames > 1 else name,
                completed=progress.step,
                total=progress.steps,
                loss=f"loss {progress.loss:.3f}",
                rate=f"{progress.step / progress.elapsed:.1f} steps/s",
                left=f"{progress.remaining:.0f} s left",
            )


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[left]}"),
        console=console,
    )


@contextmanager
def _finish_on_interrupt(stop: StopToken) -> Iterator[None]:
    """The first Ctrl-C ends the painting and keeps it, the second cancels it."""

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        if stop.finishing:
            stop.cancel()
        else:
            stop.finish()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
