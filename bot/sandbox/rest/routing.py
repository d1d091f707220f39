"""The table of known routes: what they accept, and how they are limited."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bot.sandbox.protocol.body import UploadedFile
from bot.sandbox.rest.ratelimit import Limit

SNOWFLAKE = r"\d{1,20}"
MESSAGES = Limit(5, 5.0)
"""What a channel, or the token of an interaction, may do."""

ANYTHING_ELSE = Limit(50, 1.0)


@dataclass(frozen=True, slots=True)
class Call:
    """One request as a handler sees it: the parts of the path, the query, the JSON body and the files."""

    parts: Mapping[str, str]
    query: Mapping[str, str]
    json: object
    files: tuple[UploadedFile, ...]

    def number(self, part: str) -> int:
        """A part of the path that is an identifier."""
        return int(self.parts[part])

    def flag(self, name: str) -> bool:
        """Whether an argument of the query is true."""
        return self.query.get(name, "").lower() in {"1", "true"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler answers; `json` None means no content. `html` is what a proxy before Discord answers instead."""

    status: int
    json: object = None
    html: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a template as in Discord's OpenAPI document.

    `major` are the parts of the path whose values have buckets of their own; `bucket` names a bucket that several
    routes share.
    """

    method: str
    template: str
    handler: Callable[[Call], Answer]
    needs_token: bool = True
    query: frozenset[str] = frozenset()
    takes_files: bool = False
    limit: Limit = ANYTHING_ELSE
    major: tuple[str, ...] = ()
    bucket: str = ""
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        """Make a pattern of the template: identifiers are numbers, tokens are not."""

        def part(found: re.Match[str]) -> str:
            name = found[1]
            return f"(?P<{name}>{'[^/]+' if name.endswith('_token') else SNOWFLAKE})"

        object.__setattr__(self, "pattern", re.compile(re.sub(r"\{(\w+)\}", part, self.template)))
