"""DPoP proofs at the authorization server's own endpoints (RFC 9449 sections 5 and 8)."""

from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Request

from authz_server.config import Settings
from authz_server.core import clock, dpop
from authz_server.core.dpop import BadProof, Proof
from authz_server.oauth.errors import InvalidToken, TokenMissing, UseDpopNonce
from authz_server.single_use.identifiers import Identifier, dpop_proof

HEADER = "DPoP"


@dataclass(frozen=True)
class DpopVerifier:
    """Verifies the one proof of a request against our public URL, which comes from the settings, never from Host."""

    settings: Settings
    secret: bytes

    def verify(self, request: Request, *, access_token: str | None = None) -> Proof:
        """The proof of this request.  Raises: BadProof if there is none, or several; UseDpopNonce."""
        proofs = request.headers.getlist(HEADER)
        # A server may have joined two headers with a comma; no JWS has one.
        if len(proofs) != 1:
            raise BadProof("not exactly one DPoP header")
        now = clock.now()
        url = self.settings.issuer + request.path
        proof = dpop.verify_proof(proofs[0], method=request.method, url=url, now=now, access_token=access_token)
        self.verify_nonce(proof, now=now)
        return proof

    def verify_nonce(self, proof: Proof, *, now: datetime) -> None:
        """Verify that a proof has a nonce of ours, where the settings demand one.  Raises: UseDpopNonce."""
        if self.settings.dpop_nonce and not dpop.check_nonce(self.secret, proof.nonce, now):
            raise UseDpopNonce(dpop.issue_nonce(self.secret, now))

    def find(self, request: Request) -> Proof | None:
        """The proof, or None where the request has no DPoP header at all."""
        return self.verify(request) if HEADER in request.headers else None


def presented_token(request: Request) -> str:
    """The access token of the Authorization header, with the scheme DPoP.  Raises: InvalidToken, TokenMissing."""
    # A token in the query ends up in logs, even beside a valid header (RFC 9700 section 4.3.2).
    if "access_token" in request.args:
        raise InvalidToken("token in the query")
    if "Authorization" not in request.headers:
        raise TokenMissing("no Authorization header")
    scheme, _, token = request.headers["Authorization"].partition(" ")
    token = token.strip(" ")  # RFC 9110 section 11.4: one space or more
    if scheme.lower() != "dpop" or not token:
        raise InvalidToken("not a DPoP token")
    return token


def identifier(proof: Proof) -> Identifier:
    """What to spend so that the proof is not taken twice."""
    forgotten_at = datetime.fromtimestamp(proof.iat + dpop.MAX_AGE_S + 1, UTC)
    return dpop_proof(dpop.replay_key(proof), expires_at=forgotten_at)
