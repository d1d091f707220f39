"""Decodes pictures in another process, :mod:`engine.images.decoder_process`, so that none can harm a painting.

If a decoder crashes, hangs, or needs more processor or memory than its limit, one picture fails as damaged. The
process is started by ``subprocess``, since Dask's workers may not use ``multiprocessing``. It stays warm, and is
replaced when it dies.

Its answers are untrusted like the pictures. They are numbers, and raw pixels of a length that follows from the
numbers. Both are checked against the request before memory is allocated, and nothing is unpickled.
"""

import atexit
import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import IO, Final, Self, cast

from PIL import Image

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
from engine.images.animation import LONGEST_FRAME, Clip
from engine.images.codec import SHORTEST_SIDE, Picture
from engine.images.decoder_process import (
    ANSWER,
    CLIP,
    CLIP_HEAD,
    DAMAGED,
    LONGEST_DETAIL,
    MEASURES,
    NOT_A_PICTURE,
    OPAQUE,
    READY,
    REQUEST,
    TIME,
    TOO_LARGE,
    TOO_LONG,
    TOO_NARROW,
    TOO_SMALL,
    TRANSPARENT,
    TRUNCATED,
    UNSEEN,
    WHOLE,
    Confinement,
)
from engine.images.kinds import KINDS
from engine.images.limits import Limits
from engine.images.raster import LEAST_SHOWN

PROCESSOR: Final = 5
"""Seconds of processor for one picture. The slowest that are within the default limits (64 megapixels of lossless
WebP) take three.
"""
DEADLINE: Final = 30.0
"""Seconds of clock for one picture, which only a process that hangs should reach. On a busy machine, a sound picture
may wait for a processor longer than it takes.
"""

_START: Final = 30.0
"""Seconds for a process to get ready, which takes a fraction of one on a machine that isn't overwhelmed."""

_KEPT_VARIABLES: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""All that the process sees of this one's environment, which has the bot's token in it."""


def memory_for(limits: Limits) -> int:
    """Bytes that any sound picture within ``limits`` can be decoded in, over what the idle process has.

    The most that was seen are 18 bytes a pixel, for WebP: Pillow holds its pixels of 4 bytes four times.
    """
    return 256 * 2**20 + 20 * limits.pixels + 4 * limits.bytes


class Decoder:
    """Decodes pictures in a pool of processes, one for each thread that decodes at the same time. Thread-safe.

    :param processor: seconds of processor for one picture, at least 1.
    :param deadline: seconds of clock for one picture, from the request.
    :param memory: bytes that a process may take for one picture; by default what ``limits`` need.
    """

    def __init__(
        self,
        limits: Limits = Limits(),
        *,
        processor: int = PROCESSOR,
        deadline: float = DEADLINE,
        memory: int | None = None,
    ) -> None:
        self.limits = limits
        self.processor = processor
        self.deadline = deadline
        self.memory = memory_for(limits) if memory is None else memory
        self.restarts = 0
        """The number of processes that were replaced."""
        self._lock = threading.Lock()
        self._idle: list[_Process] = []
        self._busy: set[_Process] = set()
        self._closed = False

    def __enter__(self) -> Self:
        """Return the decoder."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the decoder."""
        self.close()

    def warm_up(self) -> None:
        """Start a process if none is idle, so that the next picture doesn't wait for it.

        :raises RuntimeError: it could not be started; the message says why.
        """
        self._put_back(self._taken())

    def decode(self, data: bytes, *, longer_side: int | None = None) -> Picture:
        """As :func:`engine.images.codec.decode`.

        :raises PictureError, RuntimeError: as :meth:`decode_frames`.
        """
        return cast(Picture, self.decode_frames(data, 1, longer_side=longer_side))

    def decode_frames(self, data: bytes, most: int, *, longer_side: int | None = None) -> Clip | Picture:
        """As :func:`engine.images.animation.decode_frames`.

        :raises PictureDamaged: also for what crashes a decoder, and what it can't do within deadline and memory.
        :raises PictureError: the others, as documented there.
        :raises RuntimeError: no decoder could be started, which is not the picture's fault.
        """
        if len(data) > self.limits.bytes:
            raise PictureTooLarge("bytes", len(data), self.limits.bytes)
        process = self._taken()
        try:
            answer = process.ask(data, longer_side, most)
        except BaseException as error:
            # If the fork has died, the process ends with its exit status, but maybe a moment later.
            fate = process.end(patience=1 if isinstance(error, ConnectionError) else 0)
            with self._lock:
                self._busy.discard(process)
                self.restarts += 1
            match error:
                case TimeoutError():
                    raise PictureDamaged(f"not decoded within {self.deadline:g} s") from None
                case OSError():
                    raise PictureDamaged(f"the decoder {fate}") from None
                case _Nonsense():
                    raise PictureDamaged(f"the decoder answered nonsense: {error}") from None
            raise
        self._put_back(process)
        if isinstance(answer, PictureError):
            raise answer
        return answer

    def processes(self) -> list[int]:
        """The ids of the processes that there are now."""
        with self._lock:
            return [process.id for process in (*self._idle, *self._busy)]

    def close(self) -> None:
        """End all processes. Pictures that are being decoded fail; later ones raise ``RuntimeError``."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for process in self._busy:
                process.kill()
        for process in idle:
            process.end()

    def _taken(self) -> "_Process":
        """An idle process that still lives, or a new one."""
        while True:
            with self._lock:
                if self._closed:
                    raise RuntimeError("the decoder is closed")
                process = self._idle.pop() if self._idle else None
                if process is not None:
                    self._busy.add(process)
            if process is None:
                process = _Process(Confinement(self.limits, self.memory, self.processor, self.deadline))
                with self._lock:
                    self._busy.add(process)
                return process
            if process.is_idle():
                return process
            process.end()
            with self._lock:
                self._busy.discard(process)
                self.restarts += 1

    def _put_back(self, process: "_Process") -> None:
        with self._lock:
            self._busy.discard(process)
            if not self._closed:
                self._idle.append(process)
                return
        process.end()


class _Nonsense(Exception):
    """The process has answered what no decoder of ours would."""


class _Process:
    """One process, and the socket to it. Used by one thread at a time, but for :meth:`kill`."""

    def __init__(self, confinement: Confinement) -> None:
        self._confinement = confinement
        self._deadline = time.monotonic() + _START
        self._socket, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = _started(confinement, theirs)
        except OSError as error:
            self._socket.close()
            raise RuntimeError(f"no decoder can be started: {error}") from error
        with cast(IO[bytes], self._process.stderr) as complaints:
            try:
                if self._received(1) != READY:
                    raise ConnectionError
            except OSError:
                fate = self.end()
                raise RuntimeError(f"the decoder {fate} at its start: {complaints.read()[-1000:]!r}") from None

    @property
    def id(self) -> int:
        """Of the process."""
        return self._process.pid

    def is_idle(self) -> bool:
        """Whether it lives and is silent, as it must be while it is asked for nothing."""
        if self._process.poll() is not None:
            return False
        self._socket.setblocking(False)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False  # it has closed the socket, or sends something without a request

    def ask(self, data: bytes, longer_side: int | None, frames: int) -> Clip | Picture | PictureError:
        """What it makes of the bytes.

        :raises TimeoutError: nothing whole within the deadline.
        :raises OSError: it has died.
        :raises _Nonsense: the answer breaks the rules.
        """
        self._deadline = time.monotonic() + self._confinement.clock
        self._send(REQUEST.pack(longer_side or 0, frames, len(data)))
        self._send(data)
        kind, one, other, share = ANSWER.unpack(self._received(ANSWER.size))
        if kind == CLIP and frames > 1:
            return self._clip(one, other, frames, longer_side)
        if kind not in {OPAQUE, TRANSPARENT}:
            return self._refusal(kind, one, other, share)
        picture = self._picture(one, other, transparent=kind == TRANSPARENT, longer_side=longer_side)
        return picture if share == WHOLE else replace(picture, shown=min(1.0, max(LEAST_SHOWN, share)))

    def _refusal(self, kind: int, one: int, other: int, share: float) -> PictureError:  # noqa: PLR0911 - one for each
        limits = self._confinement.limits
        if kind == NOT_A_PICTURE and one < len(KINDS):
            return NotAPicture(KINDS[one])
        if kind == TOO_LARGE and one < len(MEASURES):
            measure = MEASURES[one]
            return PictureTooLarge(measure, other, getattr(limits, measure))
        if kind == TOO_LONG:
            return ClipTooLong(one, other, limits.pixels)
        if kind == TOO_SMALL:
            return PictureTooSmall(one, other, limits.least)
        if kind == TOO_NARROW:
            return PictureTooNarrow(one, other, limits.aspect)
        if kind == TRUNCATED:
            return PictureTruncated(share)
        if kind == UNSEEN:
            return PictureTransparent()
        if kind == DAMAGED and one <= LONGEST_DETAIL:
            detail = self._received(one).decode(errors="replace")
            return PictureDamaged("".join(letter if letter.isprintable() else "?" for letter in detail))
        raise _Nonsense(f"kind {kind} with {one} and {other}")

    def _clip(self, width: int, height: int, most: int, longer_side: int | None) -> Clip:
        count, plays, transparent = CLIP_HEAD.unpack(self._received(CLIP_HEAD.size))
        if not 2 <= count <= most or plays > 2**16:
            raise _Nonsense(f"{count} frames, played {plays} times")
        times = [TIME.unpack(self._received(TIME.size)) for _ in range(count)]
        if not all(0 < milliseconds <= LONGEST_FRAME for milliseconds, _ in times) or times[0][1]:
            raise _Nonsense(f"frames of {times}")
        frames = list[Picture]()
        for _, same in times:
            if same:
                frames.append(frames[-1])
            else:
                frames.append(self._picture(width, height, transparent=transparent, longer_side=longer_side))
        return Clip(tuple(frames), tuple(milliseconds for milliseconds, _ in times), plays)

    def _picture(self, width: int, height: int, *, transparent: bool, longer_side: int | None) -> Picture:
        limits = self._confinement.limits
        shorter, longer = sorted((width, height))
        # As in :func:`engine.images.codec.fitted`: longer than requested only if the shorter side has its minimum.
        fits = longer_side is None or longer <= longer_side or shorter <= SHORTEST_SIDE
        if not (shorter > 0 and longer <= limits.side and fits and width * height <= limits.pixels):
            raise _Nonsense(f"{width} x {height} pixels")
        size = (width, height)
        rgb = Image.frombytes("RGB", size, self._received(width * height * 3))
        alpha = Image.frombytes("L", size, self._received(width * height)) if transparent else None
        return Picture(rgb, alpha)

    def _send(self, data: bytes) -> None:
        self._socket.settimeout(self._remaining())
        self._socket.sendall(data)

    def _received(self, length: int) -> bytearray:
        buffer = bytearray(length)
        rest = memoryview(buffer)
        while rest:
            self._socket.settimeout(self._remaining())
            read = self._socket.recv_into(rest)
            if not read:
                raise ConnectionError
            rest = rest[read:]
        return buffer

    def _remaining(self) -> float:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        return remaining

    def kill(self) -> None:
        """Together with the fork that decodes."""
        if self._process.returncode is None:  # else its number may be another's by now
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self, *, patience: float = 0.2) -> str:
        """Close the socket, kill the process after ``patience`` seconds, reap it, and return how it ended."""
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self.kill()
        code = self._process.wait()
        number = -code if code < 0 else code - 128
        if number in signal.valid_signals():
            return f"was ended by {signal.Signals(number).name}"
        return f"ended with status {code}"


def _started(confinement: Confinement, channel: socket.socket) -> "subprocess.Popen[bytes]":
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return subprocess.Popen(  # noqa: S603 - the arguments are ours
        # -P: the current directory may be anyone's, and modules must not come from there.
        [sys.executable, "-P", "-m", "engine.images.decoder_process", confinement.to_argument()],
        stdin=channel.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # One thread: NumPy's threads would be missing in a fork, and would keep the privileges that the main one drops.
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "OPENBLAS_NUM_THREADS": "1", **kept},
        cwd="/",
        # A group of its own: a Ctrl-C is not for it, and its forks can be ended with it. But in this session: so the
        # group becomes orphaned when this process dies, and the kernel ends it even if it is stopped.
        process_group=0,
    )


@functools.cache
def load_cached(limits: Limits) -> Decoder:
    """The decoder of this process for pictures within ``limits``: made at the first call, closed at the end."""
    decoder = Decoder(limits)
    atexit.register(decoder.close)
    return decoder
