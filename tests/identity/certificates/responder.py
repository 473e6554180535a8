"""A responder and a shelf of lists on a real socket, and OpenSSL's own responder."""

import subprocess
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.x509 import Certificate

from tests.support.listening import listening
from tests.support.ports import free_port

from . import pki

Answer = bytes | Callable[[bytes], bytes] | int  # a body, what makes one of the question, or a status


@dataclass
class Shelf:
    """Serves what `answers` has for a path; `asked` are the paths in order."""

    port: int
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def allowed(self) -> frozenset[str]:
        return frozenset({f"127.0.0.1:{self.port}"})

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def serving() -> Iterator[Shelf]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(b"")

        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/ocsp-request"
            self.answer(self.rfile.read(int(self.headers["Content-Length"])))

        def answer(self, question: bytes) -> None:
            shelf.asked.append(self.path)
            found = shelf.answers.get(self.path, 404)
            body = found(question) if callable(found) else found
            self.send_response(body if isinstance(body, int) else 200)
            self.end_headers()
            if isinstance(body, bytes):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    shelf = Shelf(server.server_port)
    with listening(server):
        yield shelf


_SETTINGS = """
[ca]
default_ca = it
[it]
database = index.txt
crlnumber = crlnumber
default_md = sha256
default_crl_days = 1
"""


class OpenSsl:
    """An authority's office run by OpenSSL's own programs, on this machine's clock."""

    def __init__(self, folder: Path, issuer: pki.Holder, responder: pki.Holder) -> None:
        self.folder, self.port = folder, free_port()
        issuer.write(folder, "issuer")
        responder.write(folder, "responder")
        (folder / "settings").write_text(_SETTINGS)
        (folder / "crlnumber").write_text("01\n")

    @property
    def allowed(self) -> frozenset[str]:
        return frozenset({f"127.0.0.1:{self.port}"})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def register(self, certificates: Collection[Certificate], revoked: Collection[Certificate] = ()) -> None:
        """Write the register of what was issued and of what is revoked."""
        lines = []
        for one in certificates:
            state, since = ("R", "261101000000Z,keyCompromise") if one in revoked else ("V", "")
            over = one.not_valid_after_utc.strftime("%y%m%d%H%M%SZ")
            number = f"{one.serial_number:X}"
            lines.append(f"{state}\t{over}\t{since}\t{number:0>{len(number) + len(number) % 2}}\tunknown\t/CN=x\n")
        (self.folder / "index.txt").write_text("".join(lines))

    def list(self) -> bytes:
        """A list made by `openssl ca`, in PEM."""
        command = ["openssl", "ca", "-gencrl", "-config", "settings", "-cert", "issuer.pem", "-keyfile", "issuer.key"]
        return subprocess.run(command, cwd=self.folder, capture_output=True, check=True).stdout

    @contextmanager
    def responding(self) -> Iterator[None]:
        """Run `openssl ocsp` as a responder until the block ends."""
        command = ["openssl", "ocsp", "-port", str(self.port), "-index", "index.txt", "-CA", "issuer.pem"]
        command += ["-rsigner", "responder.pem", "-rkey", "responder.key", "-nmin", "5"]
        process = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout is not None
        try:
            # It says so; a look at the port would be a request to it, and it answers one after the other.
            assert process.stdout.readline().startswith("ACCEPT")
            yield
        finally:
            process.terminate()
            process.communicate()
