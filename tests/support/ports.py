"""A port for a server that is started by its number."""

import socket


def free_port() -> int:
    """A port of the loopback on which nobody listens at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
