"""The texts of ``/jobs``."""

from collections.abc import Sequence
from typing import Final

from bot.error_messages import error_message
from bot.jobs.errors import JobUnreadable
from bot.jobs.model import HistoryPage, Job, State
from bot.limits import MESSAGE_LENGTH, OPTION_LENGTH
from bot.locales import N_
from bot.locales import gettext as _
from bot.texts import described, shortened, titled

SHOW_AGAIN: Final = N_("Show a painting again …")
NEWER: Final = N_("◀ Newer")
OLDER: Final = N_("Older ▶")


def cancel(number: int) -> str:
    """On the button that cancels a job of the list."""
    return _("Cancel {number}", number=number)


def not_listed() -> str:
    """In place of a page of ``/jobs`` that Discord rejects."""
    return _("Discord didn't accept the list. Use `/jobs` again in a minute.")


def your_pictures(jobs: Sequence[Job]) -> str:
    """Above a part of a member's jobs."""
    return _("**Your pictures**") if jobs else _("You have no pictures yet. Use `/stylize` to paint one.")


def listed(page: HistoryPage) -> list[str]:
    """The jobs of a page with their numbers, under :func:`your_pictures`. Ten jobs fit into one message."""
    full, short = ([_line(number, job, reason=reason) for number, job in page.numbered] for reason in (True, False))
    return full if len("\n".join([your_pictures(page.jobs), *full])) <= MESSAGE_LENGTH else short


def option(number: int, job: Job) -> str:
    """The label of a job in a menu. Discord shows no Markdown there."""
    return shortened(f"{number}. {described(job.description)}", OPTION_LENGTH)


def _line(number: int, job: Job, *, reason: bool) -> str:
    unreadable = isinstance(job.cause, JobUnreadable)
    failed = unreadable or job.state is State.FAILED
    state = _("failed") if failed else _state(job)
    because = f" ({error_message(job.cause).rstrip('.。')})" if reason and failed and job.cause else ""
    when = f"<t:{int(job.created_at.timestamp())}:R>"
    line = f"**{number}.** {titled(described(job.description))} · {state}{because} · {when}"
    return line if unreadable else " · ".join((line, _("recipe `{id}`", id=job.painted_recipe.id)))


def _state(job: Job) -> str:  # noqa: PLR0911 - one return for each state is the clearest form
    match job.state:
        case State.QUEUED:
            return _("waiting")
        case State.RUNNING:
            return _("being painted")
        case State.DELIVERING:
            return _("being sent")
        case State.DELIVERED if job.delivered_by == "kept":
            return _("finished, **saved here for you**")
        case State.DELIVERED:
            return _("finished")
        case State.CANCELLED:
            return _("cancelled")
        case State.EXPIRED:
            return _("not finished in time")
        case State.FAILED:
            return _("failed")
