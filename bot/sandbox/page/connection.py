"""One open page: the member it acts as, the files it has uploaded, and what it is still to receive."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

from bot.sandbox.member import Upload
from bot.sandbox.page.contract import Actor
from bot.sandbox.protocol.errors import JsonObject

WAITING = 10_000
"""Events that wait for a page at most. A page that falls further behind is disconnected, and connects again."""


class Connection:
    """The socket of one page. Everything that it began ends with it."""

    def __init__(self, socket: web.WebSocketResponse, actor: Actor) -> None:
        """Act as this member at first."""
        self.id = secrets.token_urlsafe(16)
        self.actor = actor
        self.uploads: dict[str, Upload] = {}
        self._socket = socket
        self._outbox: asyncio.Queue[str] = asyncio.Queue(WAITING)
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, event: JsonObject) -> None:
        """Send an event."""
        self.put_text(json.dumps(event))

    def put_text(self, text: str) -> None:
        """Send an event that is JSON already."""
        try:
            self._outbox.put_nowait(text)
        except asyncio.QueueFull:
            self.start(self.close(1013, "the page does not keep up"))

    async def close(self, code: int, reason: str) -> None:
        """Close the socket."""
        with contextlib.suppress(ConnectionError):
            await self._socket.close(code=code, message=reason.encode())

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that ends with the page at the latest."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def write(self) -> None:
        """Send what waits until the socket is closed."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self._socket.send_str(await self._outbox.get())

    async def end(self) -> None:
        """Stop everything that the page began."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.uploads.clear()
