"""What becomes of a command or a press that failed: words for the member, a line in the log."""

from typing import Any, Final

import aiohttp
import discord
import structlog

from bot import texts
from bot.jobs.errors import AlreadyAccepted, UnexpectedError
from bot.telemetry import metrics
from engine.errors import AtelierError

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

UNDELIVERED: Final = (discord.HTTPException, aiohttp.ClientError, OSError)
"""What discord.py lets through when an answer does not arrive; ``TimeoutError`` is an ``OSError``."""
ANSWERED: Final = {40060, 10062}
"""Discord's codes for an interaction that is acknowledged already, or that it does not (or no longer) wait for."""
ACKNOWLEDGE_WITHIN: Final = 3.0


def is_for_another_process(interaction: discord.Interaction[Any], error: BaseException) -> bool:
    """Whether an interaction is not for this process to answer: another one has it, as while one bot takes over from
    the next, or it came too late.
    """
    if isinstance(error, AlreadyAccepted):
        return True
    if not isinstance(error, discord.HTTPException) or error.code not in ANSWERED:
        return False
    age = (discord.utils.utcnow() - interaction.created_at).total_seconds()
    if error.code == 10062 and age > ACKNOWLEDGE_WITHIN:
        log.warning("an interaction was answered too late", interaction=interaction.id, seconds=round(age, 1))
    else:
        log.debug("another process answered an interaction", interaction=interaction.id, code=error.code)
    return True


def report_error(interaction: discord.Interaction[Any], error: BaseException) -> str:
    """What the member reads of an error; what nobody expected goes to the log with a reference."""
    metrics.REFUSED.labels(type(error).__name__).inc()
    if isinstance(error, AtelierError):
        log.info("a member was refused", interaction=interaction.id, error=repr(error))
        return texts.error_message(error)
    log.error("an interaction failed unexpectedly", interaction=interaction.id, exc_info=error)
    return texts.error_message(UnexpectedError(str(interaction.id)))
