"""Class 31 of published vulnerabilities: another OpenID Provider is believed only what answers the journey that this
browser began, and only about whom it was connected with before."""

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from flask import Flask
from jinja2 import DictLoader
from jwcrypto import jwk
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server import config
from authz_server.audit.models import AuditEntry
from authz_server.config import Settings
from authz_server.core import clock
from authz_server.core.settings import SettingsError
from authz_server.identity import credentials, service
from authz_server.identity.methods.upstream import STALE
from authz_server.identity.models import CITIZEN, CITIZEN_SESSION, IDENTITY_CHALLENGE
from authz_server.identity.upstream_id_token import Person
from tests.identity.support import NOW, ORIGIN, PERSON, Browser, KnownRequests, enrol, in_the_moment_of_a_sign_in
from tests.support.provider import SUBJECT, RunningProvider, running_provider

BANK = "/sign-in/provider/bank"
OTHER = "/sign-in/provider/other"
ADD = "/account/methods/provider"
SECRET = "s3cret:%"


@pytest.fixture
def provider() -> Iterator[RunningProvider]:
    """The bank's provider."""
    with running_provider() as running:
        yield running


@pytest.fixture
def document(database_url: str, tmp_path: Path, provider: RunningProvider) -> dict[str, Any]:
    """Settings of a server to which two providers matter."""
    (tmp_path / "bank.secret").write_text(SECRET)
    (tmp_path / "bank.secret").chmod(0o600)
    bank = {
        "name": {"zh": "甲銀行", "en": "Bank A"},
        "issuer": provider.issuer,
        "client_id": "mydata",
        "secret_file": "bank.secret",
        "acr": {"high": 2, "low": 4},
    }
    return {
        "issuer": ORIGIN,
        "database_url": database_url,
        "keys_file": "keys.json",
        "secret_file": "secret",
        "proxy_url": "https://data.example",
        "sandbox": True,  # the provider is on loopback
        "method_levels": {"password_totp": 2, "upstream": 3},
        "upstream": {"bank": bank, "other": bank | {"issuer": "https://other.example", "acr": {"low": 4}}},
    }


@pytest.fixture
def settings(document: dict[str, Any], tmp_path: Path) -> Settings:
    """The same, parsed."""
    return config.parse(document, base=tmp_path)


@pytest.fixture(autouse=True)
def pages(app: Flask) -> None:
    """Instead of pages, what they are given."""
    assert isinstance(app.jinja_loader, DictLoader)
    names = ("sign_in/upstream_leave.html", "methods/upstream.html")
    app.jinja_loader.mapping = {**app.jinja_loader.mapping, **dict.fromkeys(names, "page")}


def connect(session: Session, issuer: str, subject: str = SUBJECT) -> None:
    """An account of the person, connected with one at the provider."""
    external_id = Person(issuer=issuer, subject=subject, level=2).external_id
    citizen_id = enrol(session).citizen_id
    credentials.add(session, citizen_id, method="upstream", external_id=external_id, label="", data={}, now=NOW)
    session.commit()


def leave(browser: Browser, *, query: str = "", name: str = "bank") -> TestResponse:
    """Go to the provider."""
    browser.get(f"/sign-in?method=upstream{query}")
    hidden = {"csrf": browser.page["csrf"], "action": "sign-in", **browser.page["visit"].named}
    return browser.post("/sign-in/provider", hidden | {"method": "upstream", "provider": name})


def journey(browser: Browser, provider: RunningProvider, *, query: str = "") -> dict[str, str]:
    """Go there, and sign in there."""
    answer = leave(browser, query=query)
    assert answer.status_code == 200
    return provider.authorize(answer.headers["Refresh"].removeprefix("0; url="))


def come_back(browser: Browser, answer: dict[str, str], path: str = BANK) -> TestResponse:
    """Follow the provider's redirect."""
    return browser.get(f"{path}?{urlencode(answer)}")


def test_whoever_signs_in_there_comes_in_here_at_the_level_that_the_settings_allow(
    session: Session, browser: Browser, provider: RunningProvider
) -> None:
    connect(session, provider.issuer)
    answer = come_back(browser, journey(browser, provider, query="&return_to=/mine"))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/mine")
    assert browser.get("/mine").get_json()["acr"] == "urn:mydata:acr:level-3"  # "high" is 2, the method is 3 at best
    (asked,) = provider.asked
    assert asked["redirect_uri"] == f"{ORIGIN}{BANK}"
    assert asked["authorization"].startswith("Basic ")


def test_a_weaker_acr_is_worth_less(session: Session, browser: Browser, provider: RunningProvider) -> None:
    connect(session, provider.issuer)
    provider.acr = "low"
    come_back(browser, journey(browser, provider))
    assert browser.get("/mine").get_json()["acr"] == "urn:mydata:acr:level-4"


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
def test_a_key_on_ed25519_vouches_by_either_name(
    session: Session, browser: Browser, provider: RunningProvider, alg: str
) -> None:
    connect(session, provider.issuer)
    provider.key, provider.header = jwk.JWK.generate(kty="OKP", crv="Ed25519", kid="1", use="sig"), {"alg": alg}
    assert come_back(browser, journey(browser, provider, query="&return_to=/mine")).headers["Location"] == "/mine"


def test_what_is_sent_there_is_bound_to_the_journey_and_of_one_use(browser: Browser, provider: RunningProvider) -> None:
    urls = [leave(browser).headers["Refresh"] for _ in range(2)]
    first, second = ({name: each[0] for name, each in parse_qs(urlsplit(url).query).items()} for url in urls)
    assert first["code_challenge_method"] == "S256"
    assert (first["response_type"], first["prompt"], first["max_age"]) == ("code", "login", "0")
    assert [name for name in ("state", "nonce", "code_challenge") if first[name] == second[name]] == []


def test_a_request_goes_on_and_is_offered_only_who_suffices(
    session: Session, browser: Browser, provider: RunningProvider, requests: KnownRequests
) -> None:
    connect(session, provider.issuer)
    requests.add("waits", needed_level=3)
    browser.get("/sign-in?request=waits&method=upstream")
    assert [each.id for each in browser.page["shown"]["providers"]] == ["bank"]
    assert leave(browser, query="&request=waits", name="other").status_code == 400
    back = journey(browser, provider, query="&request=waits")
    assert come_back(browser, back).headers["Location"] == "/consent/waits"


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "another issuer": {"iss": "https://other.example"},
    "another audience": {"aud": "another"},
    "one more audience": {"aud": ["mydata", "another"]},
    "no audience": {"aud": None},
    "another azp": {"azp": "another"},
    "expired": {"exp": int(NOW.timestamp()) - 61},
    "no exp": {"exp": None},
    "exp no number": {"exp": "9999999999"},
    "issued before": {"iat": int(NOW.timestamp()) - 3600},
    "no iat": {"iat": None},
    "from the future": {"iat": int(NOW.timestamp()) + 3600},
    "signed in long ago": {"auth_time": int(NOW.timestamp()) - 3600},
    "no auth_time": {"auth_time": None},
    "acr not mapped": {"acr": "unknown"},
    "no acr": {"acr": None},
    "acr a list": {"acr": ["high"]},
    "no subject": {"sub": None},
    "subject no text": {"sub": 5},
    "another access token": {"at_hash": "AAAA"},
}
BAD_HEADERS: dict[str, dict[str, Any]] = {
    "alg none": {"alg": "none"},
    "another key id": {"kid": "2"},
}


@pytest.mark.parametrize("bad", [*BAD_CLAIMS, *BAD_HEADERS, "another key", "HS256 with the public key", "no id_token"])
def test_an_answer_with_anything_wrong_opens_nothing(
    session: Session, browser: Browser, provider: RunningProvider, bad: str
) -> None:
    connect(session, provider.issuer)
    provider.claims, provider.header = BAD_CLAIMS.get(bad, {}), BAD_HEADERS.get(bad, {})
    if bad == "another key":
        provider.signing = jwk.JWK.generate(kty="EC", crv="P-256")
    elif bad.startswith("HS256"):
        provider.signing = jwk.JWK.from_password(provider.key.export_public())
        provider.header = {"alg": "HS256"}
    elif bad == "no id_token":
        provider.token = {"id_token": None}
    answer = come_back(browser, journey(browser, provider))
    assert (answer.status_code, browser.page["error"]) == (400, "wrong")
    assert browser.get("/mine").status_code == 303
    reason = "upstream_acr" if "acr" in bad else "upstream_answer"
    assert list(session.scalars(select(AuditEntry.reason).where(AuditEntry.event == "sign_in.failed"))) == [reason]


@pytest.mark.parametrize("iss", [None, "https://other.example", ""])
def test_an_answer_from_another_provider_is_refused_before_its_code_goes_anywhere(
    session: Session, browser: Browser, provider: RunningProvider, iss: str | None
) -> None:
    connect(session, provider.issuer)
    back = journey(browser, provider) | {"iss": iss or ""}
    if iss is None:
        del back["iss"]
    assert come_back(browser, back).status_code == 400
    assert provider.asked == []


def test_a_state_of_one_provider_is_none_of_another(
    session: Session, browser: Browser, provider: RunningProvider
) -> None:
    connect(session, provider.issuer)
    back = journey(browser, provider)
    assert come_back(browser, back, OTHER).status_code == 400
    assert come_back(browser, back).status_code == 400  # and is spent
    assert provider.asked == []


def test_an_answer_counts_once_in_its_own_browser_and_for_minutes(
    session: Session, app: Flask, browser: Browser, provider: RunningProvider
) -> None:
    connect(session, provider.issuer)
    back = journey(browser, provider)
    thief = Browser(app)
    thief.get("/sign-in")
    assert come_back(thief, back).status_code == 400
    assert come_back(browser, back).status_code == 303
    browser.client.delete_cookie("__Host-mydata", domain="id.example")
    browser.get("/sign-in")
    assert come_back(browser, back).status_code == 400
    late = Browser(app)
    back = journey(late, provider)
    clock.advance(timedelta(minutes=10))
    assert come_back(late, back).status_code == 400
    assert len(provider.asked) == 1


def test_whoever_goes_back_after_a_sign_in_is_led_on_and_nothing_counts_twice(
    session: Session, browser: Browser, provider: RunningProvider
) -> None:
    connect(session, provider.issuer)
    back = journey(browser, provider, query="&return_to=/mine")
    assert come_back(browser, back).headers["Location"] == "/mine"
    known, cookie = list(session.scalars(select(CITIZEN_SESSION.c.digest))), browser.cookie("__Host-mydata")
    session.rollback()
    clock.advance(timedelta(minutes=1))
    for answer in (back, back | {"code": "another"}, {"state": back["state"], "error": "access_denied"}):
        again = come_back(browser, answer)
        assert (again.status_code, again.headers["Location"]) == (303, "/mine")
    assert come_back(browser, back | {"state": "mdi_unknown"}).status_code == 400
    assert list(session.scalars(select(CITIZEN_SESSION.c.digest))) == known
    assert (len(provider.asked), browser.cookie("__Host-mydata")) == (1, cookie)


def test_whoever_goes_back_to_an_answer_that_was_refused_is_told_so_also_if_signed_in_otherwise(
    session: Session, browser: Browser, provider: RunningProvider
) -> None:
    connect(session, "https://other.example")
    back = journey(browser, provider)
    assert come_back(browser, back).status_code == 400
    browser.sign_in()
    assert (come_back(browser, back).status_code, browser.page["told"]) == (400, STALE)


def test_a_sign_in_of_before_leads_nobody_on_who_goes_back_to_a_later_answer(
    session: Session, browser: Browser, provider: RunningProvider
) -> None:
    connect(session, provider.issuer)
    back = journey(browser, provider)
    assert come_back(browser, back).status_code == 303
    session.execute(IDENTITY_CHALLENGE.update().values(used_at=clock.now() + timedelta(minutes=1)))
    session.commit()
    assert (come_back(browser, back).status_code, browser.page["told"]) == (400, STALE)


def test_who_is_not_connected_is_told_so_and_no_account_is_found_by_anything_else(
    session: Session, browser: Browser, provider: RunningProvider
) -> None:
    enrol(session)
    provider.claims = {"email": "citizen-a@example", "preferred_username": PERSON.username}
    answer = come_back(browser, journey(browser, provider))
    assert (answer.status_code, browser.page["told"].en.startswith("Your account there")) == (400, True)


def test_the_same_subject_of_another_issuer_is_somebody_else(
    session: Session, browser: Browser, provider: RunningProvider
) -> None:
    connect(session, "https://other.example")
    assert come_back(browser, journey(browser, provider)).status_code == 400


@pytest.mark.parametrize(
    ("error", "status"), [("access_denied", 400), ("invalid_scope", 400), ("x<b>", 400), ("server_error", 503)]
)
def test_an_error_of_the_provider_is_told_in_words_and_nothing_is_lost(
    session: Session, browser: Browser, provider: RunningProvider, requests: KnownRequests, error: str, status: int
) -> None:
    connect(session, provider.issuer)
    requests.add("waits", needed_level=3)
    back = journey(browser, provider, query="&request=waits")
    del back["code"]
    assert come_back(browser, back | {"error": error}).status_code == status
    assert browser.page["visit"].named == {"request": "waits"}
    assert (error == "access_denied") is (browser.page["told"] is not None)
    back = journey(browser, provider, query="&request=waits")
    assert come_back(browser, back).headers["Location"] == "/consent/waits"


@pytest.mark.parametrize("status", [500, 401])
def test_a_provider_that_fails_is_nobodys_failure(
    session: Session, browser: Browser, provider: RunningProvider, status: int
) -> None:
    connect(session, provider.issuer)
    back = journey(browser, provider)
    provider.token_status = status
    answer = come_back(browser, back)
    assert (answer.status_code, browser.page["error"], "Retry-After" in answer.headers) == (503, "unavailable", True)
    failed = select(func.count()).select_from(AuditEntry).where(AuditEntry.event == "sign_in.failed")
    assert session.scalar(failed) == 0


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://other.example"},
        {"jwks_uri": "http://127.0.0.1:1/jwks"},
        {"token_endpoint": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"code_challenge_methods_supported": ["plain"]},
        {"response_types_supported": ["token"]},
    ],
)
def test_nobody_is_sent_to_a_provider_whose_metadata_is_not_right(
    session: Session, browser: Browser, provider: RunningProvider, metadata: dict[str, Any]
) -> None:
    provider.metadata = metadata
    answer = leave(browser)
    assert (answer.status_code, browser.page["error"]) == (503, "unavailable")
    assert session.scalar(select(func.count()).select_from(IDENTITY_CHALLENGE)) == 0


def test_keys_in_a_private_network_that_nobody_has_named_are_not_fetched(
    session: Session, browser: Browser, provider: RunningProvider
) -> None:
    connect(session, provider.issuer)
    provider.metadata = {"jwks_uri": "https://127.0.0.1:1/jwks"}
    assert come_back(browser, journey(browser, provider)).status_code == 503


def test_a_suspended_account_stays_shut(session: Session, browser: Browser, provider: RunningProvider) -> None:
    connect(session, provider.issuer)
    service.suspend(session, PERSON.username, now=NOW)
    session.commit()
    assert come_back(browser, journey(browser, provider)).status_code == 403


def test_it_is_not_connected_by_a_form_of_another_page(session: Session, browser: Browser) -> None:
    enrol(session)
    browser.sign_in()
    browser.get(ADD)
    assert browser.post(ADD, {"csrf": "x", "provider": "bank"}).status_code == 403
    assert session.scalars(select(func.count()).select_from(IDENTITY_CHALLENGE)).one() == 0


def add(browser: Browser, provider: RunningProvider) -> dict[str, str]:
    """Go to the provider from the set-up page."""
    browser.get(ADD)
    answer = browser.post(ADD, {"csrf": browser.page["csrf"], "provider": "bank"})
    assert answer.status_code == 200
    return provider.authorize(answer.headers["Refresh"].removeprefix("0; url="))


def test_it_is_connected_after_a_stronger_sign_in_and_works_from_then_on(
    session: Session, app: Flask, browser: Browser, provider: RunningProvider
) -> None:
    citizen_id = enrol(session).citizen_id
    browser.sign_in()
    back = add(browser, provider)
    assert come_back(browser, back).headers["Location"] == "/account/methods?added=1"
    (bound,) = credentials.of_citizen(session, citizen_id, method="upstream")
    assert (bound.label, re.search(SUBJECT, bound.external_id)) == ("Bank A", None)
    assert "method.added" in list(session.scalars(select(AuditEntry.event)))
    session.rollback()
    assert come_back(browser, back).status_code == 400  # used
    assert come_back(browser, add(browser, provider)).status_code == 409  # connected already
    later = Browser(app)
    assert come_back(later, journey(later, provider)).status_code == 303


def test_an_account_that_is_suspended_in_the_moment_of_a_sign_in_opens_no_session_that_counts_later(
    session: Session,
    app: Flask,
    browser: Browser,
    provider: RunningProvider,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enrol(session)
    browser.sign_in()
    come_back(browser, add(browser, provider))
    later = Browser(app)
    back = journey(later, provider)
    suspend = partial(service.suspend, username=PERSON.username, now=NOW)
    with in_the_moment_of_a_sign_in(engine, monkeypatch, suspend):
        assert come_back(later, back).status_code == 303
    service.resume(session, PERSON.username, now=NOW)
    session.commit()
    assert later.get("/mine").status_code == 303


@pytest.mark.parametrize("change", ["nobody", "weak", "old", "another session", "frozen", "bad answer"])
def test_it_is_not_connected_without_sufficient_proof(
    session: Session, app: Flask, browser: Browser, provider: RunningProvider, change: str
) -> None:
    citizen_id = enrol(session, checked_in_person=change != "weak").citizen_id
    if change != "nobody":
        browser.sign_in()
    if change == "old":
        clock.advance(timedelta(minutes=6))
    if change in {"nobody", "weak", "old"}:
        assert "/sign-in?" in browser.get(ADD).headers["Location"]
        return
    back = add(browser, provider)
    if change == "bad answer":
        provider.claims = {"nonce": "another"}
    elif change == "frozen":  # in the same browser, whose session stays
        session.execute(update(CITIZEN).values(frozen_at=NOW))
        session.commit()
        assert come_back(browser, back).headers["Location"] == ADD
        assert browser.get(ADD).headers["Location"] == "/account/unfreeze?first=1"
        assert credentials.of_citizen(session, citizen_id, method="upstream") == []
        return
    else:
        browser = Browser(app)
        clock.advance(timedelta(minutes=1))
        browser.sign_in(clock.now())
        browser.get(ADD)
    assert come_back(browser, back).status_code == 400
    assert credentials.of_citizen(session, citizen_id, method="upstream") == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("acr", {"high": 5}),
        ("acr", {}),
        ("algorithms", ["none"]),
        ("algorithms", ["HS256"]),
        ("issuer", "http://op.example"),
        ("keys_file", "keys.json"),
        ("name", "A"),
    ],
)
def test_settings_that_can_not_be_right_stop_the_start(
    document: dict[str, Any], tmp_path: Path, name: str, change: Any
) -> None:
    document["sandbox"] = False
    document["method_levels"] = {"password_totp": 3, "upstream": 3}
    document["upstream"] = {"bank": document["upstream"]["other"] | {name: change}}
    with pytest.raises(SettingsError, match="upstream"):
        config.parse(document, base=tmp_path)
