"""The local Discord: a server on loopback that the real discord.py connects to as if it were Discord."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiohttp import web

from bot.sandbox.archive import ArchivedMessage, archive
from bot.sandbox.cdn import Cdn
from bot.sandbox.clock import SandboxClock, Snowflakes
from bot.sandbox.gateway import DIRECT_MESSAGES, GUILD_MESSAGES, Gateway
from bot.sandbox.ledger import Frame, Ledger, RestRequest
from bot.sandbox.member import Member, Surroundings
from bot.sandbox.places import Places
from bot.sandbox.protocol.errors import ApiError, JsonObject
from bot.sandbox.rest.faults import Faults
from bot.sandbox.rest.handlers import Handlers
from bot.sandbox.rest.ratelimit import too_many_requests
from bot.sandbox.rest.rest import PREFIX, RestInterface
from bot.sandbox.state.commands import Commands
from bot.sandbox.state.interactions import Interactions
from bot.sandbox.state.invocation import GIVE_UP_AFTER, Invocation, Pulse
from bot.sandbox.state.messages import Change, Message, MessageStore, Record
from bot.sandbox.state.world import Place, World

FILE_LIMIT = 10 * 1024 * 1024
"""Bytes that one file may have in a server without boosts."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The state of a local Discord, for the page that shows it."""

    world: World
    messages: MessageStore
    commands: Commands
    interactions: Interactions
    cdn: Cdn
    gateway: Gateway


class LocalDiscord(Places):
    """A small Discord: a gateway, the REST interface, a file store, servers with one channel each, and their members.

    Use it as an asynchronous context manager; it listens on 127.0.0.1. Point discord.py at it with
    `discord.http.Route.BASE = api_url` and `discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = URL(gateway_url)`.
    It refuses what it does not implement with HTTP 501, names it in the answer, and keeps the sentence in `refusals`.
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
        self._gateway = Gateway(self._world, self.clock, self._ledger, heartbeat_interval)
        super().__init__(self._world, self._gateway)
        self._messages = MessageStore(self.clock, self._snowflakes, self._cdn)
        self._commands = Commands(self._snowflakes, self._world.application_id)
        self._interactions = Interactions(
            self._world, self.clock, self._snowflakes, self._messages, self._dispatch_interaction
        )
        self._interactions.attachment_size_limit = attachment_size_limit
        self._pulse = Pulse()
        self._handlers = Handlers(
            self._world,
            self.clock,
            self._messages,
            self._commands,
            self._interactions,
            commands_changed=self._pulse.beat,
        )
        self._rest = RestInterface(self._world, self.clock, self._ledger, self._handlers, attachment_size_limit)
        self._members: dict[str, Member] = {}
        self._messages.on_change(self._dispatch_message)
        self._gateway.on_change(self._pulse.beat)

    async def __aenter__(self) -> Self:
        """Start listening."""
        application = web.Application(client_max_size=1 << 30)
        application.router.add_get("/", self._gateway.handle)
        application.router.add_get("/attachments/{channel}/{file}/{filename}", self._cdn.handle)
        application.router.add_route("*", "/{path:.*}", self._rest.handle)
        # Connections that a client keeps open must not delay the shutdown.
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
        """Disconnect the bots and stop listening."""
        await self._gateway.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def parts(self) -> Parts:
        """The state of this local Discord."""
        return Parts(self._world, self._messages, self._commands, self._interactions, self._cdn, self._gateway)

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
        """The first server."""
        return self._world.home.id

    @property
    def channel_id(self) -> int:
        """Its one text channel."""
        return self._world.home.channel_id

    @property
    def attachment_size_limit(self) -> int:
        """Bytes that one file may have, for members and for the bot."""
        return self._rest.file_limit

    @attachment_size_limit.setter
    def attachment_size_limit(self, size: int) -> None:
        self._rest.file_limit = self._interactions.attachment_size_limit = size

    @property
    def answer_delay(self) -> float:
        """Seconds by which each answer to the bot is late. What was asked for is done at once."""
        return self._rest.delay

    @answer_delay.setter
    def answer_delay(self, seconds: float) -> None:
        self._rest.delay = seconds

    @property
    def gateway_is_lost(self) -> bool:
        """Whether the gateway refuses connections; those that there were are dropped. The sessions can be resumed."""
        return self._gateway.is_lost

    @gateway_is_lost.setter
    def gateway_is_lost(self, lost: bool) -> None:
        if lost and not self._gateway.is_lost:
            self.faults["dropped_gateway"] += self._gateway.drop()
        self._gateway.is_lost = lost

    @property
    def refuses_gallery_edits(self) -> bool:
        """Whether Discord answers 400 to an edit that uploads a file and shows it in a gallery.

        See discord-api-docs, issue 7529.
        """
        return self._messages.refuses_gallery_edits

    @refuses_gallery_edits.setter
    def refuses_gallery_edits(self, refuses: bool) -> None:
        self._messages.refuses_gallery_edits = refuses

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
        return [self._messages.snapshot(record) for record in self._messages.in_channel(self.channel_id)]

    def messages(self, place: Place) -> list[Message]:
        """What everyone sees in another place now, oldest first."""
        return [self._messages.snapshot(record) for record in self._messages.in_channel(place.channel_id)]

    def direct_messages(self, member: Member) -> list[Message]:
        """What the bot and a member have in their direct messages now, oldest first."""
        return self.messages(self.direct(member))

    def archive(self) -> list[ArchivedMessage]:
        """All messages that there ever were, oldest first: of all channels, ephemeral, direct and deleted ones too."""
        return list(archive(self._world, self._messages, self._interactions.by_id))

    @property
    def invocations(self) -> list[Invocation]:
        """Everything that members have sent, pressed, chosen and filled in so far, oldest first."""
        return list(self._interactions.by_id.values())

    def member(self, name: str) -> Member:
        """The member of this name, who joins all servers on the first call."""
        if name not in self._members:
            here = Surroundings(
                self._messages,
                self._cdn,
                self._commands,
                self._interactions,
                self._snowflakes,
                self.home,
                self._world.channel(self.channel_id),
            )
            self._members[name] = Member(self._world.add_user(name), here)
        return self._members[name]

    def on_request(self, callback: Callable[[RestRequest], None]) -> None:
        """Call this with each request of the bot, once it has been answered."""
        self._ledger.on_request(callback)

    def on_answer(self, callback: Callable[[RestRequest, object], None]) -> None:
        """Call this with each request of the bot, once it has been answered, and the JSON or HTML of the answer."""
        self._ledger.on_answer(callback)

    def on_frame(self, callback: Callable[[Frame], None]) -> None:
        """Call this with each frame of the gateway, both ways. Frames hold tokens."""
        self._ledger.on_frame(callback)

    def on_message(self, callback: Callable[[Message], None]) -> None:
        """Call this with each new state of each message, those that one member alone sees among them."""
        self._messages.on_change(lambda change, record: callback(self._messages.snapshot(record)))

    @property
    def bots(self) -> int:
        """How many bots are connected now and have identified themselves; each shard is one."""
        return self._gateway.bots

    async def wait_for_bot(self, timeout: float = GIVE_UP_AFTER, count: int = 1) -> None:  # noqa: ASYNC109
        """Wait until so many bots are connected and have identified themselves, or have resumed.

        Raises:
            TimeoutError: there were fewer within so many seconds.
        """
        named = "a bot" if count == 1 else f"{count} bots"
        await self._pulse.wait_for(lambda: self.bots >= count, timeout, named)

    async def wait_for_commands(self, timeout: float = GIVE_UP_AFTER) -> None:  # noqa: ASYNC109
        """Wait until at least one command is registered.

        Raises:
            TimeoutError: none was within so many seconds.
        """
        await self._pulse.wait_for(lambda: len(self._commands) > 0, timeout, "a command")

    async def drop_gateway(self) -> None:
        """Drop every connection to the gateway without a close frame; the sessions can be resumed."""
        self.faults["dropped_gateway"] += self._gateway.drop()

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
        self._rest.faults.order(route_template, too_many_requests(retry_after))

    def fail_next(
        self,
        route_template: str,
        status: int,
        *,
        code: int = 0,
        message: str = "Ordered failure",
        html: str | None = None,
        times: int = 1,
    ) -> None:
        """Answer the next `times` requests on a route with this HTTP status, and this code of Discord's.

        `html` is what a proxy before Discord answers instead of Discord.

        Raises:
            ValueError: there is no such route.
        """
        for _ in range(times):
            self._rest.faults.order(route_template, ApiError(status, code, message, html=html))

    @property
    def unmet(self) -> list[str]:
        """The routes of the ordered answers that no request has got so far."""
        return self._rest.faults.unmet

    @property
    def faults(self) -> Counter[str]:
        """How many faults of each kind there have been: those of `inject`, by the names of its shares, and the others.

        The others are "ordered" (`fail_next`, `rate_limit_next`, once they were met), "dropped_gateway" (for each
        connection), "expired_token", "deleted_message", "missing_permissions" and "refused_direct_messages".
        """
        return self._rest.faults.counts

    def inject(self, faults: Faults | None) -> None:
        """Inject random faults from now on; None ends it.

        Raises:
            ValueError: the faults name a route that does not exist.
        """
        self._rest.faults.inject(faults)

    def expire_token(self, invocation: Invocation) -> None:
        """Expire the token of an interaction now, as if its 15 minutes were over."""
        invocation.expire()
        self.faults["expired_token"] += 1

    def delete_message(self, message: Message) -> None:
        """Delete a message as a moderator would.

        Raises:
            ValueError: there is no such message, or no longer, or one member alone sees it.
        """
        record = self._messages.find(message.id)
        if record is None or record.visible_to is not None:
            raise ValueError(f"nobody could delete the message {message.id}")
        self._messages.delete(record)
        self.faults["deleted_message"] += 1

    def _dispatch_interaction(self, data: JsonObject) -> None:
        guild_id = int(data["guild_id"]) if "guild_id" in data else None
        self._gateway.dispatch("INTERACTION_CREATE", data, guild_id=guild_id)

    def _dispatch_message(self, change: Change, record: Record) -> None:
        channel = self._world.channel(record.channel_id)
        if record.visible_to is not None or not self._world.sees(channel):
            return
        data: JsonObject = {"id": str(record.id), "channel_id": str(record.channel_id)}
        if change is not Change.DELETED:
            data = self._messages.payload(record)
        if change is Change.CREATED and record.nonce is not None:
            data["nonce"] = record.nonce
        intent = DIRECT_MESSAGES
        if channel.guild_id is not None:
            intent = GUILD_MESSAGES
            data["guild_id"] = str(channel.guild_id)
            if change is not Change.DELETED:
                data["member"] = self._world.member(record.author)
        self._gateway.dispatch(change.value, data, intent=intent, guild_id=channel.guild_id)
