"""Every way to log something, and what standard error then shows."""

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
import structlog

from bot.telemetry import logs

Form = Literal["console", "json"]
FORMS: tuple[Form, ...] = ("console", "json")
TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GhIjKl.aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789-_"


class Terminal(io.StringIO):
    """Standard error as a terminal, so that the log uses colours."""

    def isatty(self) -> bool:
        return True


@contextmanager
def listening(*, terminal: bool = False) -> Iterator[io.StringIO]:
    """Capture standard error. At the end, restore the configuration of logging, which is global."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("alembic", "distributed", "asyncio")}
    stream = Terminal() if terminal else io.StringIO()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stderr", stream)
            patch.setattr(sys, "excepthook", sys.excepthook)
            patch.setattr(threading, "excepthook", threading.excepthook)
            patch.setattr(warnings, "showwarning", warnings.showwarning)
            yield stream
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
        structlog.contextvars.clear_contextvars()
        structlog.reset_defaults()


def logged(
    form: Form, log: Callable[[], object], *, terminal: bool = False, level: str = "DEBUG", also: str = ""
) -> str:
    """What `log` writes to standard error."""
    with listening(terminal=terminal) as stream:
        logs.configure(level, form, TOKEN, also)
        log()
    return stream.getvalue()


def parsed(output: str) -> list[dict[str, Any]]:
    """The lines as a log collector parses them."""
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
    """An object whose representation shows its value, as a library's may."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"<Wrapped at {self.text}>"


def warned(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(text, RuntimeWarning, stacklevel=1)


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
    "bytes": lambda text: ours.info("event", body=text.encode(errors="surrogatepass")),
    "an object": lambda text: ours.info("event", address=Wrapped(text)),
    "JSON": lambda text: ours.info("event", body=json.dumps({"url": text})),
    "JSON within JSON": lambda text: ours.info("event", body=json.dumps({"body": json.dumps({"url": text})})),
    "a representation": lambda text: ours.info("event", error=repr(repr(Wrapped(repr(text))))),
    "the bound context": lambda text: ours.bind(url=text).warning("event"),
    "an error": lambda text: ours.error("event", exc_info=raised(RuntimeError(text))),
    "an error as a value": lambda text: ours.error("event", error=raised(RuntimeError(text))),
    "an error that is handled": lambda text: handling(lambda: ours.exception("event"), text),
    "a library's message": lambda text: theirs.warning(text.replace("%", "%%") + "%s", ""),
    "a library's argument": lambda text: theirs.info("%s %r", text, {"url": text}),
    "a library's named argument": lambda text: theirs.info("%(url)s", {"url": text}),
    "a library's wrong argument": lambda text: theirs.info("%d", text),
    "a library's argument too many": lambda text: theirs.info("event", text),
    "a library's error": lambda text: handling(lambda: theirs.exception("event"), text),
    "a library's extra": lambda text: theirs.info("event", extra={"url": text}),
    "a library's warning": warned,
    "a library's stack": lambda text: theirs.info("event %s", text, stack_info=True),
}


def handling(log: Callable[[], object], text: str) -> None:
    try:
        fail(RuntimeError(text))
    except RuntimeError:
        log()
