"""Bytes under the name of their own hash: inputs, checkpoints and results, on disk or wherever fsspec reaches.

Bots and workers open the same place, so that pictures travel as names, and a worker's checkpoint goes straight to disk.
"""

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from engine import private
from engine.errors import BlobLost, StorageFull

_NAME = re.compile(r"[0-9a-f]{64}(\.[0-9a-f]{8}\.part)?")  # the latter where a process died while it wrote
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Blob:
    """What is known of kept bytes without reading them."""

    name: str
    bytes: int
    modified: datetime
    """When it was last put."""


class Blobs:
    """Every call blocks for I/O: from an event loop, call it in a thread. Safe to use from several threads."""

    def __init__(self, url: str) -> None:
        """``url`` is a folder or any URL that fsspec opens (``s3://bucket/atelier``); it need not be there yet."""
        self.url = url
        self._files, self._root = fsspec.core.url_to_fs(url)

    @property
    def folder(self) -> Path | None:
        """Where the bytes lie on this machine; None where they lie elsewhere."""
        return Path(self._root) if isinstance(self._files, LocalFileSystem) else None

    def make_private(self) -> None:
        """Make the folder, if it is one, for its owner alone, also where others had rights on it before.

        Raises ``OSError``. Blobs that are put later are private in any case.
        """
        if self.folder:
            private.make_folder(self.folder, contents="[0-9a-f]{2}")
            for folder in self.folder.glob("[0-9a-f][0-9a-f]"):
                private.close(folder)

    def put(self, data: bytes) -> str:
        """Keep ``data`` durably, whole or not at all; its name, the SHA-256 in hexadecimal digits.

        Raises:
            StorageFull: there is no room.
            OSError: the place can't be written to.
        """
        name = hashlib.sha256(data).hexdigest()
        path = self._path(name)
        try:
            if self.folder:
                _write_durably(Path(path), data)
            else:  # object stores show an object once it is whole
                self._files.pipe_file(path, data)
        except OSError as error:
            if error.errno in _FULL:
                raise StorageFull from error
            raise
        return name

    def get(self, name: str) -> bytes:
        """The bytes of that name.

        Raises:
            BlobLost: they are not there, or no longer what they were.
            OSError: the place can't be read.
        """
        try:
            data: bytes = self._files.cat_file(self._path(name))
        except FileNotFoundError as error:
            raise BlobLost(name) from error
        if hashlib.sha256(data).hexdigest() != name:
            raise BlobLost(name)
        return data

    def remove(self, name: str) -> None:
        """Forget the bytes of that name; harmless when they are not there."""
        try:
            self._files.rm_file(self._path(name))
        except FileNotFoundError:
            return

    def __iter__(self) -> Iterator[Blob]:
        """Everything kept, in no order."""
        self._files.invalidate_cache()
        for path, info in self._files.find(self._root, detail=True).items():
            name = path.rsplit("/", 1)[-1]
            try:
                modified = self._files.modified(path)
            except FileNotFoundError:  # removed meanwhile
                continue
            yield Blob(name, int(info["size"]), modified)

    def _path(self, name: str) -> str:
        if not _NAME.fullmatch(name):  # names come from workers, too: none leads out of here
            raise BlobLost(name)
        return f"{self._root}/{name[:2]}/{name}"


def _write_durably(path: Path, data: bytes) -> None:
    private.make_folder(path.parent)
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(private.create(part), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
