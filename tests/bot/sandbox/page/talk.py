"""Talks to the server of the page as the page does."""

from typing import Any

import aiohttp


class Socket:
    """The socket of an open page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Talk over this."""
        self.events: list[Any] = []
        self._socket = socket
        self._asked = 0

    async def ask(self, kind: str, **fields: object) -> Any:
        """Ask for an action and return its end. Other events are kept."""
        self._asked += 1
        await self._socket.send_json(fields | {"type": kind, "id": self._asked})
        while True:
            event = await self._socket.receive_json()
            if event.get("id") == self._asked:
                return event
            self.events.append(event)
