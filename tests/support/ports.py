"""A port for a server that is started by its number."""

from contextlib import suppress
from socket import create_connection

from client_examples.sandbox.processes import choose_ports


def free_port() -> int:
    """A port of the loopback on which nobody listens, and that nobody else is given as long as these tests run."""
    (port,) = choose_ports(None, 1)
    return port


def listens(port: int) -> bool:
    """Whether a server takes connections there."""
    with suppress(OSError), create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
