"""Rate limits (Discord documentation: Topics, Rate Limits)."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from bot.sandbox.clock import SandboxClock
from bot.sandbox.protocol.errors import ApiError


@dataclass(frozen=True, slots=True)
class Limit:
    """A number of requests in a number of seconds."""

    requests: int
    seconds: float


@dataclass(slots=True)
class _Bucket:
    remaining: int
    resets_at: float


class RateLimits:
    """Buckets that are refilled at once when their window is over, as Discord's are."""

    def __init__(self, clock: SandboxClock) -> None:
        """Take the time from this clock."""
        self._clock = clock
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def take(self, name: str, major: str, limit: Limit) -> dict[str, str]:
        """Use one request of a bucket and return the headers that tell what is left.

        `name` is what the bucket limits and `major` whose it is (a channel, a webhook's token).

        Raises:
            ApiError: 429, the bucket is empty.
        """
        now = self._clock.now()
        bucket = self._buckets.get((name, major))
        if bucket is None or bucket.resets_at <= now:
            bucket = self._buckets[name, major] = _Bucket(limit.requests, now + limit.seconds)
        headers = {
            "X-RateLimit-Limit": str(limit.requests),
            "X-RateLimit-Remaining": str(max(bucket.remaining - 1, 0)),
            "X-RateLimit-Reset": f"{bucket.resets_at:.3f}",
            "X-RateLimit-Reset-After": f"{bucket.resets_at - now:.3f}",
            "X-RateLimit-Bucket": hashlib.sha256(name.encode()).hexdigest()[:32],
        }
        if bucket.remaining == 0:
            raise too_many_requests(bucket.resets_at - now, headers)
        bucket.remaining -= 1
        return headers


def too_many_requests(retry_after: float, headers: dict[str, str] | None = None) -> ApiError:
    """The 429 answer; `retry_after` is in seconds.

    It has the header `Via`, as every answer of Discord's edge does: without it discord.py treats a 429 as a ban.
    """
    # Rounded up: a client that waits exactly this long must find the bucket full.
    seconds = math.ceil(retry_after * 1000) / 1000
    return ApiError(
        429,
        0,
        "You are being rate limited.",
        extra={"retry_after": seconds, "global": False},
        headers={
            **(headers or {}),
            "Via": "1.1 local-discord",
            "Retry-After": str(math.ceil(retry_after)),
            "X-RateLimit-Scope": "user",
        },
    )
