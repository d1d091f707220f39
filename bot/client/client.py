"""discord.py's client and command tree, configured for this bot. It knows no feature: see :mod:`bot.features`."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

import discord
import discord.gateway
import discord.http
import structlog
import yarl
from discord import app_commands

from bot import locales
from bot.client.actions import ResultAction
from bot.client.errors import answer_error
from bot.client.file_types import is_refused, with_file_types
from bot.client.services import Services
from bot.client.translated_commands import translated_command
from bot.jobs.errors import Blocked, FormLost
from bot.settings import Settings
from bot.telemetry.http_trace import Traffic

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

ANOTHER_ANSWERS_WITHIN: Final = 1.0
"""Seconds."""


class CommandTree(app_commands.CommandTree["Atelier"]):
    """Answers every command that raises. Lets members pick only pictures as attachments."""

    def payload(self, guild: discord.abc.Snowflake | None = None, *, file_types: bool = True) -> list[dict[str, Any]]:
        """The commands as :meth:`sync` sends them."""
        described = [translated_command(command.to_dict(self)) for command in self.get_commands(guild=guild)]
        return [with_file_types(command) for command in described] if file_types else described

    async def sync(self, *, guild: discord.abc.Snowflake | None = None) -> list[app_commands.AppCommand]:
        """Register the commands. If Discord refuses them, register them without the filter.

        Raises:
            app_commands.CommandSyncFailure: Discord rejects them anyway.
            discord.HTTPException: Discord rejects the request for another reason.
        """
        try:
            registered = await self._register(self.payload(guild), guild)
        except discord.HTTPException as error:
            if not is_refused(error):
                raise
            plain = self.payload(guild, file_types=False)
            try:
                registered = await self._register(plain, guild)
            except discord.HTTPException as again:
                if not is_refused(again):
                    raise
                raise app_commands.CommandSyncFailure(again, self.get_commands(guild=guild)) from again
            log.warning("Discord refuses file_types, so members can pick any file", reason=error.text)
        return [app_commands.AppCommand(data=command, state=self._state) for command in registered]

    async def _register(self, payload: list[Any], guild: discord.abc.Snowflake | None) -> list[Any]:
        application = self.client.application_id or 0
        if guild is None:
            return await self._http.bulk_upsert_global_commands(application, payload)
        return await self._http.bulk_upsert_guild_commands(application, guild.id, payload)

    async def interaction_check(self, interaction: "discord.Interaction[Atelier]", /) -> bool:
        """Called by discord.py before each command. Chooses the member's language, and answers a blocked member.

        It asks no database, because the command has to be acknowledged within 3 s.
        """
        locales.choose(interaction.locale.value)
        if not interaction.client.services.jobs.is_blocked(interaction.user.id):
            return True
        if interaction.type is discord.InteractionType.autocomplete:
            await interaction.response.autocomplete([])
        else:
            await answer_error(interaction, Blocked())
        return False

    async def on_error(
        self, interaction: "discord.Interaction[Atelier]", error: app_commands.AppCommandError, /
    ) -> None:
        """Called by discord.py. Only the member sees the answer."""
        cause: BaseException = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        await answer_error(interaction, cause)


class KeepAlive(discord.gateway.KeepAliveHandler):
    """Takes the time of a heartbeat before it is sent.

    discord.py 2.7 takes it in another thread afterwards. If the answer comes first, it seems to be late by a whole
    interval: "websocket is 41.3s behind". Mended after version 2.7.1.
    """

    def get_payload(self) -> dict[str, Any]:
        """The heartbeat, which is sent at once."""
        self._last_send = time.perf_counter()
        return super().get_payload()


class Atelier(discord.Client):
    """The bot at Discord.

    Without services it can log in and register commands, but must not connect.
    """

    def __init__(self, settings: Settings, services: Services | None = None) -> None:
        discord.http.Route.BASE = settings.discord_api_url
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(settings.discord_gateway_url)
        discord.gateway.KeepAliveHandler = KeepAlive  # type: ignore[misc]
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
        self.operators = settings.operators
        """The ids of the bot's operators."""
        self.tree = CommandTree(self)
        self.result_actions: dict[str, ResultAction] = {}
        """The entries of the menu under a result, in their order, by names of up to 100 characters."""
        self.modals: dict[str, Callable[[str], discord.ui.Modal]] = {}
        """Make a modal that a member has submitted, by its name, from the rest of its custom id ``name:rest``."""

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
        if interaction.type is discord.InteractionType.modal_submit:
            await self._submitted(interaction)

    async def _submitted(self, interaction: discord.Interaction) -> None:
        """Handle a modal that is not in the memory of this process, as discord.py has no persistent modals."""
        locales.choose(interaction.locale.value)
        data: dict[str, Any] = dict(interaction.data or {})
        store = self._connection._view_store
        if (custom_id := data["custom_id"]) in store._modals:
            return  # discord.py handles it
        name, _, rest = custom_id.partition(":")
        if make := self.modals.get(name):
            store.add_task(make(rest)._dispatch_submit(interaction, data["components"], data.get("resolved", {})))
        else:
            await asyncio.sleep(ANOTHER_ANSWERS_WITHIN)  # it may be in the memory of another process
            await answer_error(interaction, FormLost())

    async def on_error(self, event_method: str, /, *_args: Any, **_kwargs: Any) -> None:
        """Called by discord.py when one of our event handlers raised."""
        logging.getLogger(__name__).exception("the handler of %s failed", event_method)
