"""Checks after a run that each accepted job has exactly one final answer, and its own."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from bot.error_messages import error_message
from engine.errors import PaintingCancelled
from tests.chaos.members import Request, RequestLog
from tests.chaos.message_log import MessageLog, MessageState
from tests.chaos.pictures import likeness
from tests.chaos.watch import Row, Watch

Kind = Literal["lost", "doubled", "mixed up", "went back", "disagrees"]

MOST_WORK_LOST: Final = 15.0
"""Seconds of work that a kill may cost."""
MIN_LIKENESS: Final = 0.6
"""The least correlation of a painting with the pattern of its content; another's is below 0.5."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation."""

    kind: Kind
    job: str
    detail: str


class Checker:
    """Compares what the members saw with what the database says."""

    def __init__(self, request_log: RequestLog, watch: Watch, message_log: MessageLog) -> None:
        self._request_log = request_log
        self._watch = watch
        self._message_log = message_log
        self._requests = {
            row.id: request for request in request_log.requests if (row := request_log.job(request)) is not None
        }
        self._named: dict[str, list[list[MessageState]]] = {}
        self.most_work_lost = 0.0
        """The most seconds of visible work by which a painting went back. Set by :meth:`findings`."""
        for states in message_log.messages():
            for job in {job for state in states for job in state.jobs}:
                self._named.setdefault(job, []).append(states)

    def findings(self) -> list[Finding]:
        """Everything that is wrong, job by job."""
        found: list[Finding] = []
        for row in self._watch.rows.values():
            request = self._requests.get(row.id)
            if request is None:
                found.append(Finding("disagrees", row.id, "nobody asked for it"))
            else:
                found += self._check(request, row)
        return found

    def _check(self, request: Request, row: Row) -> Iterable[Finding]:
        messages = self._messages(request, row)
        for states in messages:
            lost = _work_lost(states)
            self.most_work_lost = max(self.most_work_lost, lost)
            if lost > MOST_WORK_LOST:
                yield Finding("went back", row.id, f"by {lost:.0f} s of work")
        yield from self._owner(request, row, messages)
        yield from _count(row, messages, self._message_log.states(request.invocation.original_id))
        if row.state != "cancelled" and self._told_cancelled(request):
            yield Finding("disagrees", row.id, f"its member was told that it is cancelled, but it is {row.state}")

    def _messages(self, request: Request, row: Row) -> list[list[MessageState]]:
        """Every message about a job: those of its interaction, and those that name it, but not what ``/jobs`` shows."""
        own = [self._message_log.states(message) for message in request.invocation.message_ids]
        return own + [states for states in self._named.get(row.id, []) if states not in own and not states[0].ephemeral]

    def _told_cancelled(self, request: Request) -> bool:
        told = error_message(PaintingCancelled())
        return any(
            state.content == told
            for press in request.presses
            for message in press.message_ids
            for state in self._message_log.states(message)
        )

    def _owner(self, request: Request, row: Row, messages: list[list[MessageState]]) -> Iterable[Finding]:
        if row.owner != request.member.id:
            yield Finding("mixed up", row.id, f"belongs to {row.owner}, asked for by {request.member.id}")
        for job, digest in {final for states in messages for state in states for final in state.finals}:
            if job and job != row.id:
                yield Finding("mixed up", row.id, f"its reply showed the painting of {job}")
            alike = likeness(self._message_log.pictures[digest], request.number)
            if alike < MIN_LIKENESS:
                yield Finding("mixed up", row.id, f"its painting resembles its content only by {alike:.2f}")


def _count(row: Row, messages: list[list[MessageState]], reply: list[MessageState]) -> Iterable[Finding]:
    """There is exactly one answer, of the kind that the database has."""
    pictures = [states for states in messages if any(state.finals for state in states)]
    overwritten = [states for states in pictures if not states[-1].deleted and not states[-1].finals]
    for states in overwritten:
        yield Finding("went back", row.id, f"its finished painting was replaced by {states[-1].content!r}")
    shown = [states for states in pictures if states not in overwritten]
    told = [states for states in messages if any(state.is_ending for state in states)]
    standing = [states for states in shown + told if not states[-1].deleted]
    if len(standing) > 1:
        yield Finding("doubled", row.id, f"{len(standing)} answers stand: {[s[-1].content for s in standing]}")
    yield from _missing(row, shown, told, reply)


def _missing(
    row: Row, shown: list[list[MessageState]], told: list[list[MessageState]], reply: list[MessageState]
) -> Iterable[Finding]:
    """An ending that its member can't know, or that was shown differently from the database."""
    last = reply[-1].content if reply else "nothing"
    match row.state:
        case "delivered":
            if not shown and row.delivered_by != "kept":
                yield Finding("lost", row.id, f"delivered by {row.delivered_by}, but the reply says {last!r}")
            if told:
                yield Finding("disagrees", row.id, f"delivered, and told {told[-1][-1].content!r}")
        case "failed" | "expired":
            if not told and row.delivered_by != "kept":
                yield Finding(
                    "lost", row.id, f"{row.state} ({row.cause}) by {row.delivered_by}, but the reply says {last!r}"
                )
            if shown:
                yield Finding("disagrees", row.id, f"{row.state}, and its painting was shown")
        case "cancelled":
            if not told and row.delivered_by != "kept" and reply and not reply[-1].deleted:
                yield Finding("lost", row.id, f"cancelled, but the reply says {last!r}")
            if shown:
                yield Finding("disagrees", row.id, "cancelled, and its painting was shown")
        case _:
            yield Finding("lost", row.id, f"still {row.state}; the reply says {last!r}")


def _work_lost(states: list[MessageState]) -> float:
    """The most seconds of work by which the shown steps went back, from the time when a step was shown first."""
    most = 0.0
    rising: list[tuple[float, int]] = []
    for state in states:
        if state.step is None:
            continue
        if rising and state.step < rising[-1][1]:
            most = max(most, rising[-1][0] - next(at for at, step in rising if step >= state.step))
            rising = []
        rising.append((state.at, state.step))
    return most
