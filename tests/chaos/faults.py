"""Faults of Discord and of the disk, in addition to processes that die."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from bot.sandbox import Faults, LocalDiscord, Member, Permission, Place
from bot.settings import MEBIBYTE
from tests.chaos.disk import Disk

MIN_FREE_MB: Final = 16
"""The bot's setting for free space on its small disk."""
FAULTS: Final = Faults(
    rate_limit=0.03,
    server_error=0.02,
    late_error=0.02,
    reset_before=0.01,
    reset_after=0.02,
    expired_token=0.02,
    deleted_message=0.02,
    retry_after=1.0,
)
"""The share of the bot's requests that has each fault."""
LASTS: Final = (2.0, 8.0)
"""The shortest and the longest duration of a larger fault, in seconds."""


class FaultInjector:
    """Makes requests fail at random, and sometimes causes a larger fault for a while."""

    def __init__(
        self, discord: LocalDiscord, members: Sequence[Member], places: Sequence[Place], disk: Disk | None, seed: int
    ) -> None:
        """``places`` are those where the bot is a member. Without a ``disk``, none is filled."""
        self._discord = discord
        self._members = members
        self._places = places
        self._disk = disk
        self._seed = seed
        self._rng = random.Random(f"faults {seed}")
        self._disks: Counter[str] = Counter()

    @property
    def counts(self) -> dict[str, int]:
        """How often each fault has happened."""
        return dict(self._discord.faults + self._disks)

    async def run(self, pause: float) -> None:
        """Cause faults until cancelled. ``pause`` is the mean number of seconds between two larger faults."""
        kinds = [self._drop, self._forbid, self._refuse_direct, *([self._fill] if self._disk else [])]
        self._discord.inject(replace(FAULTS, seed=self._seed))
        try:
            while True:
                await asyncio.sleep(self._rng.expovariate(1 / pause))
                async with self._rng.choice(kinds)():
                    await asyncio.sleep(self._rng.uniform(*LASTS))
        finally:
            self._discord.inject(None)

    @asynccontextmanager
    async def _drop(self) -> AsyncIterator[None]:
        await self._discord.drop_gateway()
        if self._rng.random() < 0.3:
            self._discord.forget_sessions()
        yield

    @asynccontextmanager
    async def _forbid(self) -> AsyncIterator[None]:
        place = self._rng.choice(self._places)
        taken = self._rng.choice((Permission.SEND_MESSAGES, Permission.ATTACH_FILES, Permission.VIEW_CHANNEL))
        self._discord.forbid(taken, place)
        try:
            yield
        finally:
            self._discord.permit(taken, place)

    @asynccontextmanager
    async def _refuse_direct(self) -> AsyncIterator[None]:
        some = self._rng.sample(self._members, k=max(1, len(self._members) // 2))
        for member in some:
            self._discord.refuse_direct_messages(member)
        try:
            yield
        finally:
            for member in some:
                self._discord.refuse_direct_messages(member, refuse=False)

    @asynccontextmanager
    async def _fill(self) -> AsyncIterator[None]:
        """Leave less than the bot wants free, or nothing at all."""
        assert self._disk is not None
        nothing = self._rng.random() < 0.5
        self._disk.fill(0 if nothing else MIN_FREE_MB * MEBIBYTE // 2)
        self._disks["disk_full" if nothing else "disk_nearly_full"] += 1
        try:
            yield
        finally:
            self._disk.empty()
