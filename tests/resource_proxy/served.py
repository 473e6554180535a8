"""The proxy as operators run it: its own process, Granian, settings from a file."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.support.ports import free_port


class Served:
    """A running proxy; `get` speaks HTTP to it over a socket of its own."""

    def __init__(
        self, folder: Path, settings: Mapping[str, object], agencies: Mapping[str, Mapping[str, object]]
    ) -> None:
        self.port = free_port()
        self.tls = "tls_cert" in settings
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        lines += [f'url = "{self.url}"', f'bind = "127.0.0.1:{self.port}"']
        for name, table in agencies.items():
            lines += [f"[agencies.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        path = folder / "mydata-proxy.toml"
        path.write_text("\n".join(lines))
        self._pause = threading.Event()
        self.log_path = folder / "proxy.log"
        self._log = self.log_path.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "resource_proxy"],
            env=os.environ | {"MYDATA_PROXY_SETTINGS": str(path)},
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=folder,
            start_new_session=True,
        )

    def wait(self) -> None:
        """Return when it answers."""
        while self._process.poll() is None:
            try:
                with self.connect() as connection:
                    connection.sendall(b"GET /health HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n")
                    if read_all(connection).startswith(b"HTTP/1.1 200"):
                        return
            except OSError:
                self._pause.wait(0.05)
        raise AssertionError(self.log_path.read_text())

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        if not self.tls:
            return connection
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(connection)

    def ask(self, path: str, headers: Mapping[str, str]) -> socket.socket:
        """Send a GET and return the connection, the answer unread."""
        connection = self.connect()
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: proxy",
            *(f"{name}: {value}" for name, value in headers.items()),
            "",
            "",
        ]
        connection.sendall("\r\n".join(lines).encode())
        return connection

    def workers(self) -> list[int]:
        """Ids of the worker processes."""
        parent = self._process.pid
        return [int(text) for text in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]

    def peak_bytes(self) -> int:
        """The most memory that the worker ever had resident."""
        (worker,) = (pid for pid in self.workers() if "VmHWM" in Path(f"/proc/{pid}/status").read_text())
        match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker}/status").read_text())
        assert match is not None
        return int(match[1]) * 1024

    def kill(self) -> None:
        """What kill -9, or a machine without power, does."""
        os.killpg(self._process.pid, signal.SIGKILL)

    def stop(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process.communicate()
        self._log.close()


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other side closes, also if it does so rudely."""
    received = bytearray()
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionError:
        pass
    return bytes(received)


def read_head(connection: socket.socket) -> tuple[dict[str, str], bytes]:
    """The header lines of an answer (names in lower case; the status line as `status`) and what came with them."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        if not part:
            break
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return {"status": status} | {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}, body


def read_body(connection: socket.socket, body: bytes, size_bytes: int) -> bytes:
    """The rest of a body of `size_bytes`; shorter if the connection ends before."""
    received = bytearray(body)
    try:
        while len(received) < size_bytes and (part := connection.recv(65536)):
            received += part
    except ConnectionError:
        pass
    return bytes(received)
