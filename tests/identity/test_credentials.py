"""Credentials: bound to one account at a time, found while in force, gone when removed."""

import pytest
from sqlalchemy.orm import Session

from authz_server.identity import credentials, service
from authz_server.identity.errors import CitizenSuspended
from tests.identity.support import NOW, OTHER_PERSON, PERSON, enrol


def add(session: Session, citizen_id: int, external_id: str = "key-1", method: str = "passkey") -> int | None:
    return credentials.add(
        session, citizen_id, method=method, external_id=external_id, label="My phone", data={"count": 0}, now=NOW
    )


def test_a_credential_belongs_to_one_account(session: Session) -> None:
    mine, other = enrol(session).citizen_id, enrol(session, OTHER_PERSON).citizen_id
    assert add(session, mine) is not None
    assert add(session, mine) is None
    assert add(session, other) is None
    assert add(session, other, method="certificate") is not None
    found = credentials.find(session, method="passkey", external_id="key-1")
    assert found is not None
    assert (found.citizen_id, found.label, found.data) == (mine, "My phone", {"count": 0})


def test_a_removed_credential_is_found_and_used_no_more_and_may_be_bound_anew(session: Session) -> None:
    mine, other = enrol(session).citizen_id, enrol(session, OTHER_PERSON).citizen_id
    credential_id = add(session, mine)
    assert credential_id is not None
    assert credentials.use(session, credential_id, now=NOW, data={"count": 1}) == mine
    assert credentials.of_citizen(session, mine)[0].data == {"count": 1}
    assert credentials.remove(session, other, credential_id, now=NOW) is None
    assert credentials.remove(session, mine, credential_id, now=NOW) == "passkey"
    assert credentials.remove(session, mine, credential_id, now=NOW) is None
    assert credentials.use(session, credential_id, now=NOW) is None
    assert credentials.find(session, method="passkey", external_id="key-1") is None
    assert credentials.of_citizen(session, mine) == []
    assert add(session, other) is not None


def test_a_credential_of_an_account_that_is_shut_opens_nothing_also_if_it_was_found_before(session: Session) -> None:
    credential_id = add(session, enrol(session).citizen_id)
    assert credential_id is not None
    service.suspend(session, PERSON.username, now=NOW)
    with pytest.raises(CitizenSuspended):
        credentials.use(session, credential_id, now=NOW)


def test_nothing_of_it_shows_in_a_repr(session: Session) -> None:
    add(session, enrol(session).citizen_id)
    shown = repr(credentials.find(session, method="passkey", external_id="key-1"))
    assert "key-1" not in shown
    assert "My phone" not in shown
