"""Pairwise subjects (OpenID Connect Core section 8.1): under which name a client knows a citizen."""

from authz_server.core.secrets import derive


def pairwise_subject(secret: bytes, client_id: str, citizen_id: int) -> str:
    """The citizen's name towards this client; two clients can't tell that they know the same person.

    The sector is the client itself: what two clients share they should register as one.
    """
    return derive(secret, "pairwise", client_id, str(citizen_id))
