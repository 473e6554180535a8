"""What is unusual about a decision is found once, however late, and told; deciding itself knows nothing of it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, Select, event, select, text
from sqlalchemy.orm import Session

from authz_server import worker
from authz_server.audit.models import AuditEntry
from authz_server.audit.service import INSERT, Entry, record
from authz_server.config import Limits
from authz_server.consent import anomalies
from authz_server.consent.figures import figures
from authz_server.consent.models import Anomaly
from authz_server.core import clock
from authz_server.core.identifiers import new_transaction_id
from authz_server.notices.models import Notice
from tests.support.belongings import downloading
from tests.support.platform import Platform
from tests.support.protocol import new_bank, opened, rows

NOON = datetime(2099, 3, 1, 4, tzinfo=UTC)  # in Taiwan; later than any clock by which tables were made
LIMITS = Limits()


def agree(platform: Platform) -> None:
    platform.code(platform.detail("ris.personal"))


def refuse(platform: Platform) -> None:
    citizen = platform.citizen()
    citizen.decide(opened(citizen, platform.bank, platform.bank.push()), "deny")


def look(platform: Platform) -> None:
    worker.tick(platform.engine, now=clock.now())


def found(platform: Platform) -> list[str]:
    """The kinds of anomalies on the record, oldest first."""
    names = [entry.event for entry in rows(platform, AuditEntry)]
    return [name.removeprefix("anomaly.") for name in names if name.startswith("anomaly.")]


def told(platform: Platform) -> list[str]:
    """The anomalies of which there is a notice."""
    with Session(platform.engine) as session:
        noticed = select(AuditEntry.event).join(Notice, Notice.audit_entry_id == AuditEntry.id).order_by(AuditEntry.id)
        return [name for name in session.scalars(noticed) if name.startswith("anomaly.")]


def test_the_first_consent_to_a_client_is_its_first_time_and_no_message_of_its_own(own_platform: Platform) -> None:
    with clock.frozen(NOON):
        agree(own_platform)
        look(own_platform)
        assert found(own_platform) == ["first_time"]
        assert told(own_platform) == []
        (entry,) = (row for row in rows(own_platform, AuditEntry) if row.event == "anomaly.first_time")
        (decision,) = (row for row in rows(own_platform, AuditEntry) if row.event == "consent.approved")
        for name in ("transaction_id", "citizen_id", "client_id", "consent_id"):
            assert getattr(entry, name) == getattr(decision, name)
        page = own_platform.citizen().client.get("/record?lang=en").text
        said = re.findall(r"You [a-z ]*agreed[^<]*", page)
    whom = "share data with First Sample Bank"
    assert said == [f"You had not agreed to {whom} before", f"You agreed to {whom}"]


@pytest.mark.parametrize(
    ("after", "kinds"),
    [(timedelta(hours=23, minutes=59), ["first_time", "again"]), (timedelta(hours=24), ["first_time"])],
)
def test_the_same_client_again_within_a_day_is_told(own_platform: Platform, after: timedelta, kinds: list[str]) -> None:
    with clock.frozen(NOON):
        agree(own_platform)
        clock.advance(after)
        agree(own_platform)
        look(own_platform)
        assert found(own_platform) == kinds
        assert told(own_platform) == [f"anomaly.{kind}" for kind in kinds if kind != "first_time"]


@pytest.mark.parametrize(("hour", "unusual"), [(23, False), (0, True), (4, True), (5, False), (12, False)])
def test_a_consent_at_night_is_told(own_platform: Platform, hour: int, unusual: bool) -> None:
    with clock.frozen(datetime(2099, 3, 1, hour, 30, tzinfo=clock.LOCAL_TIME)):
        agree(own_platform)
        look(own_platform)
        assert ("unusual_hour" in found(own_platform)) is unusual
        assert ("anomaly.unusual_hour" in told(own_platform)) is unusual


def test_to_download_ones_own_data_again_is_nothing_unusual(own_platform: Platform) -> None:
    with clock.frozen(NOON):
        citizen = own_platform.citizen()
        for _ in range(2):
            downloading(citizen)
        look(own_platform)
        assert found(own_platform) == []


@pytest.mark.parametrize(("hour", "unusual"), [(21, False), (22, True), (3, True), (4, False)])
def test_the_night_may_begin_before_midnight(own_platform: Platform, hour: int, unusual: bool) -> None:
    with clock.frozen(datetime(2099, 3, 1, hour, tzinfo=clock.LOCAL_TIME)):
        agree(own_platform)
        limits = Limits(anomaly_from_hour=22, anomaly_until_hour=4)
        worker.tick(own_platform.engine, now=clock.now(), limits=limits)
        assert ("unusual_hour" in found(own_platform)) is unusual


def test_the_third_refusal_of_a_client_is_told_and_no_further_one(own_platform: Platform) -> None:
    with clock.frozen(NOON):
        for count, kinds in enumerate(([], [], ["many_denials"], ["many_denials"]), start=1):
            refuse(own_platform)
            look(own_platform)
            assert found(own_platform) == kinds, count
            clock.advance(timedelta(minutes=1))
        assert told(own_platform) == ["anomaly.many_denials"]


def test_refusals_that_lie_far_apart_are_not_many(own_platform: Platform) -> None:
    with clock.frozen(NOON):
        for _ in range(4):
            refuse(own_platform)
            clock.advance(timedelta(hours=12))
        look(own_platform)
        assert found(own_platform) == []


def test_what_was_decided_while_no_worker_ran_is_found_and_told_however_long_that_was(own_platform: Platform) -> None:
    with clock.frozen(NOON):
        agree(own_platform)
        clock.advance(timedelta(minutes=1))
        agree(own_platform)
        clock.advance(timedelta(days=300))
        for _ in range(2):
            look(own_platform)
        assert found(own_platform) == ["first_time", "again"]
        assert told(own_platform) == ["anomaly.again"]


def test_a_decision_that_becomes_visible_late_is_found_by_the_longer_look(own_platform: Platform) -> None:
    if own_platform.engine.dialect.name != "postgresql":
        return  # there is one writer at a time, so that entries become visible in their order
    with clock.frozen(NOON), Session(own_platform.engine) as slow:
        seed(slow, client_id="slow", at=clock.now())
        clock.advance(timedelta(minutes=1))
        refuse(own_platform)
        look(own_platform)
        slow.commit()
        look(own_platform)
        assert found(own_platform) == []
        worker.watch(own_platform.engine, before=anomalies.LATEST, limits=LIMITS, now=clock.now())
        assert found(own_platform) == ["many_denials"]


def test_a_worker_with_a_fast_clock_leaves_nothing_out(own_platform: Platform) -> None:
    with clock.frozen(NOON):
        refuse(own_platform)
        worker.tick(own_platform.engine, now=clock.now() + timedelta(hours=2))
        clock.advance(timedelta(minutes=1))
        agree(own_platform)
        look(own_platform)
        assert found(own_platform) == ["first_time"]


def test_a_look_that_was_broken_off_leaves_nothing_and_is_repeated(own_platform: Platform) -> None:
    with clock.frozen(NOON):
        agree(own_platform)
        with Session(own_platform.engine) as session:
            place = anomalies.begin(session, before=anomalies.SOON, now=clock.now())
            assert anomalies.watch(session, after=place, limits=LIMITS, now=clock.now()) == (1, None)
            session.rollback()
        assert found(own_platform) == []
        look(own_platform)
        assert found(own_platform) == ["first_time"]


def test_many_decisions_are_looked_at_in_batches_and_none_is_left_out_or_found_twice(own_platform: Platform) -> None:
    clients = anomalies.BATCH - 1  # three entries each, so that no batch ends with a client
    with clock.frozen(NOON):
        with Session(own_platform.engine) as session, session.begin():
            for number in range(clients):
                seed(session, client_id=f"client-{number}", at=clock.now() + timedelta(microseconds=number // 7))
        clock.advance(timedelta(minutes=1))
        for _ in range(2):
            look(own_platform)
            worker.watch(own_platform.engine, before=anomalies.LATEST, limits=LIMITS, now=clock.now())
        assert {row.client_id for row in rows(own_platform, Anomaly)} == {f"client-{n}" for n in range(clients)}
        assert found(own_platform) == ["many_denials"] * clients


def seed(session: Session, *, client_id: str, at: datetime) -> None:
    """Three refusals of a client by one citizen, the last of them at that time."""
    times = (at - timedelta(microseconds=number) for number in (2, 1, 0))
    entries = (
        Entry(
            at=each,
            event="consent.denied",
            success=False,
            actor="citizen",
            transaction_id=new_transaction_id(),
            citizen_id=1,
            client_id=client_id,
        )
        for each in times
    )
    record(session, *entries)


def test_what_is_found_in_the_moment_of_deciding_stands_after_the_decision(own_platform: Platform) -> None:
    before = clock.now()
    agree(own_platform)
    worker.tick(own_platform.engine, now=before)
    entries = sorted(rows(own_platform, AuditEntry), key=lambda entry: (entry.at, entry.id))
    events = [entry.event for entry in entries]
    assert events.index("consent.approved") < events.index("anomaly.first_time")


def test_the_operator_sees_counts_per_client_and_period(own_platform: Platform) -> None:
    other = new_bank(own_platform)
    with clock.frozen(NOON):
        agree(own_platform)
        agree(own_platform)
        clock.advance(timedelta(days=31))
        for _ in range(3):
            refuse(own_platform)
        own_platform.bank = other
        refuse(own_platform)
        look(own_platform)
        first, last = clock.day_of(NOON), clock.day_of(clock.now())
    with Session(own_platform.engine) as session:
        counted = [
            (str(each.first), str(each.last), each.client_id == other.client_id, dict(each.counts))
            for each in figures(session, first=first, last=last, by="month")
        ]
    march, april = counted[0], counted[1:]
    assert march[:3] == ("2099-03-01", "2099-03-31", False)
    assert march[3]["approved"] == 2
    assert {"2099-04-01"} == {each[0] for each in april} == {each[1] for each in april}
    assert sorted((each[2], each[3]["denied"]) for each in april) == [(False, 3), (True, 1)]


@pytest.mark.parametrize(
    ("statement", "indexes"),
    [
        (anomalies.DECISIONS, ["ix_audit_entry_at", "ix_consent_citizen_client"]),
        (anomalies.DENIALS, ["ix_audit_entry_(citizen|decision)"]),  # both are by citizen and time
    ],
    ids=["decisions", "denials"],
)
def test_it_reads_by_indexes_however_long_the_record_is(
    own_platform: Platform, statement: Select[Any], indexes: list[str]
) -> None:
    fill_the_record(own_platform.engine)
    shown = plan(own_platform.engine, statement)
    assert all(re.search(index, shown) for index in indexes), shown
    assert not re.search("(Seq Scan on|SCAN) audit_entry", shown), shown


def fill_the_record(engine: Engine) -> None:
    """Two thousand citizens with ten decisions each, a minute apart, up to NOON; and let the database count them."""
    entries = [
        {
            **Entry(at=NOON - timedelta(minutes=number), event=event_name, success=True, actor="citizen").values(),
            "citizen_id": number % 2000,
            "client_id": "x",
            "transaction_id": f"T{number}",
        }
        for number in range(20_000)
        for event_name in ("consent.denied" if number % 3 else "consent.approved",)
    ]
    with engine.begin() as connection:
        connection.execute(INSERT, entries)
        connection.execute(text("ANALYZE audit_entry"))


def plan(engine: Engine, statement: Select[Any]) -> str:
    """How the database runs the statement, if the tables that are empty here were long."""
    sent: list[tuple[str, Any]] = []
    asked = {"after_at": NOON, "after_id": 0, "citizen": 1, "client": "x", "since": NOON, "at": NOON}
    with engine.connect() as connection:
        event.listen(connection, "before_cursor_execute", lambda _c, _r, *of, **_: sent.append(of[:2]))
        connection.execute(statement, asked)
        sql, parameters = sent[-1]
        explain = "EXPLAIN QUERY PLAN"
        if engine.dialect.name == "postgresql":
            explain = "EXPLAIN"
            connection.execute(text("SET enable_seqscan = off"))
        return str(connection.exec_driver_sql(f"{explain} {sql}", parameters).all())
