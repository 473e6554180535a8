"""The registry: parsed once, current to within a second, no statement in between, keys fetched with restraint."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import Engine, event, update
from sqlalchemy.orm import Session

from authz_server.catalogue.model import Catalogue
from authz_server.clients import service
from authz_server.clients.document import Context
from authz_server.clients.models import Client as ClientRow
from authz_server.clients.models import RegistryVersion
from authz_server.clients.registry import CHECK_EVERY, Registry
from authz_server.core import clock
from authz_server.core.outbound_http import FetchError
from authz_server.database import UNREACHABLE
from tests.clients.documents import agency, bank, jwks
from tests.support.listening import listening
from tests.support.waiting import wait_until

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def context(catalogue: Catalogue) -> Context:
    return Context(catalogue, sandbox=True)


@pytest.fixture
def statements(engine: Engine) -> list[str]:
    """Every statement of the registry's engine, as it is sent."""
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    return sent


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    with clock.frozen(NOW):
        yield


def test_a_change_elsewhere_is_seen_within_a_second(session: Session, engine: Engine, context: Context) -> None:
    registry = Registry(engine, context)
    assert registry.client("jia-bank") is None
    service.register(session, bank(), context=context, now=NOW)
    session.commit()
    assert registry.client("jia-bank") is None
    clock.advance(SECOND)
    found = registry.client("jia-bank")
    assert found is not None
    assert not found.suspended
    service.suspend(session, "jia-bank", now=NOW)
    session.commit()
    clock.advance(SECOND)
    found = registry.client("jia-bank")
    assert found is not None
    assert found.suspended


def test_between_two_looks_there_is_no_statement(
    session: Session, engine: Engine, context: Context, statements: list[str]
) -> None:
    service.register(session, bank(), context=context, now=NOW)
    session.commit()
    registry = Registry(engine, context)
    first = registry.client("jia-bank")
    statements.clear()
    assert registry.client("jia-bank") is first
    assert registry.agency("fia") is None
    assert statements == []
    clock.advance(SECOND)
    assert registry.client("jia-bank") is first
    assert len([text for text in statements if "BEGIN" not in text]) == 1


def test_reload_sees_a_change_at_once(session: Session, engine: Engine, context: Context) -> None:
    registry = Registry(engine, context)
    assert registry.agency("fia") is None
    service.register_agency(session, agency(), context=context, now=NOW)
    session.commit()
    registry.reload()
    assert registry.agency("fia") is not None


def test_who_has_not_changed_is_not_parsed_again(session: Session, engine: Engine, context: Context) -> None:
    service.register(session, bank(), context=context, now=NOW)
    service.register(session, bank(client_id="yi-bank"), context=context, now=NOW)
    service.register_agency(session, agency(), context=context, now=NOW)
    session.commit()
    registry = Registry(engine, context)
    jia, fiscal = registry.client("jia-bank"), registry.agency("fia")
    assert jia is not None
    assert fiscal is not None

    service.suspend(session, "yi-bank", now=NOW)
    session.commit()
    registry.reload()
    assert registry.client("jia-bank") is jia
    assert (changed := registry.client("yi-bank")) is not None
    assert changed.suspended
    assert registry.agency("fia") is fiscal


def test_it_reads_beside_an_open_write_of_the_same_thread(session: Session, engine: Engine, context: Context) -> None:
    service.register(session, bank(), context=context, now=NOW)
    session.flush()
    assert Registry(engine, context).client("jia-bank") is None


def test_a_client_that_no_longer_fits_is_left_out_alone(
    session: Session, engine: Engine, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    for client_id in ("jia-bank", "yi-bank"):
        service.register(session, bank(client_id=client_id), context=context, now=NOW)
    session.execute(update(ClientRow).where(ClientRow.client_id == "jia-bank").values(purposes={"loan": {}}))
    session.commit()
    registry = Registry(engine, context)
    assert registry.client("jia-bank") is None
    assert registry.client("yi-bank") is not None
    assert [record.message for record in caplog.records] == ["client.unusable"]


def test_a_sandbox_client_is_unusable_outside_the_sandbox(
    session: Session, engine: Engine, context: Context, catalogue: Catalogue
) -> None:
    service.register(session, bank(redirect_uris=["http://127.0.0.1:1/cb"]), context=context, now=NOW)
    session.commit()
    assert Registry(engine, context).client("jia-bank") is not None
    assert Registry(engine, Context(catalogue)).client("jia-bank") is None


def test_agencies_answer_only_when_registered_and_not_suspended(
    session: Session, engine: Engine, context: Context
) -> None:
    for agency_id in ("fia", "nhi"):
        service.register_agency(session, agency(id=agency_id), context=context, now=NOW)
    service.suspend_agency(session, "nhi", now=NOW)
    session.commit()
    registry = Registry(engine, context)
    assert registry.suspended_agencies() == {"bli", "land", "nhi", "ris"}
    assert [key["use"] for key in registry.agency_jwks("fia")["keys"]] == ["sig"]
    assert registry.agency_jwks("ris") == {"keys": []}


def test_a_dataset_is_suspended_without_its_agency(session: Session, engine: Engine, context: Context) -> None:
    registry = Registry(engine, context)
    assert registry.suspended_datasets() == frozenset()
    service.suspend_dataset(session, "fia.income", catalogue=context.catalogue, now=NOW)
    session.commit()
    with clock.frozen(clock.now() + CHECK_EVERY):
        assert registry.suspended_datasets() == {"fia.income"}


def test_many_threads_read_while_the_version_moves(session: Session, engine: Engine, context: Context) -> None:
    service.register(session, bank(), context=context, now=NOW)
    session.commit()
    registry = Registry(engine, context)
    barrier = threading.Barrier(8)

    def look() -> int:
        barrier.wait()
        return sum(registry.client("jia-bank") is not None for _ in range(200))

    with ThreadPoolExecutor(8) as pool:
        looks = [pool.submit(look) for _ in range(8)]
        for _ in range(5):
            session.execute(update(RegistryVersion).values(version=RegistryVersion.version + 1))
            session.commit()
            clock.advance(SECOND)
        assert [look.result() for look in looks] == [200] * 8


@pytest.mark.parametrize("idle", [SECOND, timedelta(days=1)])
def test_while_one_request_reads_the_others_go_on_with_what_has_just_been_true_and_nothing_older(
    session: Session, engine: Engine, context: Context, idle: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authz_server.clients.registry.PATIENCE_S", 0.01)
    service.register(session, bank(), context=context, now=NOW)
    session.commit()
    registry, reading, may_read = Registry(engine, context), threading.Event(), threading.Event()
    registry.client("jia-bank")
    service.suspend(session, "jia-bank", now=NOW)
    session.commit()
    clock.advance(idle)

    def read_slowly(*_: object) -> None:
        reading.set()
        may_read.wait()

    event.listen(engine, "before_cursor_execute", read_slowly)

    def suspended() -> bool:
        client = registry.client("jia-bank")
        assert client is not None
        return client.suspended

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(suspended)
        assert reading.wait(10)
        try:
            if idle == SECOND:
                assert not suspended()
            else:
                with pytest.raises(UNREACHABLE):
                    suspended()
        finally:
            may_read.set()
        assert first.result()


class JwksSite:
    """A client's web site, which publishes its keys and counts who asks."""

    def __init__(self) -> None:
        self.body: bytes | None = None
        self.asked = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked += 1
                site.may_answer.wait()
                self.send_response(200 if site.body is not None else 503)
                self.end_headers()
                self.wfile.write(site.body or b"")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"

    def publish(self, *algorithms: str) -> str:
        """Publish keys and return the first one's kid."""
        document = jwks(*algorithms)
        self.body = json.dumps(document).encode()
        return str(document["keys"][0]["kid"])


@pytest.fixture
def site() -> Iterator[JwksSite]:
    site = JwksSite()
    with listening(site.server):
        yield site


@pytest.fixture
def remote(session: Session, engine: Engine, context: Context, site: JwksSite) -> Registry:
    """A registry with a client whose keys are on its web site."""
    document = bank(jwks=None, jwks_uri=f"http://{site.host}/jwks")
    service.register(session, document, context=context, now=NOW)
    session.commit()
    return Registry(engine, context, allowed_hosts=frozenset({site.host}))


def keys_of(registry: Registry, kid: str | None) -> set[str]:
    client = registry.client("jia-bank")
    assert client is not None
    return {key.kid for key in registry.keys(client, kid=kid)}


def test_keys_are_fetched_once_and_kept(remote: Registry, site: JwksSite) -> None:
    kid = site.publish("ES256", "ECDH-ES")
    client = remote.client("jia-bank")
    assert client is not None
    assert kid in keys_of(remote, kid)
    assert kid in keys_of(remote, None)
    key = remote.encryption_jwk(client)
    assert key is not None
    assert key["use"] == "enc"
    assert site.asked == 1


def test_a_rotated_key_is_found_at_once_and_made_up_ones_cost_one_fetch_a_minute(
    remote: Registry, site: JwksSite
) -> None:
    keys_of(remote, site.publish("ES256"))
    rotated = site.publish("PS256")
    assert rotated in keys_of(remote, rotated)
    assert site.asked == 2
    for _ in range(5):
        assert "made up" not in keys_of(remote, "made up")
    assert site.asked == 2
    clock.advance(timedelta(seconds=60))
    again = site.publish("ES256")
    assert again in keys_of(remote, again)
    assert site.asked == 3


def test_keys_are_asked_for_again_after_ten_minutes(remote: Registry, site: JwksSite) -> None:
    old = site.publish("ES256")
    keys_of(remote, old)
    site.publish("PS256")
    clock.advance(timedelta(minutes=10))
    assert old not in keys_of(remote, None)


def test_a_host_that_is_away_for_a_moment_cuts_nobody_off(remote: Registry, site: JwksSite) -> None:
    kid = site.publish("ES256")
    keys_of(remote, kid)
    site.body = None
    clock.advance(timedelta(minutes=10))
    for _ in range(3):
        assert kid in keys_of(remote, kid)
    assert site.asked == 2
    clock.advance(timedelta(minutes=1))
    for _ in range(3):
        with pytest.raises(FetchError):
            keys_of(remote, kid)
    assert site.asked == 3
    rotated = site.publish("ES256")
    clock.advance(timedelta(minutes=1))
    assert keys_of(remote, None) == {rotated}


def test_a_host_that_is_back_when_its_keys_count_no_more_is_asked_at_once(remote: Registry, site: JwksSite) -> None:
    keys_of(remote, site.publish("ES256"))
    known, site.body = site.body, None
    clock.advance(timedelta(minutes=10, seconds=45))
    assert keys_of(remote, None)
    site.body = known
    clock.advance(timedelta(seconds=15))
    assert keys_of(remote, None)
    assert site.asked == 3


def test_what_was_known_or_had_failed_while_the_clock_was_fast_is_asked_for_again(
    remote: Registry, site: JwksSite
) -> None:
    fast = timedelta(days=1)
    clock.advance(fast)
    with pytest.raises(FetchError):
        keys_of(remote, None)
    clock.advance(-fast)
    old = site.publish("ES256")
    assert old in keys_of(remote, None)
    clock.advance(fast)
    assert old in keys_of(remote, None)
    clock.advance(-fast)
    site.publish("PS256")
    assert old not in keys_of(remote, None)


def test_a_failed_refetch_leaves_the_known_keys(remote: Registry, site: JwksSite) -> None:
    kid = site.publish("ES256")
    keys_of(remote, kid)
    site.body = None
    assert kid in keys_of(remote, "made up")
    assert site.asked == 2


@pytest.mark.parametrize("known", ["now", "never", "days ago"])
def test_only_one_request_waits_for_a_slow_host_and_no_old_keys_count_meanwhile(
    remote: Registry, site: JwksSite, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authz_server.core.remote_keys.FIRST_WAIT_S", 0.01)
    old = new = site.publish("ES256")
    if known != "never":
        keys_of(remote, old)
        new = site.publish("PS256")
    if known == "days ago":
        clock.advance(timedelta(days=3))
    asked = site.asked
    site.may_answer.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(keys_of, remote, new)
        wait_until(lambda: site.asked > asked, "a request is under way")
        try:
            if known == "now":
                assert old in keys_of(remote, new)
            else:
                with pytest.raises(FetchError):
                    keys_of(remote, new)
        finally:
            site.may_answer.set()
        assert new in waiting.result()
    assert site.asked == asked + 1


@pytest.mark.parametrize("body", [None, b"", b"[]", b"{}", b'{"keys": [{"kty": "oct", "k": "AAAA"}]}', b"\xff" * 70000])
def test_a_site_without_good_keys_is_asked_once_a_minute(remote: Registry, site: JwksSite, body: bytes | None) -> None:
    site.body = body
    for _ in range(3):
        with pytest.raises(FetchError):
            keys_of(remote, None)
    assert site.asked == 1
    clock.advance(timedelta(seconds=60))
    kid = site.publish("ES256")
    assert kid in keys_of(remote, kid)


def test_a_host_that_is_not_allowed_is_never_asked(
    remote: Registry, engine: Engine, context: Context, site: JwksSite
) -> None:
    client = remote.client("jia-bank")
    assert client is not None
    with pytest.raises(FetchError):
        Registry(engine, context).keys(client, kid=None)
    assert site.asked == 0
