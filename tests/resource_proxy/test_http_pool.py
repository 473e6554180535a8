"""The proxy's outgoing HTTP: what is an answer, when a connection is used again, what is known to be unsent."""

import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resource_proxy import http_wire
from resource_proxy.http_pool import Pool
from resource_proxy.http_wire import (
    Answer,
    BadAnswer,
    Connection,
    ConnectionLost,
    ConnectTimeout,
    NotConnected,
    WireError,
)
from tests.resource_proxy.wire import Peer, reply
from tests.support.ports import free_port

CHUNKED = b"HTTP/1.1 200 Said\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG = http_wire.HEAD_LIMIT_BYTES + 100
CHUNKS = CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: z\r\n\r\n"


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer(answer=lambda _: reply(200, b"abcde"))
    yield peer
    peer.stop()


def new_pool(url: str, **changes: Any) -> Pool:
    options: dict[str, Any] = {"connect_timeout_s": 60, "read_timeout_s": 60, "answer_timeout_s": 60, "size": 2}
    return Pool(url, **options | changes)


@pytest.fixture
def pool(peer: Peer) -> Pool:
    return new_pool(peer.url)


def fetched(pool: Pool, path: str = "/x") -> bytes:
    answer = pool.send("GET", path, {})
    try:
        return answer.read(100)
    finally:
        answer.close()


def test_a_request_says_where_to_and_how_long_it_is(pool: Pool, peer: Peer) -> None:
    pool.send("POST", "/token?a=b", {"Accept": "application/json"}, b"form").close()
    pool.send("GET", "/x", {}).close()
    post, get = peer.requests
    assert (post.method, post.path, post.body) == ("POST", "/token?a=b", b"form")
    assert get.headers == {"host": f"127.0.0.1:{peer.port}", "accept-encoding": "identity"}
    assert post.headers == get.headers | {"accept": "application/json", "content-length": "4"}


@pytest.mark.parametrize(
    ("path", "value"), [("/x", "a\r\nX: y"), ("/x", "a\nb"), ("/x", "\0"), ("/x", "é"), ("/x y", "a"), ("/x\r\n", "a")]
)
def test_a_value_can_not_add_a_header_or_a_request(pool: Pool, peer: Peer, *, path: str, value: str) -> None:
    with pytest.raises(ValueError, match="characters"):
        pool.send("GET", path, {"X-Value": value})
    assert peer.connections == 0


@pytest.mark.parametrize("octets", [reply(200, b"abcde"), CHUNKS], ids=["length", "chunks"])
def test_a_body_is_read_piece_by_piece_and_the_connection_used_again(pool: Pool, peer: Peer, *, octets: bytes) -> None:
    peer.answer = lambda _: octets
    for _ in range(2):
        answer = pool.send("GET", "/x", {})
        assert [answer.read(2) for _ in range(4)] == [b"ab", b"cd", b"e", b""]
        answer.close()
    assert peer.connections == 1


def test_answers_without_a_body_are_whole_at_once(pool: Pool, peer: Peer) -> None:
    for octets in (b"HTTP/1.1 204 Said\r\n\r\n", reply(200), b"HTTP/1.1 304 Said\r\nContent-Length: 5\r\n\r\n"):
        peer.answer = lambda _, octets=octets: octets  # type: ignore[misc]
        assert fetched(pool) == b""
    assert peer.connections == 1


def test_several_headers_of_a_name_are_seen_as_such(pool: Pool, peer: Peer) -> None:
    peer.answer = lambda _: b"HTTP/1.1 200 Said\r\nX-A: 1\r\nx-a:  2 \r\nContent-Length: 0\r\n\r\n"
    answer = pool.send("GET", "/x", {})
    answer.close()
    assert answer.headers == {"x-a": "1, 2", "content-length": "0"}


def test_trailers_are_passed_over(pool: Pool, peer: Peer) -> None:
    peer.answer = lambda _: CHUNKED + b"1\r\na\r\n0\r\n" + b"Content-Type: text/html\r\n" * 1000 + b"\r\n"
    answer = pool.send("GET", "/x", {})
    assert answer.read(9) == b"a"
    answer.close()
    assert answer.headers == {"transfer-encoding": "chunked"}


def test_interim_answers_are_passed_over(pool: Pool, peer: Peer) -> None:
    peer.answer = lambda _: b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100 Go\r\n\r\n" + reply(404, b"abcde")
    answer = pool.send("GET", "/x", {})
    assert (answer.status, answer.headers, answer.read(9)) == (404, {"content-length": "5"}, b"abcde")
    answer.close()


class Pieces:
    """A socket on which the peer's octets come in these pieces, whatever the kernel would make of them."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def settimeout(self, _: float) -> None:
        """Nothing is waited for."""

    def recv_into(self, buffer: memoryview) -> int:
        piece = self.pieces.pop(0) if self.pieces else b""
        if rest := piece[len(buffer) :]:
            self.pieces.insert(0, rest)
        buffer[: len(piece) - len(rest)] = piece[: len(buffer)]
        return len(piece) - len(rest)


def read_from(*pieces: bytes) -> Answer:
    sock: Any = Pieces(*pieces)
    connection = Connection(sock, 1)
    connection.allow(1)
    return Answer(connection, keep=lambda _: None)


LINES_IN_THE_BODY = b"\r\n\r\nab\r\n\r\ncd"
WHOLE = reply(404, LINES_IN_THE_BODY, x="1")


@pytest.mark.parametrize("split", range(1, len(WHOLE)))
def test_a_head_ends_where_it_ends_however_it_comes(split: int) -> None:
    for pieces in (WHOLE[:split], WHOLE[split:]), (*(bytes([octet]) for octet in WHOLE[:split]), WHOLE[split:]):
        answer = read_from(*pieces)
        assert (answer.status, answer.headers) == (404, {"content-length": str(len(LINES_IN_THE_BODY)), "x": "1"})
        assert answer.read(99) == LINES_IN_THE_BODY


@pytest.mark.parametrize("head_bytes", range(http_wire.BUFFER_BYTES - 4, http_wire.BUFFER_BYTES + 5))
def test_a_head_that_just_fills_the_buffer_ends_where_it_ends(head_bytes: int) -> None:
    without = len(reply(404, LINES_IN_THE_BODY, x="")) - len(LINES_IN_THE_BODY)
    assert read_from(reply(404, LINES_IN_THE_BODY, x="1" * (head_bytes - without))).read(99) == LINES_IN_THE_BODY


BAD_HEADS = {
    "not-http": b"SSH-2.0-OpenSSH\r\n\r\n",
    "two-lengths": b"HTTP/1.1 200 Said\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    "length-and-chunks": b"HTTP/1.1 200 Said\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "signed-length": b"HTTP/1.1 200 Said\r\nContent-Length: +5\r\n\r\nabcde",
    "folded": b"HTTP/1.1 200 Said\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "space-before-the-colon": b"HTTP/1.1 200 Said\r\nContent-Length : 0\r\n\r\n",
    "bare-line-feeds": b"HTTP/1.1 200 Said\nContent-Length: 0\n\n",
    "other-protocol": b"HTTP/1.1 101 Said\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "too-long": b"HTTP/1.1 200 Said\r\nX: " + b"a" * http_wire.HEAD_LIMIT_BYTES + b"\r\n\r\n",
    "too-many": b"HTTP/1.1 200 Said\r\n" + b"X: a\r\n" * http_wire.HEAD_LIMIT_BYTES + b"\r\n",
    "too-many-interim": b"HTTP/1.1 100 Go\r\n\r\n" * http_wire.HEAD_LIMIT_BYTES,
}


@pytest.mark.parametrize("octets", BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_what_is_not_quite_http_is_no_answer(pool: Pool, peer: Peer, *, octets: bytes) -> None:
    peer.answer = lambda _: octets
    with pytest.raises(BadAnswer):
        pool.send("GET", "/x", {})


BAD_BODIES = {
    "no-end": b"HTTP/1.1 200 Said\r\n\r\nabcde",
    "unknown-coding": b"HTTP/1.1 200 Said\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "ends-early": b"HTTP/1.1 200 Said\r\nContent-Length: 6\r\n\r\nabcde",
    "chunks-end-early": CHUNKED + b"3\r\nabc\r\n",
    "no-chunks": CHUNKED + b"abc\r\n",
    "chunks-and-another-answer": CHUNKS + reply(200, b"x"),
}


@pytest.mark.parametrize("octets", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_body_that_is_not_whole_is_no_body(pool: Pool, peer: Peer, *, octets: bytes) -> None:
    peer.answer = lambda _: lambda connection: connection.sendall(octets)
    with pytest.raises(BadAnswer):
        fetched(pool)
    peer.answer = lambda _: reply(200, b"good")
    assert fetched(pool) == b"good"
    assert peer.connections == 2


@pytest.mark.parametrize(
    "octets",
    [b"3;x=" + b"a" * LONG, b"3\r\nabc\r\n0\r\n" + b"X: a\r\n" * LONG, b"3\r\nabc\r\n0\r\nX: " + b"a" * LONG],
    ids=["chunk-extension", "trailers", "trailer"],
)
def test_what_is_between_and_after_chunks_is_not_read_without_an_end(pool: Pool, peer: Peer, *, octets: bytes) -> None:
    def say(connection: socket.socket) -> None:
        connection.sendall(CHUNKED + octets)
        connection.recv(1)  # until the other side has enough of it

    peer.answer = lambda _: say
    with pytest.raises(BadAnswer):
        fetched(pool)


def test_what_follows_an_answer_is_not_the_answer_to_the_next_request(pool: Pool, peer: Peer) -> None:
    peer.answer = lambda request: reply(200, request.path.encode()) + reply(200, b"of somebody else")
    assert [fetched(pool, "/1"), fetched(pool, "/2")] == [b"/1", b"/2"]
    assert peer.connections == 2


def test_what_follows_an_answer_in_a_tls_record_is_not_the_answer_to_the_next_request(certificate: Path) -> None:
    head_bytes = len(reply(200, b"a" * 20_000)) - 20_000
    first = reply(200, b"a" * (3 * http_wire.BUFFER_BYTES - head_bytes))  # nothing of what follows is read with it
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    peer = Peer(answer=lambda _: first + reply(200, b"of somebody else"), tls=context)
    pool = new_pool(peer.url, ca_file=certificate)
    try:
        for _ in range(2):
            answer = pool.send("GET", "/x", {})
            assert answer.read(len(first)) == first[head_bytes:]
            answer.close()
    finally:
        peer.stop()
    assert peer.connections == 2


def test_a_connection_with_an_unread_rest_is_not_used_again(pool: Pool, peer: Peer) -> None:
    answer = pool.send("GET", "/x", {})
    assert answer.read(2) == b"ab"
    answer.close()
    answer.close()
    assert fetched(pool) == b"abcde"
    assert peer.connections == 2


def test_a_connection_that_the_peer_closes_is_not_used_again(pool: Pool, peer: Peer) -> None:
    peer.answer = lambda _: reply(200, b"abcde", connection="close")
    assert [fetched(pool), fetched(pool)] == [b"abcde", b"abcde"]
    peer.answer = lambda _: lambda connection: connection.sendall(reply(200, b"abcde"))
    assert fetched(pool) == b"abcde"
    peer._threads[-1].join()  # it has hung up by now
    assert fetched(pool) == b"abcde"
    assert len(peer.requests) == peer.connections == 4


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    pool: Pool, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched(pool)
    monkeypatch.setattr(http_wire, "IDLE_LIMIT_S", 0)
    fetched(pool)
    assert peer.connections == 2


def test_no_more_connections_are_kept_than_the_pool_is_large(peer: Peer) -> None:
    pool = new_pool(peer.url, size=1)
    for _ in range(2):
        answers = [pool.send("GET", "/x", {}) for _ in range(2)]
        for answer in answers:
            answer.read(5)
            answer.close()
    assert peer.connections == 3


def test_only_a_connection_that_was_never_made_is_known_to_have_sent_nothing(peer: Peer) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    for url in (nobody, "http://agency.invalid", "http://" + "a" * 70 + ".invalid"):
        with pytest.raises(NotConnected):
            new_pool(url).send("GET", "/x", {})
    peer.answer = lambda _: None
    with pytest.raises(ConnectionLost):
        new_pool(peer.url).send("GET", "/x", {})


def test_a_handshake_has_to_end_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        pool = new_pool(f"https://127.0.0.1:{silent.getsockname()[1]}", connect_timeout_s=0.2)
        with pytest.raises(ConnectTimeout):
            pool.send("GET", "/x", {})


def test_tls_that_breaks_after_the_request_was_sent_is_not_taken_for_unsent(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    peer = Peer(tls=context)

    def break_off(connection: socket.socket) -> None:
        with socket.socket(fileno=os.dup(connection.fileno())) as below:
            below.sendall(b"not a record of TLS")

    peer.answer = lambda _: break_off
    try:
        with pytest.raises(NotConnected):
            new_pool(peer.url).send("POST", "/token", {}, b"form")  # an authority that is not ours
        with pytest.raises(WireError) as caught:
            new_pool(peer.url, ca_file=certificate).send("POST", "/token", {}, b"form")
    finally:
        peer.stop()
    assert not isinstance(caught.value, NotConnected)
    assert len(peer.requests) == 1
