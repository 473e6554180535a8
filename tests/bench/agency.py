"""An agency that costs next to nothing: it believes every ticket and answers the same package over and over.

Run as a process of its own, `python -m tests.bench.agency PORT`, on the load's core; its CPU belongs to no figure.
"""

import base64
import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from authz_server.core.serving import UNPACED

SMALL_BYTES = 1024
LARGE_FILE_BYTES = 20 * 1024 * 1024
LARGE_DATASET = "ris.id-card-image"
BEGUN_PATH = "/begun"


def package(content_bytes: int) -> bytes:
    """Random octets in the shape of a JWE in compact serialization: header, no key, IV, ciphertext, tag."""
    header = {
        "alg": "ECDH-ES",
        "enc": "A256GCM",
        "cty": "application/zip",
        "kid": "bench",
        "epk": {"kty": "EC", "crv": "P-256", "x": _b64url(os.urandom(32)), "y": _b64url(os.urandom(32))},
    }
    parts = (json.dumps(header).encode(), b"", os.urandom(12), os.urandom(content_bytes), os.urandom(16))
    return ".".join(map(_b64url, parts)).encode()


def small_package() -> bytes:
    """A package that is 1 KiB on the wire."""
    around = len(package(0))
    return package((SMALL_BYTES - around) * 3 // 4)


class Handler(BaseHTTPRequestHandler):
    """GET /<agency>/datasets/<dataset>, or BEGUN_PATH: when the large answers since the last time began, as JSON."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together, as from any server that is not this simple
    packages: Mapping[bool, bytes]
    begun: ClassVar[list[float]] = []

    def do_GET(self) -> None:
        is_large = self.path.partition("?")[0].endswith(f"/{LARGE_DATASET}")
        body = self.packages[is_large]
        if self.path == BEGUN_PATH:
            body = json.dumps(self.begun).encode()
            self.begun.clear()
        if is_large:
            self.begun.append(time.perf_counter())
        self.send_response_only(200)
        self.send_header("Content-Type", "application/jose")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing: it would only cost."""


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


if __name__ == "__main__":
    Handler.packages = {False: small_package(), True: package(LARGE_FILE_BYTES)}
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.daemon_threads = True
    # If it paced what it sends, as Linux does by BBR, its timers would go off on the platform's core.
    server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, UNPACED)
    print("ready", flush=True)
    server.serve_forever()
