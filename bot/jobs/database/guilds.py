"""The rules of servers."""

from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import select, update

from bot.jobs.database.tables import GuildRow
from bot.jobs.database.transactions import Transactions
from bot.jobs.rules import NO_RULES, GuildRules

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Guilds(Transactions):
    """A part of :class:`bot.jobs.database.store.Store`: what the moderators of each server chose."""

    async def guild_rules(self, guild_id: int | None) -> GuildRules:
        """The rules of a server. None stands for direct messages, which have no rules."""
        if guild_id is None:
            return NO_RULES
        async with self._engine.connect() as connection:
            query = select(GuildRow.rules).where(GuildRow.id == guild_id)
            return _read(guild_id, (await connection.execute(query)).scalar_one_or_none())

    async def change_guild_rules(self, guild_id: int, **changes: Any) -> GuildRules:
        """Change some of the rules of a server, and return them all.

        Raises:
            ValidationError: a rule can't have this value.
        """
        this = GuildRow.id == guild_id
        async with self._changing() as connection:
            # Then no other transaction changes the row between its read and its update.
            await self._insert_new(connection, GuildRow, id=guild_id, rules=NO_RULES.model_dump_json())
            stored = (await connection.execute(select(GuildRow.rules).where(this).with_for_update())).scalar_one()
            rules = GuildRules.model_validate(_read(guild_id, stored).model_dump() | changes)
            await connection.execute(update(GuildRow).where(this).values(rules=rules.model_dump_json()))
        return rules


def _read(guild_id: int, stored: str | None) -> GuildRules:
    if stored is None:
        return NO_RULES
    try:
        return GuildRules.model_validate_json(stored)
    except ValidationError:
        log.warning("the rules of a server can't be read", guild=guild_id)
        return NO_RULES
