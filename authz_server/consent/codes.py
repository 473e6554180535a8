"""Authorization codes: one redemption, by the client it was issued to, with the verifier of its request."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import ColumnElement, and_, bindparam, delete, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from authz_server.audit.service import Entry, record
from authz_server.clients import own
from authz_server.clients.standing import is_suspended
from authz_server.config import Limits
from authz_server.consent.errors import CodeNotUsable, WrongProofKey
from authz_server.consent.models import CONSENT, AuthorizationCode
from authz_server.core.secrets import derive
from authz_server.database import table_of
from authz_server.identity.models import held
from authz_server.prepared import Executor, Prepared
from authz_server.single_use.decision import Decision
from authz_server.single_use.identifiers import Identifier

PREFIX = "mdc_"
AT_COUNTER = "counter"  # the reason, on the record, of a decision that a barcode answers, not a code
CODE = table_of(AuthorizationCode)


class CodeRow(Protocol):
    """A code and what its consent says: the columns of `GET`."""

    digest: bytes
    transaction_id: str
    citizen_id: int
    client_id: str
    consent_id: str
    redirect_uri: str
    code_challenge: str
    dpop_jkt: str | None
    nonce: str | None
    claims: dict[str, Any]
    expires_at: datetime
    used_at: datetime | None
    scopes: list[str]
    granted: list[dict[str, Any]]
    level: int
    amr: list[str]
    auth_time: datetime


OWNED = ("transaction_id", "citizen_id", "client_id", "consent_id")
GET = Prepared(
    select(CODE, *(CONSENT.c[name] for name in ("scopes", "granted", "level", "amr", "auth_time")))
    .join(CONSENT, CONSENT.c.id == CODE.c.consent_id)
    .where(CODE.c.digest == bindparam("code_digest"))
)


def spending(*conditions: ColumnElement[bool]) -> ReturningUpdate[Any]:
    """The one UPDATE that spends a code; whoever takes a decision with it says what else that leaves behind."""
    return (
        update(CODE)
        .where(
            CODE.c.digest == bindparam("code_digest"),
            CODE.c.used_at.is_(None),
            CODE.c.expires_at > bindparam("now"),
            # RFC 9449 section 10: a proof by another key does not even touch the code.
            CODE.c.dpop_jkt.is_(None) | (CODE.c.dpop_jkt == bindparam("jkt")),
            ~is_suspended(CODE.c.client_id),
            ~held(CODE.c.citizen_id),
            *conditions,
        )
        .values(used_at=bindparam("now"))
        .returning(*(CODE.c[name] for name in OWNED))
    )


MISUSE = Decision(spending())
# Also what has just expired: its redemption may have begun before, and this has to wait for it and see its tokens.
# What is older is left out, for the index by which a code is found here is that of its time.
JUST_EXPIRED = timedelta(minutes=5)
OPEN = and_(CODE.c.used_at.is_(None), CODE.c.expires_at > bindparam("since"))
REVOKE_OF_CONSENT = delete(CODE).where(CODE.c.consent_id == bindparam("consent"), OPEN)
# The row goes, so that each is told of once.
EXPIRED = Decision(
    delete(CODE)
    .where(
        CODE.c.used_at.is_(None),
        CODE.c.expires_at <= bindparam("latest"),
    )
    .returning(*(CODE.c[name] for name in OWNED))
)


def unshown(server_secret: bytes, transaction_id: str) -> str:
    """What stands for the code of a visit to a counter until its first barcode is shown. Nobody is ever given it."""
    return derive(server_secret, "unshown-barcode", transaction_id)


def collectable_s(limits: Limits, *, at_counter: bool, client_id: str = "") -> int:
    """How long what was agreed to may be collected."""
    if client_id == own.CLIENT_ID:
        return limits.transaction_ttl_s  # by a page that has to be read first
    return limits.visit_ttl_s if at_counter else limits.code_ttl_s


def get_code(session: Executor, code_digest: bytes, *, jkt: str, now: datetime) -> CodeRow:
    """The row of a code that was used or can perhaps be, with the scopes, granted datasets and identity of its consent.

    It decides nothing: that does whichever statement spends the code. That one also refuses a used code, for only it
    knows whether the whole request is an old one: whoever repeats that must not end what it once brought.
    Raises: CodeNotUsable; WrongProofKey, if it was bound to another key.
    """
    rows = GET.run(session, {"code_digest": code_digest})
    if not rows:
        raise CodeNotUsable("unknown")
    row: CodeRow = rows[0]
    if row.used_at is not None:
        return row
    if row.expires_at <= now:
        raise CodeNotUsable("expired")
    if row.dpop_jkt not in {None, jkt}:
        raise WrongProofKey("bound to another key")
    return row


def spend_misused(
    session: Executor, code: CodeRow, *, client_id: str, jkt: str, spend: Sequence[Identifier], now: datetime
) -> None:
    """Spend a code for whoever presents it without owning it: it was stolen, and must be of no use any more.

    Args: code: its row; spend: the identifiers of the request's assertion and proof.
    Raises: AssertionReplayed, ProofReplayed.
    """
    entry = Entry(at=now, event="code.misused", success=False, actor=f"client:{client_id}")
    MISUSE.run(session, entry=entry, spend=spend, code_digest=code.digest, jkt=jkt, now=now)


def record_replay(session: Session, code: CodeRow, *, client_id: str, now: datetime) -> None:
    """Put on the record that a code was presented again. The caller commits."""
    owner = {name: getattr(code, name) for name in OWNED}
    record(session, Entry(at=now, event="code.replayed", success=False, actor=f"client:{client_id}", **owner))


def tidy(session: Executor, *, now: datetime) -> Sequence[Any]:
    """Put on the record the permissions that nobody collected, a while after their time. The caller commits."""
    entry = Entry(at=now, event="code.expired", success=False, actor="worker")
    return EXPIRED.run(session, entry=entry, latest=now - JUST_EXPIRED)


def revoke_of_consent(session: Session, consent_id: str, *, now: datetime) -> None:
    """Take back the code of a consent that nobody has redeemed yet: it is unknown from then on. The caller commits."""
    session.execute(REVOKE_OF_CONSENT, {"consent": consent_id, "since": now - JUST_EXPIRED})
