"""What happens by time: on the record once, told once, gone when its days are over."""

import re
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from authz_server import leaving, retention, worker
from authz_server.audit.models import AuditEntry
from authz_server.clients import heartbeats
from authz_server.clients import service as clients
from authz_server.config import MailSettings
from authz_server.consent.codes import JUST_EXPIRED
from authz_server.consent.models import AuthorizationCode
from authz_server.core import clock
from authz_server.core.secrets import digest
from authz_server.database import Base
from authz_server.identity.models import Citizen
from authz_server.installation import check_secret
from authz_server.notices.models import KEPT_DAYS, Notice, NoticeChoice
from authz_server.single_use import buckets
from tests.notices.support import Hands
from tests.support.platform import Platform

LONG = timedelta(days=3650)
USUAL = ~AuditEntry.event.startswith("anomaly.")


def events(platform: Platform, transaction_id: str) -> list[str]:
    """The record of a transaction, oldest first, but for what was unusual about it, which the time of day decides."""
    with Session(platform.engine) as session:
        of_transaction = select(AuditEntry.event).where(AuditEntry.transaction_id == transaction_id, USUAL)
        return list(session.scalars(of_transaction.order_by(AuditEntry.id)))


def leased(platform: Platform) -> tuple[str, str]:
    """A transaction and a lease whose proxy will never be heard of again."""
    (granted,) = platform.tokens(platform.detail("ris.personal"))["authorization_details"]
    jkt = platform.bank.dpop_key.thumbprint
    answer = platform.proxy.exchange(granted["access_token"], "ris.personal", jkt=jkt).get_json()
    return answer["transaction"], answer["lease"]


def told(platform: Platform, transaction_id: str) -> list[str]:
    """What the citizen was told of a transaction, likewise."""
    with Session(platform.engine) as session:
        noticed = select(AuditEntry.event).join(Notice, Notice.audit_entry_id == AuditEntry.id)
        noticed = noticed.where(AuditEntry.transaction_id == transaction_id, USUAL)
        return list(session.scalars(noticed.order_by(AuditEntry.id)))


def test_a_lease_that_ran_out_ends_as_spent_with_unknown_outcome(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        transaction, lease = leased(platform)
        clock.advance(timedelta(seconds=platform.settings.limits.lease_s + 1))
        worker.tick(platform.engine, now=clock.now())
        assert events(platform, transaction)[-1] == "token.spent_unknown"
        assert platform.proxy.report(lease, "delivered").status_code == 409
        worker.tick(platform.engine, now=clock.now())
        assert events(platform, transaction).count("token.spent_unknown") == 1


def test_a_lease_that_ran_out_is_over_before_the_worker_looks(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        _, lease = leased(platform)
        clock.advance(timedelta(seconds=platform.settings.limits.lease_s + 1))
        assert platform.proxy.report(lease, "delivered").status_code == 409
        assert platform.proxy.report(lease, "failed").status_code == 409


def test_a_token_that_nobody_used_ends_on_the_record(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        (granted,) = platform.tokens(platform.detail("ris.personal"))["authorization_details"]
        clock.advance(timedelta(seconds=platform.settings.limits.dataset_token_ttl_s + 1))
        worker.tick(platform.engine, now=clock.now())
        assert events(platform, granted["transaction"])[-1] == "token.expired"


def test_a_permission_that_nobody_collected_ends_on_the_record_once_and_is_told(own_platform: Platform) -> None:
    with clock.frozen(clock.now()):
        code = own_platform.code(own_platform.detail("ris.personal"))
        with Session(own_platform.engine) as session:
            row = session.scalars(select(AuthorizationCode).where(AuthorizationCode.digest == digest(code))).one()
            transaction = row.transaction_id
        clock.advance(timedelta(seconds=own_platform.settings.limits.code_ttl_s) + JUST_EXPIRED - timedelta(seconds=1))
        worker.tick(own_platform.engine, now=clock.now())
        assert "code.expired" not in events(own_platform, transaction), "its redemption may be under way"
        clock.advance(timedelta(days=7))  # in which no worker ran
        for _ in range(2):
            worker.tick(own_platform.engine, now=clock.now())
        assert events(own_platform, transaction).count("code.expired") == 1
        assert told(own_platform, transaction)[-1] == "code.expired"


def test_a_permission_that_was_collected_does_not_expire(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        (granted,) = platform.tokens(platform.detail("ris.personal"))["authorization_details"]
        clock.advance(timedelta(seconds=platform.settings.limits.code_ttl_s) + 2 * JUST_EXPIRED)
        worker.tick(platform.engine, now=clock.now())
        assert "code.expired" not in events(platform, granted["transaction"])


def test_a_request_that_nobody_answered_ends_on_the_record_of_who_read_it(platform: Platform) -> None:
    with clock.frozen(clock.now()):
        citizen = platform.citizen()
        request_uri = platform.bank.push(platform.detail("ris.personal"))
        page = citizen.authorize(platform.bank.client_id, request_uri)
        reference = re.search(r"T\w{4}-\w{4}-\w{4}", page.text)
        assert reference is not None
        transaction = reference[0]
        clock.advance(timedelta(seconds=platform.settings.limits.transaction_ttl_s + 1))
        worker.tick(platform.engine, now=clock.now())
        assert events(platform, transaction) == ["consent.expired"]


def test_a_citizen_is_told_once_of_each_use(platform: Platform) -> None:
    transaction, lease = leased(platform)
    assert platform.proxy.report(lease, "delivered").status_code == 204
    for _ in range(2):
        worker.tick(platform.engine, now=clock.now())
    assert told(platform, transaction) == ["consent.approved", "token.delivered"]


def test_what_happened_while_no_worker_ran_is_told_however_long_that_was(own_platform: Platform) -> None:
    with clock.frozen(clock.now()):
        leased(own_platform)
        worker.tick(own_platform.engine, now=clock.now())
        clock.advance(timedelta(days=3))
        transaction, lease = leased(own_platform)
        assert own_platform.proxy.report(lease, "delivered").status_code == 204
        clock.advance(timedelta(days=30))
        worker.tick(own_platform.engine, now=clock.now())
        assert told(own_platform, transaction) == ["consent.approved", "token.delivered"]


def test_what_becomes_visible_late_is_told_all_the_same(own_platform: Platform) -> None:
    with clock.frozen(clock.now()):
        early, _ = leased(own_platform)
        clock.advance(timedelta(minutes=30))
        leased(own_platform)
        worker.tick(own_platform.engine, now=clock.now())
        with Session(own_platform.engine) as session, session.begin():
            of_early = select(AuditEntry.id).where(AuditEntry.transaction_id == early)
            session.execute(delete(Notice).where(Notice.audit_entry_id.in_(of_early)))
        worker.tick(own_platform.engine, now=clock.now())
        assert told(own_platform, early)[0] == "consent.approved"


def test_nothing_is_told_again_when_the_notice_of_it_is_gone(own_platform: Platform) -> None:
    with clock.frozen(clock.now()):
        transaction, lease = leased(own_platform)
        assert own_platform.proxy.report(lease, "delivered").status_code == 204
        worker.tick(own_platform.engine, now=clock.now())
        clock.advance(timedelta(days=KEPT_DAYS, minutes=1))
        worker.purge(own_platform.engine, limits=own_platform.settings.limits)
        worker.tick(own_platform.engine, now=clock.now())
        assert events(own_platform, transaction), "the record is kept longer"
        assert told(own_platform, transaction) == []


def test_after_all_days_are_over_only_what_a_command_removes_is_left(own_platform: Platform) -> None:
    leased(own_platform)
    with Session(own_platform.engine) as session, session.begin():
        clients.suspend_dataset(session, "fia.income", catalogue=own_platform.catalogue, now=clock.now())
        heartbeats.beat(session, "fia", heartbeats.Said(maintenance=False, at=clock.now()), now=clock.now())
        citizen_id = session.scalars(select(Citizen.id).limit(1)).one()
        session.add(NoticeChoice(citizen_id=citizen_id, channel="sms", wanted=True))
        check_secret(session, bytes(32))
    now = clock.now()
    worker.tick(own_platform.engine, now=now)
    for turn in range(buckets.RING):  # by then every table of the ring was over once
        with clock.frozen(now + LONG + turn * buckets.BUCKET):
            worker.purge(own_platform.engine, limits=own_platform.settings.limits)
    with Session(own_platform.engine) as session:
        left = {
            keep.table.name: session.execute(select(func.count()).select_from(keep.table)).scalar_one()
            for keep in retention.KEEP
        }
    assert {name for name, count in left.items() if count} == {
        keep.table.name
        for keep in retention.KEEP
        if (keep.column is None and keep.ring is None) or keep.model is Citizen  # nobody has left
    }


def test_nothing_goes_before_its_day(own_platform: Platform) -> None:
    leased(own_platform)
    assert worker.purge(own_platform.engine, limits=own_platform.settings.limits) == 0


@pytest.mark.parametrize("keep", [keep for keep in retention.KEEP if keep.column], ids=lambda keep: keep.table.name)
def test_the_time_by_which_rows_go_is_indexed(keep: retention.Keep) -> None:
    first_columns = {index.columns[0].name for index in keep.table.indexes}
    assert keep.column in first_columns


def test_every_table_has_a_line() -> None:
    assert {table.name for table in Base.metadata.sorted_tables} == set(retention.tables())


@pytest.mark.parametrize("part", ["worker.tick", "worker.delivery.deliver_some"])
def test_what_ends_a_part_of_the_worker_ends_the_whole_for_somebody_to_start_it_anew(
    own_platform: Platform, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Else the rest would go on, and look like a worker, while nothing is told and tidied, or nothing carried."""

    def broken(*_: object, **__: object) -> int:
        raise ZeroDivisionError

    hands = Hands(own_platform, mail=MailSettings(host="127.0.0.1", sender="notices@mydata.example"))
    email = hands.channels["email"]
    hands.happened("account.frozen")
    hands.tick()
    monkeypatch.setattr(f"authz_server.{part}", broken)
    for module in ("worker", "worker.delivery"):
        monkeypatch.setattr(f"authz_server.{module}.EVERY_S", 0.01)
    stop: list[threading.Event] = []
    monkeypatch.setattr(worker, "_listen", stop.append)
    patience = threading.Timer(60, lambda: stop[0].set())  # else a part that goes on would be waited for for ever
    patience.start()
    try:
        with pytest.raises(ZeroDivisionError):
            worker.run(own_platform.engine, limits=own_platform.settings.limits, channels=[*hands.channels.values()])
        assert patience.is_alive(), "it ended by itself"
        assert email.id not in {thread.name for thread in threading.enumerate()}
    finally:
        patience.cancel()
        stop[0].set()


def test_a_signal_in_the_moment_in_which_the_event_is_in_use_is_heard() -> None:
    """While it is waited for, or set at the signal before: a handler would wait for its own thread's lock."""
    told = """
import os, signal, threading
from authz_server import worker
stopping = threading.Event()
worker._listen(stopping)
with stopping._cond:
    os.kill(os.getpid(), signal.SIGTERM)
raise SystemExit(0 if stopping.wait(30) else 1)
"""
    assert subprocess.run([sys.executable, "-c", told], timeout=60, check=False).returncode == 0


def test_a_worker_that_starts_sweeps_after_whoever_has_left_at_any_time(
    own_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping, looked_back = threading.Event(), list[timedelta]()

    def purge(*_: object, look_back: timedelta, **__: object) -> int:
        looked_back.append(look_back)
        if len(looked_back) == 2:
            stopping.set()
        return 0

    monkeypatch.setattr(worker, "purge", purge)
    for name in ("tick", "watch"):
        monkeypatch.setattr(worker, name, lambda *_, **__: None)
    for name in ("EVERY_S", "PURGE_EVERY_S"):
        monkeypatch.setattr(worker, name, 0)
    worker._keep_watch(own_platform.engine, stopping, limits=own_platform.settings.limits, channels=())
    assert looked_back == [clock.EVER, leaving.SWEPT]


def test_a_short_look_reaches_back_over_the_time_in_which_none_was_possible() -> None:
    assert worker.short_look(since_last_s=0) == worker.SHORT_LOOK
    assert worker.short_look(since_last_s=90) == worker.SHORT_LOOK + timedelta(seconds=90)
