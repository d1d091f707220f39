"""What the C library does with memory that is freed: two processes with opposite needs.

glibc gives large blocks back to the system, and takes them again page by page, zeroed, at the next allocation. A
painting allocates the same gigabyte at every step, so its worker keeps them until it ends; the bot handles megabytes
now and then, so it returns them. Elsewhere than on glibc these functions do nothing. See mallopt(3), malloc_trim(3).
"""

import contextlib
import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_MMAP_MAX: Final = -4
_M_ARENA_MAX: Final = -8


def keep_large_blocks() -> None:
    """Keep what is freed for the next allocation, for a process that paints."""
    _set({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: -1, _M_ARENA_MAX: 1})


def return_large_blocks() -> None:
    """Return blocks over 256 KB as soon as they are freed.

    Left alone, glibc raises that threshold with each block that it frees, and pictures of megabytes leave the heap in
    holes.
    """
    _set({_M_MMAP_THRESHOLD: 256 * 1024})


def trim() -> None:
    """Return all that is free now, after a painting."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _set(parameters: dict[int, int]) -> None:
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        for parameter, value in parameters.items():
            library.mallopt(parameter, value)
