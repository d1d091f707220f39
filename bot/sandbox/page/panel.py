"""The panel beside the chat: what passed between the bot and the local Discord, and the switches for trouble."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakSet

from bot.sandbox.ledger import Frame, RestRequest
from bot.sandbox.page.actions import Act, Refused
from bot.sandbox.page.connection import Connection
from bot.sandbox.page.trouble import Switches, Trouble
from bot.sandbox.protocol.errors import JsonObject
from bot.sandbox.server import LocalDiscord

KEPT = 500
"""Requests and frames that the panel can show."""
HIDDEN = "…"
_SECRET_FIELDS = frozenset({"token", "session_id"})
_SIGNATURE = re.compile(r"\bhm=[0-9a-f]+")


class Tell(Protocol):
    """Sends an event to the pages for which `to` holds, by default to all."""

    def __call__(self, event: JsonObject, to: Callable[[Connection], bool] = ...) -> None:
        """Send it."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of the panel, and what it shows when it is opened, with its secrets."""

    line: JsonObject
    body: object
    answer: object


class Panel:
    """Notes what passes, tells the pages that show it, and turns switches."""

    def __init__(self, discord: LocalDiscord, tell: Tell) -> None:
        """Follow this local Discord."""
        self._clock = discord.clock
        self._token = discord.token
        self._tell = tell
        self._entries: deque[_Entry] = deque(maxlen=KEPT)
        self._noted = 0
        self._watching: WeakSet[Connection] = WeakSet()
        self._discord = discord
        self._switches = Switches(discord)
        self.acts: Mapping[str, Act] = {"watch": self._watch, "bodies": self._bodies, "trouble": self._trouble}
        discord.on_answer(self._note_request)
        discord.on_frame(self._note_frame)

    def _note_request(self, request: RestRequest, answer: object) -> None:
        line = {
            "kind": "request",
            "title": f"{request.method} {request.path}",
            "status": request.status or None,
            "sent_bytes": request.request_bytes,
            "answer_bytes": request.response_bytes,
            "files": len(request.files),
            "fault": request.fault,
        }
        body = request.body if not request.query else {"query": dict(request.query), "body": request.body}
        self._note(line, body, answer)

    def _note_frame(self, frame: Frame) -> None:
        self._note({"kind": "sent" if frame.by_bot else "event", "title": frame.name}, frame.body, None)

    def _note(self, line: JsonObject, body: object, answer: object) -> None:
        self._noted += 1
        entry = _Entry(line | {"number": self._noted, "at": self._clock.now()}, body, answer)
        self._entries.append(entry)
        self._tell({"type": "traffic", "entry": entry.line}, lambda page: page in self._watching)

    async def _watch(self, page: Connection, action: JsonObject) -> JsonObject:
        if action["on"] is not True:
            self._watching.discard(page)
            return {}
        self._watching.add(page)
        return {"entries": [entry.line for entry in self._entries], "trouble": sorted(self._switches.on)}

    async def _bodies(self, page: Connection, action: JsonObject) -> JsonObject:
        number = int(action["number"])
        place = number - self._noted + len(self._entries) - 1
        if not 0 <= place < len(self._entries):
            raise Refused("This is too long ago: it is no longer kept.")
        entry = self._entries[place]
        return {"body": self._without_secrets(entry.body), "answer": self._without_secrets(entry.answer)}

    async def _trouble(self, page: Connection, action: JsonObject) -> JsonObject:
        self._switches.turn(Trouble(action["name"]), on=action["on"] is True)
        limit = self._discord.attachment_size_limit
        self._tell({"type": "trouble", "on": sorted(self._switches.on), "file_limit": limit})
        return {}

    def _without_secrets(self, value: object) -> object:
        """The same JSON without tokens, and without the signatures of links."""
        match value:
            case dict():
                return {
                    key: HIDDEN if key in _SECRET_FIELDS and inner else self._without_secrets(inner)
                    for key, inner in value.items()
                }
            case list():
                return [self._without_secrets(inner) for inner in value]
            case str():
                return _SIGNATURE.sub(f"hm={HIDDEN}", value.replace(self._token, HIDDEN))
        return value
