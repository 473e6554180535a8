"""Consent and identity: an account that was never verified twice agrees to nothing before it is."""

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import update
from sqlalchemy.orm import Session

from authz_server.core import clock
from authz_server.identity import csrf, sessions
from authz_server.identity.models import CITIZEN, Citizen
from tests.support.platform import CitizenBrowser, Platform, answer_of, hidden_fields
from tests.support.protocol import new_citizen, rows, writing


def unverified(platform: Platform) -> tuple[CitizenBrowser, int]:
    username = new_citizen(platform)
    with writing(platform) as session:
        session.execute(update(CITIZEN).where(CITIZEN.c.username == username).values(verified_at=None))
    (row,) = rows(platform, Citizen, username=username)
    return platform.citizen(username), row.id


def step_up(platform: Platform, citizen: CitizenBrowser, citizen_id: int) -> None:
    cookie = citizen.client.get_cookie("__Host-mydata")
    assert cookie is not None
    with Session(platform.engine) as session, session.begin():
        secret = sessions.open_session(
            session,
            citizen_id,
            level=1,
            amr=("sc",),
            method="certificate",
            now=clock.now(),
            replaces=cookie.value,
        )
    citizen.client.set_cookie("__Host-mydata", secret)


def test_the_question_is_not_shown_before_the_second_proof_and_then_it_is_the_same_request(
    platform: Platform,
) -> None:
    citizen, citizen_id = unverified(platform)
    bank = platform.bank
    query = {"client_id": bank.client_id, "request_uri": bank.push(platform.detail("ris.personal"))}
    answer = citizen.client.get("/authorize", query_string=query)
    assert answer.location.startswith("/sign-in?request=")
    (request_id,) = parse_qs(urlsplit(answer.location).query)["request"]
    assert citizen.client.get(f"/consent/{request_id}").location == answer.location
    page = citizen.client.get(f"{answer.location}&lang=en").text
    assert "One more way to prove who you are" in page
    assert "Use a passkey" in page
    step_up(platform, citizen, citizen_id)
    assert "code" in answer_of(citizen.decide(citizen.client.get(f"/consent/{request_id}")))


def test_a_form_that_was_read_before_does_not_help(platform: Platform) -> None:
    citizen, citizen_id = unverified(platform)
    with clock.frozen(clock.now()):
        step_up(platform, citizen, citizen_id)
        bank = platform.bank
        page = citizen.authorize(bank.client_id, bank.push(platform.detail("ris.personal")))
        form = hidden_fields(page.text)
        clock.advance(timedelta(minutes=1))
        with Session(platform.engine) as session, session.begin():
            weak = sessions.open_session(session, citizen_id, level=1, amr=("pwd",), now=clock.now())
        citizen.client.set_cookie("__Host-mydata", weak)
        (action,) = set(re.findall(r'action="(/consent/[^"/]+)"', page.text))
        token = csrf.csrf_token(weak, f"consent:{action.removeprefix('/consent/')}")
        answer = citizen.client.post(action, data=form | {"csrf": token, "decision": "approve"})
        assert answer.location == f"/sign-in?request={action.removeprefix('/consent/')}"


def test_asking_without_any_page_is_answered_with_login_required(platform: Platform) -> None:
    citizen, _ = unverified(platform)
    bank = platform.bank
    request_uri = bank.push(platform.detail("ris.personal"), prompt="none")
    query = {"client_id": bank.client_id, "request_uri": request_uri}
    assert answer_of(citizen.client.get("/authorize", query_string=query))["error"] == "login_required"
