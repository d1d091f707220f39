"""The first answer to a command, within Discord's three seconds, through connections that break."""

import asyncio
from typing import Any, Final

import aiohttp
import discord

from bot.client.errors import ACKNOWLEDGE_WITHIN

_PAUSE: Final = 0.1
ACKNOWLEDGED: Final = 40060
"""Discord's code for an interaction that is acknowledged already."""


def order_id(interaction: discord.Interaction[Any]) -> str:
    """The id of the order that a command gives: Discord's id of the interaction, in 16 hexadecimal digits."""
    return f"{interaction.id:016x}"


async def acknowledge(interaction: discord.Interaction[Any]) -> int:
    """Show "thinking …", and give the id of the reply that shows it.

    An attempt whose answer was lost may have arrived all the same: then the next is refused, and the reply is there.

    Raises:
        discord.HTTPException: Discord refuses, or another process was first.
        aiohttp.ClientError, OSError: Discord could not be reached in time.
    """
    tried = False
    while True:
        try:
            answer = await interaction.response.defer(thinking=True)
            if answer is None or answer.message_id is None:
                raise RuntimeError("Discord's answer to the deferral names no message")
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            if tried and isinstance(error, discord.HTTPException) and error.code == ACKNOWLEDGED:
                return await _reply_of(interaction)
            refused = isinstance(error, discord.HTTPException) and error.status < 500
            age = (discord.utils.utcnow() - interaction.created_at).total_seconds()
            if refused or age > ACKNOWLEDGE_WITHIN:
                raise
            tried = True
            await asyncio.sleep(_PAUSE)
        else:
            return answer.message_id


async def _reply_of(interaction: discord.Interaction[Any]) -> int:
    # discord.py believes what it was told, and would answer as if nobody had.
    interaction.response._response_type = discord.InteractionResponseType.deferred_channel_message
    return (await interaction.original_response()).id
