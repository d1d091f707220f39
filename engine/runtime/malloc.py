"""Settings of glibc's allocator for freed memory. Workers and the bot need opposite ones.

By default, glibc returns large blocks to the system, and the next allocation gets them back page by page, zeroed. A
painting allocates the same gigabyte at every step, so a worker keeps freed blocks. The bot seldom allocates more than a
few megabytes, so it returns them. Without glibc, these functions do nothing. See mallopt(3) and malloc_trim(3).
"""

import contextlib
import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_MMAP_MAX: Final = -4
_M_ARENA_MAX: Final = -8


def keep_large_blocks() -> None:
    """Keep freed memory for the next allocation. For workers."""
    _set({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: -1, _M_ARENA_MAX: 1})


def return_large_blocks() -> None:
    """Return blocks over 256 KiB as soon as they are freed. For the bot.

    By default, glibc raises that threshold when it frees a larger block. Large pictures then fragment the heap.
    """
    _set({_M_MMAP_THRESHOLD: 256 * 1024})


def trim() -> None:
    """Return all memory that is free now."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _set(parameters: dict[int, int]) -> None:
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        for parameter, value in parameters.items():
            library.mallopt(parameter, value)
