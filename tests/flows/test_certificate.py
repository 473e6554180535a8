"""Signing in by a citizen certificate, and adding one: signatures by OpenSSL, lists on real sockets, both databases."""

import base64
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server.audit.models import AuditEntry
from authz_server.config import Settings
from authz_server.consent.wording import day
from authz_server.core import clock
from authz_server.identity import credentials, sessions
from authz_server.identity import service as accounts
from authz_server.identity.certificates import client_cert
from authz_server.identity.methods import certificate_proof as proof
from authz_server.identity.models import Citizen, CitizenSession
from tests.identity.certificates import cards, pki
from tests.identity.certificates.cards import TLS_URL, Authority, Signing, connection, text_of
from tests.support.platform import CitizenBrowser, Platform, hidden_fields
from tests.support.protocol import WAYS_TO_SHUT_OUT, shut_out

SET_UP = "/account/methods/certificate"


@pytest.fixture(autouse=True)
def still() -> Iterator[None]:
    with clock.frozen(pki.NOW):
        yield


@pytest.fixture
def authority() -> Iterator[Authority]:
    with cards.trusted() as authority:
        yield authority


@pytest.fixture
def settings(settings: Settings, authority: Authority, tmp_path: Path) -> Settings:
    return cards.trusting(settings, authority, tmp_path)


@pytest.fixture
def card(own_platform: Platform, authority: Authority) -> pki.Holder:
    """The card of citizen1, bound to the account."""
    card = authority.card()
    bind(own_platform, card)
    return card


@pytest.fixture
def signing(own_platform: Platform, tmp_path: Path) -> Signing:
    """A browser in which nobody is signed in."""
    return Signing(own_platform.citizen(signed_in=False), tmp_path)


def bind(platform: Platform, card: pki.Holder, username: str = "citizen1") -> None:
    with Session(platform.engine) as session, session.begin():
        citizen_id = session.scalar(select(Citizen.id).where(Citizen.username == username))
        assert citizen_id is not None
        bound = proof.described(card.certificate)
        assert credentials.add(session, citizen_id, method=proof.ID, now=clock.now(), **bound._asdict())


def bound_to(platform: Platform, username: str = "citizen1") -> list[str]:
    """The labels of the certificates of an account."""
    with Session(platform.engine) as session:
        citizen_id = session.scalar(select(Citizen.id).where(Citizen.username == username))
        assert citizen_id is not None
        return [one.label for one in credentials.of_citizen(session, citizen_id, method=proof.ID)]


def reasons(platform: Platform, event: str = "sign_in.failed") -> list[str | None]:
    with Session(platform.engine) as session:
        return list(session.scalars(select(AuditEntry.reason).where(AuditEntry.event == event).order_by(AuditEntry.id)))


def opened(platform: Platform) -> list[tuple[int, list[str]]]:
    with Session(platform.engine) as session:
        return [(row.level, row.amr) for row in session.execute(select(CitizenSession.level, CitizenSession.amr))]


def pasted(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def refused(platform: Platform, answer: TestResponse, problem: proof.Problem) -> None:
    assert answer.status_code == 400, answer.text
    assert proof.TOLD[problem].zh in answer.text
    assert "<title>錯誤：" in answer.text
    assert reasons(platform)[-1] == problem
    assert opened(platform) == []


# --- signatures ------------------------------------------------------------------------------------------------------


def test_a_signature_over_the_text_signs_in_at_the_level_of_the_method(
    own_platform: Platform, signing: Signing, card: pki.Holder
) -> None:
    page = signing.ask("?return_to=/record&method=certificate")
    answer = signing.hand_in(page, signing.sign(page, card))
    assert (answer.status_code, answer.location) == (303, "/record")
    assert signing.citizen.client.get("/record").status_code == 200
    assert opened(own_platform) == [(1, ["pop"])]
    assert reasons(own_platform, "sign_in.succeeded") == ["certificate"]


def test_it_may_be_pasted(own_platform: Platform, signing: Signing, card: pki.Holder) -> None:
    page = signing.ask()
    assert signing.paste(page, signing.sign(page, card)).status_code == 303


def test_the_text_says_what_it_is_for_and_comes_as_a_file_too(own_platform: Platform, signing: Signing) -> None:
    page = signing.ask()
    text = text_of(page)
    assert text.startswith(f"mydata sign-in {own_platform.settings.issuer} mdi_")
    form = hidden_fields(page.text)
    file = signing.citizen.client.post("/sign-in/certificate/text", data=form | {"step": "text"})
    assert file.data == text.encode()
    assert file.mimetype == "text/plain"
    assert "attachment" in file.headers["Content-Disposition"]
    wrong = signing.citizen.client.post("/sign-in/certificate/text", data=form | {"handle": "<script>"})
    assert wrong.status_code == 400


def test_switching_the_language_keeps_the_text(signing: Signing) -> None:
    page = signing.ask()
    form = hidden_fields(page.text) | {"lang": "en"}
    again = signing.citizen.client.post("/sign-in/certificate/challenge", data=form)
    assert text_of(again) == text_of(page)
    assert "Sign this text" in again.text


def test_a_text_is_good_once_whatever_was_handed_in(own_platform: Platform, signing: Signing, card: pki.Holder) -> None:
    page = signing.ask()
    signature = signing.sign(page, card)
    refused(own_platform, signing.hand_in(page, b"hello"), "malformed")
    refused(own_platform, signing.hand_in(page, signature), "used_text")
    refused(own_platform, signing.hand_in(signing.ask(), signature), "wrong_challenge")


def test_where_nothing_is_handed_in_the_text_stays_good(
    own_platform: Platform, signing: Signing, card: pki.Holder
) -> None:
    page = signing.ask("?return_to=/record&method=certificate")
    for answer in (signing.hand_in(page, b""), signing.paste(page, b"")):
        assert answer.status_code == 400
        assert proof.NO_SIGNATURE.zh in answer.text
        assert text_of(answer) == text_of(page)
    assert reasons(own_platform) == [], "it was no attempt"
    assert signing.hand_in(page, signing.sign(page, card)).status_code == 303


def test_of_eight_who_hand_in_one_signature_at_once_one_is_let_in(
    own_platform: Platform, signing: Signing, card: pki.Holder
) -> None:
    page = signing.ask()
    form = hidden_fields(page.text) | {"action": "sign-in", "pasted": pasted(signing.sign(page, card))}
    cookie = signing.citizen.client.get_cookie("__Host-mydata-form")
    assert cookie is not None
    barrier, answers = threading.Barrier(8), []

    def hand_in() -> None:
        client = own_platform.browser()
        client.set_cookie("__Host-mydata-form", cookie.value)
        barrier.wait()
        answers.append(client.post("/sign-in/certificate", data=form).status_code)

    threads = [threading.Thread(target=hand_in) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(303) == 1
    assert len(opened(own_platform)) == 1


def test_a_text_is_good_for_five_minutes_in_the_browser_that_asked(
    own_platform: Platform, signing: Signing, card: pki.Holder, tmp_path: Path
) -> None:
    page = signing.ask()
    signature = signing.sign(page, card)
    thief = Signing(own_platform.citizen(signed_in=False), tmp_path)
    theirs = thief.ask()
    form: dict[str, Any] = hidden_fields(theirs.text) | {"handle": hidden_fields(page.text)["handle"]}
    stolen = thief.citizen.client.post("/sign-in/certificate", data=form | {"pasted": pasted(signature)})
    refused(own_platform, stolen, "used_text")
    clock.advance(timedelta(minutes=5))
    refused(own_platform, signing.hand_in(page, signature), "used_text")


@pytest.mark.parametrize(
    ("problem", "changes"),
    [
        ("expired", {"valid": (pki.NOW - 2 * pki.DAY, pki.NOW - pki.DAY)}),
        ("purpose", {"usages": ("key_encipherment",)}),
        ("untrusted", {"issuer": pki.root("Other")}),
        ("algorithm", {"key": pki.rsa_key(1024)}),
        ("unknown_certificate", {}),
    ],
)
def test_a_card_that_is_not_good_enough_is_refused_and_told_why(
    own_platform: Platform, signing: Signing, authority: Authority, problem: proof.Problem, changes: dict[str, Any]
) -> None:
    card = authority.card(**changes)
    if problem != "unknown_certificate":
        bind(own_platform, card)
    refused(own_platform, signing.sign_in(card), problem)


def test_a_revoked_card_is_refused(
    own_platform: Platform, signing: Signing, authority: Authority, card: pki.Holder
) -> None:
    authority.revoke(card)
    refused(own_platform, signing.sign_in(card), "revoked")


def test_what_is_no_signature_or_over_something_else_is_refused(
    own_platform: Platform, signing: Signing, card: pki.Holder
) -> None:
    for octets in (b"hello", b"\x30\x80", b"0" * 60000):
        refused(own_platform, signing.hand_in(signing.ask(), octets), "malformed")
    other = pki.sign_with_openssl(signing.folder, card, b"something else")
    refused(own_platform, signing.hand_in(signing.ask(), other), "wrong_challenge")
    page = signing.ask()
    damaged = bytearray(signing.sign(page, card))
    damaged[-1] ^= 1
    refused(own_platform, signing.hand_in(page, bytes(damaged)), "wrong_signature")


def test_a_text_for_adding_does_not_sign_in(
    own_platform: Platform, signing: Signing, card: pki.Holder, tmp_path: Path
) -> None:
    signed_in = freshly(own_platform, tmp_path)
    adding = ask_to_add(signed_in)
    signature = signed_in.sign(adding, card)
    page = signing.ask()
    assert signing.hand_in(page, signature).status_code == 400
    form: dict[str, Any] = hidden_fields(page.text) | {"handle": hidden_fields(adding.text)["handle"]}
    answer = signing.citizen.client.post("/sign-in/certificate", data=form | {"pasted": pasted(signature)})
    assert answer.status_code == 400


def test_a_silent_authority_is_nobodys_failure_but_nobody_is_let_in(
    own_platform: Platform, signing: Signing, authority: Authority, card: pki.Holder
) -> None:
    authority.shelf.answers.clear()
    for _ in range(10):  # more often than a door takes failures
        answer = signing.sign_in(card)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) == 60
    assert (opened(own_platform), reasons(own_platform)) == ([], [])
    authority.shelf.answers["/crl"] = pki.crl(authority.root)
    clock.advance(timedelta(seconds=15))
    assert signing.sign_in(card).status_code == 303


def test_a_suspended_account_stays_shut(own_platform: Platform, signing: Signing, card: pki.Holder) -> None:
    with Session(own_platform.engine) as session, session.begin():
        accounts.suspend(session, "citizen1", now=clock.now())
    answer = signing.sign_in(card)
    assert answer.status_code == 403
    assert reasons(own_platform) == ["suspended"]
    assert opened(own_platform) == []


def test_a_removed_certificate_opens_nothing(own_platform: Platform, signing: Signing, card: pki.Holder) -> None:
    with Session(own_platform.engine) as session, session.begin():
        (bound,) = session.scalars(select(Citizen.id).where(Citizen.username == "citizen1"))
        (one,) = credentials.of_citizen(session, bound, method=proof.ID)
        assert credentials.remove(session, bound, one.id, now=clock.now()) == "certificate"
    refused(own_platform, signing.sign_in(card), "unknown_certificate")


def test_guesses_from_one_address_lock_its_door(own_platform: Platform, signing: Signing) -> None:
    statuses = [signing.hand_in(signing.ask(), b"hello").status_code for _ in range(60)]
    assert statuses[0] == 400
    assert statuses[-1] == 429


@given(octets=st.binary(max_size=300), name=st.sampled_from(["signature", "pasted", "handle"]))
@hypothesis_settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_form_is_answered(signing: Signing, octets: bytes, name: str) -> None:
    page = signing.ask()
    form: dict[str, Any] = hidden_fields(page.text) | {"action": "sign-in"}
    if name == "signature":
        answer = signing.hand_in(page, octets)
    else:
        answer = signing.citizen.client.post(
            "/sign-in/certificate", data=form | {name: octets.decode("utf-8", "replace")}
        )
    assert answer.status_code in {400, 429}


def test_a_dataset_of_the_highest_level_is_consented_to_by_certificate_only(
    own_platform: Platform, signing: Signing, card: pki.Holder
) -> None:
    bank = own_platform.bank
    uri = bank.push(own_platform.detail("ris.id-card-image"))
    start = signing.citizen.client.get("/authorize", query_string={"client_id": bank.client_id, "request_uri": uri})
    page = signing.citizen.client.get(start.location)
    assert "取得要簽署的文字" in page.text
    assert "one_time_code" not in page.text
    asked = signing.citizen.client.post("/sign-in/certificate/challenge", data=hidden_fields(page.text))
    answer = signing.hand_in(asked, signing.sign(asked, card))
    assert answer.location.startswith("/consent/")
    consent = signing.citizen.client.get(answer.location)
    assert consent.status_code == 200
    assert signing.citizen.decide(consent).status_code == 303


# --- connections -----------------------------------------------------------------------------------------------------


def test_the_certificate_of_the_connection_signs_in(own_platform: Platform, signing: Signing, card: pki.Holder) -> None:
    client, proxy = signing.citizen.client, connection(card)
    page = client.get("/sign-in/certificate/tls?return_to=/record", headers=proxy)
    assert "測試市民甲" in page.text
    assert f"form-action 'self' {own_platform.settings.issuer};" in page.headers["Content-Security-Policy"]
    form = hidden_fields(page.text) | {"action": "sign-in"}
    answer = client.post("/sign-in/certificate/tls", data=form, headers=proxy)
    assert (answer.status_code, answer.location) == (303, f"{own_platform.settings.issuer}/record")
    assert opened(own_platform) == [(1, ["pop"])]


@pytest.mark.parametrize("secret", ["", "x" * 43, cards.SECRET[:-1]])
def test_headers_of_anybody_else_are_ignored(
    own_platform: Platform, signing: Signing, card: pki.Holder, secret: str
) -> None:
    client, spoofed = signing.citizen.client, connection(card, secret)
    led = client.get("/sign-in/certificate/tls?return_to=/record", headers=spoofed)
    assert led.location == f"{TLS_URL}/sign-in/certificate/tls?return_to=%2Frecord&there=1"
    assert client.get("/sign-in/certificate/tls?there=1", headers=spoofed).status_code == 404
    page = client.get("/sign-in?method=certificate")
    form = hidden_fields(page.text) | {"action": "sign-in"}
    refused(own_platform, client.post("/sign-in/certificate/tls", data=form, headers=spoofed), "no_certificate")
    assert client.get("/record", headers=connection(card)).location.startswith("/sign-in")


@pytest.mark.parametrize("shown", [True, False])
def test_a_header_with_underscores_shows_no_certificate(
    own_platform: Platform, signing: Signing, authority: Authority, card: pki.Holder, shown: bool
) -> None:
    """What a browser adds under another spelling, past a proxy that replaces the names that it knows."""
    client, proxy = signing.citizen.client, connection(authority.card("Somebody Else") if shown else None)
    encoded = f":{base64.b64encode(card.certificate.public_bytes(Encoding.DER)).decode()}:"
    page = client.get("/sign-in?method=certificate")
    form = hidden_fields(page.text) | {"action": "sign-in"}
    for name in ("Client_Cert", "X_Client_Cert_Escaped", "X_Client_Cert_Hop"):
        client.post("/sign-in/certificate/tls", data=form, headers={**proxy, name: encoded})
        client.post("/sign-in/certificate/tls", data=form, headers={**proxy, name: f"x {encoded}"})
    assert opened(own_platform) == []


def test_a_connection_without_a_certificate_or_with_a_bad_one_is_told_so(
    own_platform: Platform, signing: Signing, card: pki.Holder, authority: Authority
) -> None:
    client = signing.citizen.client
    page = client.get("/sign-in/certificate/tls", headers=connection(None))
    assert proof.TOLD["no_certificate"].zh in page.text
    garbled = {client_cert.HOP: f"{cards.SECRET} :AAAA:"}
    assert proof.TOLD["malformed"].zh in client.get("/sign-in/certificate/tls", headers=garbled).text
    authority.revoke(card)
    proxy = connection(card)
    page = client.get("/sign-in/certificate/tls", headers=proxy)
    form = hidden_fields(page.text) | {"action": "sign-in"}
    refused(own_platform, client.post("/sign-in/certificate/tls", data=form, headers=proxy), "revoked")


@pytest.mark.parametrize(("name", "octets"), [("Root", b"\xff\xfe\xff\xfe"), ("TW", b"\xc3\x28")])
def test_a_certificate_whose_issuer_has_no_readable_name_is_told_so(
    own_platform: Platform, signing: Signing, card: pki.Holder, name: str, octets: bytes
) -> None:
    """nginx hands over any, for it lets the key be proved and no more (`optional_no_ca`)."""
    der = card.certificate.public_bytes(Encoding.DER).replace(name.encode(), octets, 1)
    proxy = {client_cert.HOP: f"{cards.SECRET} :{base64.b64encode(der).decode()}:"}
    page = signing.citizen.client.get("/sign-in/certificate/tls", headers=proxy)
    assert (page.status_code, proof.TOLD["malformed"].zh in page.text) == (200, True)
    form = hidden_fields(page.text) | {"action": "sign-in"}
    answer = signing.citizen.client.post("/sign-in/certificate/tls", data=form, headers=proxy)
    assert answer.status_code == 400
    assert opened(own_platform) == []


def test_switching_the_language_keeps_the_certificate(signing: Signing, card: pki.Holder) -> None:
    client, proxy = signing.citizen.client, connection(card)
    page = client.get("/sign-in/certificate/tls", headers=proxy)
    form = hidden_fields(page.text) | {"lang": "en"}
    again = client.post("/sign-in/certificate/challenge", data=form, headers=proxy)
    assert "Sign in with this certificate" in again.text
    assert "測試市民甲" in again.text


# --- adding ----------------------------------------------------------------------------------------------------------


def freshly(
    platform: Platform, folder: Path, *, methods: tuple[str, ...] = ("password_totp",), username: str = "citizen1"
) -> Signing:
    """A browser in which the citizen has just signed in by a password, or by more."""
    browser = CitizenBrowser(platform.browser(), username, platform.totp_secrets[username])
    with Session(platform.engine) as session, session.begin():
        citizen_id = session.scalar(select(Citizen.id).where(Citizen.username == username))
        assert citizen_id is not None
        secret: str | None = None
        for method in methods:
            secret = sessions.open_session(
                session,
                citizen_id,
                method=method,
                level=3,
                amr=("pwd",),
                now=clock.now(),
                limits=platform.settings.limits,
                replaces=secret,
            )
    assert secret is not None
    browser.client.set_cookie("__Host-mydata", secret)
    return Signing(browser, folder)


def ask_to_add(signing: Signing) -> TestResponse:
    page = signing.citizen.client.get(SET_UP)
    assert page.status_code == 200, page.location
    return signing.citizen.client.post(SET_UP, data=hidden_fields(page.text) | {"step": "challenge"})


def test_a_citizen_adds_the_certificate_that_names_them_and_signs_in_by_it(
    own_platform: Platform, signing: Signing, authority: Authority, tmp_path: Path
) -> None:
    card, signed_in = authority.card(), freshly(own_platform, tmp_path)
    page = ask_to_add(signed_in)
    assert text_of(page).startswith(f"mydata add-certificate {own_platform.settings.issuer} mdi_")
    nothing = signed_in.hand_in(page, b"", SET_UP)
    assert (nothing.status_code, text_of(nothing)) == (400, text_of(page))
    added = signed_in.hand_in(page, signed_in.sign(page, card), SET_UP)
    assert (added.status_code, added.location) == (303, "/account/methods?added=1")
    assert len(bound_to(own_platform)) == 1
    assert reasons(own_platform, "method.added") == ["certificate"]
    assert signing.sign_in(card).status_code == 303


def test_the_certificate_of_somebody_else_is_not_added(
    own_platform: Platform, authority: Authority, tmp_path: Path
) -> None:
    signed_in = freshly(own_platform, tmp_path, methods=("password_totp", "passkey"))
    page = ask_to_add(signed_in)
    answer = signed_in.hand_in(page, signed_in.sign(page, authority.card(tail="1234")), SET_UP)
    assert answer.status_code == 403
    assert "names somebody else" in answer.text
    assert bound_to(own_platform) == []


@pytest.mark.parametrize("said", [{"tail": None}, {"name": "Another Name"}])
def test_a_certificate_that_does_not_say_enough_needs_two_different_methods(
    own_platform: Platform, authority: Authority, tmp_path: Path, said: dict[str, Any]
) -> None:
    card = authority.card(**said)
    once = freshly(own_platform, tmp_path)
    page = ask_to_add(once)
    answer = once.hand_in(page, once.sign(page, card), SET_UP)
    assert answer.status_code == 303
    assert "second=1" in answer.location
    assert bound_to(own_platform) == []
    twice = freshly(own_platform, tmp_path, methods=("password_totp", "passkey"))
    page = ask_to_add(twice)
    assert twice.hand_in(page, twice.sign(page, card), SET_UP).location == "/account/methods?added=1"
    assert len(bound_to(own_platform)) == 1


def test_a_certificate_is_bound_to_one_account(
    own_platform: Platform, card: pki.Holder, authority: Authority, tmp_path: Path
) -> None:
    for username in ("citizen1", "citizen2"):
        same = authority.card(tail=None)
        signed_in = freshly(own_platform, tmp_path, methods=("password_totp", "passkey"), username=username)
        if username == "citizen1":
            same = card
        else:
            bind(own_platform, same)
        page = ask_to_add(signed_in)
        answer = signed_in.hand_in(page, signed_in.sign(page, same), SET_UP)
        assert answer.status_code == 409
        assert "added already" in answer.text
    assert bound_to(own_platform, "citizen2") == []


def test_a_card_that_is_not_good_enough_is_not_added(
    own_platform: Platform, authority: Authority, tmp_path: Path
) -> None:
    signed_in, card = freshly(own_platform, tmp_path), authority.card()
    authority.revoke(card)
    page = ask_to_add(signed_in)
    answer = signed_in.hand_in(page, signed_in.sign(page, card), SET_UP)
    assert answer.status_code == 400
    assert proof.TOLD["revoked"].en in answer.text
    page = ask_to_add(signed_in)
    signature = signed_in.sign(page, authority.card())
    clock.advance(timedelta(hours=1))  # the list that was kept is over
    signed_in = freshly(own_platform, tmp_path)
    authority.shelf.answers.clear()
    page = ask_to_add(signed_in)
    answer = signed_in.hand_in(page, signed_in.sign(page, authority.card()), SET_UP)
    assert answer.status_code == 503
    assert "could not be asked" in answer.text
    assert signed_in.hand_in(page, signature, SET_UP).status_code == 400
    assert bound_to(own_platform) == []


@pytest.mark.parametrize("shut", WAYS_TO_SHUT_OUT)
def test_who_is_shut_out_while_the_authority_is_asked_adds_nothing(
    own_platform: Platform, authority: Authority, tmp_path: Path, shut: str
) -> None:
    """Else whoever has stolen a session came back by a card of their own: the freeze was because of them."""
    signed_in = freshly(own_platform, tmp_path)
    listed = authority.shelf.answers["/crl"]

    def answer(_question: bytes) -> bytes:
        shut_out(own_platform, "citizen1", shut)
        assert isinstance(listed, bytes)
        return listed

    authority.shelf.answers["/crl"] = answer
    page = ask_to_add(signed_in)
    added = signed_in.hand_in(page, signed_in.sign(page, authority.card()), SET_UP)
    assert (added.status_code, added.location) == (303, SET_UP)
    assert bound_to(own_platform) == []
    assert reasons(own_platform, "method.added") == []


def test_the_certificate_of_the_connection_is_added(
    own_platform: Platform, authority: Authority, tmp_path: Path
) -> None:
    until = (pki.NOW + 365 * pki.DAY).replace(hour=17)  # in Taiwan it is the next day
    card = authority.card(valid=(pki.NOW - pki.DAY, until))
    client, proxy = freshly(own_platform, tmp_path).citizen.client, connection(card)
    led = client.get(f"{SET_UP}/tls")
    assert led.location == f"{TLS_URL}{SET_UP}/tls?there=1"
    page = client.get(f"{SET_UP}/tls", headers=proxy)
    assert "測試市民甲" in page.text
    assert f"<dt>Valid until</dt><dd>{day(until, 'en')}</dd>" in page.text
    form = hidden_fields(page.text) | {"step": "add"}
    assert client.post(f"{SET_UP}/tls", data=form | {"csrf": "x"}, headers=proxy).status_code == 403
    added = client.post(f"{SET_UP}/tls", data=form, headers=proxy)
    assert added.location == f"{own_platform.settings.issuer}/account/methods?added=1"
    assert len(bound_to(own_platform)) == 1
    assert f"Valid until {day(until, 'en')}" in client.get("/account/methods").text
    assert not re.search(r"\d{4}-\d\d-\d\d", client.get("/account/methods").text)


def test_a_form_of_another_browser_or_without_a_text_changes_nothing(
    own_platform: Platform, authority: Authority, tmp_path: Path
) -> None:
    signed_in = freshly(own_platform, tmp_path)
    page = ask_to_add(signed_in)
    form = hidden_fields(page.text)
    client = signed_in.citizen.client
    assert client.post(SET_UP, data=form | {"csrf": "x", "step": "add"}).status_code == 403
    assert client.post(SET_UP, data=form | {"handle": "x", "step": "add"}).status_code == 400
    assert client.post(SET_UP, data=form).status_code == 400
    switched = client.post(SET_UP, data=form | {"lang": "zh-TW"})
    assert text_of(switched) == text_of(page)
    thief = freshly(own_platform, tmp_path, username="citizen2")
    theirs = ask_to_add(thief)
    stolen = hidden_fields(theirs.text) | {"handle": form["handle"], "step": "add"}
    signature = signed_in.sign(page, authority.card())
    answer = thief.citizen.client.post(SET_UP, data=stolen | {"pasted": pasted(signature)})
    assert answer.status_code == 400
    assert bound_to(own_platform) == bound_to(own_platform, "citizen2") == []


def test_who_signed_in_long_ago_proves_it_again_first(own_platform: Platform, tmp_path: Path) -> None:
    signed_in = freshly(own_platform, tmp_path)
    clock.advance(timedelta(minutes=6))
    answer = signed_in.citizen.client.get(SET_UP)
    assert answer.status_code == 303
    assert "again=1" in answer.location
