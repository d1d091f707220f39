"""Who may see the operator's page, and who may act.

On loopback, everybody who reaches the server may look. Elsewhere, looking needs the operators' token, and without a
configured token there is no page. Acting needs the token everywhere. It comes in a header, which other
web sites can't send: no cookie identifies the operator.
"""

import hmac
import ipaddress
from dataclasses import dataclass, field
from typing import Final

import structlog
from aiohttp import web
from yarl import URL

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

SCHEME: Final = "Bearer "

NO_PAGE: Final = (
    "The operator's page is off, because HEALTH_HOST is not a loopback address and no OPERATOR_TOKEN is set. "
    "Set OPERATOR_TOKEN (`atelier key` makes one), or remove HEALTH_HOST. /healthz, /readyz and /metrics work."
)
WRONG_HOST: Final = "Open this page by the address or the name localhost of the machine, not by another name."
OTHER_SITE: Final = "Another web site may not use this page."
ACTIONS_OFF: Final = "Actions are off: set OPERATOR_TOKEN and restart the bot."
UNKNOWN: Final = "Enter the operators' token."
WRONG: Final = "This is not the operators' token."


@dataclass(frozen=True, slots=True)
class Access:
    """The rules for one server."""

    host: str
    """The address or name that the server listens on."""
    token: str | None = field(repr=False)
    """The operators' token."""

    @property
    def local(self) -> bool:
        """Whether only this machine reaches the server."""
        return is_loopback(self.host)

    @property
    def page_is_on(self) -> bool:
        """Whether there is a page at all."""
        return self.local or self.token is not None

    def check_site(self, request: web.Request) -> None:
        """Check that a page of another web site is not behind a request.

        On loopback, a foreign name of this machine may be DNS rebinding. Elsewhere the token protects everything.

        Raises:
            web.HTTPForbidden: it is.
        """
        if not self.page_is_on:
            raise web.HTTPForbidden(text=NO_PAGE)
        host = request.headers.get("Host", "")
        if self.local and not is_loopback(_name(host)):
            raise web.HTTPForbidden(text=WRONG_HOST)
        origin = request.headers.get("Origin")
        site = request.headers.get("Sec-Fetch-Site", "none")
        if (origin is not None and origin.partition("://")[2] != host) or (
            site not in {"none", "same-origin"} and request.headers.get("Sec-Fetch-Mode") != "navigate"
        ):
            raise web.HTTPForbidden(text=OTHER_SITE)

    def check_read(self, request: web.Request) -> bool:
        """Check that a request may read the state of the bot. Returns whether it may act as well.

        Raises:
            web.HTTPUnauthorized: it has a wrong token, or none where one is needed.
        """
        if request.headers.get("Authorization"):
            self.check_act(request)
            return True
        if not self.local:
            raise web.HTTPUnauthorized(text=UNKNOWN, headers={"WWW-Authenticate": SCHEME.strip()})
        return False

    def check_act(self, request: web.Request) -> None:
        """Check that a request has the operators' token.

        Raises:
            web.HTTPUnauthorized: it does not.
            web.HTTPForbidden: there is none.
        """
        if self.token is None:
            raise web.HTTPForbidden(text=ACTIONS_OFF)
        given = request.headers.get("Authorization", "")
        right = f"{SCHEME}{self.token}"
        if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), right.encode()):
            if given:
                log.warning("a wrong operators' token was given", remote=request.remote)
            text = WRONG if given else UNKNOWN
            raise web.HTTPUnauthorized(text=text, headers={"WWW-Authenticate": SCHEME.strip()})


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _name(host: str) -> str:
    """A ``Host`` header without its port."""
    try:
        return URL(f"http://{host}").host or ""
    except ValueError:
        return ""
