"""The one error hierarchy of Atelier.

Everything that can go wrong with a picture, a painting or a worker is a subclass of
:class:`AtelierError` and carries data, not sentences: ``engine.texts`` and, for a member, ``bot.texts``
turn it into words. All of them survive pickling, because they travel from a
worker process to the bot: each passes its fields, in order, to ``Exception.__init__``.
"""

import errno
from typing import Final, Literal


class AtelierError(Exception):
    """Base of every error that Atelier raises on purpose."""


class OperatorError(AtelierError):
    """The operator has to mend something; the message is for them, and says what to do."""


class PictureError(AtelierError):
    """A picture from outside can't be used."""


class NotAPicture(PictureError):
    """The first bytes are of no accepted format. ``kind`` names the format that they are of, if it is known."""

    def __init__(self, kind: str = "") -> None:
        super().__init__(kind)
        self.kind = kind


class PictureTooLarge(PictureError):
    """A picture is over a limit, found before any pixel was decoded.

    ``measure`` says which limit: ``bytes`` of the file, ``pixels`` in all, or the longer ``side`` in pixels.
    """

    def __init__(self, measure: Literal["bytes", "pixels", "side"], value: int, limit: int) -> None:
        super().__init__(measure, value, limit)
        self.measure = measure
        self.value = value
        self.limit = limit


class PictureTooSmall(PictureError):
    """A side, in pixels, is shorter than the network can look at."""

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


class PictureDamaged(PictureError):
    """The file has the mark of an accepted format, but its pixels can't be decoded. ``detail`` is for the log."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class PictureTruncated(PictureError):
    """The file ends so early that only a share of ``shown`` (0 to 1) of the picture is in it."""

    def __init__(self, shown: float) -> None:
        super().__init__(shown)
        self.shown = shown


class PictureTransparent(PictureError):
    """No pixel can be seen."""


class PaintingCancelled(AtelierError):
    """The painting was stopped because somebody asked for it."""


class PaintingPaused(AtelierError):
    """The painting was stopped to go on later or elsewhere; its last checkpoint is of that very step."""


class OutOfMemory(AtelierError):
    """A worker could not get the memory for a painting of ``size`` pixels on the longer side."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class WorkerLost(AtelierError):
    """The worker process died under the painting, ``times`` times in a row."""

    def __init__(self, times: int) -> None:
        super().__init__(times)
        self.times = times


class NoWorkers(AtelierError):
    """No worker has joined, or all have left."""


class StorageFull(AtelierError):
    """There is no room to keep more bytes."""


class BlobLost(AtelierError):
    """Bytes that were kept under ``name`` are gone or damaged."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class StorageFailed(AtelierError):
    """The place of kept bytes can't be used now, whatever the reason; it may be later. ``detail`` is for the log."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class StorageUnsafe(OperatorError):
    """The place of kept bytes may not be opened; the message says what to do."""


class StorageUnavailable(OperatorError):
    """The place of kept bytes can't be opened with what is installed here; the message says why and what to do."""


class VersionMismatch(OperatorError):
    """A worker of version ``found`` refused what a bot of version ``wanted`` asked for: it would paint differently."""

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
    """VGG19's weights could not be found or read; the message says what to do."""


class DeviceUnavailable(OperatorError):
    """The device or precision that was asked for does not exist here; the message says which do."""


class CertificatesUnavailable(OperatorError):
    """Certificates for a cluster can't be made; the message says why and what to do."""


class ClusterUnsafe(OperatorError):
    """A scheduler or a worker would be reached without both sides proving who they are; the message says what to do."""


class MachineTooSmall(OperatorError):
    """The machine, or a limit that was set for the process, has too little of something; the message says of what."""


ENOUGH_FILES: Final = 64
"""How many files a bot with an embedded worker opens."""
ENOUGH_MEMORY: Final = 4_000_000 * 1024
"""Bytes of address space that an embedded worker needs."""


def ours(error: BaseException) -> AtelierError | None:
    """The error of ours that caused ``error``, or one for the shortage that did; None for any other cause."""
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
    # Dask does not report why a process failed to start. The process itself may lack the memory to report it.
    no_process = "failed to start" in str(error)
    no_thread = number == errno.EAGAIN or "can't start new thread" in str(error)
    if (
        isinstance(error, MemoryError)
        or number == errno.ENOMEM
        # The texts of the loader and of torch, which raise errors of other kinds.
        or any(words in str(error) for words in ("failed to map segment", "allocate memory"))
        or (no_thread and memory != resource.RLIM_INFINITY)  # a thread needs room for its stack
        or (no_process and memory != resource.RLIM_INFINITY and memory < ENOUGH_MEMORY)
    ):
        if memory == resource.RLIM_INFINITY:
            return MachineTooSmall("There is too little memory on this machine.")
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
