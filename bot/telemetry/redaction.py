"""Redacts secrets in text for a log: known secrets by value, others by their shape."""

import base64
import json
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

_COLOUR: Final = r"(?:\x1b\[[\d;]*m)*"
_QUOTE: Final = r"(?:\\*['\"])?"
"""A quote. In nested JSON, backslashes precede it."""
_NUMBER: Final = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?=[,}\]])"
_IS: Final = rf"{_QUOTE}{_COLOUR}\s*[:=]\s*{_COLOUR}{_QUOTE}"
_EQUALS: Final = r"(?:=|%3D)"
_PORT: Final = r"\d{1,5}(?:[/?#\s,;)\]}>'\"\\\x1b]|$)"
_SIGNATURES: Final = (
    r"ex|is|hm|sig|signature|expires|AWSAccessKeyId|X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)"
)


def _without_password(found: re.Match[str]) -> str:
    """The replacement for the pattern below. A URL has a password only if an ``@`` follows it."""
    before, password, end = found.groups()
    return f"{before}…@" if end else f"{before}{password}"


# No pattern may require a word boundary before a secret, because the n of an escaped line break may precede it. Each
# pattern takes linear time, because members may have written the text: no two attempts to match read the same part.
_SHAPES: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = (
    # Interaction and webhook tokens in paths of Discord's API. Interaction tokens also have a common prefix.
    (re.compile(r"(/(?:webhooks|interactions)/\d+/)[^/\s?'\"\\\x1b]+"), r"\1…"),
    (re.compile(r"aW50ZXJhY3Rpb246[\w+/=-]{16,}"), "…"),
    # Signatures in links to the CDN and to object stores, also in links within links.
    (
        re.compile(rf"(?i)((?:[?&;]|%3F|%26)(?:{_SIGNATURES}){_EQUALS})[^&\s'\"\\\x1b]+?(?=[&\s'\"\\\x1b]|%26|$)"),
        r"\1…",
    ),
    # A bot's token: its user's id, a time and a signature, in Base64.
    (re.compile(r"[MNO][\w-]{22,27}\.[\w-]{6,7}\.[\w-]{27,}"), "…"),
    (re.compile(r"(?i)((?:Bot|Bearer|Basic) )[\w.~+/-]{20,}=*"), r"\1…"),
    # Passwords in URLs of databases and object stores. What follows a host's name is its port. A match without an @ is
    # left as it is, but no other attempt reads it again.
    (re.compile(rf"(://[^\s:/?#@'\"\\]*:)(?!{_PORT})((?:[^@\s\"\\]|\\[^\s])++)(@?)"), _without_password),
    # Fernet keys, and text that is encrypted with them.
    (re.compile(r"[\w-]{43}(?:=|%3D)(?![\w=-])"), "…"),
    (re.compile(r"gAAAAA[\w-]{20,}={0,2}"), "…"),
    (re.compile(rf"(?i)(token{_IS})(?!{_NUMBER})[\w.-]{{8,}}"), r"\1…"),
    (
        re.compile(
            rf"(?i)((?:password|passwd|passphrase|secret|secret_?key|secret_access_key|api_?key){_IS})"
            rf"(?!{_NUMBER}|true|false|null|none)[^\s'\"\\,;&\x1b}}\]]+"
        ),
        r"\1…",
    ),
)
_SHORTEST: Final = 8
"""Characters. A shorter secret could be part of any word, so only its shape is redacted."""


def redactor(*secrets: str) -> Callable[[str], str]:
    """Make a function that redacts these secrets, in every encoding, and everything that has the shape of a secret."""
    known_secrets = {*secrets, *(password for secret in secrets for password in _passwords(secret))}
    forms = {form for secret in known_secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
    # The longest first, so that no form leaves a rest of a longer one.
    known = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))) if forms else None

    def without_secrets(text: str) -> str:
        if known is not None:
            text = known.sub("…", text)
        for pattern, replacement in _SHAPES:
            text = pattern.sub(replacement, text)
        return text

    return without_secrets


def redacted(text: str, *secrets: str) -> str:
    """``text`` as :func:`redactor` leaves it."""
    return redactor(*secrets)(text)


def _passwords(secret: str) -> set[str]:
    """The passwords in a secret URL. Drivers get a password alone, and may show it alone."""
    try:
        password = urlsplit(secret).password or ""
    except ValueError:
        return set()
    return {password, unquote(password)}


def _forms(secret: str) -> set[str]:
    data = secret.encode()
    encoded = {
        base64.b64encode(data).decode().rstrip("="),
        base64.urlsafe_b64encode(data).decode().rstrip("="),
        data.hex(),
    }
    escaped = {repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), *escaped, *encoded}
