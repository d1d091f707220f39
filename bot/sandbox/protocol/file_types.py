"""Which files a member can pick (Discord documentation: Application Commands and Components, `file_types`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

_GROUPS = {
    "image": {"png", "gif", "jpg", "jpeg", "jfif", "webp", "avif"},
    "video": {"mp4", "mov", "qt", "webm"},
    "audio": {"mp3", "m4a", "wav", "ogg", "opus", "flac"},
}
"""The endings in each group. Discord may change them at any time."""

FileTypes = Annotated[
    list[Annotated[str, Field(pattern=rf"^({'|'.join(_GROUPS)}|\.[A-Za-z0-9]+)$")]], Field(min_length=1, max_length=10)
]
"""Groups, and endings that begin with a dot."""


def is_among(filename: str, file_types: Iterable[str]) -> bool:
    """Whether a file of this name can be picked."""
    ending = filename.rpartition(".")[2].lower()
    return any(ending in _GROUPS.get(kind, {kind.removeprefix(".").lower()}) for kind in file_types)
