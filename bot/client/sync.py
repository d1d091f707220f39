"""``atelier sync``: registers the commands with Discord, only when they changed.

Discord allows 200 creations a day for each server, and a start of the bot must cost none of them.
"""

import hashlib
import json
from typing import Any, Literal

import discord

from bot.client.client import Atelier
from bot.jobs.database.store import Store

Outcome = Literal["registered", "unchanged"]


async def sync(client: Atelier, store: Store, guild: int | None = None, *, force: bool = False) -> Outcome:
    """Register every command for all servers, or for one; ``client`` is logged in.

    What counts as changed: our commands differ from what we last registered, or what Discord has is no longer that.

    Raises:
        discord.HTTPException: Discord refuses.
    """
    server = discord.Object(guild) if guild else None
    if server:
        client.tree.copy_global_to(guild=server)
    ours = [command.to_dict(client.tree) for command in client.tree.get_commands(guild=server)]
    scope = str(guild or "global")
    if not force and await store.synced(scope) == _fingerprint(ours, await _registered(client, guild)):
        return "unchanged"
    await client.tree.sync(guild=server)
    await store.set_synced(scope, _fingerprint(ours, await _registered(client, guild)))
    return "registered"


async def _registered(client: Atelier, guild: int | None) -> list[Any]:
    """What Discord has, by id and version: Discord gives a command a new version at each change."""
    application = client.application_id or 0
    found = (
        await client.http.get_guild_commands(application, guild)
        if guild
        else await client.http.get_global_commands(application)
    )
    return sorted((command["id"], command["version"]) for command in found)


def _fingerprint(ours: list[Any], registered: list[Any]) -> str:
    return hashlib.sha256(json.dumps([ours, registered], sort_keys=True).encode()).hexdigest()
