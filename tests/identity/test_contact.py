"""Contact data changed twice in the same moment: one change comes after the other, and neither fails."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.config import Limits
from authz_server.identity import contact
from authz_server.identity.contact import CHANGED
from authz_server.identity.models import CITIZEN, CONTACT_CHANGE
from tests.identity.support import NOW, OTHER_PERSON, SERVER_SECRET, enrol
from tests.support.waiting import locks_waited_for, wait_until

LIMITS = Limits()
SOON = NOW + timedelta(minutes=1)


def one_after_the_other(session: Session, *acts: Callable[[Session], None]) -> None:
    """Let others act in this order, who all wait for what this transaction has locked until now."""
    engine = session.get_bind()
    assert isinstance(engine, Engine)

    def run(act: Callable[[Session], None]) -> None:
        with Session(engine) as other, other.begin():
            act(other)

    if engine.dialect.name != "postgresql":  # SQLite lets nobody in before the commit
        session.commit()
        for act in acts:
            run(act)
        return

    def waiting(count: int) -> bool:
        return locks_waited_for(engine) >= count

    with ThreadPoolExecutor(len(acts)) as pool:
        results = []
        for count, act in enumerate(acts, start=1):
            results.append(pool.submit(run, act))
            wait_until(partial(waiting, count), "the other waits")
        session.commit()
        for result in results:
            result.result(30)


def told(session: Session) -> Sequence[str]:
    found = session.scalars(select(AuditEntry.event).where(AuditEntry.event.like("contact.%")).order_by(AuditEntry.id))
    return found.all()


def test_a_code_may_be_typed_while_the_next_one_is_asked_for(session: Session) -> None:
    citizen_id = enrol(session).citizen_id
    contact.propose(session, citizen_id, "email", "new@example.org", limits=LIMITS, now=NOW)
    session.commit()
    change = contact.find_open(session, citizen_id, "email", limits=LIMITS, now=SOON)
    assert change is not None
    code = change.code(SERVER_SECRET)
    session.execute(select(CONTACT_CHANGE).with_for_update())
    one_after_the_other(
        session,
        lambda other: contact.verify(
            other, citizen_id, "email", code, server_secret=SERVER_SECRET, limits=LIMITS, now=SOON
        ),
        lambda other: contact.propose(other, citizen_id, "email", "third@example.org", limits=LIMITS, now=SOON),
    )
    waits = contact.find_open(session, citizen_id, "email", limits=LIMITS, now=SOON)
    assert waits is not None
    assert waits.value == "third@example.org"


def test_a_code_may_be_typed_in_groups(session: Session) -> None:
    citizen_id = enrol(session).citizen_id
    contact.propose(session, citizen_id, "email", "new@example.org", limits=LIMITS, now=NOW)
    change = contact.find_open(session, citizen_id, "email", limits=LIMITS, now=SOON)
    assert change is not None
    code = change.code(SERVER_SECRET)
    typed = f" {code[:3]} {code[3:]}"
    contact.verify(session, citizen_id, "email", typed, server_secret=SERVER_SECRET, limits=LIMITS, now=SOON)
    assert contact.contact_of(session, citizen_id).email == "new@example.org"


def test_a_code_for_one_way_to_be_reached_leaves_that_for_the_other_and_everybody_else_s(session: Session) -> None:
    citizen_id, other_id = enrol(session).citizen_id, enrol(session, OTHER_PERSON).citizen_id
    before = contact.contact_of(session, other_id)
    new: dict[contact.Kind, str] = {"email": "new@example.org", "phone": "+886912345678"}
    for kind, value in new.items():
        contact.propose(session, citizen_id, kind, value, limits=LIMITS, now=NOW)
    for kind, value in new.items():
        change = contact.find_open(session, citizen_id, kind, limits=LIMITS, now=SOON)
        assert change is not None
        assert (change.kind, change.value) == (kind, value)
        code = change.code(SERVER_SECRET)
        contact.verify(session, citizen_id, kind, code, server_secret=SERVER_SECRET, limits=LIMITS, now=SOON)
        open_still = [contact.find_open(session, citizen_id, one, limits=LIMITS, now=SOON) for one in new]
        assert [change.kind for change in open_still if change] == (["phone"] if kind == "email" else [])
    known = contact.contact_of(session, citizen_id)
    assert {kind: getattr(known, kind) for kind in new} == new
    assert contact.contact_of(session, other_id) == before


def test_the_newest_code_alone_counts_also_on_a_host_whose_clock_is_behind(session: Session) -> None:
    citizen_id = enrol(session).citizen_id
    for address in ("first@example.org", "second@example.org"):
        contact.propose(session, citizen_id, "email", address, limits=LIMITS, now=SOON)
    behind = SOON - timedelta(seconds=30)
    change = contact.find_open(session, citizen_id, "email", limits=LIMITS, now=behind)
    assert change is not None
    assert change.value == "second@example.org"
    code = change.code(SERVER_SECRET)
    contact.verify(session, citizen_id, "email", code, server_secret=SERVER_SECRET, limits=LIMITS, now=behind)
    assert contact.contact_of(session, citizen_id).email == "second@example.org"


def test_an_address_that_is_removed_twice_in_a_moment_is_removed_once(session: Session) -> None:
    citizen_id = enrol(session).citizen_id
    session.execute(CITIZEN.update().values(email="old@example.org", email_verified_at=NOW))
    session.commit()
    session.execute(select(CITIZEN).with_for_update())

    def remove(other: Session) -> None:
        contact.remove(other, citizen_id, "email", now=SOON)

    one_after_the_other(session, remove, remove)
    assert contact.contact_of(session, citizen_id).email is None
    assert told(session) == [CHANGED]
