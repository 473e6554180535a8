"""One-time identifiers (`jti`): the insert is the check, so that the first of any number of racers wins."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam
from sqlalchemy.orm import Session

from authz_server.core.secrets import digest
from authz_server.database import insert_if_absent
from authz_server.tokens.errors import Replayed
from authz_server.tokens.models import UsedIdentifier


class Identifier(NamedTuple):
    """A `jti` with what makes it unique, and when it may be forgotten because its bearer has expired."""

    kind: str
    digest: bytes
    expires_at: datetime


def client_assertion(client_id: str, jti: str, *, expires_at: datetime) -> Identifier:
    """RFC 7523 section 3, item 7: single use per client."""
    # NUL can't be in a client_id, so no two pairs give one digest.
    return Identifier("client_assertion", digest(f"{client_id}\0{jti}"), expires_at)


def dpop_proof(replay_key: bytes, *, expires_at: datetime) -> Identifier:
    """RFC 9449 section 11.1: single use per key; `replay_key` is `core.dpop.replay_key(proof)`."""
    return Identifier("dpop_proof", replay_key, expires_at)


def _statement(dialect: str, count: int) -> Any:
    rows: list[dict[str, Any]] = [
        {name: bindparam(f"{name}_{index}") for name in ("kind", "digest", "expires_at")} for index in range(count)
    ]
    return insert_if_absent(dialect, UsedIdentifier).values(rows).returning(UsedIdentifier.kind)


STATEMENTS = {(name, count): _statement(name, count) for name in ("postgresql", "sqlite") for count in (1, 2)}


def use(session: Session, identifiers: Sequence[Identifier]) -> None:
    """Spend each of the one or two identifiers. The caller commits.  Raises: Replayed, naming the kinds."""
    parameters = {
        f"{name}_{index}": getattr(identifier, name)
        for index, identifier in enumerate(identifiers)
        for name in Identifier._fields
    }
    statement = STATEMENTS[session.get_bind().dialect.name, len(identifiers)]
    first_used = {row.kind for row in session.execute(statement, parameters)}
    if seen := {identifier.kind for identifier in identifiers} - first_used:
        raise Replayed(" ".join(sorted(seen)))
