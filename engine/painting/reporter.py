"""When a painting reports its progress, and the times in its reports."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from engine.painting.pyramid import Scale


@dataclass(frozen=True, slots=True)
class Pace:
    """The intervals between the reports of a painting, in seconds; None for never."""

    progress: float = 0.25
    preview: float | None = 2.0
    first_preview: float = 0.7
    """From the start to the first preview."""
    checkpoint: float | None = 10.0
    """Applies only where there is a function to save checkpoints with."""


class Interval:
    """A kind of report that is due every so many seconds."""

    def __init__(self, seconds: float | None, first: float | None = None) -> None:
        """``first`` is the time to the first report, as long as the others unless given."""
        self._seconds = seconds
        self._next = time.monotonic() + (seconds or 0 if first is None else first)

    def due(self) -> bool:
        """Whether the report is due. If so, the next interval begins."""
        if self._seconds is None or time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self._seconds
        return True


class Reporter:
    """The clock of one painting."""

    def __init__(self, pace: Pace) -> None:
        self._began = time.monotonic()
        self.progress = Interval(pace.progress, first=0)
        self.preview = Interval(pace.preview, pace.first_preview)
        self.checkpoint = Interval(pace.checkpoint)
        self._seconds_per_pixel: deque[float] = deque(maxlen=9)
        self._step_seconds: deque[float] = deque(maxlen=9)
        """Of the current scale."""

    def resume(self, elapsed: float) -> None:
        """Count ``elapsed`` seconds of earlier work."""
        self._began -= elapsed

    def begin_scale(self, step: int) -> None:
        """Start to measure the steps of a scale, of which ``step`` are done."""
        self._step_seconds.clear()
        self.begin_steps(step)

    def begin_steps(self, step: int) -> None:
        """Measure from now on, where ``step`` steps of the scale are done: what came before is not their time."""
        self._since = step, time.monotonic()

    def end_steps(self, step: int, pixels: int) -> None:
        """Record the time of the steps up to ``step``, of images of so many ``pixels``."""
        first, since = self._since
        seconds = (time.monotonic() - since) / (step - first)
        self._step_seconds.append(seconds)
        self._seconds_per_pixel.append(seconds / pixels)

    @property
    def elapsed(self) -> float:
        """Seconds of work so far, with those before a resumed checkpoint."""
        return time.monotonic() - self._began

    @property
    def step_seconds(self) -> float:
        """The median of the last steps at this scale."""
        return median(self._step_seconds)

    def remaining(self, scales: Sequence[Scale], done: int, pixels: int) -> float:
        """Predicted seconds to the end.

        Args:
            scales: of the painting.
            done: steps done over all scales.
            pixels: of an image at the last scale.
        """
        work, before = 0.0, 0
        for scale in scales:
            steps = max(0, scale.steps - max(0, done - before))
            before += scale.steps
            # A scale begins with a pass over content and styles, which takes about as long as a step.
            preparation = 1 if steps == scale.steps else 0
            work += (steps + preparation) * pixels * (scale.size / scales[-1].size) ** 2
        return work * median(self._seconds_per_pixel)
