"""A port for a server that is started by its number."""

from client_examples.sandbox.processes import choose_ports


def free_port() -> int:
    """A port of the loopback on which nobody listens, and that nobody else is given as long as these tests run."""
    (port,) = choose_ports(None, 1)
    return port
