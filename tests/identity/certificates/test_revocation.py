"""Whether a certificate is revoked: lists and responders on real sockets, OpenSSL's among them, and all that fails."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.core import clock
from authz_server.identity.certificates import crl as lists
from authz_server.identity.certificates import ocsp as answers
from authz_server.identity.certificates.errors import CertificateRefused, StatusUnknown
from authz_server.identity.certificates.revocation import Checker, Way
from tests.core.servers import say
from tests.core.servers import serving as saying

from . import pki
from .pki import DAY, NOW
from .responder import OpenSsl, Shelf, serving

ROOT = pki.root()
ISSUING = pki.authority(ROOT)
REVOKED = ocsp.OCSPCertStatus.REVOKED
UNKNOWN = ocsp.OCSPCertStatus.UNKNOWN


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with serving() as shelf:
        yield shelf


@pytest.fixture(autouse=True)
def still() -> Iterator[None]:
    with clock.frozen(NOW):
        yield


def checker(shelf: Shelf, *ways: Way, nonce_required: bool = False) -> Checker:
    return Checker(ways=ways or ("ocsp", "crl"), allowed_hosts=shelf.allowed, nonce_required=nonce_required)


def listed(shelf: Shelf, path: str = "/crl") -> pki.Holder:
    """A card of the anchor, whose list is on the shelf."""
    return pki.issue("Card", ROOT, crl_url=shelf.url(path))


def answered(shelf: Shelf) -> pki.Holder:
    """A card of the anchor, whose responder is the shelf."""
    return pki.issue("Card", ROOT, ocsp_url=shelf.url("/ocsp"))


def unknown(by: Checker, card: pki.Holder) -> str:
    with pytest.raises(StatusUnknown) as caught:
        by.check(card.chain(), now=clock.now())
    return caught.value.detail


def revoked(by: Checker, card: pki.Holder) -> None:
    with pytest.raises(CertificateRefused) as caught:
        by.check(card.chain(), now=clock.now())
    assert caught.value.reason == "revoked"


# --- lists -----------------------------------------------------------------------------------------------------------


def test_a_list_tells_who_is_revoked(shelf: Shelf) -> None:
    good, bad = listed(shelf), listed(shelf)
    shelf.answers["/crl"] = pki.crl(ROOT, bad.certificate)
    by = checker(shelf)
    by.check(good.chain(), now=NOW)
    revoked(by, bad)
    assert shelf.asked == ["/crl"]


def test_a_list_in_pem_is_read(shelf: Shelf) -> None:
    card = listed(shelf)
    der = x509.load_der_x509_crl(pki.crl(ROOT, card.certificate))
    shelf.answers["/crl"] = der.public_bytes(Encoding.PEM)
    revoked(checker(shelf), card)


def test_a_list_that_was_signed_while_it_was_asked_for_counts(shelf: Shelf) -> None:
    card = listed(shelf)
    shelf.answers["/crl"] = pki.crl(ROOT, valid=(NOW + timedelta(seconds=1), NOW + DAY))
    checker(shelf).check(card.chain(), now=NOW)


def test_a_list_is_kept_for_an_hour_and_never_beyond_its_end(shelf: Shelf) -> None:
    card = listed(shelf)
    by = checker(shelf)
    shelf.answers["/crl"] = pki.crl(ROOT)
    by.check(card.chain(), now=NOW)
    shelf.answers["/crl"] = pki.crl(ROOT, card.certificate, valid=(NOW, NOW + timedelta(hours=1, minutes=10)))
    clock.advance(timedelta(minutes=59))
    by.check(card.chain(), now=clock.now())
    clock.advance(timedelta(minutes=1))
    revoked(by, card)
    shelf.answers["/crl"] = 503
    clock.advance(timedelta(minutes=9))
    revoked(by, card)
    clock.advance(timedelta(minutes=1))
    assert unknown(by, card) == "status 503"
    assert shelf.asked == ["/crl"] * 3


def test_a_list_that_was_fetched_while_the_clock_was_fast_is_fetched_again(shelf: Shelf) -> None:
    by, card = checker(shelf, "crl"), listed(shelf)
    shelf.answers["/crl"] = pki.crl(ROOT)
    by.check(card.chain(), now=NOW + timedelta(hours=12))
    shelf.answers["/crl"] = pki.crl(ROOT, card.certificate)
    revoked(by, card)


def test_every_authority_below_the_anchor_is_asked_about(shelf: Shelf) -> None:
    issuing = pki.authority(ROOT, crl_url=shelf.url("/root"))
    card = pki.issue("Card", issuing, crl_url=shelf.url("/issuing"))
    shelf.answers |= {"/issuing": pki.crl(issuing), "/root": pki.crl(ROOT)}
    checker(shelf).check(card.chain(), now=NOW)
    shelf.answers["/root"] = pki.crl(ROOT, issuing.certificate)
    revoked(checker(shelf), card)
    shelf.answers["/root"] = 404
    assert unknown(checker(shelf), card) == "status 404"


def with_scope(
    **scope: object,
) -> Callable[[x509.CertificateRevocationListBuilder], x509.CertificateRevocationListBuilder]:
    nothing: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    point = x509.IssuingDistributionPoint(**(nothing | scope))  # type: ignore[arg-type]
    return lambda one: one.add_extension(point, critical=True)


OF_NO_USE: dict[str, Callable[[Shelf], bytes]] = {
    "of another issuer": lambda _: pki.crl(ISSUING),
    "signed by somebody else": lambda _: pki.crl(ROOT, key=pki.ec_key()),
    "over": lambda _: pki.crl(ROOT, valid=(NOW - DAY, NOW)),
    "of tomorrow": lambda _: pki.crl(ROOT, valid=(NOW + DAY, NOW + 2 * DAY)),
    "about authorities only": lambda _: pki.crl(ROOT, more=with_scope(only_contains_ca_certs=True)),
    "about attribute certificates only": lambda _: pki.crl(ROOT, more=with_scope(only_contains_attribute_certs=True)),
    "of others too": lambda _: pki.crl(ROOT, more=with_scope(indirect_crl=True)),
    "about some reasons only": lambda _: pki.crl(
        ROOT, more=with_scope(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise}))
    ),
    "of another distribution point": lambda shelf: pki.crl(
        ROOT, more=with_scope(full_name=[x509.UniformResourceIdentifier(shelf.url("/other"))])
    ),
    "a delta": lambda _: pki.crl(ROOT, more=lambda one: one.add_extension(x509.DeltaCRLIndicator(1), critical=True)),
    "no list": lambda _: b"hello",
    "cut off": lambda _: pki.crl(ROOT)[:-5],
    "a certificate": lambda _: ROOT.certificate.public_bytes(Encoding.DER),
}


@pytest.mark.parametrize("made", OF_NO_USE.values(), ids=OF_NO_USE.keys())
def test_a_list_is_of_no_use_if_it_is(shelf: Shelf, made: Callable[[Shelf], bytes]) -> None:
    card = listed(shelf)
    shelf.answers["/crl"] = made(shelf)
    by = checker(shelf)
    assert unknown(by, card).startswith("crl")
    shelf.answers["/crl"] = pki.crl(ROOT)
    by.check(card.chain(), now=NOW)  # what was of no use was not kept


def test_a_list_of_the_right_scope_is_taken(shelf: Shelf) -> None:
    scope = with_scope(full_name=[x509.UniformResourceIdentifier(shelf.url("/crl"))], only_contains_user_certs=True)
    card = listed(shelf)
    shelf.answers["/crl"] = pki.crl(ROOT, card.certificate, more=scope)
    revoked(checker(shelf), card)
    authority = pki.authority(ROOT, crl_url=shelf.url("/crl"))
    assert unknown(checker(shelf), authority) == "crl: scope"


def test_a_list_by_an_authority_that_may_not_sign_lists_is_of_no_use(shelf: Shelf) -> None:
    issuing = pki.issue("CA", ROOT, ca=True, usages=("key_cert_sign",))
    card = pki.issue("Card", issuing, crl_url=shelf.url("/crl"))
    shelf.answers["/crl"] = pki.crl(issuing)
    assert unknown(checker(shelf), card) == "crl: its issuer may not sign lists"


def test_a_list_with_a_weak_hash_is_of_no_use(shelf: Shelf) -> None:
    card = listed(shelf)
    shelf.answers["/crl"] = pki.crl(ROOT, hash_algorithm=hashes.SHA224())
    assert unknown(checker(shelf), card) == "crl: signature"


def test_every_octet_of_a_list_counts() -> None:
    card = pki.issue("Card", ROOT, crl_url="http://a.example/")
    der = pki.crl(ROOT, card.certificate)
    assert lists.check(lists.parse(der), card.certificate, ROOT.certificate, url="", now=NOW)
    for position in pki.octets(der, lists.parse(der).signature):
        damaged = bytearray(der)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(StatusUnknown):
            lists.check(lists.parse(bytes(damaged)), card.certificate, ROOT.certificate, url="", now=NOW)


# --- answers ---------------------------------------------------------------------------------------------------------


def test_a_responder_tells_whether_a_card_is_revoked(shelf: Shelf) -> None:
    card = answered(shelf)
    for by_key in (True, False):
        shelf.answers["/ocsp"] = partial(pki.ocsp_answer, card=card, by_key=by_key)
        checker(shelf, nonce_required=True).check(card.chain(), now=NOW)
    shelf.answers["/ocsp"] = lambda asked: pki.ocsp_answer(asked, card, status=REVOKED)
    revoked(checker(shelf), card)


def test_each_question_has_a_nonce_of_its_own(shelf: Shelf) -> None:
    card = answered(shelf)
    asked: list[bytes] = []

    def answer(question: bytes) -> bytes:
        request = ocsp.load_der_ocsp_request(question)
        asked.append(request.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce)
        return pki.ocsp_answer(question, card)

    shelf.answers["/ocsp"] = answer
    by = checker(shelf)
    by.check(card.chain(), now=NOW)
    by.check(card.chain(), now=NOW)
    assert len(set(asked)) == 2
    assert all(len(nonce) == 32 for nonce in asked)


def responder(**changes: object) -> pki.Holder:
    """A certificate for signing answers, as it should be but for the changes."""

    def more(builder: pki.Builder) -> pki.Builder:
        purpose = changes.get("purpose", ExtendedKeyUsageOID.OCSP_SIGNING)
        if purpose is not None:
            assert isinstance(purpose, x509.ObjectIdentifier)
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        return builder if changes.get("checked") else builder.add_extension(x509.OCSPNoCheck(), critical=False)

    issuer, valid = changes.get("issuer", ROOT), changes.get("valid", (NOW - DAY, NOW + DAY))
    crl_url = changes.get("crl_url")
    assert isinstance(issuer, pki.Holder | None)
    assert isinstance(valid, tuple)
    assert isinstance(crl_url, str | None)
    return pki.issue("Responder", issuer, valid=valid, more=more, crl_url=crl_url)


def test_a_responder_may_have_been_charged_by_the_issuer(shelf: Shelf) -> None:
    card = answered(shelf)
    shelf.answers["/ocsp"] = lambda asked: pki.ocsp_answer(asked, card, responder=responder())
    checker(shelf).check(card.chain(), now=NOW)


WITHOUT_AUTHORITY: dict[str, Callable[[], pki.Holder]] = {
    "for another purpose": lambda: responder(purpose=ExtendedKeyUsageOID.CLIENT_AUTH),
    "for no purpose": lambda: responder(purpose=None),
    "of another issuer": lambda: responder(issuer=pki.root()),
    "of an authority below": lambda: responder(issuer=ISSUING),
    "by itself": lambda: responder(issuer=None),
    "that has expired": lambda: responder(valid=(NOW - 2 * DAY, NOW - DAY)),
    "of another card": lambda: pki.issue("Card", ROOT),
}


@pytest.mark.parametrize("made", WITHOUT_AUTHORITY.values(), ids=WITHOUT_AUTHORITY.keys())
def test_nobody_may_answer_with_a_certificate(shelf: Shelf, made: Callable[[], pki.Holder]) -> None:
    card, signer = answered(shelf), made()
    shelf.answers["/ocsp"] = lambda asked: pki.ocsp_answer(asked, card, responder=signer)
    assert unknown(checker(shelf), card) == "ocsp: responder without authority"


def test_a_responder_is_itself_looked_up_unless_it_says_that_it_need_not(shelf: Shelf) -> None:
    card, signer = answered(shelf), responder(checked=True, crl_url=shelf.url("/crl"))
    shelf.answers |= {"/ocsp": lambda asked: pki.ocsp_answer(asked, card, responder=signer), "/crl": pki.crl(ROOT)}
    checker(shelf).check(card.chain(), now=NOW)
    shelf.answers["/crl"] = pki.crl(ROOT, signer.certificate)
    assert unknown(checker(shelf), card) == "ocsp: responder revoked"
    unlisted = responder(checked=True)
    shelf.answers["/ocsp"] = lambda asked: pki.ocsp_answer(asked, card, responder=unlisted)
    assert unknown(checker(shelf), card) == "the certificate names nobody to ask"


def with_a_bit_flipped(answer: bytes) -> bytes:
    return answer[:-1] + bytes([answer[-1] ^ 1])


USELESS_ANSWERS: dict[str, Callable[[bytes, pki.Holder], bytes]] = {
    "about another card": lambda asked, card: pki.ocsp_answer(
        asked, card, about=pki.issue("Other", ROOT).certificate
    ),
    "that does not know": lambda asked, card: pki.ocsp_answer(asked, card, status=UNKNOWN),
    "with the nonce of another question": lambda asked, card: pki.ocsp_answer(asked, card, nonce=b"n" * 32),
    "with a wrong signature": lambda asked, card: with_a_bit_flipped(pki.ocsp_answer(asked, card)),
    "with a weak hash": lambda asked, card: pki.ocsp_answer(asked, card, hash_algorithm=hashes.SHA224()),
    "of yesterday": lambda asked, card: pki.ocsp_answer(asked, card, valid=(NOW - DAY, NOW)),
    "of tomorrow": lambda asked, card: pki.ocsp_answer(asked, card, valid=(NOW + DAY, NOW + 2 * DAY)),
    "of six minutes ago without an end": lambda asked, card: pki.ocsp_answer(
        asked, card, valid=(NOW - timedelta(minutes=6), None)
    ),
    "that is none": lambda *_: b"hello",
    "that is empty": lambda *_: b"",
    "that is cut off": lambda asked, card: pki.ocsp_answer(asked, card)[:-9],
    "to come back later": lambda *_: ocsp.OCSPResponseBuilder.build_unsuccessful(
        ocsp.OCSPResponseStatus.TRY_LATER
    ).public_bytes(Encoding.DER),
}  # fmt: skip


@pytest.mark.parametrize("made", USELESS_ANSWERS.values(), ids=USELESS_ANSWERS.keys())
def test_of_no_use_is_an_answer(shelf: Shelf, made: Callable[[bytes, pki.Holder], bytes]) -> None:
    card = answered(shelf)
    shelf.answers["/ocsp"] = lambda asked: made(asked, card)
    assert unknown(checker(shelf), card).startswith("ocsp: ")


def test_an_answer_made_beforehand_counts_while_it_is_in_force_unless_a_nonce_is_required(shelf: Shelf) -> None:
    card = answered(shelf)
    shelf.answers["/ocsp"] = lambda asked: pki.ocsp_answer(asked, card, nonce=False, valid=(NOW - DAY, NOW + DAY))
    checker(shelf).check(card.chain(), now=NOW)
    assert unknown(checker(shelf, nonce_required=True), card) == "ocsp: no nonce"


def test_a_recent_answer_without_an_end_counts(shelf: Shelf) -> None:
    card = answered(shelf)
    for moment in (NOW - timedelta(minutes=4), NOW + timedelta(seconds=50)):
        shelf.answers["/ocsp"] = partial(pki.ocsp_answer, card=card, valid=(moment, None))
        checker(shelf).check(card.chain(), now=NOW)


def test_every_octet_of_an_answer_counts() -> None:
    """But for those of certificates that come along and are not needed: here there are none."""
    card = pki.issue("Card", ROOT)
    question = answers.question(card.certificate, ROOT.certificate)
    der = pki.ocsp_answer(question, card)
    assert not told(der, question)
    for position in pki.octets(der, ocsp.load_der_ocsp_response(der).signature):
        damaged = bytearray(der)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(StatusUnknown):
            told(bytes(damaged), question)


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_octets_are_no_answer(octets: bytes) -> None:
    question = answers.question(pki.issue("Card", ROOT).certificate, ROOT.certificate)
    with pytest.raises(StatusUnknown):
        told(octets, question)


def told(der: bytes, question: ocsp.OCSPRequest) -> bool:
    return answers.check(der, question, ROOT.certificate, now=NOW, nonce_required=False, check_responder=lambda _: None)


# --- ways ------------------------------------------------------------------------------------------------------------


def both(shelf: Shelf) -> pki.Holder:
    return pki.issue("Card", ROOT, ocsp_url=shelf.url("/ocsp"), crl_url=shelf.url("/crl"))


def test_the_second_way_is_tried_when_the_first_has_no_answer(shelf: Shelf) -> None:
    card = both(shelf)
    shelf.answers["/crl"] = pki.crl(ROOT)
    checker(shelf).check(card.chain(), now=NOW)
    assert shelf.asked == ["/ocsp", "/crl"]
    shelf.answers["/crl"] = pki.crl(ROOT, card.certificate)
    revoked(checker(shelf), card)
    shelf.answers["/ocsp"] = lambda asked: pki.ocsp_answer(asked, card)
    checker(shelf, "ocsp", "crl").check(card.chain(), now=NOW)
    revoked(checker(shelf, "crl", "ocsp"), card)
    revoked(checker(shelf, "crl"), card)


def test_it_is_unknown_when_nobody_answers_or_nobody_is_named(shelf: Shelf) -> None:
    assert unknown(checker(shelf), both(shelf)) == "status 404"
    assert unknown(checker(shelf), pki.issue("Card", ROOT)) == "the certificate names nobody to ask"
    assert unknown(checker(shelf, "ocsp"), listed(shelf)) == "the certificate names nobody to ask"


def test_a_list_of_another_issuer_or_at_no_web_address_is_not_asked_for(shelf: Shelf) -> None:
    web = x509.UniformResourceIdentifier(shelf.url("/crl"))
    points = [
        x509.DistributionPoint([web], None, None, [x509.DirectoryName(pki.name("Other"))]),
        x509.DistributionPoint([web], None, frozenset({x509.ReasonFlags.key_compromise}), None),
        x509.DistributionPoint([x509.UniformResourceIdentifier("ldap://a.example/x")], None, None, None),
        x509.DistributionPoint([x509.UniformResourceIdentifier("http://[")], None, None, None),
    ]
    card = pki.issue(
        "Card", ROOT, more=lambda one: one.add_extension(x509.CRLDistributionPoints(points), critical=False)
    )
    assert unknown(checker(shelf), card).startswith("not a")
    assert shelf.asked == []


def test_a_private_address_is_not_asked_unless_the_settings_allow_it(shelf: Shelf) -> None:
    assert "not public" in unknown(Checker(), both(shelf))
    assert shelf.asked == []


def test_a_host_that_is_silent_is_left_alone_for_a_while() -> None:
    with saying(say(b"")) as silent:
        card = pki.issue("Card", ROOT, crl_url=f"http://127.0.0.1:{silent.port}/")
        by = Checker(allowed_hosts=silent.allowed)
        for _ in range(3):
            assert unknown(by, card).startswith("exchange")
        assert unknown(by, card) == "not asked during the cool-down"
        clock.advance(timedelta(seconds=15))
        assert unknown(by, card).startswith("exchange")
        assert len(silent.requests) == 4


# --- OpenSSL's own programs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delegated", [False, True])
def test_openssl_answers_as_an_authority_does(tmp_path: Path, delegated: bool) -> None:
    now = datetime.now(UTC)
    valid = (now - DAY, now + DAY)
    root = pki.issue("Root", None, ca=True, usages=pki.AUTHORITY, valid=valid, key=pki.rsa_key())
    signer = responder(issuer=root, valid=valid) if delegated else root
    office = OpenSsl(tmp_path, root, signer)
    good, bad, other = (pki.issue("Card", root, ocsp_url=office.url, valid=valid) for _ in range(3))
    office.register([good.certificate, bad.certificate], revoked=[bad.certificate])
    by = Checker(allowed_hosts=office.allowed, nonce_required=True)
    with clock.frozen(now), office.responding():
        by.check(good.chain(), now=datetime.now(UTC))
        with pytest.raises(CertificateRefused):
            by.check(bad.chain(), now=datetime.now(UTC))
        with pytest.raises(StatusUnknown, match="unknown to the responder"):
            by.check(other.chain(), now=datetime.now(UTC))


def test_openssl_writes_lists_as_an_authority_does(tmp_path: Path, shelf: Shelf) -> None:
    now = datetime.now(UTC)
    valid = (now - DAY, now + DAY)
    root = pki.issue("Root", None, ca=True, usages=pki.AUTHORITY, valid=valid, key=pki.rsa_key())
    good, bad = (pki.issue("Card", root, crl_url=shelf.url("/crl"), valid=valid) for _ in range(2))
    office = OpenSsl(tmp_path, root, root)
    office.register([good.certificate, bad.certificate], revoked=[bad.certificate])
    shelf.answers["/crl"] = office.list()
    by = checker(shelf)
    by.check(good.chain(), now=datetime.now(UTC))
    with pytest.raises(CertificateRefused):
        by.check(bad.chain(), now=datetime.now(UTC))
