"""Reading the body of a request: JSON, or JSON with files (Discord documentation: Reference, Uploading Files)."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import BodyPartReader, web

from bot.sandbox.protocol.errors import ApiError, NotUnderstood, invalid, too_large

REQUEST_LIMIT = 25 * 1024 * 1024
"""Bytes that one request may have in all."""

MAXIMUM_FILES = 10


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """One file of a multipart body; `index` is the n of its field `files[n]`."""

    index: int
    filename: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Body:
    """What came with a request. `problem` is why it cannot be used, kept so that the request can still be recorded."""

    json: object = None
    files: tuple[UploadedFile, ...] = ()
    size: int = 0
    problem: ApiError | None = None


async def read_body(request: web.Request, file_limit: int) -> Body:
    """Read the whole body, also where it is too large: a client still sending would not see the answer.

    `file_limit` is in bytes, for each file.
    """
    if not request.body_exists:
        return Body()
    if request.content_type == "multipart/form-data":
        return await _read_multipart(request, file_limit)
    meter = _Meter(REQUEST_LIMIT)
    data = await meter.drain(lambda: request.content.read(1 << 16))
    if data is None:
        return Body(size=meter.total, problem=too_large())
    if request.content_type != "application/json":
        problem = NotUnderstood(f"a body of type {request.content_type}") if data else None
        return Body(size=meter.total, problem=problem)
    return _parse(data, (), meter.total)


async def _read_multipart(request: web.Request, file_limit: int) -> Body:
    payload: bytes | None = None
    files: list[UploadedFile] = []
    total = 0
    problem: ApiError | None = None
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            problem = problem or NotUnderstood("multipart inside multipart")
            continue
        field = re.fullmatch(r"files\[(\d+)\]", part.name or "")
        meter = _Meter(file_limit if field else REQUEST_LIMIT)
        data = await meter.drain(part.read_chunk)
        total += meter.total
        if data is None:
            problem = problem or too_large()
        elif field:
            files.append(UploadedFile(int(field[1]), part.filename or "", data))
        elif part.name == "payload_json":
            payload = data
        else:
            problem = problem or NotUnderstood(f"the multipart field {part.name}")
    size = request.content_length or total
    if size > REQUEST_LIMIT:
        problem = too_large()
    if len(files) > MAXIMUM_FILES:
        problem = problem or invalid(("files",), "BASE_TYPE_BAD_LENGTH", f"Must be {MAXIMUM_FILES} or fewer.")
    parsed = _parse(payload or b"{}", tuple(files), size)
    return Body(parsed.json, parsed.files, size, problem or parsed.problem)


def _parse(data: bytes, files: tuple[UploadedFile, ...], size: int) -> Body:
    try:
        return Body(json.loads(data), files, size)
    except ValueError:
        return Body(None, files, size, ApiError(400, 50109, "The request body contains invalid JSON."))


class _Meter:
    """Reads to the end, keeps no more than a limit, and knows how much there was."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.total = 0

    async def drain(self, read: Callable[[], Awaitable[bytes]]) -> bytes | None:
        """All of it, or None if there was more than the limit."""
        kept = bytearray()
        while chunk := await read():
            self.total += len(chunk)
            if self.total <= self._limit:
                kept += chunk
        return bytes(kept) if self.total <= self._limit else None
