"""From where somebody guesses, behind one proxy or several: by what docs/deploy.md ("TLS") tells to set.

The lines are as HAProxy 2.6, Caddy 2.6 and nginx 1.22 send them when they are set as it says.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from http.client import HTTPConnection

import pytest

from authz_server.config import Limits
from authz_server.identity.lockout import address_door
from tests.identity import echo
from tests.support.ports import free_port, listens
from tests.support.waiting import wait_until

PORTS = dict[int, int]
FORGED, CITIZEN, BALANCER = "198.51.100.9", "203.0.113.7", "10.0.0.5"


@pytest.fixture(scope="module")
def ports() -> Iterator[PORTS]:
    """Of a server for each number of hops."""
    found = {hops: free_port() for hops in range(3)}
    command = [sys.executable, "-m", echo.__name__, *map(str, found.values())]
    with subprocess.Popen(command, start_new_session=True) as servers:
        try:
            for port in found.values():
                wait_until(lambda port=port: listens(port), "the server listens")  # type: ignore[misc]
            yield found
        finally:
            os.killpg(servers.pid, signal.SIGTERM)


def taken_for(port: int, lines: Sequence[str]) -> str:
    """Whom a request with these lines of X-Forwarded-For is taken to come from."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.putrequest("GET", "/")
        for line in lines:
            connection.putheader("X-Forwarded-For", line)
        connection.endheaders()
        return connection.getresponse().read().decode()


@pytest.mark.parametrize(
    ("hops", "lines", "counted"),
    [
        (0, [], "127.0.0.1"),
        (0, [FORGED], "127.0.0.1"),
        (1, [CITIZEN], CITIZEN),
        (1, [FORGED, CITIZEN], CITIZEN),  # HAProxy leaves what came, and adds a line
        (1, [f"{FORGED}, 192.0.2.1", CITIZEN], CITIZEN),
        (1, [f"{FORGED}, {CITIZEN}"], CITIZEN),  # nginx with $proxy_add_x_forwarded_for
        (1, ["unknown, , x", CITIZEN], CITIZEN),
        (1, [""], "127.0.0.1"),
        (2, [CITIZEN, BALANCER], CITIZEN),
        (2, [f"{CITIZEN}, {BALANCER}"], CITIZEN),
        (2, [FORGED, CITIZEN, BALANCER], CITIZEN),
        (2, [f"{FORGED},{CITIZEN}", BALANCER], CITIZEN),
        (2, [BALANCER], "127.0.0.1"),  # one proxy fewer than was said: nobody's word is taken
        (1, ["2001:db8:1:2::7"], "2001:db8:1:2::1"),
        (1, [FORGED, "[2001:db8:1:2::7]:51234"], "2001:db8:1:2::1"),
        (1, ["[2001:db8:1:2::7]"], "2001:db8:1:2::1"),
        (1, [FORGED, f"{CITIZEN}:51234"], CITIZEN),
        (1, ["[::ffff:203.0.113.7]:51234"], CITIZEN),
    ],
)
def test_an_address_is_that_which_the_outermost_proxy_of_ours_has_seen(
    ports: PORTS, hops: int, lines: Sequence[str], counted: str
) -> None:
    assert address_door(taken_for(ports[hops], lines), Limits()) == address_door(counted, Limits())


@pytest.mark.parametrize("garbage", ["x", "[::", "[x]:1", "203.0.113.7:x", "203.0.113:1", "::1]:443", "[]:1"])
def test_what_is_no_address_counts_as_one_that_nobody_knows(ports: PORTS, garbage: str) -> None:
    assert address_door(taken_for(ports[1], [CITIZEN, garbage]), Limits()) == address_door(None, Limits())
