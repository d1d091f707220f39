"""The trouble that the page's switches make."""

from __future__ import annotations

from enum import StrEnum

from bot.sandbox.rest.faults import Faults
from bot.sandbox.server import LocalDiscord

SLOW_BY = 2.0
"""Seconds by which answers are late. Discord gives a bot 3 s to acknowledge."""
SHARE = 0.3
"""Of the requests that are refused with 429, or fail."""
RETRY_AFTER = 1.0
"""Seconds, at most, that a 429 asks to wait."""
SMALL_LIMIT = 256 * 1024
"""Bytes. The example pictures are just below, a painting in a lossless file is above."""


class Trouble(StrEnum):
    """The switches. `contract.py` says what each does."""

    SLOW_ANSWERS = "slow_answers"
    RATE_LIMITS = "rate_limits"
    SERVER_ERRORS = "server_errors"
    LOST_GATEWAY = "lost_gateway"
    DEAD_TOKENS = "dead_tokens"
    SMALL_UPLOADS = "small_uploads"
    NO_GALLERIES = "no_galleries"


class Switches:
    """Which trouble is on."""

    def __init__(self, discord: LocalDiscord) -> None:
        """Make trouble in this local Discord. All is off at first."""
        self.on: set[Trouble] = set()
        self._discord = discord
        self._usual_limit = discord.attachment_size_limit

    def turn(self, trouble: Trouble, *, on: bool) -> None:
        """Turn a switch on or off."""
        if on == (trouble in self.on):
            return
        self.on ^= {trouble}
        if trouble is Trouble.SLOW_ANSWERS:
            self._discord.answer_delay = SLOW_BY if on else 0.0
        elif trouble is Trouble.LOST_GATEWAY:
            self._discord.gateway_is_lost = on
        elif trouble is Trouble.SMALL_UPLOADS:
            self._discord.attachment_size_limit = SMALL_LIMIT if on else self._usual_limit
        elif trouble is Trouble.NO_GALLERIES:
            self._discord.refuses_gallery_edits = on
        else:
            self._discord.inject(self._faults())

    def _faults(self) -> Faults | None:
        rate_limit = SHARE if Trouble.RATE_LIMITS in self.on else 0.0
        server_error = SHARE if Trouble.SERVER_ERRORS in self.on else 0.0
        # Every token that a request uses and that nothing else happens to.
        expired_token = 1.0 - rate_limit - server_error if Trouble.DEAD_TOKENS in self.on else 0.0
        if not rate_limit + server_error + expired_token:
            return None
        return Faults(
            rate_limit=rate_limit, server_error=server_error, expired_token=expired_token, retry_after=RETRY_AFTER
        )
