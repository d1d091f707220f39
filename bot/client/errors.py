"""What a member reads, and what is logged, when a command or a component fails."""

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import aiohttp
import discord
import structlog

from bot.client.acknowledge import order_id
from bot.error_messages import error_message
from bot.jobs.errors import AlreadyAccepted, UnexpectedError
from bot.limits import ACKNOWLEDGE_WITHIN, ALREADY_ACKNOWLEDGED, UNKNOWN_INTERACTION
from bot.telemetry import metrics
from engine.errors import AtelierError

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

UNDELIVERED: Final = (discord.HTTPException, aiohttp.ClientError, OSError)
"""What discord.py raises when an answer does not arrive. ``TimeoutError`` is an ``OSError``."""


def is_for_another_process(interaction: discord.Interaction[Any], error: BaseException) -> bool:
    """Whether this process must not answer: another process did, or the interaction came too late.

    Two processes receive the same interactions while one bot replaces another.
    """
    if isinstance(error, AlreadyAccepted):
        return True
    if not isinstance(error, discord.HTTPException) or error.code not in {ALREADY_ACKNOWLEDGED, UNKNOWN_INTERACTION}:
        return False
    age = (discord.utils.utcnow() - interaction.created_at).total_seconds()
    if error.code == UNKNOWN_INTERACTION and age > ACKNOWLEDGE_WITHIN:
        log.warning("an interaction was answered too late", interaction=interaction.id, seconds=round(age, 1))
    else:
        log.debug("another process answered an interaction", interaction=interaction.id, code=error.code)
    return True


def report_error(interaction: discord.Interaction[Any], error: BaseException) -> str:
    """Count and log an error. Return the text for the member: for an unexpected error, with a reference to the log."""
    metrics.REFUSED.labels(type(error).__name__).inc()
    if isinstance(error, AtelierError):
        log.info("an interaction was refused", interaction=interaction.id, error=repr(error))
        return error_message(error)
    log.error("an interaction failed unexpectedly", interaction=interaction.id, exc_info=error)
    return error_message(UnexpectedError(str(interaction.id)))


async def answer_error(interaction: discord.Interaction[Any], error: BaseException) -> None:
    """Answer the member alone, in place of a public "thinking …" if there is one. Leave it to another process if one
    answered.
    """
    if is_for_another_process(interaction, error):
        return
    text = report_error(interaction, error)
    with undelivered_is_logged(interaction):
        if not interaction.response.is_done():
            await interaction.response.send_message(text, ephemeral=True)
            return
        if interaction.response.type is discord.InteractionResponseType.deferred_channel_message:
            # A follow-up to a public "thinking …" would be public, too, so that message has to go first.
            with contextlib.suppress(discord.NotFound):
                await interaction.delete_original_response()
        await interaction.followup.send(text, ephemeral=True)
        await interaction.client.services.jobs.answered(order_id(interaction))


@contextlib.contextmanager
def undelivered_is_logged(interaction: discord.Interaction[Any]) -> Iterator[None]:
    """Log and suppress that an answer could not be delivered. Log no warning if another process answered."""
    try:
        yield
    except UNDELIVERED as failure:
        if not is_for_another_process(interaction, failure):
            # An error of aiohttp may hold the URL, and with it the interaction's token.
            reason = str(failure) if isinstance(failure, discord.HTTPException) else type(failure).__name__
            log.warning("an interaction could not be answered", interaction=interaction.id, reason=reason)
