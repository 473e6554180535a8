"""The citizen takes back what they gave: one consent, or everything at once. What it still opens is closed for good."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, or_, select, union, update
from sqlalchemy.orm import Session

from authz_server.audit.service import Entry
from authz_server.consent import codes
from authz_server.consent.codes import JUST_EXPIRED
from authz_server.consent.errors import IdentityNotSufficient, NoSuchConsent
from authz_server.consent.models import CONSENT, NAMED
from authz_server.identity import levels, sessions
from authz_server.identity.models import CITIZEN
from authz_server.identity.sessions import SignedIn
from authz_server.single_use.decision import Decision
from authz_server.tokens import access_tokens, dataset_tokens

UNFREEZE_LEVEL: Final = 3
UNFREEZE_MAX_AGE: Final = timedelta(minutes=5)

STANDS = CONSENT.c.withdrawn_at.is_(None)
OWN = (CONSENT.c.citizen_id == bindparam("citizen"), STANDS)
# It has a code that may be redeemed, or whose redemption may be under way, or a token that opens something.
HAS_CODE = exists().where(
    codes.CODE.c.citizen_id == CONSENT.c.citizen_id, codes.CODE.c.consent_id == CONSENT.c.id, codes.OPEN
)
OPENS_IDENTITY = exists().where(access_tokens.TOKEN.c.consent_id == CONSENT.c.id, access_tokens.OPEN)
OPENS_DATA = exists().where(dataset_tokens.TOKEN.c.consent_id == CONSENT.c.id, dataset_tokens.KILLABLE)
# What its citizen would miss: once all data is delivered, who they are can be asked for some minutes more, but of a
# consent to data that is no part that they know of, and what they gave goes on. `consent.outcome` calls consents to
# data stoppable by the same rule; each to identity alone can be stopped on its own page, also when it opens nothing.
AWAITED = or_(HAS_CODE, OPENS_DATA, and_(OPENS_IDENTITY, func.json_array_length(CONSENT.c.granted) == 0))

# Whose they are: driven by what is open, which is little, and not by the consents of years.
WITH_OPEN = union(
    select(codes.CODE.c.citizen_id).where(codes.OPEN),
    select(access_tokens.TOKEN.c.citizen_id).where(access_tokens.OPEN),
    select(dataset_tokens.TOKEN.c.citizen_id).where(dataset_tokens.KILLABLE),
)


def _withdraw(*conditions: ColumnElement[bool]) -> Decision:
    return Decision(update(CONSENT).where(*conditions).values(withdrawn_at=bindparam("now")).returning(*NAMED))


WITHDRAW = _withdraw(*OWN, CONSENT.c.transaction_id == bindparam("reference"))
WITHDRAW_OPEN = _withdraw(*OWN, AWAITED)
REVOKE = _withdraw(STANDS, CONSENT.c.transaction_id == bindparam("reference"))
GRANT = (STANDS, CONSENT.c.id == bindparam("grant"), CONSENT.c.client_id == bindparam("owner"))
GIVE_UP = _withdraw(*GRANT)
FIND_GRANT = select(*NAMED, CONSENT.c.scopes, CONSENT.c.granted).where(*GRANT)
FIND_RECIPIENTS = (
    select(CONSENT.c.client_id)
    .where(*OWN, AWAITED)
    .group_by(CONSENT.c.client_id)
    .order_by(func.min(CONSENT.c.decided_at))
)


def _hold(*conditions: ColumnElement[bool], frozen_at: Any) -> Decision:
    return Decision(
        update(CITIZEN)
        .where(CITIZEN.c.id == bindparam("citizen"), *conditions)
        .values(frozen_at=frozen_at)
        .returning(CITIZEN.c.id.label("citizen_id"))
    )


FREEZE = _hold(CITIZEN.c.frozen_at.is_(None), frozen_at=bindparam("now"))
UNFREEZE = _hold(CITIZEN.c.frozen_at.is_not(None), frozen_at=None)
# Why an operator ends a consent: what the record has, and what citizens read of it in portal.record_wording.
REVOKED_FOR: Final = ("on_request", "misuse", "security", "by_law", "mistake")


def withdraw(session: Session, transaction_id: str, *, citizen_id: int, now: datetime) -> bool:
    """End everything that the citizen's own consent still opens; whether a transfer was under way.

    That is its code, its tokens, and fetches in flight. The caller commits by `core.transfers.commit_end`: from its
    commit on no exchange succeeds and no fetch begins to deliver; once it returns, none delivers another part. What was
    delivered before stays delivered. A second time, and for what is not theirs, nothing happens.
    """
    under_way = False
    entry = Entry(at=now, event="consent.withdrawn", success=True, actor="citizen")
    for consent in WITHDRAW.run(session, entry=entry, reference=transaction_id, citizen=citizen_id, now=now):
        under_way |= _close(session, consent.consent_id, actor="citizen", reason="withdrawn", now=now)
    return under_way


def revoke(session: Session, transaction_id: str, *, reason: str, now: datetime) -> bool:
    """End a consent by decision of the operator, as by `withdraw`; whether a transfer was under way.

    The caller commits by `commit_end`.
    Args: reason: one of REVOKED_FOR.  Raises: NoSuchConsent, also if it has ended.
    """
    entry = Entry(at=now, event="consent.withdrawn", success=True, actor="operator", reason=reason)
    ended = REVOKE.run(session, entry=entry, reference=transaction_id, now=now)
    if not ended:
        raise NoSuchConsent("no consent that could be ended has this reference number")
    return _close(session, ended[0].consent_id, actor="operator", reason=reason, now=now)


def find_grant(session: Session, grant_id: str, *, client_id: str) -> Any:
    """A client's own consent that has not ended: also scopes and granted.

    Raises: NoSuchConsent: unknown, ended or another client's.
    """
    found = session.execute(FIND_GRANT, {"grant": grant_id, "owner": client_id}).one_or_none()
    if found is None:
        raise NoSuchConsent("no such grant of this client")
    return found


def give_up(session: Session, grant_id: str, *, client_id: str, now: datetime) -> bool:
    """End a client's own consent at its wish, as by `withdraw`; whether a transfer was under way.

    The caller commits by `commit_end`. Raises: as `find_grant`.
    """
    actor = f"client:{client_id}"
    entry = Entry(at=now, event="consent.withdrawn", success=True, actor=actor, reason="given_up")
    ended = GIVE_UP.run(session, entry=entry, grant=grant_id, owner=client_id, now=now)
    if not ended:
        raise NoSuchConsent("no such grant of this client")
    return _close(session, grant_id, actor=actor, reason="given_up", now=now)


def freeze(
    session: Session,
    citizen_id: int,
    *,
    actor: str,
    reason: str,
    now: datetime,
    keep_session: bytes | None = None,
) -> bool:
    """Stop everything of a citizen: what is open ends as by `withdraw`, and nothing is agreed to or opened until
    `unfreeze`; whether a transfer was under way. The caller commits by `commit_end`.

    All sessions end, in any case: whoever presses "that was not me" wants that also when all is stopped.
    Args: reason: a code of the record, where it began; keep_session: digest of the session that stays.
    """
    # The citizen first: whatever approves waits for this row or is waited for, and its consent is then found.
    entry = Entry(at=now, event="account.frozen", success=True, actor=actor, reason=reason)
    FREEZE.run(session, entry=entry, citizen=citizen_id, now=now)
    under_way = withdraw_open(session, citizen_id, actor=actor, reason="frozen", now=now)
    sessions.end_all(session, citizen_id, now=now, but=keep_session)
    return under_way


def withdraw_open(session: Session, citizen_id: int, *, actor: str, reason: str, now: datetime) -> bool:
    """End every consent of which something is still to come, as by `withdraw`; whether a transfer was under way.

    Of those whose data is all delivered only the access tokens end: what the recipient may do with it is as before.
    The caller has locked the citizen, commits, and then lets the transfer end.
    """
    under_way = False
    entry = Entry(at=now, event="consent.withdrawn", success=True, actor=actor, reason=reason)
    for consent in WITHDRAW_OPEN.run(session, entry=entry, citizen=citizen_id, now=now, since=now - JUST_EXPIRED):
        under_way |= _close(session, consent.consent_id, actor=actor, reason=reason, now=now)
    access_tokens.revoke_of_citizen(session, citizen_id, now=now)
    return under_way


def unfreeze(session: Session, signed_in: SignedIn, *, now: datetime) -> None:
    """Let a citizen agree to requests again; what was stopped stays stopped. The caller commits.

    Raises: IdentityNotSufficient, as `lack_to_unfreeze` says.
    """
    if lack_to_unfreeze(signed_in, now=now):
        raise IdentityNotSufficient("to unfreeze")
    lift(session, signed_in.citizen_id, actor="citizen", now=now)


def lack_to_unfreeze(signed_in: SignedIn, *, now: datetime) -> levels.Lack | None:
    """What the sign-in lacks: too weak, longer ago than `UNFREEZE_MAX_AGE`, or by one method where two are needed."""
    return levels.lack(signed_in, UNFREEZE_LEVEL, now - UNFREEZE_MAX_AGE, two_methods=signed_in.first_use)


def lift(session: Session, citizen_id: int, *, actor: str, now: datetime) -> bool:
    """Open a frozen account; whether it was frozen. What was stopped stays stopped. The caller commits."""
    entry = Entry(at=now, event="account.unfrozen", success=True, actor=actor)
    return bool(UNFREEZE.run(session, entry=entry, citizen=citizen_id))


def recipients(session: Session, citizen_id: int, *, now: datetime) -> Sequence[str]:
    """Ids of the clients whose consents still bring them something, each once; of whose consent is oldest, first."""
    return session.scalars(FIND_RECIPIENTS, {"citizen": citizen_id, "now": now, "since": now - JUST_EXPIRED}).all()


def citizens_with_open(session: Session, *, now: datetime) -> Sequence[int]:
    """Ids of the citizens of whom anything is open."""
    return session.scalars(WITH_OPEN, {"now": now, "since": now - JUST_EXPIRED}).all()


def _close(session: Session, consent_id: str, *, actor: str, reason: str, now: datetime) -> bool:
    # Code before tokens: a redemption under way is waited for, and what it issued is then found.
    codes.revoke_of_consent(session, consent_id, now=now)
    access_tokens.revoke_of_consent(session, consent_id, now=now)
    return dataset_tokens.revoke_of_consent(session, consent_id, actor=actor, reason=reason, now=now)
