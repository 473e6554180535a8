"""Class of vulnerability: 23, for certificates: headers that anybody can send (RFC 9440 section 4)."""

import base64
from contextlib import suppress
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from authz_server.identity.certificates import client_cert
from authz_server.identity.certificates.client_cert import CERTIFICATE, CHAIN, ESCAPED_PEM, HOP
from authz_server.identity.certificates.errors import CertificateRefused

from . import pki

SECRET = "s" * 43
ISSUING = pki.authority(pki.root())
CARD = pki.issue("Card", ISSUING)


def encoded(holder: pki.Holder) -> str:
    return f":{base64.b64encode(holder.certificate.public_bytes(Encoding.DER)).decode()}:"


RIGHT = {HOP: SECRET, CERTIFICATE: encoded(CARD)}


def refused(headers: dict[str, str]) -> str:
    with pytest.raises(CertificateRefused) as caught:
        client_cert.read(headers, hop_secret=SECRET)
    return caught.value.reason


def test_the_certificate_and_its_chain_are_read_from_a_trusted_proxy() -> None:
    found = client_cert.read(RIGHT | {CHAIN: f"{encoded(ISSUING)}, {encoded(CARD)}"}, hop_secret=SECRET)
    assert found is not None
    assert found.certificate == CARD.certificate
    assert found.others == (ISSUING.certificate, CARD.certificate)


def test_the_escaped_pem_of_nginx_is_read() -> None:
    found = client_cert.read({HOP: SECRET, ESCAPED_PEM: quote(CARD.pem.decode(), safe="")}, hop_secret=SECRET)
    assert found is not None
    assert found.certificate == CARD.certificate


@pytest.mark.parametrize("hop", [None, "", "t" * 43, SECRET[:-1], SECRET + "s", "é" * 43])
def test_headers_of_anybody_else_are_ignored(hop: str | None) -> None:
    headers = dict(RIGHT)
    del headers[HOP]
    assert client_cert.read(headers | ({HOP: hop} if hop is not None else {}), hop_secret=SECRET) is None


def test_nobody_is_trusted_without_a_secret() -> None:
    for hop in ("", SECRET, "None"):
        assert client_cert.read(RIGHT | {HOP: hop}, hop_secret=None) is None


def test_a_connection_without_a_certificate_has_none() -> None:
    assert client_cert.read({HOP: SECRET}, hop_secret=SECRET) is None
    assert client_cert.read({HOP: SECRET, CERTIFICATE: "", ESCAPED_PEM: ""}, hop_secret=SECRET) is None


@pytest.mark.parametrize(
    "value",
    ["x", "::", ":AAAA:", encoded(CARD)[1:], encoded(CARD)[:-1],
     f'"{encoded(CARD)}"', encoded(CARD) + ";a=1", ":" + encoded(CARD)[1:-5] + ":", quote(CARD.pem.decode()),
     ":-----:", ":é:", " , "],
)  # fmt: skip
def test_what_is_no_byte_sequence_of_a_certificate_is_refused(value: str) -> None:
    assert refused({HOP: SECRET, CERTIFICATE: value}) == "malformed"
    assert refused(RIGHT | {CHAIN: f"{encoded(ISSUING)}, {value}"}) == "malformed"


def test_two_certificates_where_one_belongs_are_refused() -> None:
    assert refused({HOP: SECRET, CERTIFICATE: f"{encoded(CARD)}, {encoded(CARD)}"}) == "malformed"


def test_two_ways_to_say_it_and_too_many_and_too_long_are_refused() -> None:
    assert refused(RIGHT | {ESCAPED_PEM: quote(CARD.pem.decode())}) == "malformed"
    assert refused(RIGHT | {CHAIN: ",".join([encoded(ISSUING)] * 9)}) == "malformed"
    assert refused(RIGHT | {CHAIN: "," * 40000}) == "malformed"
    assert refused({HOP: SECRET, ESCAPED_PEM: "hello%"}) == "malformed"


@given(st.text(max_size=200))
def test_any_text_of_a_trusted_proxy_is_read_or_refused(value: str) -> None:
    for name in (CERTIFICATE, ESCAPED_PEM):
        with suppress(CertificateRefused):
            assert client_cert.read({HOP: SECRET, name: value}, hop_secret=SECRET) is None
