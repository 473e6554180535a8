"""Somebody else goes: both say yes, one of them has the barcode, either ends it, and both see every step."""

import logging
import re
from datetime import timedelta
from html import unescape
from typing import Any

import orjson
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authz_server import worker
from authz_server.audit.models import AuditEntry
from authz_server.audit.service import Entry
from authz_server.core import clock, jose
from authz_server.core.identifiers import AgencyId
from authz_server.counter import desk
from authz_server.counter.models import Appointment, Barcode, Delegation
from authz_server.identity.models import Citizen
from authz_server.identity.subjects import pairwise_subject
from authz_server.oauth import agency_ticket
from tests.counter.office import NATIONAL_IDS, Errand, Visit, agree, announce, new_office, press, redeem
from tests.counter.test_visit import refused, said
from tests.support.platform import Bank, Platform, hidden_fields
from tests.support.protocol import everything, new_citizen, rows, shut_out_once_seen, writing

NOBODYS = "F131232216"  # could have been given out, and has no account here


def errand(platform: Platform, office: Bank) -> Errand:
    return Errand(agree(platform, office), platform.citizen("citizen2"))


def new_agent(platform: Platform) -> Any:
    """The row of a citizen whose wrong invitations and errands are the test's own."""
    (agent,) = rows(platform, Citizen, username=new_citizen(platform))
    return agent


@pytest.fixture
def office(platform: Platform) -> Bank:
    return new_office(platform)


def told(platform: Platform, username: str, reference: str) -> list[tuple[str, str]]:
    """Events and actors of one visit on somebody's record."""
    with writing(platform) as session:
        found = session.execute(
            select(AuditEntry.event, AuditEntry.actor)
            .join(Citizen, Citizen.id == AuditEntry.citizen_id)
            .where(Citizen.username == username, AuditEntry.transaction_id == reference)
            .order_by(AuditEntry.id)
        )
        return [(row.event, row.actor) for row in found]


def test_an_agent_goes_and_the_token_and_both_records_say_so(platform: Platform, office: Bank) -> None:
    sent = errand(platform, office)
    before = sent.visit.show()
    sent.confirm()
    assert refused(announce(office, before))
    (refusal,) = rows(platform, AuditEntry, transaction_id=sent.visit.reference, event="counter.refused")
    assert refusal.reason == "handed_on"
    page = sent.agent.client.get(sent.own).text
    assert "<dd><q>To apply for a childcare grant</q></dd>" in page, "quoted: it was put to the citizen"
    barcode = sent.show()
    answer = announce(office, barcode)
    assert answer.status_code == 200, answer.text
    assert (answer.get_json()["name"], answer.get_json()["agent_name"]) == ("測○○○甲", "測○○○乙")
    assert sent.visit.code() is None
    code = sent.code()
    page = sent.citizen.client.get(sent.visit.path).text
    assert "測○○○乙 goes to Sample District Office for you" in page
    assert str(code) not in page
    body = redeem(office, barcode, code).get_json()
    with writing(platform) as session:
        (agent_id,) = session.execute(select(Citizen.id).where(Citizen.username == "citizen2")).scalars()
    secret = platform.app.extensions["mydata"].secret
    (clerk,) = rows(platform, Appointment, client_id=office.client_id)
    acting = {
        "sub": pairwise_subject(secret, office.client_id, clerk.citizen_id),
        "act": {"sub": pairwise_subject(secret, office.client_id, agent_id)},
    }
    assert body["act"] == acting
    token = body["authorization_details"][0]["access_token"]
    assert platform.proxy.post("/introspect", {"token": token}).get_json()["act"] == acting
    actor = f"desk:{office.client_id}/desk-1/{clerk.id}"
    assert told(platform, "citizen1", sent.visit.reference)[2:] == [
        ("counter.shown", "citizen"),
        ("delegation.invited", "citizen"),
        ("delegation.opened", "agent"),
        ("delegation.accepted", "agent"),
        ("delegation.confirmed", "citizen"),
        ("counter.refused", actor),
        ("delegation.shown", "agent"),
        ("delegation.announced", actor),
        ("delegation.redeemed", actor),
        ("token.issued", actor),
        ("token.issued", actor),
    ]
    assert told(platform, "citizen2", sent.visit.reference) == [
        ("agent.opened", "citizen"),
        ("agent.accepted", "citizen"),
        ("agent.confirmed", "principal"),
        ("agent.shown", "citizen"),
        ("counter.announced", actor),  # which is what brings the code to whoever has the barcode
        ("agent.redeemed", actor),
    ]
    assert "The barcode was accepted on" in sent.agent.client.get(sent.own).text
    assert "barcode and one-time code were accepted" in sent.citizen.client.get(sent.visit.path).text


def test_both_pages_say_how_far_it_has_come(platform: Platform, office: Bank) -> None:
    def says(page: str, words: str) -> bool:
        browser, path = (sent.citizen, sent.naming) if page == "citizen" else (sent.agent, sent.own)
        return words in browser.client.get(path).text

    with clock.frozen(clock.now()):
        sent = errand(platform, office)
        sent.invite()
        assert says("citizen", "Give this invitation to the person")
        clock.advance(timedelta(hours=1))
        sent = Errand(Visit(platform.citizen(), sent.visit.path), platform.citizen("citizen2"))
        assert says("citizen", "Nobody opened the last invitation in time.")
        sent.open(sent.invite())
        assert says("citizen", "has opened your invitation")
        assert says("agent", 'id="accept"')
        assert press(sent.agent, sent.own, "accept").status_code == 303
        assert says("citizen", "Let 測○○○乙 go for you?")
        assert not says("agent", 'id="accept"')
        assert not says("agent", 'id="show"')
        assert press(sent.citizen, sent.naming, "confirm").status_code == 303
        assert says("citizen", "測○○○乙 goes to Sample District Office for you")
        assert says("agent", 'id="show"')


def test_each_errand_goes_its_own_way(platform: Platform, office: Bank) -> None:
    invited, opened, accepted, there, going = (errand(platform, office) for _ in range(5))
    invited.invite()
    opened.open(opened.invite())
    accepted.accept()
    for sent in (there, going):
        sent.confirm()
    for sent in (there, going):
        barcode = sent.show()
        assert announce(office, barcode).status_code == 200
        assert redeem(office, barcode, sent.code()).status_code == 200
    assert press(accepted.agent, accepted.own, "end").status_code == 303
    steps = [told(platform, "citizen1", sent.visit.reference)[-1] for sent in (invited, opened, accepted)]
    assert steps == [("delegation.invited", "citizen"), ("delegation.opened", "agent"), ("delegation.ended", "agent")]


def test_a_visit_of_long_ago_still_says_when_the_barcode_of_its_agent_was_accepted(own_platform: Platform) -> None:
    with clock.frozen(clock.now()):
        sent = errand(own_platform, office := new_office(own_platform))
        sent.confirm()
        assert announce(office, barcode := sent.show()).status_code == 200
        assert redeem(office, barcode, sent.code()).status_code == 200
        clock.advance(timedelta(days=3))
        worker.purge(own_platform.engine, limits=own_platform.settings.limits)
        assert not rows(own_platform, Barcode)
        page = own_platform.citizen().client.get(sent.visit.path).text
    assert "Your barcode was accepted on" in page


def test_an_errand_of_long_ago_tells_its_agent_what_became_of_it(own_platform: Platform) -> None:
    """Messages go on leading there."""
    with clock.frozen(clock.now()):
        sent = errand(own_platform, office := new_office(own_platform))
        sent.confirm()
        assert announce(office, barcode := sent.show()).status_code == 200
        assert redeem(office, barcode, sent.code()).status_code == 200
        elsewhere = new_office(own_platform, name={"zh": "別的區公所", "en": "Another District Office"})
        assert refused(announce(elsewhere, barcode))
        clock.advance(timedelta(days=3))
        worker.purge(own_platform.engine, limits=own_platform.settings.limits)
        assert not rows(own_platform, Delegation)
        agent = own_platform.citizen("citizen2").client
        page = agent.get(sent.own)
        assert (page.status_code, agent.post(sent.own).status_code) == (410, 410)
        assert agent.get(f"{sent.own}/state?unattended").status_code == 410
        for other in (own_platform.citizen(), own_platform.citizen(new_citizen(own_platform))):
            assert other.client.get(sent.own).status_code == 404, "whoever they went for is no agent either"
        agent.get("/?lang=zh-TW")
        assert "替別人去樣本區公所" in agent.get(sent.own).text
    assert "To Sample District Office for somebody else" in page.text
    assert "The barcode and one-time code that you brought for somebody were accepted" in page.text


def test_a_wrong_code_tells_the_agent_what_to_do_and_the_citizen_only_what_it_was(
    platform: Platform, office: Bank
) -> None:
    sent = errand(platform, office)
    sent.confirm()
    barcode = sent.show()
    assert announce(office, barcode).status_code == 200
    assert refused(redeem(office, barcode, f"{(int(sent.code() or 0) + 1) % 10**6:06}"))
    assert "Tell it once more, digit by digit. Tries left: 4;" in said(sent.agent.client.get(sent.own).text)
    assert said(sent.visit.page().text) == "Refused just now: The one-time code was wrong."


def test_the_agency_is_told_that_an_agent_acted(platform: Platform, office: Bank) -> None:
    sent = errand(platform, office)
    sent.confirm()
    barcode = sent.show()
    assert announce(office, barcode).status_code == 200
    detail = redeem(office, barcode, sent.code()).get_json()["authorization_details"][0]
    leased = platform.proxy.exchange(detail["access_token"], detail["dataset"], jkt=office.dpop_key.thumbprint)
    signed = jose.decrypt(leased.get_json()["access_token"], platform.agency_keys[AgencyId("ris")][1]).decode()
    keys = jose.parse_public_keys(orjson.loads(platform.browser().get("/jwks").data))
    ticket = jose.verify(signed, keys, algorithms=("ES256",), typ=agency_ticket.TYPE).claims
    assert (set(ticket["act"]), set(ticket["act"]["act"])) == ({"sub", "act"}, {"sub"})
    assert ticket["sub"] == NATIONAL_IDS["citizen1"]
    assert NATIONAL_IDS["citizen2"] not in str(ticket)


@pytest.mark.parametrize("who", ["citizen", "agent"])
def test_either_ends_it_and_the_agents_barcode_is_dead_at_once(platform: Platform, office: Bank, who: str) -> None:
    sent = errand(platform, office)
    sent.confirm()
    barcode = sent.show()
    assert announce(office, barcode).status_code == 200
    code = sent.code()
    browser, page = (sent.citizen, sent.naming) if who == "citizen" else (sent.agent, sent.own)
    assert press(browser, page, "end").status_code == 303
    assert refused(announce(office, barcode))
    assert refused(redeem(office, barcode, code))
    assert sent.code() is None
    assert "It is over" in sent.agent.client.get(sent.own).text
    press(sent.agent, sent.own, "show")
    assert 'id="typed"' not in sent.agent.client.get(sent.own).text
    own = sent.visit.show()
    assert announce(office, own).status_code == 200
    assert redeem(office, own, sent.visit.code()).status_code == 200
    assert "It is over" in sent.agent.client.get(sent.own).text, "and when the citizen went is nobody else's to know"
    for username in ("citizen1", "citizen2"):
        assert any(event.endswith(".ended") for event, _ in told(platform, username, sent.visit.reference))


def test_nothing_is_handed_over_before_both_have_said_yes(platform: Platform, office: Bank) -> None:
    sent = errand(platform, office)
    own = sent.visit.show()
    assert press(sent.citizen, sent.naming, "confirm").status_code == 303  # whom? nobody
    invitation = sent.invite()
    assert press(sent.citizen, sent.naming, "confirm").status_code == 409
    assert sent.open(invitation).status_code == 303
    assert press(sent.citizen, sent.naming, "confirm").status_code == 409
    assert press(sent.agent, sent.own, "show").status_code == 303
    assert press(sent.agent, sent.own, "accept").status_code == 303
    assert press(sent.agent, sent.own, "show").status_code == 303
    for name in ("qr.svg", "barcode.png", "barcode.pdf"):
        assert sent.agent.client.get(f"{sent.own}/{name}").status_code == 404
    assert announce(office, own).status_code == 200
    assert "agent.shown" not in dict(told(platform, "citizen2", sent.visit.reference))


def test_what_has_gone_on_meanwhile_is_said_on_top_and_not_at_the_number(platform: Platform, office: Bank) -> None:
    sent = errand(platform, office)
    sent.open(sent.invite())
    assert press(sent.agent, sent.own, "end").status_code == 303
    page = press(sent.citizen, sent.naming, "confirm")
    assert page.status_code == 409
    assert 'id="national_id"' in page.text
    assert "national_id-error" not in page.text


@pytest.mark.parametrize("step", ["confirm", "end"])
def test_a_page_that_names_an_earlier_agent_decides_on_nobody_else(platform: Platform, office: Bank, step: str) -> None:
    sent = errand(platform, office)
    sent.accept()
    earlier = hidden_fields(sent.citizen.client.get(sent.naming).text)
    assert press(sent.citizen, sent.naming, "end").status_code == 303
    username = new_citizen(platform)
    (other,) = rows(platform, Citizen, username=username)
    Errand(sent.visit, platform.citizen(username)).accept(other.national_id)
    page = sent.citizen.client.post(sent.naming, data=earlier | {"step": step})
    assert (page.status_code, "Let 測○○○丙 go for you?" in page.text) == (409, True), "who it is now, to be asked again"
    assert told(platform, username, sent.visit.reference)[-1] == ("agent.accepted", "citizen")


def test_an_agent_declines_and_the_citizen_may_ask_again(platform: Platform, office: Bank) -> None:
    sent = errand(platform, office)
    sent.open(invitation := sent.invite())
    assert press(sent.agent, sent.own, "end").status_code == 303
    assert ("delegation.declined", "agent") in told(platform, "citizen1", sent.visit.reference)
    assert sent.open(invitation).status_code == 400
    sent.confirm()
    assert announce(office, sent.show()).status_code == 200


def test_an_invitation_is_for_whom_it_names_for_a_while_and_nobody_else(platform: Platform, office: Bank) -> None:
    with clock.frozen(clock.now()):
        sent = errand(platform, office)
        invitation = sent.invite(NOBODYS)
        answers = [sent.open(invitation), sent.open("0000-0000-00000")]
        assert all(answer.status_code == 400 for answer in answers)
        assert answers[0].text.replace(invitation, "") == answers[1].text.replace("0000-0000-00000", "")
        assert ("delegation.tried", "stranger") in told(platform, "citizen1", sent.visit.reference)
        assert rows(platform, AuditEntry, transaction_id=sent.visit.reference, citizen_id=None) == []
        assert told(platform, "citizen2", sent.visit.reference) == []
        assert press(sent.citizen, sent.naming, "end").status_code == 303
        clock.advance(timedelta(seconds=1))
        late = sent.invite()
        clock.advance(timedelta(hours=1))
        sent = Errand(Visit(platform.citizen(), sent.visit.path), platform.citizen("citizen2"))
        assert sent.open(late).status_code == 400
        sent.confirm()
        assert announce(office, sent.show()).status_code == 200


def test_an_invitation_that_was_opened_leads_there_again_until_it_is_over(platform: Platform, office: Bank) -> None:
    with clock.frozen(clock.now()):
        sent = errand(platform, office)
        sent.confirm()
        invitation = reinvited(sent)
        again = sent.open(invitation)
        assert (again.status_code, again.location) == (303, sent.own)
        stranger = platform.citizen(new_citizen(platform))
        assert sent.open(invitation, stranger).status_code == 400
        steps = told(platform, "citizen1", sent.visit.reference)
        assert steps.count(("delegation.opened", "agent")) == 2
        assert ("delegation.tried", "stranger") not in steps, "it is of no use to anybody any more"


def reinvited(sent: Errand) -> str:
    """End it, and invite the same agent again, who opens it; the invitation."""
    assert press(sent.citizen, sent.naming, "end").status_code == 303
    clock.advance(timedelta(seconds=1))
    invitation = sent.invite()
    assert sent.open(invitation).status_code == 303
    return invitation


def test_who_is_named_and_comes_too_late_is_no_stranger(platform: Platform, office: Bank) -> None:
    with clock.frozen(clock.now()):
        agent = new_agent(platform)
        sent = Errand(agree(platform, office), platform.citizen(agent.username))
        invitation = sent.invite(agent.national_id)
        clock.advance(timedelta(hours=1))
        assert sent.open(invitation, platform.citizen(agent.username)).status_code == 400
        assert told(platform, "citizen1", sent.visit.reference)[-1] == ("delegation.invited", "citizen")


def test_while_somebody_is_named_nobody_else_is_invited(platform: Platform, office: Bank) -> None:
    with clock.frozen(clock.now()):
        sent, national_id = errand(platform, office), {"national_id": NOBODYS}
        invitation = sent.invite()
        clock.advance(timedelta(seconds=1))
        form = hidden_fields(sent.citizen.client.get(sent.naming).text) | national_id | {"step": "invite"}
        assert sent.citizen.client.post(sent.naming, data=form).status_code == 409
        assert sent.open(invitation).status_code == 303
        clock.advance(timedelta(hours=1))
        late = Errand(Visit(platform.citizen(), sent.visit.path), platform.citizen("citizen2"))
        assert press(late.citizen, late.naming, "invite", **national_id).status_code == 409
        assert press(late.agent, late.own, "accept").status_code == 303
        steps = told(platform, "citizen1", sent.visit.reference)
    assert [event for event, _ in steps].count("delegation.invited") == 1


def test_an_invitation_is_shown_only_to_the_session_that_made_it(platform: Platform, office: Bank) -> None:
    sent = errand(platform, office)
    sent.invite()
    assert 'id="invitation"' not in platform.citizen().client.get(sent.naming).text


def test_a_citizen_who_takes_an_invitation_back_goes_with_the_barcode_of_before(
    platform: Platform, office: Bank
) -> None:
    sent = errand(platform, office)
    barcode = sent.visit.show()
    opened = errand(platform, office)
    sent.invite()
    opened.open(opened.invite())
    for one in (sent, opened):
        assert press(one.citizen, one.naming, "end").status_code == 303
        (*_, last) = told(platform, "citizen1", one.visit.reference)
        assert last == ("delegation.ended", "citizen")
        of_nobody = rows(platform, AuditEntry, transaction_id=one.visit.reference, citizen_id=None)
        assert of_nobody == []
    assert announce(office, barcode).status_code == 200


def test_an_agent_sees_whom_they_go_for_and_nobody_elses_errands(platform: Platform, office: Bank) -> None:
    agents = [new_agent(platform), new_agent(platform)]
    sent, others = (Errand(agree(platform, office), platform.citizen(agent.username)) for agent in agents)
    for one, agent in zip((sent, others), agents, strict=True):
        one.accept(agent.national_id)
    page = sent.agent.client.get("/agent").text
    assert sent.own in page
    assert others.own not in page


def test_the_record_is_told_once_how_an_errand_ended_and_not_before(own_platform: Platform) -> None:
    def ends(reference: str) -> list[tuple[str | None, str]]:
        found = rows(own_platform, AuditEntry, transaction_id=reference, event="delegation.ended")
        return [(one.reason, one.actor) for one in found]

    office = new_office(own_platform)
    with clock.frozen(clock.now()):
        invited, going, used, frozen, over = (errand(own_platform, office) for _ in range(5))
        agent = new_agent(own_platform)
        frozen = Errand(frozen.visit, own_platform.citizen(agent.username))
        frozen.confirm(agent.national_id)
        invited.invite()
        for sent in (going, used, over):
            sent.confirm()
        assert announce(office, barcode := used.show()).status_code == 200
        assert redeem(office, barcode, used.code()).status_code == 200
        with writing(own_platform) as session:
            session.execute(update(Citizen).where(Citizen.id == agent.id).values(frozen_at=clock.now()))
        stop = f"/consent/{over.visit.reference}/stop"
        over.citizen.client.post(stop, data=hidden_fields(over.citizen.client.get(stop).text))
        for _ in range(2):
            worker.tick(own_platform.engine, now=clock.now())
            assert [ends(one.visit.reference) for one in (invited, going, used)] == [[], [], []]
            assert ends(frozen.visit.reference) == [("agent_held", "worker")]
            assert ends(over.visit.reference) == [("consent_ended", "worker")]
        assert announce(office, going.show()).status_code == 200
        clock.advance(timedelta(hours=8))
        for _ in range(2):
            worker.tick(own_platform.engine, now=clock.now())
        assert [ends(one.visit.reference) for one in (invited, used)] == [[], []]
        assert ends(going.visit.reference) == [("consent_ended", "worker")]
    assert rows(own_platform, AuditEntry, event="delegation.ended", citizen_id=None) == []


def test_nobody_names_themselves_or_a_number_that_is_none(platform: Platform, office: Bank) -> None:
    sent = errand(platform, office)
    for number, told_why in (("A123456788", "Type the whole number"), (NATIONAL_IDS["citizen1"], "your own number")):
        answer = press(sent.citizen, sent.naming, "invite", national_id=number)
        assert (answer.status_code, told_why in answer.text) == (400, True)
    assert told(platform, "citizen1", sent.visit.reference)[2:] == []


def test_guessing_at_invitations_locks_the_guesser_alone(own_platform: Platform) -> None:
    office = new_office(own_platform)
    with clock.frozen(clock.now()):
        sent = errand(own_platform, office)
        invitation = sent.invite()
        for _ in range(5):
            assert sent.open("0000-0000-0000").status_code == 400
        assert sent.open(invitation).status_code == 429
        clock.advance(timedelta(minutes=15))
        assert sent.open(invitation).status_code == 303


def test_the_pages_are_of_the_two_and_of_nobody_else(platform: Platform, office: Bank) -> None:
    sent = errand(platform, office)
    assert sent.agent.client.get(sent.own).status_code == 404
    sent.confirm()
    sent.show()
    for page in (sent.own, f"{sent.own}/qr.svg", f"{sent.own}/state"):
        assert sent.citizen.client.get(page).status_code == 404
    assert sent.agent.client.get(sent.naming).status_code == 404
    assert sent.agent.client.get(sent.visit.path).status_code == 404
    for path in (sent.naming, sent.own):
        assert sent.citizen.client.post(path, data={"step": "end", "csrf": "x"}).status_code in {403, 404}
        assert sent.agent.client.post(path, data={"step": "end", "csrf": "x"}).status_code in {403, 404}
    # Signed in, but more weakly than the citizen was.
    weak = platform.citizen("citizen2", level=3)
    for page in (sent.own, f"{sent.own}/qr.svg", f"{sent.own}/state"):
        answer = weak.client.get(page)
        assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/sign-in")
    # Another browser of the agent has no barcode of this one.
    assert platform.citizen("citizen2").client.get(f"{sent.own}/qr.svg").status_code == 404


@pytest.mark.parametrize("step", ["invite", "open", "accept", "show", "give back", "confirm", "end"])
def test_who_is_signed_out_while_the_request_is_under_way_hands_nothing_over(
    own_platform: Platform, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    sent = errand(own_platform, new_office(own_platform))
    own = step in ("invite", "confirm", "end")
    browser, path = (sent.citizen, sent.naming) if own else (sent.agent, sent.own)
    fields = {"national_id": NATIONAL_IDS["citizen2"]} if step == "invite" else {}
    if step == "open":
        path, fields = "/agent", {"invitation": sent.invite()}
    elif step == "accept":
        sent.open(sent.invite())
    elif step == "confirm":
        sent.accept()
    elif step != "invite":
        sent.confirm()
    form = hidden_fields(browser.client.get(path).text) | fields | {"step": "end" if step == "give back" else step}
    before = shut_out_once_seen(monkeypatch, own_platform, "citizen1" if own else "citizen2", "signed out")
    answer = browser.client.post(path, data=form)
    assert (answer.status_code, answer.location) == (303, path)
    assert everything(own_platform) == before[0]


def test_the_statement_itself_takes_no_barcode_of_who_may_not_have_it(platform: Platform, office: Bank) -> None:
    """After it was judged, when only the statement is left to refuse it."""
    sent = errand(platform, office)
    sent.confirm()
    sent.show()
    of_visit = rows(platform, Barcode, transaction_id=sent.visit.reference)
    (shown,) = (row for row in of_visit if row.agent_id and row.expires_at > row.shown_at)
    entry = Entry(at=clock.now(), event="counter.announced", success=True, actor="desk")
    at_desk = {"office": office.client_id, "counter": None, "clerk": None, "now": clock.now()}
    known: Any = {"barcode": shown.digest, "until": clock.now() + timedelta(minutes=2), **at_desk}
    agent = update(Citizen).where(Citizen.username == "citizen2")
    with Session(platform.engine) as session:  # never committed
        session.execute(agent.values(frozen_at=clock.now()))
        assert desk.ANNOUNCE.run(session, entry=entry, rows=[[]], **known) == []
        session.execute(agent.values(frozen_at=None))
        session.execute(update(Barcode).where(Barcode.digest == shown.digest).values(agent_id=None))
        assert desk.ANNOUNCE.run(session, entry=entry, rows=[[]], **known) == [], "of the citizen, who has an agent"
        session.execute(update(Barcode).where(Barcode.digest == shown.digest).values(agent_id=shown.agent_id))
        assert len(desk.ANNOUNCE.run(session, entry=entry, rows=[[]], **known)) == 1


@pytest.mark.parametrize("gone", ["agent frozen", "citizen suspended", "stopped"])
def test_whoever_is_stopped_ends_it_for_good(own_platform: Platform, gone: str) -> None:
    office = new_office(own_platform)
    with clock.frozen(clock.now()):
        sent = errand(own_platform, office)
        sent.confirm()
        barcode = sent.show()
        assert announce(office, barcode).status_code == 200
        code = sent.code()
        if gone == "stopped":
            stop = f"/consent/{sent.visit.reference}/stop"
            sent.citizen.client.post(stop, data=hidden_fields(sent.citizen.client.get(stop).text))
        else:
            who, how = gone.split()
            username = {"agent": "citizen2", "citizen": "citizen1"}[who]
            column = {"frozen": Citizen.frozen_at, "suspended": Citizen.suspended_at}[how]
            with writing(own_platform) as session:
                session.execute(update(Citizen).where(Citizen.username == username).values({column: clock.now()}))
        assert refused(announce(office, barcode))
        assert refused(redeem(office, barcode, code))
        worker.tick(own_platform.engine, now=clock.now())
        assert ("delegation.ended", "worker") in told(own_platform, "citizen1", sent.visit.reference)
        assert ("agent.ended", "worker") in told(own_platform, "citizen2", sent.visit.reference)
        if gone == "agent frozen":
            with writing(own_platform) as session:
                session.execute(update(Citizen).values(frozen_at=None))
            assert refused(redeem(office, barcode, code))


def test_both_are_told_and_the_code_goes_to_the_agent_alone(own_platform: Platform) -> None:
    office = new_office(own_platform)
    sent = errand(own_platform, office)
    sent.confirm()
    barcode = sent.show()
    announce(office, barcode)
    code = sent.code()
    assert redeem(office, barcode, code).status_code == 200
    worker.tick(own_platform.engine, now=clock.now())
    messages = {
        name: unescape(browser.client.get("/messages").text)
        for name, browser in (("citizen", sent.citizen), ("agent", sent.agent))
    }
    for title in (
        "Your agent accepted: please confirm",
        "You let an agent go to Sample District Office for you",
        "Your agent's barcode was accepted at a counter of Sample District Office",
    ):
        assert title in messages["citizen"]
        assert title not in messages["agent"]
    for title in (
        "You can go to Sample District Office for somebody now",
        "The barcode that you brought for somebody was accepted",
    ):
        assert title in messages["agent"]
        assert title not in messages["citizen"]
    link = re.search(r'href="(/messages/[0-9]+)"[^>]*>[^<]*You can go to', messages["agent"])
    assert link is not None
    letter = sent.agent.client.get(link[1]).text
    assert f"/agent/{sent.visit.reference}" in letter
    assert "Property" not in letter


def test_nothing_at_rest_says_who_was_named_or_opens_anything(
    own_platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    office = new_office(own_platform)
    sent = errand(own_platform, office)
    invitation = sent.invite(NOBODYS)
    kept = str(everything(own_platform)) + caplog.text
    for secret in (invitation, invitation.replace("-", ""), NOBODYS):
        assert secret not in kept
