"""An agency that is down, slow, refusing, answering garbage or too much: what client and record are told."""

import logging
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from flask.testing import FlaskClient

from authz_server.catalogue.model import Catalogue
from authz_server.core import clock
from resource_proxy.app import create_app
from resource_proxy.config import AgencySettings, ProxySettings
from resource_proxy.connectors.base import CHUNK_BYTES, LARGE_LIMIT_BYTES, SMALL_LIMIT_BYTES
from resource_proxy.connectors.http_answer import retry_after_s
from tests.resource_proxy.people import (
    DATASET,
    HEADER,
    LARGE,
    SEVERAL_CHUNKS,
    TRACE_ID,
    Authz,
    Client,
    encoded,
    looks_sealed,
    new_token,
    sealed,
)
from tests.resource_proxy.wire import Peer, reply

HEAD = b"HTTP/1.1 200 Said\r\nContent-Type: application/jose\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def jose_reply(body: bytes, **headers: str) -> bytes:
    return reply(200, body, content_type="application/jose", **headers)


def cut_off(octets: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(octets)


def reset(octets: bytes) -> Callable[[socket.socket], None]:
    def say(connection: socket.socket) -> None:
        connection.sendall(octets)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return say


def drip(first: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    """Say `first`, then a few octets at a time, quickly enough for every single wait, without an end."""

    def say(connection: socket.socket) -> None:
        connection.sendall(first)
        connection.settimeout(0.2)
        while True:
            try:
                if connection.recv(1) == b"":
                    return
            except TimeoutError:
                connection.sendall(drop)

    return say


def silent(connection: socket.socket) -> None:
    """Say nothing until the other side has enough of it."""
    connection.recv(1)


def with_header(header: bytes) -> bytes:
    return encoded(header).encode() + b".." + b"A" * 16 + b".cccc." + b"t" * 22


BEFORE_THE_FIRST_BYTE: dict[str, tuple[Any, int, str]] = {
    "500": (reply(500), 503, "agency_down"),
    "503": (reply(503, retry_after="120"), 503, "agency_down"),
    "503-compressed": (reply(503, b"\x1f\x8b", content_encoding="gzip"), 503, "agency_down"),
    "429": (reply(429), 503, "agency_down"),
    "hangs-up": (None, 503, "agency_down"),
    "resets": (reset(b""), 503, "agency_down"),
    "resets-in-the-first-chunk": (reset(HEAD + b"Content-Length: 5000\r\n\r\n" + HEADER), 503, "agency_down"),
    "silent": (silent, 504, "agency_timeout"),
    "silent-after-the-header": (drip(HEAD + b"Content-Length: 5000\r\n\r\n" + HEADER, b""), 504, "agency_timeout"),
    "drips-the-header": (drip(HEAD, b"X-Filler: a\r\n"), 504, "agency_timeout"),
    "drips-the-body": (drip(HEAD + b"Content-Length: 500000\r\n\r\n" + HEADER + b".", b"cc"), 504, "agency_timeout"),
    "500-as-no-record": (
        reply(500, b'{"type":"urn:mydata:problem:no-record"}', content_type="application/problem+json"),
        503,
        "agency_down",
    ),
    "400": (reply(400), 502, "agency_refused"),
    "401": (reply(401), 502, "agency_refused"),
    "403": (reply(403), 502, "agency_refused"),
    "404-without-its-type": (reply(404, b"{}", content_type="application/problem+json"), 502, "agency_refused"),
    "404-html": (reply(404, b"<p>urn:mydata:problem:no-record", content_type="text/html"), 502, "agency_refused"),
    "404-html-compressed": (
        reply(404, b"\x1f\x8b", content_type="text/html", content_encoding="gzip"),
        502,
        "agency_refused",
    ),
    "404-compressed": (
        reply(404, b"\x1f\x8b", content_type="application/problem+json", content_encoding="gzip"),
        502,
        "agency_garbage",
    ),
    "404-too-long": (reply(404, b" " * 20_000, content_type="application/problem+json"), 502, "agency_refused"),
    "301": (reply(301, location="http://127.0.0.1:1/"), 502, "agency_garbage"),
    "204": (reply(204), 502, "agency_garbage"),
    "not-http": (b"SSH-2.0-OpenSSH\r\n\r\n", 502, "agency_garbage"),
    "header-alone": (jose_reply(HEADER), 502, "agency_garbage"),
    "no-length": (HEAD + b"Connection: close\r\n\r\n" + looks_sealed(200), 502, "agency_garbage"),
    "bad-length": (HEAD + b"Content-Length: many\r\n\r\n" + looks_sealed(200), 502, "agency_garbage"),
    "two-lengths": (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + HEADER, 502, "agency_garbage"),
    "html": (reply(200, looks_sealed(200), content_type="text/html"), 502, "agency_garbage"),
    "no-type": (reply(200, looks_sealed(200)), 502, "agency_garbage"),
    "compressed": (jose_reply(sealed(b"x"), content_encoding="gzip"), 502, "agency_garbage"),
    "empty": (jose_reply(b""), 502, "agency_garbage"),
    "not-a-jwe": (jose_reply(b"hello world"), 502, "agency_garbage"),
    "endless-header": (jose_reply(b"a" * 9000 + b".."), 502, "agency_garbage"),
    "header-not-json": (jose_reply(with_header(b"nonsense")), 502, "agency_garbage"),
    "header-a-list": (jose_reply(with_header(b"[]")), 502, "agency_garbage"),
    "zip": (jose_reply(with_header(b'{"alg":"ECDH-ES","enc":"A256GCM","zip":"DEF"}')), 502, "agency_garbage"),
    "crit": (jose_reply(with_header(b'{"alg":"ECDH-ES","enc":"A256GCM","crit":["x"]}')), 502, "agency_garbage"),
    "alg-dir": (jose_reply(with_header(b'{"alg":"dir","enc":"A256GCM"}')), 502, "agency_garbage"),
    "alg-rsa1_5": (jose_reply(with_header(b'{"alg":"RSA1_5","enc":"A256GCM"}')), 502, "agency_garbage"),
    "enc-cbc": (jose_reply(with_header(b'{"alg":"ECDH-ES","enc":"A128CBC-HS256"}')), 502, "agency_garbage"),
    "a-jws": (jose_reply(with_header(b'{"alg":"ES256"}')), 502, "agency_garbage"),
    "truncated": (cut_off(HEAD + b"Content-Length: 5000\r\n\r\n" + looks_sealed(100)), 502, "agency_garbage"),
    "chunks-abort": (cut_off(CHUNKED + b"64\r\n" + looks_sealed(100) + b"\r\n"), 502, "agency_garbage"),
    "chunks-garbage": (cut_off(CHUNKED + b"64\r\n" + looks_sealed(100) + b"\r\nzz\r\n"), 502, "agency_garbage"),
    "announces-too-much": (
        cut_off(HEAD + b"Content-Length: %d\r\n\r\n" % (SMALL_LIMIT_BYTES + 1) + HEADER), 502, "agency_too_large",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("said", "status", "reason"), BEFORE_THE_FIRST_BYTE.values(), ids=BEFORE_THE_FIRST_BYTE.keys())
def test_nothing_is_sent_and_the_record_says_why(
    http: FlaskClient,
    hasty: FlaskClient,
    authz: Authz,
    agency: Peer,
    client: Client,
    *,
    said: Any,
    status: int,
    reason: str,
) -> None:
    agency.answer = lambda _: said
    proxy = hasty if reason == "agency_timeout" else http
    answer = proxy.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert answer.json is not None
    assert answer.json["type"] == f"urn:mydata:problem:{reason.replace('_', '-')}"
    assert answer.json["trace_id"] == TRACE_ID
    assert ("Retry-After" in answer.headers) == (status in {503, 504})
    assert [(outcome["outcome"], outcome["reason"]) for outcome in authz.outcomes] == [("failed", reason)]
    assert len(agency.requests) == 1


def test_a_connection_that_is_refused_is_503_and_told(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    agency.stop()
    with caplog.at_level(logging.INFO, "mydata"):
        answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert authz.outcomes[0]["reason"] == "agency_down"
    assert detail_of(caplog) == "NotConnected: ConnectionRefusedError"


def test_a_name_that_does_not_resolve_is_503_and_told(
    settings: ProxySettings,
    real_catalogue: Catalogue,
    authz: Authz,
    client: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    agencies = {"ris": AgencySettings(url="https://agency.invalid", connector="jose")}
    http = create_app(replace(settings, agencies=agencies), catalogue=real_catalogue).test_client()
    with caplog.at_level(logging.INFO, "mydata"):
        assert http.get(f"/data/{DATASET}", headers=client.headers(new_token())).status_code == 503
    assert authz.outcomes[0]["reason"] == "agency_down"
    assert detail_of(caplog) == "NotConnected: gaierror"


def detail_of(caplog: pytest.LogCaptureFixture) -> str:
    """What the log says of the request that was refused."""
    (refused,) = (record for record in caplog.records if record.message == "request.refused")
    told: str = refused.identifiers["detail"]  # type: ignore[attr-defined]  # as `logging.event` has it
    return told


def test_a_connection_that_is_never_accepted_is_504(
    settings: ProxySettings, real_catalogue: Catalogue, authz: Authz, client: Client
) -> None:
    # Two waiting connections fill a backlog of 0 and 1; the kernel then leaves further ones without an answer.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)
            agencies = {"ris": AgencySettings(url=f"http://127.0.0.1:{address[1]}", connector="jose")}
            hasty = replace(settings, agencies=agencies, connect_timeout_s=1)
            http = create_app(hasty, catalogue=real_catalogue).test_client()
            answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert answer.status_code == 504
    assert authz.outcomes[0]["reason"] == "agency_timeout"


ANNOUNCED = HEAD + b"Content-Length: %d\r\n\r\n" % (SEVERAL_CHUNKS + 999)
AFTER_THE_FIRST_BYTE: dict[str, tuple[Any, str]] = {
    "truncated": (cut_off(ANNOUNCED + looks_sealed(SEVERAL_CHUNKS)), "agency_garbage"),
    "silent": (drip(ANNOUNCED + looks_sealed(SEVERAL_CHUNKS), b""), "agency_timeout"),
    "chunks-abort": (
        cut_off(CHUNKED + b"%x\r\n" % SEVERAL_CHUNKS + looks_sealed(SEVERAL_CHUNKS) + b"\r\n"), "agency_garbage",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("said", "reason"), AFTER_THE_FIRST_BYTE.values(), ids=AFTER_THE_FIRST_BYTE.keys())
def test_a_failure_in_mid_stream_ends_the_answer_early_and_is_on_record(
    http: FlaskClient, hasty: FlaskClient, authz: Authz, agency: Peer, client: Client, *, said: Any, reason: str
) -> None:
    agency.answer = lambda _: said
    proxy = hasty if reason == "agency_timeout" else http
    answer = proxy.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert answer.status_code == 200
    assert 0 < len(answer.data) < SEVERAL_CHUNKS
    assert [(outcome["outcome"], outcome.get("reason")) for outcome in authz.outcomes] == [
        ("delivering", None),
        ("failed", reason),
    ]


def test_an_agency_that_says_when_to_come_back_is_believed(http: FlaskClient, agency: Peer, client: Client) -> None:
    agency.answer = lambda _: reply(503, retry_after="120")
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "120")


def test_a_transfer_that_has_begun_has_a_time_of_its_own(
    settings: ProxySettings, real_catalogue: Catalogue, authz: Authz, agency: Peer, client: Client
) -> None:
    quick = create_app(replace(settings, transfer_timeout_s=1), catalogue=real_catalogue).test_client()
    agency.answer = lambda _: drip(ANNOUNCED + looks_sealed(SEVERAL_CHUNKS), b"")
    begun = monotonic()
    answer = quick.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert 0 < len(answer.data) < SEVERAL_CHUNKS
    assert monotonic() - begun < settings.read_timeout_s / 2
    assert [(outcome["outcome"], outcome.get("reason")) for outcome in authz.outcomes] == [
        ("delivering", None),
        ("failed", "agency_timeout"),
    ]


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_package_of_just_the_limit_passes(
    http: FlaskClient, agency: Peer, client: Client, *, is_announced: bool
) -> None:
    package = looks_sealed(SMALL_LIMIT_BYTES)
    chunked = CHUNKED + b"%x\r\n" % len(package) + package + b"\r\n0\r\n\r\n"
    agency.answer = lambda _: jose_reply(package) if is_announced else chunked
    assert http.get(f"/data/{DATASET}", headers=client.headers(new_token())).data == package


def test_too_much_without_an_announced_length_stops_at_the_limit(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    part = b"%x\r\n" % CHUNK_BYTES + b"c" * CHUNK_BYTES + b"\r\n"

    def endless(connection: socket.socket) -> None:
        connection.sendall(CHUNKED + b"%x\r\n" % 200 + looks_sealed(200) + b"\r\n")
        while True:
            connection.sendall(part)

    agency.answer = lambda _: endless
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert len(answer.data) <= SMALL_LIMIT_BYTES
    assert authz.outcomes[-1]["reason"] == "agency_too_large"


def test_a_large_dataset_may_be_larger_but_not_without_end(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    agency.answer = lambda _: jose_reply(looks_sealed(SMALL_LIMIT_BYTES + 1))
    answer = http.get(f"/data/{LARGE}", headers=client.headers(new_token(), LARGE))
    assert len(answer.data) == SMALL_LIMIT_BYTES + 1
    agency.answer = lambda _: cut_off(HEAD + b"Content-Length: %d\r\n\r\n" % (LARGE_LIMIT_BYTES + 1) + HEADER)
    assert http.get(f"/data/{LARGE}", headers=client.headers(new_token(), LARGE)).status_code == 502
    assert authz.outcomes[-1]["reason"] == "agency_too_large"


def test_after_failures_in_a_row_the_agency_is_left_alone_and_no_token_is_used(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    agency.answer = lambda _: reply(500)
    with clock.frozen(datetime(2030, 1, 1, tzinfo=UTC)):
        for _ in range(3):
            http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
        answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert len(agency.requests) == len(authz.exchanges) == 3
        clock.advance(timedelta(seconds=30))
        agency.answer = lambda _: jose_reply(sealed(b"x"))
        assert http.get(f"/data/{DATASET}", headers=client.headers(new_token())).status_code == 200
        assert http.get(f"/data/{DATASET}", headers=client.headers(new_token())).status_code == 200


def test_refused_tokens_do_not_open_the_circuit(http: FlaskClient, authz: Authz, agency: Peer, client: Client) -> None:
    authz.exchange_says = lambda _: reply(400, b'{"error":"invalid_request"}')
    for _ in range(20):
        assert http.get(f"/data/{DATASET}", headers=client.headers(new_token())).status_code == 401


def test_a_connection_is_kept_and_used_again_also_after_a_whole_stream(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    agency.answer = lambda _: jose_reply(looks_sealed(SEVERAL_CHUNKS))
    for _ in range(3):
        answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
        assert len(answer.data) == SEVERAL_CHUNKS
    assert agency.connections == authz.peer.connections == 1


def test_tls_is_verified_and_ca_file_adds_an_authority(
    settings: ProxySettings, real_catalogue: Catalogue, authz: Authz, client: Client, *, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    peer = Peer(answer=lambda _: jose_reply(sealed(b"x")), tls=context)
    try:
        mistrusting = replace(settings, agencies={"ris": AgencySettings(url=peer.url, connector="jose")})
        http = create_app(mistrusting, catalogue=real_catalogue).test_client()
        assert http.get(f"/data/{DATASET}", headers=client.headers(new_token())).status_code == 503
        assert authz.outcomes[0]["reason"] == "agency_down"
        assert peer.requests == []
        http = create_app(replace(mistrusting, ca_file=certificate), catalogue=real_catalogue).test_client()
        assert http.get(f"/data/{DATASET}", headers=client.headers(new_token())).status_code == 200
    finally:
        peer.stop()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7200", 7200),
        (" 7 ", 7),
        ("0", 1),
        ("9" * 400, 86400),
        ("-5", 60),
        ("1.5", 60),
        ("soon", 60),
        ("", 60),
        (None, 60),
        ("٣", 60),
        ("Tue, 01 Jan 2030 00:02:00 GMT", 120),
        ("Tue, 01 Jan 2030 00:02:00", 60),
        ("Mon, 01 Jan 2029 00:00:00 GMT", 1),
        ("Tue, 99 Jan 2030 00:02:00 GMT", 60),
        (f"Tue, 01 Jan {'9' * 20} 00:02:00 GMT", 60),
        (f"Tue, 01 Jan 2030 00:02:00 +{'9' * 20}", 60),
    ],
)
def test_retry_after_is_a_time_from_a_second_to_a_day(header: str | None, seconds: int) -> None:
    with clock.frozen(datetime(2030, 1, 1, tzinfo=UTC)):
        assert retry_after_s(header) == seconds


def test_who_is_told_a_moment_to_come_back_at_comes_no_sooner() -> None:
    with clock.frozen(datetime(2030, 1, 1, microsecond=600_000, tzinfo=UTC)):
        assert retry_after_s("Tue, 01 Jan 2030 00:02:00 GMT") == 120
