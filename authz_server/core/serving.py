"""How both servers listen: Granian, WSGI, one TLS policy, one way to refuse what is too much."""

import contextlib
import ctypes
import gc
import logging
import multiprocessing
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server import Server

from authz_server.core.admission import Room, Rooms
from authz_server.core.settings import SettingsError, of

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HSTS = "max-age=63072000; includeSubDomains"  # where clients come by https (RFC 6797)
# Per worker. Whoever is refused has been read, so there are many more connections than turns.
CONNECTIONS = 4096
# When a connection is closed on which nothing comes, or half a head. Not the 30 s after which clients are told to come
# back when the database or an agency is away: whoever did as told met the end of their connection.
IDLE_S = 20
# A request makes some thousand objects, of which hardly any is in a cycle: look through them every dozen requests.
YOUNG_OBJECTS = 20_000
UNSENT_BYTES = 64 * 1024
UNPACED = b"reno"  # the congestion control that every Linux has, and lets everybody choose
STOP = (signal.SIGTERM, signal.SIGINT)
_SAY_AGAIN_S = 0.1
_PR_SET_PDEATHSIG = 1  # prctl(2)


class Served(NamedTuple):
    """An application, and what answers in its place when there is no room."""

    application: "WSGIApplication"
    refusal: "WSGIApplication"


def serve(
    name: str,
    factory: Callable[[], Served],
    *,
    bind: str,
    workers: int,
    rooms: Sequence[Room],
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    bind_cores: bool = False,
    long_answers: bool = False,
) -> None:
    """Serve until a signal says stop. Each worker process makes its own application.

    Args: bind: `host:port`, an IPv6 host in brackets; rooms: of each worker, the last for every path; bind_cores: each
        worker stays on a core of its own, see `stay_on_core`; long_answers: keep little of them in the kernel for a
        client that reads slowly, and send them over loopback without pause.
    Raises: SettingsError, if nobody can listen like that.
    """
    host, _, port = bind.rpartition(":")
    address = host.strip("[]"), int(port)
    _check_address(*address)
    _check_tls(tls_cert, tls_key)
    # Python 3.14 would start each anew, which takes it seconds, and tells it nothing of what follows.
    if sys.platform == "linux":
        multiprocessing.set_start_method("fork", force=True)
    # A worker is forked with these held back, until its own thread takes them.
    os.register_at_fork(
        before=partial(signal.pthread_sigmask, signal.SIG_BLOCK, STOP),
        after_in_parent=partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, STOP),
    )
    started = multiprocessing.Value("i") if bind_cores else None
    # It warns of more threads than cores, which are what `Room` is about.
    logging.getLogger("_granian").addFilter(lambda record: "Python threads" not in str(record.msg))
    _OnceTold(
        name,
        address=address[0],
        port=address[1],
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=sum(room.threads for room in rooms),
        backlog=CONNECTIONS,
        backpressure=CONNECTIONS,
        # HTTP/1.1 only: there an answer that ends before its Content-Length aborts the connection.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=IDLE_S * 1000),
        websockets=False,
        log_access=False,  # request lines hold request_uris
        ssl_cert=tls_cert,
        ssl_key=tls_key,
        # TLS 1.2 with rustls's suites, which are ECDHE with AES-GCM or ChaCha20 only, and TLS 1.3 (BCP 195).
        ssl_protocol_min=SSLProtocols.tls12,
    ).serve(
        target_loader=partial(_loaded, factory, rooms, long_answers, started),
        wrap_loader=False,
    )


class _OnceTold(Server):  # type: ignore[misc, valid-type]  # one of two, as Python was built
    """Granian's parent, which a second signal does not concern.

    Its handler sets an event, whose lock the very thread that it interrupts may hold after the first: for ever, then.
    """

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        if not self.interrupt_signal:
            super().signal_handler_interrupt(*args, **kwargs)


def _check_address(host: str, port: int) -> None:
    """Granian would tell it in a traceback, or in a panic.  Raises: SettingsError."""
    with of("bind"), socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ValueError(f"{host}, port {port}: {error.strerror}") from None


def _check_tls(cert: Path | None, key: Path | None) -> None:
    """Raises: SettingsError."""
    if cert is None or key is None:
        return
    for name, path in (("tls_cert", cert), ("tls_key", key)):
        with of(name):
            path.read_bytes()
    try:
        # A password would else be asked for at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        told = (
            f"tls_cert, tls_key: {cert} and {key} must be a certificate and its private key, in PEM, without password"
        )
        raise SettingsError([f"{told} ({error.reason})"]) from None


def _loaded(
    factory: Callable[[], Served], rooms: Sequence[Room], long_answers: bool, started: "Synchronized[int] | None"
) -> "WSGIApplication":
    _end_with_parent()
    threading.Thread(target=_stop_when_told, name="stop", daemon=True).start()
    if started is not None:
        stay_on_core(started)
    served = factory()
    application: WSGIApplication = Rooms(served.application, rooms=rooms, refusal=served.refusal)
    if long_answers:
        application = _LongAnswers(application)
    application = _Addressed(_Discreet(application))
    # What was made until now stays for good: the collector need not look through it again and again, which took a
    # fourteenth of the server's time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    return application


def _end_with_parent() -> None:
    """A worker whose parent was killed would go on serving, with nobody to stop it, beside the server started next."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _stop_when_told() -> None:
    """Say so until it is heard, by whatever handles it: at first that is not yet Granian's own, which forgets what
    comes before it serves. Such a worker would serve for ever, and its parent wait for it.
    """
    number = signal.sigwait(STOP)
    while True:
        handle = signal.getsignal(number)
        if callable(handle):
            handle(number, None)
        time.sleep(_SAY_AGAIN_S)


def stay_on_core(started: "Synchronized[int]") -> None:
    """Keep this process to one of the cores that it may use, the next process to the next one.

    Its threads take turns in the interpreter: on two cores, each turn that is handed over wakes the other core, whose
    caches know nothing of it. Args: started: how many processes have come here before; counted on.
    """
    with started.get_lock():
        number, started.value = started.value, started.value + 1
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number % len(cores)]})


class _Addressed:
    """A WSGI application that is asked by HTTP/1.1 only with one Host, as RFC 9112 section 3.2 demands of servers.

    Granian takes what comes; one that is missing is empty then, and of several it makes one. No answer here depends on
    it, but what stands in front, and reads another one of them, may have meant the request for somebody else.
    """

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        host = environ.get("HTTP_HOST")
        if (not host or "," in host) and environ["SERVER_PROTOCOL"] == "HTTP/1.1":
            start_response("400 Bad Request", [("Content-Length", "0"), ("Cache-Control", "no-store")])
            return []
        return self._application(environ, start_response)


class _NotAnswered(Exception):
    """Granian is told no more than that: it ends the answer and writes out what an exception says."""


class _Discreet:
    """A WSGI application of whose exceptions no log has more than kind and place: what they say may quote data."""

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with _discreetly():
            body = self._application(environ, start_response)
        return body if isinstance(body, list) else _DiscreetBody(body)


class _DiscreetBody:
    """A body that is made while it is sent."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body
        self._pieces = iter(body)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        with _discreetly():
            return next(self._pieces)

    def close(self) -> None:
        """End the body, whatever is left of it."""
        with _discreetly():
            if (close := getattr(self._body, "close", None)) is not None:
                close()


@contextlib.contextmanager
def _discreetly() -> Iterator[None]:
    try:
        yield
    except StopIteration:
        raise
    except Exception as error:
        logging.getLogger(__name__).error("answer.failed", exc_info=error)
        raise _NotAnswered from None


class _LongAnswers:
    """A WSGI application before whose first request the worker's sockets are told that answers may be long.

    By themselves they let megabytes wait, of an answer that may have to end at any moment. What is under way is not
    limited. And where Linux is told to use BBR, they send what there is bit by bit, to spare the network, each time at
    an interrupt: on loopback, towards a server in front on the same host, there is nothing to spare, and that was a
    fifth of the CPU that a large file took.

    Granian has no setting for it and makes its sockets later than the application, so they are looked for: connections
    that are accepted afterwards inherit it from the one that listens (tcp(7), TCP_NOTSENT_LOWAT and TCP_CONGESTION).
    """

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application
        self._told = sys.platform != "linux"

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not self._told:
            self._tell()
            self._told = True
        return self._application(environ, start_response)

    def _tell(self) -> None:
        for path in filter(Path.is_socket, Path("/proc/self/fd").iterdir()):
            # Passed over: what is not of TCP, or closed meanwhile.
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(path.name))) as own:
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
                if ip_address(own.getsockname()[0]).is_loopback:
                    own.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, UNPACED)
