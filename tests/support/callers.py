"""Who may call what. Every address is for the citizen who is signed in and for nobody else, save for these."""

from collections.abc import Mapping
from typing import Final

CITIZEN: Final = "citizen"
ANYONE: Final = "anyone"
PEOPLE: Final = frozenset({CITIZEN, "holder of a link"})

OTHERS: Final[Mapping[str, tuple[str, ...]]] = {
    ANYONE: (
        "catalogue.show", "certificate.answer", "certificate.ask", "certificate.download",
        "certificate.show_connection", "certificate.sign_in_by_connection", "consent.extended",
        "counter.offices", "developer.check", "developer.show", "download.catalogue", "email_code.submit",
        "health_card.submit", "identity.ask_sign_out", "identity.show_sign_in", "identity.submit_sign_in",
        "leave.left", "not_me.ask", "oauth.authorization_server_metadata", "oauth.authorize", "oauth.discovery",
        "oauth.jwks", "own_requests.ask", "own_requests.show", "passkey.answer", "passkey.ask", "portal.health",
        "portal.home", "request_builder.ask", "request_builder.choose", "request_builder.make", "static",
        "two_documents.submit", "upstream.ask", "upstream.returned", "verify.check", "verify.form", "verify.recipients",
    ),
    "agency": ("oauth.answer_correction", "oauth.answer_preparation", "oauth.heartbeat"),
    "client": (
        "oauth.announce", "oauth.answer_erasure", "oauth.par", "oauth.query_erasure", "oauth.query_grant",
        "oauth.report_copy", "oauth.revoke", "oauth.revoke_grant",
    ),
    "client, resource server": ("oauth.token",),
    "holder of a lease": ("oauth.outcomes",),
    "holder of a link": ("not_me.stop",),
    "holder of an access token": ("oauth.userinfo",),
    "resource server": ("oauth.introspect",),
}  # fmt: skip
_CALLERS: Final = {endpoint: caller for caller, endpoints in OTHERS.items() for endpoint in endpoints}


def caller_of(endpoint: str) -> str:
    """Who may call it."""
    return _CALLERS.get(endpoint, CITIZEN)
