"""The gateway: the socket over which the bot receives events (Discord documentation: Gateway)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from aiohttp import WSMsgType, web

from bot.sandbox.clock import SandboxClock
from bot.sandbox.compression import Compress, stream
from bot.sandbox.ledger import Frame, Ledger
from bot.sandbox.protocol.errors import JsonObject
from bot.sandbox.state.world import World

GUILDS = 1 << 0
GUILD_MESSAGES = 1 << 9
DIRECT_MESSAGES = 1 << 12
MESSAGE_CONTENT = 1 << 15

_REPLAY = 1000
_RESUME_WITHIN = 300.0
"""Seconds for which the session of a lost connection is kept."""
_NETWORK = 0.02
"""Seconds of latency that an answer from the real Discord would have."""
_IDENTIFY_FIELDS = frozenset({"token", "properties", "compress", "large_threshold", "shard", "presence", "intents"})


class Opcode(IntEnum):
    """The operation of a gateway frame."""

    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    PRESENCE = 3
    RESUME = 6
    RECONNECT = 7
    INVALID_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11


class _Close(Exception):
    """The local Discord ends a connection, with the code and the reason that Discord would give."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Connection:
    """One socket. A task of its own sends the frames in the order in which they were queued."""

    def __init__(
        self, request: web.Request, socket: web.WebSocketResponse, compress: Compress | None, ledger: Ledger
    ) -> None:
        """Write to this socket, compressed as one stream or not."""
        self._request = request
        self._socket = socket
        self._ledger = ledger
        self._outbox: asyncio.Queue[JsonObject] = asyncio.Queue()
        self._compress = compress
        self.session: Session | None = None

    def put(self, operation: Opcode, data: object, *, sequence: int | None = None, event: str | None = None) -> None:
        """Send a frame."""
        self._outbox.put_nowait({"op": operation, "d": data, "s": sequence, "t": event})
        self._ledger.pass_on(Frame(by_bot=False, name=event or operation.name, body=data))

    async def write(self) -> None:
        """Send the queued frames until the socket is closed."""
        with contextlib.suppress(ConnectionError):
            while True:
                text = json.dumps(await self._outbox.get())
                if self._compress is None:
                    await self._socket.send_str(text)
                else:
                    await self._socket.send_bytes(self._compress(text.encode()))

    async def close(self, code: int, reason: str) -> None:
        """Close with a close frame."""
        with contextlib.suppress(ConnectionError):
            await self._socket.close(code=code, message=reason.encode()[:120])

    def abort(self) -> None:
        """Drop the connection without a close frame, as when a cable is pulled."""
        if self._request.transport is not None:
            self._request.transport.abort()


@dataclass(slots=True)
class Session:
    """What survives a lost connection: the events sent so far, to be sent again on resume."""

    intents: int
    shard: tuple[int, int]
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    sequence: int = 0
    events: deque[tuple[int, str, JsonObject]] = field(default_factory=lambda: deque(maxlen=_REPLAY))
    connection: Connection | None = None
    lost_at: float = 0.0

    def has(self, guild_id: int | None) -> bool:
        """Whether this session receives events of a server, or, for None, events outside of servers."""
        number, count = self.shard
        return number == (0 if guild_id is None else (guild_id >> 22) % count)

    def send(self, event: str, data: JsonObject) -> None:
        """Send an event now, or keep it until the bot is back."""
        self.sequence += 1
        self.events.append((self.sequence, event, data))
        if self.connection is not None:
            self.connection.put(Opcode.DISPATCH, data, sequence=self.sequence, event=event)

    def can_replay(self, sequence: int) -> bool:
        """Whether everything after this sequence number is still there."""
        return sequence == self.sequence or bool(self.events and self.events[0][0] <= sequence + 1)

    def replay(self, sequence: int) -> None:
        """Send again everything after this sequence number, to the new connection."""
        if self.connection is not None:
            for number, event, data in self.events:
                if number > sequence:
                    self.connection.put(Opcode.DISPATCH, data, sequence=number, event=event)


class Gateway:
    """Accepts bots, keeps their sessions, and sends them events."""

    def __init__(self, world: World, clock: SandboxClock, ledger: Ledger, heartbeat_interval: float) -> None:
        """Ask for a heartbeat in this interval, in seconds."""
        self.url = ""
        self._world = world
        self._clock = clock
        self._ledger = ledger
        self._heartbeat_interval = heartbeat_interval
        self._connections: set[Connection] = set()
        self._sessions: dict[str, Session] = {}
        self._listeners: list[Callable[[], None]] = []
        self.is_lost = False
        """Whether it refuses connections with 503, as in an outage."""

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call this when a bot has connected or disconnected."""
        self._listeners.append(listener)

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()

    @property
    def bots(self) -> int:
        """How many bots are connected and have identified themselves."""
        return sum(session.connection is not None for session in self._sessions.values())

    def dispatch(self, event: str, data: JsonObject, *, intent: int = 0, guild_id: int | None = None) -> None:
        """Send an event to each session that asked for it; `intent` 0 means all.

        Discord sends what concerns a server to the shard that has it, and all else to the first.
        """
        self._forget_lost()
        for session in self._sessions.values():
            if session.has(guild_id) and session.intents & intent == intent:
                direct = guild_id is None
                session.send(event, _without_content(data, session.intents, self._world.bot.id, direct=direct))

    def request_reconnect(self) -> None:
        """Ask every bot to reconnect and resume."""
        for connection in self._connections:
            connection.put(Opcode.RECONNECT, None)
            self._detach(connection)

    def drop(self) -> int:
        """Drop every connection without a close frame, and return how many there were."""
        for connection in self._connections:
            self._detach(connection)
            connection.abort()
        return len(self._connections)

    def forget_sessions(self) -> None:
        """Forget every session that is not connected: it cannot be resumed."""
        self._sessions = {key: session for key, session in self._sessions.items() if session.connection is not None}

    def _forget_lost(self) -> None:
        """Forget the sessions of bots that were killed, which would keep their events for ever."""
        oldest = self._clock.now() - _RESUME_WITHIN
        for key, session in tuple(self._sessions.items()):
            if session.connection is None and session.lost_at < oldest:
                del self._sessions[key]

    async def close(self) -> None:
        """Close the connection of every bot."""
        for connection in tuple(self._connections):
            await connection.close(1001, "the local Discord closes")

    def _detach(self, connection: Connection) -> None:
        if connection.session is not None and connection.session.connection is connection:
            connection.session.connection = None
            connection.session.lost_at = self._clock.now()
            self._changed()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer `GET /` with a socket, or refuse by name what it asks for."""
        if self.is_lost:
            return web.Response(status=503, text="The gateway is lost.")
        unknown = _unknown_query(request)
        if unknown is not None:
            sentence = f"the local Discord does not know {unknown}"
            self._ledger.refuse(sentence)
            return web.json_response({"message": sentence, "code": 0}, status=501)
        socket = web.WebSocketResponse(max_msg_size=1 << 16, timeout=1.0)
        try:
            await socket.prepare(request)
        except ConnectionError:
            # The bot was killed before it got the first frame.
            return web.Response(status=503)
        connection = Connection(request, socket, stream(request.query.get("compress", "")), self._ledger)
        self._connections.add(connection)
        writer = asyncio.create_task(connection.write())
        try:
            connection.put(Opcode.HELLO, {"heartbeat_interval": round(self._heartbeat_interval * 1000)})
            await self._listen(connection, socket)
        except _Close as end:
            self._detach(connection)
            await connection.close(end.code, end.reason)
        finally:
            self._detach(connection)
            self._connections.discard(connection)
            writer.cancel()
        if socket.close_code in {1000, 1001} and connection.session is not None:
            # A bot that closes the connection itself cannot resume.
            self._sessions.pop(connection.session.id, None)
        return socket

    async def _listen(self, connection: Connection, socket: web.WebSocketResponse) -> None:
        loop = asyncio.get_running_loop()
        # A heartbeat may be late by half its interval, as networks are.
        patience = self._heartbeat_interval * 1.5
        deadline = loop.time() + patience
        while True:
            try:
                frame = await socket.receive(timeout=max(deadline - loop.time(), 0.001))
            except TimeoutError:
                raise _Close(4009, "Session timed out.") from None
            if frame.type is not WSMsgType.TEXT:
                return
            operation, data = _parse(frame.data)
            self._ledger.pass_on(Frame(by_bot=True, name=_name(operation), body=data))
            if operation == Opcode.HEARTBEAT:
                deadline = loop.time() + patience
                # discord.py notes the time of a heartbeat after sending it: an answer that is there before makes it
                # believe that the one before was answered only now.
                loop.call_later(_NETWORK, connection.put, Opcode.HEARTBEAT_ACK, None)
            elif operation == Opcode.IDENTIFY:
                self._identify(connection, data)
            elif operation == Opcode.RESUME:
                self._resume(connection, data)
            elif connection.session is None:
                raise _Close(4003, "Not authenticated.")
            elif operation != Opcode.PRESENCE:
                sentence = f"the local Discord does not know the gateway operation {operation}"
                self._ledger.refuse(sentence)
                raise _Close(4001, sentence)

    def _identify(self, connection: Connection, data: JsonObject) -> None:
        unknown = sorted(set(data) - _IDENTIFY_FIELDS)
        if unknown:
            sentence = f"the local Discord does not know the fields {unknown} of an identify"
            self._ledger.refuse(sentence)
            raise _Close(4002, sentence)
        if connection.session is not None:
            raise _Close(4005, "Already authenticated.")
        self._check_token(data)
        if not isinstance(data.get("intents"), int):
            raise _Close(4013, "Invalid intent(s).")
        number, count = _shard(data.get("shard", [0, 1]))
        session = Session(data["intents"], (number, count), connection=connection)
        connection.session = session
        self._sessions[session.id] = session
        session.send("READY", self._ready(session))
        for guild in self._world.bot_guilds:
            if session.intents & GUILDS and session.has(guild.id):
                session.send("GUILD_CREATE", self._world.guild_payload(guild))
        self._changed()

    def _ready(self, session: Session) -> JsonObject:
        guilds = [guild.id for guild in self._world.bot_guilds if session.has(guild.id)]
        return {
            "v": 10,
            "user": self._world.bot.payload() | {"verified": True, "mfa_enabled": False, "email": None},
            "guilds": [{"id": str(guild_id), "unavailable": True} for guild_id in guilds],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": self.url,
            "shard": list(session.shard),
            "application": {"id": str(self._world.application_id), "flags": 0},
            "private_channels": [],
            "relationships": [],
            "presences": [],
            "guild_join_requests": [],
            "geo_ordered_rtc_regions": [],
            "auth": {},
        }

    def _resume(self, connection: Connection, data: JsonObject) -> None:
        self._check_token(data)
        session = self._sessions.get(str(data.get("session_id")))
        sequence = data.get("seq")
        if session is None or not isinstance(sequence, int) or not session.can_replay(sequence):
            connection.put(Opcode.INVALID_SESSION, False)
            return
        if sequence > session.sequence:
            raise _Close(4007, "Invalid seq.")
        session.connection = connection
        connection.session = session
        session.replay(sequence)
        session.send("RESUMED", {})
        self._changed()

    def _check_token(self, data: JsonObject) -> None:
        if str(data.get("token")).removeprefix("Bot ") != self._world.token:
            raise _Close(4004, "Authentication failed.")


def _unknown_query(request: web.Request) -> str | None:
    """The first part of the socket's address that is not known here, if any."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        return f"the route {request.method} {request.path}"
    allowed = {"v": {"10"}, "encoding": {"json"}, "compress": {"zlib-stream", "zstd-stream"}}
    for name, value in request.query.items():
        if (name == "compress" and stream(value) is None) or value not in allowed.get(name, set()):
            return f"the gateway argument {name}={value}"
    return None


def _parse(text: str) -> tuple[int, JsonObject]:
    try:
        frame = json.loads(text)
        operation, data = frame["op"], frame.get("d")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _Close(4002, "Error while decoding payload.") from None
    return operation, data if isinstance(data, dict) else {}


def _name(operation: int) -> str:
    return Opcode(operation).name if operation in set(Opcode) else f"operation {operation}"


def _shard(given: object) -> tuple[int, int]:
    match given:
        case [int(number), int(count)] if 0 <= number < count:
            return number, count
    raise _Close(4010, "Invalid shard.")


def _without_content(data: JsonObject, intents: int, bot_id: int, *, direct: bool) -> JsonObject:
    """A message of somebody else, as a bot without the message content intent sees it."""
    if "author" not in data or direct or intents & MESSAGE_CONTENT or data["author"]["id"] == str(bot_id):
        return data
    return data | {"content": "", "embeds": [], "attachments": [], "components": []}
