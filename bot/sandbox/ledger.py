"""The bot's requests to the REST interface, and those that were not understood."""

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


class Ledger:
    """Keeps every request and every refusal, and calls listeners."""

    def __init__(self) -> None:
        """Start empty."""
        self.requests: list[RestRequest] = []
        self.refusals: list[str] = []
        self._listeners: list[Callable[[RestRequest], None]] = []

    def on_request(self, listener: Callable[[RestRequest], None]) -> None:
        """Call this with each request, once it has been answered."""
        self._listeners.append(listener)

    def add(self, request: RestRequest) -> None:
        """Keep a request that has been answered."""
        self.requests.append(request)
        for listener in self._listeners:
            listener(request)

    def refuse(self, sentence: str) -> None:
        """Keep what was not understood."""
        self.refusals.append(sentence)
