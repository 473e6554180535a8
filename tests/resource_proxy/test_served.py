"""Over real sockets, through the server that operators run: what the client sees when something goes wrong."""

import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from authz_server.core.transfers import MOST_BUFFERED_BYTES, OVER_AFTER_S
from resource_proxy.connectors.base import CHUNK_BYTES
from tests.resource_proxy.people import LARGE, Authz, Client, looks_sealed, new_token, opened, sealed
from tests.resource_proxy.served import Served, read_all, read_body, read_head
from tests.resource_proxy.wire import Peer, reply
from tests.support.self_signed import self_signed
from tests.support.waiting import wait_until

PATH = f"/data/{LARGE}"
NOBODY = "http://127.0.0.1:9"
TWENTY_MB = 20_000_000
MEMORY_LIMIT_BYTES = 8 * 1024 * 1024


@pytest.fixture
def proxy(tmp_path: Path, key_files: Path, authz: Authz, agency: Peer) -> Iterator[Served]:
    served = start(tmp_path, key_files, issuer=authz.peer.url, agency=agency.url)
    yield served
    served.stop()


@pytest.fixture(scope="module")
def over_tls(tmp_path_factory: pytest.TempPathFactory, key_files: Path) -> Iterator[Served]:
    """One that speaks TLS itself, and has nobody to ask."""
    folder = tmp_path_factory.mktemp("tls")
    certificate = str(self_signed(folder, "127.0.0.1"))
    served = start(folder, key_files, issuer=NOBODY, agency=NOBODY, tls_cert=certificate, tls_key=certificate)
    yield served
    served.stop()


def start(folder: Path, key_files: Path, *, issuer: str, agency: str, **more: Any) -> Served:
    settings = {"issuer": issuer, "client_id": "resource-proxy", "keys_file": str(key_files / "proxy.jwks")}
    served = Served(folder, settings | {"sandbox": True} | more, {"ris": {"url": agency, "connector": "jose"}})
    try:
        served.wait()
    except BaseException:
        served.stop()
        raise
    return served


def fetch(proxy: Served, client: Client) -> tuple[dict[str, str], bytes]:
    with proxy.ask(PATH, client.headers(new_token(), LARGE, url=proxy.url)) as connection:
        head, body = read_head(connection)
        return head, read_body(connection, body, int(head.get("content-length", 0)))


def jose_reply(body: bytes) -> bytes:
    return reply(200, body, content_type="application/jose")


def test_u09_an_answer_has_a_date_and_its_headers(proxy: Served, agency: Peer, client: Client) -> None:
    agency.answer = lambda _: jose_reply(sealed(b"synthetic"))
    head, body = fetch(proxy, client)
    assert head["status"].startswith("HTTP/1.1 200")
    assert opened(body) == b"synthetic"
    assert head["date"].endswith(" GMT")
    assert abs(parsedate_to_datetime(head["date"]) - datetime.now(UTC)) < timedelta(minutes=5)
    assert (head["cache-control"], head["content-type"]) == ("no-store", "application/jose")


def test_dp01_two_proof_headers_on_the_wire_are_refused(proxy: Served, authz: Authz, client: Client) -> None:
    token = new_token()
    headers = client.headers(token, LARGE, url=proxy.url)
    headers["dpop"] = client.proof(token, LARGE, url=proxy.url)
    with proxy.ask(PATH, headers | {"Connection": "close"}) as connection:
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"invalid_dpop_proof" in answer
    assert authz.exchanges == []


def test_twenty_megabytes_pass_and_memory_is_bounded_by_the_chunk(
    proxy: Served, authz: Authz, agency: Peer, client: Client
) -> None:
    agency.answer = lambda _: jose_reply(looks_sealed(1000))
    fetch(proxy, client)
    before = proxy.peak_bytes()
    package = looks_sealed(TWENTY_MB)
    agency.answer = lambda _: jose_reply(package)
    _, body = fetch(proxy, client)
    assert hashlib.sha256(body).digest() == hashlib.sha256(package).digest()
    assert authz.said == ["delivered", "delivering", "delivered"]
    assert proxy.peak_bytes() - before < MEMORY_LIMIT_BYTES


def test_a_delivery_that_is_refused_at_the_end_aborts_the_connection(
    proxy: Served, authz: Authz, agency: Peer, client: Client
) -> None:
    authz.outcome_says["delivered"] = 409
    package = looks_sealed(5 * CHUNK_BYTES)
    agency.answer = lambda _: jose_reply(package)
    head, body = fetch(proxy, client)
    assert head["content-length"] == str(len(package))
    assert len(body) <= len(package) - CHUNK_BYTES


def test_of_a_consent_that_ended_a_slow_reader_gets_what_the_buffers_hold_and_no_more(
    proxy: Served, authz: Authz, agency: Peer, client: Client
) -> None:
    authz.outcome_says["continuing"] = 409
    agency.answer = lambda _: jose_reply(looks_sealed(TWENTY_MB))
    with proxy.ask(PATH, client.headers(new_token(), LARGE, url=proxy.url)) as connection:
        head, body = read_head(connection)
        read_on_at = time.monotonic() + OVER_AFTER_S
        wait_until(lambda: time.monotonic() >= read_on_at, "the permission runs out")
        body = read_body(connection, body, TWENTY_MB)
    assert head["content-length"] == str(TWENTY_MB)
    assert 0 < len(body) <= MOST_BUFFERED_BYTES
    assert authz.wait_for("failed") == "consent_ended"


def test_an_agency_that_breaks_off_aborts_the_connection(
    proxy: Served, authz: Authz, agency: Peer, client: Client
) -> None:
    said = jose_reply(looks_sealed(5 * CHUNK_BYTES))[: 4 * CHUNK_BYTES]
    agency.answer = lambda _: lambda connection: connection.sendall(said)
    head, body = fetch(proxy, client)
    assert len(body) < int(head.get("content-length", 1)), "it may break off so soon that not even a head has left"
    assert authz.outcomes[-1]["reason"] == "agency_garbage"


def test_without_a_length_an_answer_that_ends_early_lacks_its_last_chunk(
    proxy: Served, authz: Authz, agency: Peer, client: Client
) -> None:
    authz.outcome_says["delivered"] = 409
    package = looks_sealed(5 * CHUNK_BYTES)
    head = b"HTTP/1.1 200 Said\r\nContent-Type: application/jose\r\nTransfer-Encoding: chunked\r\n\r\n"
    agency.answer = lambda _: head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(package), package)
    headers = client.headers(new_token(), LARGE, url=proxy.url) | {"Connection": "close"}
    with proxy.ask(PATH, headers) as connection:
        answer = read_all(connection)
    assert b"transfer-encoding: chunked" in answer.lower()
    assert len(answer) < len(package) - CHUNK_BYTES + 2000
    assert package[-CHUNK_BYTES:] not in answer


def test_a_client_that_hangs_up_in_mid_stream_is_reported_and_the_agency_let_go(
    proxy: Served, authz: Authz, agency: Peer, client: Client
) -> None:
    let_go = threading.Event()

    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 Said\r\nContent-Type: application/jose\r\nContent-Length: 60000000\r\n\r\n")
        connection.sendall(looks_sealed(1000))
        try:
            while True:
                connection.sendall(b"c" * CHUNK_BYTES)
        except OSError:
            let_go.set()

    agency.answer = lambda _: endless
    with proxy.ask(PATH, client.headers(new_token(), LARGE, url=proxy.url)) as connection:
        head, _ = read_head(connection)
        assert head["status"].startswith("HTTP/1.1 200")
    assert let_go.wait(20)
    agency.answer = lambda _: jose_reply(sealed(b"x"))
    fetch(proxy, client)  # the report of the first is on its way before the second is answered, or soon after
    reported = [(said["outcome"], said.get("reason")) for said in authz.outcomes]
    assert ("delivering", None) in reported
    assert ("delivered", None) in reported
    assert authz.wait_for("failed") == "client_hung_up"


def test_a_proxy_that_is_killed_in_mid_stream_has_not_delivered(
    proxy: Served, authz: Authz, agency: Peer, client: Client
) -> None:
    package = looks_sealed(TWENTY_MB)
    agency.answer = lambda _: jose_reply(package)
    with proxy.ask(PATH, client.headers(new_token(), LARGE, url=proxy.url)) as connection:
        _, body = read_head(connection)
        proxy.kill()
        body = read_body(connection, body, len(package))
    assert len(body) < len(package)
    assert authz.said == ["delivering"]


def test_s01_to_s04_it_speaks_tls_1_2_and_1_3_with_modern_suites_only(over_tls: Served) -> None:
    assert handshake(over_tls, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)[1] == "TLSv1.3"
    suite, version = handshake(over_tls, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    assert version == "TLSv1.2"
    assert suite.startswith("ECDHE-")
    assert "GCM" in suite or "CHACHA20" in suite
    with pytest.raises(ssl.SSLError):
        handshake(over_tls, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, ciphers="AES128-SHA:AES256-GCM-SHA384")
    with pytest.raises(ssl.SSLError):
        handshake(over_tls, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, ciphers="ECDHE-ECDSA-AES128-SHA256")
    with over_tls.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n")
        assert b"strict-transport-security: " in read_all(connection).lower()


def handshake(
    served: Served, lowest: ssl.TLSVersion, highest: ssl.TLSVersion, *, ciphers: str | None = None
) -> tuple[str, str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version, context.maximum_version = lowest, highest
    if ciphers is not None:
        context.set_ciphers(ciphers)
    with (
        socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection,
        context.wrap_socket(connection) as secured,
    ):
        cipher = secured.cipher()
        return (cipher[0] if cipher else ""), str(secured.version())


def test_s01_tls_1_0_and_1_1_are_refused(over_tls: Served) -> None:
    for version in (1, 2):
        # A ClientHello by hand: the local library may not speak these versions any more.
        body = bytes([3, version]) + bytes(32) + b"\x00" + b"\x00\x04\xc0\x13\x00\x2f" + b"\x01\x00"
        hello = b"\x01" + len(body).to_bytes(3, "big") + body
        record = bytes([22, 3, version]) + len(hello).to_bytes(2, "big") + hello
        with socket.create_connection(("127.0.0.1", over_tls.port), timeout=10) as connection:
            connection.sendall(record)
            answer = read_all(connection)
        assert not answer.startswith(b"\x16")
