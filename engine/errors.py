"""The error hierarchy of Atelier.

Errors carry data, not sentences: ``engine.texts`` and ``bot.texts`` turn them into texts. Only an
:class:`OperatorError` may carry its text. Workers send errors to the bot, so each can be pickled: it passes its fields,
in order, to ``Exception.__init__``.
"""

import errno
from typing import Final, Literal


class AtelierError(Exception):
    """Base class of all errors that Atelier raises on purpose."""


class OperatorError(AtelierError):
    """The operator must correct something. The message tells them what to do."""


class PictureError(AtelierError):
    """An untrusted picture can't be used."""


class NotAPicture(PictureError):
    """The first bytes belong to no accepted format. ``kind`` names their format; empty if it is unknown."""

    def __init__(self, kind: str = "") -> None:
        super().__init__(kind)
        self.kind = kind


class PictureTooLarge(PictureError):
    """A picture exceeds a limit. This is detected before any pixel is decoded.

    ``measure`` names the limit: ``bytes`` of the file, ``pixels`` in total, or pixels of the longer ``side``.
    """

    def __init__(self, measure: Literal["bytes", "pixels", "side"], value: int, limit: int) -> None:
        super().__init__(measure, value, limit)
        self.measure = measure
        self.value = value
        self.limit = limit


class PictureTooSmall(PictureError):
    """A side is shorter than the network's minimum of ``least`` pixels."""

    def __init__(self, width: int, height: int, least: int) -> None:
        super().__init__(width, height, least)
        self.width = width
        self.height = height
        self.least = least


class PictureTooNarrow(PictureError):
    """The longer side is more than ``limit`` times the shorter one."""

    def __init__(self, width: int, height: int, limit: int) -> None:
        super().__init__(width, height, limit)
        self.width = width
        self.height = height
        self.limit = limit


class ClipTooLong(PictureError):
    """A moving picture has too many ``frames``, or they have more than ``limit`` ``pixels`` together."""

    def __init__(self, frames: int, pixels: int, limit: int) -> None:
        super().__init__(frames, pixels, limit)
        self.frames = frames
        self.pixels = pixels
        self.limit = limit


class PictureDamaged(PictureError):
    """The file starts like an accepted format, but its pixels can't be decoded. ``detail`` is for the log."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class PictureTruncated(PictureError):
    """The file ends so early that it contains only a share ``shown`` (0 to 1) of the picture."""

    def __init__(self, shown: float) -> None:
        super().__init__(shown)
        self.shown = shown


class PictureTransparent(PictureError):
    """All pixels are fully transparent."""


class PaintingCancelled(AtelierError):
    """The painting was cancelled."""


class PaintingPaused(AtelierError):
    """The painting stopped in order to resume later or on another worker."""


class OutOfMemory(AtelierError):
    """A worker had too little memory for a painting of ``size`` pixels on the longer side."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class WorkerLost(AtelierError):
    """``times`` workers in a row died, or sent invalid data, while they painted or checked a picture."""

    def __init__(self, times: int) -> None:
        super().__init__(times)
        self.times = times


class NoWorkers(AtelierError):
    """There is no worker."""


class StorageFull(AtelierError):
    """The storage is full."""


class BlobLost(AtelierError):
    """The blob ``name`` is missing or damaged."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class StorageFailed(AtelierError):
    """The storage can't be used now, for any reason. A retry may succeed. ``detail`` is for the log."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class StorageUnsafe(OperatorError):
    """The storage must not be used, for security. The message says what to do."""


class StorageUnavailable(OperatorError):
    """The storage can't be opened with the installed packages. The message says why and what to do."""


class VersionMismatch(OperatorError):
    """A worker of version ``found`` refused an order of version ``wanted``, because it would paint differently."""

    def __init__(self, wanted: str, found: str) -> None:
        super().__init__(wanted, found)
        self.wanted = wanted
        self.found = found


class UnknownMethod(OperatorError):
    """A recipe names a ``method`` of painting that is not installed here."""

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.method = method


class WeightsUnavailable(OperatorError):
    """VGG19's weights could not be found or read. The message says what to do."""


class NetworkUnusable(OperatorError):
    """A file is no trained network that can be used. The message says why."""


class DeviceUnavailable(OperatorError):
    """The requested device or precision does not exist on this machine. The message says which do."""


class CertificatesUnavailable(OperatorError):
    """Certificates for a cluster can't be made. The message says why and what to do."""


class ClusterUnsafe(OperatorError):
    """A connection would lack mutual authentication. The message says what to do."""


class MachineTooSmall(OperatorError):
    """The machine or a limit of the process has too little of a resource. The message says which."""


ENOUGH_FILES: Final = 64
"""The number of files that a bot with an embedded worker opens."""
ENOUGH_MEMORY: Final = 4_000_000 * 1024
"""Bytes of address space that an embedded worker needs."""


def ours(error: BaseException) -> AtelierError | None:
    """The AtelierError that caused ``error``, or one for the lack of a resource; None for any other cause."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    for each in chain:
        if isinstance(each, AtelierError):
            return each
    return next((lack for each in chain if (lack := _shortage(each))), None)


def _shortage(error: BaseException) -> MachineTooSmall | None:
    import resource  # not on every system

    number = error.errno if isinstance(error, OSError) else None
    memory, _ = resource.getrlimit(resource.RLIMIT_AS)
    # Dask does not report why a process failed to start, and the process may lack the memory to report it.
    no_process = "failed to start" in str(error)
    no_thread = number == errno.EAGAIN or "can't start new thread" in str(error)
    if (
        isinstance(error, MemoryError)
        or number == errno.ENOMEM
        # Texts of the dynamic loader and of torch, which raise errors of other types.
        or any(words in str(error) for words in ("failed to map segment", "allocate memory"))
        or (no_thread and memory != resource.RLIM_INFINITY)  # a thread needs memory for its stack
        or (no_process and memory != resource.RLIM_INFINITY and memory < ENOUGH_MEMORY)
    ):
        if memory == resource.RLIM_INFINITY:
            return MachineTooSmall("This machine has too little memory.")
        return MachineTooSmall(
            f"The limit of {memory // 2**20:,} MB for the memory of a process is too low: "
            "an embedded worker needs 4,000 MB (ulimit -v 4000000), or set no limit (ulimit -v unlimited)."
        )
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if number in {errno.EMFILE, errno.ENFILE} or (no_process and files < ENOUGH_FILES):
        return MachineTooSmall(f"The limit of {files:,} open files is too low: raise it (ulimit -n 1024).")
    if no_thread:
        return MachineTooSmall(
            "No more processes or threads can be started: raise the limit (ulimit -u, or the container's)."
        )
    return None
