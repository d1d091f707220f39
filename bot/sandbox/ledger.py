"""What passes between the bot and the local Discord: requests, frames of the gateway, and what was not understood."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

UNKNOWN_ROUTE = "(unknown)"


@dataclass(frozen=True, slots=True)
class RestRequest:
    """One request of the bot.

    `at` counts seconds since the server started, by its clock. In `path` the interaction tokens are replaced by "…".
    `route` is the template as in Discord's OpenAPI document, or "(unknown)". `body` is the parsed JSON, for multipart
    that of `payload_json`; `files` are the names of the multipart file fields, such as `files[0]`.

    `fault` is what was done to it at random, if anything was. Where the connection was cut, nobody has read `status`:
    it is 0 if nothing was done, else what would have been answered.
    """

    at: float
    method: str
    path: str
    status: int
    request_bytes: int
    response_bytes: int
    route: str
    body: Any | None
    query: Mapping[str, str]
    files: tuple[str, ...]
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of the gateway, sent by the bot or to it.

    `name` is that of the event, or of the operation, such as `IDENTIFY`. `body` is its data and may hold tokens.
    """

    by_bot: bool
    name: str
    body: object


class Ledger:
    """Keeps every request and every refusal, and calls listeners. Frames and answers it passes on only."""

    def __init__(self) -> None:
        """Start empty."""
        self.requests: list[RestRequest] = []
        self.refusals: list[str] = []
        self._listeners: list[Callable[[RestRequest], None]] = []
        self._answer_listeners: list[Callable[[RestRequest, object], None]] = []
        self._frame_listeners: list[Callable[[Frame], None]] = []

    def on_request(self, listener: Callable[[RestRequest], None]) -> None:
        """Call this with each request, once it has been answered."""
        self._listeners.append(listener)

    def on_answer(self, listener: Callable[[RestRequest, object], None]) -> None:
        """Call this with each request, once it has been answered, and the JSON or HTML of the answer."""
        self._answer_listeners.append(listener)

    def on_frame(self, listener: Callable[[Frame], None]) -> None:
        """Call this with each frame of the gateway, both ways."""
        self._frame_listeners.append(listener)

    def add(self, request: RestRequest, answer: object) -> None:
        """Keep a request that has been answered."""
        self.requests.append(request)
        for listener in self._listeners:
            listener(request)
        for answer_listener in self._answer_listeners:
            answer_listener(request, answer)

    def pass_on(self, frame: Frame) -> None:
        """Tell the listeners of a frame."""
        for listener in self._frame_listeners:
            listener(frame)

    def refuse(self, sentence: str) -> None:
        """Keep what was not understood."""
        self.refusals.append(sentence)
