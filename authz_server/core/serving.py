"""How both servers listen: Granian, WSGI, one TLS policy."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.server import Server


def serve(
    name: str,
    factory: Callable[[], Any],
    *,
    bind: str,
    workers: int,
    threads: int,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> None:
    """Serve until a signal says stop. Each worker process makes its own application.

    Args: bind: `host:port`, an IPv6 host in brackets; threads: requests that one worker handles at a time.
    """

    def loaded() -> Any:
        application = factory()
        # What was made until now stays for good: the collector need not look through it again and again, which took a
        # fourteenth of the server's time.
        gc.collect()
        gc.freeze()
        return application

    host, _, port = bind.rpartition(":")
    Server(
        name,
        address=host.strip("[]"),
        port=int(port),
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=threads,
        # HTTP/1.1 only: there an answer that ends before its Content-Length aborts the connection.
        http=HTTPModes.http1,
        websockets=False,
        log_access=False,  # request lines hold request_uris
        ssl_cert=tls_cert,
        ssl_key=tls_key,
        # TLS 1.2 with rustls's suites, which are ECDHE with AES-GCM or ChaCha20 only, and TLS 1.3 (BCP 195).
        ssl_protocol_min=SSLProtocols.tls12,
    ).serve(target_loader=loaded, wrap_loader=False)
