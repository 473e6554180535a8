"""The ports that a sandbox chooses are its own until it ends, and no proxy stands before them."""

import socket

import pytest
from requests.utils import get_environ_proxies

from client_examples.sandbox.processes import LOOPBACK, choose_ports, pass_by_proxies


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


@pytest.mark.parametrize("named", ["", "internal.example"])
def test_a_proxy_of_the_environment_is_not_asked_for_what_is_here(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, named)
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    assert get_environ_proxies(f"http://{LOOPBACK}:8000/")
    pass_by_proxies()
    for host in (LOOPBACK, "localhost", *filter(None, [named])):
        assert not get_environ_proxies(f"http://{host}:8000/"), host
    assert get_environ_proxies("http://elsewhere.example/")
