"""Structured logs on standard error. Secrets are redacted, and values from outside can't forge a line."""

import json
import logging
import sys
import threading
import warnings
from types import TracebackType
from typing import Any, Final, Literal

import structlog

from bot.telemetry.redaction import redactor

Form = Literal["console", "json"]

_BELOW: Final[tuple[str, ...]] = ("exception", "stack")
"""The keys of an entry that structlog prints below its line, over several lines."""
_MARGIN: Final = "    "
"""Indentation of each further line of an entry, so that none of them looks like an entry."""


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Redacts the finished line, including tracebacks, so that no call to a logger bypasses it."""

    def __init__(self, form: Form, secrets: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._form = form
        self._redacted = redactor(*secrets)

    def format(self, record: logging.LogRecord) -> str:
        """The line without secrets."""
        try:
            line = super().format(record)
        except Exception as error:
            # Otherwise logging would print the arguments of the call without redaction.
            place = f"{record.pathname}:{record.lineno}"
            message = f"a line from {place} could not be written: {type(error).__name__}"
            line = super().format(logging.LogRecord(record.name, record.levelno, place, 0, message, None, None))
        return self._redacted(_json_escaped(line) if self._form == "json" else line)


class _Handler(logging.StreamHandler[Any]):
    """Writes to standard error. Prints nothing if that fails."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Called by logging when a line can't be written. The default prints the arguments without redaction."""


def configure(level: str, form: Form, *secrets: str) -> None:
    """Send all log lines of this process, ours and the libraries', through one formatter.

    So are errors that end the process or a thread. ``secrets`` are redacted by value, other secrets by their shape.
    """
    import distributed  # noqa: F401 - its import changes levels and handlers of its loggers, so it comes first

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    rendering: list[Any] = [_name_stack, structlog.processors.format_exc_info]
    if form == "json":
        rendering += [structlog.processors.JSONRenderer(ensure_ascii=False)]
    else:
        console = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        rendering += [_escape, console]
    handler = _Handler(sys.stderr)
    handler.setFormatter(
        _Formatter(
            form,
            secrets,
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    for logger in list(root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):  # distributed gives its loggers handlers of their own
            logger.handlers.clear()
            logger.propagate = True
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("alembic", "distributed", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    for reported_by_us in ("distributed.client", "distributed.core"):  # tracebacks whenever a scheduler goes away
        logging.getLogger(reported_by_us).setLevel(logging.CRITICAL)
    sys.excepthook = _log_end
    threading.excepthook = _log_end_of_thread
    warnings.showwarning = _log_warning


def _log_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger(__name__).critical("stopped by an error", exc_info=(kind, error, trace))


def _log_end_of_thread(end: threading.ExceptHookArgs) -> None:
    if end.exc_value is None or issubclass(end.exc_type, SystemExit):
        return
    info = (end.exc_type, end.exc_value, end.exc_traceback)
    logging.getLogger(__name__).error("a thread was stopped by an error", exc_info=info)


def _log_warning(message: Warning | str, category: type[Warning], *_place: object, **_file: object) -> None:
    """Log a warning, because its text may come from outside, such as from a scheduler."""
    logging.getLogger("py.warnings").warning("%s: %s", category.__name__, message)


def _name_stack(_logger: object, _method: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Rename the stack that logging has rendered to structlog's key."""
    if stack := entry.pop("stack_info", None):
        entry["stack"] = stack
    return entry


def _escape(_logger: object, _method: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Escape characters that break lines, move the cursor, set colours, or change the writing direction.

    Names of files and members come from outside. They occur in our values, and in libraries' messages and errors.
    """
    below = {key: _indented(entry.pop(key)) for key in _BELOW if key in entry}
    event = entry.pop("event", "")
    return {
        "event": escaped(event if isinstance(event, str) else repr(event)),
        **{escaped(key): _shown(value) for key, value in entry.items()},
        **below,
    }


def _shown(value: object) -> object:
    """A value for the console. ConsoleRenderer quotes a text that could look like several values."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if value.isprintable() else _Shown(repr(value))
    return _Shown(escaped(repr(value)))


class _Shown:
    """A value that the console shows without quotes."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def escaped(text: str) -> str:
    """Escape every unprintable character as Python does: ``\\n``, ``\\x1b``, ``\\u202e``."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _indented(text: str) -> str:
    return "\n".join(_MARGIN + escaped(line) for line in text.split("\n"))


def _json_escaped(line: str) -> str:
    """The same for a line of JSON, whose unprintable characters are all within strings."""
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in line)
