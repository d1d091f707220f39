"""The gateway: identifying, heartbeats, lost connections and refusals."""

from __future__ import annotations

import asyncio
import json
import zlib
from typing import Any

import aiohttp
import discord
import pytest

from bot.sandbox import LocalDiscord, Upload
from tests.bot.sandbox.conftest import Caller, Probe

IDENTIFY = {"properties": {}, "intents": 1 << 0 | 1 << 9}


class Socket:
    """A bare connection to the gateway."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Speak over this."""
        self.socket = socket

    async def send(self, operation: int, data: object) -> None:
        """Send a frame."""
        await self.socket.send_json({"op": operation, "d": data})

    async def receive(self) -> dict[str, Any]:
        """The next frame."""
        frame: dict[str, Any] = await self.socket.receive_json()
        return frame

    async def close_code(self) -> int | None:
        """Read until the connection is closed. Returns the close code."""
        while not self.socket.closed:
            await self.socket.receive()
        return self.socket.close_code


async def connect(call: Caller, **query: str) -> Socket:
    """Connect and read HELLO."""
    socket = Socket(await call.session.ws_connect(call.local.gateway_url, params={"v": "10", **query}))
    assert (await socket.receive())["op"] == 10
    return socket


async def identify(call: Caller) -> tuple[Socket, dict[str, Any]]:
    """Connect and identify; the second value is READY."""
    socket = await connect(call)
    await socket.send(2, IDENTIFY | {"token": call.local.token})
    ready = await socket.receive()
    assert (await socket.receive())["t"] == "GUILD_CREATE"
    return socket, ready


async def test_discord_py_gets_ready_and_sees_the_server(local: LocalDiscord, bot: Probe) -> None:
    await bot.wait_until_ready()
    assert bot.user is not None
    assert bot.user.id == local.application_id
    assert bot.application_id == local.application_id
    guild = bot.get_guild(local.guild_id)
    assert guild is not None
    assert not guild.unavailable
    channel = guild.get_channel(local.channel_id)
    assert isinstance(channel, discord.TextChannel)
    assert channel.permissions_for(guild.me).attach_files


async def test_a_bare_client_can_identify(local: LocalDiscord, call: Caller) -> None:
    socket, ready = await identify(call)
    assert ready["t"] == "READY"
    assert ready["s"] == 1
    assert ready["d"]["resume_gateway_url"] == local.gateway_url
    assert ready["d"]["application"]["id"] == str(local.application_id)
    assert ready["d"]["guilds"] == [{"id": str(local.guild_id), "unavailable": True}]
    await socket.send(1, 2)
    assert (await socket.receive())["op"] == 11


async def test_a_wrong_token_closes_with_4004(call: Caller) -> None:
    socket = await connect(call)
    await socket.send(2, IDENTIFY | {"token": "not the token"})
    assert await socket.close_code() == 4004


async def test_discord_py_refuses_to_start_with_a_wrong_token(
    local: LocalDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord.http.Route, "BASE", local.api_url)
    async with Probe() as client:
        with pytest.raises(discord.LoginFailure):
            await client.start("not the token")


async def test_missing_heartbeats_close_with_4009() -> None:
    async with LocalDiscord(heartbeat_interval=0.05) as local, aiohttp.ClientSession() as session:
        socket = await connect(Caller(local, session))
        assert await socket.close_code() == 4009


async def test_heartbeats_keep_the_connection_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause is shorter than the interval. All together are longer than the allowed silence."""
    loop = asyncio.get_running_loop()
    now, passed = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: now() + passed)
    async with LocalDiscord(heartbeat_interval=60) as local, aiohttp.ClientSession() as session:
        socket, _ = await identify(Caller(local, session))
        for _ in range(4):
            passed += 30
            await socket.send(1, None)
            assert (await socket.receive())["op"] == 11
        passed += 90
        assert await socket.close_code() == 4009


@pytest.mark.parametrize(
    ("operation", "data", "code"),
    [
        (1, None, None),
        (8, {"guild_id": "1"}, 4003),
        (2, {"token": "?", "properties": {}, "surprise": 1}, 4002),
        (2, {"token": "LOCAL", "properties": {}}, 4013),
        (2, {"token": "LOCAL", "properties": {}, "intents": 0, "shard": [2, 2]}, 4010),
        (2, {"token": "LOCAL", "properties": {}, "intents": 0, "shard": "first"}, 4010),
    ],
)
async def test_only_some_operations_are_allowed_before_identifying(
    call: Caller, operation: int, data: dict[str, Any] | None, code: int | None
) -> None:
    if data is not None and data.get("token") == "LOCAL":
        data["token"] = call.local.token
    socket = await connect(call)
    await socket.send(operation, data)
    if code is None:
        assert (await socket.receive())["op"] == 11
    else:
        assert await socket.close_code() == code


async def test_an_unknown_operation_is_refused_by_name(local: LocalDiscord, call: Caller) -> None:
    socket, _ = await identify(call)
    await socket.send(4, {"guild_id": str(local.guild_id)})
    assert await socket.close_code() == 4001
    assert local.refusals == ["the local Discord does not know the gateway operation 4"]


@pytest.mark.parametrize("query", [{"compress": "lz4-stream"}, {"v": "9"}, {"encoding": "etf"}, {"mood": "good"}])
async def test_unknown_gateway_arguments_are_refused_by_name(
    local: LocalDiscord, call: Caller, query: dict[str, str]
) -> None:
    async with call.session.get(
        local.gateway_url.replace("ws", "http"), params=query, headers={"Upgrade": "websocket", "Connection": "Upgrade"}
    ) as response:
        assert response.status == 501
        message = (await response.json())["message"]
    [(name, value)] = query.items()
    assert f"{name}={value}" in message
    assert local.refusals == [message]


async def test_a_compressed_connection_is_one_zlib_stream(call: Caller) -> None:
    socket = await call.session.ws_connect(call.local.gateway_url, params={"v": "10", "compress": "zlib-stream"})
    stream = zlib.decompressobj()
    hello = await socket.receive_bytes()
    assert hello.endswith(b"\x00\x00\xff\xff")
    assert json.loads(stream.decompress(hello))["op"] == 10
    await socket.send_json({"op": 1, "d": None})
    assert json.loads(stream.decompress(await socket.receive_bytes()))["op"] == 11


async def test_resume_replays_what_was_missed(local: LocalDiscord, call: Caller) -> None:
    socket, ready = await identify(call)
    await local.drop_gateway()
    assert await socket.close_code() == 1006
    await call.begin()
    await local.member("Ann").say("hello", Upload("a.png", b"1"))
    again = await connect(call)
    await again.send(6, {"token": local.token, "session_id": ready["d"]["session_id"], "seq": 2})
    missed = [await again.receive() for _ in range(3)]
    assert [(frame["t"], frame["s"]) for frame in missed] == [
        ("INTERACTION_CREATE", 3),
        ("MESSAGE_CREATE", 4),
        ("RESUMED", 5),
    ]
    # Without the message content intent, a bot sees a message without its content.
    assert missed[1]["d"]["content"] == ""
    assert missed[1]["d"]["attachments"] == []


async def test_only_known_sessions_are_resumed(local: LocalDiscord, call: Caller) -> None:
    _, ready = await identify(call)
    await local.drop_gateway()
    local.forget_sessions()
    again = await connect(call)
    await again.send(6, {"token": local.token, "session_id": ready["d"]["session_id"], "seq": 2})
    frame = await again.receive()
    assert (frame["op"], frame["d"]) == (9, False)


async def test_a_session_that_was_closed_cannot_be_resumed(local: LocalDiscord, call: Caller) -> None:
    socket, ready = await identify(call)
    await socket.socket.close(code=1000)
    again = await connect(call)
    await again.send(6, {"token": local.token, "session_id": ready["d"]["session_id"], "seq": 2})
    assert (await again.receive())["op"] == 9


async def test_discord_py_resumes_after_a_lost_connection(local: LocalDiscord, call: Caller, bot: Probe) -> None:
    @bot.tree.command(description="Answer")
    async def ping(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("pong")

    await bot.tree.sync()
    await local.drop_gateway()
    # No client is connected, so the event waits in the session.
    invocation = await local.member("Ann").invoke("ping")
    message = await invocation.wait_until(lambda message: message.content == "pong")
    assert message.author_is_bot


async def test_discord_py_reconnects_when_asked(local: LocalDiscord, bot: Probe) -> None:
    resumed = bot.wait_for("resumed")
    await local.request_reconnect()
    await resumed
    await local.wait_for_bot()


async def test_discord_py_identifies_again_when_it_cannot_resume(local: LocalDiscord, bot: Probe) -> None:
    await bot.wait_until_ready()
    again = bot.wait_for("connect")
    await local.drop_gateway()
    local.forget_sessions()
    await again
    await local.wait_for_bot()


async def test_waiting_for_a_bot_has_a_timeout(local: LocalDiscord) -> None:
    with pytest.raises(TimeoutError, match="a bot did not come within"):
        await local.wait_for_bot(0.01)
