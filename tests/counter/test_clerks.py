"""Clerks work at a desk by name: how they are appointed and sign in there, what stands for them; and who does not.

Classes 13, 14, 24 to 30 of published vulnerabilities (tests/security), for clerks.
"""

import logging
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server import leaving, worker
from authz_server.audit.models import AuditEntry
from authz_server.clients.models import Client
from authz_server.core import clock, jose
from authz_server.counter import appointments, clerks
from authz_server.counter.appointments import ADMINISTRATOR, CLERK
from authz_server.counter.commands import office as office_group
from authz_server.counter.errors import ClerkNotSignedIn
from authz_server.counter.models import Appointment, Barcode, DeskSession
from authz_server.identity import lockout
from authz_server.identity.models import Citizen
from authz_server.tokens.models import DatasetToken
from tests.counter.office import Errand, Office, agree, announce, new_office, redeem, signed_in_clerk
from tests.support.commands import settings_file
from tests.support.openapi import document
from tests.support.platform import CALLBACK, CitizenBrowser, Platform, answer_of, hidden_fields, new_key
from tests.support.protocol import (
    everything,
    new_bank,
    new_citizen,
    opened,
    pushed,
    refused,
    rows,
    services_of,
    shut_out_once_seen,
    writing,
)
from tests.support.waiting import locks_waited_for, wait_until

DESK = {"scope": "openid desk"}
WRONG = "000000"


@pytest.fixture
def office(platform: Platform) -> Office:
    return new_office(platform)


def asked(
    platform: Platform, office: Office, *, username: str = "", dpop_jkt: str | None = None, **session: Any
) -> tuple[CitizenBrowser, str]:
    """A desk has somebody sign in, whose browser it is; the address of the page that asks whether they start work."""
    # Already begun when they prove who they are: the sign-in has to be a fresh one.
    request_uri = office.push(**DESK, dpop_jkt=dpop_jkt)
    citizen = platform.citizen(username or office.clerk, **session)
    answer = opened(citizen, office, request_uri)
    assert answer.status_code == 303, answer.text
    return citizen, answer.location


def press(citizen: CitizenBrowser, address: str, decision: str = "start", **changes: Any) -> TestResponse:
    fields = hidden_fields(citizen.client.get(address).text) | {"decision": decision} | changes
    return citizen.client.post(address, data=fields)


def signed_in(platform: Platform, office: Office) -> dict[str, Any]:
    """The whole way; the token response."""
    answer = office.redeem(answer_of(press(*asked(platform, office)))["code"])
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.get_json()
    return body


def actor(token: str) -> dict[str, str]:
    return {"actor_token": token, "actor_token_type": "urn:ietf:params:oauth:token-type:access_token"}


def dismissed(platform: Platform, office: Office) -> None:
    with writing(platform) as session:
        assert appointments.end_by_name(
            session, office=office.client_id, username=office.clerk, role=CLERK, now=clock.now()
        )


def held(column: str) -> Callable[[Platform, Office], None]:
    def hold(platform: Platform, office: Office) -> None:
        with writing(platform) as session:
            session.execute(update(Citizen).where(Citizen.username == office.clerk).values({column: clock.now()}))

    return hold


def made_administrator(platform: Platform, office: Office) -> None:
    with writing(platform) as session:
        of_clerk = (Appointment.client_id == office.client_id, Appointment.role == CLERK)
        session.execute(update(Appointment).where(*of_clerk).values(role=ADMINISTRATOR))


def test_a_clerk_signs_in_at_a_desk_and_the_citizen_reads_who_it_was(own_platform: Platform) -> None:
    platform, office = own_platform, new_office(own_platform)
    citizen, address = asked(platform, office)
    page = citizen.client.get(address)
    assert "Work at a desk of Sample District Office" in page.text
    assert "測○○○丙" in page.text
    answer = press(citizen, address)
    assert citizen.client.get("/account").location.startswith("/sign-in"), "the computer is not the clerk's own"
    body = office.redeem(answer_of(answer)["code"]).get_json()
    assert body["scope"] == "openid desk"
    described = document()["components"]["schemas"]
    jsonschema.validate(body, described["ClerkToken"])
    claims = jose.verify(body["id_token"], services_of(platform).keys, algorithms=("ES256",)).claims
    assert (claims["nickname"], claims["nonce"]) == ("測○○○丙", "nonce-of-the-bank")
    assert not {"name", "email", "birthdate"} & claims.keys()
    visit = agree(platform, office)
    barcode = visit.show()
    assert announce(office, barcode, **actor(body["access_token"])).status_code == 200
    assert "Counter 1, Sample District Office, clerk 測○○○丙 has scanned your barcode" in visit.page().text
    tokens = redeem(office, barcode, visit.code(), **actor(body["access_token"])).get_json()
    assert tokens["act"] == {"sub": claims["sub"]}, "the clerk acts, whom the office knows by that name"
    token = tokens["authorization_details"][0]["access_token"]
    assert platform.proxy.post("/introspect", {"token": token}).get_json()["act"] == tokens["act"]
    record = visit.citizen.client.get("/record").text
    assert record.count("Counter 1, Sample District Office, clerk 測○○○丙") >= 2
    worker.tick(platform.engine, now=clock.now())
    told, *_ = re.findall(
        r'href="(/messages/\d+)"[^>]*>[^<]*Your barcode was accepted', visit.citizen.client.get("/messages").text
    )
    assert "Counter 1, Sample District Office, clerk 測○○○丙" in visit.citizen.client.get(told).text
    (number,) = (one.id for one in rows(platform, Appointment, client_id=office.client_id))
    (entry,) = rows(platform, AuditEntry, transaction_id=visit.reference, event="counter.redeemed")
    assert entry.actor == f"desk:{office.client_id}/desk-1/{number}"
    (started,) = rows(platform, AuditEntry, event="office.desk_opened", client_id=office.client_id)
    assert started.success


@pytest.mark.parametrize("who", ["nobody", "administrator", "another office", "dismissed", "frozen"])
def test_who_is_no_clerk_of_this_office_is_told_so_and_gets_nothing(
    platform: Platform, office: Office, who: str
) -> None:
    username = new_citizen(platform) if who in {"nobody", "administrator"} else office.clerk
    if who == "administrator":
        with writing(platform) as session:
            appointments.appoint(
                session, office=office.client_id, username=username, role=ADMINISTRATOR, now=clock.now()
            )
    if who == "another office":
        office = new_office(platform)
    if who == "dismissed":
        dismissed(platform, office)
    if who == "frozen":
        held("frozen_at")(platform, office)
    citizen, address = asked(platform, office, username=username)
    page = citizen.client.get(address)
    assert page.status_code == 403
    expected = {"administrator": "but no clerk", "frozen": "Unfreeze your account"}.get(who, "no appointment")
    assert expected in page.text
    onward = f'href="/account/unfreeze?request={address.rpartition("/")[2]}"'
    assert (onward in page.text) == (who == "frozen")
    before = rows(platform, DeskSession)
    assert press(citizen, address).status_code == 403
    assert rows(platform, DeskSession) == before
    assert answer_of(press(citizen, address, "cancel"))["error"] == "access_denied"


def test_a_desk_is_opened_by_a_fresh_and_strong_sign_in_of_this_browser(platform: Platform, office: Office) -> None:
    with clock.frozen(clock.now()):
        stale = platform.citizen(office.clerk)
        clock.advance(timedelta(seconds=1))
        assert opened(stale, office, office.push(**DESK)).location.startswith("/sign-in?request=")
        weak = platform.citizen(office.clerk, level=4)
        assert opened(weak, office, office.push(**DESK)).location.startswith("/sign-in?request=")
    citizen, address = asked(platform, office)
    stranger = platform.citizen("citizen1")
    assert stranger.client.get(address).status_code == 400
    assert press(citizen, address, csrf="x").status_code == 403
    assert citizen.client.get(address.replace("/office/desk", "/consent")).location == address
    consent = address.replace("/office/desk", "/consent")
    token = hidden_fields(citizen.client.get(address).text)["csrf"]
    assert citizen.client.post(consent, data={"csrf": token, "decision": "approve"}).status_code == 400
    assert rows(platform, DeskSession, client_id=office.client_id) == []
    assert press(citizen, address).status_code == 303


def test_only_offices_ask_for_it_and_for_nothing_beside_it(platform: Platform, office: Office) -> None:
    refused(pushed(platform.bank, **DESK), 400, "invalid_scope")
    for scope in ("desk", "openid desk profile", "openid desk ris.personal"):
        refused(pushed(office, scope=scope), 400, "invalid_scope")


def test_a_code_is_good_once_for_its_office_and_verifier_and_its_misuse_ends_the_sign_in(
    platform: Platform, office: Office
) -> None:
    code = answer_of(press(*asked(platform, office)))["code"]
    body = office.redeem(code).get_json()
    barcode = agree(platform, office).show()
    assert announce(office, barcode, **actor(body["access_token"])).status_code == 200
    refused(office.redeem(code), 400, "invalid_grant")
    refused(announce(office, barcode, **actor(body["access_token"])), 400, "login_required")
    for thief, verifier in ((new_office(platform), office.verifier), (office, "x" * 43)):
        code = answer_of(press(*asked(platform, office)))["code"]
        refused(thief.redeem(code, code_verifier=verifier), 400, "invalid_grant")
        refused(office.redeem(code), 400, "invalid_grant")
    with clock.frozen(clock.now()):
        code = answer_of(press(*asked(platform, office)))["code"]
        clock.advance(timedelta(minutes=1))
        refused(office.redeem(code), 400, "invalid_grant")


def test_what_is_no_code_opens_no_desk_and_ends_none(platform: Platform, office: Office) -> None:
    token = actor(signed_in(platform, office)["access_token"])
    code = answer_of(press(*asked(platform, office)))["code"]
    refused(office.redeem(f"{clerks.CODE_PREFIX}{'x' * 43}"), 400, "invalid_grant")
    refused(announce(office, "0" * 40, **token), 400, "invalid_grant")
    assert office.redeem(code).status_code == 200


def test_somebody_elses_key_does_not_end_a_sign_in_that_is_bound_to_another(platform: Platform, office: Office) -> None:
    """RFC 9449 section 10: a proof by another key does not even touch the code."""
    code = answer_of(press(*asked(platform, office, dpop_jkt=office.dpop_key.thumbprint)))["code"]
    by_other = {"DPoP": office.proof("POST", f"{office.issuer}/token", key=new_key())}
    refused(office.redeem(code, headers=by_other), 400, "invalid_grant")
    token = actor(office.redeem(code).get_json()["access_token"])
    by_other = {"DPoP": office.proof("POST", f"{office.issuer}/token", key=new_key())}
    refused(office.redeem(code, headers=by_other), 400, "invalid_grant")
    refused(announce(office, "0" * 40, **token), 400, "invalid_grant")
    refused(office.redeem(code), 400, "invalid_grant")
    refused(announce(office, "0" * 40, **token), 400, "login_required")


def test_who_is_dismissed_in_that_very_moment_is_at_no_desk(
    platform: Platform, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it was found that they are a clerk, when only the statement is left to refuse it."""
    begin = clerks.begin

    def dismissed_first(session: Session, pending: Any, appointment_id: int, **more: Any) -> str:
        session.execute(update(Appointment).where(Appointment.id == appointment_id).values(ended_at=clock.now()))
        return begin(session, pending, appointment_id, **more)

    monkeypatch.setattr(clerks, "begin", dismissed_first)
    assert press(*asked(platform, office)).status_code == 400
    assert rows(platform, DeskSession, client_id=office.client_id) == []


@pytest.mark.row("T-09", "T-15", "T-19")
def test_a_code_is_good_for_the_key_and_the_redirect_uri_of_its_request(platform: Platform, office: Office) -> None:
    code = answer_of(press(*asked(platform, office, dpop_jkt=office.dpop_key.thumbprint)))["code"]
    by_other = {"DPoP": office.proof("POST", f"{office.issuer}/token", key=new_key())}
    refused(office.redeem(code, headers=by_other), 400, "invalid_grant")
    assert office.redeem(code, redirect_uri=CALLBACK).status_code == 200
    code = answer_of(press(*asked(platform, office)))["code"]
    refused(office.redeem(code, redirect_uri=f"{CALLBACK}/other"), 400, "invalid_grant")


CAUSES: dict[str, Callable[[Platform, Office], dict[str, Any]]] = {
    "absent": lambda _platform, _office: {"actor_token": None, "actor_token_type": None},
    "unknown": lambda _platform, _office: actor("mdk_" + "x" * 43),
    "of another office": lambda platform, _office: actor(signed_in_clerk(platform, new_office(platform))),
    "of another key": lambda platform, office: actor(
        signed_in_clerk(platform, office, jkt=new_key().thumbprint),
    ),
    "an access token": lambda platform, _office: actor(platform.tokens()["access_token"]),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_without_a_clerk_of_its_own_a_desk_learns_nothing_of_a_barcode(
    platform: Platform, office: Office, cause: str
) -> None:
    visit = agree(platform, office)
    barcode = visit.show()
    changes = CAUSES[cause](platform, office)
    answers = [
        *(announce(office, shown, **changes) for shown in (barcode, "0" * 40)),
        *(redeem(office, shown, WRONG, **changes) for shown in (barcode, "0" * 40)),
    ]
    assert len({answer.data for answer in answers}) == 1
    refused(answers[0], 400, "login_required")
    assert visit.code() is None
    assert announce(office, barcode).status_code == 200


@pytest.mark.parametrize(
    "stop",
    [dismissed, held("suspended_at"), held("frozen_at"), made_administrator],
    ids=["dismissed", "suspended", "frozen", "clerk no longer"],
)
def test_whoever_is_stopped_in_the_middle_of_a_visit_gets_nothing(
    platform: Platform, office: Office, stop: Callable[[Platform, Office], None]
) -> None:
    token = actor(signed_in(platform, office)["access_token"])
    visit = agree(platform, office)
    barcode = visit.show()
    assert announce(office, barcode, **token).status_code == 200
    citizen, address = asked(platform, office)
    stop(platform, office)
    refused(redeem(office, barcode, visit.code(), **token), 400, "login_required")
    assert press(citizen, address).status_code in {303, 403}
    assert len(rows(platform, DeskSession, client_id=office.client_id)) == 1, "and no further sign-in"
    assert rows(platform, Barcode, transaction_id=visit.reference)[0].counter_id == "desk-1"


@pytest.mark.parametrize("who", ["citizen", "agent"])
def test_a_clerk_takes_no_barcode_that_they_brought_themselves(platform: Platform, office: Office, who: str) -> None:
    brings = platform.citizen(office.clerk)
    if who == "citizen":
        visit = agree(platform, office, brings)
        barcode = visit.show()
    else:
        errand = Errand(agree(platform, office, platform.citizen(new_citizen(platform))), brings)
        visit = errand.visit
        errand.confirm(rows(platform, Citizen, username=office.clerk)[0].national_id)
        barcode = errand.show()
    refused(announce(office, barcode), 400, "invalid_grant")
    refused(redeem(office, barcode, WRONG), 400, "invalid_grant")
    assert "The clerk was the very person who had brought it." in visit.citizen.client.get("/record?lang=en").text
    assert {one.announced_at for one in rows(platform, Barcode, transaction_id=visit.reference)} == {None}
    assert rows(platform, DatasetToken, transaction_id=visit.reference) == []
    office.clerk = new_citizen(platform)
    with writing(platform) as session:
        appointments.appoint(session, office=office.client_id, username=office.clerk, role=CLERK, now=clock.now())
    assert announce(office, barcode).status_code == 200, "a colleague takes it"


def test_nobody_begins_to_work_by_a_sign_in_of_before(platform: Platform, office: Office) -> None:
    """Whoever left their own pages open on the desk's computer has not signed in there."""
    with clock.frozen(clock.now()):
        citizen = platform.citizen(office.clerk)
        clock.advance(timedelta(minutes=1))
        answer = opened(citizen, office, office.push(**DESK))
        request_id = re.findall(r"[\w-]{43}", answer.location)[0]
        form = {"csrf": citizen.csrf(f"desk:{request_id}"), "decision": "start"}
        answer = citizen.client.post(f"/office/desk/{request_id}", data=form)
    assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/sign-in")
    assert rows(platform, DeskSession, client_id=office.client_id) == []


def test_of_an_office_that_was_suspended_no_clerk_counts_before_any_process_has_read_of_it(
    own_platform: Platform,
) -> None:
    office = new_office(own_platform)
    token, jkt = signed_in(own_platform, office)["access_token"], office.dpop_key.thumbprint
    known: Any = {"office": office.client_id, "jkt": jkt, "limits": own_platform.settings.limits, "now": clock.now()}
    with writing(own_platform) as session:
        assert clerks.present(session, token, **known)
        session.execute(update(Client).where(Client.client_id == office.client_id).values(suspended_at=clock.now()))
        with pytest.raises(ClerkNotSignedIn):
            clerks.present(session, token, **known)


def test_a_shift_ends_by_sign_out_by_idleness_and_after_eight_hours(platform: Platform, office: Office) -> None:
    with clock.frozen(clock.now()):
        barcode = agree(platform, office).show()
        token = signed_in(platform, office)["access_token"]
        for _ in range(24):
            clock.advance(timedelta(minutes=19))
            announce(office, barcode, **actor(token))
        refused(announce(office, "0" * 40, **actor(token)), 400, "invalid_grant", "slow_down")
        clock.advance(timedelta(minutes=19))
        refused(announce(office, "0" * 40, **actor(token)), 400, "invalid_grant", "slow_down")
        clock.advance(timedelta(minutes=5))
        refused(announce(office, "0" * 40, **actor(token)), 400, "login_required")
        token = signed_in(platform, office)["access_token"]
        clock.advance(timedelta(minutes=20))
        refused(announce(office, "0" * 40, **actor(token)), 400, "login_required")
        token, beside = (signed_in(platform, office)["access_token"] for _ in range(2))
        assert platform.bank.post("/revoke", {"token": token}).status_code == 200
        refused(announce(office, "0" * 40, **actor(token)), 400, "invalid_grant", "slow_down")
        assert office.post("/revoke", {"token": token}).status_code == 200
        refused(announce(office, "0" * 40, **actor(token)), 400, "login_required")
        refused(announce(office, "0" * 40, **actor(beside)), 400, "invalid_grant", "slow_down")  # at another desk


def test_each_clerk_is_named_by_their_own_name(platform: Platform, office: Office) -> None:
    visit = agree(platform, office, platform.citizen(new_citizen(platform)))
    barcode = visit.show()
    for username, name in ((office.clerk, "測○○○丙"), ("citizen2", "測○○○乙")):
        if username != office.clerk:
            with writing(platform) as session:
                appointments.appoint(session, office=office.client_id, username=username, role=CLERK, now=clock.now())
            office.clerk = username
        shift = signed_in(platform, office)
        claims = jose.verify(shift["id_token"], services_of(platform).keys, algorithms=("ES256",)).claims
        assert claims["nickname"] == name
        refused(redeem(office, barcode, WRONG, **actor(shift["access_token"])), 400, "invalid_grant")
    record = visit.citizen.client.get("/record?lang=en").text
    for name in ("測○○○丙", "測○○○乙"):
        assert record.count(f"Sample District Office, clerk {name}") == 1


def test_a_record_outlives_the_appointment_that_it_names(platform: Platform, office: Office) -> None:
    visit = agree(platform, office, platform.citizen(new_citizen(platform)))
    barcode = visit.show()
    refused(redeem(office, barcode, WRONG), 400, "invalid_grant")
    with Session(platform.engine) as session, session.begin():
        gone = f"desk:{office.client_id}/desk-1/{2**40}"
        session.execute(
            update(AuditEntry)
            .where(AuditEntry.transaction_id == visit.reference, AuditEntry.event == "counter.refused")
            .values(actor=gone)
        )
    page = visit.citizen.client.get("/record?lang=en")
    assert page.status_code == 200
    assert "Counter 1, Sample District Office" in page.text
    assert "Counter 1, Sample District Office, clerk" not in page.text


def test_whoever_is_about_to_work_at_a_desk_is_not_led_elsewhere_and_reads_it_in_either_language(
    platform: Platform, office: Office
) -> None:
    citizen, address = asked(platform, office)
    page = citizen.client.get(f"{address}?lang=en").text
    assert '<nav class="own"' not in page, "as with every request that is under way"
    assert 'href="/sign-out"' not in page
    switched = citizen.client.post(address, data=hidden_fields(page) | {"lang": "zh-TW"})
    assert (switched.status_code, "開始值班" in switched.text) == (200, True)


def test_whoever_goes_back_to_the_desk_leaves_no_session_of_theirs_on_its_computer(
    platform: Platform, office: Office
) -> None:
    citizen, address = asked(platform, office)
    assert answer_of(press(citizen, address, "cancel"))["error"] == "access_denied"
    assert citizen.client.get("/record").location.startswith("/sign-in")
    citizen, address = asked(platform, office, username=new_citizen(platform))
    assert answer_of(press(citizen, address, "cancel"))["error"] == "access_denied"
    assert citizen.client.get("/record").location.startswith("/sign-in")


def test_whoever_is_not_whom_the_desk_waits_for_leaves_no_session_on_its_computer_either(
    own_platform: Platform,
) -> None:
    office = new_office(own_platform)
    hint = signed_in(own_platform, office)["id_token"]
    before, citizen = own_platform.citizen("citizen2"), own_platform.citizen("citizen2", signed_in=False)
    sign_in = opened(citizen, office, office.push(**DESK, id_token_hint=hint)).location
    answer = citizen.sign_in(sign_in)
    while answer.location.startswith("/"):
        answer = citizen.client.get(answer.location)
    assert answer_of(answer)["error"] == "login_required"
    assert citizen.client.get("/record").location.startswith("/sign-in")
    sign_in = opened(citizen, office, office.push(**DESK, id_token_hint=hint)).location
    answer = before.client.get(f"/office/desk/{sign_in.partition('=')[2]}")
    assert answer_of(answer)["error"] == "login_required"
    assert before.client.get("/record").status_code == 200, "a link ends no session that was not opened for it"


def test_whoever_cancels_the_next_proof_that_a_desk_demands_is_signed_out_too(
    platform: Platform, office: Office
) -> None:
    citizen = platform.citizen(office.clerk)
    page = citizen.client.get(opened(citizen, office, office.push(**DESK)).location)
    cancelled = citizen.client.post("/sign-in", data=hidden_fields(page.text) | {"action": "cancel"})
    assert answer_of(cancelled)["error"] == "access_denied"
    assert citizen.client.get("/record").location.startswith("/sign-in")


def test_an_office_may_choose_not_to_name_its_clerks(platform: Platform) -> None:
    office = new_office(platform, named_clerks=False)
    nobody: dict[str, Any] = {"actor_token": None, "actor_token_type": None}
    visit = agree(platform, office)
    barcode = visit.show()
    assert announce(office, barcode, **nobody).status_code == 200
    assert "Counter 1, Sample District Office has scanned" in visit.page().text
    (scanned,) = rows(platform, AuditEntry, transaction_id=visit.reference, event="counter.announced")
    assert scanned.actor == f"desk:{office.client_id}/desk-1"
    assert "act" not in redeem(office, barcode, visit.code(), **nobody).get_json()


def test_no_table_and_no_log_holds_what_opens_a_desk(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    office = new_office(platform)
    citizen, address = asked(platform, office)
    code = answer_of(press(citizen, address))["code"]
    token = office.redeem(code).get_json()["access_token"]
    announce(office, "0" * 40, **actor(token))
    kept = str(everything(platform)) + caplog.text
    assert code not in kept
    assert token not in kept
    (row,) = rows(platform, DeskSession, client_id=office.client_id)
    assert "digest" not in repr(DeskSession(**row._asdict()))


def administered(platform: Platform, office: Office) -> CitizenBrowser:
    """The browser of an administrator of this office, who has just signed in."""
    username = new_citizen(platform)
    with writing(platform) as session:
        done = appointments.appoint(
            session, office=office.client_id, username=username, role=ADMINISTRATOR, now=clock.now()
        )
    assert done is True
    return platform.citizen(username)


def send(browser: CitizenBrowser, office: Office, **fields: Any) -> TestResponse:
    path = f"/office/{office.client_id}"
    return browser.client.post(path, data=hidden_fields(browser.client.get(path).text) | fields)


def test_an_administrator_appoints_and_dismisses_and_everybody_concerned_reads_it(
    platform: Platform, office: Office
) -> None:
    browser, newcomer = administered(platform, office), new_citizen(platform)
    assert f"/office/{office.client_id}" in browser.client.get("/office").text
    assert 'href="/office"' in browser.client.get("/account").text
    fields = {"username": newcomer, "name": "測試市民丙", "role": CLERK}
    assert send(browser, office, **fields).location.endswith("?done=new")
    assert send(browser, office, **fields).location.endswith("?done=known")
    office.clerk = newcomer
    token = actor(signed_in(platform, office)["access_token"])
    theirs = platform.citizen(newcomer)
    assert "You were appointed at Sample District Office" in theirs.client.get("/record").text
    assert "You appointed somebody at Sample District Office" in browser.client.get("/record").text
    worker.tick(platform.engine, now=clock.now())
    assert "You were appointed at Sample District Office" in theirs.client.get("/messages").text
    (citizen,) = rows(platform, Citizen, username=newcomer)
    (appointed,) = rows(platform, Appointment, citizen_id=citizen.id)
    assert send(browser, office, end=str(appointed.id)).location.endswith("?done=ended")
    refused(announce(office, "0" * 40, **token), 400, "login_required")
    assert send(browser, office, end=str(appointed.id)).location.endswith("?done=none")
    assert "was ended" in theirs.client.get("/record").text


def test_switching_the_language_keeps_whom_an_administrator_is_about_to_appoint(
    platform: Platform, office: Office
) -> None:
    browser, newcomer = administered(platform, office), new_citizen(platform)
    assert 'form="appoint" name="lang"' in browser.client.get(f"/office/{office.client_id}").text
    page = send(browser, office, username=newcomer, name="測試市民丙", role=ADMINISTRATOR, lang="en")
    assert page.status_code == 200
    assert f'value="{newcomer}"' in page.text
    assert 'value="測試市民丙"' in page.text
    assert 'value="administrator" checked' in page.text
    (citizen,) = rows(platform, Citizen, username=newcomer)
    assert rows(platform, Appointment, citizen_id=citizen.id) == []


def test_a_user_name_is_taken_as_at_the_sign_in(platform: Platform, office: Office) -> None:
    browser, newcomer = administered(platform, office), new_citizen(platform)
    fields = {"username": newcomer.upper(), "name": "測試市民丙", "role": CLERK}
    assert send(browser, office, **fields).location.endswith("?done=new")


def test_nobody_administers_an_office_that_is_not_theirs(platform: Platform, office: Office) -> None:
    browser, other = administered(platform, office), new_office(platform)
    (elsewhere,) = rows(platform, Appointment, client_id=other.client_id)
    (own,) = (one for one in rows(platform, Appointment, client_id=office.client_id) if one.role == ADMINISTRATOR)
    assert browser.client.get(f"/office/{other.client_id}").status_code == 404
    clerk = platform.citizen(office.clerk)
    assert clerk.client.get(f"/office/{office.client_id}").status_code == 404
    token = hidden_fields(browser.client.get(f"/office/{office.client_id}").text)["csrf"]
    for data in ({"csrf": token, "end": str(elsewhere.id)}, {"csrf": token, "username": "x", "name": "y"}):
        assert browser.client.post(f"/office/{other.client_id}", data=data).status_code == 404
    for number in (elsewhere.id, own.id, "x", "9" * 30):
        assert send(browser, office, end=str(number)).location.endswith("?done=none")
    assert rows(platform, Appointment, client_id=other.client_id)[0].ended_at is None
    assert browser.client.post(f"/office/{office.client_id}", data={"end": "1", "csrf": "x"}).status_code == 403
    with clock.frozen(clock.now()):
        clock.advance(timedelta(minutes=6))
        assert browser.client.get(f"/office/{office.client_id}").location.startswith("/sign-in?")
        assert browser.client.post(f"/office/{office.client_id}", data={"end": "1"}).location.startswith("/sign-in?")


def test_the_appointment_of_another_office_lets_nobody_appoint_or_dismiss(platform: Platform, office: Office) -> None:
    administered(platform, other := new_office(platform))
    (by,) = (one.id for one in rows(platform, Appointment, client_id=other.client_id) if one.role == ADMINISTRATOR)
    (clerk,) = rows(platform, Appointment, client_id=office.client_id)
    known: Any = {"office": office.client_id, "now": clock.now()}
    newcomer: dict[str, Any] = {"username": new_citizen(platform), "role": CLERK}
    with writing(platform) as session:
        assert appointments.appoint(session, **newcomer, by=by, **known) is None
        assert appointments.appoint(session, **newcomer, by=clerk.id, **known) is None, "nor that of a clerk here"
        assert not appointments.end(session, clerk.id, by=by, **known)
    assert rows(platform, Appointment, client_id=office.client_id) == [clerk]


def test_an_administrator_sees_who_works_at_their_own_office_alone(platform: Platform, office: Office) -> None:
    other = new_office(platform)
    page = administered(platform, office).client.get(f"/office/{office.client_id}").text
    assert office.clerk in page
    assert other.clerk not in page


def test_an_administrator_appoints_as_many_as_there_are(platform: Platform, office: Office) -> None:
    """Only who guesses at names is locked out."""
    browser = administered(platform, office)
    for _ in range(platform.settings.limits.sign_in_failures + 1):
        fields = {"username": new_citizen(platform), "name": "測試市民丙", "role": CLERK}
        assert send(browser, office, **fields).location.endswith("?done=new")


@pytest.mark.parametrize("who", ["administrator", "newcomer"])
def test_nobody_is_appointed_by_or_as_somebody_who_is_stopped_in_that_very_moment(
    platform: Platform, office: Office, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """After both were found, when only the statement is left to refuse it."""
    administered(platform, office)
    (own,) = (one for one in rows(platform, Appointment, client_id=office.client_id) if one.role == ADMINISTRATOR)
    newcomer, take_back = new_citizen(platform), lockout.take_back

    def stopped_first(session: Session, door: lockout.Door) -> None:
        this = Citizen.id == own.citizen_id if who == "administrator" else Citizen.username == newcomer
        session.execute(update(Citizen).where(this).values(frozen_at=clock.now()))
        take_back(session, door)

    monkeypatch.setattr(lockout, "take_back", stopped_first)
    known: Any = {"office": office.client_id, "by": own.id, "limits": platform.settings.limits, "now": clock.now()}
    with writing(platform) as session:
        assert appointments.appoint(session, username=newcomer, role=CLERK, **known) is None
    assert len(rows(platform, Appointment, client_id=office.client_id)) == 2


@pytest.mark.parametrize("by", ["operator", "administrator"])
def test_the_record_says_who_appointed_and_dismissed(platform: Platform, office: Office, by: str) -> None:
    browser, newcomer = administered(platform, office), new_citizen(platform)
    if by == "administrator":
        assert send(browser, office, username=newcomer, name="測試市民丙", role=CLERK).status_code == 303
        (citizen,) = rows(platform, Citizen, username=newcomer)
        (appointed,) = rows(platform, Appointment, citizen_id=citizen.id)
        assert send(browser, office, end=str(appointed.id)).location.endswith("?done=ended")
    else:
        known: Any = {"office": office.client_id, "username": newcomer, "role": CLERK, "now": clock.now()}
        with writing(platform) as session:
            assert appointments.appoint(session, **known)
            assert appointments.end_by_name(session, **known)
        (citizen,) = rows(platform, Citizen, username=newcomer)
    own = {one.event: one.actor for one in rows(platform, AuditEntry, citizen_id=citizen.id)}
    actor = "operator" if by == "operator" else f"client:{office.client_id}"
    assert own == {"office.appointed": actor, "office.dismissed": actor}
    events = Counter(one.event for one in rows(platform, AuditEntry, client_id=office.client_id))
    assert events["office.has_appointed"] == events["office.has_dismissed"] == (by == "administrator")


def test_an_administrator_can_not_find_out_who_has_an_account(platform: Platform, office: Office) -> None:
    browser, somebody = administered(platform, office), new_citizen(platform)
    wrong = send(browser, office, username=somebody, name="另一個人", role=CLERK)
    assert wrong.status_code == 400
    nobody = send(browser, office, username=f"{somebody}x", name="另一個人", role=CLERK)
    told = "Nobody has an account with this user name and this name."
    for page in (wrong.text, nobody.text):
        assert page.count(told) == 2, "on top and at the field"
        assert 'aria-describedby="username-error"' in page
    assert send(browser, office, username="", name="", role=CLERK).status_code == 400
    assert send(browser, office, username=somebody, name="測試市民丙", role="king").status_code == 400
    for _ in range(3):
        send(browser, office, username=somebody, name="另一個人", role=CLERK)
    assert send(browser, office, username=somebody, name="測試市民丙", role=CLERK).status_code == 429
    assert len(rows(platform, Appointment, client_id=office.client_id)) == 2


@pytest.mark.parametrize("by_then", ["dismissed", "suspended_at", "frozen_at"])
def test_an_administrator_who_may_do_nothing_any_more_changes_nothing_in_that_very_moment(
    platform: Platform, office: Office, by_then: str
) -> None:
    administered(platform, office)
    (own,) = (one for one in rows(platform, Appointment, client_id=office.client_id) if one.role == ADMINISTRATOR)
    administered(platform, office)  # a colleague, who still may
    (clerk,) = (one for one in rows(platform, Appointment, client_id=office.client_id) if one.role == CLERK)
    newcomer = new_citizen(platform)
    with Session(platform.engine) as session, session.begin():
        if by_then == "dismissed":
            assert appointments.end(session, own.id, office=office.client_id, now=clock.now())
        else:
            session.execute(update(Citizen).where(Citizen.id == own.citizen_id).values({by_then: clock.now()}))
        by: dict[str, Any] = {"office": office.client_id, "by": own.id, "now": clock.now()}
        assert appointments.appoint(session, username=newcomer, role=CLERK, **by) is None
        assert not appointments.end(session, clerk.id, **by)


def test_a_clerk_who_is_signed_out_while_the_request_is_under_way_is_at_no_desk(
    own_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = new_office(own_platform)
    citizen, address = asked(own_platform, office)
    form = hidden_fields(citizen.client.get(address).text) | {"decision": "start"}
    before = shut_out_once_seen(monkeypatch, own_platform, office.clerk, "signed out")
    assert citizen.client.post(address, data=form).status_code == 400
    assert everything(own_platform) == before[0]


@pytest.mark.parametrize("act", ["appoint", "end"])
def test_an_administrator_who_is_signed_out_while_the_request_is_under_way_gives_and_takes_no_power(
    own_platform: Platform, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """Whoever has stolen the session would else have somebody of their own at the desk."""
    office = new_office(own_platform)
    browser, newcomer = administered(own_platform, office), new_citizen(own_platform)
    of_role = {one.role: one for one in rows(own_platform, Appointment, client_id=office.client_id)}
    clerk, own = of_role[CLERK], of_role[ADMINISTRATOR]
    (administrator,) = rows(own_platform, Citizen, id=own.citizen_id)
    form = hidden_fields(browser.client.get(path := f"/office/{office.client_id}").text)
    form |= {"appoint": {"username": newcomer, "name": "測試市民丙", "role": CLERK}, "end": {"end": str(clerk.id)}}[act]
    before = shut_out_once_seen(monkeypatch, own_platform, administrator.username, "signed out")
    answer = browser.client.post(path, data=form)
    assert (answer.status_code, answer.location) == (303, path)
    assert everything(own_platform) == before[0]


def test_a_client_without_counters_has_no_clerks(platform: Platform) -> None:
    bank = new_bank(platform)
    refused(pushed(bank, **DESK), 400, "invalid_scope")


def test_who_leaves_the_platform_leaves_the_office(platform: Platform, office: Office) -> None:
    token = actor(signed_in(platform, office)["access_token"])
    (clerk,) = rows(platform, Citizen, username=office.clerk)
    colleague = new_office(platform)
    with clock.frozen(clock.now() - timedelta(days=1)):
        dismissed(platform, office)
    (before,) = rows(platform, Appointment, citizen_id=clerk.id)
    with writing(platform) as session:
        appointments.appoint(session, office=office.client_id, username=office.clerk, role=CLERK, now=clock.now())
        leaving.leave(session, clerk.id, actor="citizen", settings=platform.settings, now=clock.now())
    refused(announce(office, "0" * 40, **token), 400, "login_required")
    assert rows(platform, DeskSession, citizen_id=clerk.id) == []
    ended = {one.id: one.ended_at for one in rows(platform, Appointment, citizen_id=clerk.id)}
    assert len(ended) == 2
    assert None not in ended.values()
    assert ended[before.id] == before.ended_at, "what had ended before ended then"
    assert rows(platform, Appointment, client_id=colleague.client_id)[0].ended_at is None


def test_who_leaves_in_that_very_moment_is_not_appointed_and_their_row_goes_in_time(own_platform: Platform) -> None:
    office, newcomer = new_office(own_platform), new_citizen(own_platform)
    (citizen,) = rows(own_platform, Citizen, username=newcomer)
    engine, now = own_platform.engine, clock.now()

    def appoint_them() -> bool | None:
        with Session(engine) as session, session.begin():
            return appointments.appoint(session, office=office.client_id, username=newcomer, role=CLERK, now=now)

    with ThreadPoolExecutor(1) as pool:
        with Session(engine) as session, session.begin():
            leaving.leave(session, citizen.id, actor="citizen", settings=own_platform.settings, now=now)
            done = pool.submit(appoint_them)
            if engine.dialect.name == "postgresql":  # SQLite lets nobody in before the commit
                wait_until(lambda: locks_waited_for(engine), "the appointment waits")
        assert done.result(30) is None, "nobody is there, and nothing was so before"
    assert rows(own_platform, Appointment, citizen_id=citizen.id) == []
    worker.purge(engine, limits=own_platform.settings.limits, time=lambda: now + timedelta(days=1000))
    assert rows(own_platform, Citizen, id=citizen.id) == []


def test_the_operator_makes_the_first_administrator_and_reads_who_a_number_of_the_record_is(
    own_platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYDATA_SETTINGS", str(settings_file(own_platform.settings, tmp_path)))
    office = new_office(own_platform)

    def command(*arguments: str) -> Result:
        return CliRunner().invoke(office_group, arguments)

    assert command("appoint", office.client_id, "citizen1").output == (
        f"citizen1 is administrator of {office.client_id}\n"
    )
    assert "already" in command("appoint", office.client_id, "citizen1").output
    (clerk,) = (one for one in rows(own_platform, Appointment, client_id=office.client_id) if one.role == CLERK)
    assert f"{clerk.id}\tclerk\t{office.clerk}\t測試市民丙\t" in command("list", office.client_id).output
    gone = command("dismiss", office.client_id, office.clerk, "--role", CLERK)
    assert gone.output == f"{office.clerk} is no longer clerk of {office.client_id}\n"
    assert office.clerk not in command("list", office.client_id).output
    (line,) = (one for one in command("list", office.client_id, "--ended").output.splitlines() if office.clerk in one)
    times = [datetime.fromisoformat(time) for time in line.split("\t")[4:]]
    assert clock.now() - timedelta(hours=1) < times[0] <= times[1] <= clock.now()
    for wrong in (("appoint", office.client_id, "nobody"), ("appoint", "jia-bank", "citizen1"), ("list", "nobody")):
        failed = command(*wrong)
        assert (failed.exit_code, failed.output.startswith("Error: ")) == (1, True)
    again = command("dismiss", office.client_id, office.clerk, "--role", CLERK)
    assert (again.exit_code, "is not clerk of" in again.output) == (1, True)
