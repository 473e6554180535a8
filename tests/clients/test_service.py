"""Registering, suspending, resuming, on both databases."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server.catalogue.model import Catalogue
from authz_server.clients import own, service
from authz_server.clients.document import Context, RegistrationError
from authz_server.clients.models import Agency, Client, RegistryVersion, SuspendedDataset
from authz_server.clients.service import NotRegistered, Registered
from tests.clients.documents import agency, bank, jwks, resource_server

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def context(catalogue: Catalogue) -> Context:
    return Context(catalogue)


def version(session: Session) -> int:
    return session.scalars(select(RegistryVersion.version)).one()


def test_a_client_is_registered_once(session: Session, context: Context) -> None:
    assert service.register(session, bank(), context=context, now=NOW) == Registered("jia-bank", True)
    session.flush()
    with pytest.raises(RegistrationError, match="client_id: is registered already"):
        service.register(session, bank(), context=context, now=NOW)
    assert service.register(session, resource_server(), context=context, now=NOW) == Registered("proxy", True)


def test_a_bad_document_leaves_nothing_behind(session: Session, context: Context) -> None:
    with pytest.raises(RegistrationError):
        service.register(session, bank(profile="other"), context=context, now=NOW)
    assert session.scalars(select(Client.client_id)).all() == [own.CLIENT_ID]


@pytest.mark.parametrize(
    "useless",
    [
        jwks("RSA-OAEP-256")["keys"][0] | {"alg": "RSA-OAEP-512"},
        jwks("ES384")["keys"][0] | {"use": "enc", "alg": None},
        jwks("ECDH-ES")["keys"][0] | {"kid": "k" * 201},  # whoever gets a package would read no such header
        jwks("ECDH-ES")["keys"][0] | {"kid": "鑰"},
    ],
)
def test_who_registers_only_keys_that_nothing_is_encrypted_to_is_told_so(
    session: Session, context: Context, useless: dict[str, Any]
) -> None:
    useless = {name: value for name, value in useless.items() if value is not None}
    keys = [*jwks("ES256")["keys"], useless]
    with pytest.raises(RegistrationError, match="jwks: has no key of use enc that packages are encrypted to: EC P-256"):
        service.register(session, bank(jwks={"keys": keys}), context=context, now=NOW)
    # Beside one that serves it harms nobody, and a client may have none: each request can bring its own.
    for served in ([*keys, *jwks("ECDH-ES")["keys"]], jwks("ES256")["keys"]):
        service.register(session, bank(jwks={"keys": served}), context=context, now=NOW, replace=True)


def test_only_the_members_of_public_keys_are_kept(session: Session, context: Context) -> None:
    keys = jwks("ES256")
    keys["keys"][0]["x5u"] = "http://somewhere.example"
    service.register(session, bank(jwks=keys), context=context, now=NOW)
    stored = session.get_one(Client, "jia-bank").jwks
    assert stored is not None
    assert set(stored["keys"][0]) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


def test_a_replaced_client_keeps_its_first_day_and_its_suspension(session: Session, context: Context) -> None:
    service.register(session, bank(), context=context, now=NOW)
    service.suspend(session, "jia-bank", now=NOW)
    renamed = bank(name={"zh": "乙銀行", "en": "Yi Bank"}, jwks=None, jwks_uri="https://jia-bank.example/jwks")
    again = service.register(session, renamed, context=context, now=NOW + timedelta(days=3), replace=True)
    assert again == Registered("jia-bank", False)
    session.commit()
    row = session.get_one(Client, "jia-bank")
    assert (row.name_en, row.registered_on, row.suspended_at) == ("Yi Bank", NOW.date(), NOW)
    assert (row.jwks, row.jwks_uri) == (None, "https://jia-bank.example/jwks")


def test_an_agency_is_registered_replaced_suspended_and_resumed(session: Session, context: Context) -> None:
    service.register_agency(session, agency(), context=context, now=NOW)
    with pytest.raises(RegistrationError, match="id: is registered already"):
        service.register_agency(session, agency(), context=context, now=NOW)
    service.suspend_agency(session, "fia", now=NOW)
    again = service.register_agency(session, agency(connector="plain"), context=context, now=NOW, replace=True)
    assert again == Registered("fia", False)
    session.commit()
    row = session.get_one(Agency, "fia")
    assert (row.connector, row.suspended_at) == ("plain", NOW)
    service.resume_agency(session, "fia")
    session.commit()
    assert session.get_one(Agency, "fia").suspended_at is None


def test_every_write_moves_the_version(session: Session, context: Context) -> None:
    seen = []
    for write in (
        lambda: service.register(session, bank(), context=context, now=NOW),
        lambda: service.register_agency(session, agency(), context=context, now=NOW),
        lambda: service.suspend(session, "jia-bank", now=NOW),
        lambda: service.resume(session, "jia-bank"),
        lambda: service.suspend_agency(session, "fia", now=NOW),
        lambda: service.resume_agency(session, "fia"),
        lambda: service.suspend_dataset(session, "fia.income", catalogue=context.catalogue, now=NOW),
        lambda: service.resume_dataset(session, "fia.income", catalogue=context.catalogue),
    ):
        write()
        session.commit()
        seen.append(version(session))
    assert seen == sorted(set(seen))


def test_a_dataset_is_suspended_twice_and_resumed_twice_like_once(session: Session, context: Context) -> None:
    for _ in range(2):
        service.suspend_dataset(session, "fia.income", catalogue=context.catalogue, now=NOW)
        session.commit()
    assert session.get_one(SuspendedDataset, "fia.income").suspended_at == NOW
    for _ in range(2):
        service.resume_dataset(session, "fia.income", catalogue=context.catalogue)
        session.commit()
    assert session.get(SuspendedDataset, "fia.income") is None


def test_the_unknown_can_not_be_suspended(session: Session, context: Context) -> None:
    with pytest.raises(NotRegistered):
        service.suspend_dataset(session, "fia.nothing", catalogue=context.catalogue, now=NOW)
    with pytest.raises(NotRegistered):
        service.resume_dataset(session, "fia.nothing", catalogue=context.catalogue)
    with pytest.raises(NotRegistered):
        service.suspend(session, "nobody", now=NOW)
    with pytest.raises(NotRegistered):
        service.resume_agency(session, "nobody")


def test_a_second_suspension_changes_nothing_of_the_first(session: Session, context: Context) -> None:
    service.register(session, bank(), context=context, now=NOW)
    service.register_agency(session, agency(), context=context, now=NOW)
    later, catalogue = NOW + timedelta(hours=1), context.catalogue
    for at, changed in ((NOW, True), (later, False)):
        assert service.suspend(session, "jia-bank", now=at) is changed
        assert service.suspend_agency(session, "fia", now=at) is changed
        assert service.suspend_dataset(session, "fia.income", catalogue=catalogue, now=at) is changed
    session.commit()
    suspended = (session.get_one(Client, "jia-bank"), session.get_one(Agency, "fia"))
    assert [row.suspended_at for row in (*suspended, session.get_one(SuspendedDataset, "fia.income"))] == [NOW] * 3
