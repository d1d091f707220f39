"""What the members saw: each state of each message of the local Discord, reduced to what the checker needs."""

import hashlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from bot.sandbox import LocalDiscord, Message

_JOB: Final = re.compile(r"cancel:([0-9a-f]{16})")
_FINAL: Final = re.compile(r"painting(?:-([0-9a-f]{16}))?\.\w+")
_NAMED: Final = re.compile(r"-# Job ([0-9a-f]{16})$")
_STEP: Final = re.compile(r"step (\d+) of (\d+)")
_WAITS: Final = re.compile(r"Next in line|Waiting in line")

Moment = Literal["acknowledged", "told"]


@dataclass(frozen=True, slots=True)
class MessageState:
    """One state of one message."""

    at: float
    """Seconds, by the monotonic clock."""
    message: int
    channel: int
    ephemeral: bool
    deleted: bool
    thinking: bool
    content: str
    jobs: frozenset[str]
    """The jobs that its Cancel button, its text or its paintings name."""
    button: bool
    """Whether it can be cancelled."""
    finals: tuple[tuple[str, str], ...]
    """For each finished painting: the job in its file name, or an empty text, and the SHA-256 of its bytes."""
    step: int | None
    """The step that it shows."""

    @property
    def is_ending(self) -> bool:
        """Whether it says, as text only, that something ended or was refused.

        A position in the queue is no ending, even without its button: a late press removes the button.
        """
        told = bool(self.content) and not self.thinking and not self.deleted and not _WAITS.match(self.content)
        return told and self.step is None and not self.button and not self.finals


class MessageLog:
    """Records every message of the bot. Listeners are called at once, before the bot has its response."""

    def __init__(self, discord: LocalDiscord) -> None:
        self.pictures: dict[str, bytes] = {}
        """Every finished painting that was shown, by SHA-256."""
        self._states: defaultdict[int, list[MessageState]] = defaultdict(list)
        self._listeners: list[Callable[[Moment], None]] = []
        discord.on_message(self._see)

    def on_moment(self, listener: Callable[[Moment], None]) -> None:
        """Call this when an interaction has been acknowledged, and when a finished painting has been shown."""
        self._listeners.append(listener)

    def states(self, message: int | None) -> list[MessageState]:
        """All states of a message, oldest first. Empty for an unknown message."""
        return self._states.get(message or 0, [])

    def messages(self) -> Iterator[list[MessageState]]:
        """The states of each message, in the order of the messages."""
        yield from self._states.values()

    def job_at(self, message: int | None) -> str:
        """The job that a message named, or an empty text."""
        return next((job for state in self.states(message) for job in state.jobs), "")

    def _see(self, message: Message) -> None:
        if not message.author_is_bot:
            return
        finals = []
        for attachment in message.attachments:
            if found := _FINAL.fullmatch(attachment.filename):
                digest = hashlib.sha256(attachment.data).hexdigest()
                self.pictures[digest] = attachment.data
                finals.append((found[1] or "", digest))
        buttons = [found[1] for button in message.buttons if (found := _JOB.fullmatch(button.custom_id or ""))]
        named = [*buttons, *_NAMED.findall(message.content), *(job for job, _ in finals if job)]
        step = _STEP.search(message.content)
        state = MessageState(
            at=time.monotonic(),
            message=message.id,
            channel=message.channel_id,
            ephemeral=message.ephemeral,
            deleted=message.deleted,
            thinking=message.thinking,
            content=message.content,
            jobs=frozenset(named),
            button=bool(buttons),
            finals=tuple(finals),
            step=int(step[1]) if step else None,
        )
        self._states[message.id].append(state)
        if state.deleted:
            return
        if state.thinking:
            self._tell("acknowledged")
        elif state.finals:
            self._tell("told")

    def _tell(self, moment: Moment) -> None:
        for listener in self._listeners:
            listener(moment)
