"""Files and their signed links (Discord documentation: Reference, Signed Attachment CDN URLs)."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web

from bot.sandbox.clock import SandboxClock

LINK_LIFETIME = 24 * 3600
"""Seconds after which a link to an attachment stops working."""

_TYPES = {
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json; charset=utf-8",
    "mp4": "video/mp4",
    "png": "image/png",
    "txt": "text/plain; charset=utf-8",
    "webm": "video/webm",
    "webp": "image/webp",
}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as the CDN keeps it."""

    id: int
    channel_id: int
    filename: str
    content_type: str | None
    data: bytes


def clean_filename(filename: str) -> str:
    """The name under which Discord keeps a file: no spaces and no signs but `-`, `.` and `_`."""
    return re.sub(r"[^\w.\-]", "", filename.replace(" ", "_")) or "unknown"


def guess_content_type(filename: str) -> str | None:
    """What Discord says of a file with this name, or None for an ending it would not know."""
    return _TYPES.get(filename.rpartition(".")[2].lower())


class Cdn:
    """Keeps files and gives them to those who show a link that it signed."""

    def __init__(self, clock: SandboxClock) -> None:
        """Let links expire by this clock."""
        self.base_url = ""
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._files: dict[int, StoredFile] = {}

    def add(self, file: StoredFile) -> None:
        """Keep a file."""
        self._files[file.id] = file

    def remove(self, file_id: int) -> None:
        """Forget a file; its links stop working."""
        self._files.pop(file_id, None)

    def link(self, file: StoredFile) -> str:
        """A link to the file that works for a day."""
        path = f"{file.channel_id}/{file.id}/{quote(file.filename)}"
        now = int(self._clock.now())
        expires, issued = f"{now + LINK_LIFETIME:x}", f"{now:x}"
        return f"{self.base_url}/{path}?ex={expires}&is={issued}&hm={self._sign(file, expires, issued)}&"

    def _sign(self, file: StoredFile, expires: str, issued: str) -> str:
        text = f"{file.channel_id}/{file.id}/{file.filename}?{expires}&{issued}"
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    async def handle(self, request: web.Request) -> web.Response:
        """Answer `GET /attachments/{channel}/{id}/{filename}`: 403 for a wrong signature, 404 for what is gone."""
        gone = web.Response(status=404, text="This content is no longer available.")
        expires, issued = request.query.get("ex", ""), request.query.get("is", "")
        if not request.match_info["file"].isdecimal():
            return gone
        file = self._files.get(int(request.match_info["file"]))
        if file is None or (str(file.channel_id), file.filename) != (
            request.match_info["channel"],
            request.match_info["filename"],
        ):
            return gone
        if not hmac.compare_digest(self._sign(file, expires, issued).encode(), request.query.get("hm", "").encode()):
            return web.Response(status=403, text="The signature of this link is wrong.")
        if int(expires, 16) < self._clock.now():
            return gone
        headers = {"Content-Type": file.content_type or "application/octet-stream"}
        return web.Response(body=file.data, headers=headers)
