"""Free ports for processes that must know their port before they start."""

import secrets
import socket

RANGE = range(10_000, 32_000)
"""Below the ports that Linux gives to outgoing connections, so that none of those takes the port meanwhile."""


def free_port() -> int:
    """A port of the loopback interface on which no process listens."""
    while True:
        port = secrets.choice(RANGE)  # pytest-randomly seeds `random` alike in every process
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:  # taken
            continue
