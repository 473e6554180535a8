"""Rows for races without the way that leads to them: dataset tokens, leases, codes, requests that wait."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import Engine, insert, select
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.catalogue.model import Catalogue
from authz_server.config import Limits
from authz_server.consent.codes import AT_COUNTER
from authz_server.consent.models import AuthorizationCode, AuthorizationRequest, Consent, Correction
from authz_server.consent.service import REQUEST_URI_PREFIX
from authz_server.core import secrets
from authz_server.core.identifiers import new_transaction_id
from authz_server.counter.appointments import CLERK
from authz_server.counter.clerks import CODE_PREFIX
from authz_server.counter.codes import barcode_digest, short_digest, typeable
from authz_server.counter.models import Appointment, Barcode, Delegation, DeskSession
from authz_server.database import Base, table_of
from authz_server.identity import sessions
from authz_server.identity.models import CitizenSession
from authz_server.tokens import access_tokens, dataset_tokens
from authz_server.tokens.models import AccessToken, DatasetToken

JKT = "j" * 43
CHALLENGE = "c" * 43
LIMITS = Limits()


@dataclass(frozen=True)
class Subject:
    """What a race is about. `secret`: token, code, or id of a request."""

    secret: str
    transaction_id: str
    consent_id: str = ""

    @property
    def lease(self) -> str:
        """The handle of a token that was seeded as leased."""
        return f"mdl_{self.secret}"

    @property
    def request_uri(self) -> str:
        """The request_uri of a request."""
        return f"{REQUEST_URI_PREFIX}{self.secret}"


def invitation_of(subject: Subject) -> str:
    """The invitation to go with a barcode."""
    return typeable(subject.secret.encode(), "invitation")


def jkt_of(clerk: int) -> str:
    """The thumbprint of the key of a clerk's desk; 0: of everybody else's."""
    return f"{JKT[:-2]}{clerk % 100:02}" if clerk else JKT


def session_digest(citizen_id: int) -> bytes:
    """Of the session in which a citizen agrees."""
    return secrets.digest(f"session of {citizen_id}")


class Seeds:
    """Makes rows after the model of a real journey, known by its transaction."""

    def __init__(self, engine: Engine, catalogue: Catalogue, transaction_id: str) -> None:
        self.engine = engine
        self._consent, self._code, self._request = (
            self._row(model, transaction_id) for model in (Consent, AuthorizationCode, AuthorizationRequest)
        )
        self._dataset = catalogue.dataset(self._consent["granted"][0]["dataset"])

    @property
    def client_id(self) -> str:
        """The client that all rows are of."""
        return str(self._consent["client_id"])

    @property
    def citizen_id(self) -> int:
        """The citizen that all rows are of."""
        return int(self._consent["citizen_id"])

    @property
    def dataset_id(self) -> str:
        """The dataset that all tokens are for."""
        return self._dataset.id

    @property
    def agency_id(self) -> str:
        """The agency that all tokens are for."""
        return self._dataset.agency_id

    def of(self, **owner: Any) -> Self:
        """The same for another `client_id` or `citizen_id`."""
        other = copy(self)
        other._consent = self._consent | owner
        return other

    def tokens(self, count: int, *, now: datetime, leased_until: datetime | None = None) -> list[Subject]:
        """Dataset tokens, each with a consent of its own; issued, or leased until then."""
        subjects = self._consents(count, dataset_tokens.PREFIX)
        place = {"agency_id": self._dataset.agency_id, "dataset_id": self._dataset.id, "position": 0}
        ttl_s = LIMITS.dataset_token_ttl_s
        rows = []
        for subject in subjects:
            row = dataset_tokens.new_row(subject.secret, jkt=JKT, dataset=self._dataset, ttl_s=ttl_s, now=now)
            if leased_until is not None:
                lease = {"lease_digest": secrets.digest(subject.lease), "lease_expires_at": leased_until}
                row |= {"state": "leased"} | lease
            rows.append(row | place | self._owner(subject))
        self._insert(DatasetToken, rows)
        return subjects

    def access_tokens(self, count: int, *, now: datetime) -> list[Subject]:
        """Access tokens for UserInfo."""
        subjects = self._consents(count, access_tokens.PREFIX)
        times = {"issued_at": now, "expires_at": now + timedelta(seconds=LIMITS.access_token_ttl_s)}
        same: dict[str, Any] = times | {"scopes": ["openid"], "claims": {}, "jkt": JKT, "revoked_at": None}
        rows = [same | {"digest": secrets.digest(subject.secret)} | self._owner(subject) for subject in subjects]
        for row in rows:
            del row["transaction_id"]
        self._insert(AccessToken, rows)
        return subjects

    def codes(self, count: int, *, now: datetime) -> list[Subject]:
        """Authorization codes, each with a consent of its own."""
        subjects = self._consents(count, "mdc_")
        fresh = {"expires_at": now + timedelta(seconds=LIMITS.code_ttl_s), "used_at": None, "dpop_jkt": None}
        self._insert(
            AuthorizationCode,
            [
                self._code | fresh | {"digest": secrets.digest(subject.secret)} | self._owner(subject)
                for subject in subjects
            ],
        )
        return subjects

    def barcodes(
        self, count: int, *, now: datetime, agent_id: int | None = None, announced: bool = True
    ) -> list[Subject]:
        """Barcodes that were shown and, unless told otherwise, just announced; each with a consent of its own.

        Args: agent_id: who goes with them for the citizen.
        """
        subjects = self._consents(count, "")
        digits = (f"{int.from_bytes(secrets.digest(subject.secret)[:16], 'big'):040}" for subject in subjects)
        subjects = [replace(subject, secret=secret) for subject, secret in zip(subjects, digits, strict=True)]
        until = now + timedelta(seconds=LIMITS.visit_ttl_s)
        shown: dict[str, Any] = {"shown_at": now, "expires_at": now + timedelta(seconds=LIMITS.barcode_ttl_s)}
        good_until = now + timedelta(seconds=LIMITS.visit_code_ttl_s)
        shown |= {"announced_at": now if announced else None, "code_expires_at": good_until if announced else None}
        digests = {subject.secret: barcode_digest(subject.secret) for subject in subjects}
        fresh: dict[str, Any] = {"expires_at": until, "used_at": None, "dpop_jkt": None}
        approved = {"event": "consent.approved", "reason": AT_COUNTER, "at": now, "success": True, "actor": "citizen"}
        self._insert(
            AuthorizationCode,
            [self._code | fresh | {"digest": digests[one.secret]} | self._owner(one) for one in subjects],
        )
        place = shown | {"counter_id": "desk-1" if announced else None, "agent_id": agent_id}
        rows = [{"digest": digests[one.secret], "short_digest": secrets.digest(one.secret)} for one in subjects]
        self._insert(Barcode, [place | row | self._owner(one) for row, one in zip(rows, subjects, strict=True)])
        self._insert(AuditEntry, [approved | self._owner(one) for one in subjects])
        if agent_id is not None:
            self.delegate(subjects, now=now, agent_id=agent_id, accepted_at=now, confirmed_at=now)
        return subjects

    def delegate(self, subjects: Sequence[Subject], *, now: datetime, named: str = "", **stage: Any) -> None:
        """Let somebody else go with these barcodes. Args: named: their national id; stage: how far it has come."""
        same = {"invited_at": now, "expires_at": now + timedelta(hours=1), "agent_id": None}
        same |= {"accepted_at": None, "confirmed_at": None} | stage
        rows = []
        for subject in subjects:
            known = short_digest(bytes(32), invitation_of(subject), kind="invitation")
            secret = secrets.derive(bytes(32), "agent", known.hex(), named)
            rows.append(same | {"digest": known, "named": secret} | self._owner(subject))
        self._insert(Delegation, rows)

    def consents(self, count: int, **since: Any) -> list[Subject]:
        """Consents alone. Args: since: what has happened to them."""
        return self._consents(count, "", **since)

    def corrections(self, consents: Sequence[Subject], field_id: str, *, requested_at: datetime) -> dict[Subject, str]:
        """Requests to correct a field of what each of these consents brought, sealed: their names."""
        names = {consent: secrets.new_secret("")[:22] for consent in consents}
        place = {"agency_id": self.agency_id, "dataset_id": self.dataset_id, "field_id": field_id}
        sealed: dict[str, Any] = {"sealed": b"sealed", "requested_at": requested_at}
        rows = [place | sealed | {"id": names[consent]} | self._owner(consent) for consent in consents]
        self._insert(Correction, rows)
        return names

    def clerks_codes(self, count: int, *, now: datetime) -> list[Subject]:
        """Codes of sign-ins at a desk of the client, of one clerk there."""
        office: dict[str, Any] = {"client_id": self.client_id, "citizen_id": self.citizen_id}
        with Session(self.engine) as session, session.begin():
            clerk = Appointment(**office, role=CLERK, appointed_at=now, appointed_by=None)
            session.add(clerk)
            session.flush()
            sign_in = {"acr": "3", "amr": ["pwd"], "auth_time": now, "redirect_uri": "https://desk.example/cb"}
            sign_in |= {"appointment_id": clerk.id, "code_challenge": CHALLENGE, "dpop_jkt": None, "nonce": None}
        times = {"code_expires_at": now + timedelta(minutes=1), "expires_at": now + timedelta(hours=1)}
        subjects = [Subject(secrets.new_secret(CODE_PREFIX), "") for _ in range(count)]
        rows = [office | sign_in | times | {"code_digest": secrets.digest(one.secret)} for one in subjects]
        self._insert(DeskSession, rows)
        return subjects

    def requests(self, count: int, *, now: datetime, begun: bool = True) -> list[Subject]:
        """Authorization requests, begun by the citizen or only pushed."""
        subjects = [Subject(secrets.new_secret(""), new_transaction_id()) for _ in range(count)]
        state = {
            "pushed_at": now,
            "expires_at": now + timedelta(seconds=LIMITS.request_uri_ttl_s),
            "deadline_at": now + timedelta(seconds=LIMITS.transaction_ttl_s),
            "started_at": now if begun else None,
            "citizen_id": self.citizen_id if begun else None,
            "client_id": self.client_id,
            "decided_at": None,
        }
        rows = [
            self._request
            | state
            | {
                "id": subject.secret,
                "digest": secrets.digest(subject.request_uri),
                "transaction_id": subject.transaction_id,
            }
            for subject in subjects
        ]
        self._insert(AuthorizationRequest, rows)
        self.sign_in(now)
        return subjects

    def sign_in(self, now: datetime) -> None:
        """Give the citizen a session, unless they have one."""
        digest = session_digest(self.citizen_id)
        with Session(self.engine) as session, session.begin():
            if session.get(CitizenSession, digest) is None:
                secret = sessions.open_session(session, self.citizen_id, level=1, amr=["pwd", "otp"], now=now)
                opened = session.get_one(CitizenSession, secrets.digest(secret))
                opened.digest = digest

    def _owner(self, subject: Subject) -> dict[str, Any]:
        owner = {"citizen_id": self.citizen_id, "client_id": self.client_id}
        return owner | {"consent_id": subject.consent_id, "transaction_id": subject.transaction_id}

    def _consents(self, count: int, prefix: str, **since: Any) -> list[Subject]:
        subjects = [
            Subject(secrets.new_secret(prefix), new_transaction_id(), secrets.new_secret("")[:22]) for _ in range(count)
        ]
        rows = [
            self._consent | since | {"id": subject.consent_id, "transaction_id": subject.transaction_id}
            for subject in subjects
        ]
        self._insert(Consent, rows)
        return subjects

    def _row(self, model: type[Base], transaction_id: str) -> dict[str, Any]:
        table = table_of(model)
        with Session(self.engine) as session:
            return session.execute(select(table).where(table.c.transaction_id == transaction_id)).one()._asdict()

    def _insert(self, model: type[Base], rows: Sequence[dict[str, Any]]) -> None:
        with Session(self.engine) as session, session.begin():
            session.execute(insert(table_of(model)), rows)
