"""A store that fails on request: ``failing://``, in the memory of this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar
from uuid import uuid4

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


class ClientError(Exception):
    """An error like that of botocore, which has no base class that other libraries know."""

    def __init__(self) -> None:
        super().__init__("An error occurred (SlowDown) when calling the PutObject operation: Reduce your request rate.")


class FailingStore(MemoryFileSystem):  # type: ignore[misc]
    """A store whose calls of the kinds in :attr:`failing_calls` raise :attr:`error`, if one is set."""

    protocol = "failing"
    KINDS: ClassVar = frozenset({"put", "get", "remove", "list", "date"})
    error: ClassVar[BaseException | None] = None
    failing_calls: ClassVar[frozenset[str]] = KINDS
    raised: ClassVar[int] = 0
    """The number of failed calls since :meth:`failing` was entered."""

    @classmethod
    @contextmanager
    def failing(cls, error: BaseException, *kinds: str) -> Iterator[None]:
        """A context in which all calls, or those of these kinds, raise the error."""
        cls.error, cls.failing_calls, cls.raised = error, frozenset(kinds) or cls.KINDS, 0
        try:
            yield
        finally:
            cls.error = None

    @classmethod
    def _raise_if_failing(cls, kind: str) -> None:
        if cls.error is not None and kind in cls.failing_calls:
            cls.raised += 1
            raise cls.error

    def pipe_file(self, path: str, *args: Any, **options: Any) -> Any:
        self._raise_if_failing("put")
        return super().pipe_file(path, *args, **options)

    def cat_file(self, path: str, *args: Any, **options: Any) -> Any:
        self._raise_if_failing("get")
        return super().cat_file(path, *args, **options)

    def rm_file(self, path: str) -> None:
        self._raise_if_failing("remove")
        super().rm_file(path)

    def find(self, path: str, *args: Any, **options: Any) -> Any:
        self._raise_if_failing("list")
        return super().find(path, *args, **options)

    def modified(self, path: str) -> Any:
        self._raise_if_failing("date")
        return super().modified(path)


fsspec.register_implementation("failing", FailingStore, clobber=True)


def new_url() -> str:
    """The URL of an empty store."""
    return f"failing://{uuid4().hex}/blobs"
