"""Ports for processes that have to be told theirs."""

import socket


def free_port() -> int:
    """One on loopback that nobody listens at right now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
