"""The life of a dataset token, an UPDATE for each edge.

    issued --lease--> leased --delivered--> spent
                        |-- failed, nothing delivered --> issued (attempt + 1) or, after the last attempt, dead
                        |-- agency is preparing --> issued, not before its time
                        |-- no record --> issued, not charged
                        '-- lease runs out --> spent, outcome unknown (a crash: when in doubt, no second delivery)
    issued --revoke, expire--> dead

Each WHERE says what must hold at that very moment; a caller only learns whether it did.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, case, exists, literal, literal_column, or_, select, update
from sqlalchemy.orm import Session

from authz_server.audit.service import Entry
from authz_server.catalogue.model import Dataset
from authz_server.clients.models import Agency, SuspendedDataset
from authz_server.clients.standing import is_suspended
from authz_server.config import Limits
from authz_server.consent.models import CONSENT
from authz_server.core import clock
from authz_server.core.secrets import digest, new_secret
from authz_server.database import table_of
from authz_server.identity.models import CITIZEN, held
from authz_server.prepared import Executor, Prepared
from authz_server.single_use.decision import Decision, looked_up
from authz_server.single_use.identifiers import Identifier
from authz_server.tokens.errors import AuthenticationNotSufficient, LeaseNotUsable, TokenNotReady, TokenNotUsable
from authz_server.tokens.leases import Lease
from authz_server.tokens.models import DatasetToken

PREFIX = "mdt_"
LEASE_PREFIX = "mdl_"
TOKEN = table_of(DatasetToken)
NOW: ColumnElement[datetime] = bindparam("now")

# Nobody whom this fetch concerns is suspended or frozen, nor is what it is for. Asked at the lease, before the first
# byte, while bytes leave, and before the last one.
STANDS = (
    ~is_suspended(TOKEN.c.client_id),
    ~held(TOKEN.c.citizen_id),
    ~exists().where(Agency.id == TOKEN.c.agency_id, Agency.suspended_at.is_not(None)),
    ~exists().where(SuspendedDataset.dataset_id == TOKEN.c.dataset_id),
)
LEASED = (
    TOKEN.c.lease_digest == bindparam("lease"),
    TOKEN.c.state == "leased",
    TOKEN.c.lease_expires_at > NOW,
)
# A transfer begins once; and once it has begun, the agency's answer was neither "preparing" nor "no record".
NOT_BEGUN = TOKEN.c.first_byte_at.is_(None)
NO_LEASE: dict[str, Any] = {"lease_digest": None, "lease_expires_at": None}
ENDED: dict[str, Any] = NO_LEASE | {"first_byte_at": None}
RECORDED = tuple(
    TOKEN.c[name]
    for name in ("transaction_id", "citizen_id", "client_id", "agency_id", "dataset_id", "consent_id", "attempt")
)


def _of_consent(name: str) -> ColumnElement[Any]:
    return looked_up(CONSENT.c[name], where=CONSENT.c.id, equals=TOKEN.c.consent_id)


def _edge(*conditions: ColumnElement[bool], returning: Sequence[ColumnElement[Any]] = (), **values: Any) -> Decision:
    return Decision(update(TOKEN).where(*conditions).values(values).returning(*RECORDED, *returning))


LEASE = _edge(
    TOKEN.c.digest == bindparam("token"),
    TOKEN.c.state == "issued",
    TOKEN.c.expires_at > NOW,
    TOKEN.c.not_before.is_(None) | (TOKEN.c.not_before <= NOW),
    TOKEN.c.jkt == bindparam("proof_jkt"),
    TOKEN.c.dataset_id == bindparam("asked_dataset"),
    _of_consent("level") <= bindparam("needed_level"),
    ~is_suspended(bindparam("resource_server")),
    *STANDS,
    returning=(
        *(TOKEN.c[name] for name in ("position", "recipient_jwk", "agent_id", "clerk_citizen_id")),
        *(_of_consent(name) for name in ("granted", "level", "auth_time")),
        looked_up(CITIZEN.c.national_id, where=CITIZEN.c.id, equals=TOKEN.c.citizen_id),
    ),
    state="leased",
    lease_digest=bindparam("lease"),
    lease_expires_at=bindparam("lease_until"),
)
FAILED_AS = case((TOKEN.c.state == "dead", literal("token.exhausted")), else_=literal("token.failed"))
OUTCOMES = {
    # The first byte is about to leave, and the lease must now last as long as the transfer may.
    "delivering": _edge(*LEASED, *STANDS, NOT_BEGUN, first_byte_at=NOW, lease_expires_at=bindparam("until")),
    # More bytes are about to leave. Nothing changes, so nothing is put on record.
    "continuing": Decision(select(*RECORDED).where(*LEASED, *STANDS)),
    # Reported before the last byte leaves: without this row nobody holds a complete answer.
    "delivered": _edge(*LEASED, *STANDS, state="spent", spent_at=NOW, lease_expires_at=None),
    "failed": _edge(
        *LEASED,
        returning=[FAILED_AS.label("event")],
        state=case((TOKEN.c.attempt < bindparam("max_attempts"), "issued"), else_="dead"),
        attempt=TOKEN.c.attempt + 1,
        **ENDED,
    ),
    "preparing": _edge(
        *LEASED,
        NOT_BEGUN,
        state="issued",
        not_before=bindparam("until"),
        # Never sooner than before: the agency may have said that it needs longer (`readiness.LIVE_ON`).
        expires_at=case(
            (TOKEN.c.expires_limit_at < bindparam("extended"), TOKEN.c.expires_limit_at),
            (TOKEN.c.expires_at > bindparam("extended"), TOKEN.c.expires_at),
            else_=bindparam("extended", type_=TOKEN.c.expires_at.type),
        ),
        **ENDED,
    ),
    "no_record": _edge(*LEASED, NOT_BEGUN, state="issued", **ENDED),
}
# Why a token of this key could not be leased: its time has not come, or its consent is of too low a level by now.
REFUSED = Prepared(
    select(TOKEN.c.not_before, _of_consent("level").label("level")).where(
        TOKEN.c.digest == bindparam("token"),
        TOKEN.c.state == "issued",
        TOKEN.c.jkt == bindparam("proof_jkt"),
        TOKEN.c.dataset_id == bindparam("asked_dataset"),
        TOKEN.c.expires_at > NOW,
    )
)
# Written out: PostgreSQL's one plan for all values finds an index of what is leased only if it is told so.
LAPSED = _edge(
    TOKEN.c.state == literal_column("'leased'"),
    TOKEN.c.lease_expires_at <= NOW,
    state="spent",
    spent_at=NOW,
    lease_expires_at=None,
)
EXPIRED = _edge(TOKEN.c.state == "issued", TOKEN.c.expires_at.between(bindparam("earliest"), NOW), state="dead")
USABLE = Decision(
    select(
        *(TOKEN.c[name] for name in ("client_id", "jkt", "issued_at", "expires_at", "position")),
        *(TOKEN.c[name] for name in ("agent_id", "clerk_citizen_id")),
        *(_of_consent(name) for name in ("granted", "level", "auth_time")),
    ).where(TOKEN.c.digest == bindparam("token"), TOKEN.c.state == "issued", TOKEN.c.expires_at > NOW, *STANDS)
)
# What time has ended is not revoked any more: a lease that ran out may have brought something, and the record says so.
KILLABLE = or_(
    and_(TOKEN.c.state == "issued", TOKEN.c.expires_at > NOW),
    and_(TOKEN.c.state == "leased", TOKEN.c.lease_expires_at > NOW),
)
REVOKE_ONE = _edge(
    TOKEN.c.digest == bindparam("token"), TOKEN.c.client_id == bindparam("owner"), KILLABLE, state="dead", **ENDED
)
# The time of the first byte stays: it tells that a transfer was under way.
REVOKE_OF_CONSENT = _edge(
    TOKEN.c.consent_id == bindparam("consent"),
    KILLABLE,
    returning=[TOKEN.c.first_byte_at],
    state="dead",
    **NO_LEASE,
)


def new_row(
    token: str, *, jkt: str, dataset: Dataset, ttl_s: int, now: datetime, recipient_jwk: str | None = None
) -> dict[str, Any]:
    """The columns of a token that is being issued: all but its owner and its position in the consent."""
    expires_at = now + timedelta(seconds=ttl_s)
    return {
        "digest": digest(token),
        "jkt": jkt,
        "issued_at": now,
        "expires_at": expires_at,
        "expires_limit_at": expires_at + timedelta(seconds=dataset.preparing_limit_s),
        "state": "issued",
        "attempt": 1,
        "not_before": None,
        "spent_at": None,
        "recipient_jwk": recipient_jwk,
        **ENDED,
    }


def lease(
    session: Executor,
    token: str,
    *,
    jkt: str,
    dataset_id: str,
    needed_level: int,
    resource_server: str,
    ttl_s: int,
    spend: Sequence[Identifier],
    now: datetime,
) -> Lease:
    """Spend the right to fetch, for as long as the lease lasts. The caller commits before it uses the lease.

    Args: jkt: thumbprint of the key of the verified proof; needed_level: what the dataset demands now, which may be
        more than it did when the citizen consented; resource_server: which client fetches; spend: identifiers of the
        assertion and the proof.
    Raises: AssertionReplayed, ProofReplayed; TokenNotReady, AuthenticationNotSufficient if all but the time that the
        agency named, or the level, is right; else TokenNotUsable.
    """
    handle = new_secret(LEASE_PREFIX)
    asked: dict[str, Any] = {"token": digest(token), "proof_jkt": jkt, "asked_dataset": dataset_id, "now": now}
    rows = LEASE.run(
        session,
        entry=Entry(at=now, event="token.leased", success=True, actor=f"client:{resource_server}"),
        spend=spend,
        lease=digest(handle),
        lease_until=now + timedelta(seconds=ttl_s),
        needed_level=needed_level,
        resource_server=resource_server,
        **asked,
    )
    if rows:
        return Lease(handle, rows[0])
    if refused := REFUSED.run(session, asked):
        not_before, level = refused[0]
        if not_before is not None and not_before > now:
            raise TokenNotReady(clock.seconds_to_wait(not_before - now))
        if level > needed_level:
            raise AuthenticationNotSufficient(needed_level)
    raise TokenNotUsable("unknown, expired, spent, bound to another key, or suspended")


class Report(NamedTuple):
    """What the proxy says of a fetch; `wait_s` of `preparing` is the agency's Retry-After."""

    outcome: str
    reason: str | None = None
    wait_s: int = 0


SUCCESS = frozenset({"delivering", "delivered", "preparing", "no_record"})


def report(session: Executor, handle: str, outcome: Report, *, limits: Limits, now: datetime) -> None:
    """Take the edge that the outcome names. The caller commits.

    Raises: LeaseNotUsable: the lease is over, or a suspension or withdrawal came first. Nothing more may be sent.
    """
    wait_until = now + timedelta(seconds=outcome.wait_s)
    times: dict[str, dict[str, Any]] = {
        "delivering": {"until": now + timedelta(seconds=limits.transfer_s)},
        "continuing": {},
        "delivered": {},
        "failed": {"max_attempts": limits.max_attempts},
        "preparing": {"until": wait_until, "extended": wait_until + timedelta(seconds=limits.dataset_token_ttl_s)},
        "no_record": {},
    }
    entry = Entry(
        at=now,
        event=f"token.{outcome.outcome}",
        success=outcome.outcome in SUCCESS,
        actor="proxy",
        reason=outcome.reason,
    )
    edge = OUTCOMES[outcome.outcome]
    told = entry if outcome.outcome != "continuing" else None
    if not edge.run(session, entry=told, lease=digest(handle), now=now, **times[outcome.outcome]):
        raise LeaseNotUsable(outcome.outcome)


def find_usable(session: Executor, token: str, *, spend: Sequence[Identifier], now: datetime) -> Any | None:
    """The token's row if it could be leased now (perhaps after a wait), else None; the token stays as it is.

    Args: spend: the identifier of the assertion.  Raises: AssertionReplayed.
    """
    rows = USABLE.run(session, spend=spend, token=digest(token), now=now)
    return rows[0] if rows else None


def revoke(session: Executor, token: str, *, client_id: str, spend: Sequence[Identifier], now: datetime) -> bool:
    """Kill a token of this client, even while it is being fetched; whether there was one. The caller commits.

    Args: spend: the identifier of the assertion.  Raises: AssertionReplayed.
    """
    entry = Entry(at=now, event="token.revoked", success=True, actor=f"client:{client_id}")
    return bool(REVOKE_ONE.run(session, entry=entry, spend=spend, token=digest(token), owner=client_id, now=now))


def revoke_of_consent(session: Session, consent_id: str, *, actor: str, reason: str, now: datetime) -> bool:
    """Kill every dataset token of a consent that is not spent yet; whether a transfer was under way.

    If one was, its next chunk is refused, and none leaves once `core.transfers.commit_end` has returned.
    """
    entry = Entry(at=now, event="token.revoked", success=True, actor=actor, reason=reason)
    killed = REVOKE_OF_CONSENT.run(session, entry=entry, consent=consent_id, now=now)
    return any(token.first_byte_at is not None for token in killed)


def tidy(session: Executor, *, look_back: timedelta = clock.EVER, now: datetime) -> Sequence[Any]:
    """Record the leases that ran out, and the tokens that expired in the time looked back. The caller commits."""
    lapsed = Entry(at=now, event="token.spent_unknown", success=False, actor="worker", reason="lease_ran_out")
    expired = Entry(at=now, event="token.expired", success=False, actor="worker")
    ended = EXPIRED.run(session, entry=expired, earliest=now - look_back, now=now)
    return [*LAPSED.run(session, entry=lapsed, now=now), *ended]
