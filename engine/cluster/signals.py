"""SIGTERM and SIGINT: leave at the first, end at the second; and what process 1 does for the others."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def end_on_signals() -> None:
    """End with code 0 at a signal, for a process that has not begun anything yet.

    Loading takes seconds, and process 1 would miss a signal that it has no handler for.
    """
    for number in SIGNALS:
        signal.signal(number, lambda *_: os._exit(0))


def leaving_on_signals(within: float | None = None) -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets; the second one ends the process at once.

    Args:
        within: seconds after which the process ends with code 1, whatever hangs; None for as long as it takes.
    """
    leaving = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        leaving.set()
        for number in SIGNALS:
            # Not by way of the event loop, which may hang.
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
    """Block SIGINT in this thread, and for good in the processes and threads that it starts meanwhile.

    A terminal sends SIGINT to all processes in it. It is meant for the first, which ends the others in good order; a
    Python that is still starting would end with a traceback, before any handler of ours is there.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def reap_as_process_1() -> None:
    """As process 1 (of a container), go on in a child; this process passes signals to it and ends with its exit code.

    The kernel gives process 1 all processes whose parents have died. They stay as zombies until it waits for them, and
    a program that waits for its own children only would not.
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
