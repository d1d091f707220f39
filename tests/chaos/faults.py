"""What goes wrong at Discord and under the bot's data, besides processes that die."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from bot.sandbox import LocalDiscord
from tests.chaos.disk import MEGABYTE, Disk

CALLBACK: Final = "/interactions/{interaction_id}/{interaction_token}/callback"
REPLY: Final = "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}"
CHANNEL: Final = "/channels/{channel_id}/messages"
MIN_FREE_MB: Final = 16
"""What the bot is told to keep free on its small disk."""


class Faults:
    """Injects a fault of a random kind every now and then, and counts them."""

    def __init__(self, discord: LocalDiscord, disk: Disk | None, rng: random.Random, *, pause: float) -> None:
        """``pause`` is the mean number of seconds between two faults."""
        self.injected: Counter[str] = Counter()
        self._discord = discord
        self._disk = disk
        self._rng = rng
        self._pause = pause

    async def run(self) -> None:
        """Inject until cancelled; then the disk has room again."""
        kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "429": self._limit,
            "500": self._server_error,
            "missing permission": self._forbid,
            "token refused": self._refuse_token,
            "gateway dropped": self._drop,
        }
        try:
            while True:
                await asyncio.sleep(self._rng.expovariate(1 / self._pause))
                if self._disk is not None and self._rng.random() < 0.05:
                    await self._fill(self._disk)
                    continue
                kind = self._rng.choice(list(kinds))
                await kinds[kind]()
                self.injected[kind] += 1
        finally:
            if self._disk is not None:
                self._disk.empty()

    async def _limit(self) -> None:
        self._discord.rate_limit_next(self._rng.choice((CALLBACK, REPLY)), self._rng.uniform(0.3, 2))

    async def _server_error(self) -> None:
        self._discord.fail_next(self._rng.choice((CALLBACK, REPLY)), self._rng.choice((500, 502, 503)))

    async def _forbid(self) -> None:
        self._discord.fail_next(CHANNEL, 403, code=50013, message="Missing Permissions")

    async def _refuse_token(self) -> None:
        self._discord.fail_next(REPLY, 401, code=50027, message="Invalid Webhook Token")

    async def _drop(self) -> None:
        await self._discord.drop_gateway()
        if self._rng.random() < 0.3:
            self._discord.forget_sessions()

    async def _fill(self, disk: Disk) -> None:
        """Leave less than the bot wants free, or nothing at all, for some seconds."""
        nothing = self._rng.random() < 0.5
        disk.fill(0 if nothing else MIN_FREE_MB * MEGABYTE // 2)
        self.injected["disk full" if nothing else "disk nearly full"] += 1
        try:
            await asyncio.sleep(self._rng.uniform(2, 6))
        finally:
            disk.empty()
