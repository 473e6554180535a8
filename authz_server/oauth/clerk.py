"""A clerk at the protocol's edge: the tokens of a sign-in at a desk, and the actor_token that is presented there."""

from typing import Any

from authz_server.clients.model import Client
from authz_server.consent.errors import CodeNotUsable
from authz_server.consent.request import DESK
from authz_server.core import clock
from authz_server.core.dpop import BadProof, Proof
from authz_server.counter import clerks
from authz_server.counter.desk import Desk
from authz_server.counter.errors import ClerkNotSignedIn
from authz_server.database import db
from authz_server.extensions import services
from authz_server.oauth import dpop, id_token
from authz_server.oauth.client_auth import OAuthClient
from authz_server.oauth.errors import CodeMisused, InvalidRequest
from authz_server.oauth.params import FormPayload
from authz_server.prepared import lone_connection

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a type name of RFC 8693


def tokens(code: str, *, client: OAuthClient, proof: Proof, challenge: str, redirect_uri: str | None) -> dict[str, Any]:
    """The token response to the code of a clerk's sign-in: whom the desk shows as signed in, and what stands for them.

    Whoever presents such a code without owning it, or again, ends what it opens.
    Raises: CodeMisused, AssertionReplayed, ProofReplayed.
    """
    here, now = services(), clock.now()
    try:
        with lone_connection() as connection:
            shift = clerks.redeem(
                connection,
                code,
                office=client.client_id,
                challenge=challenge,
                redirect_uri=redirect_uri,
                jkt=proof.jkt,
                limits=here.settings.limits,
                spend=[client.identifier, dpop.identifier(proof)],
                now=now,
            )
    except CodeNotUsable as error:
        clerks.end_of_code(db.session(), code, jkt=proof.jkt, now=now)
        raise CodeMisused(error.detail) from None
    asked = {"nickname": shift.name}  # not their name: it is what citizens read of the clerk, and enough for the desk
    return {
        "access_token": shift.token,
        "token_type": "DPoP",
        "expires_in": shift.expires_in,
        "scope": f"openid {DESK}",
        "id_token": id_token.issue(here, shift.row, acr=shift.row.acr, asked=asked, now=now),
    }


def desk(payload: FormPayload, client: Client, proof: Proof | None, *, counter_id: str | None = None) -> Desk:
    """Where a barcode is presented, and by which clerk (RFC 8693 section 2.1); by none where the office names none.

    Raises: ClerkNotSignedIn, InvalidRequest; BadProof, if there is none beside the token.
    """
    token = payload.find("actor_token")
    if token is None:
        if client.named_clerks:
            raise ClerkNotSignedIn("no actor_token")
        return Desk(client_id=client.client_id, counter_id=counter_id)
    if payload.get("actor_token_type") != ACCESS_TOKEN:
        raise InvalidRequest("actor_token_type must be an access token.")
    if proof is None:
        raise BadProof("no proof beside the actor_token")
    limits = services().settings.limits
    known = clerks.present(db.session(), token, office=client.client_id, jkt=proof.jkt, limits=limits, now=clock.now())
    return Desk(
        client_id=client.client_id,
        counter_id=counter_id,
        clerk_id=known.appointment_id,
        clerk_citizen_id=known.citizen_id,
    )
