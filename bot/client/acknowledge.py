"""The first answer to a command, within three seconds, with retries when a connection breaks."""

import asyncio
from typing import Any, Final

import aiohttp
import discord

from bot.limits import ACKNOWLEDGE_WITHIN, ALREADY_ACKNOWLEDGED

_RETRY_AFTER: Final = 0.1
"""Seconds."""


def order_id(interaction: discord.Interaction[Any]) -> str:
    """The id of a command's order: Discord's id of the interaction, in 16 hexadecimal digits."""
    return f"{interaction.id:016x}"


async def acknowledge(interaction: discord.Interaction[Any]) -> int:
    """Show "thinking …", and return the id of the reply that shows it.

    If Discord's answer to an attempt is lost, the attempt may still have succeeded. Discord then refuses the retry, and
    the reply exists.

    Raises:
        discord.HTTPException: Discord refuses, or another process acknowledged the interaction first.
        aiohttp.ClientError, OSError: Discord could not be reached in time.
    """
    tried = False
    while True:
        try:
            answer = await interaction.response.defer(thinking=True)
            if answer is None or answer.message_id is None:
                raise RuntimeError("Discord's answer to the deferral names no message")
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            if tried and isinstance(error, discord.HTTPException) and error.code == ALREADY_ACKNOWLEDGED:
                return await _reply_of(interaction)
            refused = isinstance(error, discord.HTTPException) and error.status < 500
            age = (discord.utils.utcnow() - interaction.created_at).total_seconds()
            if refused or age > ACKNOWLEDGE_WITHIN:
                raise
            tried = True
            await asyncio.sleep(_RETRY_AFTER)
        else:
            return answer.message_id


async def _reply_of(interaction: discord.Interaction[Any]) -> int:
    # discord.py did not see the successful attempt, and would refuse to use the reply.
    interaction.response._response_type = discord.InteractionResponseType.deferred_channel_message
    return (await interaction.original_response()).id
