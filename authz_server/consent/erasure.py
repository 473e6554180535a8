"""After the last byte is out: a citizen asks the recipient to erase, and the recipient says what it did.

A recipient is told at the endpoint for events that it registered, or by e-mail; notices do that, from the record. One
that neither reaches is not told, and the record says that in events of their own: the citizen has to call.

Once asked, once answered; only a refusal may still be followed by the word that it was erased after all. What was
delivered after an answer is another matter: the citizen can ask anew. Neither needs the consent to stand: what was
delivered outlives it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, get_args

from sqlalchemy import (
    Boolean,
    ColumnElement,
    TextClause,
    and_,
    bindparam,
    case,
    exists,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from authz_server.audit.models import AUDIT_ENTRY
from authz_server.audit.service import Entry
from authz_server.clients import model
from authz_server.clients.models import Client
from authz_server.consent.errors import ErasureSettled, NoSuchConsent
from authz_server.consent.models import CONSENT, ERASURE_OPEN, NAMED
from authz_server.core.clock import day_of
from authz_server.database import table_of
from authz_server.prepared import Executor
from authz_server.single_use.decision import Decision, looked_up

REQUESTED: Final = "consent.erasure_requested"
UNTOLD: Final = "consent.erasure_untold"  # the same, and there is no way to tell the recipient
REMINDED: Final = "consent.erasure_reminded"
DUE: Final = "consent.erasure_due"  # the day has come, and there is no way to remind the recipient
ANSWERED: Final = "consent.erasure_acknowledged"
ERASED: Final = "erased"
# Why a recipient keeps what it has (個人資料保護法 article 11): what it may say, and what citizens read of it in
# portal.record_wording.
Refusal = Literal["not_held", "legal_obligation", "legal_claims", "contract"]
REFUSALS: Final[tuple[Refusal, ...]] = get_args(Refusal)
Answer = Literal["erased"] | Refusal
ENTRY = AUDIT_ENTRY.c
# A recipient that was asked just before its day, or after it, is not reminded of what it has just heard.
REMINDED_AFTER: Final = timedelta(days=1)


def _of_client(column: str) -> ColumnElement[Any]:
    client = table_of(Client).c
    return looked_up(client[column], where=client.client_id, equals=CONSENT.c.client_id)


# Whether the recipient can be told of anything: `is_reachable` for one statement.
REACHABLE = or_(
    _of_client("security_event_endpoint").is_not(None),
    and_(bindparam("by_mail", type_=Boolean), _of_client("contact_email") != ""),
)


def _change(
    *conditions: ColumnElement[bool] | TextClause, record: tuple[ColumnElement[Any], ...] = (), **values: Any
) -> Decision:
    """Args: record: further columns of the entry."""
    return Decision(update(CONSENT).where(*conditions).values(values).returning(*NAMED, *record))


def _event(told: str, untold: str) -> tuple[ColumnElement[Any], ...]:
    return (case((REACHABLE, literal(told)), else_=literal(untold)).label("event"),)


UNANSWERED = CONSENT.c.erasure_answered_at.is_(None)
OWN = (CONSENT.c.transaction_id == bindparam("reference"), CONSENT.c.citizen_id == bindparam("citizen"))
OF_CLIENT = (CONSENT.c.id == bindparam("grant"), CONSENT.c.client_id == bindparam("owner"))
# Else a client that says early "erased", and fetches then, could never be asked.
DELIVERED_SINCE = exists().where(
    ENTRY.transaction_id == CONSENT.c.transaction_id,
    ENTRY.event.in_(("token.delivering", "token.delivered", "token.spent_unknown")),
    ENTRY.at > CONSENT.c.erasure_answered_at,
)
ASK = _change(
    *OWN,
    or_(and_(CONSENT.c.erasure_requested_at.is_(None), UNANSWERED), DELIVERED_SINCE),
    record=_event(REQUESTED, UNTOLD),
    erasure_requested_at=bindparam("now"),
    erasure_reminded_at=null(),
    erasure_answered_at=null(),
    erasure_refusal=null(),
)
CONFIRM = _change(
    *OF_CLIENT,
    or_(UNANSWERED, CONSENT.c.erasure_refusal.is_not(None)),
    erasure_answered_at=bindparam("now"),
    erasure_refusal=null(),
)
REFUSE = _change(
    *OF_CLIENT,
    UNANSWERED,
    CONSENT.c.erasure_requested_at.is_not(None),
    erasure_answered_at=bindparam("now"),
    erasure_refusal=bindparam("refusal"),
)
REMIND = _change(
    ERASURE_OPEN,
    CONSENT.c.erase_by <= bindparam("today"),
    CONSENT.c.erasure_requested_at < bindparam("earlier"),
    record=_event(REMINDED, DUE),
    erasure_reminded_at=bindparam("now"),
)
FIND = select(
    CONSENT.c.erase_by, CONSENT.c.erasure_requested_at, CONSENT.c.erasure_answered_at, CONSENT.c.erasure_refusal
).where(*OF_CLIENT)


def is_reachable(client: model.Client | None, *, by_mail: bool) -> bool:
    """Whether a client can be told of anything. Args: by_mail: whether this platform sends e-mail."""
    return client is not None and bool(client.security_event_endpoint or (by_mail and client.contact_email))


def ask(session: Session, transaction_id: str, *, citizen_id: int, by_mail: bool, now: datetime) -> bool:
    """Ask the recipient of the citizen's own consent to erase what it has; whether that was new. The caller commits.

    Args: by_mail: see `is_reachable`.
    """
    entry = Entry(at=now, event=REQUESTED, success=True, actor="citizen")
    known: dict[str, Any] = {"reference": transaction_id, "citizen": citizen_id, "by_mail": by_mail}
    return bool(ASK.run(session, entry=entry, now=now, **known))


def answer(session: Session, grant_id: str, said: Answer, *, client_id: str, now: datetime) -> None:
    """Record what a client did about its own consent, which may have ended. The same again is fine.

    The caller commits.
    Args: said: "erased", which needs no request, or one of REFUSALS.
    Raises: NoSuchConsent, unknown or another client's; ErasureSettled.
    """
    erased = said == ERASED
    entry = Entry(at=now, event=ANSWERED, success=erased, actor=f"client:{client_id}", reason=said)
    known: dict[str, Any] = {"grant": grant_id, "owner": client_id, "now": now}
    if erased:
        done = CONFIRM.run(session, entry=entry, **known)
    else:
        done = REFUSE.run(session, entry=entry, refusal=said, **known)
    if done:
        return
    found = find(session, grant_id, client_id=client_id)
    if found.erasure_answered_at is None or found.erasure_refusal != (None if erased else said):
        raise ErasureSettled("not asked, or answered otherwise")


def find(session: Session, grant_id: str, *, client_id: str) -> Any:
    """How far it has come with a client's own consent: erase_by and the columns of erasure.

    Raises: NoSuchConsent.
    """
    found = session.execute(FIND, {"grant": grant_id, "owner": client_id}).one_or_none()
    if found is None:
        raise NoSuchConsent("no such grant of this client")
    return found


def remind(session: Executor, *, by_mail: bool, now: datetime) -> Sequence[Any]:
    """Record, once for each, that the day has come and the recipient was silent. The caller commits.

    Args: by_mail: see `is_reachable`.
    """
    entry = Entry(at=now, event=REMINDED, success=True, actor="worker")
    known: dict[str, Any] = {"today": day_of(now), "earlier": now - REMINDED_AFTER, "by_mail": by_mail}
    return REMIND.run(session, entry=entry, now=now, **known)
