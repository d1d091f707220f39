"""Every metric of this process for Prometheus. The packages that know a number update its metric directly.

Labels have few values: never a job, a member, a server, or a name from outside. Metrics describe this process, except
those of the queue, the slots and the processes, which every bot process reports with the same value.
"""

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from engine.progress import Progress

REGISTRY: Final = CollectorRegistry()
"""Only our metrics: Dask's are in the library's default registry."""
ProcessCollector(registry=REGISTRY)
disable_created_metrics()  # type: ignore[no-untyped-call] # they would double the series, and nothing reads them

# --- Jobs ------------------------------------------------------------------------------------------------------------

ACCEPTED: Final = Counter(
    "atelier_jobs_accepted",
    "Jobs that were stored and queued.",
    registry=REGISTRY,
)
REFUSED: Final = Counter(
    "atelier_refusals",
    "Interactions that were answered with an error, by the name of the error.",
    ["cause"],
    registry=REGISTRY,
)
ENDED: Final = Counter(
    "atelier_jobs_ended",
    "Jobs that ended, by final state, and by the name of the error if there is no picture.",
    ["state", "cause"],
    registry=REGISTRY,
)
RESUMED: Final = Counter(
    "atelier_jobs_resumed",
    "Open jobs that were resumed after a restart, or adopted from a process whose lease had run out.",
    registry=REGISTRY,
)
CHECKPOINTS: Final = Counter(
    "atelier_checkpoints",
    "Checkpoints that were stored, from which a painting can resume.",
    registry=REGISTRY,
)
DELIVERIES: Final = Counter(
    "atelier_deliveries",
    "Jobs' ends that were delivered, by channel: token, edit, post, direct, or kept for /jobs.",
    ["way"],
    registry=REGISTRY,
)
RUNNING: Final = Gauge(
    "atelier_jobs_running",
    "Jobs that this process paints or delivers now.",
    registry=REGISTRY,
)
QUEUED: Final = Gauge(
    "atelier_queue_jobs",
    "Waiting jobs of all processes; NaN while the database doesn't answer.",
    registry=REGISTRY,
)
OLDEST: Final = Gauge(
    "atelier_queue_oldest_seconds",
    "Age of the job that has waited longest; 0 if none waits, NaN while the database doesn't answer.",
    registry=REGISTRY,
)
PROCESSES: Final = Gauge(
    "atelier_processes",
    "Live bot processes that share the database.",
    registry=REGISTRY,
)

# --- Workers ---------------------------------------------------------------------------------------------------------

SLOTS: Final = Gauge(
    "atelier_slots",
    "Paintings that the workers can make at the same time; NaN while the scheduler doesn't answer.",
    registry=REGISTRY,
)
STEP: Final = Histogram(
    "atelier_step_seconds",
    "Time of a step, as the median that each progress reports, by device, and by longer side in pixels, rounded up to "
    "a power of two.",
    ["device", "size"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
    registry=REGISTRY,
)

# --- Discord ---------------------------------------------------------------------------------------------------------

ACKNOWLEDGEMENT: Final = Histogram(
    "atelier_acknowledgement_seconds",
    "Time until Discord accepted our first answer to an interaction, which it does for 3 s. Since `created`, by "
    "Discord's clock, which may differ from ours, or since `received` by us.",
    ["since"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 5, 10),
    registry=REGISTRY,
)
REQUESTS: Final = Counter(
    "atelier_discord_requests",
    "Requests to Discord by kind of route, and by HTTP status, or `error` without an answer.",
    ["route", "status"],
    registry=REGISTRY,
)
RATE_LIMITED: Final = Counter(
    "atelier_discord_rate_limited",
    "Answers with HTTP 429, by kind of route, and by scope of the limit: user, global, shared, or unknown.",
    ["route", "scope"],
    registry=REGISTRY,
)
EDITS: Final = Counter(
    "atelier_edits",
    "Edits of open jobs' replies: done, failed, or skipped because a newer edit replaced it.",
    ["outcome"],
    registry=REGISTRY,
)
GATEWAY_LATENCY: Final = Gauge(
    "atelier_gateway_heartbeat_seconds",
    "Time between the last heartbeat to the gateway and its answer; NaN while not connected.",
    registry=REGISTRY,
)

# --- This process and its surroundings -------------------------------------------------------------------------------

LOOP_LAG: Final = Histogram(
    "atelier_event_loop_lag_seconds",
    "How late the event loop wakes a task, measured several times a second.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
    registry=REGISTRY,
)
STORAGE_USED: Final = Gauge(
    "atelier_storage_used_bytes",
    "Bytes of stored pictures and checkpoints at the last count.",
    registry=REGISTRY,
)
STORAGE_FREE: Final = Gauge(
    "atelier_storage_free_bytes",
    "Bytes free at DATA_DIRECTORY; NaN while they can't be read.",
    registry=REGISTRY,
)
HEALTHY: Final = Gauge(
    "atelier_healthy",
    "1 if a part of /healthz is healthy, else 0.",
    ["part"],
    registry=REGISTRY,
)

_LARGEST_SIZE: Final = 8192
_MAX_DEVICES: Final = 20
_devices: Final[set[str]] = set()


def observe_step(progress: Progress) -> None:
    """Record the time of a step in :data:`STEP`. A painting's first progress has none."""
    if progress.step_seconds is not None:
        STEP.labels(device=_device_label(progress.device), size=_size_class(progress.scale)).observe(
            progress.step_seconds
        )


def _device_label(name: str) -> str:
    """The name of one of the first :data:`_MAX_DEVICES` devices, else ``other``, because labels are never removed."""
    if name and len(_devices) < _MAX_DEVICES:
        _devices.add(name)
    return name if name in _devices else "other" if name else "unknown"


def _size_class(pixels: int) -> int:
    """The next power of two, so that there are few labels."""
    return min(1 << max(0, pixels - 1).bit_length(), _LARGEST_SIZE)


def _start_at_zero() -> None:
    """Show known labels from the start with 0, so that a rate includes the first event."""
    for channel in ("token", "edit", "post", "direct", "kept"):
        DELIVERIES.labels(channel)
    for outcome in ("done", "failed", "skipped"):
        EDITS.labels(outcome)
    for since in ("created", "received"):
        ACKNOWLEDGEMENT.labels(since)
    ENDED.labels("delivered", "")


_start_at_zero()
