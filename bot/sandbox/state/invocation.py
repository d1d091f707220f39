"""One interaction as the member who began it follows it."""

# The waits take a timeout: `asyncio.timeout` would hide from whom it interrupts what was waited for.
# ruff: noqa: ASYNC109

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from enum import IntEnum

from bot.sandbox.clock import SandboxClock
from bot.sandbox.protocol.errors import JsonObject
from bot.sandbox.state.messages import Message
from bot.sandbox.state.world import Place, User

ACKNOWLEDGE_WITHIN = 3.0
"""Seconds in which an interaction must be acknowledged."""

TOKEN_LIFETIME = 15 * 60.0
"""Seconds for which the token of an interaction works."""

GIVE_UP_AFTER = 60.0
"""Seconds that a wait takes at most, unless its caller sets another limit. It ends a test that hangs."""

NO_RESPONSE = "The application did not respond"


class Kind(IntEnum):
    """What a member did (Discord documentation: Interactions, Interaction Type)."""

    COMMAND = 2
    COMPONENT = 3
    AUTOCOMPLETE = 4
    MODAL = 5


class Pulse:
    """Wakes all waiters, each time it beats."""

    def __init__(self) -> None:
        """Begin without waiters."""
        self._event = asyncio.Event()

    def beat(self) -> None:
        """Wake all present waiters."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, timeout: float | None) -> bool:
        """Wait for the next beat; False when it did not come within so many seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        return True

    async def wait_for(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait until a condition holds, which may change only at a beat.

        Raises:
            TimeoutError: it did not hold within so many seconds; `what` says what was waited for.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            if not await self.wait(deadline - time.monotonic()) and not condition():
                raise TimeoutError(f"{what} did not come within {timeout} s")


class Invocation:
    """The course of a command, a press, a choice or a modal that a member sent.

    `choices` are the answers to an autocomplete and `modal` is the form that the bot opened, where it did. `command` is
    the name of the command, if it is one, with the names of its group and subcommand.
    """

    def __init__(
        self, identity: int, kind: Kind, user: User, place: Place, *, clock: SandboxClock, source_id: int | None
    ) -> None:
        """Begin now; `source_id` is the message whose component was used, if one was."""
        self.id = identity
        self.kind = kind
        self.user = user
        self.place = place
        self.follow_ups = 0
        self.source_id = source_id
        self.command: str | None = None
        self.token = secrets.token_urlsafe(96)
        self.acknowledged_after: float | None = None
        self.choices: tuple[JsonObject, ...] = ()
        self.modal: JsonObject | None = None
        self.original_id: int | None = None
        self.message_ids: list[int] = []
        self._clock = clock
        self._created_at = clock.now()
        self._expired = False
        self._began = time.monotonic()
        self._history: list[Message] = []
        self._pulse = Pulse()

    @property
    def is_late(self) -> bool:
        """Whether the time to acknowledge is over."""
        return self._clock.now() - self._created_at > ACKNOWLEDGE_WITHIN

    @property
    def is_expired(self) -> bool:
        """Whether the token has stopped working."""
        return self._expired or self._clock.now() - self._created_at > TOKEN_LIFETIME

    @property
    def channel_id(self) -> int:
        """The channel in which it began."""
        return self.place.channel_id

    @property
    def failed(self) -> str | None:
        """The text that Discord shows the member when the bot did not answer, or never filled a deferred answer."""
        if self.acknowledged_after is None:
            return NO_RESPONSE if self.is_late else None
        original = self.original
        return NO_RESPONSE if self.is_expired and original is not None and original.thinking else None

    @property
    def history(self) -> tuple[Message, ...]:
        """Each state of each message of this interaction, in the order in which they came."""
        return tuple(self._history)

    @property
    def original(self) -> Message | None:
        """The first answer as it is now, or None where there is none, or where it was deleted.

        After a component's silent or updating answer it is the message with the component, once it has changed.
        """
        for message in reversed(self._history):
            if message.id == self.original_id:
                return None if message.deleted else message
        return None

    async def acknowledged(self, timeout: float = GIVE_UP_AFTER) -> None:
        """Wait until the bot has answered.

        Raises:
            TimeoutError: it did not within so many seconds.
        """
        await self._pulse.wait_for(
            lambda: self.acknowledged_after is not None, timeout, f"the answer to interaction {self.id}"
        )

    async def messages(self) -> AsyncGenerator[Message]:
        """All of `history` so far and then each further state as it comes, without end."""
        seen = 0
        while True:
            while seen < len(self._history):
                seen += 1
                yield self._history[seen - 1]
            await self._pulse.wait(None)

    async def wait_until(self, predicate: Callable[[Message], bool], timeout: float = GIVE_UP_AFTER) -> Message:
        """The first state, past or to come, for which the predicate holds.

        Raises:
            TimeoutError: there was none within so many seconds, or the interaction failed; says what there was.
        """
        deadline = time.monotonic() + timeout
        seen = 0
        while True:
            for message in self._history[seen:]:
                if predicate(message):
                    return message
            seen = len(self._history)
            left = deadline - time.monotonic()
            if self.failed or left <= 0:
                raise TimeoutError(self._report(timeout))
            if self.acknowledged_after is None:
                left = min(left, max(self._created_at + ACKNOWLEDGE_WITHIN - self._clock.now(), 0) + 0.01)
            await self._pulse.wait(left)

    def _report(self, timeout: float) -> str:
        if self.failed:
            return self.failed
        last = self._history[-1] if self._history else None
        return f"no such message within {timeout} s; the last of {len(self._history)} was {last}"

    def expire(self) -> None:
        """Expire the token now."""
        self._expired = True
        self._pulse.beat()

    def acknowledge(self) -> None:
        """Note that the bot has answered."""
        self.acknowledged_after = time.monotonic() - self._began
        self._pulse.beat()

    def add(self, message: Message) -> None:
        """Note a new state of a message of this interaction."""
        self._history.append(message)
        self._pulse.beat()
