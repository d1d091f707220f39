"""Who uses a command or a component, and what Discord says that they may do there."""

from typing import Any

import discord

from bot.jobs.model import Actor


def actor_of(interaction: discord.Interaction[Any]) -> Actor:
    """The member of an interaction. Discord states their roles and permissions with each interaction."""
    channel, user = interaction.channel, interaction.user
    channels = {interaction.channel_id, channel.parent_id if isinstance(channel, discord.Thread) else None}
    return Actor(
        user.id,
        interaction.guild_id,
        moderates=interaction.permissions.manage_messages,
        channels=frozenset(each for each in channels if each is not None),
        # Member.roles leaves out the roles of a server that is not in the cache.
        roles=frozenset(user._roles) if isinstance(user, discord.Member) else frozenset(),
    )
