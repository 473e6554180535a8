"""Identity scopes and the claims they open (OpenID Connect Core section 5.4)."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Row

from authz_server.consent import question
from authz_server.consent.request import DESK

SCOPE_CLAIMS: Mapping[str, tuple[str, ...]] = {
    "openid": (),
    **question.CLAIMS_OF_SCOPE,  # as the consent page has it
    DESK: (),
}
IDENTITY_SCOPES = frozenset(SCOPE_CLAIMS)
IDENTITY_CLAIMS = question.CLAIMS
CLAIMS = ("sub", "acr", "amr", "auth_time", *IDENTITY_CLAIMS)


def claims_of(citizen: Row[Any]) -> dict[str, Any]:
    """Every identity claim that we know of a citizen; one that they lack is left out, never null."""
    known = {
        "name": citizen.name,
        "birthdate": citizen.birthdate.isoformat() if citizen.birthdate else None,
        "locale": citizen.locale,
        "email": citizen.email,
        "phone_number": citizen.phone,
    }
    return {claim: value for claim, value in known.items() if value}


def released(scopes: Iterable[str], asked: Iterable[str], citizen: Row[Any]) -> dict[str, Any]:
    """The claims of the granted scopes and those asked for by name: the consent page showed both."""
    allowed = {*asked, *(claim for scope in scopes for claim in SCOPE_CLAIMS.get(scope, ()))}
    return {claim: value for claim, value in claims_of(citizen).items() if claim in allowed}
