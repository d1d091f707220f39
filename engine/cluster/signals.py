"""SIGTERM and SIGINT: leave at the first, end at the second."""

import asyncio
import os
import signal


def leaving_on_signals() -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets; the second one ends the process at once."""
    leaving = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked(number: int) -> None:
        if leaving.is_set():
            os._exit(128 + number)
        leaving.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked, number)
    return leaving
