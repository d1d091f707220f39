"""The inside of :mod:`engine.images.decoder`: ``python -m engine.images.decoder_process``, the process in which
hostile bytes are decoded.

It never looks at them itself: it reads a request, forks, and the fork decodes that one picture, answers, and ends.
So each picture meets a fresh heap, no crash is laid to the next one, and nothing that leaks or is kept outlives its
picture. A fork that ends in any other way ends this process too, with the same fate as its exit status, and the other
side starts a new one.

What the kernel holds it to, on Linux: memory (``RLIMIT_AS``, so that an allocation fails instead of the machine), no
open files beyond the three that it has (so none, no socket and no program can be opened), no bytes into files, no core
dumps, no path by Landlock, and nobody's rights where it was root's; and each fork to seconds of processor and of clock,
and by seccomp to memory and to its answer, so that code that takes it over can do nothing else. Where the kernel has
neither of the two, such code may rename and delete by path, and signal and trace processes of its user; see
:mod:`engine.images.privileges`.
"""

import ctypes
import gc
import json
import math
import os
import signal
import sys
from dataclasses import asdict, dataclass
from io import BytesIO
from struct import Struct
from typing import Final, Literal, NoReturn

from engine.errors import (
    NotAPicture,
    PictureDamaged,
    PictureError,
    PictureTooLarge,
    PictureTooNarrow,
    PictureTooSmall,
    PictureTransparent,
    PictureTruncated,
)
from engine.images import privileges
from engine.images.kinds import KINDS
from engine.images.limits import Limits

REQUEST: Final = Struct("!IQ")
"""The longer side wanted, 0 for the picture's own, and the bytes of the file, which follow."""

ANSWER: Final = Struct("!BQQd")
"""One of the kinds below, two numbers, and a share. All that a caller may read before it knows what follows."""

OPAQUE: Final = 0
"""Width and height; width x height x 3 bytes of RGB follow. The share is :attr:`engine.images.codec.Picture.shown`, or
:data:`WHOLE`.
"""
TRANSPARENT: Final = 1
"""The same; width x height bytes of alpha follow the RGB."""
NOT_A_PICTURE: Final = 2
"""The place of what it is in :data:`engine.images.kinds.KINDS`."""
TOO_LARGE: Final = 3
"""The place of what was measured in :data:`MEASURES`, and the value."""
TOO_SMALL: Final = 4
"""Width and height."""
TOO_NARROW: Final = 5
"""Width and height."""
DAMAGED: Final = 6
"""The bytes of the detail as UTF-8, at most :data:`LONGEST_DETAIL`, which follow, and 0."""
TRUNCATED: Final = 7
"""The share is what there is of the picture."""
UNSEEN: Final = 8

READY: Final = b"\x01"
"""Written once, when the process is confined and waits for its first request."""

MEASURES: Final[tuple[Literal["bytes", "pixels", "side"], ...]] = ("bytes", "pixels", "side")
LONGEST_DETAIL: Final = 300
WHOLE: Final = -1.0

_PR_SET_PDEATHSIG: Final = 1
_CHANNEL: Final = 0
"""The socket to the other side is this process's standard input, and the only thing that it has open."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the process gets: ``limits`` of a picture, ``memory`` in bytes over what it has at its start, and
    ``seconds`` of processor and of clock for one picture.
    """

    limits: Limits
    memory: int
    seconds: float

    def to_argument(self) -> str:
        """For the command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls, text: str) -> "Confinement":
        """The inverse of :meth:`to_argument`."""
        fields = json.loads(text)
        return cls(limits=Limits(**fields.pop("limits")), **fields)


def main() -> None:
    """Serve until the other side hangs up."""
    confinement = Confinement.from_argument(sys.argv[1])
    _prepare()
    _confine(confinement.memory)
    gc.collect()
    gc.freeze()  # so that a fork copies no page just because the collector has written into it
    _write(READY)
    while request := _read(REQUEST.size):
        longer_side, length = REQUEST.unpack(request)
        data = _read(length)
        fork = os.fork()
        if not fork:
            _end_with_parent()
            _serve(confinement, data, longer_side)
        del data
        _, status = os.waitpid(fork, 0)
        if status:
            os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


def _prepare() -> None:
    """Decode one picture of each format, and one in HDR: once confined, no module can be imported any more."""
    from PIL import AvifImagePlugin, Image, ImageCms, PngImagePlugin

    from engine.images.codec import decode
    from engine.runtime.malloc import return_large_blocks

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # threads would multiply its memory by the machine's cores
    return_large_blocks()
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Image.new("RGBA", (32, 32), (1, 2, 3, 4))
    for format in ("PNG", "WEBP", "AVIF", "JPEG", "GIF", "BMP"):
        out = BytesIO()
        image = picture.convert("RGB") if format == "JPEG" else picture
        image.save(out, format, exif=exif, icc_profile=profile, **({"speed": 10} if format == "AVIF" else {}))
        decode(out.getvalue(), longer_side=16)
    colours = PngImagePlugin.PngInfo()
    colours.add(b"cICP", bytes((9, 16, 0, 1)))
    out = BytesIO()
    picture.save(out, "PNG", pnginfo=colours)
    decode(out.getvalue(), longer_side=16)


def _confine(memory: int) -> None:
    if sys.platform != "linux":
        return
    import resource
    from pathlib import Path

    # The worker's own limit of its data is on its painting, and was inherited.
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    privileges.restrict_files()  # before the limits: its rules are an open file for a moment
    for kind, value in (
        (resource.RLIMIT_DATA, hard),
        (resource.RLIMIT_AS, now + memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(kind, (value, value))
    privileges.drop_root()  # after the limits, which root alone may raise
    # The filter of system calls is left to each fork: this process has to read and to fork, and decodes nothing.


def _serve(confinement: Confinement, data: bytes, longer_side: int) -> NoReturn:
    """Answer one request, and end: with status 0 only if the answer is whole."""
    try:
        _limit_time(confinement.seconds)
        privileges.restrict_calls()
        for part in _answer(confinement, data, longer_side):
            _write(part)
        os._exit(0)
    finally:
        os._exit(1)


def _end_with_parent() -> None:
    """See prctl(2). Else a fork whose parent is killed would hold the socket until it has decoded its picture."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def _limit_time(seconds: float) -> None:
    """End this process a second after the other side has given it up, should that no longer be there to end it."""
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)
    if sys.platform != "linux":
        return
    import resource

    whole = math.ceil(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _answer(confinement: Confinement, data: bytes, longer_side: int) -> list[bytes]:
    from engine.images.codec import decode

    try:
        picture = decode(data, confinement.limits, longer_side=longer_side or None)
        pixels = [picture.rgb.tobytes()]
        if picture.alpha is not None:
            pixels.append(picture.alpha.tobytes())
        kind = TRANSPARENT if picture.alpha else OPAQUE
        shown = WHOLE if picture.shown is None else picture.shown
        return [ANSWER.pack(kind, picture.width, picture.height, shown), *pixels]
    except MemoryError:
        return _refusal(PictureDamaged(f"needs more than {confinement.memory // 2**20} MB to be decoded"))
    except PictureError as error:
        return _refusal(error)


def _refusal(error: PictureError) -> list[bytes]:
    detail = b""
    match error:
        case NotAPicture():
            answer = ANSWER.pack(NOT_A_PICTURE, KINDS.index(error.kind), 0, 0)
        case PictureTooLarge():
            answer = ANSWER.pack(TOO_LARGE, MEASURES.index(error.measure), error.value, 0)
        case PictureTooSmall():
            answer = ANSWER.pack(TOO_SMALL, error.width, error.height, 0)
        case PictureTooNarrow():
            answer = ANSWER.pack(TOO_NARROW, error.width, error.height, 0)
        case PictureTruncated():
            answer = ANSWER.pack(TRUNCATED, 0, 0, error.shown)
        case PictureTransparent():
            answer = ANSWER.pack(UNSEEN, 0, 0, 0)
        case _:
            detail = str(error).encode(errors="replace")[:LONGEST_DETAIL]
            answer = ANSWER.pack(DAMAGED, len(detail), 0, 0)
    return [answer, detail]


def _read(length: int) -> bytes:
    """So many bytes from the other side, or none if it has hung up."""
    buffer = bytearray(length)
    rest = memoryview(buffer)
    while rest:
        read = os.readv(_CHANNEL, [rest])
        if not read:
            return b""
        rest = rest[read:]
    return bytes(buffer)


def _write(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(_CHANNEL, rest) :]


if __name__ == "__main__":
    main()
