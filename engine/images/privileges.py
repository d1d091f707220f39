"""Drops privileges of this process on Linux: root, the file system by Landlock, and system calls by seccomp.

None of it can be undone, and all later child processes inherit it. A function does nothing if the kernel, or another
system, lacks its feature. See landlock(7) and seccomp(2); the numbers are from the kernel's headers
``include/uapi/linux/landlock.h``, ``seccomp.h`` and ``audit.h`` and from its tables of system calls.
"""

import contextlib
import ctypes
import errno
import functools
import os
import struct
import sys
from dataclasses import dataclass
from typing import Final

NOBODY: Final = 65534
"""The user and group without rights."""

_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_MODE_FILTER: Final = 2
_LANDLOCK_CREATE_RULESET: Final = 444
_LANDLOCK_RESTRICT_SELF: Final = 446
_LANDLOCK_CREATE_RULESET_VERSION: Final = 1

_PROT_EXEC: Final = 4
_MADV_DONTNEED: Final = 4
_WHOLE: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Rule:
    """One allowed system call, by its numbers on x86-64 and AArch64.

    If ``argument`` is an index, the call is allowed only if the bits of that argument under ``mask`` are ``value``.
    Only the low 32 bits are compared, as the higher ones have no meaning in these arguments.
    """

    x86_64: int
    aarch64: int
    argument: int | None = None
    mask: int = _WHOLE
    value: int = 0


ALLOWED: Final = {
    "write": _Rule(1, 64, argument=0, value=0),  # to the channel alone, which is descriptor 0
    "mmap": _Rule(9, 222, argument=2, mask=_PROT_EXEC),  # no memory for machine code
    "mprotect": _Rule(10, 226, argument=2, mask=_PROT_EXEC),
    "munmap": _Rule(11, 215),
    "mremap": _Rule(25, 216),
    "madvise": _Rule(28, 233, argument=2, value=_MADV_DONTNEED),  # the only advice of an allocator
    "brk": _Rule(12, 214),
    "futex": _Rule(202, 98),
    "gettimeofday": _Rule(96, 169),  # clocks are system calls where a virtual machine has no vDSO
    "clock_gettime": _Rule(228, 113),
    "rt_sigreturn": _Rule(15, 139),
    "restart_syscall": _Rule(219, 128),
    "exit": _Rule(60, 93),
    "exit_group": _Rule(231, 94),
}
"""All that computing and answering need. Every other call is refused, also one that a later kernel adds."""

ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""``AUDIT_ARCH_*`` by the machine's name."""


class _Ruleset(ctypes.Structure):
    """``struct landlock_ruleset_attr``."""

    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def layers() -> list[str]:
    """The names of those of the two that this kernel has, for people."""
    found = []
    if version := landlock_version():
        found.append(f"Landlock {version}")
    if can_filter_calls():
        found.append("seccomp")
    return found


def drop_root() -> None:
    """If this is root, become nobody, without capabilities."""
    if sys.platform == "linux" and os.geteuid() == 0:
        # In a container, root may lack the right to change users.
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)


@functools.cache
def landlock_version() -> int:
    """The version of Landlock's interface; 0 if there is none."""
    if sys.platform != "linux":
        return 0
    version = ctypes.CDLL(None).syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    return max(0, int(version))


def restrict_files() -> None:
    """Refuse to open, make, rename, link, truncate or remove a file by its path, by Landlock.

    Kernels from 6.7 also refuse TCP; from 6.12 abstract sockets of other processes, and signals to them. It holds for
    the calling thread and what it starts. Raises ``OSError``.
    """
    version = landlock_version()
    if not version:
        return
    # A right that a ruleset names is refused unless a rule allows it, and there are no rules.
    rights = 13 + (version >= 2) + (version >= 3) + (version >= 5)  # each of these versions adds the next bit
    network = 0b11 if version >= 4 else 0  # to bind and to connect TCP
    scoped = 0b11 if version >= 6 else 0  # abstract sockets and signals
    ruleset = _Ruleset((1 << rights) - 1, network, scoped)
    library = _library()
    descriptor = library.syscall(
        _LANDLOCK_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(ctypes.sizeof(ruleset)), 0
    )
    _check(descriptor)
    try:
        _forgo_new_privileges()
        _check(library.syscall(_LANDLOCK_RESTRICT_SELF, descriptor, 0))
    finally:
        os.close(descriptor)


@functools.cache
def can_filter_calls() -> bool:
    """Whether :func:`restrict_calls` does something here."""
    if sys.platform != "linux" or os.uname().machine not in ARCHITECTURES or struct.calcsize("P") != 8:
        return False
    library = _library()
    # Without a program it always fails: with EFAULT if the kernel has filters, else with EINVAL.
    library.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), None)
    return ctypes.get_errno() != errno.EINVAL


def restrict_calls() -> None:
    """Refuse every system call but :data:`ALLOWED` with EPERM, by seccomp.

    A call by the convention of another architecture ends the process; the calls of x32 are refused. It holds for the
    calling thread. Raises ``OSError``.
    """
    if not can_filter_calls():
        return
    instructions = program(os.uname().machine)
    _forgo_new_privileges()
    filter = _Program(len(instructions) // 8, instructions)
    _check(_library().prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(filter)))


@functools.cache
def program(machine: str) -> bytes:
    """The filter for one of :data:`ARCHITECTURES`: classic BPF over ``struct seccomp_data``, see seccomp(2)."""
    load, equal, mask, give = 0x20, 0x15, 0x54, 0x06  # BPF_LD|ABS|W, BPF_JMP|JEQ|K, BPF_ALU|AND|K, BPF_RET|K
    allow, refuse, kill = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
    number, architecture, arguments = 0, 4, 16  # offsets; arguments have 64 bits, the low half first

    def instruction(code: int, value: int, then: int = 0, other: int = 0) -> bytes:
        """``then`` and ``other``: instructions to skip if the comparison holds, and if it doesn't."""
        return struct.pack("=HBBI", code, then, other, value)

    lines = [
        instruction(load, architecture),
        instruction(equal, ARCHITECTURES[machine], then=1),
        instruction(give, kill),
        instruction(load, number),
    ]
    for rule in ALLOWED.values():
        call = rule.x86_64 if machine == "x86_64" else rule.aarch64
        if rule.argument is None:
            lines += [instruction(equal, call, other=1), instruction(give, allow)]
        else:
            lines += [
                instruction(equal, call, other=5),
                instruction(load, arguments + 8 * rule.argument),
                instruction(mask, rule.mask),
                instruction(equal, rule.value, other=1),
                instruction(give, allow),
                instruction(give, refuse),
            ]
    return b"".join((*lines, instruction(give, refuse)))


def _forgo_new_privileges() -> None:
    """Let no program that is started later gain rights. Without it, Landlock and seccomp need a capability."""
    _check(_library().prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))))


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
