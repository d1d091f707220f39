"""Each interaction gets one answer, even if connections break or another process runs, until its job is accepted."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import pytest
import yarl

from bot import features
from bot.client.client import Atelier
from bot.client.services import Services
from bot.jobs.errors import Closing
from bot.sandbox import Faults, Invocation, LocalDiscord, Upload
from bot.settings import Settings
from tests.bot.conftest import CONTENT, STYLE, is_private_answer
from tests.doubles.jobs import FakeJobs
from tests.waiting import eventually

CALLBACK = "/interactions/{interaction_id}/{interaction_token}/callback"
LOST = {
    "reset_before": Faults(only=frozenset({CALLBACK}), reset_before=1.0),
    "reset_after": Faults(only=frozenset({CALLBACK}), reset_after=1.0),
}


async def stylize(discord: LocalDiscord, style: Upload = STYLE) -> Invocation:
    """Ada asks for a picture."""
    return await discord.member("Ada").invoke("stylize", content=CONTENT, style=style)


def lose_one(discord: LocalDiscord, fault: str) -> None:
    """Break the connection once, before or after the first answer has arrived."""
    discord.inject(LOST[fault])
    discord.on_request(lambda _: discord.inject(None))


def ready_event(ready: asyncio.Event) -> Callable[[], Coroutine[Any, Any, None]]:
    """A handler that discord.py calls when it is connected."""

    async def on_ready() -> None:
        ready.set()

    return on_ready


@pytest.mark.usefixtures("client")
class TestStylize:
    @pytest.mark.parametrize("fault", LOST)
    async def test_is_accepted_even_if_an_answer_is_lost(
        self, discord: LocalDiscord, fake_jobs: FakeJobs, fault: str
    ) -> None:
        lose_one(discord, fault)
        invocation = await stylize(discord)
        await fake_jobs.accepted.wait()
        (order,) = fake_jobs.orders
        assert order.id == f"{invocation.id:016x}"
        assert discord.faults[fault] == 1
        assert f'"message":{invocation.history[0].id}' in order.address

    async def test_reports_an_error_privately_even_if_an_answer_is_lost(
        self, discord: LocalDiscord, fake_jobs: FakeJobs
    ) -> None:
        fake_jobs.refusal = RuntimeError("a bug")
        lose_one(discord, "reset_after")
        message = await (await stylize(discord)).wait_until(is_private_answer)
        assert message.content.startswith("Something went wrong. Try again.")
        assert discord.channel_messages == []

    @pytest.mark.parametrize(("status", "code"), [(400, 40060), (404, 10062)])
    @pytest.mark.parametrize("style", [STYLE, Upload("large.png", bytes(2 * 2**20))], ids=["accepted", "refused"])
    async def test_is_ignored_if_another_process_was_faster(
        self,
        discord: LocalDiscord,
        fake_jobs: FakeJobs,
        capsys: pytest.CaptureFixture[str],
        style: Upload,
        status: int,
        code: int,
    ) -> None:
        discord.fail_next(f"POST {CALLBACK}", status, code=code)
        refused = asyncio.Event()
        discord.on_request(lambda request: refused.set() if request.status == status else None)
        await stylize(discord, style)
        await refused.wait()
        await asyncio.sleep(0.3)
        assert fake_jobs.orders == []
        answers = [request for request in discord.requests if request.route.startswith(("/interactions", "/webhooks"))]
        assert len(answers) == 1
        logged = capsys.readouterr().err
        assert "warning" not in logged
        assert "error" not in logged

    async def test_is_accepted_once_if_two_processes_receive_it(
        self, discord: LocalDiscord, client_settings: Settings, services: Services, fake_jobs: FakeJobs
    ) -> None:
        async with Atelier(client_settings, services) as other:
            features.load(other)
            await other.login(discord.token)
            ready = asyncio.Event()
            other.event(ready_event(ready))
            connected = asyncio.create_task(other.connect())
            await ready.wait()
            invocation = await stylize(discord)
            await fake_jobs.accepted.wait()

            def callbacks() -> list[int]:
                return [each.status for each in discord.requests if each.route.startswith("/interactions")]

            await eventually(lambda: len(callbacks()) == 2, "the answer of the second process")
            await asyncio.sleep(0.3)
            assert len(fake_jobs.orders) == 1
            assert sorted(callbacks()) == [200, 400]
            assert [message.id for message in discord.channel_messages] == [invocation.history[0].id]
            await other.close()
            await asyncio.gather(connected, return_exceptions=True)

    async def test_is_refused_with_an_explanation_during_a_shutdown(
        self, discord: LocalDiscord, fake_jobs: FakeJobs
    ) -> None:
        fake_jobs.refusal = Closing()
        invocation = await stylize(discord)
        assert "I'm restarting" in (await invocation.wait_until(is_private_answer)).content
        assert discord.channel_messages == []

    async def test_is_refused_with_an_explanation_even_if_its_answer_was_deleted(
        self, discord: LocalDiscord, fake_jobs: FakeJobs
    ) -> None:
        fake_jobs.refusal = Closing()
        discord.fail_next("DELETE /webhooks/{webhook_id}/{webhook_token}/messages/@original", 404, code=10008)
        invocation = await stylize(discord)
        message = await invocation.wait_until(lambda message: bool(message.content))
        assert "I'm restarting" in message.content

    async def test_cancels_the_other_download_if_one_fails(
        self, discord: LocalDiscord, client: Atelier, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given_up = asyncio.Event()
        started = asyncio.Event()
        get = aiohttp.ClientSession.get

        class Stuck:
            async def __aenter__(self) -> None:
                started.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    given_up.set()

            async def __aexit__(self, *_: object) -> None: ...

        def getting(session: aiohttp.ClientSession, url: yarl.URL, **options: object) -> object:
            if "town" in url.path:
                return Stuck()
            return get(session, str(url).replace("strokes", "nothing"), **options)  # type: ignore[arg-type]

        monkeypatch.setattr(aiohttp.ClientSession, "get", getting)
        invocation = await stylize(discord)
        message = await invocation.wait_until(is_private_answer)
        assert message.content.startswith("**Style:** I couldn't download this picture")
        assert started.is_set()
        assert given_up.is_set()
