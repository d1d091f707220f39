"""What Prometheus sees of this process: every metric is here, and the rooms that know a number touch it directly.

Labels take few values: never a job, a member, a server, or a name that somebody chose. The numbers are this process's
own, except those of the queue, the slots and the processes, which each bot process reports alike.
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
"""Ours alone: Dask keeps its own metrics in the library's default one."""
ProcessCollector(registry=REGISTRY)
disable_created_metrics()  # type: ignore[no-untyped-call] # one more series for each, of which nothing is read

# --- Jobs ------------------------------------------------------------------------------------------------------------

ACCEPTED: Final = Counter(
    "atelier_jobs_accepted",
    "Jobs that were stored and queued.",
    registry=REGISTRY,
)
REFUSED: Final = Counter(
    "atelier_refusals",
    "Commands and presses that were answered with an error, by its name.",
    ["cause"],
    registry=REGISTRY,
)
ENDED: Final = Counter(
    "atelier_jobs_ended",
    "Jobs that reached their end, by final state, and by the name of the error where there is no picture.",
    ["state", "cause"],
    registry=REGISTRY,
)
RESUMED: Final = Counter(
    "atelier_jobs_resumed",
    "Open jobs that were taken up after a restart, or from a process that had gone silent.",
    registry=REGISTRY,
)
CHECKPOINTS: Final = Counter(
    "atelier_checkpoints",
    "Checkpoints that were noted, from which a painting can go on.",
    registry=REGISTRY,
)
DELIVERIES: Final = Counter(
    "atelier_deliveries",
    "Ends that were told, by the way they took: token, edit, post, direct, or kept for /jobs.",
    ["way"],
    registry=REGISTRY,
)
RUNNING: Final = Gauge(
    "atelier_jobs_running",
    "Jobs that this process has painted or delivered right now.",
    registry=REGISTRY,
)
QUEUED: Final = Gauge(
    "atelier_queue_jobs",
    "Jobs that wait in the database, of every process; NaN while the database doesn't answer.",
    registry=REGISTRY,
)
OLDEST: Final = Gauge(
    "atelier_queue_oldest_seconds",
    "Age of the job that has waited longest; 0 when none waits, NaN while the database doesn't answer.",
    registry=REGISTRY,
)
PROCESSES: Final = Gauge(
    "atelier_processes",
    "Bot processes that share the database and are alive.",
    registry=REGISTRY,
)

# --- Workers ---------------------------------------------------------------------------------------------------------

SLOTS: Final = Gauge(
    "atelier_slots",
    "Paintings that the workers can make at a time; NaN while the scheduler doesn't answer.",
    registry=REGISTRY,
)
STEP: Final = Histogram(
    "atelier_step_seconds",
    "Time of a step, as the median that each progress of a painting reports, by device and by longer side in pixels, "
    "rounded up to a power of two.",
    ["device", "size"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
    registry=REGISTRY,
)

# --- Discord ---------------------------------------------------------------------------------------------------------

ACKNOWLEDGEMENT: Final = Histogram(
    "atelier_acknowledgement_seconds",
    "Time until Discord has taken our answer to an interaction; after 3 s it gives up. Since `created` by Discord's "
    "clock, which ours may differ from, or since `received` by us.",
    ["since"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 5, 10),
    registry=REGISTRY,
)
REQUESTS: Final = Counter(
    "atelier_discord_requests",
    "Requests to Discord by kind of route and by HTTP status, or `error` where no answer came.",
    ["route", "status"],
    registry=REGISTRY,
)
RATE_LIMITED: Final = Counter(
    "atelier_discord_rate_limited",
    "Answers with HTTP 429, by kind of route and by whose limit it was: user, global, shared, or unknown.",
    ["route", "scope"],
    registry=REGISTRY,
)
EDITS: Final = Counter(
    "atelier_edits",
    "Edits of replies on the way to their end: done, failed, or skipped because a newer one came before its turn.",
    ["outcome"],
    registry=REGISTRY,
)
GATEWAY_LATENCY: Final = Gauge(
    "atelier_gateway_heartbeat_seconds",
    "Time between the gateway's last heartbeat and its answer; NaN while not connected.",
    registry=REGISTRY,
)

# --- This process and its surroundings -------------------------------------------------------------------------------

LOOP_LAG: Final = Histogram(
    "atelier_event_loop_lag_seconds",
    "How much later than asked the event loop woke a sleeper, several times a second.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
    registry=REGISTRY,
)
STORAGE_USED: Final = Gauge(
    "atelier_storage_used_bytes",
    "Bytes of the kept pictures and checkpoints, when they were last counted.",
    registry=REGISTRY,
)
STORAGE_FREE: Final = Gauge(
    "atelier_storage_free_bytes",
    "Bytes free at DATA_DIRECTORY; NaN while it can't be looked at.",
    registry=REGISTRY,
)
HEALTHY: Final = Gauge(
    "atelier_healthy",
    "1 where a part of /healthz is well, else 0.",
    ["part"],
    registry=REGISTRY,
)

_LARGEST_SIZE: Final = 8192
_MOST_DEVICES: Final = 20
_devices: Final[set[str]] = set()


def observe_step(progress: Progress) -> None:
    """Note the time of a step in :data:`STEP`; before a painting's first there is none."""
    if progress.step_seconds is not None:
        STEP.labels(device=_device_label(progress.device), size=_size_class(progress.scale)).observe(
            progress.step_seconds
        )


def _device_label(name: str) -> str:
    """The name of a device among the first :data:`_MOST_DEVICES`, else ``other``: each label is kept for ever."""
    if name and len(_devices) < _MOST_DEVICES:
        _devices.add(name)
    return name if name in _devices else "other" if name else "unknown"


def _size_class(pixels: int) -> int:
    """The next power of two, so that freely chosen sizes stay a few labels."""
    return min(1 << max(0, pixels - 1).bit_length(), _LARGEST_SIZE)


def _begin_at_nothing() -> None:
    """Show counts of known labels from the start, so that a rate sees the first event, too."""
    for way in ("token", "edit", "post", "direct", "kept"):
        DELIVERIES.labels(way)
    for outcome in ("done", "failed", "skipped"):
        EDITS.labels(outcome)
    for since in ("created", "received"):
        ACKNOWLEDGEMENT.labels(since)
    ENDED.labels("delivered", "")


_begin_at_nothing()
