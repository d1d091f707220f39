"""How fast the bot was in the last hour: seconds a step, and latencies. In memory, from this process's metrics."""

import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from prometheus_client import Histogram

from bot.telemetry import metrics

SAMPLE_EVERY: Final = 5.0
"""Seconds."""
KEPT: Final = 720
"""Samples: one hour."""


class SpeedHistory:
    """The samples of the last hour, oldest first, each as JSON."""

    def __init__(self, latency: Callable[[], float]) -> None:
        """``latency`` returns the seconds of the last heartbeat to the gateway; not finite while not connected."""
        self.samples: deque[str] = deque(maxlen=KEPT)
        self.taken = 0
        """How many samples there were."""
        self._latency = latency
        self._lag = 0.0
        self._totals: dict[tuple[str, ...], tuple[float, float]] = {}
        self._means(metrics.STEP, "device", "size")
        self._means(metrics.ACKNOWLEDGEMENT, "since")

    def lagged(self, seconds: float) -> None:
        """Record how late the event loop woke a task."""
        self._lag = max(self._lag, seconds)

    def sample(self) -> None:
        """Add a sample of the time since the last one.

        ``at`` is in milliseconds since 1970, all others are in seconds: ``gateway``, the last heartbeat; ``answer``,
        the mean until Discord had the first answer to a command; ``lag``, the latest that the event loop woke a task;
        ``step``, the mean of a step by device and size. What did not happen is missing.
        """
        latency = self._latency()
        answers = dict(self._means(metrics.ACKNOWLEDGEMENT, "since"))
        sample: dict[str, Any] = {"at": round(time.time() * 1000), "lag": _rounded(self._lag)}
        if math.isfinite(latency):
            sample["gateway"] = _rounded(latency)
        if (answer := answers.get(("received",))) is not None:
            sample["answer"] = _rounded(answer)
        if steps := {f"{device}, {size} px": _rounded(mean) for (device, size), mean in self._steps()}:
            sample["step"] = steps
        self._lag = 0.0
        text = json.dumps(sample)
        self.samples.append(text)
        self.taken += 1

    def since(self, taken: int) -> list[str]:
        """The samples after the first ``taken``."""
        new = self.taken - taken
        return list(self.samples)[-new:] if new else []

    def _steps(self) -> Iterable[tuple[tuple[str, ...], float]]:
        return self._means(metrics.STEP, "device", "size")

    def _means(self, histogram: Histogram, *labels: str) -> list[tuple[tuple[str, ...], float]]:
        """The mean of each labelled series since the last call, for those with new observations."""
        now: dict[tuple[str, ...], dict[str, float]] = {}
        (family,) = histogram.collect()
        for each in family.samples:
            kind = each.name.rpartition("_")[2]
            if kind in {"sum", "count"}:
                now.setdefault(tuple(each.labels[label] for label in labels), {})[kind] = each.value
        means = []
        for key, values in now.items():
            before = self._totals.get((family.name, *key), (0.0, 0.0))
            self._totals[family.name, *key] = values["sum"], values["count"]
            if (count := values["count"] - before[1]) > 0:
                means.append((key, (values["sum"] - before[0]) / count))
        return means


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.4g}")
