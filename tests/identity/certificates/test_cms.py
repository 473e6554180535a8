"""Signatures over a challenge, made by OpenSSL as card software makes them, and all that may be wrong with one."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.identity.certificates import ber, cms
from authz_server.identity.certificates.cms_schema import SignedMessage
from authz_server.identity.certificates.errors import CertificateRefused

from . import pki

CHALLENGE = "mydata sign-in https://mydata.example 2026-11-28T04:00:00Z mdc_0123456789"
OCTETS = CHALLENGE.encode()


@pytest.fixture(scope="module")
def card() -> pki.Holder:
    return pki.issue("Card", pki.authority(pki.root()))


@pytest.fixture(scope="module")
def rsa_card() -> pki.Holder:
    return pki.issue("Card", pki.authority(pki.root()), key=pki.rsa_key())


@pytest.fixture(scope="module")
def message(card: pki.Holder, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return pki.sign_with_openssl(tmp_path_factory.mktemp("cms"), card, OCTETS)


def refused(message: bytes, challenge: str = CHALLENGE) -> str:
    with pytest.raises(CertificateRefused) as caught:
        cms.signer(message, challenge)
    return caught.value.reason


def changed(message: bytes, change: Callable[[SignedMessage], None]) -> bytes:
    """The message with its parts changed, and encoded again."""
    read = asn1.decode_der(SignedMessage, message)
    change(read)
    return asn1.encode_der(read)


WAYS: dict[str, tuple[str, ...]] = {
    "detached": (),
    "with the challenge inside": ("-nodetach",),
    "by subject key identifier": ("-keyid",),
    "with SHA-384": ("-md", "sha384"),
    "with SHA-512": ("-md", "sha512"),
    "of unknown length, in pieces": ("-nodetach", "-stream"),
    "without S/MIME capabilities": ("-nosmimecap",),
}


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("form", ["DER", "PEM"])
@pytest.mark.parametrize("kind", ["card", "rsa_card"])
def test_a_signature_by_openssl_tells_its_signer(
    request: pytest.FixtureRequest, tmp_path: Path, options: tuple[str, ...], form: str, kind: str
) -> None:
    card: pki.Holder = request.getfixturevalue(kind)
    message = pki.sign_with_openssl(tmp_path, card, OCTETS, *options, form=form)
    assert cms.signer(message, CHALLENGE).certificate == card.certificate


@pytest.mark.parametrize("salt", ["digest", "max", "20", "0"])
def test_a_pss_signature_by_openssl_tells_its_signer(rsa_card: pki.Holder, tmp_path: Path, salt: str) -> None:
    options = ("-keyopt", "rsa_padding_mode:pss", "-keyopt", f"rsa_pss_saltlen:{salt}")
    message = pki.sign_with_openssl(tmp_path, rsa_card, OCTETS, *options)
    assert cms.signer(message, CHALLENGE).certificate == rsa_card.certificate


def test_a_signature_on_p_384_counts(tmp_path: Path) -> None:
    card = pki.issue("Card", pki.root(), key=pki.ec_key(ec.SECP384R1()))
    message = pki.sign_with_openssl(tmp_path, card, OCTETS, "-md", "sha384")
    assert cms.signer(message, CHALLENGE).certificate == card.certificate


def test_base64_without_lines_around_it_is_read(message: bytes, card: pki.Holder) -> None:
    for pasted in (base64.b64encode(message), base64.encodebytes(message), b" \r\n" + base64.b64encode(message)):
        assert cms.signer(pasted, CHALLENGE).certificate == card.certificate


@pytest.mark.parametrize("label", ["CMS", "PKCS7", "PKCS #7 SIGNED DATA"])
def test_pem_of_any_name_is_read_with_text_around_it(message: bytes, card: pki.Holder, label: str) -> None:
    pem = f"from: card\r\n-----BEGIN {label}-----\r\n{base64.b64encode(message).decode()}\r\n-----END {label}-----\r\n"
    assert cms.signer(pem.encode(), CHALLENGE).certificate == card.certificate


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("options", [(), ("-nodetach",)])
def test_a_line_end_that_an_editor_added_does_no_harm(
    card: pki.Holder, tmp_path: Path, end: bytes, options: tuple[str, ...]
) -> None:
    message = pki.sign_with_openssl(tmp_path, card, OCTETS + end, *options)
    assert cms.signer(message, CHALLENGE).certificate == card.certificate


def test_the_certificates_of_authorities_come_along(tmp_path: Path) -> None:
    issuing = pki.authority(root := pki.root())
    card = pki.issue("Card", issuing)
    message = pki.sign_with_openssl(tmp_path, card, OCTETS, others=[root, issuing])
    assert set(cms.signer(message, CHALLENGE).others) == {root.certificate, issuing.certificate}


def test_the_signature_of_another_library_counts(card: pki.Holder) -> None:
    """PKCS #7 1.5 as `cryptography` writes it, which OpenSSL does not share."""
    builder = pkcs7.PKCS7SignatureBuilder().set_data(OCTETS).add_signer(card.certificate, card.key, hashes.SHA256())
    for options in ([pkcs7.PKCS7Options.DetachedSignature], []):
        signed = builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary, *options])
        assert cms.signer(signed, CHALLENGE).certificate == card.certificate


@pytest.mark.parametrize("signed", [b"", b"x", OCTETS[:-1], OCTETS + b" ", OCTETS + b"\n\n", OCTETS * 2])
@pytest.mark.parametrize("options", [(), ("-nodetach",)])
def test_a_signature_over_anything_else_is_refused(
    card: pki.Holder, tmp_path: Path, signed: bytes, options: tuple[str, ...]
) -> None:
    assert refused(pki.sign_with_openssl(tmp_path, card, signed, *options)) == "wrong_challenge"


def test_a_challenge_inside_that_is_not_what_was_signed_is_refused(card: pki.Holder, tmp_path: Path) -> None:
    message = pki.sign_with_openssl(tmp_path, card, b"something else", "-nodetach")

    def put_challenge(read: SignedMessage) -> None:
        read.content.content.content = OCTETS

    assert refused(changed(message, put_challenge)) == "wrong_challenge"
    right = pki.sign_with_openssl(tmp_path, card, OCTETS, "-nodetach")

    def put_else(read: SignedMessage) -> None:
        read.content.content.content = b"something else"

    assert refused(changed(right, put_else)) == "wrong_challenge"


def test_a_signature_without_signed_attributes_is_refused(card: pki.Holder, tmp_path: Path) -> None:
    assert refused(pki.sign_with_openssl(tmp_path, card, OCTETS, "-noattr")) == "malformed"


@pytest.mark.parametrize("digest", ["md5", "sha1", "sha224"])
def test_a_weak_digest_is_refused(rsa_card: pki.Holder, tmp_path: Path, digest: str) -> None:
    assert refused(pki.sign_with_openssl(tmp_path, rsa_card, OCTETS, "-md", digest)) == "algorithm"


def test_pss_with_another_hash_than_the_digest_is_refused(rsa_card: pki.Holder, tmp_path: Path) -> None:
    options = ("-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_mgf1_md:sha1")
    assert refused(pki.sign_with_openssl(tmp_path, rsa_card, OCTETS, *options)) == "algorithm"


@pytest.mark.parametrize("key", [pki.rsa_key(1024), pki.ec_key(ec.SECP224R1()), pki.ec_key(ec.SECP521R1())])
def test_a_key_that_we_do_not_take_is_refused(tmp_path: Path, key: pki.Key) -> None:
    card = pki.issue("Card", pki.root(), key=key)
    assert refused(pki.sign_with_openssl(tmp_path, card, OCTETS)) == "algorithm"


def test_a_certificate_that_is_missing_is_refused(card: pki.Holder, tmp_path: Path) -> None:
    assert refused(pki.sign_with_openssl(tmp_path, card, OCTETS, "-nocerts")) == "malformed"
    other = pki.issue("Other", pki.root())
    assert refused(pki.sign_with_openssl(tmp_path, card, OCTETS, "-nocerts", others=[other])) == "malformed"


def test_two_signers_are_refused(card: pki.Holder, tmp_path: Path) -> None:
    other = pki.issue("Other", pki.root())
    certificate, key = other.write(tmp_path, "other")
    message = pki.sign_with_openssl(tmp_path, card, OCTETS, "-signer", str(certificate), "-inkey", str(key))
    assert refused(message) == "malformed"


def test_the_certificate_of_somebody_else_is_refused_whatever_the_message_says(
    card: pki.Holder, message: bytes
) -> None:
    """Somebody else's with the same issuer and serial number: the signature is not by its key."""
    twin = pki.issue("Twin", card.issuer, serial=card.certificate.serial_number)

    def put_twin(read: SignedMessage) -> None:
        read.content.certificates = [twin.certificate]

    assert refused(changed(message, put_twin)) == "wrong_signature"


def test_a_signed_attribute_twice_or_missing_is_refused(message: bytes) -> None:
    for position in range(2):

        def twice(read: SignedMessage, at: int = position) -> None:
            (signer,) = read.content.signers.as_list()
            signer.signed_attributes.append(signer.signed_attributes[at * 2])

        assert refused(changed(message, twice)) in {"malformed", "wrong_signature"}

    def none(read: SignedMessage) -> None:
        (signer,) = read.content.signers.as_list()
        signer.signed_attributes.clear()

    assert refused(changed(message, none)) == "malformed"


def test_more_certificates_than_a_chain_has_are_refused(card: pki.Holder, message: bytes) -> None:
    def add(read: SignedMessage) -> None:
        read.content.certificates += [card.certificate] * 8

    assert refused(changed(message, add)) == "malformed"


def test_every_octet_of_a_message_counts(message: bytes) -> None:
    """What is not signed has one reading: no change passes. Those in the certificate show when its chain is built."""
    whole = asn1.decode_der(SignedMessage, message)
    encoded = whole.content.certificates[0].public_bytes(Encoding.DER)
    start = message.index(encoded)
    for position in range(len(message)):
        for flipped in (0xFF, 1 << position % 8):
            damaged = bytearray(message)
            damaged[position] ^= flipped
            try:
                signer = cms.signer(bytes(damaged), CHALLENGE)
            except CertificateRefused:
                continue
            assert start <= position < start + len(encoded)
            assert signer.certificate.public_bytes(Encoding.DER) != encoded


def test_every_truncation_and_every_addition_is_refused(message: bytes) -> None:
    for length in range(len(message)):
        assert refused(message[:length]) in {"malformed", "wrong_challenge"}
    assert refused(message + b"\x00") == "malformed"
    assert refused(message + message) == "malformed"


@pytest.mark.parametrize(
    "octets",
    [b"", b"   ", b"\x30", b"\x30\x80", b"\x30\x80" * 5000, b"\x30\x84\xff\xff\xff\xff", b"\x30\x82\x7f\xff" * 100,
     b"-----BEGIN CMS-----\n\n-----END CMS-----", b"-----BEGIN CMS-----", b"hello", b"\xff\xfe\x00", b"\x00" * 100,
     b"=" * 100, b"A" * 40000, b"\x24\x80" * 1000],
)  # fmt: skip
def test_what_is_no_signature_is_refused(octets: bytes) -> None:
    assert refused(octets) == "malformed"


def test_no_beginning_is_looked_for_an_end_of_beyond_the_next_one(card: pki.Holder, tmp_path: Path) -> None:
    """Of a message of beginnings alone, each would else be read to the end."""
    message = pki.sign_with_openssl(tmp_path, card, OCTETS, form="PEM")
    beginning = b"-----BEGIN CMS-----"
    assert message.startswith(beginning)
    assert cms.signer(beginning + message, CHALLENGE).certificate == card.certificate
    assert refused(beginning * (cms.MAX_BYTES // len(beginning))) == "malformed"


@given(st.binary(max_size=400))
@settings(max_examples=300)
def test_any_octets_are_refused(octets: bytes) -> None:
    assert refused(octets) == "malformed"
    assert refused(b"\x30" + octets) == "malformed"


@given(st.data())
@settings(max_examples=300)
def test_any_piece_put_anywhere_is_refused_or_changes_nothing(message: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(message)))
    length = data.draw(st.integers(0, 40))
    piece = data.draw(st.binary(max_size=40))
    altered = message[:at] + piece + message[at + length :]
    try:
        signer = cms.signer(altered, CHALLENGE)
    except CertificateRefused:
        return
    assert altered == message or isinstance(signer.certificate, x509.Certificate)


def test_der_stays_as_it_is(message: bytes) -> None:
    assert ber.to_der(message) == message


def test_ber_becomes_the_same_der(card: pki.Holder, tmp_path: Path) -> None:
    streamed = pki.sign_with_openssl(tmp_path, card, OCTETS, "-nodetach", "-stream")
    assert b"\x30\x80" in streamed[:2]
    read = asn1.decode_der(SignedMessage, ber.to_der(streamed))
    assert read.content.content.content == OCTETS
    assert ber.to_der(ber.to_der(streamed)) == ber.to_der(streamed)


@given(st.binary(max_size=200))
def test_any_octets_are_der_or_no_ber(octets: bytes) -> None:
    try:
        der = ber.to_der(octets)
    except ber.NotBer:
        return
    assert ber.to_der(der) == der
