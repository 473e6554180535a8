"""Class of vulnerability: 23, for certificates: headers that anybody can send (RFC 9440 section 4)."""

import base64
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from authz_server.certificate_settings import CertificateSettings
from authz_server.core.settings import SettingsError
from authz_server.identity.certificates import client_cert
from authz_server.identity.certificates.client_cert import HOP
from authz_server.identity.certificates.errors import CertificateRefused
from authz_server.identity.certificates.verifier import Verifier

from . import pki

SECRET = "s" * 43
ISSUING = pki.authority(pki.root())
CARD = pki.issue("Card", ISSUING)


def encoded(holder: pki.Holder) -> str:
    return f":{base64.b64encode(holder.certificate.public_bytes(Encoding.DER)).decode()}:"


def shown(value: str, *, secret: str = SECRET) -> dict[str, str]:
    """What a proxy sends that shows this."""
    return {HOP: f"{secret} {value}"}


def refused(value: str) -> str:
    with pytest.raises(CertificateRefused) as caught:
        client_cert.read(shown(value), hop_secret=SECRET)
    return caught.value.reason


def test_the_certificate_and_its_chain_are_read_from_a_trusted_proxy() -> None:
    found = client_cert.read(shown(f"{encoded(CARD)}, {encoded(ISSUING)},{encoded(CARD)}"), hop_secret=SECRET)
    assert found is not None
    assert found.certificate == CARD.certificate
    assert found.others == (ISSUING.certificate, CARD.certificate)


def test_the_escaped_pem_of_nginx_is_read() -> None:
    found = client_cert.read(shown(quote(CARD.pem.decode(), safe="")), hop_secret=SECRET)
    assert found is not None
    assert found.certificate == CARD.certificate


@pytest.mark.parametrize("hop", ["", "t" * 43, SECRET[:-1], SECRET + "s", "é" * 43, encoded(CARD)])
def test_a_header_of_anybody_else_is_ignored(hop: str) -> None:
    assert client_cert.read(shown(encoded(CARD), secret=hop), hop_secret=SECRET) is None
    assert client_cert.read({HOP: hop}, hop_secret=SECRET) is None
    assert client_cert.read({}, hop_secret=SECRET) is None


def test_a_certificate_beside_the_secret_is_nobodys() -> None:
    """A browser may have said it: as `Client_Cert`, past a proxy that replaces `Client-Cert` (RFC 9440 section 4)."""
    for name in ("Client-Cert", "X-Client-Cert-Escaped"):
        assert client_cert.read({HOP: SECRET, name: encoded(CARD)}, hop_secret=SECRET) is None


def test_nobody_is_trusted_without_a_secret() -> None:
    for hop in ("", SECRET, "None"):
        assert client_cert.read(shown(encoded(CARD), secret=hop), hop_secret=None) is None


def test_a_connection_without_a_certificate_has_none() -> None:
    for value in (SECRET, f"{SECRET} ", f"{SECRET}   "):
        assert client_cert.is_trusted({HOP: value}, hop_secret=SECRET)
        assert client_cert.read({HOP: value}, hop_secret=SECRET) is None


@pytest.mark.parametrize(
    "value",
    ["x", "::", ":AAAA:", encoded(CARD)[1:], encoded(CARD)[:-1],
     f'"{encoded(CARD)}"', encoded(CARD) + ";a=1", ":" + encoded(CARD)[1:-5] + ":", encoded(CARD) + encoded(CARD),
     ":-----:", ":é:", ",", "hello%"],
)  # fmt: skip
def test_what_is_no_byte_sequence_of_a_certificate_is_refused(value: str) -> None:
    assert refused(value) == "malformed"
    assert refused(f"{encoded(CARD)}, {value}") == "malformed"


def test_too_many_and_too_long_are_refused() -> None:
    assert refused(",".join([encoded(CARD)] * 10)) == "malformed"
    assert refused(encoded(CARD) + "," * 40000) == "malformed"


@pytest.mark.parametrize("secret", ["s" * 31, f"{SECRET} s", f"{SECRET}\ns", "é" * 43])
def test_a_secret_that_is_short_or_of_two_words_starts_no_server(tmp_path: Path, secret: str) -> None:
    (tmp_path / "anchors.pem").write_bytes(CARD.pem)
    (tmp_path / "hop").write_text(secret, encoding="utf-8")
    given = CertificateSettings(anchors_file=tmp_path / "anchors.pem", hop_secret_file=tmp_path / "hop")
    with pytest.raises(SettingsError, match="hop_secret_file"):
        Verifier.load(given, allowed_hosts=frozenset())


@given(st.text(max_size=200))
def test_any_text_of_a_trusted_proxy_is_read_or_refused(value: str) -> None:
    for prefix in ("", ":"):
        with suppress(CertificateRefused):
            assert client_cert.read(shown(prefix + value), hop_secret=SECRET) is None
