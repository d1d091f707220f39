"""The blob store: inputs, checkpoints and results, named by their SHA-256, on disk or in any store of fsspec.

Bots and workers use the same store. So messages contain only names, and workers write checkpoints directly to it.
"""

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from engine import private
from engine.errors import AtelierError, BlobLost, StorageFailed, StorageFull, StorageUnavailable, StorageUnsafe

PART = ".part"
"""The suffix of a temporary file, which remains if its writer dies."""
_NAME = re.compile(rf"[0-9a-f]{{64}}(\.[0-9a-f]{{8}}{re.escape(PART)})?")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DETAIL = 500
"""The longest text of a library's error, in characters. Some contain whole web pages."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored blob's metadata."""

    name: str
    bytes: int
    modified: datetime
    """When it was last written or touched by :meth:`Blobs.put`."""


@contextlib.contextmanager
def reaching() -> Iterator[None]:
    """Translate a store's errors.

    The libraries behind fsspec share no base class: they raise ``OSError``, aiohttp's and botocore's ``ClientError``,
    ``TimeoutError`` and others. Each may be temporary.

    Raises:
        StorageFull: the store is full.
        StorageFailed: any other error.
    """
    try:
        yield
    except AtelierError:
        raise
    except (Exception, asyncio.CancelledError) as error:  # only a task of the library can be cancelled here
        if isinstance(error, OSError) and error.errno in _FULL:
            raise StorageFull from error
        raise StorageFailed(f"{type(error).__name__}: {error}"[:_DETAIL]) from error


def name_of(data: bytes) -> str:
    """The name of a blob: the SHA-256 of its bytes in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def one_place(url: str) -> str:
    """Check that ``url`` names one place, and return it.

    Raises:
        StorageUnsafe: it is empty or a chain of URLs (``::``). In a chain, one file system interprets files of the next
            one, as archives or references, so the contents of a blob could decide which file is opened.
    """
    if not url or "::" in url:
        raise StorageUnsafe(f"BLOBS_URL is {url!r}: set it to a folder or to the URL of one place, without '::'.")
    return url


class Blobs:
    """A blob store. Thread-safe. Every method blocks, so an event loop must call it in a thread.

    Every method may raise :class:`StorageFailed`. A retry may then succeed.
    """

    def __init__(self, url: str) -> None:
        """``url`` is a folder or a URL for fsspec, such as ``s3://bucket/atelier``. The folder need not exist.

        Raises:
            StorageUnsafe: see :func:`one_place`.
            StorageUnavailable: fsspec does not know the scheme, needs a package for it, or can't parse the URL.
            StorageFailed: opening the store connects to a server (``ftp://``), which does not answer.
        """
        self.url = one_place(url)
        with reaching():
            try:
                self._files, self._root = fsspec.core.url_to_fs(url)
            except OSError:
                raise
            except Exception as error:  # each scheme raises other errors
                why = f"{error}"[:_DETAIL].rstrip(".")
                raise StorageUnavailable(
                    f"BLOBS_URL is {url!r}, which can't be opened: {why}. Correct it, or install what it needs."
                ) from error

    @property
    def folder(self) -> Path | None:
        """The local folder; None for any other store."""
        # Not isinstance: a subclass may do more than call the operating system.
        return Path(self._root) if type(self._files) is LocalFileSystem else None

    def make_private(self) -> None:
        """Restrict a local folder to its owner, even if it exists. Does nothing for other stores.

        Raises ``OSError``. New blobs are private in any case.
        """
        if self.folder:
            private.make_folder(self.folder, contents="[0-9a-f]{2}")
            for folder in self.folder.glob("[0-9a-f][0-9a-f]"):
                private.close(folder)

    def put(self, data: bytes) -> str:
        """Store ``data`` durably and atomically. Returns its name. An existing blob gets a new date.

        Raises:
            StorageFull: the store is full.
        """
        name = name_of(data)
        with reaching():
            if self.folder:
                _write_durably(Path(self._path(name)), data)
            elif self._files.async_impl:  # object stores write atomically
                self._write_in_place(self._path(name), data)
            elif not self._touched(name):
                # fsspec's default way to move a file is a copy, which may show half of it as well.
                moves = type(self._files).mv is not AbstractFileSystem.mv
                write = self._write if moves else self._write_in_place
                write(self._path(name), data)
        return name

    def get(self, name: str) -> bytes:
        """Read a blob.

        Raises:
            BlobLost: it is missing or damaged.
        """
        with reaching():
            try:
                data: bytes = self._files.cat_file(self._path(name))
            except FileNotFoundError as error:
                raise BlobLost(name) from error
        if name_of(data) != name:
            raise BlobLost(name)
        return data

    def remove(self, name: str) -> None:
        """Remove a blob. Idempotent."""
        with reaching(), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def modified(self, name: str) -> datetime:
        """When a blob was last put, by the store's :meth:`clock`.

        Raises:
            BlobLost: it is missing.
        """
        with reaching():
            try:
                self._files.invalidate_cache()
                return _aware(self._files.modified(self._path(name)))
            except FileNotFoundError as error:
                raise BlobLost(name) from error

    def __iter__(self) -> Iterator[Blob]:
        """All blobs and temporary files, in no order. Other files are ignored."""
        with reaching():
            found = list(_on_disk(self.folder) if self.folder else self._elsewhere())
        return iter(found)

    def clock(self) -> datetime:
        """The store's time: the date of a temporary file that is created and removed.

        Raises:
            StorageFull: the store is full.
        """
        path = self._path(f"{name_of(b'')}.{secrets.token_hex(4)}{PART}")
        with reaching():
            try:
                if self.folder:
                    private.make_folder(Path(path).parent)
                    os.close(private.create(Path(path)))
                else:
                    self._write_in_place(path, b"")
                return _aware(self._files.modified(path))
            finally:
                with contextlib.suppress(FileNotFoundError):
                    self._files.rm_file(path)

    def _touched(self, name: str) -> bool:
        """Update the date of an existing blob. Returns whether it exists."""
        try:
            self.get(name)
            self._files.touch(self._path(name), truncate=False)
        except (BlobLost, NotImplementedError):
            return False
        return True

    def _write(self, path: str, data: bytes) -> None:
        """Write a file atomically, even if another thread or process writes the same one."""
        part = f"{path}.{secrets.token_hex(4)}{PART}"
        try:
            self._write_in_place(part, data)
            self._files.mv(part, path)
        except BaseException as error:
            with contextlib.suppress(Exception, asyncio.CancelledError):
                self._files.rm_file(part)
            if not isinstance(error, FileExistsError):  # SMB does not replace a file by a move
                raise
            self._write_in_place(path, data)

    def _write_in_place(self, path: str, data: bytes) -> None:
        try:
            self._files.pipe_file(path, data)
        except FileNotFoundError:
            if self._files.async_impl:  # an object store has no folders: the bucket is missing
                raise
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(path, data)

    def _elsewhere(self) -> Iterator[Blob]:
        self._files.invalidate_cache()
        try:
            listed = self._files.find(self._root, detail=True)
        except FileNotFoundError:  # nothing was stored yet
            return
        for path, info in listed.items():
            name = path.rsplit("/", 1)[-1]
            if not _NAME.fullmatch(name) or path != self._path(name) or info.get("type") != "file":
                continue
            with contextlib.suppress(FileNotFoundError):  # removed in the meantime
                yield Blob(name, int(info["size"]), _aware(self._files.modified(path)))

    def _path(self, name: str) -> str:
        if not _NAME.fullmatch(name):  # a worker may send any name: none may lead out of the root
            raise BlobLost(name)
        return f"{self._root}/{name[:2]}/{name}"


def _aware(moment: datetime) -> datetime:
    """Add a time zone where a file system gives none. Only differences between dates matter."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _on_disk(root: Path) -> Iterator[Blob]:
    """The files of :meth:`Blobs.put`. Follows no links and enters no other folders."""
    for folder in _scan(root):
        if not (re.fullmatch("[0-9a-f]{2}", folder.name) and folder.is_dir(follow_symlinks=False)):
            continue
        for file in _scan(folder):
            if not (_NAME.fullmatch(file.name) and file.name.startswith(folder.name)):
                continue
            with contextlib.suppress(FileNotFoundError):  # removed in the meantime
                if file.is_file(follow_symlinks=False):
                    known = file.stat(follow_symlinks=False)
                    yield Blob(file.name, known.st_size, datetime.fromtimestamp(known.st_mtime, UTC))


def _scan(folder: "Path | os.DirEntry[str]") -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:  # nothing was stored yet, or it was removed in the meantime
        return []


def _write_durably(path: Path, data: bytes) -> None:
    private.make_folder(path.parent)
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART}")
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
