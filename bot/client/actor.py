"""Who uses a command or a component, and what Discord says that they may do there."""

from typing import Any

import discord

from bot.jobs.model import Actor


def actor_of(interaction: discord.Interaction[Any]) -> Actor:
    """The member of an interaction. Discord states their permissions in that channel with each interaction."""
    return Actor(interaction.user.id, interaction.guild_id, moderates=interaction.permissions.manage_messages)
