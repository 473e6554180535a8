"""Issue what a redeemed code grants: one access token for UserInfo and one dataset token for each dataset."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, exists, select, update
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.audit.service import Entry
from authz_server.catalogue.model import Catalogue
from authz_server.clients.models import Client
from authz_server.config import Limits
from authz_server.core.secrets import digest, new_secret
from authz_server.database import Executor, Inserts, table_of
from authz_server.identity.models import Citizen
from authz_server.single_use.decision import Decision
from authz_server.single_use.identifiers import Identifier
from authz_server.tokens import dataset_tokens
from authz_server.tokens.models import AccessToken, DatasetToken

PREFIX = "mda_"
TOKEN = table_of(AccessToken)

LIVE = TOKEN.c.revoked_at.is_(None)

ISSUE = Inserts(TOKEN, table_of(DatasetToken), table_of(AuditEntry))
OF_CITIZEN: tuple[Any, ...] = (Citizen.name, Citizen.email, Citizen.phone, Citizen.birthdate, Citizen.locale)
CITIZEN = select(*OF_CITIZEN).where(Citizen.id == bindparam("citizen"))
FIND = Decision(
    lambda fresh: (
        select(TOKEN, *OF_CITIZEN)
        .join(Citizen, Citizen.id == TOKEN.c.citizen_id)
        .where(
            fresh,
            TOKEN.c.digest == bindparam("token"),
            TOKEN.c.expires_at > bindparam("now"),
            LIVE,
            Citizen.suspended_at.is_(None),
            ~exists().where(Client.client_id == TOKEN.c.client_id, Client.suspended_at.is_not(None)),
        )
    )
)
REVOKE_ONE = Decision(
    lambda fresh: (
        update(TOKEN)
        .where(fresh, TOKEN.c.digest == bindparam("token"), TOKEN.c.client_id == bindparam("owner"), LIVE)
        .values(revoked_at=bindparam("now"))
        .returning(TOKEN.c.digest)
    )
)
REVOKE_OF_CONSENT = (
    update(TOKEN).where(TOKEN.c.consent_id == bindparam("consent"), LIVE).values(revoked_at=bindparam("now"))
)


@dataclass(frozen=True, kw_only=True)
class Issued:
    """Secrets on their way to the client; `dataset_tokens` in the order of the consent's granted datasets."""

    access_token: str = field(repr=False)
    dataset_tokens: tuple[str, ...] = field(repr=False)


def issue(session: Session, code: Row[Any], *, jkt: str, catalogue: Catalogue, limits: Limits, now: datetime) -> Issued:
    """Issue the tokens of a redeemed code, bound to the key `jkt`, and record each. The caller commits."""
    issued = Issued(
        access_token=new_secret(PREFIX),
        dataset_tokens=tuple(new_secret(dataset_tokens.PREFIX) for _ in code.granted),
    )
    owner = {"consent_id": code.consent_id, "citizen_id": code.citizen_id, "client_id": code.client_id}
    access_token = owner | {
        "digest": digest(issued.access_token),
        "scopes": code.scopes,
        "claims": code.claims,
        "jkt": jkt,
        "issued_at": now,
        "expires_at": now + timedelta(seconds=limits.access_token_ttl_s),
        "revoked_at": None,
    }
    owner["transaction_id"] = code.transaction_id
    rows, entries = [], []
    for position, (detail, token) in enumerate(zip(code.granted, issued.dataset_tokens, strict=True)):
        dataset = catalogue.dataset(detail["dataset"])
        place = owner | {"agency_id": dataset.agency_id, "dataset_id": dataset.id}
        row = dataset_tokens.new_row(token, jkt=jkt, dataset=dataset, ttl_s=limits.dataset_token_ttl_s, now=now)
        rows.append(place | row | {"position": position})
        entries.append(Entry(at=now, event="token.issued", success=True, actor=f"client:{code.client_id}", **place))
    ISSUE.run(session, [access_token], rows, [entry.values() for entry in entries])
    return issued


def find(session: Executor, token: str, *, spend: Sequence[Identifier], now: datetime) -> Row[Any] | None:
    """The usable access token with the claims of its citizen, or None.

    Args: spend: the identifier of the proof.  Raises: ProofReplayed.
    """
    rows = FIND.run(session, spend=spend, token=digest(token), now=now)
    return rows[0] if rows else None


def citizen(session: Session, citizen_id: int) -> Row[Any]:
    """The columns from which identity claims are made, as `find` has them."""
    return session.execute(CITIZEN, {"citizen": citizen_id}).one()


def revoke(session: Executor, token: str, *, client_id: str, spend: Sequence[Identifier], now: datetime) -> bool:
    """Revoke an access token of this client; whether there was one. The caller commits."""
    return bool(REVOKE_ONE.run(session, spend=spend, token=digest(token), owner=client_id, now=now))


def revoke_of_consent(session: Session, consent_id: str, *, now: datetime) -> None:
    """Revoke every access token of a consent. The caller commits."""
    session.execute(REVOKE_OF_CONSENT, {"consent": consent_id, "now": now})
