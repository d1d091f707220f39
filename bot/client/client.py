"""The Discord client: what discord.py calls, wired to the rooms."""

import contextlib
import logging
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
import discord.gateway
import discord.http
import structlog
import yarl
from discord import app_commands

from bot.client.acknowledge import order_id
from bot.client.errors import UNDELIVERED, is_for_another_process, report_error
from bot.features.my_jobs.cancel import CancelButton
from bot.features.my_jobs.command import jobs
from bot.features.my_jobs.menu import ShowMenu
from bot.features.stylize.command import stylize
from bot.settings import Settings
from bot.telemetry.http_trace import Traffic

if TYPE_CHECKING:
    from bot.jobs.service import JobService
    from engine.executor.api import Executor

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class CommandTree(app_commands.CommandTree["Atelier"]):
    """Turns whatever a command raises into words for the member who gave it."""

    async def on_error(
        self, interaction: "discord.Interaction[Atelier]", error: app_commands.AppCommandError, /
    ) -> None:
        """Answer in a way that only the member sees; what we did not expect goes to the log with a reference."""
        cause: BaseException = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        if is_for_another_process(interaction, cause):
            return
        text = report_error(interaction, cause)
        try:
            if interaction.response.is_done():
                # A follow-up to a public "thinking …" would be public: that message has to go first.
                with contextlib.suppress(discord.NotFound):
                    await interaction.delete_original_response()
                await interaction.followup.send(text, ephemeral=True)
                await interaction.client.jobs.answered(order_id(interaction))
            else:
                await interaction.response.send_message(text, ephemeral=True)
        except UNDELIVERED as failure:
            if not is_for_another_process(interaction, failure):
                log.warning("an error could not be told", interaction=interaction.id, reason=str(failure))


class Atelier(discord.Client):
    """The bot. :attr:`jobs` and :attr:`executor` must be set before it connects."""

    jobs: "JobService"
    executor: "Executor"
    downloads: aiohttp.ClientSession

    def __init__(self, settings: Settings) -> None:
        discord.http.Route.BASE = settings.discord_api_url
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(settings.discord_gateway_url)
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # it paints, it doesn't speak
        self._traffic = Traffic()
        super().__init__(
            intents=discord.Intents(guilds=True),
            allowed_mentions=discord.AllowedMentions.none(),
            shard_id=settings.shard_id,
            shard_count=settings.shard_count,
            http_trace=self._traffic.trace(),
        )
        self.settings = settings
        self.tree = CommandTree(self)
        self.tree.add_command(stylize)
        self.tree.add_command(jobs)

    async def setup_hook(self) -> None:
        """Called by discord.py after login."""
        self.add_dynamic_items(CancelButton, ShowMenu)
        self.downloads = aiohttp.ClientSession()

    async def close(self) -> None:
        """Close the gateway and every connection."""
        if hasattr(self, "downloads"):
            await self.downloads.close()
        # discord.py waits two seconds before it says that it is ready, also for a client that was closed meanwhile.
        if (ready := self._connection._ready_task) is not None:
            ready.cancel()
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
