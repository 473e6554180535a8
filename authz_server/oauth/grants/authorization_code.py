"""Authorization code grant (RFC 6749 section 4.1.3), with PKCE and DPoP always, and a token for each dataset."""

import re
from typing import Any

from authz_server.consent.codes import PREFIX, CodeRow, get_code, spend_misused
from authz_server.consent.errors import CodeNotUsable, CodeReplayed
from authz_server.core import clock
from authz_server.core.identifiers import acr_of_level
from authz_server.core.jose.encoding import sha256_of
from authz_server.core.secrets import digest, equal
from authz_server.counter import clerks
from authz_server.database import db
from authz_server.extensions import services
from authz_server.oauth import clerk, dpop, id_token
from authz_server.oauth.errors import CodeMisused
from authz_server.oauth.grants.base import SenderConstrainedGrant
from authz_server.oauth.params import FormPayload
from authz_server.oauth.scopes import released
from authz_server.prepared import Executor, lone_connection
from authz_server.tokens import access_tokens
from authz_server.tokens.redemption import enriched, redeem, revoke_replayed

VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 section 4.1


class AuthorizationCodeGrant(SenderConstrainedGrant):
    """Authenticate, verify the proof, spend the code, issue."""

    GRANT_TYPE = "authorization_code"

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        here, now = services(), clock.now()
        presented = self.request.payload.get("code")
        if presented.startswith(clerks.CODE_PREFIX):
            return 200, self._clerk(presented), []
        if not presented.startswith(PREFIX):  # a barcode, say, which a client that saw it must not spend here
            raise CodeNotUsable("no code at all")
        who = {"client_id": self.client.client_id, "now": now}
        # Spent only after everything that a mistaken but honest client can get wrong.
        spend = [self.client.identifier, dpop.identifier(self.proof)]
        try:
            with lone_connection() as connection:
                code = get_code(connection, digest(presented), jkt=self.proof.jkt, now=now)
                if code.used_at is None:
                    _check_owner(code, self.request.payload, self.client.client_id)
                claims = _asked_claims(connection, code)
                issued = redeem(
                    connection,
                    code,
                    jkt=self.proof.jkt,
                    catalogue=here.catalogue,
                    limits=here.settings.limits,
                    spend=spend,
                    now=now,
                )
        except CodeReplayed:
            revoke_replayed(db.session(), code, **who)
            raise
        except CodeMisused:
            with lone_connection() as connection:
                spend_misused(connection, code, jkt=self.proof.jkt, spend=spend, **who)
            raise
        body: dict[str, Any] = {
            "access_token": issued.access_token,
            "token_type": "DPoP",
            "expires_in": here.settings.limits.access_token_ttl_s,
            "grant_id": code.consent_id,
        }
        if code.scopes:  # RFC 6749 section 3.3: a scope is never empty
            body["scope"] = " ".join(code.scopes)
        if "openid" in code.scopes:
            acr = code.claims.get("acr") or acr_of_level(code.level)  # a code that 0.1.0 issued names none
            body["id_token"] = id_token.issue(here, code, acr=acr, asked=claims, now=now)
        if code.granted:
            body["authorization_details"] = enriched(code, issued, here.settings)
        return 200, body, []

    def _clerk(self, code: str) -> dict[str, Any]:
        payload: FormPayload = self.request.payload
        challenge, redirect_uri = _challenge(payload), payload.find("redirect_uri")
        return clerk.tokens(code, client=self.client, proof=self.proof, challenge=challenge, redirect_uri=redirect_uri)


def _check_owner(code: CodeRow, payload: FormPayload, client_id: str) -> None:
    """Raises: CodeMisused, for whoever holds a code that is not theirs; CodeNotUsable, for a mistake."""
    if code.client_id != client_id:
        raise CodeMisused("another client's code")
    if not (challenge := _challenge(payload)):
        raise CodeMisused("no code_verifier")
    if not equal(challenge, code.code_challenge):
        raise CodeMisused("wrong code_verifier")
    if payload.find("redirect_uri") not in {None, code.redirect_uri}:
        raise CodeNotUsable("redirect_uri differs from the request's")


def _challenge(payload: FormPayload) -> str:
    """What the verifier answers (RFC 7636 section 4.6); empty, if there is none that could."""
    verifier = payload.find("code_verifier") or ""
    if not VERIFIER.fullmatch(verifier):
        return ""
    return sha256_of(verifier.encode())


def _asked_claims(session: Executor, code: CodeRow) -> dict[str, Any]:
    """What the claims parameter wants in the id_token; nobody is looked up where it wants nothing."""
    asked = code.claims.get("id_token")
    return released((), asked, access_tokens.citizen(session, code.citizen_id)) if asked else {}
