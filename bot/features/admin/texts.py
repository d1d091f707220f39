"""The texts of ``/admin``."""

from collections.abc import Sequence
from typing import Final

from bot.error_messages import error_message
from bot.jobs.database.controls import Failure
from bot.jobs.rules import Controls
from bot.limits import MESSAGE_LENGTH
from bot.locales import N_
from bot.locales import gettext as _
from bot.texts import duration, mention, shortened
from engine.worker.protocol import WorkerInfo

PAUSED: Final = N_(
    "Paused: no painting begins until `/admin resume`. Orders are accepted and wait. Paintings in progress go on."
)
RESUMED: Final = N_("Orders are accepted and paintings begin.")
GALLERY_ACCEPTED: Final = N_(
    "Discord accepts a new picture in a gallery, as here. I use galleries for lists of pictures."
)
ANSWER_LENGTH: Final = 500
"""Characters of Discord's answer that are shown."""


def draining(left: int, paused: bool) -> str:
    """After ``/admin drain``."""
    if not left:
        return _("No orders are accepted until `/admin resume`. No pictures are left.")
    text = _("No orders are accepted until `/admin resume`. Pictures left: **{count}**.", count=left)
    waiting = _("Painting is paused, so waiting pictures are not finished.")
    return f"{text}\n{waiting}" if paused else text


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
        lines.append(_("**Paused:** no painting begins."))
    if controls.draining:
        lines.append(_("**Draining:** no orders are accepted."))
    lines += [
        _("Waiting: {count}, the oldest for {duration}", count=queued, duration=duration(oldest))
        if queued
        else _("Waiting: {count}", count=0),
        _("Being painted: {count}", count=running),
        _("Being sent: {count}", count=max(0, open_jobs - queued - running)),
        _("Bot processes: {count}", count=processes),
        _("Blocked members: {count}", count=len(controls.blocked)),
        _("Workers: {count}", count=len(workers)),
        *(f"- {_code(each.name)}: {each.device}, {each.precision}" for each in workers),
    ]
    return shortened("\n".join(lines), MESSAGE_LENGTH)


def failures(found: Sequence[Failure]) -> str:
    """The last failures. Names no member, and shows nothing of their pictures."""
    if not found:
        return _("None of the stored pictures has failed.")
    lines = [
        f"`{each.job}` <t:{int(each.at.timestamp())}:R> · {type(each.cause).__name__}: {error_message(each.cause)}"
        for each in found
    ]
    return shortened("\n".join(lines), MESSAGE_LENGTH)


def gallery_refused(answer: str) -> str:
    """After ``/admin probe``, with Discord's answer."""
    text = _("Discord refuses a new picture in a gallery. I use attachments for lists of pictures, as here.")
    return f"{text}\n{_code(shortened(' '.join(answer.split()), ANSWER_LENGTH))}"


def blocked(member: int, *, new: bool) -> str:
    """After ``/admin block``."""
    if new:
        return _("{member} is blocked.", member=mention(member))
    return _("{member} was blocked already.", member=mention(member))


def unblocked(member: int, *, was: bool) -> str:
    """After ``/admin unblock``."""
    if was:
        return _("{member} is no longer blocked.", member=mention(member))
    return _("{member} was not blocked.", member=mention(member))


def is_operator(member: int) -> str:
    """After ``/admin block`` of an operator."""
    return _("{member} is an operator, and can't be blocked.", member=mention(member))


def _code(text: str) -> str:
    return f"`{text.replace('`', '')}`"
