"""Passkeys on this server: bound by who may, used once per challenge, counted, removed; told apart by nobody."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server.audit.service import entries_of
from authz_server.config import Settings
from authz_server.core import clock
from authz_server.extensions import services
from authz_server.identity import credentials, service, sessions
from authz_server.identity.credentials import Bound
from authz_server.identity.methods.passkey import PASSKEY
from authz_server.identity.models import CITIZEN_SESSION, CREDENTIAL, IDENTITY_CHALLENGE
from tests.identity.support import NOW, ORIGIN, OTHER_PERSON, PERSON, Browser, KnownRequests, enrol
from tests.support.authenticator import Authenticator, decoded
from tests.support.waiting import left_meanwhile

SET_UP = "/account/methods/passkey"
USE = "/sign-in/passkey"


@dataclass
class Someone:
    """A citizen with a browser and a device."""

    session: Session
    browser: Browser
    device: Authenticator
    citizen_id: int

    def prove(self, level: int = 1, method: str = "certificate", **more: Any) -> None:
        """Have a session that rests on this proof."""
        secret = sessions.open_session(
            self.session, self.citizen_id, level=level, amr=("sc",), method=method, now=clock.now(), **more
        )
        self.session.commit()
        self.browser.client.set_cookie("__Host-mydata", secret, domain="id.example", secure=True)

    def new_options(self) -> dict[str, Any]:
        """Open the set-up page and press its button."""
        assert self.browser.get(SET_UP).status_code == 200
        answer = self.browser.post(f"{SET_UP}/challenge", {"csrf": self.browser.page["csrf"]})
        options: dict[str, Any] = answer.get_json()
        return options

    def add(self, made: dict[str, Any], label: str = "my telephone") -> TestResponse:
        """Send what the device has made."""
        form = {"csrf": self.browser.page["csrf"], "label": label, "credential": json.dumps(made)}
        return self.browser.post(SET_UP, form)

    def set_up(self, **changed: Any) -> TestResponse:
        """Set a passkey up, from the first page to the last."""
        return self.add(self.device.create(self.new_options(), **changed))

    def leave(self) -> None:
        """Be signed out."""
        self.browser.client.delete_cookie("__Host-mydata", domain="id.example")

    def options(self, query: str = "") -> dict[str, Any]:
        """Open the sign-in page and press its button."""
        assert self.browser.get(f"/sign-in?method=passkey{query}").status_code == 200
        answer = self.browser.post(f"{USE}/challenge", self.form())
        options: dict[str, Any] = answer.get_json()
        return options

    def form(self) -> dict[str, str]:
        """The hidden fields of the sign-in page that is open."""
        return {"csrf": self.browser.page["csrf"], **self.browser.page["visit"].named}

    def answer(self, told: dict[str, Any]) -> TestResponse:
        """Send what the device has answered."""
        return self.browser.post(USE, self.form() | {"credential": json.dumps(told)})

    def use(self, query: str = "", **changed: Any) -> TestResponse:
        """Sign in with the passkey, from the first page to the last."""
        return self.answer(self.device.get(self.options(query), **changed))

    def events(self) -> list[tuple[str, str | None]]:
        """What the record says, the oldest first."""
        entries = [(entry.event, entry.reason) for entry in entries_of(self.session, self.citizen_id, limit=50)]
        self.session.rollback()  # on SQLite whoever reads in a transaction keeps others from writing
        return entries[::-1]

    def passkeys(self) -> Sequence[Bound]:
        """What is bound to the account."""
        bound = credentials.of_citizen(self.session, self.citizen_id)
        self.session.rollback()
        return bound


@pytest.fixture
def someone(app: Flask, session: Session) -> Someone:
    return Someone(session, Browser(app), Authenticator(ORIGIN), enrol(session).citizen_id)


@pytest.fixture
def other(app: Flask, session: Session, someone: Someone) -> Someone:
    citizen_id = enrol(session, OTHER_PERSON).citizen_id
    return Someone(session, Browser(app), Authenticator(ORIGIN), citizen_id)


@pytest.fixture
def owner(someone: Someone) -> Someone:
    """Someone who has a passkey, and is signed out."""
    someone.prove()
    assert someone.set_up().status_code == 303
    someone.leave()
    return someone


def refused(answer: TestResponse, someone: Someone, reason: str) -> None:
    """Assert that nobody was let in, that the page does not say why, and that the record does."""
    assert (answer.status_code, someone.browser.page["error"]) == (400, "wrong")
    assert someone.browser.cookie("__Host-mydata") is None
    assert someone.events()[-1] == ("sign_in.failed", reason)


def test_a_passkey_is_set_up_and_signs_in_at_level_2(someone: Someone) -> None:
    someone.prove()
    assert someone.set_up().location == "/account/methods?added=1"
    (bound,) = someone.passkeys()
    assert (bound.label, bound.method, bound.data["sign_count"]) == ("my telephone", "passkey", 1)
    someone.leave()
    assert someone.use().location == "/"
    assert someone.browser.get("/mine").get_json() == {
        "name": PERSON.name,
        "acr": "urn:mydata:acr:level-2",
        "amr": ["pop", "user", "mfa"],
    }
    assert someone.events()[-2:] == [("method.added", "passkey"), ("sign_in.succeeded", "passkey")]
    (used,) = someone.passkeys()
    assert (used.data["sign_count"], used.last_used_at) == (2, NOW)


@pytest.mark.parametrize(("setting", "level"), [(3, 3), (2, 2), (1, 2), (4, 4)])
def test_a_synced_passkey_reaches_the_level_that_the_settings_say(
    app: Flask, someone: Someone, setting: int, level: int
) -> None:
    with app.app_context():
        object.__setattr__(services().settings, "synced_passkey_level", setting)
    someone.device.eligible = True
    someone.prove()
    someone.set_up()
    someone.leave()
    someone.use(backed_up=True)
    mine = someone.browser.get("/mine").get_json()
    assert (mine["acr"], mine["amr"]) == (f"urn:mydata:acr:level-{level}", ["swk", "user", "mfa"])
    (bound,) = someone.passkeys()
    assert (bound.data["backup_eligible"], bound.data["backed_up"]) == (True, True)
    with app.app_context():
        (held,) = PASSKEY.held(someone.session, someone.citizen_id)
    assert held.level == level  # and so the list of ways to sign in says


@pytest.mark.parametrize("path", [SET_UP, f"{SET_UP}/challenge"])
@pytest.mark.parametrize(
    ("proof", "marks"),
    [
        ({"level": 3, "method": "password_totp"}, "second=1"),
        ({"level": 2, "method": "passkey"}, "second=1"),
        ({"level": 5, "method": "email_code"}, "again=1&second=1"),
    ],
)
def test_weaker_proofs_do_not_bind_a_passkey(someone: Someone, path: str, proof: dict[str, Any], marks: str) -> None:
    someone.prove(**proof)
    answer = someone.browser.get(SET_UP) if path == SET_UP else someone.browser.post(path, {})
    assert answer.status_code == 303
    assert answer.location.startswith("/sign-in?return_to=")
    assert answer.location.endswith(marks)


def test_a_proof_that_is_not_fresh_binds_no_passkey(someone: Someone) -> None:
    someone.prove()
    clock.advance(timedelta(minutes=5, seconds=1))
    assert someone.browser.get(SET_UP).location.endswith("again=1")


def test_an_answer_signs_in_once(owner: Someone) -> None:
    told = owner.device.get(owner.options())
    assert owner.answer(told).status_code == 303
    owner.leave()
    owner.browser.get("/sign-in?method=passkey")
    refused(owner.answer(told), owner, "stale_challenge")


def test_an_answer_of_another_browser_signs_nobody_in(owner: Someone, other: Someone) -> None:
    told = owner.device.get(owner.options())
    other.browser.get("/sign-in?method=passkey")
    answer = other.answer(told)
    assert (answer.status_code, other.browser.page["error"]) == (400, "wrong")
    assert other.browser.cookie("__Host-mydata") is None
    assert owner.answer(told).status_code == 303  # the attempt of another browser has spent nothing


def test_an_answer_comes_within_five_minutes(owner: Someone) -> None:
    told = owner.device.get(owner.options())
    clock.advance(timedelta(minutes=5))
    refused(owner.answer(told), owner, "stale_challenge")


def test_what_was_asked_for_a_new_passkey_is_not_answered_by_an_old_one(owner: Someone) -> None:
    owner.prove()
    asked = owner.new_options()
    owner.leave()
    signed = owner.device.get(owner.options() | {"challenge": asked["challenge"]})
    refused(owner.answer(signed), owner, "stale_challenge")


WRONG: dict[str, dict[str, Any]] = {
    "without user verification": {"verified": False},
    "from another origin": {"client": {"origin": "https://bank.example"}},
    "for another site": {"rp_id": "bank.example"},
    "with a signature of another key": {"signature": bytes(64)},
    "in the name of another citizen": {"user_handle": b"somebody else"},
}


@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG.keys())
def test_an_answer_is_refused(owner: Someone, changed: dict[str, Any]) -> None:
    refused(owner.use(**changed), owner, "wrong_answer")
    assert owner.use().status_code == 303


def test_an_unknown_passkey_is_refused_like_a_wrong_one(owner: Someone, other: Someone) -> None:
    wrong = owner.use(verified=False)
    options = other.options()
    other.device.create({"user": {"id": "eA"}, "rp": {"id": "id.example"}, "challenge": options["challenge"]})
    unknown = other.answer(other.device.get(options))
    assert (unknown.status_code, unknown.data) == (wrong.status_code, wrong.data)
    assert other.browser.page["error"] == owner.browser.page["error"]


def test_a_removed_passkey_is_unknown(owner: Someone) -> None:
    (bound,) = owner.passkeys()
    told = owner.device.get(owner.options())
    credentials.remove(owner.session, owner.citizen_id, bound.id, now=NOW)
    owner.session.commit()
    assert owner.answer(told).status_code == 400
    assert owner.browser.cookie("__Host-mydata") is None


@pytest.mark.parametrize("count", [1, 6, 7, 0])
def test_a_device_that_counts_back_is_refused_and_the_citizen_told(owner: Someone, count: int) -> None:
    owner.use(count=7)
    owner.leave()
    answer = owner.use(count=count)
    assert (answer.status_code, owner.browser.cookie("__Host-mydata")) == (400, None)
    assert owner.events()[-2:] == [("sign_in.failed", "count_went_back"), ("anomaly.passkey_copied", "passkey")]
    assert owner.use(count=8).status_code == 303


def test_the_largest_count_is_a_number_for_every_database(owner: Someone) -> None:
    assert owner.use(count=2**32 - 1).status_code == 303


def test_a_device_that_does_not_count_is_used_again_and_again(someone: Someone) -> None:
    someone.device.counts = False
    someone.prove()
    someone.set_up()
    for _ in range(2):
        someone.leave()
        assert someone.use().status_code == 303


def test_a_suspended_account_says_so_to_its_owner_alone(owner: Someone) -> None:
    service.suspend(owner.session, PERSON.username, now=NOW)
    owner.session.commit()
    assert owner.use().status_code == 403
    assert owner.browser.page["error"] == "suspended"


def test_a_step_up_takes_the_passkey_of_the_same_citizen_only(
    owner: Someone, other: Someone, requests: KnownRequests
) -> None:
    requests.add("r1", needed_level=2)
    other.prove(level=3, method="password_totp")
    other.device = owner.device
    answer = other.use("&request=r1")
    assert (answer.status_code, other.browser.page["error"]) == (403, "other")
    owner.prove(level=3, method="password_totp")
    assert owner.use("&request=r1").location == "/consent/r1"


def test_a_passkey_that_is_bound_is_bound_to_nobody_else(owner: Someone, other: Someone) -> None:
    other.prove()
    same_id = owner.device.passkeys[0].id
    assert other.set_up(credential_id=same_id).status_code == 409
    assert other.browser.page["error"] == "known"
    owner.prove()
    assert owner.set_up(credential_id=same_id).status_code == 409
    assert not other.passkeys()
    assert len(owner.passkeys()) == 1


def test_a_device_is_told_which_passkeys_not_to_make_again(owner: Someone) -> None:
    owner.prove()
    excluded = [item["id"] for item in owner.new_options()["excludeCredentials"]]
    assert [decoded(name) for name in excluded] == [owner.device.passkeys[0].id]


def test_a_citizen_has_one_random_handle_for_all_devices(owner: Someone, other: Someone) -> None:
    owner.prove()
    handle = decoded(owner.new_options()["user"]["id"])
    assert handle == owner.device.passkeys[0].user_handle
    assert len(handle) == 32
    other.prove()
    assert decoded(other.new_options()["user"]["id"]) != handle


def test_nobody_learns_who_has_a_passkey(owner: Someone, other: Someone) -> None:
    asked = [someone.options() for someone in (owner, other)]
    for options in asked:
        del options["challenge"]
        assert not options.get("allowCredentials")
    assert asked[0] == asked[1]


@pytest.mark.parametrize("host", ["evil.example", "id.example.evil.example"])
def test_the_site_is_that_of_the_settings_whatever_the_request_says(owner: Someone, host: str) -> None:
    owner.browser.get("/sign-in?method=passkey")
    spoofed = {"Host": host, "X-Forwarded-Host": host, "Forwarded": f"host={host}"}
    options = owner.browser.post(f"{USE}/challenge", owner.form(), headers=spoofed).get_json()
    assert options is None or options["rpId"] == "id.example"
    evil = Authenticator(f"https://{host}", rp_id=host, passkeys=owner.device.passkeys)
    assert owner.answer(evil.get(owner.options())).status_code == 400


@pytest.mark.parametrize("label", ["", "  ", "\0", "鑰匙\n \0一", "x" * 500])
def test_a_label_is_the_citizens_own(someone: Someone, label: str) -> None:
    someone.prove()
    someone.add(someone.device.create(someone.new_options()), label)
    (bound,) = someone.passkeys()
    assert bound.label == {"": "My passkey", "  ": "My passkey", "\0": "My passkey", "鑰匙\n \0一": "鑰匙 一"}.get(
        label, "x" * 60
    )


@pytest.mark.parametrize("path", [SET_UP, f"{SET_UP}/challenge", USE, f"{USE}/challenge"])
def test_a_foreign_form_changes_nothing(owner: Someone, path: str) -> None:
    owner.prove()
    owner.browser.get(SET_UP)
    told = owner.device.create(owner.new_options())
    before = _rows(owner.session)
    answer = owner.browser.post(path, {"csrf": "x", "credential": json.dumps(told)})
    assert (answer.status_code, answer.mimetype) == (403, "text/html")
    assert _rows(owner.session) == before


def test_a_new_passkey_is_for_whom_it_was_asked(owner: Someone, other: Someone) -> None:
    owner.prove()
    made = owner.device.create(owner.new_options())
    other.prove()
    other.browser.get(SET_UP)
    assert other.add(made).status_code == 400
    assert other.browser.page["error"] == "refused"
    assert owner.add(made).status_code == 303
    again = owner.browser.get(SET_UP)
    assert again.status_code == 200
    assert owner.add(made).status_code == 400  # its challenge is spent


def test_who_adds_a_passkey_while_they_leave_waits_for_that_and_is_waited_for_by_nobody(
    someone: Someone, settings: Settings
) -> None:
    """Who leaves erases the question that the new passkey answers: each would have what the other waits for."""
    someone.prove()
    made, engine = someone.device.create(someone.new_options()), someone.session.get_bind()
    assert isinstance(engine, Engine)
    answer = left_meanwhile(settings, engine, someone.citizen_id, lambda: someone.add(made))
    assert (answer.status_code, answer.location) == (303, SET_UP)


def test_switching_the_language_keeps_the_label_and_spends_nothing(someone: Someone) -> None:
    someone.prove()
    made = someone.device.create(someone.new_options())
    form = {"csrf": someone.browser.page["csrf"], "label": "key", "lang": "en", "credential": ""}
    assert someone.browser.post(SET_UP, form).status_code == 200
    assert someone.browser.page["label"] == "key"
    assert someone.add(made).status_code == 303


def test_nothing_secret_is_kept(owner: Someone) -> None:
    told = owner.device.get(owner.options())
    owner.answer(told)
    rows = repr(_rows(owner.session))
    assert decoded(told["response"]["clientDataJSON"]).decode() not in rows
    assert json.loads(decoded(told["response"]["clientDataJSON"]))["challenge"] not in rows
    assert PERSON.name not in rows


@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(max_size=40)
    | st.builds(
        lambda name, data: json.dumps({"id": name, "rawId": name, "type": "public-key", "response": data}),
        st.text(max_size=10) | st.sampled_from(["\0", "A", "A" * 1400, "A" * 5000]),
        st.none() | st.dictionaries(st.sampled_from(["clientDataJSON", "signature"]), st.text(max_size=10)),
    )
    | st.sampled_from(["[" * 100_000, '{"id":' * 5_000, "\0", "{}", "[]", "null", "1e999"])
)
def test_whatever_comes_instead_is_refused(someone: Someone, sent: str) -> None:
    someone.browser.get("/sign-in?method=passkey")
    answer = someone.browser.post(USE, someone.form() | {"credential": sent})
    assert answer.status_code in {400, 429}
    someone.prove()
    someone.browser.get(SET_UP)
    form = {"csrf": someone.browser.page["csrf"], "credential": sent}
    assert someone.browser.post(SET_UP, form).status_code == 400
    someone.leave()


def _rows(session: Session) -> list[Any]:
    session.rollback()
    return [
        row for table in (CREDENTIAL, IDENTITY_CHALLENGE, CITIZEN_SESSION) for row in session.execute(select(table))
    ]
