"""``atelier sync``: registers the commands with Discord if they changed.

Discord allows 200 creations of commands a day for each server.
"""

import hashlib
import json
from typing import Any, Literal

import discord

from bot.client.client import Atelier
from bot.jobs.database.store import Store

Outcome = Literal["registered", "unchanged"]


async def sync(client: Atelier, store: Store, guild: int | None = None, *, force: bool = False) -> Outcome:
    """Register every command of a logged-in client, for all servers or for one.

    Commands count as changed if they differ from those last registered, or if Discord's differ from those. ``force``
    registers them anyway.

    Raises:
        discord.HTTPException: Discord rejects them.
    """
    server = discord.Object(guild) if guild else None
    if server:
        client.tree.copy_global_to(guild=server)
    ours = client.tree.payload(server)
    scope = str(guild or "global")
    if not force and await store.synced(scope) == _fingerprint(ours, await _registered(client, guild)):
        return "unchanged"
    await client.tree.sync(guild=server)
    await store.set_synced(scope, _fingerprint(ours, await _registered(client, guild)))
    return "registered"


async def _registered(client: Atelier, guild: int | None) -> list[Any]:
    """The ids and versions of the commands at Discord, which gives a command a new version at each change."""
    application = client.application_id or 0
    found = (
        await client.http.get_guild_commands(application, guild)
        if guild
        else await client.http.get_global_commands(application)
    )
    return sorted((command["id"], command["version"]) for command in found)


def _fingerprint(ours: list[Any], registered: list[Any]) -> str:
    return hashlib.sha256(json.dumps([ours, registered], sort_keys=True).encode()).hexdigest()
