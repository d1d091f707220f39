"""A million jobs a day on paper: what each part has to carry, and against which bound. Nothing here is measured.

The bounds: Discord's documentation ("rate limits") grants a bot 50 requests a second, exempts the endpoints that an
interaction's token opens from it, and applies it to the address where no bot's token is sent, as discord.py does there.
Whether that makes it 50 a second for each address is inferred, not read. Disk and network are round figures.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from bot.delivery.reply import EDIT_EVERY
from bot.jobs.queue_positions import FAR_A_SECOND, FAR_EVERY, NEAR
from engine.executor.executor import CHECKPOINT_EVERY
from engine.painting.loop import Pace

MIB = 2**20
DAY = 86_400.0
DISCORD = 50.0
"""Requests a second, of one bot or of one address."""
NETWORK = 1000 / 8 * 1e6
"""Bytes a second: a gigabit."""
SYNCS = 2000.0
"""Of a disk, a second: of a small NVMe without its own battery, a guess."""


@dataclass(frozen=True)
class Assumptions:
    """A job as we take it."""

    jobs_per_day: int = 1_000_000
    workers: int = 100
    pixels: int = 1024 * 768
    input: float = 1.0 * MIB
    """Bytes of content and style each."""
    preview: float = 0.15 * MIB
    result: float = 1.5 * MIB
    """A PNG of that size, mostly: about 2 bytes a pixel."""
    waiting: int = 100
    """Jobs in line."""
    pace: Pace = field(default_factory=Pace)

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.jobs_per_day / DAY

    @property
    def seconds(self) -> float:
        """A job may take, all workers at work."""
        return self.workers / self.rate


@dataclass(frozen=True)
class Load:
    """One figure."""

    what: str
    per_job: float
    per_second: float
    unit: str
    bound: float | None = None
    note: str = ""

    @property
    def share(self) -> float | None:
        """Of the bound."""
        return None if self.bound is None else self.per_second / self.bound


def loads(given: Assumptions) -> Iterator[Load]:
    """Every figure."""
    rate, seconds = given.rate, given.seconds

    def each(what: str, per_job: float, unit: str = "", bound: float | None = None, note: str = "") -> Load:
        return Load(what, per_job, per_job * rate, unit, bound, note)

    edits = seconds / EDIT_EVERY
    previews = seconds / (given.pace.preview or seconds)
    events = seconds / given.pace.progress
    checkpoints = seconds // CHECKPOINT_EVERY
    near = min(given.waiting, NEAR)
    places = (near / EDIT_EVERY + min((given.waiting - near) / FAR_EVERY, FAR_A_SECOND)) / rate + 1
    token = 1 + edits + 1
    yield each(
        "Discord: acknowledgement, edits, the end", token, "requests", DISCORD, "if bound to one address: inferred"
    )
    yield each(
        f"Discord: edits of {given.waiting} places in line",
        places,
        "requests",
        DISCORD,
        "all change within 2 s; the first of each job, then those near the front and a few more",
    )
    yield each(
        "Discord: ends past the token's life, by the bot's own", 1, "requests", DISCORD, "if all jobs were so late"
    )
    yield each("Discord: up", (previews * given.preview + given.result) / MIB, "MiB", NETWORK / MIB)
    yield each("Discord: down", 2 * given.input / MIB, "MiB", NETWORK / MIB)
    yield each("scheduler: events", events, "messages in and out", None, "see the cluster's table")
    yield each("scheduler: previews in and out", 2 * previews * given.preview / MIB, "MiB", NETWORK / MIB)
    yield each("scheduler: pictures to look at, in and out", 4 * given.input / MIB, "MiB", NETWORK / MIB)
    yield each("scheduler: results, from worker to bot", given.result / MIB, "MiB", NETWORK / MIB)
    yield each("blobs: written", (2 * given.input + given.result) / MIB, "MiB", NETWORK / MIB)
    yield each("blobs: read by workers", 2 * given.input / MIB, "MiB", NETWORK / MIB)
    yield each(
        "blobs: checkpoints, one in 10 s",
        checkpoints * 36 * given.pixels / MIB,
        "MiB",
        NETWORK / MIB,
        "none in a job under 10 s",
    )
    longer = 36 * given.pixels * given.workers / CHECKPOINT_EVERY
    yield Load(
        "blobs: checkpoints, were all paintings longer",
        36 * given.pixels / MIB,
        longer / MIB,
        "MiB",
        note=f"of a gigabit to one shared place: {longer / NETWORK:.0%}",
    )
    kept = (2 * given.input + given.result) * rate * DAY
    yield Load(
        "blobs: kept for a day",
        kept / given.jobs_per_day / MIB,
        kept / DAY / MIB,
        "MiB",
        None,
        f"{kept / 2**40:.1f} TiB",
    )
    yield each("disk: syncs, two for each blob", 2 * 3 + 2 * checkpoints, "syncs", SYNCS)
    yield each(
        "database: changes, a commit each",
        5 + checkpoints,
        "commits",
        SYNCS,
        "accepted, begun, done, told; the group commit shares syncs",
    )


def first(given: Assumptions) -> Load:
    """What saturates first."""
    return max(loads(given), key=lambda load: load.share or 0.0)
