"""The errors of the local Discord (Discord documentation: Opcodes and Status Codes)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object of Discord's, as it travels."""

Place: TypeAlias = tuple[str | int, ...]
"""Where in a body something is wrong: keys and indices from the outside in."""


class ApiError(Exception):
    """An answer of the REST interface that is not a success.

    `status` is the HTTP status, `code` Discord's own number, `headers` are sent along. `html` is the whole answer where
    a proxy before Discord gives it.
    """

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        *,
        extra: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        html: str | None = None,
    ) -> None:
        """Take the answer's parts; `extra` joins the JSON body."""
        super().__init__(f"{status} (code {code}): {message}")
        self.status = status
        self.code = code
        self.message = message
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})
        self.html = html

    def body(self) -> JsonObject:
        """The JSON body of the answer."""
        return {"message": self.message, "code": self.code, **self.extra}


class NotUnderstood(ApiError):
    """The bot used something that the local Discord does not implement; the answer is never a success."""

    def __init__(self, what: str) -> None:
        """Name what was not understood."""
        super().__init__(501, 0, f"the local Discord does not know {what}")


class InvalidForm(ApiError):
    """400 with code 50035 and a tree that names each wrong field (Discord documentation: Reference, Error Messages)."""

    def __init__(self, problems: Sequence[tuple[Place, str, str]]) -> None:
        """Take for each problem its place, its code and a sentence."""
        tree: JsonObject = {}
        for place, code, sentence in problems:
            node = tree
            for key in place:
                node = node.setdefault(str(key), {})
            node.setdefault("_errors", []).append({"code": code, "message": sentence})
        super().__init__(400, 50035, "Invalid Form Body", extra={"errors": tree})


def invalid(place: Place, code: str, sentence: str) -> InvalidForm:
    """The answer to a body with one wrong field."""
    return InvalidForm([(place, code, sentence)])


def unauthorized() -> ApiError:
    """The answer to a missing or wrong bot token."""
    return ApiError(401, 0, "401: Unauthorized")


def unknown_channel() -> ApiError:
    """The answer for a channel that does not exist."""
    return ApiError(404, 10003, "Unknown Channel")


def unknown_message() -> ApiError:
    """The answer for a message that does not exist, or no longer."""
    return ApiError(404, 10008, "Unknown Message")


def unknown_webhook() -> ApiError:
    """The answer for a token of no interaction, or of one that has not been acknowledged yet."""
    return ApiError(404, 10015, "Unknown Webhook")


def unknown_interaction() -> ApiError:
    """The answer to an acknowledgement that names no interaction, or comes after 3 seconds."""
    return ApiError(404, 10062, "Unknown interaction")


def archived_thread() -> ApiError:
    """The answer to an edit in an archived thread, or to a message in one that is locked, too."""
    return ApiError(400, 50083, "Tried to perform an operation on an archived thread")


def missing_access() -> ApiError:
    """The answer for a channel that the bot does not see."""
    return ApiError(403, 50001, "Missing Access")


def missing_permissions() -> ApiError:
    """The answer where the bot sees a channel but may not do this in it."""
    return ApiError(403, 50013, "Missing Permissions")


def refused_by_user() -> ApiError:
    """The answer to a message for a user who takes no direct messages."""
    return ApiError(403, 50007, "Cannot send messages to this user")


def too_many_follow_ups() -> ApiError:
    """The answer to a sixth follow-up where the bot is a visitor."""
    return ApiError(400, 40094, "This interaction has reached the maximum number of follow up messages")


def already_acknowledged() -> ApiError:
    """The answer to a second acknowledgement of one interaction."""
    return ApiError(400, 40060, "Interaction has already been acknowledged.")


def expired_token() -> ApiError:
    """The answer to an interaction token older than 15 minutes."""
    return ApiError(401, 50027, "Invalid Webhook Token")


def too_large() -> ApiError:
    """The answer to a file or a request over its limit."""
    return ApiError(413, 40005, "Request entity too large")


def empty_message() -> ApiError:
    """The answer to a message with nothing in it."""
    return ApiError(400, 50006, "Cannot send an empty message")
