"""How OpenMP's threads, which torch computes with on a CPU, wait for each other.

By default a thread spins for milliseconds before it sleeps. Beside another busy process it then spins on the core
that the thread it waits for needs. Threads that sleep at once have to be woken at each of thousands of short loops.
"""

import os
from typing import Final

_WAITING: Final = {
    "GOMP_SPINCOUNT": "1000",  # GNU's, on Linux: a few microseconds
    "KMP_BLOCKTIME": "0",  # LLVM's and Intel's, on macOS and Windows: milliseconds
}
_OPERATORS_OWN: Final = frozenset({"OMP_WAIT_POLICY", *_WAITING})


def spin_briefly() -> None:
    """Let threads that wait spin for microseconds, then sleep. For this process and those that it starts.

    Call it before torch is imported: OpenMP reads its environment once, when it is loaded. Where the environment
    says how threads wait, that stays.
    """
    if not _OPERATORS_OWN & os.environ.keys():
        os.environ.update(_WAITING)
