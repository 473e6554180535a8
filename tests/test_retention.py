"""The clock is moved past every limit, one after the other: what should go goes then, and nothing else ever."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authz_server import leaving, worker
from authz_server.clients import heartbeats, own_requests
from authz_server.clients import service as clients
from authz_server.clients.models import ClientRequest
from authz_server.consent import correction
from authz_server.consent.models import Consent, Preparation
from authz_server.core import clock
from authz_server.core.identifiers import new_transaction_id
from authz_server.core.secrets import digest, new_id
from authz_server.counter.appointments import CLERK
from authz_server.counter.models import Appointment, Barcode, Delegation, DeskSession
from authz_server.database import Base
from authz_server.identity import browsers, challenges, contact, credentials
from authz_server.identity.browsers import Browser
from authz_server.identity.models import Citizen, Credential
from authz_server.installation import check_secret
from authz_server.notices import inbox
from authz_server.notices.models import NoticeChoice
from tests.support.platform import Platform
from tests.support.protocol import everything, new_citizen, opened, rows, writing

# In words of its own, so that a line of the rules is not changed by mistake: after which time a row goes, days later.
GOES: dict[str, tuple[str, float]] = {
    "sign_in_attempt": ("window_started_at", 3),
    "identity_challenge": ("expires_at", 1 / 24),
    "citizen_session": ("expires_at", 1),
    "known_browser": ("last_used_at", 365),
    "credential": ("removed_at", 1),
    "authorization_code": ("expires_at", 1),
    "access_token": ("expires_at", 1),
    "dataset_token": ("expires_at", 1),
    "authorization_request": ("deadline_at", 1),
    "contact_change": ("created_at", 30),
    "notice": ("created_at", 365),
    "audit_entry": ("at", 730),
    "anomaly": ("at", 730),
    "barcode": ("shown_at", 1),
    "preparation": ("until", 1),
    "delegation": ("invited_at", 1),
    "desk_session": ("expires_at", 1),
    "appointment": ("ended_at", 730),
    "consent": ("decided_at", 730),
    "refusal": ("decided_at", 730),
    "client_request": ("at", 1),
    "correction": ("requested_at", 730),
    "citizen": ("left_at", 730),
}
STAYS = {"notice_choice", "client", "agency", "agency_state", "suspended_dataset", "registry_version"}
STAYS |= {"anomaly_watch", "installation"}
RING = {f"used_identifier_{number}" for number in range(3)}  # emptied as a whole: single_use/test_buckets.py
A_MOMENT = timedelta(microseconds=1)
TABLES = {table.name: table for table in Base.metadata.sorted_tables}
Row = dict[str, Any]


@pytest.fixture
def world(own_platform: Platform) -> Iterator[Platform]:
    """A platform on which everything has happened that leaves rows behind, some of it twice, some hours apart."""
    with clock.frozen(clock.now()):
        for _ in range(2):
            live(own_platform)
            clock.advance(timedelta(hours=5))
        with writing(own_platform) as session:
            check_secret(session, bytes(32))
            number = session.scalars(select(Citizen.id).where(Citizen.username == "citizen2")).one()
            leaving.leave(session, number, actor="citizen", settings=own_platform.settings, now=clock.now())
        worker.tick(own_platform.engine, now=clock.now())
        yield own_platform


def live(platform: Platform) -> None:
    """A consent that is used, one that is refused, a request that nobody answers; and what a citizen does beside."""
    citizen, now = platform.citizen("citizen2"), clock.now()
    grant_id = platform.tokens(platform.detail("ris.personal"))["grant_id"]
    for refuses in (citizen, platform.citizen()):
        asked = platform.bank.push(platform.detail("ris.personal"))
        refuses.decide(opened(refuses, platform.bank, asked), "deny")
    opened(platform.citizen(), platform.bank, platform.bank.push())
    stranger = platform.citizen(signed_in=False)
    stranger.username = "nobody"
    assert stranger.sign_in().status_code == 400
    with writing(platform) as session:
        number = session.scalars(select(Citizen.id).where(Citizen.username == "citizen1")).one()
        limits = platform.settings.limits
        consent = session.get_one(Consent, grant_id)
        session.add(
            Barcode(
                digest=digest(grant_id),
                short_digest=digest(f"short {grant_id}"),
                consent_id=grant_id,
                transaction_id=consent.transaction_id,
                citizen_id=number,
                client_id=consent.client_id,
                shown_at=now,
                expires_at=now,
            )
        )
        own: Any = {"client_id": consent.client_id, "method": "POST", "endpoint": "/par", "status": 201}
        own_requests.keep(session, ClientRequest(at=now, **own))
        owner: Any = {"consent_id": grant_id, "transaction_id": consent.transaction_id, "citizen_id": number}
        of_agency: Any = {"client_id": consent.client_id, "agency_id": "fia", "dataset_id": "fia.income"}
        session.add(Preparation(id=grant_id, position=0, asked_at=now, until=now, **owner, **of_agency))
        session.add(
            Delegation(
                digest=digest(f"invitation {grant_id}"),
                named="x",
                consent_id=grant_id,
                transaction_id=consent.transaction_id,
                citizen_id=number,
                client_id=consent.client_id,
                invited_at=now,
                expires_at=now,
            )
        )
        work(session, number, now=now)
        browsers.recognise(session, number, Browser(secret=f"browser {now}"), now=now)
        inbox.choose(session, number, "email", wanted=True)
        about = {"transaction_id": new_transaction_id(), "client_id": "jia-bank", "consent_id": "none"}
        of = {"agency_id": "ris", "dataset_id": "ris.personal", "field_id": "name"}
        wanted = correction.Wanted(citizen_id=number, **about, **of)
        correction.request(session, new_id(), wanted, sealed="x", now=now)
        contact.propose(session, number, "email", "new@citizen.example", limits=limits, now=now)
        for name in ("taken away", "in force"):
            values: Any = {"external_id": f"{name} {now}", "label": name, "data": {}}
            added = credentials.add(session, number, method="passkey", now=now, **values)
            if name == "taken away" and added is not None:
                credentials.remove(session, number, added, now=now)
        challenges.issue(
            session, method="passkey", kind="sign_in", browser="b", payload={}, ttl=timedelta(minutes=5), now=now
        )
        clients.suspend_dataset(session, "fia.income", catalogue=platform.catalogue, now=now)
        heartbeats.beat(session, "fia", heartbeats.Said(maintenance=False, at=now), now=now)
    worker.tick(platform.engine, now=now)


def work(session: Session, citizen_id: int, *, now: datetime) -> None:
    """Be appointed, sign in at a desk, and be dismissed."""
    appointed = Appointment(
        client_id="jia-bank", citizen_id=citizen_id, role=CLERK, appointed_at=now, appointed_by=None, ended_at=now
    )
    session.add(appointed)
    session.flush()
    session.add(
        DeskSession(
            code_digest=digest(f"desk {now}"), appointment_id=appointed.id, citizen_id=citizen_id,
            client_id="jia-bank", redirect_uri="", code_challenge="", dpop_jkt=None, nonce=None, acr="", amr=[],
            auth_time=now, code_expires_at=now, expires_at=now,
        )
    )  # fmt: skip


def due(name: str, row: Row) -> datetime | None:
    """The last moment of a row, None if it stays."""
    column, days = GOES.get(name, ("", 0))
    at = row.get(column)
    return at + timedelta(days=days) if at is not None else None


def left(before: dict[str, list[Row]], now: datetime) -> dict[str, list[Row]]:
    """What must be there at that moment."""
    kept: dict[str, list[Row]] = {}
    for name, of_table in before.items():
        ends = [(row, due(name, row)) for row in of_table]
        kept[name] = [row for row, end in ends if end is None or end >= now]
    return kept


def test_every_table_is_spoken_of() -> None:
    assert {*GOES, *STAYS, *RING} == set(TABLES)


def test_each_row_goes_when_its_time_is_over_and_no_other_goes_with_it(world: Platform) -> None:
    before = everything(world)
    assert [name for name, of_table in before.items() if not of_table and name not in RING] == []
    moments = sorted({end for name, of_table in before.items() for row in of_table if (end := due(name, row))})
    assert {name for name, of_table in before.items() for row in of_table if due(name, row)} == set(GOES)
    for moment in moments:
        for now in (moment, moment + A_MOMENT):
            with clock.frozen(now):
                worker.purge(world.engine, limits=world.settings.limits)
            expected, there = left(before, now), everything(world)
            for name in TABLES.keys() - RING:
                assert there[name] == expected[name], f"{name}, {now - clock.now()} later"
    assert {name for name, of_table in everything(world).items() if of_table} - RING == {
        *STAYS,
        "citizen",
        "credential",
    }


def test_the_record_is_kept_as_long_as_the_settings_say(world: Platform) -> None:
    limits = replace(world.settings.limits, record_days=1000)
    clock.advance(timedelta(days=999))
    worker.purge(world.engine, limits=limits)
    there = everything(world)
    assert there["audit_entry"]
    assert there["consent"]
    clock.advance(timedelta(days=2))
    worker.purge(world.engine, limits=limits)
    there = everything(world)
    assert there["audit_entry"] == there["consent"] == there["anomaly"] == []


def test_an_entry_stays_as_long_as_a_message_about_it_which_was_made_late(own_platform: Platform) -> None:
    limits = replace(own_platform.settings.limits, record_days=365)
    noon = clock.now().replace(hour=4) + timedelta(days=1)  # in Taiwan: no hour to be told of
    with clock.frozen(noon):
        own_platform.code()
        clock.advance(timedelta(days=300))
        worker.tick(own_platform.engine, now=clock.now())  # no worker ran before
        assert everything(own_platform)["notice"]
        clock.advance(timedelta(days=66))
        worker.purge(own_platform.engine, limits=limits)
        noticed = {row["audit_entry_id"] for row in everything(own_platform)["notice"]}
        early = clock.now() - timedelta(days=200)
        entries = {row["id"]: row["at"] < early for row in everything(own_platform)["audit_entry"]}
        kept = {entry for entry, is_early in entries.items() if is_early}
        assert kept
        assert kept == noticed - {entry for entry, is_early in entries.items() if not is_early}
        clock.advance(timedelta(days=300))
        worker.purge(own_platform.engine, limits=limits)
        assert everything(own_platform)["notice"] == everything(own_platform)["audit_entry"] == []


def test_who_has_left_stays_as_a_number_as_long_as_an_appointment_of_theirs(own_platform: Platform) -> None:
    username, limits = new_citizen(own_platform), own_platform.settings.limits
    (citizen,) = rows(own_platform, Citizen, username=username)
    with writing(own_platform) as session:
        leaving.leave(session, citizen.id, actor="citizen", settings=own_platform.settings, now=clock.now())
        session.add(
            Appointment(
                client_id=own_platform.bank.client_id,
                citizen_id=citizen.id,
                role=CLERK,
                appointed_at=clock.now(),
                appointed_by=None,
            )
        )
    later = clock.now() + timedelta(days=1000)
    worker.purge(own_platform.engine, limits=limits, time=lambda: later)
    assert len(rows(own_platform, Citizen, id=citizen.id)) == 1
    with writing(own_platform) as session:
        session.execute(update(Appointment).values(ended_at=clock.now()))
    worker.purge(own_platform.engine, limits=limits, time=lambda: later)
    assert rows(own_platform, Citizen, id=citizen.id) == []


def test_what_was_added_of_somebody_who_left_is_erased_however_long_no_worker_ran(own_platform: Platform) -> None:
    username, limits = new_citizen(own_platform), own_platform.settings.limits
    (citizen,) = rows(own_platform, Citizen, username=username)
    with clock.frozen(clock.now()):
        with writing(own_platform) as session:
            leaving.leave(session, citizen.id, actor="citizen", settings=own_platform.settings, now=clock.now())
            values: Any = {"external_id": "a passkey", "label": "", "data": {}}
            credentials.add(session, citizen.id, method="passkey", now=clock.now(), **values)
            inbox.choose(session, citizen.id, "email", wanted=True)
        clock.advance(timedelta(days=7))
        worker.purge(own_platform.engine, limits=limits)
        assert rows(own_platform, Credential, citizen_id=citizen.id) == []
        assert rows(own_platform, NoticeChoice, citizen_id=citizen.id) == []
        clock.advance(timedelta(days=1000))
        worker.purge(own_platform.engine, limits=limits)
        assert rows(own_platform, Citizen, id=citizen.id) == []
