"""The process that decodes untrusted bytes for :mod:`engine.images.decoder`.

Started as ``python -m engine.images.decoder_process``.

It reads a request and forks. The fork decodes that one picture, answers, and ends. So each picture gets a fresh heap,
no picture is blamed for the crash of another, and no leak outlives its picture. If a fork ends without a whole answer,
this process ends with the fork's exit status, and the other side starts a new process.

On Linux the kernel limits the process:

- its memory, by ``RLIMIT_AS``: an allocation fails before the machine runs out;
- no open files but the three that it has, no bytes into files, no core dumps;
- no access to the file system, by Landlock, and no rights of root;
- in each fork, seconds of processor and of clock; and by seccomp no system calls but those for memory and the answer.

Without Landlock and seccomp, code that takes a fork over could rename and delete by path, and signal and trace
processes of the same user. See :mod:`engine.images.privileges`.
"""

import ctypes
import gc
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from struct import Struct
from typing import TYPE_CHECKING, Final, Literal, NoReturn

from engine.errors import (
    ClipTooLong,
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

if TYPE_CHECKING:
    from engine.images.animation import Clip

REQUEST: Final = Struct("!IIQ")
"""The longer side wanted, 0 for the picture's own; the most frames; and the bytes of the file, which follow."""

ANSWER: Final = Struct("!BQQd")
"""One of the kinds below, two numbers, and a share. The caller reads these before it knows what follows."""

OPAQUE: Final = 0
"""Width and height; width x height x 3 bytes of RGB follow. The share is :attr:`engine.images.codec.Picture.shown`, or
:data:`WHOLE`.
"""
TRANSPARENT: Final = 1
"""The same; width x height bytes of alpha follow the RGB."""
NOT_A_PICTURE: Final = 2
"""The index of its kind in :data:`engine.images.kinds.KINDS`."""
TOO_LARGE: Final = 3
"""The index of what was measured in :data:`MEASURES`, and the value."""
TOO_SMALL: Final = 4
"""Width and height."""
TOO_NARROW: Final = 5
"""Width and height."""
DAMAGED: Final = 6
"""The bytes of the detail as UTF-8, at most :data:`LONGEST_DETAIL`, which follow, and 0."""
TRUNCATED: Final = 7
"""The share of the picture that the file holds."""
UNSEEN: Final = 8
"""Without numbers: the picture is wholly transparent."""

CLIP: Final = 9
"""Width and height; the head of the clip follows."""
TOO_LONG: Final = 10
"""Frames, and their pixels together."""

CLIP_HEAD: Final = Struct("!II?")
"""The number of frames, how often they are played, and whether they have alpha. Their times follow, then the frames:
each as :data:`OPAQUE` or :data:`TRANSPARENT` has it.
"""
TIME: Final = Struct("!I?")
"""Milliseconds of a frame, and whether it is equal to the one before: then no pixels follow."""

READY: Final = b"\x01"
"""Written once, when the process is confined and waits for its first request."""

MEASURES: Final[tuple[Literal["bytes", "pixels", "side"], ...]] = ("bytes", "pixels", "side")
LONGEST_DETAIL: Final = 300
WHOLE: Final = -1.0
"""Stands for None, the share of a whole file."""

_PR_SET_PDEATHSIG: Final = 1
_CHANNEL: Final = 0
"""The socket to the other side is this process's standard input, and the only thing that it has open."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the process gets: ``limits`` of a picture, ``memory`` in bytes over what it has at its start, and seconds
    of ``processor`` and of ``clock`` for one picture.
    """

    limits: Limits
    memory: int
    processor: int
    clock: float

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
    gc.freeze()  # else the collector writes into the pages of these objects, and each fork copies them
    parent = os.getpid()
    _write(READY)
    while request := _read(REQUEST.size):
        longer_side, frames, length = REQUEST.unpack(request)
        data = _read(length)
        fork = os.fork()
        if not fork:
            _end_with(parent)
            _serve(confinement, data, longer_side, frames)
        del data
        if code := os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]):
            os._exit(128 - code if code < 0 else code)  # as a shell reports a signal


def _prepare() -> None:
    """Decode one picture of each format, clips, and one in HDR. Once confined, the process can import no module."""
    from PIL import AvifImagePlugin, Image, ImageCms, PngImagePlugin

    from engine.images.animation import decode_frames
    from engine.images.codec import decode
    from engine.runtime.malloc import return_large_blocks

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # each thread would take memory of its own
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
    for format in ("GIF", "WEBP", "PNG", "AVIF"):
        out = BytesIO()
        moves = {"save_all": True, "append_images": [Image.new("RGBA", (32, 32), "red")], "duration": 50}
        picture.save(out, format, **moves, **({"speed": 10} if format == "AVIF" else {}))
        decode_frames(out.getvalue(), 2, longer_side=16)
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

    # The process inherits the worker's soft limit of data, which is meant for painting.
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    privileges.restrict_files()  # before the limits, as it opens a descriptor for its rules
    for kind, value in (
        (resource.RLIMIT_DATA, hard),
        (resource.RLIMIT_AS, now + memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(kind, (value, value))
    privileges.drop_root()  # after the limits, as only root may raise one
    # Each fork filters its system calls. This process must read and fork, and decodes nothing.


def _serve(confinement: Confinement, data: bytes, longer_side: int, frames: int) -> NoReturn:
    """Answer one request and end, with status 0 only if the answer is whole."""
    try:
        _limit_time(confinement.processor, confinement.clock)
        privileges.restrict_calls()
        for part in _answer(confinement, data, longer_side, frames):
            _write(part)
        os._exit(0)
    finally:
        os._exit(1)


def _end_with(parent: int) -> None:
    """Die with the parent, by prctl(2). Else a fork would hold the socket until its picture is decoded."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:  # it died before the call
        os._exit(1)


def _limit_time(processor: int, clock: float) -> None:
    """End this process by SIGXCPU after so many seconds of processor.

    The caller ends it at the deadline by the clock. If the caller is gone, this process ends itself a second later.
    """
    import resource

    signal.setitimer(signal.ITIMER_REAL, clock + 1)
    resource.setrlimit(resource.RLIMIT_CPU, (processor, processor + 1))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _answer(confinement: Confinement, data: bytes, longer_side: int, frames: int) -> Iterable[bytes]:
    from engine.images.animation import Clip, decode_frames

    try:
        picture = decode_frames(data, frames, confinement.limits, longer_side=longer_side or None)
        if isinstance(picture, Clip):
            return _clip(picture)
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


def _clip(clip: "Clip") -> Iterator[bytes]:
    frames = clip.frames
    alpha = any(picture.alpha for picture in frames)
    yield ANSWER.pack(CLIP, frames[0].width, frames[0].height, WHOLE)
    yield CLIP_HEAD.pack(len(frames), clip.plays, alpha)
    for index, picture in enumerate(frames):
        yield TIME.pack(clip.milliseconds[index], index > 0 and picture is frames[index - 1])
    for index, picture in enumerate(frames):
        if index == 0 or picture is not frames[index - 1]:
            yield picture.rgb.tobytes()
            if alpha:
                yield picture.alpha.tobytes() if picture.alpha else b"\xff" * (picture.width * picture.height)


def _refusal(error: PictureError) -> list[bytes]:
    detail = b""
    match error:
        case NotAPicture():
            answer = ANSWER.pack(NOT_A_PICTURE, KINDS.index(error.kind), 0, 0)
        case PictureTooLarge():
            answer = ANSWER.pack(TOO_LARGE, MEASURES.index(error.measure), error.value, 0)
        case ClipTooLong():
            answer = ANSWER.pack(TOO_LONG, error.frames, error.pixels, 0)
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
    """Exactly ``length`` bytes from the other side; none if it closes the socket before."""
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
