"""Access tokens: they open UserInfo until they expire or are revoked."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, select, update
from sqlalchemy.orm import Session

from authz_server.clients.standing import is_suspended
from authz_server.consent.models import CONSENT
from authz_server.core.secrets import digest
from authz_server.database import table_of
from authz_server.identity.models import HELD, Citizen
from authz_server.prepared import Executor, Prepared
from authz_server.single_use.decision import Decision
from authz_server.single_use.identifiers import Identifier
from authz_server.tokens.models import AccessToken

PREFIX = "mda_"
TOKEN = table_of(AccessToken)

LIVE = TOKEN.c.revoked_at.is_(None)
OPEN = and_(LIVE, TOKEN.c.expires_at > bindparam("now"))

OF_CITIZEN: tuple[Any, ...] = (Citizen.name, Citizen.email, Citizen.phone, Citizen.birthdate, Citizen.locale)
CITIZEN = Prepared(select(*OF_CITIZEN).where(Citizen.id == bindparam("citizen")))
FIND = Decision(
    select(TOKEN, *OF_CITIZEN)
    .join(Citizen, Citizen.id == TOKEN.c.citizen_id)
    .where(
        TOKEN.c.digest == bindparam("token"),
        OPEN,
        ~HELD,
        ~is_suspended(TOKEN.c.client_id),
    )
)
REVOKE_ONE = Decision(
    update(TOKEN)
    .where(TOKEN.c.digest == bindparam("token"), TOKEN.c.client_id == bindparam("owner"), LIVE)
    .values(revoked_at=bindparam("now"))
    .returning(TOKEN.c.digest)
)
REVOKE_OF_CONSENT = (
    update(TOKEN).where(TOKEN.c.consent_id == bindparam("consent"), LIVE).values(revoked_at=bindparam("now"))
)
# By their consents, which have an index; and none that is over, which the janitor may be deleting.
REVOKE_OF_CITIZEN = (
    update(TOKEN)
    .where(TOKEN.c.consent_id.in_(select(CONSENT.c.id).where(CONSENT.c.citizen_id == bindparam("citizen"))), OPEN)
    .values(revoked_at=bindparam("now"))
)


def find(session: Executor, token: str, *, spend: Sequence[Identifier], now: datetime) -> Any | None:
    """The usable access token with the claims of its citizen, or None.

    Args: spend: the identifier of the proof.  Raises: ProofReplayed.
    """
    rows = FIND.run(session, spend=spend, token=digest(token), now=now)
    return rows[0] if rows else None


def citizen(session: Executor, citizen_id: int) -> Any:
    """The columns from which identity claims are made, as `find` has them."""
    (row,) = CITIZEN.run(session, {"citizen": citizen_id})
    return row


def revoke(session: Executor, token: str, *, client_id: str, spend: Sequence[Identifier], now: datetime) -> bool:
    """Revoke an access token of this client; whether there was one. The caller commits.

    Args: spend: the identifier of the assertion.  Raises: AssertionReplayed.
    """
    return bool(REVOKE_ONE.run(session, spend=spend, token=digest(token), owner=client_id, now=now))


def revoke_of_consent(session: Session, consent_id: str, *, now: datetime) -> None:
    """Revoke every access token of a consent. The caller commits."""
    session.execute(REVOKE_OF_CONSENT, {"consent": consent_id, "now": now})


def revoke_of_citizen(session: Session, citizen_id: int, *, now: datetime) -> None:
    """Revoke every access token of a citizen's consents. The caller commits."""
    session.execute(REVOKE_OF_CITIZEN, {"citizen": citizen_id, "now": now})
