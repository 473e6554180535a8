"""Recovery codes: ten numbers on paper, each good once in place of the authenticator's code, for whoever has lost it.

They are shown when they are made and never again. A code is a credential under the digest of itself, keyed with the
server's secret and bound to its citizen: 53 bits are too few for a digest that anybody could try out on a stolen table.
"""

import re
import secrets as system
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from authz_server.core import secrets
from authz_server.identity import turns
from authz_server.identity.models import CREDENTIAL

KIND: Final = "recovery_code"
COUNT: Final = 10
DIGITS: Final = 16
_FORM: Final = re.compile(r"[0-9]{16}")
_code = CREDENTIAL.c
_IN_FORCE: Final = (_code.method == KIND, _code.removed_at.is_(None))


@dataclass(frozen=True, kw_only=True)
class Left:
    """How many codes are good, and when they were made; None: there never were any, or all were used."""

    count: int
    made_at: datetime | None


def renew(session: Session, citizen_id: int, *, server_secret: bytes, now: datetime) -> Sequence[str]:
    """Make new codes and return them, as they are written down; the old ones are void. The caller commits."""
    void(session, citizen_id, now=now)
    codes = [f"{system.randbelow(10**DIGITS):0{DIGITS}}" for _ in range(COUNT)]
    rows = [
        {
            "citizen_id": citizen_id,
            "method": KIND,
            "external_id": _digest(server_secret, citizen_id, code),
            "label": "",
            "data": {},
            "created_at": now,
        }
        for code in codes
    ]
    session.execute(insert(CREDENTIAL), rows)
    return [" ".join(code[start : start + 4] for start in range(0, DIGITS, 4)) for code in codes]


def void(session: Session, citizen_id: int, *, now: datetime) -> None:
    """Let no code of a citizen be good any more. The caller commits."""
    turns.take(session, citizen_id)  # of two renewals at once the second voids what the first has made
    session.execute(update(CREDENTIAL).where(_code.citizen_id == citizen_id, *_IN_FORCE).values(removed_at=now))


def void_all(session: Session, *, now: datetime) -> None:
    """Let nobody's code be good any more. The caller commits."""
    session.execute(update(CREDENTIAL).where(*_IN_FORCE).values(removed_at=now))


def left(session: Session, citizen_id: int) -> Left:
    """What a citizen still has."""
    found = select(func.count(), func.max(_code.created_at)).where(_code.citizen_id == citizen_id, *_IN_FORCE)
    count, made_at = session.execute(found).one()
    return Left(count=count, made_at=made_at)


def find(session: Session, citizen_id: int | None, typed: str, *, server_secret: bytes) -> int | None:
    """The credential of a code that was typed, if it is one of this citizen's in force; equal work if there is none."""
    external_id = _digest(server_secret, citizen_id or 0, typed if _FORM.fullmatch(typed) else "")
    found = select(_code.id).where(_code.external_id == external_id, _code.citizen_id == (citizen_id or 0), *_IN_FORCE)
    return session.execute(found).scalar_one_or_none()


def all_in_force(session: Session, citizen_id: int, codes: Iterable[str], *, server_secret: bytes) -> bool:
    """Tell whether these are the citizen's codes, so that whoever has them may be shown them."""
    plain = ["".join(code.split()) for code in codes]
    return bool(plain) and all(find(session, citizen_id, code, server_secret=server_secret) for code in plain[:COUNT])


def _digest(server_secret: bytes, citizen_id: int, code: str) -> str:
    return secrets.derive(server_secret, "recovery-code", str(citizen_id), code)
