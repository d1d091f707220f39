"""What a bot and a worker exchange: values and the names of messages. Imports neither torch nor Dask."""

from dataclasses import dataclass, field
from typing import Final, Literal

from engine.images.limits import Limits
from engine.progress import Name, Seconds
from engine.recipe import Inputs, Precision, Recipe

PLUGIN: Final = "atelier"
"""The name of the plugin in a Dask worker, and of its :class:`WorkerInfo` in the metrics of each heartbeat."""
PAUSE: Final = "atelier_pause"
"""The operation that pauses the painting of a ``channel``. Returns whether that painting runs on the worker."""
FINISH: Final = "atelier_finish"
"""The operation that ends the painting of a ``channel`` after its current step. Returns as :data:`PAUSE` does."""

BEGUN: Final = "begun"
"""Sent in a painting's channel when a worker begins it."""
LEFT: Final = "left"
"""Sent in a painting's channel when it paused because its worker shuts down."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """The operator's settings for every worker."""

    weights: str = "embedded"
    device: str = "auto"
    precision: Precision = "auto"
    threads: int | None = None
    """Cores for torch; None for all that the machine grants to the worker."""
    memory: int | None = None
    """Bytes of data that a worker on a CPU may allocate before a painting fails with
    :class:`engine.errors.OutOfMemory`; None for no limit."""
    limits: Limits = field(default_factory=Limits)
    blobs: str = ""
    """The URL (see :class:`engine.blobs.Blobs`) where this worker reads pictures and saves checkpoints."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker's report about itself, sent twice a second, or less often in a large cluster."""

    version: Name
    device: Literal["cpu", "cuda"]
    name: Name
    """The device's name for people."""
    precision: Name
    process: int
    """The process id on the worker's machine."""
    pace: Seconds | None
    """Seconds for each pixel of the last step, as :func:`engine.executor.placement.pixels` counts; None before it."""
    painting: Name | None
    """The channel of the running painting."""
    busy: Seconds
    """Predicted seconds until it ends."""


@dataclass(frozen=True, slots=True)
class PaintingOrder:
    """Everything that a worker needs to paint. Pictures and checkpoint are names of blobs.

    The location of the blobs comes from the worker's own settings. So an order can't make a worker open another place.
    """

    version: str
    recipe: Recipe
    inputs: Inputs[str]
    resume: str | None
    max_bytes: int | None
    checkpoint_every: float
    """Seconds between two checkpoints."""
    finish: bool = False
    """End after the first step."""


def resource_of(version: str) -> str:
    """The Dask resource that a worker of ``version`` provides once, and that a painting occupies.

    Its name contains the version, so that a scheduler never sends a painting to a worker that paints it differently.
    """
    return f"paint:{version}"
