"""The local Discord itself: one server on loopback that the real discord.py takes for Discord."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from bot.sandbox.cdn import Cdn
from bot.sandbox.clock import SandboxClock, Snowflakes
from bot.sandbox.commands import Commands
from bot.sandbox.errors import ApiError, JsonObject
from bot.sandbox.gateway import DIRECT_MESSAGES, GUILD_MESSAGES, Gateway
from bot.sandbox.handlers import Handlers
from bot.sandbox.interactions import Interactions
from bot.sandbox.invocation import Pulse
from bot.sandbox.ledger import Ledger, RestRequest
from bot.sandbox.member import Member, Surroundings
from bot.sandbox.messages import Board, Change, Message, Record
from bot.sandbox.rest import PREFIX, RestInterface
from bot.sandbox.world import DIRECT, World

FILE_LIMIT = 10 * 1024 * 1024
"""Bytes that one file may have in a server without boosts."""


class LocalDiscord:
    """A small Discord: a gateway, the REST interface, a file store, one server with one channel, and its members.

    Use it as an asynchronous context manager; it listens on 127.0.0.1. Point discord.py at it with
    `discord.http.Route.BASE = api_url` and `discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = URL(gateway_url)`.
    What it has not been taught it refuses with HTTP 501, names it in the answer, and keeps the sentence in `refusals`.
    """

    def __init__(
        self, port: int = 0, *, attachment_size_limit: int = FILE_LIMIT, heartbeat_interval: float = 41.25
    ) -> None:
        """Listen on this port, 0 for any free one.

        `attachment_size_limit` is in bytes for each file, `heartbeat_interval` in seconds.
        """
        self.clock = SandboxClock()
        self._port = port
        self._runner: web.AppRunner | None = None
        self._ledger = Ledger()
        self._snowflakes = Snowflakes(self.clock)
        self._world = World(self.clock, self._snowflakes)
        self._cdn = Cdn(self.clock)
        self._gateway = Gateway(self._world, self._ledger, heartbeat_interval)
        self._board = Board(self.clock, self._snowflakes, self._cdn)
        self._commands = Commands(self._snowflakes, self._world.application_id)
        self._interactions = Interactions(
            self._world, self.clock, self._snowflakes, self._board, self._dispatch_interaction
        )
        self._interactions.attachment_size_limit = attachment_size_limit
        self._pulse = Pulse()
        self._handlers = Handlers(
            self._world, self.clock, self._board, self._commands, self._interactions, commands_changed=self._pulse.beat
        )
        self._rest = RestInterface(self._world, self.clock, self._ledger, self._handlers, attachment_size_limit)
        self._members: dict[str, Member] = {}
        self._board.on_change(self._dispatch_message)
        self._gateway.on_change(self._pulse.beat)

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        application = web.Application(client_max_size=1 << 30)
        application.router.add_get("/", self._gateway.handle)
        application.router.add_get("/attachments/{channel}/{file}/{filename}", self._cdn.handle)
        application.router.add_route("*", "/{path:.*}", self._rest.handle)
        # Connections that a client keeps open must not hold up the end.
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._cdn.base_url = self.cdn_url
        self._gateway.url = self._handlers.gateway_url = self.gateway_url
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send the bots away and stop listening."""
        await self._gateway.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def api_url(self) -> str:
        """Where the REST interface is."""
        return f"http://127.0.0.1:{self._port}{PREFIX}"

    @property
    def gateway_url(self) -> str:
        """Where the gateway is."""
        return f"ws://127.0.0.1:{self._port}/"

    @property
    def cdn_url(self) -> str:
        """Where the files are."""
        return f"http://127.0.0.1:{self._port}/attachments"

    @property
    def token(self) -> str:
        """The bot's token."""
        return self._world.token

    @property
    def application_id(self) -> int:
        """The application, and the bot's user."""
        return self._world.application_id

    @property
    def guild_id(self) -> int:
        """The one server."""
        return self._world.guild_id

    @property
    def channel_id(self) -> int:
        """Its one text channel."""
        return self._world.channel_id

    @property
    def attachment_size_limit(self) -> int:
        """Bytes that one file may have, for members and for the bot."""
        return self._rest.file_limit

    @attachment_size_limit.setter
    def attachment_size_limit(self, size: int) -> None:
        self._rest.file_limit = self._interactions.attachment_size_limit = size

    @property
    def requests(self) -> list[RestRequest]:
        """Every request of the bot so far, once answered; downloads of files are not among them."""
        return self._ledger.requests

    @property
    def refusals(self) -> list[str]:
        """What was not understood so far."""
        return self._ledger.refusals

    @property
    def channel_messages(self) -> list[Message]:
        """What everyone sees in the channel now, oldest first."""
        return [self._board.snapshot(record) for record in self._board.in_channel(self.channel_id)]

    def direct_messages(self, member: Member) -> list[Message]:
        """What the bot and a member have in their direct messages now, oldest first."""
        channel = self._world.direct_channel(member.user)
        return [self._board.snapshot(record) for record in self._board.in_channel(channel.id)]

    def member(self, name: str) -> Member:
        """The member of this name, who joins if need be."""
        if name not in self._members:
            here = Surroundings(
                self._board,
                self._cdn,
                self._commands,
                self._interactions,
                self._snowflakes,
                self.guild_id,
                self.channel_id,
            )
            self._members[name] = Member(self._world.add_user(name), here)
        return self._members[name]

    def on_request(self, callback: Callable[[RestRequest], None]) -> None:
        """Call this with each request of the bot, once it has been answered."""
        self._ledger.on_request(callback)

    def on_message(self, callback: Callable[[Message], None]) -> None:
        """Call this with each new state of each message, those that one member alone sees among them."""
        self._board.on_change(lambda change, record: callback(self._board.snapshot(record)))

    async def wait_for_bot(self, timeout: float) -> None:  # noqa: ASYNC109 - part of the interface
        """Wait until a bot is connected and has identified itself, or has resumed.

        Raises:
            TimeoutError: none was within so many seconds.
        """
        await self._pulse.wait_for(lambda: self._gateway.has_bot, timeout, "a bot")

    async def wait_for_commands(self, timeout: float) -> None:  # noqa: ASYNC109 - part of the interface
        """Wait until at least one command is registered.

        Raises:
            TimeoutError: none was within so many seconds.
        """
        await self._pulse.wait_for(lambda: len(self._commands) > 0, timeout, "a command")

    async def drop_gateway(self) -> None:
        """Lose every connection to the gateway without a word; the sessions can be resumed."""
        self._gateway.drop()

    async def request_reconnect(self) -> None:
        """Ask every bot to connect again and resume (operation 7)."""
        self._gateway.request_reconnect()

    def forget_sessions(self) -> None:
        """Forget the sessions of the bots that are not connected now: they cannot resume."""
        self._gateway.forget_sessions()

    def rate_limit_next(self, route_template: str, retry_after: float) -> None:
        """Answer the next request on a route with 429; `retry_after` is in seconds.

        The route is a template such as `/channels/{channel_id}/messages`, or a method, a space and a template.

        Raises:
            ValueError: there is no such route.
        """
        self._rest.order_rate_limit(route_template, retry_after)

    def fail_next(self, route_template: str, status: int, *, code: int = 0, message: str = "Ordered failure") -> None:
        """Answer the next request on a route with this HTTP status, and this code of Discord's.

        Raises:
            ValueError: there is no such route.
        """
        self._rest.order_fault(route_template, ApiError(status, code, message))

    def _dispatch_interaction(self, event: str, data: JsonObject) -> None:
        self._gateway.dispatch(event, data, direct="guild_id" not in data)

    def _dispatch_message(self, change: Change, record: Record) -> None:
        if record.visible_to is not None:
            return
        direct = self._world.channel(record.channel_id).kind == DIRECT
        data: JsonObject = {"id": str(record.id), "channel_id": str(record.channel_id)}
        if change is not Change.DELETED:
            data = self._board.payload(record)
        if not direct:
            data["guild_id"] = str(self.guild_id)
            if change is not Change.DELETED:
                data["member"] = self._world.member(record.author)
        self._gateway.dispatch(change.value, data, intent=DIRECT_MESSAGES if direct else GUILD_MESSAGES, direct=direct)
