"""The Discord client: what discord.py calls, wired to the rooms."""

import logging
from typing import Any

import aiohttp
import discord
import discord.gateway
import discord.http
import structlog
import yarl
from discord import app_commands

from bot import words
from bot.commands.stylize import stylize
from bot.jobs.errors import UnexpectedError
from bot.jobs.service import Jobs
from bot.reply import UNDELIVERED
from bot.settings import Settings
from bot.traffic import Traffic
from bot.views.cancel import CancelButton
from engine.errors import AtelierError
from engine.executor import Executor

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class CommandTree(app_commands.CommandTree["Atelier"]):
    """Turns whatever a command raises into words for the member who gave it."""

    async def on_error(
        self, interaction: "discord.Interaction[Atelier]", error: app_commands.AppCommandError, /
    ) -> None:
        """Answer in a way that only the member sees; what we did not expect goes to the log with a reference."""
        cause: BaseException = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        if not isinstance(cause, AtelierError):
            log.error("a command failed unexpectedly", interaction=interaction.id, exc_info=cause)
            cause = UnexpectedError(str(interaction.id))
        else:
            log.info("a command was refused", interaction=interaction.id, error=repr(cause))
        try:
            if interaction.response.is_done():
                # A follow-up to a public "thinking …" would be public: that message has to go first.
                await interaction.delete_original_response()
                await interaction.followup.send(words.explain(cause), ephemeral=True)
            else:
                await interaction.response.send_message(words.explain(cause), ephemeral=True)
        except UNDELIVERED as failure:
            log.warning("an error could not be told", interaction=interaction.id, reason=repr(failure))


class Atelier(discord.Client):
    """The bot. :attr:`jobs` and :attr:`executor` must be set before it connects."""

    jobs: Jobs
    executor: Executor
    downloads: aiohttp.ClientSession

    def __init__(self, settings: Settings) -> None:
        discord.http.Route.BASE = settings.discord_api_url
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(settings.discord_gateway_url)
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # it paints, it doesn't speak
        self._traffic = Traffic()
        super().__init__(
            intents=discord.Intents(guilds=True),
            allowed_mentions=discord.AllowedMentions.none(),
            http_trace=self._traffic.trace(),
        )
        self.settings = settings
        self.tree = CommandTree(self)
        self.tree.add_command(stylize)

    async def setup_hook(self) -> None:
        """Called by discord.py after login."""
        self.add_dynamic_items(CancelButton)
        self.downloads = aiohttp.ClientSession()

    async def close(self) -> None:
        """Close the gateway and every connection."""
        if hasattr(self, "downloads"):
            await self.downloads.close()
        await super().close()

    async def on_ready(self) -> None:
        """Called by discord.py each time the gateway is ready anew."""
        log.info("connected to Discord", user=str(self.user), servers=len(self.guilds))

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """Called by discord.py for each interaction, beside the command or button that it is for."""
        self._traffic.received(interaction.id)

    async def on_error(self, event_method: str, /, *_args: Any, **_kwargs: Any) -> None:
        """Called by discord.py when a handler of ours raised."""
        logging.getLogger(__name__).exception("the handler of %s failed", event_method)
