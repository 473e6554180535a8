"""Class 22: the server fetches what a stranger names (Keycloak CVE-2020-10770, CVE-2026-1180).

The guard itself, address by address: tests/core/test_outbound_http.py. Here: what is fetched at all, and by whom.
"""

import ast
import socket

import pytest

from tests.support.platform import Platform
from tests.support.protocol import error_page, new_bank, opened, pushed, refused
from tests.support.tree import ROOT, python_files


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_key_set_on_a_private_address_is_not_fetched(platform: Platform, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.05)
        port = trap.getsockname()[1]
        bank = new_bank(platform, jwks=None, jwks_uri=f"{scheme}://127.0.0.1:{port}/jwks")
        refused(pushed(bank), 401, "invalid_client")
        with pytest.raises(TimeoutError):
            trap.accept()


def test_urls_in_a_request_are_never_fetched(platform: Platform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.05)
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/x"
        bank = platform.bank
        refused(pushed(bank, request_uri=url), 400, "invalid_request")
        error_page(opened(platform.citizen(), bank, url), "invalid_request_uri")
        assert pushed(bank, sector_identifier_uri=url, logo_uri=url).status_code == 201
        with pytest.raises(TimeoutError):
            trap.accept()


def test_there_is_one_way_out_of_the_authorization_server_for_http_and_one_for_mail() -> None:
    ways = {"urllib3", "requests", "http.client", "urllib.request", "httpx", "socket", "smtplib", "aiohttp"}
    trees = {path: ast.parse((ROOT / path).read_text(encoding="utf-8")) for path in python_files("authz_server")}
    found = {path.name for path, tree in trees.items() if imported(tree) & ways}
    # The last two touch sockets that are there already: one shuts them, the other listens.
    assert found == {"outbound_http.py", "outbound_mail.py", "cut_off.py", "serving.py"}
    opening = {"connect", "connect_ex", "create_connection", "sendto"}
    for path, tree in trees.items():
        if path.name in {"cut_off.py", "serving.py"}:
            assert not {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & opening


def imported(tree: ast.AST) -> set[str]:
    """The modules that a file imports, and the packages that they are in."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names | {name.split(".")[0] for name in names}
