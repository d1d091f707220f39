"""How OpenMP threads, which torch uses on a CPU, wait for each other.

By default, a waiting thread spins for milliseconds before it sleeps. Next to another busy process, it then occupies the
core that the awaited thread needs. Threads that sleep at once must be woken at each of thousands of short loops.
"""

import os
from typing import Final

_WAITING: Final = {
    "GOMP_SPINCOUNT": "1000",  # GNU's, on Linux: a few microseconds
    "KMP_BLOCKTIME": "0",  # LLVM's and Intel's, on macOS and Windows: milliseconds
}
_OPERATORS_OWN: Final = frozenset({"OMP_WAIT_POLICY", *_WAITING})


def spin_briefly() -> None:
    """Let waiting threads spin for microseconds, then sleep, in this process and its children.

    Call it before torch is imported: OpenMP reads its environment once, when it is loaded. Settings that the operator
    made in the environment take precedence.
    """
    if not _OPERATORS_OWN & os.environ.keys():
        os.environ.update(_WAITING)
