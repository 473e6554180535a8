"""Whether a client may act in this very moment, as the table has it and not the registry's copy."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, bindparam, exists, select

from authz_server.clients.models import Client
from authz_server.database import table_of
from authz_server.prepared import Executor
from authz_server.single_use.decision import Decision
from authz_server.single_use.identifiers import Identifier

CLIENT = table_of(Client)
ACTIVE = Decision(
    select(CLIENT.c.client_id).where(CLIENT.c.client_id == bindparam("named"), CLIENT.c.suspended_at.is_(None))
)


def is_suspended(client_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Of a statement: whether the client whom this column names is."""
    return exists().where(Client.client_id == client_id, Client.suspended_at.is_not(None))


def check(session: Executor, client_id: str, *, spend: Sequence[Identifier]) -> bool:
    """Whether the client is registered and not suspended.

    Args: spend: identifiers of its assertion and proof.  Raises: AssertionReplayed, ProofReplayed.
    """
    return bool(ACTIVE.run(session, spend=spend, named=client_id))
