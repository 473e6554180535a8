"""The link with which a reader says: that was not me. It needs no sign-in, so it is good for freezing alone.

Its secret is derived from the notice and the server's secret, so nothing of it rests anywhere.
"""

from typing import Final

from authz_server.core import secrets

PREFIX: Final = "mdn_"


def link(issuer: str, server_secret: bytes, audit_entry_id: int, channel: str) -> str:
    """The address in a message; in the query, for logs leave that out."""
    return f"{issuer}/not-me?key={PREFIX}{audit_entry_id}-{channel}-{_mac(server_secret, audit_entry_id, channel)}"


def _mac(server_secret: bytes, audit_entry_id: int, channel: str) -> str:
    return secrets.derive(server_secret, "not-me", str(audit_entry_id), channel)
