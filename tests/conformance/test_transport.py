"""Group S and what only a real server answers: `mydata serve` in a process of its own, speaking TLS itself."""

import http.client
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import orjson
import pytest

from authz_server import config
from authz_server.core import jose
from authz_server.core.settings import SettingsError
from tests.support.platform import Platform
from tests.support.ports import free_port
from tests.support.self_signed import self_signed
from tests.support.templates import Templates

ALERT, HANDSHAKE_FAILURE, PROTOCOL_VERSION = 21, 40, 70
CBC_AND_STATIC_RSA = (0xC013, 0xC014, 0xC009, 0xC00A, 0xC027, 0x002F, 0x0035, 0x009C, 0x009D, 0x0033, 0x009E)
BCP_195 = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384")


class Served:
    """The authorization server behind TLS on a free port."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.port = free_port()
        certificate = self_signed(folder, "127.0.0.1")
        lines = {
            "issuer": f"https://127.0.0.1:{self.port}",
            "proxy_url": "https://data.example",
            "bind": f"127.0.0.1:{self.port}",
            "database_url": database_url,
            "keys_file": "keys.json",
            "secret_file": "secret",
            "tls_cert": certificate.name,
            "tls_key": certificate.name,
        }
        (folder / "mydata.toml").write_text("".join(f'{name} = "{value}"\n' for name, value in lines.items()))
        (folder / "secret").write_bytes(b"s" * 32)
        (folder / "keys.json").touch(mode=0o600)
        (folder / "keys.json").write_bytes(orjson.dumps({"keys": [jose.generate_key("ES256")]}))
        command = [sys.executable, "-c", "from authz_server.cli import main; main()"]
        environment = os.environ | {"MYDATA_SETTINGS": str(folder / "mydata.toml")}
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "serve"], env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Return when it answers."""
        pause = threading.Event()
        while self._process.poll() is None:
            try:
                self.get("/health")
            except OSError:
                pause.wait(0.05)
            else:
                return
        raise AssertionError(self.log.read_text())

    def get(self, path: str) -> http.client.HTTPResponse:
        """The answer to a GET, its body unread."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=trusting(), timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    def handshake(self, context: ssl.SSLContext) -> tuple[str | None, str]:
        """Version and cipher suite that were agreed on."""
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=20) as plain,
            context.wrap_socket(plain) as secured,
        ):
            cipher = secured.cipher()
            assert cipher is not None
            return secured.version(), cipher[0]

    def answer_to(self, octets: bytes) -> bytes:
        """What comes back to octets of one's own."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(octets)
            try:
                return connection.recv(4096)
            except ConnectionError:
                return b""

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(20)


def trusting() -> ssl.SSLContext:
    """A client that takes any certificate: whose it is, is not the question here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def client_hello(version: int, suites: tuple[int, ...]) -> bytes:
    """A ClientHello written by hand: today's libraries refuse to even ask for what must be refused."""
    groups = bytes.fromhex("000a0006000400170018")
    points = bytes.fromhex("000b00020100")
    algorithms = bytes.fromhex("000d000a0008040305030401 0201".replace(" ", ""))
    extensions = groups + points + algorithms
    offered = b"".join(suite.to_bytes(2, "big") for suite in suites)
    body = version.to_bytes(2, "big") + bytes(range(32)) + b"\0"
    body += len(offered).to_bytes(2, "big") + offered + b"\x01\0" + len(extensions).to_bytes(2, "big") + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with templates.copied("sqlite", folder, populated=False) as database_url:
        server = Served(folder, database_url)
        try:
            server.wait()
            yield server
        finally:
            server.stop()


@pytest.mark.row("S-01")
@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0302], ids=["SSL 3", "TLS 1.0", "TLS 1.1"])
def test_old_versions_are_refused(served: Served, version: int) -> None:
    answer = served.answer_to(client_hello(version, (0xC02B, 0xC02F, 0xC013, 0xC009, 0x002F)))
    assert answer[0] == ALERT
    assert answer[6] in {HANDSHAKE_FAILURE, PROTOCOL_VERSION}


@pytest.mark.row("S-02")
@pytest.mark.parametrize("suite", CBC_AND_STATIC_RSA, ids=hex)
def test_no_cbc_no_static_rsa_no_finite_field(served: Served, suite: int) -> None:
    answer = served.answer_to(client_hello(0x0303, (suite,)))
    assert answer[0] == ALERT
    assert answer[6] == HANDSHAKE_FAILURE


@pytest.mark.row("S-03")
@pytest.mark.parametrize("suite", BCP_195)
def test_tls_1_2_works_with_the_suites_of_bcp_195(served: Served, suite: str) -> None:
    context = trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    assert served.handshake(context) == ("TLSv1.2", suite)


@pytest.mark.row("S-04")
def test_tls_1_3_is_preferred(served: Served) -> None:
    assert served.handshake(trusting())[0] == "TLSv1.3"


@pytest.mark.row("S-05")
def test_every_answer_demands_https_from_then_on_and_http_is_not_answered(served: Served) -> None:
    for path in ("/", "/jwks", "/userinfo", "/nowhere"):
        assert "max-age=" in served.get(path).headers["Strict-Transport-Security"]
    assert b"HTTP/1.1 200" not in served.answer_to(b"GET /jwks HTTP/1.1\r\nHost: x\r\n\r\n")


@pytest.mark.row("S-05")
@pytest.mark.parametrize("changes", [{"sandbox": False}, {"issuer": "http://mydata.example"}])
def test_http_is_for_a_sandbox_on_loopback(tmp_path: Path, changes: dict[str, object]) -> None:
    document = {"issuer": "http://127.0.0.1:8000", "proxy_url": "http://127.0.0.1:8001", "sandbox": True}
    document |= {"database_url": "sqlite://", "keys_file": "k", "secret_file": "s"}
    assert not config.parse(document, base=tmp_path).secure
    with pytest.raises(SettingsError, match="https"):
        config.parse(document | changes, base=tmp_path)


@pytest.mark.row("U-09")
def test_answers_have_a_date(served: Served) -> None:
    date = served.get("/userinfo").headers["Date"]
    assert re.fullmatch(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", date)
    assert abs(parsedate_to_datetime(date) - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.row("S-05")
def test_hsts_in_process_too(platform: Platform) -> None:
    for path in ("/authorize", "/token", "/jwks"):
        assert "max-age=" in platform.browser().get(path).headers["Strict-Transport-Security"]
