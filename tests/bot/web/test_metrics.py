"""`/metrics` as Prometheus reads it, and the dashboard."""

import asyncio
import json
import math
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import discord
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

import bot.web
from bot.client.client import Atelier
from bot.client.services import Services
from bot.jobs.model import State
from bot.telemetry import metrics
from engine.progress import Progress
from tests.bot.jobs.conftest import job
from tests.bot.web.conftest import Operated
from tests.waiting import eventually

MESSAGES = "POST /channels/{channel_id}/messages"
OPERATING = Path(__file__).parents[3] / "docs" / "operating.md"
DASHBOARD = Path(bot.web.__file__).parent / "grafana.json"


async def scraped(operated: Operated) -> dict[str, Metric]:
    """The metrics that are served, by name."""
    status, text = await operated.get("/metrics")
    assert status == 200
    return {family.name: family for family in text_string_to_metric_families(text)}


async def sample(operated: Operated, family: str, suffix: str = "", **labels: str) -> float:
    """The value of one metric, or 0 if it is missing."""
    found = (await scraped(operated))[family].samples
    return next(
        (each.value for each in found if each.name == family + suffix and labels.items() <= each.labels.items()), 0.0
    )


def progress(scale: int, seconds: float | None, device: str = "A fast card") -> Progress:
    """A progress of a painting."""
    return Progress(1, 10, scale, 1.0, 0.5, 0.5, 1.0, 9.0, device=device, step_seconds=seconds)


class TestTheEndpoint:
    @pytest.mark.parametrize(
        ("accept", "form", "parse"),
        [
            ("", "text/plain; version=0.0.4; charset=utf-8", text_string_to_metric_families),
            (
                "application/openmetrics-text; version=1.0.0",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                open_metrics,
            ),
        ],
        ids=["text", "OpenMetrics"],
    )
    async def test_speaks_what_prometheus_asks_for(
        self, operated: Operated, accept: str, form: str, parse: Any
    ) -> None:
        async with (
            operated.serving(),
            aiohttp.ClientSession() as session,
            session.get(
                f"http://127.0.0.1:{operated.settings.health_port}/metrics", headers={"Accept": accept}
            ) as response,
        ):
            assert response.status == 200
            assert response.headers["Content-Type"].startswith(form)
            assert "atelier_queue_jobs" in {family.name for family in parse(await response.text())}

    async def test_documents_and_names_each_metric_as_prometheus_asks(self, operated: Operated) -> None:
        async with operated.serving():
            families = await scraped(operated)
        for name, family in families.items():
            assert re.fullmatch(r"(atelier|process)_[a-z_]+", name)
            assert len(family.documentation) > 20
            assert not re.search(r"_(ms|milliseconds|kb|mb|minutes)\b", name)
            if family.type == "histogram":
                assert name.endswith("_seconds")

    async def test_answers_while_a_part_hangs_and_shows_no_old_number(
        self, operated: Operated, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bot.web.health.CHECK_TIMEOUT", 0.5)
        async with operated.connected():
            assert await sample(operated, "atelier_slots") == 1
            assert await sample(operated, "atelier_healthy", part="workers") == 1
            operated.workers.answers.clear()
            assert math.isnan(await sample(operated, "atelier_slots"))
            assert await sample(operated, "atelier_healthy", part="workers") == 0
            assert await sample(operated, "atelier_healthy", part="database") == 1
            operated.workers.answers.set()

    async def test_answers_many_at_once(self, operated: Operated) -> None:
        async with operated.connected():
            answers = await asyncio.gather(*(operated.get("/metrics") for _ in range(20)))
        assert {status for status, _ in answers} == {200}


class TestTheSurroundings:
    async def test_free_room_on_the_disk(self, operated: Operated) -> None:
        async with operated.serving():
            assert await sample(operated, "atelier_storage_free_bytes") > 0

    async def test_the_line_of_jobs(self, operated: Operated) -> None:
        async with operated.serving():
            assert await sample(operated, "atelier_queue_jobs") == 0
            assert await sample(operated, "atelier_queue_oldest_seconds") == 0
            an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
            await operated.store.add(job(), "a process", "a pool", 3)
            await operated.store.add(job(created_at=an_hour_ago), "another", "a pool", 3)
            await operated.store.add(job(state=State.RUNNING), "another", "a pool", 3)
            assert await sample(operated, "atelier_queue_jobs") == 2
            assert await sample(operated, "atelier_queue_oldest_seconds") >= 3600

    async def test_a_line_that_is_not_known(self, operated: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
        async def queue_stats() -> tuple[int, float]:
            raise OSError("the database is gone")

        async with operated.serving():
            monkeypatch.setattr(operated.store, "queue_stats", queue_stats)
            assert math.isnan(await sample(operated, "atelier_queue_jobs"))
            assert math.isnan(await sample(operated, "atelier_queue_oldest_seconds"))

    async def test_a_loop_that_is_held_up(self, operated: Operated) -> None:
        async with operated.serving():

            async def looks() -> bool:
                return await sample(operated, "atelier_event_loop_lag_seconds", "_count") > before

            before = await sample(operated, "atelier_event_loop_lag_seconds", "_count")
            lag = await sample(operated, "atelier_event_loop_lag_seconds", "_sum")
            await eventually(looks, "a look at the loop")
            time.sleep(0.6)  # noqa: ASYNC251 - that is the point
            before = await sample(operated, "atelier_event_loop_lag_seconds", "_count")
            await eventually(looks, "another look")
            assert await sample(operated, "atelier_event_loop_lag_seconds", "_sum") > lag + 0.3


class TestSteps:
    @pytest.fixture(autouse=True)
    def nothing_painted_yet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(metrics, "_devices", set())

    def test_of_many_devices_are_few_labels(self) -> None:
        """Workers choose the names of their devices."""
        for number in range(100):
            metrics.observe_step(progress(512, 0.1, device=f"Worker's own {number}"))
        labels = {each.labels["device"] for each in next(iter(metrics.STEP.collect())).samples}
        assert "other" in labels
        assert len({each for each in labels if "Worker's own" in each}) == 20

    def test_are_kept_by_device_and_class_of_size(self) -> None:
        def count(size: int, device: str = "A fast card") -> float:
            labels = {"device": device, "size": str(size)}
            return metrics.REGISTRY.get_sample_value("atelier_step_seconds_count", labels) or 0

        before = count(512), count(1024), count(128, "unknown")
        for scale in (257, 400, 512):
            metrics.observe_step(progress(scale, 0.25))
        metrics.observe_step(progress(768, 0.5))
        metrics.observe_step(progress(100, 0.1, device=""))
        assert (count(512), count(1024), count(128, "unknown")) == (before[0] + 3, before[1] + 1, before[2] + 1)

    def test_are_not_there_before_the_first(self) -> None:
        before = list(next(iter(metrics.STEP.collect())).samples)
        metrics.observe_step(progress(512, None, device="Nobody's"))
        assert list(next(iter(metrics.STEP.collect())).samples) == before

    def test_of_any_size_take_few_labels(self) -> None:
        for scale in range(64, 20_000, 37):
            metrics.observe_step(progress(scale, 0.1, device="Anyone's"))
        sizes = {
            each.labels["size"] for each in next(iter(metrics.STEP.collect())).samples if "Any" in each.labels["device"]
        }
        assert len(sizes) <= 8


def channel(operated: Operated, client: Atelier) -> discord.PartialMessageable:
    """A channel that the bot may write to."""
    return client.get_partial_messageable(operated.local.channel_id)


class TestTraffic:
    async def test_is_counted_by_route_and_status(self, operated: Operated) -> None:
        async with operated.connected() as client:
            sent = {"route": "message", "status": "200"}
            failed = {"route": "message", "status": "500"}
            before = [await sample(operated, "atelier_discord_requests", "_total", **each) for each in (sent, failed)]
            operated.local.fail_next(MESSAGES, 500)
            await channel(operated, client).send("Hello")
            after = [await sample(operated, "atelier_discord_requests", "_total", **each) for each in (sent, failed)]
            assert after == [before[0] + 1, before[1] + 1]
            assert await sample(operated, "atelier_discord_requests", "_total", route="gateway", status="101") >= 1

    async def test_of_webhooks_is_counted_too(self, operated: Operated) -> None:
        async with operated.connected() as client:
            gone = {"route": "webhook", "status": "404"}
            before = await sample(operated, "atelier_discord_requests", "_total", **gone)
            webhook = discord.Webhook.partial(operated.local.application_id, "unknown", client=client)
            with pytest.raises(discord.NotFound):
                await webhook.edit_message(1, content="Hello")
            assert await sample(operated, "atelier_discord_requests", "_total", **gone) == before + 1

    async def test_that_is_limited_is_counted_though_discord_py_repeats_it(self, operated: Operated) -> None:
        async with operated.connected() as client:
            mine = {"route": "message", "scope": "user"}
            before = await sample(operated, "atelier_discord_rate_limited", "_total", **mine)
            operated.local.rate_limit_next(MESSAGES, 0.05)
            await channel(operated, client).send("Hello")
            assert await sample(operated, "atelier_discord_rate_limited", "_total", **mine) == before + 1

    async def test_without_an_answer_is_counted(self, operated: Operated, unused_tcp_port_factory: Any) -> None:
        async with operated.connected() as client:
            unanswered = {"route": "message", "status": "error"}
            before = await sample(operated, "atelier_discord_requests", "_total", **unanswered)
            discord.http.Route.BASE = f"http://127.0.0.1:{unused_tcp_port_factory()}/api/v10"
            with pytest.raises(aiohttp.ClientConnectorError):
                await channel(operated, client).send("Hello")
            assert await sample(operated, "atelier_discord_requests", "_total", **unanswered) == before + 1

    async def test_shows_how_soon_a_command_is_acknowledged(self, operated: Operated, services: Services) -> None:
        operated.services = services
        async with operated.connected() as client:

            @client.tree.command(description="Answer")
            async def answer(interaction: discord.Interaction) -> None:
                await asyncio.sleep(0.2)
                await interaction.response.send_message("Here")

            await client.tree.sync()
            name = "atelier_acknowledgement_seconds"
            counts = [await sample(operated, name, "_count", since=since) for since in ("created", "received")]
            sums = [await sample(operated, name, "_sum", since=since) for since in ("created", "received")]
            invocation = await operated.local.member("Ann").invoke("answer")
            await invocation.wait_until(lambda message: message.content == "Here")
            for since, count, total in zip(("created", "received"), counts, sums, strict=True):
                assert await sample(operated, name, "_count", since=since) == count + 1
                assert await sample(operated, name, "_sum", since=since) > total + 0.15

    async def test_shows_the_gateways_heartbeat(self, operated: Operated) -> None:
        async with operated.serving():
            assert math.isnan(await sample(operated, "atelier_gateway_heartbeat_seconds"))
        async with operated.connected():

            async def beats() -> bool:
                return await sample(operated, "atelier_gateway_heartbeat_seconds") >= 0

            await eventually(beats, "a heartbeat")


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard, without rows."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """All queries of the dashboard."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


class TestTheDashboard:
    NAME = re.compile(r"\b(?:atelier|process)_[a-z0-9_]+")

    def served(self) -> dict[str, set[str]]:
        """The names that Prometheus knows, by metric."""
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
        return {
            family.name: {family.name + suffix for suffix in suffixes[family.type]}
            for family in metrics.REGISTRY.collect()
        }

    def test_asks_for_nothing_that_is_not_there(self) -> None:
        known = set().union(*self.served().values())
        assert {name for each in expressions() for name in self.NAME.findall(each)} <= known

    def test_shows_every_metric_of_ours(self) -> None:
        asked = {name for each in expressions() for name in self.NAME.findall(each)}
        assert [
            name for name, names in self.served().items() if name.startswith("atelier_") and not names & asked
        ] == []

    def test_is_not_alone_in_telling_of_them(self) -> None:
        section = OPERATING.read_text(encoding="utf-8").split("## Health and metrics")[1].split("\n## ")[0]
        named = set(re.findall(r"`([a-z_]+)`", section))
        expected = {
            name.removeprefix("atelier_") + ("_total" if f"{name}_total" in names else "")
            for name, names in self.served().items()
            if name.startswith("atelier_")
        }
        assert expected - named == set()

    def test_uses_labels_that_are_there(self) -> None:
        known = {"le", "instance", "job"}
        for family in (value for value in vars(metrics).values() if hasattr(value, "_labelnames")):
            known |= set(family._labelnames)
        for each in expressions():
            by = [name.strip() for group in re.findall(r"by \(([^)]*)\)", each) for name in group.split(",")]
            matched = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\"", each)
            assert {*by, *matched} <= known

    def test_takes_rates_of_counters_alone(self) -> None:
        gauges = {family.name for family in metrics.REGISTRY.collect() if family.type == "gauge"}
        for each in expressions():
            rated = set(re.findall(r"(?:rate|increase)\((\w+)", each))
            assert not rated & gauges
            assert rated == {name for name in self.NAME.findall(each) if name not in gauges}

    def test_has_a_unit_and_a_description_for_each_panel(self) -> None:
        for panel in panels():
            assert panel["title"]
            assert panel["description"]
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert all(target["legendFormat"] for target in panel["targets"])
            assert panel["datasource"]["uid"] == "${datasource}"

    def test_lays_its_panels_out_side_by_side(self) -> None:
        everything = json.loads(DASHBOARD.read_text())["panels"]
        assert len({panel["id"] for panel in everything}) == len(everything)
        taken: set[tuple[int, int]] = set()
        for panel in everything:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken
            assert max(x for x, _ in cells) < 24
            taken |= cells
