"""The demo authority: its cards, lists and answers satisfy OpenSSL and the platform."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from authz_server.core import clock
from authz_server.identity.certificates import holder, trust
from authz_server.identity.certificates.errors import CertificateRefused, StatusUnknown
from authz_server.identity.certificates.revocation import Checker, Way
from authz_server.identity.certificates.trust import Trust
from client_examples.demo_ca.__main__ import main
from client_examples.demo_ca.app import create_app
from client_examples.demo_ca.authority import Authority
from client_examples.demo_ca.certificates import POLICY
from tests.support.listening import listening
from tests.support.ports import free_port


@contextmanager
def serving(folder: Path) -> Iterator[Authority]:
    port = free_port()
    authority = Authority.create(folder, f"http://127.0.0.1:{port}")
    server = make_server("127.0.0.1", port, create_app(authority), threaded=True)
    with listening(server):
        yield authority


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    with serving(tmp_path / "ca") as authority:
        yield authority


def openssl(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def trusting(folder: Path) -> Trust:
    return Trust(
        anchors=trust.load(folder / "root.pem"),
        intermediates=trust.load(folder / "issuing.pem"),
        policies=frozenset({POLICY.dotted_string}),
    )


@pytest.mark.parametrize("way", ["ocsp", "crl"])
def test_the_platform_takes_a_card_until_it_is_revoked(authority: Authority, way: Way) -> None:
    card = authority.issue("jia", "測試市民甲", id_tail="6789", password="sandbox")
    now = clock.now()
    chain = trusting(authority.folder).chain(card.certificate, [], now=now)
    allowed = frozenset({authority.url.removeprefix("http://")})
    if way == "ocsp":  # of authorities there are lists only
        chain = chain[:2]
    Checker(ways=(way,), allowed_hosts=allowed, nonce_required=True).check(chain, now=clock.now())
    authority.revoke(card.certificate.serial_number)
    with pytest.raises(CertificateRefused, match="revoked"):
        Checker(ways=(way,), allowed_hosts=allowed).check(chain, now=clock.now())


def test_a_card_names_its_holder(authority: Authority) -> None:
    card = authority.issue("jia", "測試市民甲", id_tail="6789", password="sandbox")
    assert holder.named(card.certificate) == holder.Holder(name="測試市民甲", id_tail="6789")


def test_openssl_takes_it_too(authority: Authority) -> None:
    folder = authority.folder
    authority.issue("jia", "測試市民甲", id_tail="6789", password="sandbox")
    revoked = authority.issue("yi", "測試市民乙", id_tail="6782", password="sandbox")
    authority.revoke(revoked.certificate.serial_number)
    for of in ("root", "issuing"):
        (folder / f"{of}.crl").write_bytes(authority.crl(of))
    lists = ("-CRLfile", "root.crl", "-CRLfile", "issuing.crl", "-crl_check_all")
    verify = ("verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "issuing.pem", *lists)
    openssl(folder, *verify, "cards/jia.pem")
    with pytest.raises(AssertionError, match="revoked"):
        openssl(folder, *verify, "cards/yi.pem")
    asked = ("ocsp", "-url", f"{authority.url}/ocsp", "-issuer", "issuing.pem", "-CAfile", "root.pem")
    assert "cards/jia.pem: good" in openssl(folder, *asked, "-cert", "cards/jia.pem")
    assert "cards/yi.pem: revoked" in openssl(folder, *asked, "-cert", "cards/yi.pem")


def test_the_card_opens_with_its_password_only(authority: Authority) -> None:
    card = authority.issue("jia", "測試市民甲", id_tail="6789", password="sandbox")
    told = openssl(authority.folder, "pkcs12", "-in", str(card.file), "-passin", "pass:sandbox", "-nodes")
    assert told.count("BEGIN CERTIFICATE") == 2
    assert "BEGIN PRIVATE" in told
    with pytest.raises(AssertionError, match="password"):
        openssl(authority.folder, "pkcs12", "-in", str(card.file), "-passin", "pass:wrong", "-nodes")
    assert card.file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("command", [["sign", "jia", "x", "--password", "y"], ["revoke", "jia"]])
def test_a_folder_without_the_card_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["demo_ca", "--folder", str(tmp_path / "wrong"), *command])
    with pytest.raises(SystemExit, match=r"^demo_ca: .*wrong/cards/jia\."):
        main()


def test_it_keeps_its_keys_and_its_register(authority: Authority) -> None:
    card = authority.issue("jia", "測試市民甲", id_tail="6789", password="sandbox")
    again = Authority.create(authority.folder, "http://other.example")
    assert again.url == authority.url
    assert again.root.certificate == authority.root.certificate
    again.revoke(card.certificate.serial_number)
    with pytest.raises(KeyError):
        again.revoke(1)


def test_a_card_that_it_did_not_issue_is_unknown_and_no_question_is_refused(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority.create(tmp_path / "other", authority.url)
    card = other.issue("jia", "測試市民甲", id_tail="6789", password="sandbox")
    chain = trusting(other.folder).chain(card.certificate, [], now=clock.now())
    by = Checker(ways=("ocsp",), allowed_hosts=frozenset({authority.url.removeprefix("http://")}))
    with pytest.raises(StatusUnknown):
        by.check(chain[:2], now=clock.now())
    client = create_app(authority).test_client()
    for answer in (client.post("/ocsp", data=b"hello"), client.get("/ocsp/aGVsbG8=")):
        assert answer.status_code == 200
        assert answer.data == bytes.fromhex("30030a0101")  # malformedRequest
    assert client.get("/ocsp/a").status_code == 400
    assert client.get("/other.crl").status_code == 404
