"""Structured logs, on standard error, from which no secret leaves."""

import logging
import re
import sys
from collections.abc import Sequence
from typing import Any, Final, Literal

import structlog

_COLOUR: Final = r"(?:\x1b\[[\d;]*m)*"
_QUOTE: Final = r"(?:\\*['\"])?"
"""Within JSON, within JSON …, a quote stands behind backslashes."""
_NUMBER: Final = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?=[,}\]])"
_SECRETS: Final = (
    # Interaction and webhook tokens stand in paths of Discord's API.
    (re.compile(r"(/(?:webhooks|interactions)/\d+/)[^/\s?'\"\\\x1b]+"), r"\1…"),
    # Passwords in URLs of databases and the like.
    (re.compile(r"(\w://[^\s/:@'\"]*:)[^\s/@'\"]+(?=@)"), r"\1…"),
    # Links to the CDN are signed.
    (re.compile(r"([?&](?:ex|is|hm|signature)=)[^&\s'\"\\\x1b]+"), r"\1…"),
    (re.compile(r"(Bot )[\w.-]{20,}"), r"\1…"),
    (re.compile(rf"(?i)(token{_QUOTE}{_COLOUR}\s*[:=]\s*{_COLOUR}{_QUOTE})(?!{_NUMBER})[\w.-]{{8,}}"), r"\1…"),
)


class _Redacting(structlog.stdlib.ProcessorFormatter):
    """Goes over the finished line, traceback and all, so that no way of logging gets around it."""

    def __init__(self, secrets: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """The line without secrets."""
        try:
            line = super().format(record)
        except Exception as error:
            # Left alone, logging prints the call's arguments as they are.
            place = f"{record.pathname}:{record.lineno}"
            told = f"a line from {place} could not be written: {type(error).__name__}"
            line = super().format(logging.LogRecord(record.name, record.levelno, place, 0, told, None, None))
        return redacted(line, *self._secrets)


def redacted(text: str, *secrets: str) -> str:
    """``text`` without ``secrets``, tokens in paths, passwords in URLs, and signatures of links."""
    for secret in secrets:
        text = text.replace(secret, "…")
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def configure(level: str, form: Literal["console", "json"], *secrets: str) -> None:
    """Send everything that this process logs, ours and libraries', through one formatter."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    rendering: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if form == "json"
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Redacting(
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
