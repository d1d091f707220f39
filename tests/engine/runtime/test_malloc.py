"""What the allocator does with freed memory. The kernel counts page faults."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")

ALLOCATE_AGAIN_AND_AGAIN = """
import resource
from engine.runtime import malloc
malloc.{setting}()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(32 << 20)
before = faults()
for _ in range(10):
    bytearray(32 << 20)
print(faults() - before)
"""
RESIDENT_AFTER_TRIM = """
from engine.runtime import malloc
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
malloc.keep_large_blocks()
before = resident()
bytearray(64 << 20)
kept = resident()
malloc.trim()
print((kept - before) >> 20, (resident() - before) >> 20)
"""


def printed(code: str) -> list[int]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def test_a_worker_keeps_freed_memory_and_the_bot_returns_it() -> None:
    (worker,) = printed(ALLOCATE_AGAIN_AND_AGAIN.format(setting="keep_large_blocks"))
    (bot,) = printed(ALLOCATE_AGAIN_AND_AGAIN.format(setting="return_large_blocks"))
    pages = 10 * (32 << 20) // 4096
    assert worker < pages / 100
    assert bot > 100 * max(worker, 1) or bot > pages / 2


def test_trim_returns_the_memory_that_was_kept() -> None:
    kept, left = printed(RESIDENT_AFTER_TRIM)
    assert kept >= 60
    assert left <= 4
