"""A real nginx by the configuration that operators get: what it hands on, and the certificate of a real handshake."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from authz_server.portal.errors import MACHINES
from client_examples.demo_ca.authority import Authority
from client_examples.sandbox.processes import Process, run_commands
from client_examples.sandbox.settings import write_toml
from tests.support.platform import hidden_fields
from tests.support.ports import free_port, listens
from tests.support.self_signed import self_signed
from tests.support.tree import ROOT
from tests.support.waiting import wait_until

SECRET = "n" * 43
# Around the example: what Debian's /etc/nginx/nginx.conf is elsewhere.
FRAME = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr notice;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    # Whoever asks for it is told what of their address counts, and says themselves which one they have.
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Test-Address;
    server {{ listen 127.0.0.1:{told}; return 200 $network; }}
{example}
}}
"""


@dataclass
class Site:
    """What runs: nginx at `issuer`, `tls_url` and (no TLS) `plain_url` and `network_url`, the server behind it, and the
    authority."""

    folder: Path
    issuer: str
    tls_url: str
    plain_url: str
    network_url: str
    backend: str
    authority: Authority

    def browser(self, card: str | None = None) -> requests.Session:
        """A browser, with the key of a card or without."""
        session = requests.Session()
        session.trust_env = False  # else authorities that this machine's environment names count instead
        session.verify = str(self.folder / "server.pem")
        if card is not None:
            session.cert = (str(self.folder / f"{card}.pem"), str(self.folder / f"{card}.key"))
        return session

    def unpack(self, name: str, authority: Authority) -> None:
        """Issue a card and put certificate and key where `browser` finds them."""
        card = authority.issue(name, "測試市民甲", id_tail="6789", password="sandbox")
        key, found, _ = pkcs12.load_key_and_certificates(card.file.read_bytes(), b"sandbox")
        assert key is not None
        assert found is not None
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / f"{name}.key").write_bytes(pem)
        (self.folder / f"{name}.pem").write_bytes(found.public_bytes(Encoding.PEM))


def example(site: Site, folder: Path, verify: str) -> str:
    """deploy/nginx.conf at other ports and with other files."""
    text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    main, tls, plain = (url.rpartition(":")[2] for url in (site.issuer, site.tls_url, site.plain_url))
    (folder / "hop.conf").write_text(f'proxy_set_header X-Client-Cert-Hop "{SECRET} $ssl_client_escaped_cert";\n')
    for old, new in {
        "127.0.0.1:8000": site.backend,
        "https://id.example.org": site.issuer,
        "listen 443": f"listen 127.0.0.1:{main}",
        "listen 8443": f"listen 127.0.0.1:{tls}",
        "listen 80": f"listen 127.0.0.1:{plain}",
        "id.example.org;": "localhost;",
        "/etc/mydata/tls/id.example.org.pem": str(folder / "server.pem"),
        "/etc/mydata/tls/id.example.org.key": str(folder / "server.pem"),
        "/etc/mydata/tls/data.example.org.pem": str(folder / "server.pem"),
        "/etc/mydata/tls/data.example.org.key": str(folder / "server.pem"),
        "/etc/mydata/citizen-anchors.pem": str(folder / "anchors.pem"),
        "/etc/mydata/nginx-client-cert-hop.conf": str(folder / "hop.conf"),
        "/var/log/nginx": str(folder),
        "optional_no_ca": verify,
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    return re.sub(r"^\s*listen \[::\].*\n", "", text, flags=re.MULTILINE)


@contextmanager
def running(*processes: Process) -> Iterator[None]:
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.wait_until_healthy()
        yield
    finally:
        for process in reversed(processes):
            process.stop()


@contextmanager
def open_site(folder: Path, verify: str = "optional_no_ca") -> Iterator[Site]:
    ca, backend, main, tls, plain, told = (free_port() for _ in range(6))
    authority = Authority.create(folder / "ca", f"http://127.0.0.1:{ca}")
    urls = (
        f"https://localhost:{main}",
        f"https://localhost:{tls}",
        f"http://localhost:{plain}",
        f"http://localhost:{told}",
    )
    site = Site(folder, *urls, f"127.0.0.1:{backend}", authority)
    self_signed(folder, "localhost")
    (folder / "anchors.pem").write_bytes(
        b"".join((folder / "ca" / f"{of}.pem").read_bytes() for of in ("root", "issuing"))
    )
    (folder / "hop-secret").write_text(SECRET)
    document = {
        "issuer": site.issuer,
        "database_url": f"sqlite:///{folder / 'mydata.sqlite3'}",
        "keys_file": "keys.json",
        "secret_file": "secret",
        "proxy_url": "https://data.example",
        "bind": site.backend,
        "trusted_hops": 1,
        "allowed_outbound_hosts": [f"127.0.0.1:{ca}"],
        "method_levels": {"certificate": 1, "password_totp": 3},
        "certificate": {
            "anchors_file": "ca/root.pem",
            "intermediates_file": "ca/issuing.pem",
            "tls_url": site.tls_url,
            "hop_secret_file": "hop-secret",
        },
    }
    write_toml(folder / "mydata.toml", document)
    (folder / "nginx.conf").write_text(FRAME.format(folder=folder, told=told, example=example(site, folder, verify)))
    paths = {"PATH": "/usr/bin:/usr/sbin:/bin:/sbin", "PYTHONPATH": str(ROOT)}
    environment = {"MYDATA_SETTINGS": str(folder / "mydata.toml"), **paths}
    site.unpack("jia", authority)
    site.unpack("stranger", Authority.create(folder / "other", authority.url))
    person = ["--name", "測試市民甲", "--national-id", "A123456789", "--birthdate", "1980-01-02"]
    commands = (
        ["keys"],
        ["migrate"],
        ["citizen", "add", "jia", *person, "--password", "not used here"],
        ["citizen", "add-certificate", "jia", "jia.pem"],
    )
    run_commands(commands, folder=folder, environment=environment)

    def process(name: str, *command: str | Path, health_url: str | None) -> Process:
        log = folder / f"{name}.log"
        return Process(
            name=name, command=command, folder=folder, log_file=log, environment=environment, health_url=health_url
        )

    demo_ca: list[str | Path] = [
        sys.executable,
        "-m",
        "client_examples.demo_ca",
        "--folder",
        folder / "ca",
        "serve",
        "--bind",
        f"127.0.0.1:{ca}",
    ]
    with running(
        process("ca", *demo_ca, health_url=f"{authority.url}/health"),
        process(
            "server", Path(sys.executable).with_name("mydata"), "serve", health_url=f"http://{site.backend}/health"
        ),
        process("nginx", "nginx", "-c", folder / "nginx.conf", "-p", folder, health_url=None),
    ):
        for port in (main, tls, plain, told):
            wait_until(partial(listens, port), f"nginx listens, see {folder / 'nginx.log'}")
        yield site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("nginx")) as site:
        yield site


@pytest.mark.parametrize(
    ("address", "counts_bytes"),
    [
        ("2001:db8:1:2:3:4:5:6", 8),
        ("2001:db8:1:2::a0a", 8),
        ("2001:db8::1:a0a:a0a:a0a:a0a", 8),
        ("a0a:a0a:a0a:a0a:a0a:a0a:a0a:a0a", 8),  # line ends, to an expression
        ("::1:2", 16),
        ("::ffff:192.0.2.1", 16),
        ("192.0.2.1", 4),
    ],
)
def test_the_flood_of_a_network_is_one_flood(site: Site, address: str, counts_bytes: int) -> None:
    told = site.browser().get(site.network_url, headers={"X-Test-Address": address})
    assert told.content == ip_address(address).packed[:counts_bytes]


def press(browser: requests.Session, page: requests.Response, path: str, **more: str) -> requests.Response:
    form = hidden_fields(page.text) | {"action": "sign-in"}
    url = "/".join(page.url.split("/")[:3]) + path
    return browser.post(url, data=form, headers=more, allow_redirects=False, timeout=30)


def test_a_citizen_signs_in_by_the_certificate_of_the_browser(site: Site) -> None:
    browser = site.browser("jia")
    start = browser.get(f"{site.issuer}/sign-in?return_to=/record&method=certificate", timeout=30)
    assert "/sign-in/certificate/tls?" in start.text
    page = browser.get(f"{site.issuer}/sign-in/certificate/tls?return_to=/record", timeout=30)
    assert page.url.startswith(f"{site.tls_url}/sign-in/certificate/tls?")
    assert "測試市民甲" in page.text
    assert page.headers["Strict-Transport-Security"].count("max-age") == 1
    answer = press(browser, page, "/sign-in/certificate/tls")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{site.issuer}/record")
    record = browser.get(answer.headers["Location"], timeout=30)
    assert (record.status_code, record.url) == (200, f"{site.issuer}/record")


def test_a_page_that_is_asked_for_without_tls_is_where_it_always_is(site: Site) -> None:
    answer = requests.get(f"{site.plain_url}/sign-in?lang=en", allow_redirects=False, timeout=30)
    assert (answer.status_code, answer.headers["Location"]) == (308, f"{site.issuer}/sign-in")


@pytest.mark.row("S-05")
def test_no_program_is_led_on_from_where_there_is_no_tls(site: Site) -> None:
    for_everybody = {".well-known", "catalogue", "health", "jwks", "recipients"}
    for place in (MACHINES - for_everybody) | {"data"}:
        for method, path in (("GET", f"/{place}"), ("POST", f"/{place}"), ("GET", f"/{place}/x")):
            answer = requests.request(method, site.plain_url + path, allow_redirects=False, timeout=30)
            assert (answer.status_code, answer.headers.get("Location")) == (403, None), path
    assert requests.post(f"{site.plain_url}/sign-in", allow_redirects=False, timeout=30).status_code == 403


def test_no_address_writes_headers_of_its_own(site: Site) -> None:
    for url in (site.plain_url, site.tls_url):
        answer = site.browser().get(f"{url}/%0D%0ASet-Cookie:%20a=b", allow_redirects=False, timeout=30)
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["Location"] == f"{site.issuer}/%0D%0ASet-Cookie:%20a=b"


def test_what_is_to_be_verified_passes_nginx_and_rests_in_no_file(site: Site) -> None:
    browser, files = site.browser(), site.folder / "body"
    browser.headers["Accept-Language"] = "en"
    page = browser.get(f"{site.issuer}/verify", timeout=30)
    before = files.stat().st_mtime_ns
    form = hidden_fields(page.text)
    for size_bytes in (100_000, 4_000_000):
        answer = browser.post(page.url, form, files={"document": bytes(size_bytes)}, timeout=30)
        assert (answer.status_code, "not a receipt or a record" in answer.text) == (200, True)
    assert files.stat().st_mtime_ns == before


def test_no_log_of_nginx_has_a_query(site: Site) -> None:
    url = f"{site.issuer}/authorize?request_uri=of-somebody"
    assert site.browser().post(url, bytes(200_000), timeout=30).status_code == 413  # which is an error of nginx's own
    access_log = site.folder / "mydata-server.log"
    wait_until(lambda: '"POST /authorize" 413' in access_log.read_text(), "nginx does not log what it has answered")
    logs = {path.name: path.read_text() for path in site.folder.glob("*.log")}
    assert not [name for name, text in logs.items() if "of-somebody" in text]


def test_what_is_not_about_certificates_is_where_it_always_is(site: Site) -> None:
    browser = site.browser("jia")
    for path in ("/record", "/sign-in?method=certificate", "/token", "/"):
        answer = browser.get(f"{site.tls_url}{path}", allow_redirects=False, timeout=30)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"{site.issuer}{path}")
    assert browser.get(f"{site.tls_url}/static/mydata.css", timeout=30).status_code == 200


def test_a_browser_without_a_certificate_is_told_so(site: Site) -> None:
    page = site.browser().get(f"{site.tls_url}/sign-in/certificate/tls", timeout=30)
    assert page.status_code == 200
    assert "瀏覽器沒有出示憑證" in page.text


def test_a_certificate_of_a_stranger_passes_nginx_and_is_refused_by_the_server(site: Site) -> None:
    browser = site.browser("stranger")
    page = browser.get(f"{site.tls_url}/sign-in/certificate/tls", timeout=30)
    answer = press(browser, page, "/sign-in/certificate/tls")
    assert answer.status_code == 400
    assert "不是由這裡信任的憑證機構簽發的" in answer.text


@pytest.mark.parametrize("through", ["issuer", "tls_url"])
def test_a_certificate_that_was_only_said_in_a_header_is_none(site: Site, through: str) -> None:
    escaped = quote((site.folder / "jia.pem").read_text(), safe="")
    spoofed = dict.fromkeys(("X-Client-Cert-Hop", "X_Client_Cert_Hop"), f"{SECRET} {escaped}")
    browser = site.browser()
    page = browser.get(f"{site.issuer}/sign-in?method=certificate", headers=spoofed, timeout=30)
    form = hidden_fields(page.text) | {"action": "sign-in"}
    url = f"{getattr(site, through)}/sign-in/certificate/tls"
    answer = browser.post(url, data=form, headers=spoofed, allow_redirects=False, timeout=30)
    assert answer.status_code == 400
    assert "瀏覽器沒有出示憑證" in answer.text
    assert "mydata=" not in answer.headers.get("Set-Cookie", "").replace("mydata-form=", "")


def test_a_card_that_no_account_has_opens_none(site: Site) -> None:
    site.unpack("bing", site.authority)
    browser = site.browser("bing")
    page = browser.get(f"{site.tls_url}/sign-in/certificate/tls", timeout=30)
    answer = press(browser, page, "/sign-in/certificate/tls")
    assert "沒有帳號登記這張憑證" in answer.text


def test_nginx_may_demand_a_certificate_that_it_knows(tmp_path: Path) -> None:
    with open_site(tmp_path, verify="on") as site:
        refused = site.browser().get(f"{site.tls_url}/sign-in/certificate/tls", timeout=30)
        assert refused.status_code == 400
        assert "No required SSL certificate" in refused.text
        stranger = site.browser("stranger").get(f"{site.tls_url}/sign-in/certificate/tls", timeout=30)
        assert stranger.status_code == 400
        browser = site.browser("jia")
        page = browser.get(f"{site.tls_url}/sign-in/certificate/tls", timeout=30)
        assert press(browser, page, "/sign-in/certificate/tls").status_code == 303
        jia = x509.load_pem_x509_certificate((site.folder / "jia.pem").read_bytes())
        site.authority.revoke(jia.serial_number)
        again = site.browser("jia")
        page = again.get(f"{site.tls_url}/sign-in/certificate/tls", timeout=30)
        answer = press(again, page, "/sign-in/certificate/tls")
        assert answer.status_code == 400
        assert "已被廢止" in answer.text
