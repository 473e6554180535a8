"""Authorization codes: one redemption, by the client it was issued to, with the verifier of its request."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, exists, select, update
from sqlalchemy.orm import Session

from authz_server.audit.service import Entry, record
from authz_server.clients.models import Client as ClientRow
from authz_server.consent.errors import CodeNotUsable, CodeReplayed, WrongProofKey
from authz_server.consent.models import AuthorizationCode, Consent
from authz_server.core.secrets import digest
from authz_server.database import table_of
from authz_server.identity.models import Citizen
from authz_server.single_use.decision import Decision
from authz_server.single_use.identifiers import Identifier

PREFIX = "mdc_"
CODE = table_of(AuthorizationCode)
CONSENT = table_of(Consent)

# Spent for whoever presents it: a wrong client or verifier means that it was stolen, and then it must be gone.
CONSUME = Decision(
    lambda fresh: (
        update(CODE)
        .where(
            fresh,
            CODE.c.digest == bindparam("code_digest"),
            CODE.c.used_at.is_(None),
            CODE.c.expires_at > bindparam("now"),
            # RFC 9449 section 10: a proof by another key does not even touch the code.
            CODE.c.dpop_jkt.is_(None) | (CODE.c.dpop_jkt == bindparam("jkt")),
            ~exists().where(ClientRow.client_id == CODE.c.client_id, ClientRow.suspended_at.is_not(None)),
            ~exists().where(Citizen.id == CODE.c.citizen_id, Citizen.suspended_at.is_not(None)),
        )
        .values(used_at=bindparam("now"))
        .returning(
            CODE,
            *(
                select(CONSENT.c[name]).where(CONSENT.c.id == CODE.c.consent_id).scalar_subquery().label(name)
                for name in ("scopes", "granted", "level", "amr", "auth_time")
            ),
        )
    )
)


def consume_code(
    session: Session, code: str, *, jkt: str, client_id: str, spend: Sequence[Identifier], now: datetime
) -> Row[Any]:
    """Spend a code; its row with the scopes, granted datasets and identity of its consent.

    Whether `client_id` owns it and the verifier fits is the caller's to check, after the code is gone.
    The caller commits, also on CodeReplayed, which is on the record.
    Args: spend: the identifiers of the request's assertion and proof.
    Raises: CodeNotUsable, CodeReplayed, AssertionReplayed, ProofReplayed; WrongProofKey, which leaves the code as it
        was.
    """
    entry = Entry(at=now, event="code.redeemed", success=True, actor=f"client:{client_id}")
    if rows := CONSUME.run(session, entry=entry, spend=spend, code_digest=digest(code), jkt=jkt, now=now):
        return rows[0]
    found = session.execute(select(CODE).where(CODE.c.digest == digest(code))).one_or_none()
    if found is None:
        raise CodeNotUsable("unknown")
    if found.used_at is not None:
        record(
            session,
            Entry(
                at=now,
                event="code.replayed",
                success=False,
                actor=f"client:{client_id}",
                transaction_id=found.transaction_id,
                citizen_id=found.citizen_id,
                client_id=found.client_id,
                consent_id=found.consent_id,
            ),
        )
        raise CodeReplayed(found.consent_id)
    if found.expires_at > now and found.dpop_jkt not in {None, jkt}:
        raise WrongProofKey("bound to another key")
    raise CodeNotUsable("expired, or its client or citizen is suspended")
