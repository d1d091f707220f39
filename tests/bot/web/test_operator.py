"""The operator's page: what it shows, who may see it, who may act, and that a closed page leaves nothing running."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from bot.client.client import Atelier
from bot.jobs.database.cipher import Cipher, new_key
from bot.jobs.database.overview import JobsAtAGlance
from bot.jobs.database.store import Store
from bot.jobs.errors import CancelledByOperator
from bot.jobs.history import JobHistory
from bot.jobs.rules import Controls
from bot.settings import Settings
from bot.telemetry import metrics
from bot.texts import described
from bot.web.health import Health
from bot.web.operator.history import SpeedHistory
from bot.web.operator.routes import OperatorPage
from bot.web.server import serve
from engine.blobs import Blobs
from engine.errors import OutOfMemory
from engine.progress import Progress
from tests.bot.jobs.conftest import JobHarness
from tests.doubles.executor import FakeExecutor
from tests.doubles.reply import FakeReplies
from tests.waiting import eventually

TOKEN = "the operators' token".replace(" ", "-")
MEMBER = 123456789012345678
PREVIEW = b"\xff\xd8 a preview"
ACTIONS = ("pause", "drain", "resume", "jobs/{job}/cancel", "jobs/{job}/retry", "jobs/{job}/block", "members/9/block")


@dataclass
class Operator:
    """A bot with its page, seen through HTTP."""

    settings: Settings
    harness: JobHarness
    directory: Path
    page: OperatorPage | None = None

    @asynccontextmanager
    async def serving(self, **changes: Any) -> AsyncIterator[aiohttp.ClientSession]:
        """Serve the page with changed settings, on loopback whatever they say."""
        settings = self.settings.model_copy(update=changes)
        harness = self.harness
        async with Atelier(settings) as client:
            health = Health(client, harness.executor, harness.store, self.directory, min_free_bytes=0)
            history = JobHistory(harness.store, harness.storage, harness.executor)
            parts = harness.store, harness.storage, harness.executor, harness.jobs, history, health
            self.page = OperatorPage.of(settings, *parts, lambda: 0.03)
            here = f"http://127.0.0.1:{settings.health_port}"
            async with (
                serve("127.0.0.1", settings.health_port, health, lambda: True, self.page),
                aiohttp.ClientSession(here) as session,
            ):
                yield session


@pytest.fixture
async def operator(tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Operator]:
    """A bot that is not connected to Discord, whose paintings the test makes."""
    monkeypatch.setattr("bot.web.operator.collector.EVERY", 0.05)
    settings = Settings(_env_file=None, health_port=unused_tcp_port, operator_token=SecretStr(TOKEN))
    blobs = Blobs(str(tmp_path / "blobs"))
    async with Store.open(f"sqlite+aiosqlite:///{tmp_path / 'atelier.db'}", Cipher([new_key()])) as store:
        yield Operator(settings, JobHarness(blobs, store, FakeExecutor(blobs), FakeReplies()), tmp_path)


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    """The events of a page, with their data."""
    assert response.status == 200, await response.text()
    while line := await response.content.readuntil(b"\n\n"):
        found = re.fullmatch(r"event: (\w+)\ndata: (.*)\n\n", line.decode(), re.DOTALL)
        assert found is not None, line
        yield found[1], json.loads(found[2])


async def state_with(session: aiohttp.ClientSession, fits: Callable[[Any], Any], **headers: str) -> dict[str, Any]:
    """Open a page until its state fits. Returns the state's jobs."""
    async with session.get("/operator/events", headers=headers) as response:
        async for name, data in events(response):
            if name == "state" and data["jobs"] is not None and fits(data["jobs"]):
                found: dict[str, Any] = data["jobs"]
                return found
    raise AssertionError("the page ended")


async def answer(request: Awaitable[aiohttp.ClientResponse]) -> tuple[int, str]:
    """The status and the text of a response."""
    async with await request as response:
        return response.status, await response.text()


class TestThePage:
    async def test_is_one_document_whose_scripts_and_styles_are_files(self, operator: Operator) -> None:
        async with operator.serving() as session:
            async with session.get("/") as response:
                page, policy = await response.text(), response.headers["Content-Security-Policy"]
            assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
            assert "unsafe" not in policy
            assert re.findall(r"<script(?![^>]* src=)|<style| style=| on\w+=", page) == []
            wanted = re.findall(r'(?:src|href)="([^"]+)"', page)
            loaded = [page]
            while wanted:
                async with session.get(wanted.pop()) as response:
                    assert response.status == 200
                    assert response.headers["X-Content-Type-Options"] == "nosniff"
                    loaded.append(await response.text())
                if response.content_type == "text/javascript":
                    wanted += set(re.findall(r'from "([^"]+)"', loaded[-1]))
            assert len(loaded) >= 6
            assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(", "".join(loaded))
            assert sum(map(len, loaded)) < 200_000

    async def test_follows_a_painting_from_the_queue_to_its_result(self, operator: Operator) -> None:
        harness = operator.harness
        async with harness.running(), operator.serving(operator_pictures=True) as session:
            job, painting = await harness.accept_and_paint(MEMBER)
            waiting = await harness.accept(MEMBER)
            painting.show(3, preview=PREVIEW)
            seen = await state_with(session, lambda jobs: jobs["begun"] and jobs["begun"][0]["progress"])
            (begun,) = seen["begun"]
            assert (begun["id"], begun["here"], begun["description"]) == (job.id, True, described(job.description))
            assert (begun["progress"]["step"], begun["progress"]["steps"], begun["progress"]["remaining"]) == (3, 10, 9)
            assert [each["id"] for each in seen["waiting"]] == [waiting.id]
            assert str(MEMBER) not in json.dumps(seen)
            assert begun["progress"]["preview"] == 1
            async with session.get(f"/operator/jobs/{job.id}/preview") as response:
                assert (response.content_type, await response.read()) == ("image/jpeg", PREVIEW)
            painting.finish(b"the painting", thumbnail=b"small")
            seen = await state_with(session, lambda jobs: jobs["ended"])
            assert [(each["id"], each["state"], each["picture"]) for each in seen["ended"]] == [
                (job.id, "delivered", True)
            ]
            async with session.get(f"/operator/jobs/{job.id}/thumbnail") as response:
                assert await response.read() == b"small"
            assert (await answer(session.get(f"/operator/jobs/{job.id}/preview")))[0] == 404
            await harness.jobs.cancel_as_operator(waiting.id)
            await harness.until(waiting, "cancelled")

    async def test_shows_no_picture_and_no_name_of_a_file_unless_a_setting_says_so(self, operator: Operator) -> None:
        harness = operator.harness
        async with harness.running(), operator.serving() as session:
            job, painting = await harness.accept_and_paint(MEMBER)
            painting.show(3, preview=PREVIEW)
            seen = await state_with(session, lambda jobs: jobs["begun"] and jobs["begun"][0]["progress"], **bearer())
            assert seen["begun"][0]["progress"]["preview"] is None
            assert seen["begun"][0]["description"] is None
            assert (await answer(session.get(f"/operator/jobs/{job.id}/preview")))[0] == 404
            painting.finish()
            seen = await state_with(session, lambda jobs: jobs["ended"], **bearer())
            assert seen["ended"][0]["picture"] is False
            assert (await answer(session.get(f"/operator/jobs/{job.id}/thumbnail")))[0] == 404

    async def test_keeps_the_speed_of_the_last_hour(self) -> None:
        metrics.observe_step(Progress(1, 9, 300, 1.0, 1.0, 1.0, 1.0, 1.0, device="a device", step_seconds=5.0))
        history = SpeedHistory(lambda: 0.05)
        metrics.observe_step(Progress(2, 9, 300, 1.0, 1.0, 1.0, 1.0, 1.0, device="a device", step_seconds=0.5))
        metrics.observe_step(Progress(3, 9, 300, 1.0, 1.0, 1.0, 1.0, 1.0, device="a device", step_seconds=0.7))
        history.lagged(0.002)
        history.lagged(0.009)
        for _ in range(2):
            history.sample()
        first, second = map(json.loads, history.since(0))
        assert (first["lag"], first["gateway"], first["step"]) == (0.009, 0.05, {"a device, 512 px": 0.6})
        assert (second["lag"], "step" in second) == (0.0, False)
        assert len(history.since(1)) == 1


class TestActing:
    async def test_needs_the_token(self, operator: Operator, caplog: pytest.LogCaptureFixture) -> None:
        harness = operator.harness
        job = await harness.accept(MEMBER)
        for given, configured, status in (({}, TOKEN, 401), (bearer(TOKEN + "x"), TOKEN, 401), (bearer(), None, 403)):
            secret = None if configured is None else SecretStr(configured)
            async with operator.serving(operator_token=secret) as session:
                for action in ACTIONS:
                    path = f"/operator/{action.format(job=job.id)}"
                    assert (await answer(session.post(path, headers=given)))[0] == status, path
                    assert (await answer(session.get(path, headers=given)))[0] == 405
        assert await harness.store.controls() == Controls()
        assert await harness.state(job) == "queued"
        assert TOKEN not in caplog.text

    async def test_changes_what_admin_commands_change(self, operator: Operator) -> None:
        harness = operator.harness
        async with harness.running(), operator.serving(operator_ids=frozenset({5})) as session:

            async def act(path: str) -> str:
                async with session.post(f"/operator/{path}", headers=bearer()) as response:
                    assert response.status == 200
                    return str((await response.json())["text"])

            assert (await act("pause")).startswith("Paused")
            assert await act("drain") == "No orders are accepted. None is left."
            assert await harness.store.controls() == Controls(paused=True, draining=True)
            assert (await act("resume")).startswith("Orders are accepted")
            assert await act(f"members/{MEMBER}/block") == f"Member {MEMBER} is blocked."
            assert await act(f"members/{MEMBER}/block") == f"Member {MEMBER} was blocked already."
            assert await act("members/5/block") == "Member 5 is an operator, and can't be blocked."
            assert harness.jobs.is_blocked(MEMBER)
            assert (await state_with(session, lambda _: True))["members"] is None
            assert (await state_with(session, lambda _: True, **bearer()))["members"] == [str(MEMBER)]
            assert await act(f"members/{MEMBER}/unblock") == f"Member {MEMBER} is no longer blocked."
            assert await harness.store.controls() == Controls()

    async def test_cancels_and_retries_a_job_and_blocks_its_member(self, operator: Operator) -> None:
        harness = operator.harness
        async with harness.running(), operator.serving() as session:

            async def act(job: str, action: str) -> tuple[int, str]:
                status, text = await answer(session.post(f"/operator/jobs/{job}/{action}", headers=bearer()))
                return status, json.loads(text)["text"]

            job, painting = await harness.accept_and_paint(MEMBER)
            assert await act(job.id, "retry") == (409, "Only a failed job can be painted again.")
            painting.fail(OutOfMemory(512))
            await harness.until(job, "failed")
            seen = await state_with(session, lambda jobs: jobs["ended"])
            assert (seen["ended"][0]["cause"], seen["ended"][0]["retry"]) == ("OutOfMemory", True)
            status, text = await act(job.id, "retry")
            assert (status, text.startswith(f"Job {job.id} is queued again, as job ")) == (200, True)
            again = text[-17:-1]
            assert await act(job.id, "retry") == (409, "This job is queued again already.")
            seen = await state_with(session, lambda jobs: jobs["begun"])
            assert [each["id"] for each in seen["begun"]] == [again]
            assert (seen["ended"][0]["retry"], seen["ended"][0]["retried"]) == (False, True)
            assert (await act(again, "cancel"))[0] == 200
            await harness.until(replace(job, id=again), "cancelled")
            assert await act(again, "cancel") == (409, "This job has ended already.")
            assert [type(each) for each in harness.replies.endings(replace(job, id=again))] == [CancelledByOperator]
            assert await act(job.id, "block") == (200, f"Member {MEMBER} is blocked.")
            assert await act("0" * 16, "block") == (409, "This job or its pictures are not stored any more.")


class TestAccess:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Host": "atelier.evil.example"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
        ],
        ids=["rebinding", "other origin", "no origin", "other site"],
    )
    async def test_is_refused_to_other_web_sites(self, operator: Operator, headers: dict[str, str]) -> None:
        async with operator.serving() as session:
            for path in ("/", "/operator/events"):
                assert (await answer(session.get(path, headers=headers)))[0] == 403
            assert (await answer(session.post("/operator/pause", headers=headers | bearer())))[0] == 403
            assert (await answer(session.get("/healthz", headers=headers)))[0] == 503, "it is for everybody"
        assert await operator.harness.store.controls() == Controls()

    async def test_beyond_this_machine_needs_the_token_for_everything(self, operator: Operator) -> None:
        async with operator.serving(health_host="0.0.0.0", operator_token=None) as session:
            status, text = await answer(session.get("/"))
            assert (status, "Set OPERATOR_TOKEN" in text) == (403, True)
            assert (await answer(session.get("/operator/events", headers=bearer())))[0] == 403
            assert "atelier_healthy" in (await answer(session.get("/metrics")))[1]
        async with operator.serving(health_host="0.0.0.0", operator_pictures=True) as session:
            assert (await answer(session.get("/", headers={"Host": "atelier.example"})))[0] == 200
            for path in ("/operator/events", f"/operator/jobs/{'0' * 16}/thumbnail"):
                assert (await answer(session.get(path)))[0] == 401
                assert (await answer(session.get(path, headers=bearer("wrong"))))[0] == 401
            assert (await state_with(session, lambda _: True, **bearer()))["members"] == []


class TestOpenPages:
    async def test_share_one_collection_and_leave_nothing_behind(
        self, operator: Operator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = 0
        overview = operator.harness.store.overview

        async def counting(limit: int) -> JobsAtAGlance:
            nonlocal asked
            asked += 1
            return await overview(limit)

        monkeypatch.setattr("bot.web.operator.collector.EVERY", 1000)  # the test says when
        monkeypatch.setattr(operator.harness.store, "overview", counting)
        async with operator.serving() as session:
            await answer(session.get("/"))
            before, page = asyncio.all_tasks(), operator.page
            assert page is not None
            first, second = set[int](), set[int]()

            async def watch() -> None:
                async with session.get("/operator/events") as response:
                    states = (data["at"] async for name, data in events(response) if name == "state")
                    for seen in (first, second):
                        seen.add(await anext(states))
                        arrived.release()

            arrived = asyncio.Semaphore(0)
            pages = [asyncio.create_task(watch()) for _ in range(10)]
            for _ in pages:
                await arrived.acquire()
            assert (len(first), asked) == (1, 1)
            page.collector.hurry()
            await asyncio.gather(*pages)
            assert (len(second), asked) == (1, 2)

            def left() -> bool:
                page.collector.hurry()  # a closed page is noticed at the next event
                return page.collector.pages == 0

            await eventually(left, "all pages are closed")
            await eventually(lambda: asyncio.all_tasks() <= before, "nothing runs any more")
            so_far = asked
            assert (await state_with(session, lambda _: True))["queued"] == 0
            assert asked == so_far + 1, "a new page must not show an old state"

    async def test_end_with_the_bot(self, operator: Operator) -> None:
        ended = asyncio.Event()
        async with operator.serving() as session:

            async def watch() -> None:
                async with session.get("/operator/events") as response:
                    try:
                        async for _ in events(response):
                            open_.set()
                    except (aiohttp.ClientError, asyncio.IncompleteReadError):
                        pass
                    ended.set()

            open_ = asyncio.Event()
            watching = asyncio.create_task(watch())
            await open_.wait()
            assert operator.page is not None
            await operator.page.collector.close()
            await ended.wait()
            await watching

    async def test_say_that_the_database_does_not_answer(
        self, operator: Operator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hangs = asyncio.Event()

        async def overview(limit: int) -> JobsAtAGlance:
            await hangs.wait()
            raise OSError("the database is gone")

        monkeypatch.setattr("bot.web.operator.collector.WITHIN", 0.1)
        monkeypatch.setattr(operator.harness.store, "overview", overview)
        async with operator.serving() as session, session.get("/operator/events") as response:
            async for name, data in events(response):
                if name == "state":
                    assert data["jobs"] is None
                    assert data["workers"] == []
                    break
            hangs.set()
