"""The way up to an anchor: RFC 5280 section 6, a row of its rules each, OpenSSL as the second opinion."""

import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.identity.certificates import algorithms, trust
from authz_server.identity.certificates.errors import REASONS, CertificateRefused
from authz_server.identity.certificates.trust import Trust

from . import pki
from .pki import DAY, NOW

POLICY, OTHER_POLICY, ANY_POLICY = "1.3.6.1.4.1.55555.1.1", "1.3.6.1.4.1.55555.1.2", "2.5.29.32.0"
ROOT = pki.root()
ISSUING = pki.authority(ROOT)
CARD = pki.issue("Card", ISSUING)
TRUST = Trust(anchors=(ROOT.certificate,))


def refused(holder: pki.Holder, *others: pki.Holder, by: Trust = TRUST) -> str:
    with pytest.raises(CertificateRefused) as caught:
        by.chain(holder.certificate, [one.certificate for one in others], now=NOW)
    return caught.value.reason


def openssl_agrees(folder: Path, holder: pki.Holder, *others: pki.Holder) -> bool:
    """Whether `openssl verify` sees a way as well."""
    (folder / "root.pem").write_bytes(ROOT.pem)
    (folder / "others.pem").write_bytes(b"".join(one.pem for one in others))
    certificate, _ = holder.write(folder, "leaf")
    command = ["openssl", "verify", "-CAfile", "root.pem", "-untrusted", "others.pem", "-x509_strict"]
    command += ["-attime", str(int(NOW.timestamp())), str(certificate)]
    return subprocess.run(command, cwd=folder, capture_output=True).returncode == 0


def for_purposes(*purposes: ObjectIdentifier) -> Callable[[pki.Builder], pki.Builder]:
    return lambda builder: builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)


def with_policies(*policies: str) -> Callable[[pki.Builder], pki.Builder]:
    found = x509.CertificatePolicies([x509.PolicyInformation(ObjectIdentifier(one), None) for one in policies])
    return lambda builder: builder.add_extension(found, critical=False)


@pytest.mark.parametrize("new_key", [pki.ec_key, partial(pki.ec_key, ec.SECP384R1()), pki.rsa_key])
@pytest.mark.parametrize("known", ["comes along", "is configured", "both"])
def test_a_card_leads_up_to_the_anchor(tmp_path: Path, new_key: Callable[[], pki.Key], known: str) -> None:
    root = pki.root(key=pki.rsa_key())
    issuing = pki.authority(root)
    card = pki.issue("Card", issuing, key=new_key())
    configured = () if known == "comes along" else (issuing.certificate,)
    others = [] if known == "is configured" else [issuing.certificate, root.certificate]
    found = Trust(anchors=(root.certificate,), intermediates=configured).chain(card.certificate, others, now=NOW)
    assert found == [card.certificate, issuing.certificate, root.certificate]


def test_a_card_issued_by_the_anchor_itself_is_trusted() -> None:
    card = pki.issue("Card", ROOT)
    assert TRUST.chain(card.certificate, [], now=NOW) == [card.certificate, ROOT.certificate]


def test_it_is_valid_from_its_first_to_its_last_moment() -> None:
    card = pki.issue("Card", ISSUING, valid=(NOW - DAY, NOW + DAY))
    for moment in (NOW - DAY, NOW, NOW + DAY):
        assert TRUST.chain(card.certificate, [ISSUING.certificate], now=moment)
    for moment in (NOW - DAY * 1.001, NOW + DAY * 1.001):
        with pytest.raises(CertificateRefused) as caught:
            TRUST.chain(card.certificate, [ISSUING.certificate], now=moment)
        assert caught.value.reason == "expired"


OUT_OF_ORDER = {
    "an authority that has expired": lambda: _card_of(
        pki.issue("Old", ROOT, ca=True, usages=pki.AUTHORITY, valid=(NOW - 9 * DAY, NOW - DAY))
    ),
    "an issuer that is no authority": lambda: _card_of(pki.issue("Card", ROOT)),
    "an issuer without basic constraints": lambda: _card_of(pki.issue("No CA", ROOT, ca=None, usages=pki.AUTHORITY)),
    "an authority that may not sign certificates": lambda: _card_of(
        pki.issue("CA", ROOT, ca=True, usages=("crl_sign",))
    ),
    "more authorities than the path length": lambda: _card_of(pki.authority(ISSUING, "Below")),
    "an anchor that we do not know": lambda: _card_of(pki.authority(pki.root("Other"))),
    "an anchor of the same name with another key": lambda: _card_of(pki.authority(pki.root("Root"))),
    "a signature with SHA-1": lambda: _signed_with_sha1(),
    "itself for an issuer": lambda: (pki.issue("Card", None), ()),
}


def _card_of(issuer: pki.Holder) -> tuple[pki.Holder, tuple[pki.Holder, ...]]:
    others, above = [issuer], issuer.issuer
    while above is not None:
        others.append(above)
        above = above.issuer
    return pki.issue("Card", issuer), tuple(others)


def _signed_with_sha1() -> tuple[pki.Holder, tuple[pki.Holder, ...]]:
    root = pki.root(key=pki.rsa_key())
    unsigned = pki.issue("Card", root)
    # The library does not sign with it any more, so only the name of the algorithm is put in.
    with_sha256, with_sha1 = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
    der = unsigned.certificate.public_bytes(Encoding.DER).replace(with_sha256, with_sha1)
    return pki.Holder(x509.load_der_x509_certificate(der), unsigned.key, root), (root,)


@pytest.mark.parametrize("made", OUT_OF_ORDER.values(), ids=OUT_OF_ORDER.keys())
def test_there_is_no_way_over(tmp_path: Path, made: Callable[[], tuple[pki.Holder, tuple[pki.Holder, ...]]]) -> None:
    card, others = made()
    assert refused(card, *others) == "untrusted"
    assert not openssl_agrees(tmp_path, card, *others)


def test_the_second_opinion_agrees_where_all_is_right(tmp_path: Path) -> None:
    assert openssl_agrees(tmp_path, CARD, ISSUING)
    assert TRUST.chain(CARD.certificate, [ISSUING.certificate], now=NOW)


def test_too_many_authorities_are_not_followed() -> None:
    above, others = ROOT, []
    for number in range(6):
        above = pki.authority(above, f"CA {number}", path_length=None)
        others.append(above)
    assert refused(pki.issue("Card", above), *others) == "untrusted"


def test_authorities_that_somebody_has_made_up_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them has issued each other, by a key that takes a hundred times as long to verify by as others do."""
    key = pki.slow_key(3072, 3071)
    made_up = [pki.issue("CA", None, ca=True, usages=pki.AUTHORITY, key=key) for _ in range(6)]
    card = pki.issue("Card", made_up[0])
    verified_by: list[x509.Certificate] = []
    searched: list[x509.Certificate] = []
    has_issued, between = trust._has_issued, Trust._between

    def counted(issuer: x509.Certificate, one: x509.Certificate) -> bool:
        verified_by.append(issuer)
        return has_issued(issuer, one)

    def noted(self: Trust, offered: Sequence[x509.Certificate]) -> list[x509.Certificate]:
        found = between(self, offered)
        searched.extend(found)
        return found

    monkeypatch.setattr(trust, "_has_issued", counted)
    monkeypatch.setattr(Trust, "_between", noted)
    assert refused(card, *made_up) == "untrusted"
    assert searched == []
    assert verified_by == [ROOT.certificate] * len(made_up)


def test_authorities_come_along_in_any_order() -> None:
    above, others = ROOT, []
    for number in range(3):
        above = pki.authority(above, f"CA {number}", path_length=None)
        others.append(above)
    card = pki.issue("Card", above)
    for order in (others, others[::-1], [*others, card, ROOT]):
        found = TRUST.chain(card.certificate, [one.certificate for one in order], now=NOW)
        assert found == card.chain()


def test_a_critical_extension_that_nobody_knows_is_refused() -> None:
    unknown = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.55555.9"), b"\x05\x00")
    card = pki.issue("Card", ISSUING, more=lambda one: one.add_extension(unknown, critical=True))
    assert refused(card, ISSUING) == "untrusted"
    card = pki.issue("Card", ISSUING, more=lambda one: one.add_extension(unknown, critical=False))
    assert TRUST.chain(card.certificate, [ISSUING.certificate], now=NOW)


def test_names_that_an_authority_may_not_speak_for_are_refused() -> None:
    only = x509.NameConstraints(permitted_subtrees=[x509.DNSName("permitted.example")], excluded_subtrees=None)
    narrow = pki.issue(
        "Narrow", ROOT, ca=True, usages=pki.AUTHORITY, more=lambda one: one.add_extension(only, critical=True)
    )
    names = x509.SubjectAlternativeName([x509.DNSName("other.example")])
    card = pki.issue("Card", narrow, more=lambda one: one.add_extension(names, critical=False))
    assert refused(card, narrow) == "untrusted"


@pytest.mark.parametrize(
    "usages", [None, (), ("key_encipherment",), ("content_commitment",), ("digital_signature", "key_cert_sign")]
)
def test_a_key_that_is_not_for_signatures_is_refused(usages: tuple[str, ...] | None) -> None:
    assert refused(pki.issue("Card", ISSUING, usages=usages), ISSUING) == "purpose"


def test_an_authority_is_no_citizen() -> None:
    both = pki.issue("CA", ROOT, ca=True, usages=(*pki.AUTHORITY, pki.SIGN))
    assert refused(both) == "purpose"
    assert refused(pki.issue("CA", ROOT, ca=True)) == "purpose"
    assert refused(ROOT) == "purpose"


@pytest.mark.parametrize(
    "purpose",
    [
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.OCSP_SIGNING,
        ExtendedKeyUsageOID.TIME_STAMPING,
        ExtendedKeyUsageOID.CODE_SIGNING,
    ],
)
def test_a_certificate_of_a_server_of_the_same_authority_is_no_citizens(purpose: ObjectIdentifier) -> None:
    card = pki.issue("Card", ISSUING, more=for_purposes(purpose))
    assert refused(card, ISSUING) == "purpose"
    assert TRUST.chain(
        pki.issue("Card", ISSUING, more=for_purposes(purpose, trust.PURPOSES[0])).certificate,
        [ISSUING.certificate],
        now=NOW,
    )


@pytest.mark.parametrize("purpose", trust.PURPOSES)
def test_a_certificate_may_be_for_what_citizens_do(purpose: ObjectIdentifier) -> None:
    card = pki.issue("Card", ISSUING, more=for_purposes(purpose))
    assert TRUST.chain(card.certificate, [ISSUING.certificate], now=NOW)


def test_a_card_may_be_for_non_repudiation_too_and_say_nothing_of_constraints() -> None:
    card = pki.issue("Card", ISSUING, ca=None, usages=(pki.SIGN, "content_commitment"))
    assert TRUST.chain(card.certificate, [ISSUING.certificate], now=NOW)


@pytest.mark.parametrize(
    "new_key",
    [
        partial(pki.rsa_key, 1024),
        partial(pki.ec_key, ec.SECP224R1()),
        partial(pki.ec_key, ec.SECP521R1()),
        partial(pki.slow_key, 2048, 40),
    ],
)
def test_a_key_that_we_do_not_take_is_refused(new_key: Callable[[], pki.Key]) -> None:
    assert refused(pki.issue("Card", ISSUING, key=new_key()), ISSUING) == "algorithm"


@pytest.mark.parametrize(("bits", "taken"), [(2048, True), (8192, True), (8200, False), (16384, False)])
def test_a_key_is_no_longer_than_what_is_verified_in_a_moment(bits: int, taken: bool) -> None:
    assert algorithms.is_strong(rsa.RSAPublicNumbers(65537, (1 << bits - 1) + 1).public_key()) == taken


def test_a_key_of_another_kind_is_refused() -> None:
    key: pki.Key = ed25519.Ed25519PrivateKey.generate()  # type: ignore[assignment]  # it is the point
    assert refused(pki.issue("Card", ISSUING, key=key), ISSUING) == "algorithm"


@pytest.mark.parametrize(
    ("card", "authority", "trusted"),
    [
        ((POLICY,), (POLICY,), True),
        ((POLICY, OTHER_POLICY), (ANY_POLICY,), True),
        ((POLICY,), (OTHER_POLICY, POLICY), True),
        ((OTHER_POLICY,), (POLICY,), False),
        ((POLICY,), (OTHER_POLICY,), False),
        ((ANY_POLICY,), (POLICY,), False),  # of a card that says nothing in particular nothing is known
        ((), (POLICY,), False),
        ((POLICY,), (), False),
    ],
)
def test_an_agreed_policy_holds_for_the_whole_chain(
    card: tuple[str, ...], authority: tuple[str, ...], trusted: bool
) -> None:
    issuing = pki.issue(
        "CA", ROOT, ca=True, usages=pki.AUTHORITY, more=with_policies(*authority) if authority else lambda one: one
    )
    made = pki.issue("Card", issuing, more=with_policies(*card) if card else lambda one: one)
    strict = Trust(anchors=(ROOT.certificate,), policies=frozenset({POLICY}))
    if trusted:
        assert strict.chain(made.certificate, [issuing.certificate], now=NOW)
    else:
        assert refused(made, issuing, by=strict) == "purpose"
    assert TRUST.chain(made.certificate, [issuing.certificate], now=NOW)


def refused_octets(der: bytes) -> str:
    try:
        (read,) = trust.parse([der])
        TRUST.chain(read, [ISSUING.certificate], now=NOW)
    except CertificateRefused as refused:
        return refused.reason
    raise AssertionError(der.hex())


def test_every_octet_of_a_certificate_counts() -> None:
    der = CARD.certificate.public_bytes(Encoding.DER)
    for position in pki.octets(der, CARD.certificate.signature):
        for flipped in (0xFF, 1 << position % 8):
            damaged = bytearray(der)
            damaged[position] ^= flipped
            assert refused_octets(bytes(damaged)) in REASONS


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_octets_are_no_certificate(octets: bytes) -> None:
    with pytest.raises(CertificateRefused):
        trust.parse([octets])


def test_anchors_are_read_from_a_pem_file(tmp_path: Path) -> None:
    path = tmp_path / "anchors.pem"
    path.write_bytes(ROOT.pem + ISSUING.pem)
    assert trust.load(path) == (ROOT.certificate, ISSUING.certificate)
    for content in (b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="no PEM file"):
            trust.load(path)
    with pytest.raises(ValueError, match="no PEM file"):
        trust.load(tmp_path / "missing.pem")
