"""A store that can be out of order: ``shaky://``, in this process's memory, raises what its switch says."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar
from uuid import uuid4

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


class ClientError(Exception):
    """As botocore's: derived from nothing that other libraries know."""

    def __init__(self) -> None:
        super().__init__("An error occurred (SlowDown) when calling the PutObject operation: Reduce your request rate.")


class Shaky(MemoryFileSystem):  # type: ignore[misc]
    """Has troubles while there is a :attr:`trouble`, with calls of the kinds in :attr:`at`."""

    protocol = "shaky"
    KINDS: ClassVar = frozenset({"put", "get", "remove", "list", "date"})
    trouble: ClassVar[BaseException | None] = None
    at: ClassVar[frozenset[str]] = KINDS
    raised: ClassVar[int] = 0
    """How often it had trouble, since the last switch."""

    @classmethod
    @contextmanager
    def troubled(cls, trouble: BaseException, *kinds: str) -> Iterator[None]:
        """Have trouble while inside, with every call or those of these kinds."""
        cls.trouble, cls.at, cls.raised = trouble, frozenset(kinds) or cls.KINDS, 0
        try:
            yield
        finally:
            cls.trouble = None

    @classmethod
    def _touch(cls, kind: str) -> None:
        if cls.trouble is not None and kind in cls.at:
            cls.raised += 1
            raise cls.trouble

    def pipe_file(self, path: str, *args: Any, **options: Any) -> Any:
        self._touch("put")
        return super().pipe_file(path, *args, **options)

    def cat_file(self, path: str, *args: Any, **options: Any) -> Any:
        self._touch("get")
        return super().cat_file(path, *args, **options)

    def rm_file(self, path: str) -> None:
        self._touch("remove")
        super().rm_file(path)

    def find(self, path: str, *args: Any, **options: Any) -> Any:
        self._touch("list")
        return super().find(path, *args, **options)

    def modified(self, path: str) -> Any:
        self._touch("date")
        return super().modified(path)


fsspec.register_implementation("shaky", Shaky, clobber=True)


def new_place() -> str:
    """The URL of an empty place."""
    return f"shaky://{uuid4().hex}/blobs"
