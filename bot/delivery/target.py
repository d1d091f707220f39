"""Where a job's reply is, and what the bot can do there."""

import time
from typing import Any, Final, Literal, Self

import discord
from pydantic import BaseModel, ConfigDict, Field

from bot.limits import FILE_SIZE, TOKEN_LIFE

TOKEN_MARGIN: Final = 10.0
"""Seconds before the end of a token's life from which on it is not used any more."""


class ReplyTarget(BaseModel):
    """Where a job's reply is. Holds the interaction's token, so it is a secret until the job has ended. After that it
    is where the picture is, without the token.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    application: int
    token: str = Field(repr=False)
    """Empty after the end of the job."""
    channel: int
    message: int
    created_at: float
    """Unix time of the interaction."""
    place: Literal["server", "direct", "elsewhere"] = "server"
    """``server``: the app is installed in the server. ``direct``: the bot's direct messages with the member.
    ``elsewhere``: only the member has installed the app, so the bot can do nothing there without the token.
    """
    pressed: bool = False
    """Whether a member asked by a component. Discord then doesn't show who asked, as it does for a command."""
    file_limit: int = FILE_SIZE
    """Bytes of a file that the bot may upload there without the token. The server's limit, not the member's."""

    @classmethod
    def of(cls, interaction: discord.Interaction[Any], message: int) -> Self:
        """The target of an interaction that was answered with the message of this id."""
        place: Literal["server", "direct", "elsewhere"] = "elsewhere"
        if interaction.is_guild_integration():
            place = "server"
        elif interaction.context.dm_channel:
            place = "direct"
        server = interaction.guild if place == "server" else None
        return cls(
            application=interaction.application_id,
            token=interaction.token,
            channel=interaction.channel_id or 0,
            message=message,
            created_at=interaction.created_at.timestamp(),
            place=place,
            pressed=interaction.message is not None,
            file_limit=FILE_SIZE if server is None else server.filesize_limit,
        )

    def token_lives(self) -> bool:
        """Whether the interaction's token can still be used."""
        return bool(self.token) and time.time() < self.created_at + TOKEN_LIFE - TOKEN_MARGIN
