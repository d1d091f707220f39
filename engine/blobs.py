"""Bytes under the name of their own hash: inputs, checkpoints and results, on disk or wherever fsspec reaches.

Bots and workers open the same place, so that pictures travel as names, and a worker's checkpoint goes straight to disk.
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

from engine import private
from engine.errors import AtelierError, BlobLost, StorageFailed, StorageFull, StorageUnavailable, StorageUnsafe

PART = ".part"
"""The suffix of a file that is being written, or whose writer died."""
_NAME = re.compile(rf"[0-9a-f]{{64}}(\.[0-9a-f]{{8}}{re.escape(PART)})?")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DETAIL = 500
"""Characters of what a library says; some quote whole web pages."""


@dataclass(frozen=True, slots=True)
class Blob:
    """What is known of kept bytes without reading them."""

    name: str
    bytes: int
    modified: datetime
    """When it was last put."""


@contextlib.contextmanager
def reaching() -> Iterator[None]:
    """Raise each error of a store as one of ours.

    The libraries behind fsspec share no base class: there are ``OSError``, aiohttp's and botocore's ``ClientError``,
    ``TimeoutError`` and more. Each may be temporary.

    Raises:
        StorageFull: there is no room.
        StorageFailed: anything else.
    """
    try:
        yield
    except AtelierError:
        raise
    except (Exception, asyncio.CancelledError) as error:  # here, only a library's own task can be cancelled
        if isinstance(error, OSError) and error.errno in _FULL:
            raise StorageFull from error
        raise StorageFailed(f"{type(error).__name__}: {error}"[:_DETAIL]) from error


def name_of(data: bytes) -> str:
    """The name that these bytes are kept under: the SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def one_place(url: str) -> str:
    """``url``, where it names one place.

    Raises:
        StorageUnsafe: it is empty, or a chain of places (``::``). The parts of a chain read each other's files as
            directories, templates and archives, so that what is kept at one decides what is opened next.
    """
    if not url or "::" in url:
        raise StorageUnsafe(f"BLOBS_URL is {url!r}: set it to a folder or to the URL of one place, without '::'.")
    return url


class Blobs:
    """Every call blocks for I/O: from an event loop, call it in a thread. Safe to use from several threads.

    Every call may raise :class:`StorageFailed`: the place can't be used now, perhaps later.
    """

    def __init__(self, url: str) -> None:
        """``url`` is a folder or any URL that fsspec opens (``s3://bucket/atelier``); it need not be there yet.

        Raises:
            StorageUnsafe: see :func:`one_place`.
            StorageUnavailable: fsspec does not know the scheme, needs a package for it, or can't make sense of the URL.
            StorageFailed: opening the place connects to it (``ftp://``), and it does not answer.
        """
        self.url = one_place(url)
        with reaching():
            try:
                self._files, self._root = fsspec.core.url_to_fs(url)
            except OSError:
                raise
            except Exception as error:  # each scheme raises what it likes
                why = f"{error}"[:_DETAIL].rstrip(".")
                raise StorageUnavailable(
                    f"BLOBS_URL is {url!r}, which can't be opened: {why}. Correct it, or install what it needs."
                ) from error

    @property
    def folder(self) -> Path | None:
        """Where the bytes lie on this machine; None where they lie elsewhere."""
        # A subclass may do more than call the operating system.
        return Path(self._root) if type(self._files) is LocalFileSystem else None

    def make_private(self) -> None:
        """Make the folder, if it is one, for its owner alone, also where others had rights on it before.

        Raises ``OSError``. Blobs that are put later are private in any case.
        """
        if self.folder:
            private.make_folder(self.folder, contents="[0-9a-f]{2}")
            for folder in self.folder.glob("[0-9a-f][0-9a-f]"):
                private.close(folder)

    def put(self, data: bytes) -> str:
        """Keep ``data`` durably, whole or not at all; its name. Bytes that are there already get a new date.

        Raises:
            StorageFull: there is no room.
        """
        name = name_of(data)
        with reaching():
            if self.folder:
                _write_durably(Path(self._path(name)), data)
            elif self._files.async_impl:  # object stores show whole objects alone
                self._write_in_place(self._path(name), data)
            elif not self._touched(name):
                self._write(self._path(name), data)
        return name

    def get(self, name: str) -> bytes:
        """The bytes of that name.

        Raises:
            BlobLost: they are not there, or no longer what they were.
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
        """Forget the bytes of that name; harmless when they are not there."""
        with reaching(), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def modified(self, name: str) -> datetime:
        """When the bytes of that name were last put, by :meth:`clock`.

        Raises:
            BlobLost: they are not there.
        """
        with reaching():
            try:
                self._files.invalidate_cache()
                return _aware(self._files.modified(self._path(name)))
            except FileNotFoundError as error:
                raise BlobLost(name) from error

    def __iter__(self) -> Iterator[Blob]:
        """Everything kept, in no order, with what was left half written. Whatever else lies there is not ours."""
        with reaching():
            found = list(_on_disk(self.folder) if self.folder else self._elsewhere())
        return iter(found)

    def clock(self) -> datetime:
        """What time it is where the bytes lie, by the date of a file that is put there and removed again.

        Raises:
            StorageFull: there is no room for it.
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
        """Whether the bytes are there already; if so, their date is new."""
        try:
            self.get(name)
            self._files.touch(self._path(name), truncate=False)
        except (BlobLost, NotImplementedError):
            return False
        return True

    def _write(self, path: str, data: bytes) -> None:
        """Write a file that appears whole, also where another thread or process writes the same one."""
        part = f"{path}.{secrets.token_hex(4)}{PART}"
        try:
            self._write_in_place(part, data)
            self._files.mv(part, path)
        except FileExistsError:  # SMB moves no file onto another
            self._write_in_place(path, data)
        finally:
            with contextlib.suppress(Exception, asyncio.CancelledError):
                self._files.rm_file(part)

    def _write_in_place(self, path: str, data: bytes) -> None:
        try:
            self._files.pipe_file(path, data)
        except FileNotFoundError:
            if self._files.async_impl:  # an object store has no folders: the bucket is missing, and is not ours to make
                raise
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(path, data)

    def _elsewhere(self) -> Iterator[Blob]:
        self._files.invalidate_cache()
        try:
            listed = self._files.find(self._root, detail=True)
        except FileNotFoundError:  # nothing was put yet
            return
        for path, info in listed.items():
            name = path.rsplit("/", 1)[-1]
            if not _NAME.fullmatch(name) or path != self._path(name) or info.get("type") != "file":
                continue
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                yield Blob(name, int(info["size"]), _aware(self._files.modified(path)))

    def _path(self, name: str) -> str:
        if not _NAME.fullmatch(name):  # names come from workers, too: none may lead out of the root
            raise BlobLost(name)
        return f"{self._root}/{name[:2]}/{name}"


def _aware(moment: datetime) -> datetime:
    """Some file systems give no time zone. Only differences of dates matter here."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _on_disk(root: Path) -> Iterator[Blob]:
    """Plain files in the folders that :meth:`Blobs.put` makes: no link is followed, and no other folder is entered."""
    for folder in _scan(root):
        if not (re.fullmatch("[0-9a-f]{2}", folder.name) and folder.is_dir(follow_symlinks=False)):
            continue
        for file in _scan(folder):
            if not (_NAME.fullmatch(file.name) and file.name.startswith(folder.name)):
                continue
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                if file.is_file(follow_symlinks=False):
                    known = file.stat(follow_symlinks=False)
                    yield Blob(file.name, known.st_size, datetime.fromtimestamp(known.st_mtime, UTC))


def _scan(folder: "Path | os.DirEntry[str]") -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:  # nothing was put yet, or it was removed meanwhile
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
