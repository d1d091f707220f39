"""What code can do that runs in a decoder: nothing, if the kernel has Landlock and seccomp."""

import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.errors import PictureDamaged
from engine.images import decoder as decoder_module
from engine.images import privileges
from engine.images.decoder import Decoder
from engine.images.decoder_process import Confinement

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has Landlock and seccomp")
VERSION = privileges.landlock_version()
has_seccomp = pytest.mark.skipif(not privileges.can_filter_calls(), reason="no seccomp here: not checked")

ROOT = Path(__file__).parents[3]
HEADERS = {"x86_64": "x86_64-linux-gnu/asm/unistd_64.h", "aarch64": "asm-generic/unistd.h"}

DECODER = """
import ctypes, errno, mmap, os, resource, signal, socket, sys, threading
from engine.images import decoder_process, privileges
from engine.errors import PictureDamaged

libc = ctypes.CDLL(None, use_errno=True)

def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result

def call(number, *arguments):
    checked(libc.syscall(*(ctypes.c_long(each) for each in (number, *arguments))))

page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("b8 14 00 00 00 cd 80 c3"))  # getpid of i386: mov eax, 20; int 0x80; ret
i386 = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
limit = resource.setrlimit
libc.mmap.restype = libc.mprotect.restype = ctypes.c_ssize_t
room = mmap.mmap(-1, 4096)
room_at = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(room)))

def span(address):
    return (ctypes.c_size_t * 2)(address, 64)

def answer(confinement, data, longer_side, frames):
    try:
        exec(data.decode(), globals())
    except OSError as error:
        outcome = errno.errorcode[error.errno]
    except RuntimeError:  # Python raises it if a thread can't be started
        outcome = "EPERM"
    else:
        outcome = "done"
    return decoder_process._refusal(PictureDamaged(outcome))

decoder_process._answer = answer
decoder_process._prepare = lambda: None
"""
"""A decoder that runs the bytes as Python instead of decoding them. The rest of it is unchanged."""
ALONE = (
    "privileges.drop_root = lambda: None\nlimit = resource.setrlimit\nresource.setrlimit = lambda kind, value: None\n"
)
"""Code that switches the other limits off."""
WITHOUT: dict[str, str] = {
    "nothing": "",
    "all but seccomp": ALONE + "privileges.restrict_files = lambda: None\n",
    "all but Landlock": ALONE + "privileges.restrict_calls = lambda: None\n",
    "all": ALONE + "privileges.restrict_calls = privileges.restrict_files = lambda: None\n",
}

PATHS = {
    "open": "os.open('{place}/file', os.O_RDONLY)",
    "open for writing": "os.open('{place}/file', os.O_WRONLY)",
    "create": "os.open('{place}/new', os.O_WRONLY | os.O_CREAT)",
    "list": "os.open('{place}', os.O_RDONLY | os.O_DIRECTORY)",
    "rename": "os.rename('{place}/file', '{place}/new')",
    "rename a folder": "os.rename('{place}/folder', '{place}/new')",
    "remove": "os.unlink('{place}/file')",
    "remove a folder": "os.rmdir('{place}/folder')",
    "make a folder": "os.mkdir('{place}/new')",
    "make a pipe": "os.mkfifo('{place}/new')",
    "make a device": "os.mknod('{place}/new', 0o600)",
    "truncate": "os.truncate('{place}/file', 0)",
    "link": "os.link('{place}/file', '{place}/new')",
    "link by name": "os.symlink('{place}/file', '{place}/new')",
    "run a program": "os.execv('/bin/sh', ['sh', '-c', 'exit 42'])",
}
"""What Landlock refuses by the rights to a path."""
PROCESSES = {
    "signal": "os.kill({victim}, signal.SIGCONT)",
    "trace": "checked(libc.ptrace(16, {victim}, None, None))",
    "read memory": "checked(libc.process_vm_readv({victim}, span(room_at.value), 1, span({address}), 1, 0))",
    "call an abstract socket": "socket.socket(socket.AF_UNIX).connect('\\0{listening}')",
}
"""Attempts to reach other processes, which are refused."""
CALLS = {
    "change the mode": "os.chmod('{place}/file', 0o777)",
    "change the owner": "os.chown('{place}/file', os.getuid(), -1)",
    "change the time": "os.utime('{place}/file', (0, 0))",
    "look": "os.stat('{place}/file')",
    "change folders": "os.chdir('{place}')",
    "make a socket": "socket.socket(socket.AF_INET)",
    "make a local socket": "socket.socket(socket.AF_UNIX)",
    "make two sockets": "socket.socketpair()",
    "make a pipe without a name": "os.pipe()",
    "make a file in memory": "os.memfd_create('x')",
    "copy a descriptor": "os.dup(0)",
    "read the next picture": "os.readv(0, [])",
    "send by the channel": "checked(libc.sendmsg(0, ctypes.create_string_buffer(56), 0))",
    "write elsewhere": "os.write(1, b'x')",
    "signal its parent": "os.kill(os.getppid(), 0)",
    "open a process": "os.pidfd_open({victim})",
    "fork": "os.fork() or os._exit(0)",
    "start a thread": "threading.Thread(target=int).start()",
    "change its name": "checked(libc.prctl(15, b'x'))",
    "become another user": "os.setuid(os.getuid())",
    "leave its namespaces": "checked(libc.unshare(0))",
    "change its limits": "limit(resource.RLIMIT_CPU, resource.getrlimit(resource.RLIMIT_CPU))",
    "ignore a signal": "signal.signal(signal.SIGUSR1, signal.SIG_IGN)",
    "take new memory for code": "checked(libc.mmap(None, ctypes.c_size_t(4096), 7, 0x22, -1, ctypes.c_long(0)))",
    "make memory code": "checked(libc.mprotect(room_at, ctypes.c_size_t(4096), 5))",
    "give other advice": "checked(libc.madvise(room_at, ctypes.c_size_t(4096), 3))",
}
"""What seccomp alone refuses, besides all above."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """Runs attempts in a decoder's fork, each with a file and a folder of its own, and a process to attack."""

    folder: Path
    decoder: Decoder
    victim: int
    listening: str

    def outcome(self, code: str) -> str:
        """``done``, the name of the error, or how the process ended."""
        place = self.folder / str(len(list(self.folder.iterdir())))
        (place / "folder").mkdir(parents=True)
        (place / "file").write_text("precious")
        address = int(Path(f"/proc/{self.victim}/maps").read_text().split("-")[0], 16)
        code = code.format(place=place, victim=self.victim, address=address, listening=self.listening)
        with pytest.raises(PictureDamaged) as ended:
            self.decoder.decode(code.encode())
        return "done" if ended.value.detail == "the decoder ended with status 42" else ended.value.detail

    def outcomes(self, attempts: dict[str, str]) -> dict[str, str]:
        """Of all of them, by name."""
        return {name: self.outcome(code) for name, code in attempts.items()}


@pytest.fixture
def takeover(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Takeover]:
    """A decoder without the layers of confinement that the parameter names."""
    program = f"{DECODER}\n{WITHOUT[request.param]}\ndecoder_process.main()"

    def start(confinement: Confinement, channel: socket.socket) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-c", program, confinement.to_argument()],
            stdin=channel.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PYTHONPATH": str(ROOT)},
            process_group=0,
        )

    monkeypatch.setattr(decoder_module, "_started", start)
    name = f"atelier-{os.getpid()}-{request.param}"
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as victim,
        socket.socket(socket.AF_UNIX) as listening,
        Decoder() as decoder,
    ):
        listening.bind(f"\0{name}")
        listening.listen()
        yield Takeover(tmp_path, decoder, victim.pid, name)
        victim.kill()


def without(*layers: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("takeover", layers, indirect=True)


@without("all")
def test_each_attempt_succeeds_without_confinement(takeover: Takeover) -> None:
    """Otherwise the tests below could not fail."""
    attempts = PATHS | PROCESSES | CALLS
    if os.geteuid() != 0:
        del attempts["make a device"]
    assert takeover.outcomes(attempts) == dict.fromkeys(attempts, "done")


@has_seccomp
@without("nothing", "all but seccomp")
def test_seccomp_allows_only_to_compute_and_to_answer(takeover: Takeover) -> None:
    attempts = PATHS | PROCESSES | CALLS
    assert takeover.outcomes(attempts) == dict.fromkeys(attempts, "EPERM")
    for number in (*range(424, 470), 999, 100_000):  # every newer call, and those that kernels will have
        assert takeover.outcome(f"call({number}, -1, -1, -1, -1, -1, -1)") == "EPERM", number


@has_seccomp
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="only x86-64 has other conventions")
@without("nothing")
def test_seccomp_refuses_calls_by_other_conventions(takeover: Takeover) -> None:
    assert takeover.outcome("call(0x40000000 + 39)") == "EPERM"
    assert takeover.outcome("call(0x40000000 + 1, 0, 0, 0)") == "EPERM", "write of x32, whose 64-bit twin is allowed"
    assert takeover.outcome("i386()") in {
        "the decoder was ended by SIGSYS",
        "the decoder was ended by SIGSEGV",  # a kernel without calls of i386
    }


@pytest.mark.skipif(VERSION < 3, reason=f"Landlock of version {VERSION}, and 3 can refuse these: not checked")
@without("all but Landlock")
def test_landlock_refuses_paths(takeover: Takeover) -> None:
    assert takeover.outcomes(PATHS) == dict.fromkeys(PATHS, "EACCES")


@pytest.mark.skipif(VERSION < 6, reason=f"Landlock of version {VERSION}, and 6 can refuse these: not checked")
@without("all but Landlock")
def test_landlock_refuses_other_processes_and_the_network(takeover: Takeover) -> None:
    assert takeover.outcomes(PROCESSES) == dict.fromkeys(PROCESSES, "EPERM")
    assert takeover.outcome("socket.socket(socket.AF_INET).bind(('127.0.0.1', 0))") == "EACCES"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give root up")
def test_a_decoder_started_by_root_runs_as_nobody() -> None:
    with Decoder() as decoder:
        decoder.warm_up()
        (process,) = decoder.processes()
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
        assert set(status["Uid"].split()) | set(status["Gid"].split()) == {"65534"}
        assert (status["Groups"].split(), int(status["CapEff"], 16), int(status["CapPrm"], 16)) == ([], 0, 0)
        assert status["Threads"] == "1"


# --- The filter, on every architecture ---


def verdict(program: bytes, architecture: int, number: int, arguments: tuple[int, ...] = (0,) * 6) -> int:
    """The kernel's verdict on a call, by an interpreter of the few instructions of BPF that the filter uses."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *arguments)
    at = value = 0
    while True:
        code, then, other, constant = struct.unpack_from("=HBBI", program, 8 * at)
        at += 1
        match code:
            case 0x20:
                (value,) = struct.unpack_from("<I", data, constant)
            case 0x54:
                value &= constant
            case 0x15:
                at += then if value == constant else other
            case 0x06:
                return int(constant)
            case _:
                raise AssertionError(f"{code:#x} is none of them")


ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000


@pytest.fixture(params=privileges.ARCHITECTURES)
def machine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_the_filter_allows_only_the_calls_that_it_names(machine: str) -> None:
    header = Path("/usr/include", HEADERS[machine])
    if not header.exists():
        pytest.skip(f"{header} is not here: the numbers were not checked")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\b", header.read_text())
    names = {int(number): name for name, number in found}
    program, architecture = privileges.program(machine), privileges.ARCHITECTURES[machine]
    open_to_some = {"write": (0, 9, 9), "mmap": (0, 9, 3), "mprotect": (0, 9, 1), "madvise": (0, 9, 4)}
    allowed = {
        names[number]
        for number in range(2_000)
        if any(
            verdict(program, architecture, number, (*arguments, 0, 0, 0)) == ALLOW
            for arguments in ((0, 0, 0), *open_to_some.values())
        )
    }
    assert allowed == set(privileges.ALLOWED)
    assert all(verdict(program, architecture, number | 0x4000_0000) == REFUSE for number in range(2_000))


def test_the_filter_checks_arguments(machine: str) -> None:
    rules = privileges.ALLOWED

    def of(name: str, *arguments: int) -> int:
        number = getattr(rules[name], machine)
        return verdict(privileges.program(machine), privileges.ARCHITECTURES[machine], number, (*arguments, 0, 0, 0))

    assert of("write", 0, 1, 1) == ALLOW
    assert of("write", 2**32, 1, 1) == ALLOW, "a descriptor has 32 bits"
    assert {of("write", descriptor, 1, 1) for descriptor in (1, 2, 3, 2**31, 2**32 - 1)} == {REFUSE}
    for name in ("mmap", "mprotect"):
        assert {of(name, 0, 9, protection) for protection in (0, 1, 2, 3)} == {ALLOW}
        assert {of(name, 0, 9, protection) for protection in (4, 5, 7, 2**32 + 4, 0x0100_0007)} == {REFUSE}
    assert of("madvise", 0, 9, 4) == ALLOW
    assert {of("madvise", 0, 9, advice) for advice in (0, 3, 12, 100, 101)} == {REFUSE}


def test_the_filter_ends_a_process_that_calls_as_another_architecture(machine: str) -> None:
    program = privileges.program(machine)
    others = {0x40000003, 0x40000028, 0, 0xFFFFFFFF, *privileges.ARCHITECTURES.values()}
    for architecture in others - {privileges.ARCHITECTURES[machine]}:
        assert {verdict(program, architecture, number) for number in range(500)} == {KILL}
