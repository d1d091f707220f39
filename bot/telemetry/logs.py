"""Structured logs, on standard error: no secret leaves through them, and no value from outside forges a line."""

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
"""What structlog prints below the line, over several lines."""
_MARGIN: Final = "    "
"""Before each further line of an entry, so that none of them looks like an entry of its own."""


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Goes over the finished line, traceback and all, so that no way of logging gets around it."""

    def __init__(self, form: Form, secrets: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._form = form
        self._redacted = redactor(*secrets)

    def format(self, record: logging.LogRecord) -> str:
        """The line without secrets."""
        try:
            line = super().format(record)
        except Exception as error:
            # Left alone, logging prints the call's arguments as they are.
            place = f"{record.pathname}:{record.lineno}"
            told = f"a line from {place} could not be written: {type(error).__name__}"
            line = super().format(logging.LogRecord(record.name, record.levelno, place, 0, told, None, None))
        return self._redacted(_json_escaped(line) if self._form == "json" else line)


class _Handler(logging.StreamHandler[Any]):
    """Writes to standard error, or else nothing."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Called by logging when a line can't be written; its own way prints the call's arguments as they are."""


def configure(level: str, form: Form, *secrets: str) -> None:
    """Send everything that this process logs, ours and libraries', through one formatter.

    So are errors that end the process or a thread. ``secrets`` are taken out by value, others by their shape.
    """
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
    """Log a warning: its text may come from outside, such as from a scheduler."""
    logging.getLogger("py.warnings").warning("%s: %s", category.__name__, message)


def _name_stack(_logger: object, _method: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Call the stack that logging has rendered what structlog calls it."""
    if stack := entry.pop("stack_info", None):
        entry["stack"] = stack
    return entry


def _escape(_logger: object, _method: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Keep an entry on its line: what moves the cursor, colours, or turns the direction of writing is shown as a code.

    Names of files and people come from outside, and stand in our values as in libraries' messages and errors.
    """
    below = {key: _indented(entry.pop(key)) for key in _BELOW if key in entry}
    event = entry.pop("event", "")
    return {
        "event": escaped(event if isinstance(event, str) else repr(event)),
        **{escaped(key): _shown(value) for key, value in entry.items()},
        **below,
    }


def _shown(value: object) -> object:
    """A value as the console shows it: ConsoleRenderer quotes a text where it could be taken for several values."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if value.isprintable() else _Shown(repr(value))
    return _Shown(escaped(repr(value)))


class _Shown:
    """What is shown as it stands here."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def escaped(text: str) -> str:
    """``text`` with everything that is not printable as Python writes it: ``\\n``, ``\\x1b``, ``\\u202e``."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _indented(text: str) -> str:
    return "\n".join(_MARGIN + escaped(line) for line in text.split("\n"))


def _json_escaped(line: str) -> str:
    """The same for a line of JSON, where whatever is not printable stands within a string."""
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in line)
