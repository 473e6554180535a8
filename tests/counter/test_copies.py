"""What a desk may do with data beside showing it: as its office registered and the citizen read; each is recorded."""

from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server.audit.models import AuditEntry
from authz_server.clients.models import Client
from authz_server.core import clock
from authz_server.identity.models import Citizen
from tests.counter.office import Office, Visit, agree, announce, new_office, redeem
from tests.support.platform import Platform, hidden_fields, new_key
from tests.support.protocol import new_citizen, refused, rows, services_of, writing

BOTH = ["print", "save"]
PERSONAL = "ris.personal"


def fetched(platform: Platform, office: Office, *, deliver: bool = True) -> tuple[Visit, dict[str, Any]]:
    """A visit of a citizen of its own, whose first dataset was delivered; with the token response."""
    visit = agree(platform, office, platform.citizen(new_citizen(platform)))
    barcode = visit.show()
    assert announce(office, barcode).status_code == 200
    body = redeem(office, barcode, visit.code()).get_json()
    token, jkt = body["authorization_details"][0]["access_token"], office.dpop_key.thumbprint
    lease = platform.proxy.exchange(token, PERSONAL, jkt=jkt).get_json()["lease"]
    for outcome in ("delivering", "delivered") if deliver else ("delivering",):
        assert platform.proxy.report(lease, outcome).status_code == 204
    return visit, body


def report(office: Office, visit: Visit, used: str, **changes: Any) -> TestResponse:
    actor = office.actor() if "actor_token" not in changes else {}
    form = {"transaction": visit.reference, "dataset": PERSONAL, "action": used, "counter": "desk-1"}
    return office.post("/copies", actor | form | changes, {"DPoP": office.proof("POST", f"{office.issuer}/copies")})


def copies_of(platform: Platform, visit: Visit) -> list[tuple[str, str]]:
    entries = rows(platform, AuditEntry, transaction_id=visit.reference)
    return [(entry.event, entry.dataset_id) for entry in entries if entry.event.startswith("copy.")]


def test_a_desk_that_may_prints_and_saves_and_the_citizen_reads_who_did(platform: Platform) -> None:
    visit, body = fetched(platform, office := new_office(platform, desk_may=["save", "print"]))
    assert [detail["actions"] for detail in body["authorization_details"]] == [BOTH, BOTH]
    for action in BOTH:
        answer = report(office, visit, action)
        assert (answer.status_code, answer.data) == (204, b"")
    assert copies_of(platform, visit) == [("copy.printed", PERSONAL), ("copy.saved", PERSONAL)]
    browser = visit.citizen.client
    for page in map(unescape, (visit.page().text, browser.get("/record").text)):
        assert 'Sample District Office printed "Personal household registration"' in page
        assert 'Sample District Office saved a copy of "Personal household registration"' in page
        assert "Counter 1, Sample District Office, clerk 測○○○丙" in page
    assert "樣本區公所列印了「" in browser.get("/record?lang=zh-TW").text


@pytest.mark.parametrize(("may", "said"), [([], (False, False)), (["print"], (True, False)), (["save"], (False, True))])
def test_the_citizen_reads_what_the_desk_may_before_agreeing_and_nothing_else_is_recorded(
    platform: Platform, may: list[str], said: tuple[bool, bool]
) -> None:
    visit, body = fetched(platform, office := new_office(platform, desk_may=may))
    assert body["authorization_details"][0].get("actions", []) == may
    receipt = visit.citizen.client.get(f"/consent/{visit.reference}/receipt.json").text
    assert ("The clerk may print it." in receipt, "so that the office keeps a copy" in receipt) == said
    assert ("your record says so, and who did it" in receipt) == any(said)
    for action in BOTH:
        if action not in may:
            refused(report(office, visit, action), 403, "access_denied")
    assert copies_of(platform, visit) == []


def registered_otherwise(platform: Platform, office: Office, _visit: Visit) -> dict[str, Any]:
    with writing(platform) as session:
        session.execute(update(Client).where(Client.client_id == office.client_id).values(desk_may=["save"]))
    services_of(platform).registry.reload()
    return {}


def frozen(platform: Platform, _office: Office, visit: Visit) -> dict[str, Any]:
    with Session(platform.engine) as session, session.begin():
        of_citizen = Citizen.username == visit.citizen.username
        session.execute(update(Citizen).where(of_citizen).values(frozen_at=clock.now()))
    return {}


def stopped(_platform: Platform, _office: Office, visit: Visit) -> dict[str, Any]:
    return confirm(visit, "stop")


def to_be_erased(_platform: Platform, _office: Office, visit: Visit) -> dict[str, Any]:
    return confirm(visit, "erase")


def confirm(visit: Visit, step: str) -> dict[str, Any]:
    path = f"/consent/{visit.reference}/{step}"
    answer = visit.citizen.client.post(path, data=hidden_fields(visit.citizen.client.get(path).text))
    assert answer.status_code == 303, answer.text
    return {}


def another_key(_platform: Platform, office: Office, _visit: Visit) -> dict[str, Any]:
    office.dpop_key = new_key()
    return {}


REFUSED: dict[str, Callable[[Platform, Office, Visit], dict[str, Any]]] = {
    "unknown transaction": lambda *_: {"transaction": "T7K2M-9QXA-4F3C"},
    "unknown dataset": lambda *_: {"dataset": "ris.nothing"},
    "not delivered": lambda *_: {"dataset": "fia.property"},
    "another desk's": another_key,
    "no longer registered": registered_otherwise,
    "stopped": stopped,
    "to be erased": to_be_erased,
    "frozen": frozen,
}


@pytest.mark.parametrize("cause", REFUSED)
def test_whatever_speaks_against_it_the_answer_is_the_same_and_nothing_is_recorded(
    platform: Platform, cause: str
) -> None:
    visit, _ = fetched(platform, office := new_office(platform, desk_may=BOTH))
    changes = REFUSED[cause](platform, office, visit)
    refused(report(office, visit, "print", **changes), 403, "access_denied")
    assert copies_of(platform, visit) == []


def test_another_office_a_delivery_under_way_and_a_desk_of_yesterday_are_refused_too(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        visit, _ = fetched(platform, office := new_office(platform, desk_may=BOTH))
        other = new_office(platform, desk_may=BOTH)
        refused(report(other, visit, "print"), 403, "access_denied")
        other.dpop_key = office.dpop_key
        refused(report(other, visit, "print"), 403, "access_denied")
        begun, _ = fetched(platform, office, deliver=False)
        refused(report(office, begun, "print"), 403, "access_denied")
        clock.advance(timedelta(hours=8))
        refused(report(office, visit, "print"), 403, "access_denied")
    assert copies_of(platform, visit) + copies_of(platform, begun) == []


def test_what_the_citizen_did_not_read_is_refused_though_the_office_may_do_it_now(platform: Platform) -> None:
    visit, _ = fetched(platform, office := new_office(platform, desk_may=["print"]))
    with writing(platform) as session:
        session.execute(update(Client).where(Client.client_id == office.client_id).values(desk_may=BOTH))
    services_of(platform).registry.reload()
    refused(report(office, visit, "save"), 403, "access_denied")
    assert report(office, visit, "print").status_code == 204


def test_an_office_that_was_suspended_in_this_moment_copies_nothing(platform: Platform) -> None:
    """One without named clerks: else its clerk's token is worth nothing already."""
    office = new_office(platform, desk_may=BOTH, named_clerks=False)
    office.actor = dict
    visit, _ = fetched(platform, office)
    with Session(platform.engine) as session, session.begin():  # before this process's registry has looked
        session.execute(update(Client).where(Client.client_id == office.client_id).values(suspended_at=clock.now()))
    refused(report(office, visit, "print"), 403, "access_denied")
    assert copies_of(platform, visit) == []


NO_REPORTS: tuple[tuple[dict[str, Any], int, str], ...] = (
    ({"action": "sell"}, 400, "invalid_request"),
    ({"action": None}, 400, "invalid_request"),
    ({"counter": "desk-9"}, 400, "invalid_request"),
    ({"dataset": None}, 400, "invalid_request"),
    ({"transaction": "x" * 5000}, 403, "access_denied"),
    ({"actor_token": None}, 400, "login_required"),
    ({"actor_token": "mdk_x", "actor_token_type": "x"}, 400, "invalid_request"),
)


def test_a_report_that_is_none_is_refused(platform: Platform) -> None:
    visit, _ = fetched(platform, office := new_office(platform, desk_may=BOTH))
    for changes, status, error in NO_REPORTS:
        refused(report(office, visit, "print", **changes), status, error)
    assert copies_of(platform, visit) == []


def test_a_report_is_good_once_and_needs_a_proof(platform: Platform) -> None:
    visit, _ = fetched(platform, office := new_office(platform, desk_may=BOTH))
    form = office.actor() | {
        "transaction": visit.reference, "dataset": PERSONAL, "action": "print", "counter": "desk-1",
        "client_assertion": office.assertion(),
    }  # fmt: skip
    proof = {"DPoP": office.proof("POST", f"{office.issuer}/copies")}
    refused(office.post("/copies", form | {"client_assertion": office.assertion()}), 400, "invalid_dpop_proof")
    assert office.post("/copies", form, proof).status_code == 204
    refused(office.post("/copies", form, proof), 401, "invalid_client")
    assert len(copies_of(platform, visit)) == 1
