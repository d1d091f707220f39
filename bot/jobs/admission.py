"""Checks who may order a job, before the pictures of the order are downloaded."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from bot.jobs.database.store import Store
from bot.jobs.errors import Blocked, Draining, TooManyJobs, WrongChannel, WrongRole
from bot.jobs.model import Actor
from bot.jobs.rules import GuildRules, Quota

ADMITTED_AT_ONCE: Final = 4
"""Orders with pictures in memory."""

OpenJobs = Callable[[int], Awaitable[Mapping[str, int | None]]]
"""The ids of a member's open jobs, with their servers."""


class Admission:
    """Admits orders. The database checks the limits again, because orders of one member may arrive at two processes."""

    def __init__(self, store: Store, open_jobs: OpenJobs, max_open: int, max_per_day: int | None) -> None:
        self._store = store
        self._open_jobs = open_jobs
        self._max_open = max_open
        self._max_per_day = max_per_day
        self._accepting: dict[str, Actor] = {}
        """Who placed the orders in acceptance, by the orders' ids. They count towards the limit."""
        self._admitting = asyncio.Semaphore(ADMITTED_AT_ONCE)

    @contextlib.asynccontextmanager
    async def enter(self, actor: Actor, order: str) -> AsyncIterator[None]:
        """See :meth:`bot.jobs.api.Jobs.admission`. At most :data:`ADMITTED_AT_ONCE` orders are in memory."""
        controls = await self._store.controls()
        if actor.id in controls.blocked:
            raise Blocked
        if controls.draining:
            raise Draining
        rules = await self._store.guild_rules(actor.guild_id)
        _check_place(actor, rules)
        quota = Quota.of(rules, self._max_per_day)
        await self._check_open(actor, order, quota)
        self._accepting[order] = actor
        try:
            await self._store.check_day(actor.id, actor.guild_id, quota)
            async with self._admitting:
                yield
        finally:
            self._accepting.pop(order, None)  # a duplicate of the order may have removed it

    async def _check_open(self, actor: Actor, order: str, quota: Quota) -> None:
        def accepting() -> dict[str, int | None]:
            return {each: by.guild_id for each, by in self._accepting.items() if by.id == actor.id}

        while True:
            before = accepting()
            # A union by ids: an order is in both from its commit to the end of its acceptance.
            known = {**await self._open_jobs(actor.id), **accepting()}
            # An order that left meanwhile may have been stored after the read of the database: read again.
            if before.keys() <= known.keys():
                break
        known.pop(order, None)
        if len(known) >= self._max_open:
            raise TooManyJobs(self._max_open)
        here = sum(guild_id == actor.guild_id for guild_id in known.values())
        if quota.open_here is not None and actor.guild_id is not None and here >= quota.open_here:
            raise TooManyJobs(quota.open_here, here=True)


def _check_place(actor: Actor, rules: GuildRules) -> None:
    if rules.channels and not actor.channels & set(rules.channels):
        raise WrongChannel(" ".join(map(str, rules.channels)))
    if rules.roles and not actor.roles & set(rules.roles):
        raise WrongRole(" ".join(map(str, rules.roles)))
