"""Several bot processes: shards, processes with the same servers, and processes that are killed at any moment."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import aiohttp
import discord
import pytest
import yarl

from bot.sandbox import LocalDiscord, Upload
from tests.bot.sandbox.conftest import Caller, Probe
from tests.bot.sandbox.test_gateway import identify
from tests.waiting import eventually

Connected = Callable[..., AbstractAsyncContextManager[Probe]]

VICTIM = """
import asyncio, sys
import aiohttp

async def main(api, gateway, channel, token):
    headers = {"Authorization": f"Bot {token}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(gateway) as socket:
        await socket.send_json({"op": 2, "d": {"token": token, "properties": {}, "intents": 513}})
        async def listen():
            async for frame in socket:
                pass
        async def send():
            while True:
                form = aiohttp.FormData({"payload_json": '{"content": "x"}'})
                form.add_field("files[0]", bytes(1 << 20), filename="a.bin")
                async with session.post(f"{api}/channels/{channel}/messages", data=form) as response:
                    await response.read()
        await asyncio.gather(listen(), *(send() for _ in range(4)))

asyncio.run(main(*sys.argv[1:]))
"""
"""A bot that always has requests in flight."""


async def test_two_bots_receive_one_command_and_one_can_answer(local: LocalDiscord, connected: Connected) -> None:
    heard = asyncio.Barrier(2)
    done = asyncio.Event()
    lost: list[discord.HTTPException] = []
    answered: list[discord.Interaction] = []

    async def ping(interaction: discord.Interaction) -> None:
        # Both have received it before either answers.
        await heard.wait()
        try:
            await interaction.response.send_message("pong")
        except discord.HTTPException as refused:
            lost.append(refused)
        else:
            answered.append(interaction)
        await heard.wait()
        done.set()

    async with connected() as first, connected() as second:
        for bot in (first, second):
            bot.tree.command(name="ping", description="Answer")(ping)
        await first.tree.sync()
        assert local.bots == 2
        invocation = await local.member("Ann").invoke("ping")
        await done.wait()
    assert [(refused.status, refused.code) for refused in lost] == [(400, 40060)]
    assert len(answered) == 1
    assert [message.content for message in invocation.history] == ["pong"]
    assert [message.message.content for message in local.archive()] == ["pong"]


async def test_each_shard_has_its_own_servers(local: LocalDiscord, connected: Connected) -> None:
    second = local.add_guild()
    ann = local.member("Ann")
    async with (
        connected(shard_id=0, shard_count=2) as zero,
        connected(shard_id=1, shard_count=2) as one,
    ):
        seen: dict[discord.Client, list[str]] = {zero: [], one: []}

        async def ping(interaction: discord.Interaction) -> None:
            seen[interaction.client].append("direct" if interaction.guild is None else interaction.guild.name)
            await interaction.response.send_message("pong")

        for bot in (zero, one):
            await bot.wait_until_ready()
            bot.tree.command(name="ping", description="Answer")(ping)
        await zero.tree.sync()
        mine, other = (zero, one) if zero.get_guild(local.guild_id) else (one, zero)
        assert [guild.id for guild in mine.guilds] == [local.guild_id]
        assert [guild.id for guild in other.guilds] == [second.guild_id]
        for place in (local.home, second, local.direct(ann)):
            invocation = await ann.at(place).invoke("ping")
            await invocation.wait_until(lambda message: message.content == "pong")
    assert [name for name in seen[mine] if name != "direct"] == ["Local Discord"]
    assert [name for name in seen[other] if name != "direct"] == ["Elsewhere"]
    assert "direct" in seen[zero]
    assert "direct" not in seen[one]


async def test_servers_are_spread_over_any_number_of_shards(local: LocalDiscord) -> None:
    guilds = [local.guild_id] + [local.add_guild().guild_id or 0 for _ in range(5)]
    for count in (2, 3, 6):
        numbers = [(guild >> 22) % count for guild in guilds]
        assert numbers == [(numbers[0] + step) % count for step in range(6)]


def request_of(kind: str, local: LocalDiscord, link: str) -> bytes:
    """The bytes of a request that were sent before the bot was killed."""
    path = f"{yarl.URL(local.api_url).path}/channels/{local.channel_id}/messages"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bot {local.token}\r\n"
    multipart = '--b\r\nContent-Disposition: form-data; name="files[0]"; filename="a"\r\n\r\n123'
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n"
    texts = {
        "nothing": "",
        "half a line": "POST /api",
        "half a head": head,
        "half of the JSON": f'{head}Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{{"content": "x',
        "half a chunk": f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{{",
        "no file": f"{head}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 999\r\n\r\n",
        "half a file": f"{head}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 999\r\n\r\n{multipart}",
        "a whole request": f'{head}Content-Type: application/json\r\nContent-Length: 15\r\n\r\n{{"content":"x"}}',
        "a download": f"GET {link} HTTP/1.1\r\nHost: x\r\n\r\n",
        "a gateway": f"GET / HTTP/1.1\r\nHost: x\r\n{upgrade.format('MDEyMzQ1Njc4OWFiY2RlZg==')}",
        "half a frame": f"GET / HTTP/1.1\r\nHost: x\r\n{upgrade.format('MDEyMzQ1Njc4OWFiY2RlZg==')}",
        "a wrong handshake": f"GET / HTTP/1.1\r\nHost: x\r\n{upgrade.format('short')}",
    }
    return texts[kind].encode() + (b"\x81\xfe\x00" if kind == "half a frame" else b"")


KINDS = [
    "nothing",
    "half a line",
    "half a head",
    "half of the JSON",
    "half a chunk",
    "no file",
    "half a file",
    "a whole request",
    "a download",
    "a gateway",
    "half a frame",
    "a wrong handshake",
]


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("kind", KINDS)
async def test_an_aborted_request_leaves_no_task_and_no_warning(
    local: LocalDiscord, call: Caller, caplog: pytest.LogCaptureFixture, kind: str, reset: bool
) -> None:
    caplog.set_level(logging.WARNING)
    said = await local.member("Ann").say("", Upload("a.bin", bytes(8 << 20)))
    link = yarl.URL(said.attachments[0].url)
    tasks = len(asyncio.all_tasks())
    for seen in (False, True):
        _, writer = await asyncio.open_connection(link.host, link.port)
        writer.write(request_of(kind, local, link.raw_path_qs))
        await writer.drain()
        # First before the server has read it, then while it waits for the rest.
        if seen:
            assert (await call("GET", "/users/@me")).status == 200
        if reset:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    assert (await call("GET", "/users/@me")).status == 200
    # The connection of the request above stays open, with its task.
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks + 1)
    assert [record.getMessage() for record in caplog.records] == []
    assert local.refusals == []
    assert len(local.channel_messages) == (3 if kind == "a whole request" else 1)


async def test_killed_bots_leave_no_connection_and_no_warning(
    local: LocalDiscord, call: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)

    def served(requests: int) -> bool:
        return len(local.requests) >= requests

    arguments = (local.api_url, local.gateway_url, str(local.channel_id), local.token)
    for wanted in (20, 40, 60):
        # The rate limit of the channel does not apply.
        local.clock.advance(60)
        bot = await asyncio.create_subprocess_exec(sys.executable, "-c", VICTIM, *arguments)
        try:
            await local.wait_for_bot()
            await eventually(partial(served, wanted))
        finally:
            os.kill(bot.pid, signal.SIGKILL)
        await bot.wait()
        await eventually(lambda: local.bots == 0)
    assert (await call("GET", "/users/@me")).status == 200
    assert [record.getMessage() for record in caplog.records] == []
    assert local.refusals == []


async def test_an_unreadable_body_is_refused(local: LocalDiscord, call: Caller) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Authorization": f"Bot {local.token}"}
    url = f"{local.api_url}/channels/{local.channel_id}/messages"
    async with call.session.post(url, data=b"not a part", headers=headers) as response:
        assert response.status == 400
    assert "a body that cannot be read" in local.refusals[0]


async def test_the_session_of_a_killed_bot_is_forgotten(local: LocalDiscord, call: Caller) -> None:
    _, ready = await identify(call)
    resume = {"token": local.token, "session_id": ready["d"]["session_id"], "seq": 2}
    await local.drop_gateway()
    local.clock.advance(301)
    # The next event removes old sessions.
    await local.member("Ann").say("hello")
    async with aiohttp.ClientSession() as session, session.ws_connect(local.gateway_url) as again:
        assert (await again.receive_json())["op"] == 10
        await again.send_json({"op": 6, "d": resume})
        assert (await again.receive_json())["op"] == 9
