"""Pre-authorized code grant (OpenID4VCI section 6.1): an office redeems the barcode that a citizen brought to it."""

from typing import Any

from authz_server.clients.policy import PRE_AUTHORIZED_CODE
from authz_server.core import clock
from authz_server.counter.desk import Bounds, redeem_barcode
from authz_server.database import db
from authz_server.extensions import services
from authz_server.oauth import clerk, dpop
from authz_server.oauth.grants.base import SenderConstrainedGrant
from authz_server.oauth.id_token import acting
from authz_server.tokens.redemption import enriched


class PreAuthorizedCodeGrant(SenderConstrainedGrant):
    """Authenticate, verify the proof, spend the barcode with its one-time code, issue.

    There is no identity token, and the access token is named for the standard's sake: it has no scope, so that it opens
    nothing. What the office may have are the datasets.
    """

    GRANT_TYPE = PRE_AUTHORIZED_CODE

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        here, now = services(), clock.now()
        desk = clerk.desk(self.request.payload, self.client.registered, self.proof)
        # Not on a lone connection: what a wrong code leaves behind is counted and recorded in one transaction.
        row, issued = redeem_barcode(
            db.session(),
            self.request.payload.get("pre-authorized_code"),
            self.request.payload.get("tx_code"),
            desk=desk,
            jkt=self.proof.jkt,
            catalogue=here.catalogue,
            bounds=Bounds(server_secret=here.secret, limits=here.settings.limits, now=now),
            spend=[self.client.identifier, dpop.identifier(self.proof)],
        )
        body = {
            "access_token": issued.access_token,
            "token_type": "DPoP",
            "expires_in": here.settings.limits.access_token_ttl_s,
            "grant_id": row.consent_id,
            "authorization_details": enriched(row, issued, here.settings),
            **acting(here.secret, desk.client_id, agent_id=row.agent_id, clerk_citizen_id=desk.clerk_citizen_id),
        }
        return 200, body, []
