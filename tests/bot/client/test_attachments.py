"""Downloads of attachments from a real server: only from the CDN, and never more than the limit."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import discord
import pytest
from aiohttp import web

from bot.client import attachments
from bot.client.attachments import AttachmentDownloader
from bot.jobs.errors import DownloadFailed, PictureRejected, Role
from engine.errors import NotAPicture, PictureTooLarge

LIMIT = 100_000
PICTURE = bytes(range(256)) * 300
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """A file server that answers as the test wants, and records the paths of requests."""

    def __init__(self) -> None:
        self.answer: Handler = self.picture
        self.requested: list[str] = []
        self.gone = asyncio.Event()
        """Set when a client closed the connection during an answer."""
        self.origin = ""

    async def picture(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(body=PICTURE)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requested.append(request.path)
        return await self.answer(request)


async def serving() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_get("/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


cdn = pytest.fixture(serving, name="cdn")
elsewhere = pytest.fixture(serving, name="elsewhere")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """The session for downloads."""
    async with aiohttp.ClientSession() as opened:
        yield opened


def attached(url: str, size: int = len(PICTURE)) -> discord.Attachment:
    """An attachment as Discord describes it."""
    payload = {"id": "1", "filename": "photo.png", "size": size, "url": url, "proxy_url": url}
    return discord.Attachment(data=cast(Any, payload), state=cast(Any, SimpleNamespace(http=None)))


async def fetched(
    session: aiohttp.ClientSession, cdn: Server, url: str, *, limit: int = LIMIT, role: Role = "style"
) -> bytes:
    return await AttachmentDownloader(session, f"{cdn.origin}/attachments", limit).fetch(role, attached(url))


async def test_a_picture_is_downloaded_unchanged(session: aiohttp.ClientSession, cdn: Server) -> None:
    assert await fetched(session, cdn, f"{cdn.origin}/attachments/1/2/photo.png?ex=1&hm=2") == PICTURE


async def test_a_signed_link_is_requested_unchanged(session: aiohttp.ClientSession, cdn: Server) -> None:
    queries = []

    async def note(request: web.Request) -> web.StreamResponse:
        queries.append(request.raw_path)
        return await cdn.picture(request)

    cdn.answer = note
    path = "/attachments/1/2/a%20b.png?ex=68a1&is=68a0&hm=0f&"
    await fetched(session, cdn, cdn.origin + path)
    assert queries == [path]


@pytest.mark.parametrize("surplus", [0, 1])
async def test_a_file_at_the_limit_is_accepted_and_one_byte_more_is_refused(
    session: aiohttp.ClientSession, cdn: Server, surplus: int
) -> None:
    limit = len(PICTURE) - surplus
    if not surplus:
        assert await fetched(session, cdn, f"{cdn.origin}/a.png", limit=limit) == PICTURE
        return
    with pytest.raises(PictureRejected) as refused:
        await fetched(session, cdn, f"{cdn.origin}/a.png", limit=limit)
    assert refused.value.role == "style"
    assert isinstance(refused.value.reason, PictureTooLarge)
    assert (refused.value.reason.measure, refused.value.reason.limit) == ("bytes", limit)


async def test_an_endless_download_is_stopped_at_the_limit(session: aiohttp.ClientSession, cdn: Server) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(10_000))
                sent += 10_000
        finally:
            cdn.gone.set()

    cdn.answer = endless
    with pytest.raises(PictureRejected):
        await fetched(session, cdn, f"{cdn.origin}/a.png")
    await cdn.gone.wait()
    # The limit, and what the sockets buffer.
    assert sent < LIMIT + 20_000_000


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "GZIP", "unheard-of"])
async def test_a_compressed_response_is_not_decompressed(
    session: aiohttp.ClientSession, cdn: Server, encoding: str
) -> None:
    bomb = gzip.compress(bytes(20_000_000))
    wanted = []

    async def packed(request: web.Request) -> web.StreamResponse:
        wanted.append(request.headers["Accept-Encoding"])
        return web.Response(body=bomb, headers={"Content-Encoding": encoding})

    cdn.answer = packed
    with pytest.raises(DownloadFailed):
        await fetched(session, cdn, f"{cdn.origin}/a.png")
    assert wanted == ["identity"]


async def test_a_response_with_a_too_large_content_length_is_not_read(
    session: aiohttp.ClientSession, cdn: Server
) -> None:
    async def announce(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(LIMIT + 1)})
        await response.prepare(request)
        await response.write(b"x")
        try:
            await asyncio.Event().wait()
        finally:
            cdn.gone.set()
        return response

    cdn.answer = announce
    with pytest.raises(PictureRejected) as refused:
        await fetched(session, cdn, f"{cdn.origin}/a.png")
    assert isinstance(refused.value.reason, PictureTooLarge)
    await cdn.gone.wait()


async def test_no_other_server_is_requested(session: aiohttp.ClientSession, cdn: Server, elsewhere: Server) -> None:
    port = cdn.origin.rpartition(":")[2]
    for url in (
        f"{elsewhere.origin}/attachments/a.png",  # another port
        f"http://localhost:{port}/attachments/a.png",  # another name
        f"http://127.0.0.1.example.com:{port}/attachments/a.png",
        f"https://127.0.0.1:{port}/attachments/a.png",  # another scheme
        f"http://user@127.0.0.1:{port}/attachments/a.png",
        f"{cdn.origin}@{elsewhere.origin.removeprefix('http://')}/attachments/a.png",
        f"//127.0.0.1:{port}/attachments/a.png",
        f"http://127.0.0.1:{port}:80/a.png",
        f"http://127.0.0.1:{port}\\@{elsewhere.origin.removeprefix('http://')}/a.png",
        f"http://127.0.0.1:{port}\\.example.com/a.png",
        f"http://127.0.0.1:{port}%2f@example.com/a.png",
        f"http://\uff11\uff12\uff17.0.0.1:{port}/a.png",  # digits that some parsers convert to ASCII
        f"http://127.0.0.1\u3002example.com:{port}/a.png",  # a full stop that some parsers convert to a dot
        f"http://127.1:{port}/a.png",
        f"http://2130706433:{port}/a.png",
        f"http://127.0.0.1:{port}\t@example.com/a.png",
        f"http://[::ffff:127.0.0.1]:{port}/a.png",
        f"http://[127.0.0.1:{port}/a.png",
        "http://127.0.0.1/a.png",  # the scheme's default port
        "file:///etc/passwd",
        "",
    ):
        with pytest.raises(DownloadFailed) as failed:
            await fetched(session, cdn, url, role="content")
        assert failed.value.role == "content"
    assert cdn.requested == elsewhere.requested == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(
    session: aiohttp.ClientSession, cdn: Server, elsewhere: Server, status: int
) -> None:
    async def redirect(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": f"{elsewhere.origin}/a.png"})

    cdn.answer = redirect
    with pytest.raises(DownloadFailed, match=str(status)):
        await fetched(session, cdn, f"{cdn.origin}/a.png")
    assert elsewhere.requested == []


@pytest.mark.parametrize("status", [204, 206, 403, 404, 500])
async def test_any_status_but_200_is_an_error(session: aiohttp.ClientSession, cdn: Server, status: int) -> None:
    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    cdn.answer = refuse
    with pytest.raises(DownloadFailed, match=str(status)) as failed:
        await fetched(session, cdn, f"{cdn.origin}/a.png")
    assert failed.value.role == "style"


@pytest.mark.parametrize("begins", [False, True], ids=["before it begins", "in the middle"])
async def test_a_download_that_stalls_fails(
    session: aiohttp.ClientSession, cdn: Server, monkeypatch: pytest.MonkeyPatch, begins: bool
) -> None:
    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if begins:
            await response.prepare(request)
            await response.write(PICTURE[:100])
        await asyncio.Event().wait()
        return response

    cdn.answer = stall
    monkeypatch.setattr(attachments, "TIMEOUT", aiohttp.ClientTimeout(total=20, sock_read=0.2))
    with pytest.raises(DownloadFailed):
        await fetched(session, cdn, f"{cdn.origin}/a.png")


async def test_a_download_that_takes_too_long_fails(
    session: aiohttp.ClientSession, cdn: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.01)

    cdn.answer = drip
    monkeypatch.setattr(attachments, "TIMEOUT", aiohttp.ClientTimeout(total=0.5, sock_read=20))
    with pytest.raises(DownloadFailed):
        await fetched(session, cdn, f"{cdn.origin}/a.png")


async def test_a_download_that_breaks_off_fails(session: aiohttp.ClientSession, cdn: Server) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(PICTURE))})
        await response.prepare(request)
        await response.write(PICTURE[:100])
        assert request.transport is not None
        request.transport.abort()
        return response

    cdn.answer = cut
    with pytest.raises(DownloadFailed):
        await fetched(session, cdn, f"{cdn.origin}/a.png")


async def test_an_unreachable_cdn_is_an_error(session: aiohttp.ClientSession, unused_tcp_port: int) -> None:
    origin = f"http://127.0.0.1:{unused_tcp_port}"
    with pytest.raises(DownloadFailed):
        await AttachmentDownloader(session, origin, LIMIT).fetch("content", attached(f"{origin}/a.png"))


def test_each_stage_of_a_download_has_a_timeout() -> None:
    timeout = attachments.TIMEOUT
    for seconds in (timeout.total, timeout.sock_connect, timeout.sock_read):
        assert seconds
        assert seconds <= 60


@pytest.mark.parametrize(("size", "passes"), [(0, True), (LIMIT, True), (LIMIT + 1, False), (2**40, False)])
async def test_a_stated_size_above_the_limit_is_refused_before_the_download(
    session: aiohttp.ClientSession, size: int, passes: bool
) -> None:
    downloader = AttachmentDownloader(session, "http://127.0.0.1:9", LIMIT)
    attachment = attached("http://127.0.0.1:9/a.png", size)
    if passes:
        downloader.check_stated_size("content", attachment)
        return
    with pytest.raises(PictureRejected) as refused:
        downloader.check_stated_size("content", attachment)
    assert refused.value.role == "content"
    assert repr(refused.value.reason) == repr(PictureTooLarge("bytes", size, LIMIT))


async def test_each_picture_is_checked_while_others_are_downloaded(session: aiohttp.ClientSession, cdn: Server) -> None:
    """The second download ends only after the first picture was checked."""
    first_checked = asyncio.Event()
    checks: list[tuple[Role, bytes]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("late.png"):
            await first_checked.wait()
        return web.Response(body=request.path.encode())

    async def check(role: Role, picture: bytes) -> None:
        checks.append((role, picture))
        first_checked.set()

    cdn.answer = answer
    downloader = AttachmentDownloader(session, f"{cdn.origin}/attachments", LIMIT)
    late, early = (attached(f"{cdn.origin}/attachments/{name}.png") for name in ("late", "early"))
    pictures = [b"/attachments/late.png", b"/attachments/early.png"]
    assert await downloader.fetch_all({"content": late, "style": early}, check) == pictures
    assert checks == [("style", pictures[1]), ("content", pictures[0])]


async def test_a_picture_that_fails_its_check_ends_the_other_downloads(
    session: aiohttp.ClientSession, cdn: Server
) -> None:
    async def never(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("late.png"):
            await asyncio.Event().wait()
        return web.Response(body=b"bad")

    async def check(role: Role, picture: bytes) -> None:
        raise PictureRejected(role, NotAPicture())

    cdn.answer = never
    downloader = AttachmentDownloader(session, f"{cdn.origin}/attachments", LIMIT)
    late, early = (attached(f"{cdn.origin}/attachments/{name}.png") for name in ("late", "early"))
    with pytest.raises(PictureRejected) as refused:
        await downloader.fetch_all({"content": late, "style": early}, check)
    assert refused.value.role == "style"
