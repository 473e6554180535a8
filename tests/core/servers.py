"""Small real servers for the guard of outgoing requests: what it meets is sockets, not mocks."""

import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from socket import SHUT_RDWR, create_server, socket

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = Callable[[socket, threading.Event], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Server:
    """A listening server: its port, the requests it read, and an event that is set when the test is over."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def allowed(self) -> frozenset[str]:
        return frozenset({f"127.0.0.1:{self.port}", f"localhost:{self.port}"})


def say(*parts: bytes) -> Answer:
    """Answer with these octets and hang up."""

    def answer(connection: socket, _: threading.Event) -> None:
        for part in parts:
            connection.sendall(part)

    return answer


def drip(head: bytes, drop: bytes) -> Answer:
    """Answer with `head`, then with a drop every 20 ms until the test is over or the other side has gone."""

    def answer(connection: socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.wait(0.02):
            connection.sendall(drop)

    return answer


@contextmanager
def serving(answer: Answer, *, tls: ssl.SSLContext | None = None, read: bool = True) -> Iterator[Server]:
    """Serve one answer to each connection on a free loopback port until the block ends."""
    listener = create_server(("127.0.0.1", 0))
    server = Server(listener.getsockname()[1])

    def one(raw: socket) -> None:
        try:
            with tls.wrap_socket(raw, server_side=True) if tls else raw as connection:
                if read:
                    server.requests.append(_request(connection))
                answer(connection, server.over)
        except OSError:
            return  # the client hung up, as it should on most of what is served here

    def accept() -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(raw,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server
    finally:
        server.over.set()
        listener.shutdown(SHUT_RDWR)
        listener.close()


def _request(connection: socket) -> bytes:
    """Read one request: the head, and as much of a body as it announces; a client may send them apart."""
    request = connection.recv(65536)
    head, _, body = request.partition(b"\r\n\r\n")
    announced = re.search(rb"\r\ncontent-length: (\d+)", head.lower())
    while announced and len(body) < int(announced[1]) and (piece := connection.recv(65536)):
        request, body = request + piece, body + piece
    return request


def certificate(directory: Path, *names: str) -> Path:
    """Write a self-signed certificate for DNS names and addresses, with its key, into one PEM file; return its path."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    alternatives = [x509.IPAddress(ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = directory / "server.pem"
    path.write_bytes(pem)
    return path
