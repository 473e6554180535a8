"""The guarded way out, against real local servers. Class of vulnerability: 22 (SSRF)."""

import ssl
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.core import outbound_http
from authz_server.core.outbound_http import Answer, FetchFailed, FetchRefused, fetch, post
from tests.core.servers import OK, drip, say, serving
from tests.support.ports import free_port
from tests.support.self_signed import self_signed

NOBODY: frozenset[str] = frozenset()


def answering(addresses: list[str], host: str, port: int) -> list[str]:
    """A resolver that always answers `addresses`."""
    return addresses


LOOPBACK = partial(answering, ["127.0.0.1"])


def test_an_allowed_loopback_host_may_be_http() -> None:
    with serving(say(OK)) as server:
        assert fetch(f"http://127.0.0.1:{server.port}/jwks?v=1", allowed_hosts=server.allowed) == b"{}"
    request = server.requests[0]
    assert request.startswith(b"GET /jwks?v=1 HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{server.port}".encode() in request
    assert b"Accept-Encoding: identity" in request
    assert b"User-Agent" not in request


def test_the_same_host_is_refused_if_it_is_not_allowed() -> None:
    with serving(say(OK)) as server:
        for url in (f"http://127.0.0.1:{server.port}/", f"https://127.0.0.1:{server.port}/"):
            with pytest.raises(FetchRefused):
                fetch(url, allowed_hosts=NOBODY)
            with pytest.raises(FetchRefused):
                fetch(url, allowed_hosts=frozenset({f"127.0.0.1:{server.port + 1}", "127.0.0.1"}))
    assert server.requests == []


@pytest.mark.parametrize(
    "url",
    ["", "x", "/jwks", "//a.example/jwks", "http://a.example/", "ftp://a.example/", "file:///etc/passwd",
     "gopher://a.example/", "data:application/json,{}", "https://", "https:///x", "https://user@a.example/", "https://user:pw@a.example/",
     "https://a.example:0/", "https://a.example:x/", "https://a.example:99999/", "https://[a.example/",
     "https://a.example/a b",     "https://a.example/\r\nHost: b", "https://a.example/\t",
     "https://a.example\\@b.example/", "https://b\u00fccher.example/",
     "https://a.example/" + "x" * 3000],
)  # fmt: skip
def test_what_is_no_plain_https_url_is_refused_without_a_look_up(url: str) -> None:
    def nobody(host: str, port: int) -> list[str]:
        raise AssertionError(host, port)

    with pytest.raises(FetchRefused):
        fetch(url, allowed_hosts=NOBODY, resolver=nobody)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.8.8.8", "0.0.0.0",  # noqa: S104 - an address to refuse, not to bind
     "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
     "192.0.2.1", "198.18.0.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1",
     "fe80::1%lo", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
     "fec0::1", "5f00::1", "64:ff9b:1::7f00:1", "::7f00:1",
     "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:7f00:1::", "not an address"],
)  # fmt: skip
def test_a_name_that_resolves_to_an_address_that_is_not_public_is_refused(address: str) -> None:
    for found in ([address], ["93.184.215.14", address]):
        with pytest.raises(FetchRefused, match="public"):
            fetch("https://a.example/", allowed_hosts=NOBODY, resolver=partial(answering, found))


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"]
)
def test_a_public_address_passes(address: str) -> None:
    assert outbound_http._is_public(address)


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1", "127.1", "017700000001", "0"])
def test_other_spellings_of_loopback_are_looked_up_like_any_name_and_refused(host: str) -> None:
    with pytest.raises((FetchRefused, FetchFailed)):
        fetch(f"https://{host}/", allowed_hosts=NOBODY)


def test_the_name_is_looked_up_once_and_the_connection_goes_to_what_was_found() -> None:
    """DNS rebinding: a second look-up would get another answer."""
    looked_up: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["10.0.0.1"]

    with serving(say(OK)) as server:
        allowed = frozenset({f"rebinding.example:{server.port}"})
        assert fetch(f"http://rebinding.example:{server.port}/", allowed_hosts=allowed, resolver=resolver) == b"{}"
    assert looked_up == ["rebinding.example"]
    assert f"Host: rebinding.example:{server.port}".encode() in server.requests[0]


def test_the_next_address_is_tried_if_one_does_not_answer() -> None:
    with serving(say(OK)) as server:
        allowed = frozenset({f"two.example:{server.port}"})
        url = f"http://two.example:{server.port}/"
        # Nobody listens on the port at the second loopback address.
        assert fetch(url, allowed_hosts=allowed, resolver=partial(answering, ["127.0.0.2", "127.0.0.1"])) == b"{}"


def test_a_redirect_is_not_followed() -> None:
    with serving(say(OK)) as target:
        to = f"http://127.0.0.1:{target.port}/".encode()
        answer = say(b"HTTP/1.1 302 Found\r\nLocation: " + to + b"\r\nContent-Length: 0\r\n\r\n")
        with serving(answer) as server, pytest.raises(FetchFailed, match="302"):
            fetch(f"http://127.0.0.1:{server.port}/", allowed_hosts=server.allowed | target.allowed)
    assert target.requests == []


@pytest.mark.parametrize(
    "status", [b"201 Created", b"204 No Content", b"304 Not Modified", b"404 Not Found", b"500 Oops"]
)
def test_only_a_200_is_an_answer(status: bytes) -> None:
    answer = say(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
    with serving(answer) as server, pytest.raises(FetchFailed, match="status"):
        fetch(f"http://127.0.0.1:{server.port}/", allowed_hosts=server.allowed)


HEAD = b"HTTP/1.1 200 OK\r\n"
TOO_LONG = b"x" * 65537
BAD_ANSWERS: dict[str, bytes] = {
    "a body over 64 KiB": HEAD + b"Content-Length: 65537\r\n\r\n" + TOO_LONG,
    "a body over 64 KiB without a length": HEAD + b"\r\n" + TOO_LONG,
    "a body over 64 KiB in chunks": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + b"10001\r\n"
    + TOO_LONG
    + b"\r\n0\r\n\r\n",
    "a compressed body": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "a body shorter than promised": HEAD + b"Content-Length: 10\r\n\r\n{}",
    "a broken chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    "an empty body": HEAD + b"Content-Length: 0\r\n\r\n",
    "no answer": b"",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "half a header": b"HTTP/1.1 200 OK\r\nContent-",
    "a thousand headers": HEAD + b"X: y\r\n" * 1000 + b"\r\n{}",
    "a header line without end": HEAD + b"X: " + b"y" * 100000,
    "a status that is no number": b"HTTP/1.1 two hundred\r\n\r\n",
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_of_no_use_is(answer: bytes) -> None:
    with serving(say(answer)) as server, pytest.raises(FetchFailed):
        fetch(f"http://127.0.0.1:{server.port}/", allowed_hosts=server.allowed)


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=50)  # each example is a real connection on a shared machine
def test_any_octets_for_an_answer_give_a_body_or_a_failure(octets: bytes) -> None:
    with serving(say(HEAD + octets)) as server:
        try:
            assert isinstance(fetch(f"http://127.0.0.1:{server.port}/", allowed_hosts=server.allowed), bytes)
        except FetchFailed:
            return


@pytest.mark.parametrize("size", [1, 65535, 65536])
def test_up_to_64_kib_is_taken(size: int) -> None:
    answer = say(HEAD + f"Content-Length: {size}\r\n\r\n".encode() + b"x" * size)
    with serving(answer) as server:
        assert len(fetch(f"http://127.0.0.1:{server.port}/", allowed_hosts=server.allowed)) == size


SLOW = {
    "drips its body": drip(HEAD + b"Content-Length: 60000\r\n\r\n", b"x"),
    "drips a body of no length": drip(HEAD + b"\r\n", b"x"),
    "drips its chunks": drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "drips its headers": drip(HEAD, b"X: y\r\n"),
    "drips its status line": drip(b"HTTP/1.1 200 ", b"O"),
    "says nothing": lambda connection, over: over.wait() and None,
}


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW.keys())
def test_the_time_for_everything_is_bounded_if_a_host(answer: object) -> None:
    assert callable(answer)
    with serving(answer) as server:
        started = time.monotonic()
        with pytest.raises(FetchFailed):
            fetch(f"http://127.0.0.1:{server.port}/", allowed_hosts=server.allowed, timeout_s=0.3)
        # Long after the limit: this machine is shared. Without the guard it would be as long as the host likes.
        assert time.monotonic() - started < 30


def test_a_tls_handshake_that_never_ends_is_cut() -> None:
    with serving(drip(b"\x16\x03\x03\x40\x00", b"\x02"), read=False) as server:
        started = time.monotonic()
        with pytest.raises(FetchFailed):
            fetch(f"https://127.0.0.1:{server.port}/", allowed_hosts=server.allowed, timeout_s=0.3)
        assert time.monotonic() - started < 30


def test_a_name_server_that_never_answers_is_not_waited_for() -> None:
    over = threading.Event()

    def resolver(host: str, port: int) -> list[str]:
        over.wait()
        return []

    # On a busy machine the time may be over before the thread that asks has begun.
    with pytest.raises(FetchFailed, match=r"resolve|took too long"):
        fetch("https://a.example/", allowed_hosts=NOBODY, timeout_s=0.05, resolver=resolver)
    over.set()


@pytest.mark.parametrize("error", [OSError("no such host"), UnicodeError("label too long")])
def test_a_name_that_does_not_resolve_is_a_failure(error: Exception) -> None:
    def resolver(host: str, port: int) -> list[str]:
        raise error

    with pytest.raises(FetchFailed, match="resolve"):
        fetch("https://a.example/", allowed_hosts=NOBODY, resolver=resolver)


def test_a_name_without_addresses_is_a_failure() -> None:
    with pytest.raises(FetchFailed, match="no address"):
        fetch("https://a.example/", allowed_hosts=NOBODY, resolver=partial(answering, []))


def test_a_port_where_nobody_listens_is_a_failure() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(FetchFailed, match="connect"):
        fetch(f"http://{address}/", allowed_hosts=frozenset({address}))


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server context for `keys.example`, whose certificate the system's trust store holds."""
    path = self_signed(tmp_path, "keys.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context


def test_over_tls_the_certificate_is_checked_for_the_name_not_the_address(tls: ssl.SSLContext) -> None:
    names: list[str | None] = []
    tls.sni_callback = lambda connection, name, context: names.append(name)
    with serving(say(OK), tls=tls) as server:
        allowed = frozenset({f"keys.example:{server.port}"})
        url = f"https://keys.example:{server.port}/"
        assert fetch(url, allowed_hosts=allowed, resolver=LOOPBACK) == b"{}"
    assert names == ["keys.example"]
    assert f"Host: keys.example:{server.port}".encode() in server.requests[0]


def test_a_certificate_of_another_name_is_refused(tls: ssl.SSLContext) -> None:
    with serving(say(OK), tls=tls) as server:
        allowed = frozenset({f"other.example:{server.port}"})
        url = f"https://other.example:{server.port}/"
        with pytest.raises(FetchFailed, match="SSL"):
            fetch(url, allowed_hosts=allowed, resolver=LOOPBACK)
    assert server.requests == []


def test_a_certificate_that_nobody_vouches_for_is_refused_even_on_an_allowed_host(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with serving(say(OK), tls=tls) as server:
        allowed = frozenset({f"keys.example:{server.port}"})
        url = f"https://keys.example:{server.port}/"
        with pytest.raises(FetchFailed, match="SSL"):
            fetch(url, allowed_hosts=allowed, resolver=LOOPBACK)


def test_a_proxy_named_by_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(say(OK)) as proxy, serving(say(OK)) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        fetch(f"http://127.0.0.1:{server.port}/", allowed_hosts=server.allowed)
    assert proxy.requests == []


def test_a_post_is_sent_once_with_its_type_and_headers() -> None:
    answer = say(b"HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}")
    with serving(answer) as server:
        got = post(
            f"http://127.0.0.1:{server.port}/token?tenant=1",
            b"grant_type=x",
            content_type="application/x-www-form-urlencoded",
            headers={"Accept": "application/json", "Authorization": "Basic eDp5"},
            allowed_hosts=server.allowed,
        )
    assert got == Answer(200, b"{}", "application/json")
    (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /token?tenant=1 HTTP/1.1\r\n")
    for line in (
        b"Content-Length: 12",
        b"Content-Type: application/x-www-form-urlencoded",
        b"Authorization: Basic eDp5",
    ):
        assert line in head.split(b"\r\n")
    assert body == b"grant_type=x"


@pytest.mark.parametrize("status", [204, 302, 400, 401, 503])
def test_a_post_is_answered_with_whatever_status_and_no_redirect_is_followed(status: int) -> None:
    with serving(say(OK)) as elsewhere:
        location = f"Location: http://127.0.0.1:{elsewhere.port}/\r\n".encode()
        with serving(say(b"HTTP/1.1 %d Whatever\r\n" % status + location + b"Content-Length: 0\r\n\r\n")) as server:
            allowed = server.allowed | elsewhere.allowed
            got = post(f"http://127.0.0.1:{server.port}/", b"x", content_type="text/plain", allowed_hosts=allowed)
    assert (got, elsewhere.requests) == (Answer(status, b"", ""), [])


def test_a_post_goes_nowhere_that_a_get_would_not() -> None:
    with serving(say(OK)) as server:
        for url in (f"http://127.0.0.1:{server.port}/", f"https://127.0.0.1:{server.port}/", "https://a.example\\@b/"):
            with pytest.raises(FetchRefused):
                post(url, b"x", content_type="text/plain", allowed_hosts=NOBODY)
    assert server.requests == []


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW.keys())
def test_the_time_of_a_post_is_bounded_if_a_host(answer: Any) -> None:
    with serving(answer) as server:
        url = f"http://127.0.0.1:{server.port}/"
        with pytest.raises(FetchFailed):
            post(url, b"x", content_type="text/plain", allowed_hosts=server.allowed, timeout_s=0.3)


def test_only_what_is_signed_may_come_by_http_and_only_from_a_public_address() -> None:
    for address, why in (("127.0.0.1", "public"), ("10.0.0.1", "public")):
        with pytest.raises(FetchRefused, match=why):
            fetch("http://a.example/", allowed_hosts=NOBODY, signed=True, resolver=partial(answering, [address]))
    with pytest.raises(FetchRefused, match="https"):
        fetch("http://a.example/", allowed_hosts=NOBODY, resolver=partial(answering, ["93.184.215.14"]))
    with pytest.raises(FetchRefused, match="https"):
        fetch("ftp://a.example:80/", allowed_hosts=NOBODY, signed=True)
