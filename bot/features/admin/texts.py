"""The texts of ``/admin``."""

from collections.abc import Sequence
from typing import Final

from bot.jobs.database.controls import Failure
from bot.jobs.rules import Controls
from bot.limits import MESSAGE_LENGTH
from bot.texts import duration, error_message, shortened
from engine.worker.protocol import WorkerInfo

PAUSED: Final = (
    "Paused: no painting begins until `/admin resume`. Orders are accepted and wait. Paintings in progress go on."
)
RESUMED: Final = "Orders are accepted and paintings begin."


def draining(left: int, paused: bool) -> str:
    """After ``/admin drain``."""
    if not left:
        return "No orders are accepted until `/admin resume`. No pictures are left."
    text = f"No orders are accepted until `/admin resume`. Pictures left: **{left}**."
    return f"{text}\nPainting is paused, so waiting pictures are not finished." if paused else text


def status(
    controls: Controls,
    *,
    queued: int,
    oldest: float,
    running: int,
    open_jobs: int,
    processes: int,
    workers: Sequence[WorkerInfo],
) -> str:
    """The state of all processes. ``oldest`` is in seconds."""
    lines = []
    if controls.paused:
        lines.append("**Paused:** no painting begins.")
    if controls.draining:
        lines.append("**Draining:** no orders are accepted.")
    lines += [
        f"Waiting: {queued}, the oldest for {duration(oldest)}" if queued else "Waiting: 0",
        f"Being painted: {running}",
        f"Being sent: {max(0, open_jobs - queued - running)}",
        f"Bot processes: {processes}",
        f"Blocked members: {len(controls.blocked)}",
        f"Workers: {len(workers)}",
        *(f"- {_code(each.name)}: {each.device}, {each.precision}" for each in workers),
    ]
    return shortened("\n".join(lines), MESSAGE_LENGTH)


def failures(found: Sequence[Failure]) -> str:
    """The last failures. Names no member, and shows nothing of their pictures."""
    if not found:
        return "No picture has failed, as far as jobs are stored."
    lines = [
        f"`{each.job}` <t:{int(each.at.timestamp())}:R> · {type(each.cause).__name__}: {error_message(each.cause)}"
        for each in found
    ]
    return shortened("\n".join(lines), MESSAGE_LENGTH)


def blocked(member: int, *, new: bool) -> str:
    """After ``/admin block``."""
    return f"<@{member}> is blocked." if new else f"<@{member}> was blocked already."


def unblocked(member: int, *, was: bool) -> str:
    """After ``/admin unblock``."""
    return f"<@{member}> is no longer blocked." if was else f"<@{member}> was not blocked."


def is_operator(member: int) -> str:
    """After ``/admin block`` of an operator."""
    return f"<@{member}> is an operator, and can't be blocked."


def _code(text: str) -> str:
    return f"`{text.replace('`', '')}`"
