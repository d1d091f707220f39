"""What an operator finds in the log: everything that happened, and no secret."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot import logs

Form = Literal["console", "json"]
FORMS: tuple[Form, ...] = ("console", "json")
TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GhIjKl.aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789-_"
KEY = "3sVt0y8pXoD0eFv0m1d0bWk5c2Fib3V0LWEta2V5LXg="
WORDS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


class Terminal(io.StringIO):
    """Standard error as a person looks at it: with colours."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Undo what is configured here: logging belongs to the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("alembic", "distributed", "asyncio")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def logged(form: Form, log: Callable[[], object], *, terminal: bool = False, level: str = "DEBUG") -> str:
    """What stands on standard error after `log`."""
    stream = Terminal() if terminal else io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        logs.configure(level, form, TOKEN, KEY)
        log()
    return stream.getvalue()


def parsed(output: str) -> list[dict[str, Any]]:
    """The lines as whoever collects the log reads them."""
    return [json.loads(line) for line in output.splitlines()]


def fail(error: Exception) -> None:
    """Raise it."""
    raise error


def raised(error: Exception) -> Exception:
    """The error with a traceback, and a cause."""
    try:
        fail(KeyError(*error.args))
    except KeyError as cause:
        error.__cause__ = cause
    try:
        fail(error)
    except RuntimeError as caught:
        return caught
    return error


class Wrapped:
    """Shows what it holds as a library's object does."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"<Wrapped at {self.text}>"


ours = structlog.get_logger("bot.somewhere")
theirs = logging.getLogger("discord.http")

WAYS: dict[str, Callable[[str], object]] = {
    "the message": lambda text: ours.info(text),  # noqa: PLW0108 - the logger looks up its configuration late
    "a value": lambda text: ours.info("event", address=text),
    "a value of a longer text": lambda text: ours.info("event", said=f'he said "{text}", and left'),
    "several lines": lambda text: ours.info("event", said=f"first\n{text}\nlast"),
    "a nested value": lambda text: ours.info(
        "event", request={"headers": [("url", text)], "deep": {"deeper": (text,)}}
    ),
    "the key of a dictionary": lambda text: ours.info("event", request={text: 1}),
    "a key that JSON does not take": lambda text: ours.info("event", request={(text, 1): text}),
    "bytes": lambda text: ours.info("event", body=text.encode()),
    "an object": lambda text: ours.info("event", address=Wrapped(text)),
    "JSON": lambda text: ours.info("event", body=json.dumps({"url": text})),
    "JSON within JSON": lambda text: ours.info("event", body=json.dumps({"body": json.dumps({"url": text})})),
    "a representation": lambda text: ours.info("event", error=repr(repr(Wrapped(repr(text))))),
    "the bound context": lambda text: ours.bind(url=text).warning("event"),
    "an error": lambda text: ours.error("event", exc_info=raised(RuntimeError(text))),
    "an error as a value": lambda text: ours.error("event", error=raised(RuntimeError(text))),
    "an error that is handled": lambda text: _handling(lambda: ours.exception("event"), text),
    "a library's message": lambda text: theirs.warning(text.replace("%", "%%") + "%s", ""),
    "a library's argument": lambda text: theirs.info("%s %r", text, {"url": text}),
    "a library's named argument": lambda text: theirs.info("%(url)s", {"url": text}),
    "a library's wrong argument": lambda text: theirs.info("%d", text),
    "a library's argument too many": lambda text: theirs.info("event", text),
    "a library's error": lambda text: _handling(lambda: theirs.exception("event"), text),
    "a library's extra": lambda text: theirs.info("event", extra={"url": text}),
    "a library's stack": lambda text: theirs.info("event %s", text, stack_info=True),
}


def _handling(log: Callable[[], object], text: str) -> None:
    try:
        fail(RuntimeError(text))
    except RuntimeError:
        log()


secrets = st.text(WORDS, min_size=24, max_size=80).filter(lambda text: text.strip("-_"))
SHAPES: dict[str, Callable[[str], str]] = {
    "the path of a webhook": lambda secret: (
        f"https://discord.com/api/v10/webhooks/1234/{secret}/messages/@original?wait=1"
    ),
    "the path of a webhook alone": lambda secret: f"/webhooks/1234/{secret}",
    "the path of a callback": lambda secret: f"https://discord.com/api/v10/interactions/1234/{secret}/callback",
    "a link": lambda secret: f"https://cdn.discordapp.com/attachments/1/2/a.png?ex=68a1&is=68a0&hm={secret}&",
    "a link that was cut": lambda secret: f"https://cdn.discordapp.com/attachments/1/2/a.png?hm={secret}",
    "the URL of a database": lambda secret: f"postgresql+asyncpg://atelier:{secret}@localhost:5432/atelier",
    "the URL of a cache": lambda secret: f"redis://:{secret}@localhost",
    "a header": lambda secret: f"Authorization: Bot {secret}",
    "a field": lambda secret: f"token={secret}",
    "a field of JSON": lambda secret: json.dumps({"application": 1, "token": secret, "channel": 2}),
    "a field as Python shows it": lambda secret: repr({"application": 1, "interaction_token": secret}),
}


@pytest.mark.parametrize("terminal", [False, True], ids=["piped", "terminal"])
@pytest.mark.parametrize("form", FORMS)
class TestNoSecretIsLogged:
    @pytest.mark.parametrize("way", WAYS)
    def test_not_the_bots_token(self, form: Form, terminal: bool, way: str) -> None:
        output = logged(form, lambda: WAYS[way](TOKEN), terminal=terminal)
        assert TOKEN not in output
        assert output

    @pytest.mark.parametrize("way", WAYS)
    def test_not_the_operators_other_secrets(self, form: Form, terminal: bool, way: str) -> None:
        output = logged(form, lambda: WAYS[way](KEY), terminal=terminal)
        assert KEY not in output
        assert output

    @pytest.mark.parametrize("shape", SHAPES)
    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(secret=secrets, way=st.sampled_from(sorted(WAYS)))
    def test_not_the_tokens_and_signatures_that_come_and_go(
        self, form: Form, terminal: bool, shape: str, secret: str, way: str
    ) -> None:
        output = logged(form, lambda: WAYS[way](SHAPES[shape](secret)), terminal=terminal)
        assert secret not in output
        assert output
        if form == "json":
            parsed(output)

    @pytest.mark.parametrize("key", ["token", "interaction_token", "TOKEN", "Token"])
    @settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(secret=secrets)
    def test_not_what_is_called_a_token(self, form: Form, terminal: bool, key: str, secret: str) -> None:
        def log() -> None:
            ours.info("event", **{key: secret})
            ours.info("event", request={"headers": {key: secret}})

        assert secret not in logged(form, log, terminal=terminal)


class TestTheRestIsLogged:
    @pytest.mark.parametrize("form", FORMS)
    def test_around_a_secret(self, form: Form) -> None:
        url = "https://discord.com/api/v10/webhooks/1234/SECRET-SECRET/messages/5?thread=6"
        output = logged(form, lambda: ours.info("before", url=url, after="after"))
        assert "https://discord.com/api/v10/webhooks/1234/…/messages/5?thread=6" in output
        assert all(word in output for word in ("before", "after"))

    def test_of_addresses_without_a_password(self) -> None:
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
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_json_is_one_object_a_line_whatever_it_holds(self, values: dict[str, Any]) -> None:
        output = logged("json", lambda: ours.info("event", **values))
        (line,) = output.removesuffix("\n").split("\n")
        found = json.loads(line)
        assert (found["event"], found["level"], found["logger"]) == ("event", "info", "bot.somewhere")
        assert set(values) <= set(found)

    @pytest.mark.parametrize("value", [12345678901, -12345678901, 12345678.25, 1e22, True, None])
    def test_numbers_and_truth_values_stay_what_they_are(self, value: float | None) -> None:
        (line,) = parsed(logged("json", lambda: ours.info("event", max_token=value, after={"token": value})))
        assert (line["max_token"], line["after"]) == (value, {"token": value})

    @pytest.mark.parametrize("form", FORMS)
    def test_errors_with_their_traceback_and_cause(self, form: Form) -> None:
        for log in (ours, theirs):
            output = logged(form, lambda log=log: log.error("event", exc_info=raised(RuntimeError("boom"))))  # type: ignore[misc]
            assert all(word in output for word in ("Traceback", "RuntimeError: boom", "KeyError", "in fail"))

    @pytest.mark.parametrize("form", FORMS)
    def test_a_call_that_can_not_be_shown_is_told_by_its_place(self, form: Form) -> None:
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
    def test_the_job_in_hand_stands_on_each_line(self, form: Form) -> None:
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
    def test_libraries_speak_in_the_same_form(self, name: str) -> None:
        (line,) = parsed(logged("json", lambda: logging.getLogger(name).warning("It is %s", "late")))
        assert (line["event"], line["logger"], line["level"]) == ("It is late", name, "warning")
        assert line["timestamp"].endswith("Z")

    @pytest.mark.parametrize("form", FORMS)
    def test_libraries_with_handlers_of_their_own_speak_in_the_same_form(self, form: Form) -> None:
        library = logging.getLogger("a.library")
        own = io.StringIO()
        library.addHandler(logging.StreamHandler(own))
        library.propagate = False
        output = logged(form, lambda: library.warning("It is at /webhooks/1234/%s", TOKEN))
        assert "It is at /webhooks/1234/…" in output
        assert own.getvalue() == ""

    def test_by_level(self) -> None:
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

    def test_once(self) -> None:
        def log() -> None:
            logs.configure("INFO", "json")
            logs.configure("INFO", "json")
            ours.info("event")

        assert len(parsed(logged("json", log))) == 1

    def test_on_standard_error_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        logs.configure("INFO", "json")
        ours.info("event")
        out, error = capsys.readouterr()
        assert (out, len(parsed(error))) == ("", 1)
