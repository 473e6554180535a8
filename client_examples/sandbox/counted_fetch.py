"""A fetch that knows at every moment how many octets have arrived: for races against whoever stops it."""

import array
import fcntl
import socket
import termios
import threading
import time
from urllib.parse import urlsplit

from client_examples.bank_web.client import Journey, dpop_proof

from .checker import TIMEOUT_S

_PIECE_BYTES = 256 * 1024


class CountedFetch:
    """One GET of a dataset, in a thread of its own. What it brings is counted and thrown away.

    Args: rest_s: a pause after each piece, for a recipient that reads slowly.
    """

    def __init__(self, asked: Journey, token: str, url: str, *, rest_s: float = 0) -> None:
        self.status = 0
        self.announced_bytes = 0
        self.began = threading.Event()  # the head of the answer is there
        self.took_s = 0.0
        self.body_took_s = 0.0
        self._rest_s = rest_s
        self._arrived = 0
        self._head = b""
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._token = token
        parts = urlsplit(url)
        lines = [
            f"GET {parts.path} HTTP/1.1",
            f"Host: {parts.netloc}",
            f"Authorization: DPoP {token}",
            f"DPoP: {dpop_proof(asked.dpop_key, 'GET', url, access_token=token)}",
            "Connection: close",
        ]
        self._request = "\r\n".join([*lines, "", ""]).encode()
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 80), TIMEOUT_S)

    def start(self) -> None:
        """Send the request; everything that could be done beforehand was."""
        self._thread.start()

    def end(self) -> None:
        """Wait until the answer is over, whole or broken off."""
        self._thread.join(TIMEOUT_S)
        self._socket.close()

    def arrived(self) -> int:
        """Octets that are on this host, read or not."""
        with self._lock:
            return self._arrived + self._unread()

    @property
    def body_bytes(self) -> int:
        """Octets of the answer's body that came."""
        return max(0, self._arrived - len(self._head))

    @property
    def is_complete(self) -> bool:
        """Whether the dataset came, to the last octet."""
        return self.status == 200 and self.body_bytes == self.announced_bytes

    def _run(self) -> None:
        started = began = time.monotonic()
        try:
            self._socket.sendall(self._request)
            while piece := self._read():
                if not self.status:
                    self._take_head(piece)
                    began = time.monotonic()
                if self._rest_s:
                    time.sleep(self._rest_s)
        except ConnectionError:
            pass  # broken off
        self.began.set()
        self.took_s, self.body_took_s = time.monotonic() - started, time.monotonic() - began

    def _read(self) -> bytes:
        # Waits without the lock, and takes with it what is there then: so nothing is ever in between, uncounted.
        if not self._socket.recv(1, socket.MSG_PEEK):
            return b""
        with self._lock:
            piece = self._socket.recv(_PIECE_BYTES)
            self._arrived += len(piece)
        return piece

    def _take_head(self, piece: bytes) -> None:
        self._head += piece
        head, ends, _ = self._head.partition(b"\r\n\r\n")
        if ends:
            lines = head.decode("latin-1").lower().split("\r\n")
            self.status = int(lines[0].split()[1])
            lengths = [line.partition(":")[2] for line in lines if line.startswith("content-length:")]
            self.announced_bytes = int(lengths[0]) if lengths else 0
            self._head = head + ends
            self.began.set()

    def _unread(self) -> int:
        waiting = array.array("i", [0])
        try:
            fcntl.ioctl(self._socket, termios.FIONREAD, waiting)
        except (OSError, ValueError):  # closed
            return 0
        return waiting[0]
