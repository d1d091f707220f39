"""discord.py's client and command tree, configured for this bot. It knows no feature: see :mod:`bot.features`."""

import contextlib
import logging
from typing import Any

import discord
import discord.gateway
import discord.http
import structlog
import yarl
from discord import app_commands

from bot.client.acknowledge import order_id
from bot.client.errors import is_for_another_process, report_error, undelivered_is_logged
from bot.client.services import Services
from bot.settings import Settings
from bot.telemetry.http_trace import Traffic

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class CommandTree(app_commands.CommandTree["Atelier"]):
    """Answers every command that raises."""

    async def on_error(
        self, interaction: "discord.Interaction[Atelier]", error: app_commands.AppCommandError, /
    ) -> None:
        """Called by discord.py. Only the member sees the answer."""
        cause: BaseException = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        if is_for_another_process(interaction, cause):
            return
        text = report_error(interaction, cause)
        with undelivered_is_logged(interaction):
            if not interaction.response.is_done():
                await interaction.response.send_message(text, ephemeral=True)
                return
            # A follow-up to a public "thinking …" would be public, too, so that message has to go first.
            with contextlib.suppress(discord.NotFound):
                await interaction.delete_original_response()
            await interaction.followup.send(text, ephemeral=True)
            await interaction.client.services.jobs.answered(order_id(interaction))


class Atelier(discord.Client):
    """The bot at Discord.

    Without services it can log in and register commands, but must not connect.
    """

    def __init__(self, settings: Settings, services: Services | None = None) -> None:
        discord.http.Route.BASE = settings.discord_api_url
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(settings.discord_gateway_url)
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # the bot uses no voice
        self._traffic = Traffic()
        super().__init__(
            intents=discord.Intents(guilds=True),
            allowed_mentions=discord.AllowedMentions.none(),
            shard_id=settings.shard_id,
            shard_count=settings.shard_count,
            http_trace=self._traffic.trace(),
        )
        self._services = services
        self.tree = CommandTree(self)

    @property
    def services(self) -> Services:
        """The services that features use.

        Raises:
            RuntimeError: the client was made without services.
        """
        if self._services is None:
            raise RuntimeError("this client has no services")
        return self._services

    async def close(self) -> None:
        """Close the gateway and every connection."""
        # discord.py waits two seconds before it reports that it is ready, even if the client was closed meanwhile.
        if (ready := self._connection._ready_task) is not None:
            ready.cancel()
        await super().close()

    async def on_ready(self) -> None:
        """Called by discord.py each time the gateway is ready again."""
        log.info("connected to Discord", user=str(self.user), servers=len(self.guilds))

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """Called by discord.py for each interaction, in addition to the handler of its command or component."""
        self._traffic.received(interaction.id)

    async def on_error(self, event_method: str, /, *_args: Any, **_kwargs: Any) -> None:
        """Called by discord.py when one of our event handlers raised."""
        logging.getLogger(__name__).exception("the handler of %s failed", event_method)
