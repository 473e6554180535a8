"""Passkeys in a real browser, with an authenticator of Chromium's own (WebDriver: WebAuthn Level 3, section 11)."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, CDPSession, Page, Route
from sqlalchemy.orm import Session

from authz_server.core import clock
from authz_server.identity import credentials, sessions
from authz_server.identity.credentials import Bound
from client_examples.sandbox.sandbox import Sandbox
from tests.browser.support import Visitor, visitor

pytestmark = pytest.mark.browser
SET_UP = "/account/methods/passkey"
SIGN_IN = "/sign-in?method=passkey"
OPTIONS = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@dataclass
class Person:
    """A citizen with a browser and an authenticator in it."""

    guest: Visitor
    device: CDPSession
    authenticator: str

    @property
    def page(self) -> Page:
        """What they look at."""
        return self.guest.page

    def tell(self, command: str, **more: Any) -> dict[str, Any]:
        """Tell the authenticator something."""
        answer: dict[str, Any] = self.device.send(f"WebAuthn.{command}", {"authenticatorId": self.authenticator} | more)
        return answer

    def start(self, path: str) -> None:
        """Open a page and press its button, with keys alone."""
        self.guest.open(path)
        button = self.page.locator("[data-passkey-start]:visible >> nth=-1")
        button.focus()
        self.page.keyboard.press("Enter")

    def set_up(self) -> None:
        """Set a passkey up."""
        self.start(SET_UP)
        self.page.wait_for_url(self.guest.sandbox.issuer + "/account/methods?added=1")

    def sign_in(self) -> None:
        """Sign in with it."""
        self.start(SIGN_IN)
        self.page.wait_for_url(self.guest.sandbox.issuer + "/")

    def told(self) -> str:
        """What the page says went wrong in the browser."""
        alert = self.page.locator("[role=alert][data-passkey-problem]:not(:empty)")
        alert.wait_for()
        assert self.page.locator(":focus").get_attribute("data-passkey-start") is not None
        return alert.inner_text()

    def refused(self) -> str:
        """What the server says went wrong."""
        summary = self.page.locator(".govuk-error-summary")
        summary.wait_for()
        return summary.inner_text()

    def bound(self) -> list[Bound]:
        """What is bound to the account."""
        with Session(self.guest.engine) as session:
            return list(credentials.of_citizen(session, self.guest.citizen_id, method="passkey"))

    def forget(self) -> None:
        """Remove all passkeys from the account."""
        with Session(self.guest.engine) as session, session.begin():
            for bound in credentials.of_citizen(session, self.guest.citizen_id, method="passkey"):
                credentials.remove(session, self.guest.citizen_id, bound.id, now=clock.now())


MakePerson = Callable[..., Person]


@pytest.fixture
def person(chromium: Browser, sandbox: Sandbox) -> Iterator[MakePerson]:
    """Make people, each with a browser and an authenticator of their own; `changed` are its options."""
    open_now: list[Any] = []

    @contextmanager
    def made(who: int, lang: str, **changed: Any) -> Iterator[Person]:
        with visitor(chromium, sandbox, lang=lang, who=who, scripts=True, strict=True) as guest:
            device = guest.context.new_cdp_session(guest.page)
            device.send("WebAuthn.enable")
            added = device.send("WebAuthn.addVirtualAuthenticator", {"options": OPTIONS | changed})
            one = Person(guest, device, added["authenticatorId"])
            guest.open(f"/?lang={lang}")
            yield one
            one.forget()

    def make(who: int = 0, lang: str = "en", **changed: Any) -> Person:
        manager = made(who, lang, **changed)
        one = manager.__enter__()
        open_now.append(manager)
        return one

    yield make
    for manager in reversed(open_now):
        manager.__exit__(None, None, None)


@pytest.fixture
def owner(person: MakePerson) -> Person:
    """Somebody with a passkey, signed out."""
    one = person()
    one.guest.prove()
    one.set_up()
    one.guest.leave()
    return one


def test_from_the_password_to_a_passkey_and_in_with_it(person: MakePerson) -> None:
    one = person(lang="zh-TW")
    one.guest.open(SET_UP)
    one.guest.sign_in()
    one.page.wait_for_url(one.guest.sandbox.issuer + SET_UP)
    one.page.fill("#label", "我的手機")
    one.page.keyboard.press("Enter")  # in the text field: sets up, and does not switch the language
    one.page.wait_for_url(one.guest.sandbox.issuer + "/account/methods?added=1")
    (bound,) = one.bound()
    assert bound.label == "我的手機"
    assert one.page.get_attribute("html", "lang") == "zh-Hant-TW"
    one.guest.leave()
    one.sign_in()
    assert one.page.locator(".masthead").inner_text().count(one.guest.citizen.name) == 1
    assert one.bound()[0].last_used_at is not None


def test_a_request_of_a_client_goes_on_after_the_passkey(owner: Person) -> None:
    owner.guest.open_request("ris.personal")  # level 2
    request = urlsplit(owner.page.url).query
    owner.start(f"/sign-in?{request}&method=passkey")
    owner.page.wait_for_selector("#consent-approve")


@pytest.mark.parametrize("lang", ["zh-TW", "en"])
def test_who_sets_a_second_one_up_on_a_device_is_told_so(person: MakePerson, lang: str) -> None:
    one = person(lang=lang)
    one.guest.prove()
    one.set_up()
    one.start(SET_UP)
    assert one.told().startswith({"zh-TW": "這個裝置上已有", "en": "This device has a passkey of yours"}[lang])
    assert len(one.bound()) == 1


@pytest.mark.parametrize("lang", ["zh-TW", "en"])
def test_whom_the_device_does_not_know_gets_no_passkey(person: MakePerson, lang: str) -> None:
    one = person(lang=lang, isUserVerified=False)
    one.guest.prove()
    one.start(SET_UP)
    assert one.told().startswith({"zh-TW": "已取消，或裝置不允許", "en": "It was cancelled, or the device"}[lang])
    assert not one.bound()


def test_a_device_that_can_not_tell_who_it_is_makes_no_passkey(person: MakePerson) -> None:
    one = person(hasUserVerification=False, isUserVerified=False)
    one.guest.prove()
    one.start(SET_UP)
    assert "Nothing has changed" in one.told() or "can't check that it is you" in one.told()
    assert not one.bound()


def test_whom_the_device_does_not_know_does_not_come_in(owner: Person) -> None:
    owner.tell("setUserVerified", isUserVerified=False)
    owner.start(SIGN_IN)
    assert owner.told().startswith("It was cancelled, or the device did not allow it.")
    owner.tell("setUserVerified", isUserVerified=True)
    owner.page.keyboard.press("Enter")  # the focus has stayed where it goes on
    owner.page.wait_for_url(owner.guest.sandbox.issuer + "/")


def test_who_lets_the_time_run_out_is_told_so(owner: Person) -> None:
    def hurry(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"timeout": 300})

    owner.tell("setAutomaticPresenceSimulation", enabled=False)
    owner.page.route("**/sign-in/passkey/challenge", hurry)
    owner.start(SIGN_IN)
    owner.page.wait_for_selector("[data-passkey-status]:not(:empty)")
    assert owner.told() == "It took too long. Nothing has changed: you can start again."


def test_a_platform_that_does_not_answer_is_no_dead_end(owner: Person) -> None:
    owner.page.route("**/sign-in/passkey/challenge", lambda route: route.abort())
    owner.start(SIGN_IN)
    assert owner.told() == "This platform did not answer. Nothing has changed: please try again."


def test_what_the_server_refuses_it_says_on_a_page(owner: Person) -> None:
    owner.guest.open(SIGN_IN)
    owner.page.evaluate("document.querySelector('input[name=csrf]').value = 'x'")
    owner.page.click("#login-submit")
    assert "The form was too old" in owner.refused()


def test_a_removed_passkey_does_not_come_in(owner: Person) -> None:
    owner.forget()
    owner.start(SIGN_IN)
    assert "The passkey was not accepted" in owner.refused()


def test_the_copy_of_an_authenticator_is_found_out_and_the_citizen_told(owner: Person, person: MakePerson) -> None:
    (credential,) = owner.tell("getCredentials")["credentials"]
    for _ in range(2):
        owner.sign_in()
        owner.guest.leave()
    thief = person(who=1)
    thief.tell("addCredential", credential=credential)
    thief.start(SIGN_IN)
    assert "The passkey was not accepted" in thief.refused()
    owner.sign_in()
    owner.guest.open("/record")
    assert "it may have been copied" in owner.page.locator("main").inner_text()


@pytest.mark.parametrize("path", [SET_UP, SIGN_IN])
def test_under_another_name_of_the_server_it_says_where_to_go(person: MakePerson, sandbox: Sandbox, path: str) -> None:
    one = person()
    elsewhere = sandbox.issuer.replace("localhost", "127.0.0.1")
    one.guest.prove()
    cookies = [{"name": item["name"], "value": item["value"], "url": elsewhere} for item in one.guest.context.cookies()]
    if path == SIGN_IN:
        cookies = [item for item in cookies if item["name"] != "mydata"]
    one.guest.context.add_cookies(cookies)  # type: ignore[arg-type] # a dict will do
    one.page.goto(elsewhere + path)
    one.page.locator("[data-passkey-start]:visible >> nth=-1").click()
    assert one.told().endswith(f"Open this page there: {sandbox.issuer}")


def test_an_answer_that_somebody_has_seen_is_worth_nothing(owner: Person, person: MakePerson) -> None:
    sent: list[str] = []
    owner.page.on(
        "request", lambda request: sent.append(request.post_data or "") if request.url.endswith("/passkey") else None
    )
    owner.sign_in()
    owner.guest.leave()
    (form,) = sent
    for one in (owner, person(who=1)):
        one.guest.open(SIGN_IN)
        csrf = one.page.input_value("input[name=csrf]")
        answer = one.guest.context.request.post(
            f"{one.guest.sandbox.issuer}/sign-in/passkey",
            data=re.sub(r"csrf=[^&]*", f"csrf={csrf}", form),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert answer.status == 400
        assert not [cookie for cookie in one.guest.context.cookies() if cookie["name"] == "mydata"]


def test_the_passkey_of_another_citizen_steps_nobody_up(owner: Person, person: MakePerson) -> None:
    (credential,) = owner.tell("getCredentials")["credentials"]
    other = person(who=1)
    other.tell("addCredential", credential=credential)
    other.guest.prove(level=3, method="password_totp")
    other.start(f"{SIGN_IN}&again=1&second=1&return_to=/record")
    assert "That proof belongs to another account" in other.refused()


def test_a_synced_passkey_says_what_it_is_worth(person: MakePerson) -> None:
    one = person(defaultBackupEligibility=True, defaultBackupState=True)
    one.guest.prove()
    one.set_up()
    (bound,) = one.bound()
    assert (bound.data["backup_eligible"], bound.data["backed_up"]) == (True, True)
    one.guest.leave()
    one.sign_in()
    with Session(one.guest.engine) as session:
        (cookie,) = [item["value"] for item in one.guest.context.cookies() if item["name"] == "mydata"]
        signed_in = sessions.find(session, cookie, now=clock.now())
    assert signed_in is not None
    assert (signed_in.level, signed_in.amr) == (3, ("swk", "user", "mfa"))


def test_browsers_of_before_level_3_do_as_well(person: MakePerson) -> None:
    one = person()
    one.guest.context.add_init_script(
        """delete PublicKeyCredential.parseCreationOptionsFromJSON
        delete PublicKeyCredential.parseRequestOptionsFromJSON
        delete PublicKeyCredential.prototype.toJSON"""
    )
    one.guest.prove()
    one.set_up()
    one.start(SET_UP)
    assert one.told().startswith("This device has a passkey of yours")
    one.guest.leave()
    one.sign_in()


def test_a_browser_without_passkeys_says_so(person: MakePerson) -> None:
    one = person()
    one.guest.context.add_init_script("delete window.PublicKeyCredential")
    one.guest.open(SIGN_IN)
    assert one.page.locator("[data-passkey-without]").inner_text().startswith("This browser has no passkeys.")
    assert not one.page.locator("[data-passkey-start]:visible").count()


@pytest.mark.parametrize("lang", ["zh-TW", "en"])
def test_without_scripts_the_page_says_so_and_offers_the_other_ways(
    chromium: Browser, sandbox: Sandbox, lang: str
) -> None:
    with visitor(chromium, sandbox, lang=lang, who=2) as guest:
        guest.open(f"/?lang={lang}")
        guest.open(SIGN_IN)
        assert "JavaScript" in guest.page.locator("[data-passkey-without]").inner_text()
        assert not guest.page.locator("#login-submit").is_visible()
        guest.page.click("a[href*='method=password_totp']")
        guest.sign_in()
        guest.open(SET_UP)
        assert "JavaScript" in guest.page.locator("[data-passkey-without]").inner_text()
        assert not guest.page.locator("#passkey-start").is_visible()


def test_no_other_page_may_run_a_script(person: MakePerson) -> None:
    one = person()
    one.guest.prove()
    allowed = {
        path: "script-src" in (one.page.goto(one.guest.sandbox.issuer + path).headers["content-security-policy"])  # type: ignore[union-attr]
        for path in ("/", "/record", "/account", "/sign-out", SET_UP)
    }
    one.guest.leave()
    for path in (SIGN_IN, "/sign-in?method=password_totp"):
        answer = one.page.goto(one.guest.sandbox.issuer + path)
        assert answer is not None
        allowed[path] = "script-src" in answer.headers["content-security-policy"]
    assert {path for path, scripts in allowed.items() if scripts} == {SET_UP, SIGN_IN}
