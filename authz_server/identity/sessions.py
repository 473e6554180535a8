"""Sessions of citizens: opened at sign-in, found by the digest of a cookie, ended by time or by decision."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from authz_server.config import Limits
from authz_server.core.identifiers import LOWEST_LEVEL, CitizenId, acr_of_level
from authz_server.core.secrets import digest, new_secret
from authz_server.identity import browsers
from authz_server.identity.browsers import Browser
from authz_server.identity.models import CITIZEN, CITIZEN_SESSION
from authz_server.prepared import Executor, Prepared

PREFIX = "mds_"
TOUCH_EVERY = timedelta(minutes=1)
DEFAULT_LIMITS = Limits()

_citizen = CITIZEN.c
_session = CITIZEN_SESSION.c
_FIND = Prepared(
    select(
        _session.citizen_id,
        _session.level,
        _session.amr,
        _session.auth_time,
        _session.proofs,
        _session.last_seen_at,
        _session.idle_until,
        _session.expires_at,
        _citizen.name,
        _citizen.birthdate,
        _citizen.verified_at,
        _citizen.locale,
        _citizen.frozen_at,
    )
    .join(CITIZEN, _citizen.id == _session.citizen_id)
    .where(
        _session.digest == bindparam("secret_digest"),
        _session.ended_at.is_(None),
        _session.idle_until > bindparam("moment"),
        _session.expires_at > bindparam("moment"),
        _citizen.suspended_at.is_(None),
    )
)
_TOUCH = Prepared(
    update(CITIZEN_SESSION)
    .where(
        _session.digest == bindparam("secret_digest"),
        _session.ended_at.is_(None),
        _session.last_seen_at < bindparam("moment"),
    )
    .values(last_seen_at=bindparam("moment"), idle_until=bindparam("idle"))
    .returning(_session.citizen_id)
)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """By which method a citizen proved who they are, at which level, and when. `amr`: as RFC 8176 calls it."""

    method: str
    level: int
    at: datetime
    amr: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """A citizen whose session was found and verified, and how they proved who they are."""

    citizen_id: CitizenId
    name: str = field(repr=False)
    birthdate: date = field(repr=False)
    locale: str  # "": none chosen
    level: int
    amr: tuple[str, ...]
    auth_time: datetime
    last_seen_at: datetime
    idle_until: datetime
    expires_at: datetime
    session_digest: bytes = field(repr=False)
    frozen_at: datetime | None = None
    verified_at: datetime | None = None
    proofs_json: Sequence[Mapping[str, Any]] = ()

    @property
    def proofs(self) -> tuple[Proof, ...]:
        """Every proof of this sign-in, the newest of each method."""
        return proofs_of(self.proofs_json)

    @property
    def methods(self) -> frozenset[str]:
        """By which methods the citizen proved it, of those that open a fetch."""
        return frozenset(proof.method for proof in self.proofs if proof.level <= LOWEST_LEVEL)

    @property
    def first_use(self) -> bool:
        """Whether who it is was never proved by two different methods, as the first use needs."""
        return self.verified_at is None

    @property
    def acr(self) -> str:
        """The level as the `acr` value that tokens carry."""
        return acr_of_level(self.level)

    def touch_due(self, now: datetime) -> bool:
        """Whether `touch` would write."""
        return now - self.last_seen_at >= TOUCH_EVERY


def open_session(
    session: Session,
    citizen_id: int,
    *,
    level: int,
    amr: Sequence[str],
    now: datetime,
    method: str = "password_totp",
    limits: Limits = DEFAULT_LIMITS,
    replaces: str | None = None,
    browser: Browser | None = None,
) -> str:
    """Open a session and return its secret, for the cookie. The caller commits.

    Args: browser: where it is opened; replaces: cookie of the session that the browser had; it ends here, whoever's it
    was, so that an identifier known before the sign-in is worth nothing after it (fixation). If it was this citizen's,
    what was proved in it counts on: the session is stepped up.
    """
    before = find(session, replaces, now=now)
    ended = replaces is not None and end(session, digest(replaces), now=now)
    proofs, told = [Proof(method=method, level=level, at=now, amr=tuple(amr))], list(amr)
    # By whom it was ended says that statement: one that `end_all` ended in this moment leaves nothing behind.
    if before is not None and ended and before.citizen_id == citizen_id:
        told = list(dict.fromkeys([*before.amr, *amr]))
        oldest = now - timedelta(seconds=limits.session_max_s)
        proofs += [proof for proof in before.proofs if proof.method != method and proof.at > oldest]
    strongest = min(proofs, key=lambda proof: proof.level)
    # A proof counts for so long and no longer: a weaker one beside it must not prolong it.
    ends_at = strongest.at + timedelta(seconds=limits.session_max_s)
    secret = new_secret(PREFIX)
    session.execute(
        insert(CITIZEN_SESSION).values(
            digest=digest(secret),
            citizen_id=citizen_id,
            level=strongest.level,
            amr=[value for value in told if any(value in proof.amr for proof in proofs)],
            auth_time=strongest.at,
            proofs=_to_json(proofs),
            created_at=now,
            last_seen_at=now,
            idle_until=now + timedelta(seconds=limits.session_idle_s),
            expires_at=ends_at,
            **({"browser": browser.digest_for(citizen_id), "browser_kind": browser.kind} if browser else {}),
        )
    )
    return secret


def find(session: Executor, cookie: str | None, *, now: datetime) -> SignedIn | None:
    """Find whose session this is, in one statement; None if unknown, ended, idle too long, too old, or suspended."""
    if cookie is None or not cookie.startswith(PREFIX):
        return None
    secret_digest = digest(cookie)
    rows = _FIND.run(session, {"secret_digest": secret_digest, "moment": now})
    if not rows:
        return None
    (row,) = rows
    return SignedIn(
        citizen_id=row.citizen_id,
        name=row.name,
        birthdate=row.birthdate,
        locale=row.locale,
        level=row.level,
        amr=tuple(row.amr),
        auth_time=row.auth_time,
        last_seen_at=row.last_seen_at,
        idle_until=row.idle_until,
        expires_at=row.expires_at,
        session_digest=secret_digest,
        frozen_at=row.frozen_at,
        verified_at=row.verified_at,
        proofs_json=row.proofs,
    )


def _to_json(proofs: Iterable[Proof]) -> list[dict[str, Any]]:
    return [asdict(proof) | {"at": proof.at.isoformat()} for proof in proofs]


def proofs_of(proofs: Iterable[Mapping[str, Any]]) -> tuple[Proof, ...]:
    """The proofs of a session, from its row."""
    return tuple(
        Proof(
            method=proof["method"],
            level=proof["level"],
            at=datetime.fromisoformat(proof["at"]),
            amr=tuple(proof.get("amr", ())),  # a session that was opened before this release says it of no proof
        )
        for proof in proofs
    )


def touch(executor: Executor, signed_in: SignedIn, *, now: datetime, limits: Limits = DEFAULT_LIMITS) -> None:
    """Push the idle limit back, if that is due: once a minute. The caller commits."""
    if signed_in.touch_due(now):
        idle_until = now + timedelta(seconds=limits.session_idle_s)
        _TOUCH.run(executor, {"secret_digest": signed_in.session_digest, "moment": now, "idle": idle_until})


def end(session: Session, session_digest: bytes, *, now: datetime) -> bool:
    """End one session; whether there was one that had not ended. The caller commits."""
    this = (_session.digest == session_digest, _session.ended_at.is_(None))
    ended = update(CITIZEN_SESSION).where(*this).values(ended_at=now).returning(_session.digest)
    return session.execute(ended).first() is not None


def end_all(session: Session, citizen_id: int, *, now: datetime, but: bytes | None = None) -> bool:
    """End every session of a citizen, but the one with that digest; whether there was any that was not over.

    Their browsers are new ones from then on. The caller commits.
    """
    others = [] if but is None else [_session.digest != but]
    theirs = (_session.citizen_id == citizen_id, _session.ended_at.is_(None), *others)
    ending = update(CITIZEN_SESSION).where(*theirs).values(ended_at=now)
    statement = ending.returning(_session.idle_until, _session.expires_at)
    rows = session.execute(statement).all()
    # On PostgreSQL it has waited for who was just stepping one of them up, and does not see what that left in its
    # place; the next statement does.
    while more := session.execute(statement).all():
        rows = [*rows, *more]
    browsers.forget_all(session, citizen_id, but=but)
    return any(min(row.idle_until, row.expires_at) > now for row in rows)
