"""Looking through decisions: what became of each, newest first, and at the same cost however many there are."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, select, text
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.audit.service import NEWEST
from authz_server.clients.models import Client
from authz_server.config import Limits
from authz_server.consent import history
from authz_server.consent.history import LOOKED_AT, PER_PAGE, Kind, Search, Wanted, find_listed, look_through
from authz_server.consent.models import Consent
from authz_server.core.clock import day_of
from authz_server.database import table_of
from authz_server.identity.models import Citizen
from tests.bench.count import counting

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
LIMITS = Limits()
BANK, LIBRARY = "jia-bank", "city-library"
NOBODY_MEANS = Search(reference="", client_ids=(), purposes=(), dataset_ids=())


class People:
    """Two citizens and two clients, and what they have decided."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.count = 0
        for number in (1, 2):
            person = {"username": f"c{number}", "name": "測試市民甲", "national_id": f"A{number}", "created_at": NOW}
            session.execute(insert(Citizen), {**person, "birthdate": date(1980, 1, 2), "locale": "en"})
        facts = ("registered_id", "contact_phone", "contact_email", "privacy_url", "name_zh", "name_en")
        for client_id in (BANK, LIBRARY):
            row = dict.fromkeys(facts, "x") | {
                "client_id": client_id,
                "profile": "fapi2",
                "registered_on": date.today(),
            }
            session.execute(insert(Client), row | {"jwks_uri": "x", "redirect_uris": [], "purposes": {}})

    def decide(
        self,
        event: str = "consent.approved",
        *steps: str,
        ago: timedelta = timedelta(hours=1),
        datasets: Sequence[str] = ("ris.personal",),
        erase_in: int = 30,
        withdrawn: bool = False,
        client: str = BANK,
        citizen: int = 1,
    ) -> str:
        """One decision with what came of it, `step` or `step/dataset`; its reference number."""
        self.count += 1
        reference, at = f"T{self.count:04}-0000-0000", NOW - ago
        entry = {"at": at, "success": True, "actor": "citizen", "transaction_id": reference, "citizen_id": citizen}
        entry |= {"client_id": client, "dataset_id": None}
        entries = [entry | {"event": event}]
        for step in steps:
            name, _, dataset = step.partition("/")
            entries.append(entry | {"event": f"token.{name}", "dataset_id": dataset or datasets[0]})
        self.session.execute(insert(AuditEntry), entries)
        if event == "consent.approved":
            self.session.execute(insert(Consent), _consent(reference, at, datasets, client, citizen))
            self.session.execute(
                table_of(Consent)
                .update()
                .where(table_of(Consent).c.transaction_id == reference)
                .values(erase_by=day_of(NOW) + timedelta(days=erase_in), withdrawn_at=NOW if withdrawn else None)
            )
        return reference

    def found(self, wanted: Wanted, **more: Any) -> list[str]:
        page = look_through(self.session, 1, wanted, limits=LIMITS, now=NOW, **more)
        return [row.outcome.transaction_id for row in page.rows]


def _consent(reference: str, at: datetime, datasets: Sequence[str], client: str, citizen: int) -> dict[str, Any]:
    return {
        "id": f"id-{reference}",
        "transaction_id": reference,
        "citizen_id": citizen,
        "client_id": client,
        "scopes": ["openid"],
        "purpose_id": "loan",
        "granted": [{"dataset": name, "fields": ["name"], "parameters": {}} for name in datasets],
        "notice": {"content": {"why": {"text": "To decide on your loan application"}}},
        "notice_version": "1",
        "notice_locale": "en",
        "notice_sha256": "x",
        "use_until": day_of(NOW),
        "erase_by": day_of(NOW),
        "level": 1,
        "amr": ["pwd"],
        "auth_time": at,
        "decided_at": at,
    }


@pytest.fixture
def people(session: Session) -> People:
    return People(session)


SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
COLLECTED = ("issued",)
CASES: dict[str, tuple[Kind, dict[str, Any], tuple[str, ...]]] = {
    "refused": ("none", {"event": "consent.denied"}, ()),
    "not decided in time": ("none", {"event": "consent.expired"}, ()),
    "just agreed": ("active", {"ago": SECOND}, ()),
    "never collected": ("none", {}, ()),
    "collected": ("active", {}, COLLECTED),
    "being fetched": ("active", {}, (*COLLECTED, "leased")),
    "delivered, not to be erased yet": ("active", {}, (*COLLECTED, "leased", "delivered")),
    "delivered, to be erased today": ("active", {"erase_in": 0}, (*COLLECTED, "delivered")),
    "delivered and erased": ("history", {"ago": 40 * DAY, "erase_in": -1}, (*COLLECTED, "delivered")),
    "broken off, may have arrived": ("active", {}, (*COLLECTED, "spent_unknown")),
    "not fetched in time": ("none", {}, (*COLLECTED, "expired")),
    "revoked by the client": ("none", {}, (*COLLECTED, "revoked")),
    "revoked by the client on its way": ("active", {}, (*COLLECTED, "leased", "delivering", "revoked")),
    "revoked on its way, and erased": ("history", {"erase_in": -1}, (*COLLECTED, "leased", "delivering", "revoked")),
    "revoked after a failure": ("none", {}, (*COLLECTED, "leased", "failed", "revoked")),
    "revoked after a failure on its way": ("active", {}, (*COLLECTED, "leased", "delivering", "failed", "revoked")),
    "failed": ("active", {}, (*COLLECTED, "leased", "failed")),
    "failed once too often": ("none", {}, (*COLLECTED, "leased", "failed", "leased", "exhausted")),
    "failed once too often, once on its way": (
        "active",
        {},
        (*COLLECTED, "leased", "delivering", "failed", "leased", "exhausted"),
    ),
    "not fetched in time after a failure on its way": (
        "active",
        {},
        (*COLLECTED, "leased", "delivering", "failed", "expired"),
    ),
    "delivered, and a second one stopped": (
        "history",
        {"datasets": ("a.b", "a.b"), "erase_in": -1},
        (*COLLECTED, "delivering", "delivered", "revoked"),
    ),
    "stopped": ("history", {"withdrawn": True}, (*COLLECTED, "revoked")),
    "stopped after it was delivered": ("history", {"withdrawn": True}, (*COLLECTED, "delivered")),
    "one of two is still open": (
        "active",
        {"datasets": ("a.b", "c.d"), "erase_in": -1},
        ("issued/a.b", "issued/c.d", "delivered/a.b"),
    ),
    "one of two came, the other did not": (
        "history",
        {"datasets": ("a.b", "c.d"), "erase_in": -1},
        ("issued/a.b", "issued/c.d", "delivered/a.b", "expired/c.d"),
    ),
    "who one is, just now": ("active", {"datasets": (), "ago": SECOND}, ()),
    "who one is, long ago": ("history", {"datasets": ()}, ()),
}


def test_each_decision_is_where_one_looks_for_it(people: People) -> None:
    expected = {
        people.decide(*steps and ("consent.approved", *steps), **how): kind for kind, how, steps in CASES.values()
    }
    found = {reference: kind for kind in history.KINDS for reference in people.found(Wanted(kind=kind))}
    names = dict(zip(expected, CASES, strict=True))
    assert {names[reference]: kind for reference, kind in found.items()} == {
        names[reference]: kind for reference, kind in expected.items()
    }
    for reference, kind in expected.items():
        one = find_listed(people.session, reference, citizen_id=1, limits=LIMITS, now=NOW)
        assert one is not None
        assert one.kind == kind
        if kind == "none":
            assert (one.outcome.delivered, one.outcome.stoppable) == (False, False), names[reference]


def test_they_come_newest_first_and_a_page_ends_where_the_next_begins(people: People) -> None:
    made = [
        people.decide(ago=timedelta(minutes=count // 3), event="consent.denied") for count in range(2 * PER_PAGE + 1)
    ]
    seen, before = [], NEWEST
    for _ in range(3):
        page = look_through(people.session, 1, Wanted(), limits=LIMITS, now=NOW, before=before)
        seen.append([row.outcome.transaction_id for row in page.rows])
        assert page.looked_to is None
        if page.next is None:
            break
        before = page.next
    assert [len(page) for page in seen] == [PER_PAGE, PER_PAGE, 1]
    assert sorted(made) == sorted(reference for page in seen for reference in page)
    moments = [made.index(reference) // 3 for page in seen for reference in page]
    assert moments == sorted(moments), "those of the same minute stand together, the newest minute first"


def test_what_came_meanwhile_shifts_no_page(people: People) -> None:
    old = [people.decide(ago=DAY, event="consent.denied") for _ in range(PER_PAGE + 5)]
    first = look_through(people.session, 1, Wanted(), limits=LIMITS, now=NOW)
    assert first.next is not None
    people.decide(event="consent.denied")
    second = people.found(Wanted(), before=first.next)
    assert sorted([row.outcome.transaction_id for row in first.rows] + second) == sorted(old)


def test_it_is_narrowed_by_party_dataset_period_and_meaning(people: People) -> None:
    bank = people.decide("consent.approved", "issued", ago=2 * DAY)
    library = people.decide("consent.approved", "issued", client=LIBRARY, datasets=("nhi.enrolment", "ris.kinship"))
    people.decide("consent.approved", "issued", citizen=2)
    assert people.found(Wanted(client_id=LIBRARY)) == [library]
    assert people.found(Wanted(dataset_ids=["ris.personal"])) == [bank]
    assert people.found(Wanted(dataset_ids=["ris.kinship", "ris.personal"])) == [library, bank]
    assert people.found(Wanted(dataset_ids=["ris"])) == [], "a name is compared whole"
    assert people.found(Wanted(dataset_ids=["ris_personal", "%"])) == [], "and as it is"
    assert people.found(Wanted(dataset_ids=[])) == []
    assert people.found(Wanted(since=NOW - DAY)) == [library]
    assert people.found(Wanted(until=NOW - 2 * DAY)) == []
    assert people.found(Wanted(until=NOW - 2 * DAY + SECOND)) == [bank]
    assert people.found(Wanted(search=NOBODY_MEANS)) == []
    assert people.found(Wanted(search=replace(NOBODY_MEANS, reference=bank))) == [bank]
    assert people.found(Wanted(search=replace(NOBODY_MEANS, client_ids=[LIBRARY]))) == [library]
    assert people.found(Wanted(search=replace(NOBODY_MEANS, purposes=[(BANK, "loan"), (LIBRARY, "x")]))) == [bank]
    assert people.found(Wanted(search=replace(NOBODY_MEANS, dataset_ids=["nhi.enrolment"]))) == [library]
    assert people.found(Wanted(kind="active", client_id=BANK, dataset_ids=["ris.kinship"])) == []


def test_nobody_finds_what_is_somebody_elses(people: People) -> None:
    other = people.decide(citizen=2)
    assert people.found(Wanted(search=replace(NOBODY_MEANS, reference=other))) == []
    assert find_listed(people.session, other, citizen_id=1, limits=LIMITS, now=NOW) is None


def test_the_parties_to_choose_from_are_ones_own_each_once(people: People) -> None:
    assert history.clients_of(people.session, 1) == []
    for client in (BANK, LIBRARY, BANK):
        people.decide(client=client)
    people.decide(client=LIBRARY, citizen=2)
    people.decide("consent.denied", client="refused-only")
    assert history.clients_of(people.session, 1) == sorted([LIBRARY, BANK, "refused-only"])
    assert history.clients_of(people.session, 2) == [LIBRARY]


def multiply(session: Session, like: str, count: int) -> None:
    """Copy a request for many others, each a second older than the one before it."""
    for model, time in ((Consent, "decided_at"), (AuditEntry, "at")):
        table = table_of(model)
        rows = session.execute(select(table).where(table.c.transaction_id == like)).mappings().all()
        copies = [
            dict(row) | {"id": f"R{number}", "transaction_id": f"R{number}", time: row[time] - number * SECOND}
            for number in range(1, count + 1)
            for row in rows
        ]
        if model is AuditEntry:
            for copy in copies:
                del copy["id"]
        session.execute(insert(table), copies)


@pytest.fixture
def many(engine: Engine) -> Engine:
    """Three times as many consents as are looked at for one page, all of them stopped; behind them one in use."""
    with Session(engine) as session, session.begin():
        people = People(session)
        people.decide("consent.approved", "issued", ago=DAY)
        stopped = people.decide("consent.approved", "issued", "leased", "delivered", ago=SECOND, withdrawn=True)
        multiply(session, stopped, 3 * LOOKED_AT)
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    return engine


def test_a_page_costs_the_same_statements_however_many_there_are(many: Engine) -> None:
    counted = []
    with Session(many) as session:
        for wanted in (Wanted(), Wanted(kind="history"), Wanted(kind="active"), Wanted(client_id=LIBRARY)):
            look_through(session, 1, wanted, limits=LIMITS, now=NOW)
            with counting(many) as counts:
                look_through(session, 1, wanted, limits=LIMITS, now=NOW)
            counted.append(counts.statements)
    assert counted == [4, 4, 4, 4]


def test_what_lies_far_back_is_found_step_by_step(many: Engine) -> None:
    before, steps = NEWEST, 0
    with Session(many) as session:
        for _ in range(10):
            page = look_through(session, 1, Wanted(kind="active"), limits=LIMITS, now=NOW, before=before)
            if page.next is None:
                break
            assert not page.rows
            assert page.looked_to is not None
            before, steps = page.next, steps + 1
    assert steps == 3
    assert [row.outcome.transaction_id for row in page.rows] == ["T0001-0000-0000"]


def test_a_page_is_read_in_the_order_of_an_index(many: Engine) -> None:
    read: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        if statement.startswith("SELECT"):
            read.append((statement, parameters))

    event.listen(many, "before_cursor_execute", note)
    with Session(many) as session:
        look_through(session, 1, Wanted(kind="active"), limits=LIMITS, now=NOW)
        event.remove(many, "before_cursor_execute", note)
        explain = "EXPLAIN QUERY PLAN " if many.dialect.name == "sqlite" else "EXPLAIN "
        connection = session.connection()
        if many.dialect.name == "postgresql":
            # With so few rows it is as cheap to read and sort them all; with more it no longer is.
            for dear in ("sort", "seqscan", "hashjoin"):
                connection.exec_driver_sql(f"SET LOCAL enable_{dear} = off")
        plans = ["\n".join(map(str, connection.exec_driver_sql(explain + text, values))) for text, values in read]
    for plan in plans[:2]:
        assert "ix_audit_entry_decision" in plan
        for dear in ("Sort", "Seq Scan", "Hash", "SCAN", "TEMP B-TREE"):
            assert dear not in plan, plan
    assert len(plans) == 4
