"""Freeze: one button that stops everything of a citizen, and what it takes to open the account again."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.consent.errors import IdentityNotSufficient
from authz_server.consent.models import Consent
from authz_server.core import clock
from authz_server.identity import csrf, sessions
from authz_server.identity.models import Citizen, CitizenSession
from authz_server.notices.wording import TOLD
from authz_server.tokens.models import AccessToken
from authz_server.tokens.withdrawal import freeze, unfreeze
from tests.counter.office import new_office
from tests.support.platform import CitizenBrowser, Platform, answer_of, hidden_fields
from tests.support.protocol import Fetch, new_citizen, refused, rows, userinfo, writing

FREEZE, UNFREEZE = "/account/freeze", "/account/unfreeze"


class Someone:
    """A citizen of the test's own, at a browser."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.username = new_citizen(platform)
        self.browser = platform.citizen(self.username)

    @property
    def row(self) -> Any:
        (row,) = rows(self.platform, Citizen, username=self.username)
        return row

    def asked(self, dataset: str = "ris.personal") -> Any:
        bank = self.platform.bank
        return self.browser.authorize(bank.client_id, bank.push(self.platform.detail(dataset)))

    def code(self) -> str:
        return answer_of(self.browser.decide(self.asked()))["code"]

    def tokens(self) -> dict[str, Any]:
        tokens: dict[str, Any] = self.platform.bank.redeem(self.code()).get_json()
        return tokens

    def press(self, path: str = FREEZE, browser: CitizenBrowser | None = None) -> Any:
        client = (browser or self.browser).client
        return client.post(path, data=hidden_fields(client.get(path).text))

    def read(self, path: str = FREEZE) -> str:
        return " ".join(self.browser.client.get(f"{path}?lang=en").text.split())

    def events(self) -> list[str]:
        return [entry.event for entry in rows(self.platform, AuditEntry, citizen_id=self.row.id)]

    def open_session(self, *, level: int = 3) -> CitizenBrowser:
        """Sign in afresh, at a level."""
        browser = CitizenBrowser(self.platform.browser(), self.username, "")
        with Session(self.platform.engine) as session, session.begin():
            secret = sessions.open_session(session, self.row.id, level=level, amr=("pwd", "otp"), now=clock.now())
        browser.client.set_cookie("__Host-mydata", secret)
        return browser


@pytest.fixture
def someone(platform: Platform) -> Someone:
    return Someone(platform)


def fetch_of(someone: Someone, tokens: dict[str, Any]) -> Fetch:
    return Fetch(someone.platform, tokens["authorization_details"][0]["access_token"])


def test_a_link_only_asks_and_says_what_would_end(someone: Someone) -> None:
    fetch = fetch_of(someone, someone.tokens())
    page = someone.read()
    assert "Stop everything?" in page
    assert re.search("Open consents that would end.{0,80}First Sample Bank", page)
    assert "Nothing can be agreed to in your name" not in page
    assert fetch.exchange().status_code == 200


def test_what_would_end_is_told_once_and_not_of_what_was_delivered(someone: Someone) -> None:
    bank = someone.platform.bank

    def told() -> list[str]:
        found = [
            re.findall("<li>(.*?)</li>", someone.read(path).partition("that would end")[2].partition("</ul>")[0])
            for path in (FREEZE, "/account/leave")
        ]
        assert found[0] == found[1]
        return found[0]

    def identity() -> str:
        asked = someone.browser.authorize(bank.client_id, bank.push(scope="openid", authorization_details=""))
        return answer_of(someone.browser.decide(asked))["code"]

    Someone(someone.platform).tokens()  # what is another citizen's is not told of
    fetch = fetch_of(someone, someone.tokens())
    assert told() == ["First Sample Bank"]
    fetch.deliver()
    assert told() == []  # though UserInfo would still answer
    bank.redeem(identity())
    assert told() == ["First Sample Bank"]
    identity()
    assert told() == ["First Sample Bank"]


def test_the_button_ends_no_consent_whose_data_was_delivered_but_closes_what_it_still_opens(someone: Someone) -> None:
    tokens = someone.tokens()
    fetch_of(someone, tokens).deliver()
    reference = rows(someone.platform, Consent, citizen_id=someone.row.id)[0].transaction_id
    someone.press()
    someone.browser = someone.open_session(level=1)
    someone.press(UNFREEZE)
    assert userinfo(someone.platform.bank, tokens["access_token"]).status_code == 401
    assert "consent.withdrawn" not in someone.events()
    page = someone.read(f"/consents/{reference}")
    assert "In use" in page
    assert "Stopped" not in page


@pytest.mark.parametrize("awaited", ["code", "tokens"])
def test_what_is_still_to_come_of_one_consent_ends_no_other(someone: Someone, awaited: str) -> None:
    delivered = someone.tokens()
    fetch_of(someone, delivered).deliver()
    getattr(someone, awaited)()
    someone.press()
    consents = rows(someone.platform, Consent, citizen_id=someone.row.id)
    assert sorted(consent.withdrawn_at is None for consent in consents) == [False, True]


def test_after_the_button_nothing_opens_anything(someone: Someone) -> None:
    code, tokens = someone.code(), someone.tokens()
    fetch, bank = fetch_of(someone, tokens), someone.platform.bank
    assert someone.press().location == FREEZE
    refused(fetch.exchange(), 400, "invalid_request")
    assert someone.platform.proxy.post("/introspect", {"token": fetch.token}).get_json() == {"active": False}
    assert userinfo(bank, tokens["access_token"]).status_code == 401
    refused(bank.redeem(code), 400, "invalid_grant")
    assert "Everything is stopped" in someone.read()
    events = someone.events()
    assert events.count("account.frozen") == 1
    assert events.count("consent.withdrawn") == 2
    assert events.count("token.revoked") == 1
    assert all(consent.withdrawn_at for consent in rows(someone.platform, Consent, citizen_id=someone.row.id))


@pytest.mark.parametrize("so_far", [(), ("delivering",)], ids=["before the first byte", "before the last"])
@pytest.mark.parametrize("outcome", ["delivering", "continuing", "delivered", "failed", "preparing", "no_record"])
def test_a_fetch_in_flight_is_refused_at_its_next_gate(someone: Someone, so_far: tuple[str, ...], outcome: str) -> None:
    proxy = someone.platform.proxy
    lease = fetch_of(someone, someone.tokens()).exchange().get_json()["lease"]
    for report in so_far:
        assert proxy.report(lease, report).status_code == 204
    someone.press()
    more = {"retry_after": "60"} if outcome == "preparing" else {}
    assert proxy.report(lease, outcome, **more).status_code == 409


@pytest.mark.parametrize("outcome", ["delivering", "continuing", "delivered"])
def test_the_citizen_alone_decides_even_if_no_token_was_touched(someone: Someone, outcome: str) -> None:
    """Every statement that decides asks for the citizen: no row that a sweep has missed is good for anything."""
    platform, code, tokens = someone.platform, someone.code(), someone.tokens()
    leased, issued = fetch_of(someone, tokens), fetch_of(someone, someone.tokens())
    lease = leased.exchange().get_json()["lease"]
    page = someone.asked()
    with writing(platform) as session:
        session.query(Citizen).filter_by(username=someone.username).update({"frozen_at": clock.now()})
    assert platform.proxy.report(lease, outcome).status_code == 409
    assert issued.exchange().status_code == 400
    assert platform.proxy.post("/introspect", {"token": issued.token}).get_json() == {"active": False}
    assert userinfo(platform.bank, tokens["access_token"]).status_code == 401
    assert platform.bank.redeem(code).status_code == 400
    assert someone.browser.decide(page).status_code == 403


def test_everybody_else_is_signed_out(someone: Someone) -> None:
    elsewhere = someone.platform.citizen(someone.username)
    someone.press()
    assert elsewhere.client.get("/record").location.startswith("/sign-in")
    assert someone.browser.client.get("/record").status_code == 200


def test_a_frozen_citizen_is_told_why_nothing_can_be_agreed_to_and_can_refuse(someone: Someone) -> None:
    before = someone.asked()
    someone.press()
    assert someone.browser.decide(before).status_code == 403
    page = someone.asked()
    assert page.status_code == 403
    assert "You have stopped everything" in page.text
    assert f'href="{UNFREEZE}?request=' in page.text
    assert someone.browser.decide(page).status_code == 403
    assert answer_of(someone.browser.decide(page, "deny"))["error"] == "access_denied"
    assert "consent.approved" not in someone.events()
    assert "code.redeemed" not in someone.events()


def test_a_frozen_citizen_who_has_chosen_it_themselves_is_not_told_that_somebody_asks(someone: Someone) -> None:
    office, client = new_office(someone.platform), someone.browser.client
    someone.press()
    for path, said in (
        ("/download/basket?dataset=ris.personal", "You want to download your data."),
        (f"/counter/offices/{office.client_id}/childcare", "You want to take data to"),
    ):
        form = hidden_fields(client.get(path).text) | {"fia.property/tax_year": "113"}
        page = client.get(client.post(path, data=form).location)
        assert page.status_code == 403
        assert said in page.text
        for wrong in ("asks for your data", "return to", "Back to"):
            assert wrong not in page.text, wrong


def test_a_frozen_citizen_can_sign_in_and_read(someone: Someone) -> None:
    someone.press()
    browser = someone.open_session()
    for path in ("/", "/record", FREEZE, UNFREEZE):
        assert browser.client.get(path).status_code == 200


def test_opening_it_again_needs_a_fresh_sign_in_of_level_3(someone: Someone) -> None:
    with clock.frozen(clock.now()):
        someone.press()
        weak, strong = someone.open_session(level=4), someone.open_session()
        assert "not strong enough" in weak.client.get(f"{UNFREEZE}?lang=en").text
        for browser, age in ((weak, 0), (strong, 301)):
            clock.advance(timedelta(seconds=age))
            answer = someone.press(UNFREEZE, browser)
            assert answer.location == "/sign-in?return_to=%2Faccount%2Funfreeze&level=3&again=1"
            form = hidden_fields(browser.client.get(answer.location).text)
            assert (form["return_to"], form["again"], form["level"]) == (UNFREEZE, "1", "3")
        assert someone.row.frozen_at is not None
        fresh = someone.open_session()
        clock.advance(timedelta(seconds=299))
        assert someone.press(UNFREEZE, fresh).location == "/account?unfrozen"
    assert someone.row.frozen_at is None
    assert someone.events()[-1] == "account.unfrozen"
    assert "no longer frozen" in fresh.client.get("/account?unfrozen&lang=en").text


@pytest.mark.parametrize("age_s", [0, 301], ids=["just signed in", "signed in before"])
def test_whom_a_request_met_frozen_comes_back_to_it_once_the_account_is_open(someone: Someone, age_s: int) -> None:
    with clock.frozen(clock.now()):
        someone.press()
        someone.browser = someone.open_session(level=1)
        page = someone.asked()
        address = re.search(r'id="unfreeze" href="([^"]+)"', page.text)
        assert address is not None
        clock.advance(timedelta(seconds=age_s))
        client = someone.browser.client
        answer = client.post(address[1], data=hidden_fields(client.get(address[1]).text))
        if age_s:
            form = hidden_fields(client.get(answer.location).text)
            assert form["return_to"] == address[1]
            client = someone.open_session(level=1).client
            action = re.search('action="([^"]+)"', client.get(form["return_to"]).text)
            assert action is not None
            answer = client.post(action[1], data=hidden_fields(client.get(action[1]).text))
        question = client.get(answer.location)
    assert question.status_code == 200
    assert 'id="consent-approve"' in question.text


@pytest.mark.parametrize("wrong", ["//evil.example", "../../evil", "%0d%0aX: y", "\\\\evil", "a%20b", "a" * 400])
def test_07_after_unfreezing_nobody_is_led_away(someone: Someone, wrong: str) -> None:
    someone.press()
    fresh = someone.open_session()
    page = fresh.client.get(f"{UNFREEZE}?request={wrong}").text
    action = re.search('id="unfreeze" method="post" action="([^"]+)"', page)
    assert action is not None
    answer = fresh.client.post(html.unescape(action[1]), data=hidden_fields(page))
    assert (answer.status_code, answer.location) == (303, "/account?unfrozen")


def test_a_form_that_is_too_old_still_knows_the_request_when_the_language_is_switched(someone: Someone) -> None:
    with clock.frozen(clock.now()):
        someone.press()
        client = someone.open_session().client
        stale = client.post(f"{UNFREEZE}?request=T&lang=en")
        assert (stale.status_code, "Your account is still frozen" in stale.text) == (403, True)
        switch = re.search('href="([^"]+)" lang="zh-Hant-TW" hreflang', stale.text)
        assert switch is not None
        page = client.get(UNFREEZE + html.unescape(switch[1])).text
    assert 'lang="zh-Hant-TW">' in page
    assert f'action="{UNFREEZE}?request=T"' in page


def test_who_comes_to_a_request_that_is_over_is_told_that_the_account_is_open(someone: Someone) -> None:
    with clock.frozen(clock.now()):
        someone.press()
        someone.browser = someone.open_session(level=1)
        address = re.search(r'id="unfreeze" href="([^"]+)"', someone.asked().text)
        assert address is not None
        clock.advance(timedelta(hours=2))
        assert someone.press(address[1], someone.open_session()).location == "/account?unfrozen"


def test_the_button_leaves_alone_what_was_over_by_itself(someone: Someone) -> None:
    """The janitor may be deleting it at this moment, in another order."""
    with clock.frozen(clock.now()):
        someone.tokens()
        clock.advance(timedelta(hours=1))
        someone.press(browser=someone.open_session())
    assert {one.revoked_at for one in rows(someone.platform, AccessToken, citizen_id=someone.row.id)} == {None}


def test_what_was_stopped_stays_stopped_and_a_new_consent_works(someone: Someone) -> None:
    old = fetch_of(someone, someone.tokens())
    someone.press()
    someone.browser = someone.open_session(level=1)
    someone.press(UNFREEZE)
    assert old.exchange().status_code == 400
    assert fetch_of(someone, someone.tokens()).exchange().status_code == 200


def test_not_me_ends_every_session_even_if_all_was_stopped_before(someone: Someone) -> None:
    for _ in range(2):
        someone.open_session()
        with writing(someone.platform) as session:
            freeze(session, someone.row.id, actor="citizen", reason="not_me", now=clock.now())
        assert all(each.ended_at for each in rows(someone.platform, CitizenSession, citizen_id=someone.row.id))
    assert someone.events().count("account.frozen") == 1


@pytest.mark.parametrize(
    "path",
    [
        "/account/contact/email",
        "/account/contact/email/code",
        "/account/contact/phone/remove",
        "/account/leave/confirm",
        "/account/methods/remove/1",
        "/account/methods/password_totp/password",
        "/account/methods/password_totp/authenticator",
        "/account/methods/password_totp/recovery-codes",
        "/account/methods/passkey",
        "/account/methods/certificate",
    ],
)
def test_while_it_is_frozen_nothing_can_be_changed_that_protects_it(someone: Someone, path: str) -> None:
    someone.press()
    browser = someone.open_session(level=1)
    for answer in (browser.client.get(path), browser.client.post(path, data={"value": "thief@evil.example"})):
        assert (answer.status_code, answer.location) == (303, f"{UNFREEZE}?first=1")
    assert "nothing can be changed" in browser.client.get(f"{UNFREEZE}?first=1&lang=en").text


def test_while_it_is_frozen_nobody_reads_first_what_closing_the_account_means(someone: Someone) -> None:
    someone.press()
    answer = someone.open_session(level=1).client.get("/account/leave")
    assert (answer.status_code, answer.location) == (303, f"{UNFREEZE}?first=1")


def test_after_not_me_it_takes_two_different_ways_to_open_it(someone: Someone) -> None:
    with writing(someone.platform) as session:
        freeze(session, someone.row.id, actor="citizen", reason="not_me", now=clock.now())
        session.execute(update(Citizen).where(Citizen.username == someone.username).values(verified_at=None))
    browser = someone.open_session(level=1)
    assert "two different ways" in browser.client.get(f"{UNFREEZE}?lang=en").text
    assert "second=1" in someone.press(UNFREEZE, browser).location
    assert someone.row.frozen_at is not None


def test_who_is_shut_out_by_not_me_does_not_open_the_account_by_a_request_under_way(
    someone: Someone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds a strong session could send it again and again, until one of them is under way in that moment."""
    someone.browser = someone.open_session(level=1)
    someone.press()
    form = hidden_fields(someone.browser.client.get(UNFREEZE).text)

    def freeze_and_check(*_seen: Any) -> bool:
        with writing(someone.platform) as session:
            freeze(session, someone.row.id, actor="citizen", reason="not_me", now=clock.now())
        return True

    monkeypatch.setattr(csrf, "check", freeze_and_check)
    answer = someone.browser.client.post(UNFREEZE, data=form)
    assert (answer.status_code, answer.location) == (303, UNFREEZE)  # where they are asked to sign in
    assert someone.row.frozen_at is not None
    assert "account.unfrozen" not in someone.events()


def test_a_second_time_changes_nothing(someone: Someone) -> None:
    form = hidden_fields(someone.browser.client.get(FREEZE).text)
    for _ in range(2):
        assert someone.browser.client.post(FREEZE, data=form).status_code == 303
    assert someone.events().count("account.frozen") == 1
    someone.browser = someone.open_session()
    form = hidden_fields(someone.browser.client.get(UNFREEZE).text)
    for _ in range(2):
        assert someone.browser.client.post(UNFREEZE, data=form).status_code == 303
    assert someone.events().count("account.unfrozen") == 1
    assert someone.browser.client.get(UNFREEZE).location == "/account?unfrozen"


def test_11_another_site_can_not_press_the_buttons(someone: Someone) -> None:
    client = someone.browser.client
    for form in ({}, {"csrf": "x" * 43}):
        answer = client.post(f"{FREEZE}?lang=en", data=form)
        assert (answer.status_code, "Nothing was stopped yet" in answer.text) == (403, True)
    good = hidden_fields(client.get(FREEZE).text)["csrf"]
    assert client.post(FREEZE, data={"csrf": [good, "x"]}).status_code == 400
    assert someone.row.frozen_at is None
    someone.press()
    assert "still frozen" in client.post(f"{UNFREEZE}?lang=en", data={"csrf": good}).text
    assert someone.row.frozen_at is not None


def test_another_citizen_is_not_touched(someone: Someone) -> None:
    other, bank = Someone(someone.platform), someone.platform.bank
    code, tokens = other.code(), other.tokens()
    someone.press()
    assert other.row.frozen_at is None
    assert userinfo(bank, tokens["access_token"]).status_code == 200
    assert fetch_of(other, tokens).exchange().status_code == 200
    assert bank.redeem(code).status_code == 200
    assert "consent.withdrawn" not in other.events()


def test_the_record_and_the_notices_tell_of_it(someone: Someone) -> None:
    fetch_of(someone, someone.tokens())
    someone.press()
    page = someone.read("/record")
    assert "Everything was stopped: nothing of yours is sent" in page
    assert "一切已停止" in someone.browser.client.get("/record?lang=zh-TW").text
    assert {"account.frozen", "account.unfrozen"} <= set(TOLD)


def test_a_weak_session_is_refused_by_the_service_itself(someone: Someone) -> None:
    someone.press()
    with Session(someone.platform.engine) as session:
        cookie = someone.open_session(level=4).client.get_cookie("__Host-mydata")
        assert cookie is not None
        found = sessions.find(session, cookie.value, now=clock.now())
        assert found is not None
        with pytest.raises(IdentityNotSufficient):
            unfreeze(session, found, now=clock.now())
