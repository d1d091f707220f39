"""The log: it has every event, on a line that no value can break or forge."""

import asyncio
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.telemetry import logs
from tests.bot.logged import FORMS, TOKEN, WAYS, Form, handling, listening, logged, ours, parsed, raised, theirs


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Restore the configuration of logging."""
    with listening():
        yield


ESCAPES = {
    "a line of its own": "town.png\n2026-11-22T12:00:00.000000Z [info     ] job delivered job=0000",
    "a line over this one": "town.png\r2026-11-22T12:00:00.000000Z [info     ] job delivered",
    "a cleared screen": "town\x1b[2J\x1b[H.png",
    "a colour": "\x1b[31mtown\x1b[0m.png",
    "a title of the terminal": "\x1b]0;root@host\x07town.png",
    "a C1 control": "town\x9b2J.png",
    "another direction": "town\u202egnp.exe",
    "an isolated direction": "\u2067town\u2069",
    "Unicode's line ends": "town\u2028[error] forged\u2029\x85\x0b\x0cx",
    "no character": "town\ud800.png",
    "an invisible one": "to\u200bwn\ufeff\U000e0041.png",
}
FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
ENTRY = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[\w+ *\] ")


def forged(output: str) -> list[str]:
    """Lines after the first that look like the start of an entry."""
    return [line for line in output.splitlines()[1:] if line and not line.startswith("    ")]


class TestNoValueForgesALine:
    @pytest.mark.parametrize("escape", ESCAPES)
    def test_on_the_console(self, escape: str) -> None:
        for way, say in WAYS.items():
            output = logged("console", lambda say=say: say(ESCAPES[escape]))  # type: ignore[misc]
            assert not FORBIDDEN.search(output), way
            assert forged(output) == [], way
            assert ENTRY.match(output), way
            if "error" not in way and "stack" not in way:
                assert len(output.splitlines()) == 1, way

    @pytest.mark.parametrize("escape", sorted(set(ESCAPES) - {"a colour"}))
    def test_on_a_terminal(self, escape: str) -> None:
        for way, say in WAYS.items():
            output = logged("console", lambda say=say: say(ESCAPES[escape]), terminal=True)  # type: ignore[misc]
            ours = re.sub(r"\x1b\[\d*(?:;\d+)*m", "", output)
            assert not FORBIDDEN.search(ours), way
            assert forged(ours) == [], way

    @pytest.mark.parametrize("escape", ESCAPES)
    def test_in_json(self, escape: str) -> None:
        for way, say in WAYS.items():
            output = logged("json", lambda say=say: say(ESCAPES[escape]))  # type: ignore[misc]
            assert not FORBIDDEN.search(output), way
            (line,) = parsed(output)
            assert line["level"]

    @pytest.mark.parametrize("escape", ESCAPES)
    def test_and_json_keeps_the_value_unchanged(self, escape: str) -> None:
        (line,) = parsed(logged("json", lambda: ours.info("event", file=ESCAPES[escape])))
        assert line["file"] == ESCAPES[escape]

    @given(st.text(), st.text(), st.text(min_size=1))
    @settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_with_any_text(self, event: str, value: str, key: str) -> None:
        def log() -> None:
            ours.info(event, value=value, request={key: [value]}, **{f"key_{key}": value})
            theirs.warning("%s of %r", value, value)

        output = logged("console", log)
        first, second = output.removesuffix("\n").split("\n")
        assert first.isprintable()
        assert second.isprintable()

    @pytest.mark.parametrize("value", ["a b=c", "a job=0000", "'", 'say "x"'])
    def test_or_another_value(self, value: str) -> None:
        assert f" file={value!r}" in logged("console", lambda: ours.info("event", file=value))

    def test_and_ordinary_values_are_readable(self) -> None:
        output = logged("console", lambda: ours.info("wörter ☃ 🎨", name="Größe.png", count=3, ratio=0.5, well=True))
        line = ENTRY.sub("", output).split()
        assert line == ["wörter", "☃", "🎨", "[bot.somewhere]", "count=3", "name=Größe.png", "ratio=0.5", "well=True"]

    def test_and_a_traceback_is_indented_below_its_line(self) -> None:
        output = logged("console", lambda: handling(lambda: ours.exception("event"), "first\n2026 second"))
        head, *below = output.splitlines()
        assert ENTRY.match(head)
        assert below[0] == "    Traceback (most recent call last):"
        assert below[-2:] == ["    RuntimeError: first", "    2026 second"]


class TestTheBoundJob:
    @pytest.mark.parametrize("form", FORMS)
    async def test_is_on_each_line_of_the_tasks_that_it_started(self, form: Form) -> None:
        job = "5f420c727cca59b4"

        async def work() -> None:
            await asyncio.sleep(0)
            executor = logging.getLogger("engine.executor.executor")
            executor.warning("a worker died under a painting (attempt %d): %s", 1, "why")
            await asyncio.gather(paint(), edit(), asyncio.to_thread(ours.info, "in a thread"))
            handling(lambda: ours.exception("failed"), "why")

        async def paint() -> None:
            logging.getLogger("engine.painting.loop").info("a step")

        async def edit() -> None:
            logging.getLogger("discord.http").warning("We are being rate limited. %s", "PATCH")
            logging.getLogger("discord.webhook.async_").debug("Webhook ID %s", 5)

        async def begin() -> None:
            with structlog.contextvars.bound_contextvars(job=job):
                task = asyncio.create_task(work())
            # The task that started it has continued.
            await task
            ours.info("something else")

        with listening() as stream:
            logs.configure("DEBUG", form)
            await begin()
        lines = [
            line for line in stream.getvalue().splitlines() if not line.startswith("    ") and "asyncio" not in line
        ]
        assert [job in line for line in lines] == [True] * 6 + [False]
        if form == "json":
            assert [line.get("job") for line in parsed("\n".join(lines))] == [job] * 6 + [None]


class TestEverythingElseIsLogged:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize(
        "text",
        [
            "tcp://10.0.0.1:8786 and me@example.org",
            "http://127.0.0.1:8080/api/v10/webhooks/1/…/messages/@original",
            "tls://scheduler:8786",
            "postgresql+asyncpg://atelier@db/atelier",
            "the token of a job is 5f420c727cca59b4",
            "5f420c727cca59b4 abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789",
            "steps=90 seconds=41.2 size=512",
        ],
    )
    def test_what_only_resembles_a_secret(self, form: Form, text: str) -> None:
        assert text in logged(form, lambda: ours.info("event", said=text))

    @pytest.mark.parametrize("form", FORMS)
    def test_around_a_secret(self, form: Form) -> None:
        url = "https://discord.com/api/v10/webhooks/1234/SECRET-SECRET/messages/5?thread=6"
        output = logged(form, lambda: ours.info("before", url=url, after="after"))
        assert "https://discord.com/api/v10/webhooks/1234/…/messages/5?thread=6" in output
        assert all(word in output for word in ("before", "after"))

    def test_including_addresses_without_a_password(self) -> None:
        urls = ["http://127.0.0.1:8080/api/v10/users/@me", "tls://host:8786", "https://host:443/a, mail me@host"]
        (line,) = parsed(logged("json", lambda: ours.info("event", urls=urls)))
        assert line["urls"] == urls

    @given(
        st.dictionaries(
            st.text("abcdefgh_", min_size=1).map("key_{}".format),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
                lambda values: st.lists(values) | st.dictionaries(st.text(), values),
                max_leaves=5,
            ),
        )
    )
    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_as_one_json_object_on_each_line(self, values: dict[str, Any]) -> None:
        output = logged("json", lambda: ours.info("event", **values))
        (line,) = output.removesuffix("\n").split("\n")
        found = json.loads(line)
        assert (found["event"], found["level"], found["logger"]) == ("event", "info", "bot.somewhere")
        assert set(values) <= set(found)

    @pytest.mark.parametrize("value", [12345678901, -12345678901, 12345678.25, 1e22, True, None])
    def test_numbers_and_booleans_keep_their_type(self, value: float | None) -> None:
        (line,) = parsed(logged("json", lambda: ours.info("event", max_token=value, after={"token": value})))
        assert (line["max_token"], line["after"]) == (value, {"token": value})

    @pytest.mark.parametrize("form", FORMS)
    def test_errors_with_their_traceback_and_cause(self, form: Form) -> None:
        for log in (ours, theirs):
            output = logged(form, lambda log=log: log.error("event", exc_info=raised(RuntimeError("boom"))))  # type: ignore[misc]
            assert all(word in output for word in ("Traceback", "RuntimeError: boom", "KeyError", "in fail"))

    @pytest.mark.parametrize("form", FORMS)
    def test_a_call_that_cannot_be_formatted_is_logged_with_its_place(self, form: Form) -> None:
        class Broken:
            def __repr__(self) -> str:
                raise ValueError("no")

        for log in (
            lambda: theirs.warning("%d", "text"),
            lambda: ours.warning("event", value=Broken()),
            lambda: ours.warning("event", value={(1, 2): 3, "broken": Broken()}),
        ):
            output = logged(form, log)
            assert "test_logs.py" in output
            assert "could not be written" in output
            assert len(output.splitlines()) == 1

    @pytest.mark.parametrize("form", FORMS)
    def test_with_the_bound_job_on_each_line(self, form: Form) -> None:
        def log() -> None:
            with structlog.contextvars.bound_contextvars(job="5f420c727cca59b4"):
                ours.info("ours")
                theirs.warning("theirs")
            ours.info("after")

        first, second, after = logged(form, log).splitlines()
        assert "5f420c727cca59b4" in first
        assert "5f420c727cca59b4" in second
        assert "5f420c727cca59b4" not in after

    @pytest.mark.parametrize("name", ["discord.gateway", "aiohttp.server", "sqlalchemy.engine", "py.warnings"])
    def test_libraries_log_in_the_same_format(self, name: str) -> None:
        (line,) = parsed(logged("json", lambda: logging.getLogger(name).warning("It is %s", "late")))
        assert (line["event"], line["logger"], line["level"]) == ("It is late", name, "warning")
        assert line["timestamp"].endswith("Z")

    @pytest.mark.parametrize("form", FORMS)
    def test_libraries_with_their_own_handlers_log_in_the_same_format(self, form: Form) -> None:
        library = logging.getLogger("a.library")
        own = io.StringIO()
        library.addHandler(logging.StreamHandler(own))
        library.propagate = False
        output = logged(form, lambda: library.warning("It is at /webhooks/1234/%s", TOKEN))
        assert "It is at /webhooks/1234/…" in output
        assert own.getvalue() == ""

    def test_according_to_the_level(self) -> None:
        def log() -> None:
            for logger in (ours, theirs, logging.getLogger("distributed.worker"), logging.getLogger("asyncio")):
                logger.debug("debug")
                logger.info("info")
                logger.warning("warning")

        said = {level: logged("json", log, level=level) for level in ("DEBUG", "INFO", "WARNING", "ERROR")}
        count = {level: [line["level"] for line in parsed(said[level])] for level in said}
        assert {level: len(lines) for level, lines in count.items()} == {
            "DEBUG": 8,
            "INFO": 6,
            "WARNING": 4,
            "ERROR": 0,
        }

    def test_only_once(self) -> None:
        def log() -> None:
            logs.configure("INFO", "json")
            logs.configure("INFO", "json")
            ours.info("event")

        assert len(parsed(logged("json", log))) == 1

    def test_only_on_standard_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        logs.configure("INFO", "json")
        ours.info("event")
        out, error = capsys.readouterr()
        assert (out, len(parsed(error))) == ("", 1)


def test_a_library_that_is_imported_later_keeps_its_level() -> None:
    """The import of Dask's distributed changes the levels and handlers of its loggers."""
    code = (
        "import logging; from bot.telemetry import logs; logs.configure('INFO', 'console');"
        "import distributed; logging.getLogger('distributed.scheduler').info('Receive client connection')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
