"""The ports that a sandbox chooses are its own until it ends."""

import socket

import pytest

from client_examples.sandbox.processes import LOOPBACK, choose_ports


def test_a_server_listens_at_a_chosen_port_and_again_after_its_restart() -> None:
    (port,) = choose_ports(None, 1)
    for _ in range(2):
        with (
            socket.create_server((LOOPBACK, port)) as server,
            socket.create_connection((LOOPBACK, port)),
            server.accept()[0],
        ):
            assert choose_ports([port], 1) != [port]


def test_what_is_chosen_differs_and_stays_bound() -> None:
    ports = choose_ports(None, 3)
    assert len({*ports, *choose_ports(None, 3)}) == 6
    for port in ports:
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind((LOOPBACK, port))  # without SO_REUSEADDR, as the system looks when it chooses
