"""Redeem an authorization code: the code spent, its tokens issued, and all of that on the record, in one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from authz_server.audit.models import AUDIT_ENTRY
from authz_server.audit.service import Entry
from authz_server.catalogue.model import Catalogue, Dataset
from authz_server.config import Limits, Settings
from authz_server.consent.codes import OWNED, CodeRow, get_code, record_replay, spending
from authz_server.consent.errors import CodeNotUsable, CodeReplayed, DatasetGone
from authz_server.core.secrets import digest, new_secret
from authz_server.database import table_of
from authz_server.prepared import Executor
from authz_server.single_use.decision import Decision
from authz_server.single_use.identifiers import Identifier
from authz_server.tokens import access_tokens, dataset_tokens
from authz_server.tokens.models import AccessToken, DatasetToken

LEAVES = (table_of(AccessToken), table_of(DatasetToken), AUDIT_ENTRY)


def redeeming(*conditions: ColumnElement[bool]) -> Decision:
    """The decision that redeems a code. Args: conditions: what has to hold besides."""
    return Decision(spending(*conditions), leaves=LEAVES)


REDEEM = redeeming()


@dataclass(frozen=True, kw_only=True)
class Issued:
    """Secrets on their way to the client; `dataset_tokens` in the order of the consent's granted datasets."""

    access_token: str = field(repr=False)
    dataset_tokens: tuple[str, ...] = field(repr=False)


def redeem(
    session: Executor,
    code: CodeRow,
    *,
    jkt: str,
    catalogue: Catalogue,
    limits: Limits,
    spend: Sequence[Identifier],
    now: datetime,
    recipient_jwk: Mapping[str, Any] | None = None,
    decision: Decision = REDEEM,
    told: Sequence[Entry] = (),
    agent_id: int | None = None,
    clerk_citizen_id: int | None = None,
    **conditions: Any,
) -> Issued:
    """Issue one dataset token for each granted dataset, and one access token for UserInfo, bound to the key `jkt`.

    A browser that downloads gets no access token.
    Args: code: its row, found to be the caller's, or used; spend: the identifiers of the request's assertion and proof;
        recipient_jwk: whom the data is encrypted to, where the consent does not say it; decision: what `redeeming`
        made, with the parameters of its conditions; told: what the record says of it, if not that the client redeemed
        a code; agent_id, clerk_citizen_id: who acts for the citizen on the way to a counter, and behind it.
    Raises: AssertionReplayed, ProofReplayed; CodeReplayed; CodeNotUsable, if time ran out, or somebody is shut out;
        DatasetGone, one of its kinds.
    """
    datasets = _datasets(code, catalogue)
    issued = Issued(
        access_token=new_secret(access_tokens.PREFIX),
        dataset_tokens=tuple(new_secret(dataset_tokens.PREFIX) for _ in code.granted),
    )
    owner = {name: getattr(code, name) for name in OWNED}
    if not told:
        told = [Entry(at=now, event="code.redeemed", success=True, actor=f"client:{code.client_id}", **owner)]
    recipient = None if recipient_jwk is None else orjson.dumps(recipient_jwk).decode()
    tokens, entries = [], [*told]
    for position, (dataset, token) in enumerate(zip(datasets, issued.dataset_tokens, strict=True)):
        place = owner | {"agency_id": dataset.agency_id, "dataset_id": dataset.id}
        row = dataset_tokens.new_row(
            token, jkt=jkt, dataset=dataset, ttl_s=limits.dataset_token_ttl_s, now=now, recipient_jwk=recipient
        )
        tokens.append(place | row | {"position": position, "agent_id": agent_id, "clerk_citizen_id": clerk_citizen_id})
        entries.append(Entry(at=now, event="token.issued", success=True, actor=told[0].actor, **place))
    # A browser that downloads knows whose it is.
    access = [] if recipient else [_access_token(issued, code, jkt, limits, now)]
    rows = [access, tokens, [entry.values() for entry in entries]]
    if not decision.run(session, spend=spend, rows=rows, code_digest=code.digest, jkt=jkt, now=now, **conditions):
        if get_code(session, code.digest, jkt=jkt, now=now).used_at is not None:
            raise CodeReplayed("redeemed before")
        raise CodeNotUsable("its client or citizen is shut out, or what else the caller demands does not hold")
    return issued


def enriched(code: CodeRow, issued: Issued, settings: Settings) -> list[dict[str, Any]]:
    """RFC 9396 section 7: each granted dataset, enriched with where to fetch it and the token that opens it once."""
    return [
        {
            **detail,
            "transaction": code.transaction_id,  # as `txn` in the agency's manifest: which consent a package answers
            "locations": [f"{settings.proxy_url}/data/{detail['dataset']}"],
            "access_token": token,
            "expires_in": settings.limits.dataset_token_ttl_s,
        }
        for detail, token in zip(code.granted, issued.dataset_tokens, strict=True)
    ]


def revoke_replayed(session: Session, code: CodeRow, *, client_id: str, now: datetime) -> None:
    """End what a code was exchanged for, as it was presented a second time (RFC 6749 section 4.1.2); with entries.

    The caller commits.
    """
    record_replay(session, code, client_id=client_id, now=now)
    access_tokens.revoke_of_consent(session, code.consent_id, now=now)
    dataset_tokens.revoke_of_consent(
        session, code.consent_id, actor=f"client:{client_id}", reason="code_replayed", now=now
    )


def _datasets(code: CodeRow, catalogue: Catalogue) -> list[Dataset]:
    """What was granted, as the catalogue has it now.  Raises: DatasetGone; CodeReplayed, whatever is gone."""
    found = [dataset for detail in code.granted if (dataset := catalogue.find_dataset(detail["dataset"]))]
    if len(found) < len(code.granted):
        if code.used_at is not None:
            raise CodeReplayed("redeemed before")
        raise DatasetGone("a granted dataset is in the catalogue no longer")
    return found


def _access_token(issued: Issued, code: CodeRow, jkt: str, limits: Limits, now: datetime) -> dict[str, Any]:
    return {
        "digest": digest(issued.access_token),
        "consent_id": code.consent_id,
        "citizen_id": code.citizen_id,
        "client_id": code.client_id,
        "scopes": code.scopes,
        "claims": code.claims,
        "jkt": jkt,
        "issued_at": now,
        "expires_at": now + timedelta(seconds=limits.access_token_ttl_s),
        "revoked_at": None,
    }
