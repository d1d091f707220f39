"""Shutdown on SIGTERM and SIGINT: the first signal asks for it, the second forces it. Also the duties of process 1."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def end_on_signals() -> None:
    """Exit with code 0 at a signal, for a process that still loads its modules.

    Loading takes seconds, and the kernel discards signals for which process 1 has no handler.
    """
    for number in SIGNALS:
        signal.signal(number, lambda *_: os._exit(0))


def leaving_on_signals(within: float | None = None) -> asyncio.Event:
    """Return an event that the first SIGTERM or SIGINT sets. The second signal ends the process at once.

    Args:
        within: seconds after the first signal until the process exits with code 1, even if it hangs; None for no limit.
    """
    leaving = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        leaving.set()
        for number in SIGNALS:
            # Not through the event loop, which may hang.
            signal.signal(number, lambda number, _: os._exit(128 + number))
        if within is not None:
            # A thread, because the event loop may hang or be closed.
            last = threading.Timer(within, os._exit, (1,))
            last.daemon = True
            last.start()

    for number in SIGNALS:
        loop.add_signal_handler(number, asked)
    return leaving


@contextlib.contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in this thread, and permanently in the processes and threads that it starts in this context.

    A terminal sends SIGINT to all of its processes. Only the first should handle it, because it shuts the others down.
    A Python process that is still starting would print a traceback before our handler is installed.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def reap_as_process_1() -> None:
    """As process 1 of a container, fork. The child returns; the parent forwards signals and exits with its code.

    The kernel makes process 1 the parent of all orphans. They remain as zombies until it waits for them. A program that
    waits only for its own children would not do that.
    """
    if os.getpid() != 1:
        return
    waited = {*SIGNALS, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, waited)
        return
    while True:
        received = signal.sigwaitinfo(waited)
        # The kernel sends a terminal's signals to the child as well.
        if received.si_signo != signal.SIGCHLD and received.si_code <= 0:
            os.kill(child, received.si_signo)
        while (waited_for := os.waitpid(-1, os.WNOHANG))[0]:
            ended, status = waited_for
            if ended == child:
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)
