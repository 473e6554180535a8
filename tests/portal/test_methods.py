"""The citizen's ways to sign in: listed, removed, and never the last one."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.config import Settings
from authz_server.core import clock
from authz_server.identity import credentials, sessions
from authz_server.identity.models import CITIZEN, Citizen, CitizenSession
from authz_server.identity.visits import all_methods
from tests.identity.second_method import Key
from tests.support.platform import CitizenBrowser, Platform, hidden_fields
from tests.support.protocol import rows

LIST = "/account/methods"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings of a server with one more method."""
    return replace(settings, method_levels={"password_totp": 1, "passkey": 2})


@pytest.fixture
def someone(app: Flask, own_platform: Platform) -> CitizenBrowser:
    """A citizen who has just signed in, with a password and two keys."""
    with app.app_context():
        app.extensions["mydata.identity_methods"] = (
            *(method for method in all_methods() if method.id != "passkey"),
            Key(),
        )
    citizen_id = number(own_platform)
    with Session(own_platform.engine) as session, session.begin():
        for label in ("My phone", "My <b>old</b> phone"):
            credentials.add(
                session,
                citizen_id,
                method="passkey",
                external_id=label,
                label=label,
                data={},
                now=clock.now(),
            )
    return own_platform.citizen("citizen1")


def number(platform: Platform) -> int:
    (row,) = rows(platform, Citizen, username="citizen1")
    return int(row.id)


def remove(browser: CitizenBrowser, credential_id: int) -> Any:
    path = f"{LIST}/remove/{credential_id}"
    return browser.client.post(path, data=hidden_fields(browser.client.get(path).text))


def keys(platform: Platform) -> list[int]:
    citizen_id = number(platform)
    with Session(platform.engine) as session:
        return [bound.id for bound in credentials.of_citizen(session, citizen_id)]


def test_the_list_says_what_each_is_worth_and_when_it_was_used(someone: CitizenBrowser) -> None:
    page = " ".join(someone.client.get(f"{LIST}?lang=en").text.split())
    assert "Password and one-time code" in page
    assert "Passkey: My phone" in page
    assert "Passkey: My &lt;b&gt;old&lt;/b&gt; phone" in page
    assert "Identity level 2" in page
    assert "not used yet" in page
    assert page.count("Added on ") == 3


def test_a_removed_way_is_gone_everybody_else_is_signed_out_and_the_record_tells(
    someone: CitizenBrowser, own_platform: Platform
) -> None:
    other = own_platform.citizen("citizen1")
    first, second = keys(own_platform)
    answer = remove(someone, first)
    assert (answer.status_code, answer.location) == (303, f"{LIST}?removed=1")
    assert keys(own_platform) == [second]
    assert someone.client.get(LIST).status_code == 200
    assert other.client.get(LIST).location.startswith("/sign-in")
    (entry,) = rows(own_platform, AuditEntry, event="method.removed")
    assert (entry.reason, entry.citizen_id, entry.actor) == ("passkey", number(own_platform), "citizen")
    assert "You removed a way to sign in: Passkey" in someone.client.get("/record?lang=en").text


def test_the_last_way_to_come_in_stays(someone: CitizenBrowser, own_platform: Platform) -> None:
    with own_platform.engine.begin() as connection:
        connection.execute(CITIZEN.update().values(password_hash=None))
    first, second = keys(own_platform)
    assert remove(someone, first).status_code == 303
    answer = remove(someone, second)
    assert answer.status_code == 409
    assert 'id="remove-confirm"' in answer.text
    assert keys(own_platform) == [second]
    assert len(rows(own_platform, AuditEntry, event="method.removed")) == 1


def test_removing_demands_a_fresh_sign_in(someone: CitizenBrowser, own_platform: Platform) -> None:
    path = f"{LIST}/remove/{keys(own_platform)[0]}"
    form = hidden_fields(someone.client.get(path).text)
    with clock.frozen(clock.now() + timedelta(minutes=6)):
        where = f"/sign-in?return_to={path.replace('/', '%2F')}&level=3&again=1"
        assert someone.client.get(path).location == where
        assert someone.client.post(path, data=form).location == where
        assert someone.client.get(LIST).status_code == 200
    assert len(keys(own_platform)) == 2


def test_a_session_by_e_mail_alone_changes_nothing(someone: CitizenBrowser, own_platform: Platform) -> None:
    citizen_id = number(own_platform)
    with Session(own_platform.engine) as session, session.begin():
        weak = sessions.open_session(session, citizen_id, level=5, amr=("otp",), method="email_code", now=clock.now())
    someone.client.set_cookie("__Host-mydata", weak)
    assert someone.client.get(LIST).status_code == 200
    assert remove(someone, keys(own_platform)[0]).location.startswith("/sign-in?")
    assert len(keys(own_platform)) == 2


@pytest.mark.parametrize("forged", [{}, {"csrf": "x"}])
def test_a_foreign_page_removes_nothing(
    someone: CitizenBrowser, own_platform: Platform, forged: dict[str, str]
) -> None:
    first, _ = keys(own_platform)
    assert someone.client.post(f"{LIST}/remove/{first}", data=forged).status_code == 403
    assert len(keys(own_platform)) == 2


def test_somebody_elses_and_unknown_ones_are_not_there(someone: CitizenBrowser, own_platform: Platform) -> None:
    """Class 26 of published vulnerabilities: another one's object."""
    first, _ = keys(own_platform)
    other = own_platform.citizen("citizen2")
    for browser, path in (
        (other, f"{LIST}/remove/{first}"),
        (someone, f"{LIST}/remove/999999"),
        (someone, f"{LIST}/remove/99999999999999999999"),
        (someone, f"{LIST}/remove/-1"),
    ):
        assert browser.client.get(path).status_code == 404, path
    form = hidden_fields(someone.client.get(f"{LIST}/remove/{first}").text)
    assert other.client.post(f"{LIST}/remove/{first}", data=form).status_code in {403, 404}
    assert len(keys(own_platform)) == 2
    assert rows(own_platform, CitizenSession, ended_at=None)
