"""What the sign-in page may know of the request that it is for, as `identity.waiting.WaitingRequests` asks."""

from datetime import datetime
from typing import Final

from authz_server.clients import own
from authz_server.consent import decision, service, standing
from authz_server.consent.errors import RequestNotUsable
from authz_server.consent.request import PendingRequest
from authz_server.extensions import services
from authz_server.identity.sessions import SignedIn
from authz_server.identity.waiting import WaitingRequest
from authz_server.prepared import Executor

# OpenID Connect Core Error Code unmet_authentication_requirements 1.0
UNMET: Final = "unmet_authentication_requirements"


class PushedRequests:
    """The begun, undecided authorization requests."""

    def get(self, session: Executor, request_id: str, *, now: datetime) -> WaitingRequest:
        """The request.  Raises: RequestNotUsable."""
        pending = _find(session, request_id, now=now)
        client = standing.client_of(pending, services().registry)
        return WaitingRequest(
            request_id=request_id,
            transaction_id=pending.transaction_id,
            client_name=client.name,
            own=client.client_id == own.CLIENT_ID,
            at_counter=pending.parameters.at_counter,
            at_desk=pending.parameters.at_desk,
            redirect_uri=pending.parameters.redirect_uri,
            needed_level=pending.needed_level(services().catalogue),
            wished_level=pending.wished_level,
            demanded_by=pending.demanded_by(services().catalogue),
            authenticated_after=pending.authenticated_after,
            ui_locales=pending.parameters.ui_locales,
        )

    def deny(
        self, session: Executor, request_id: str, *, signed_in: SignedIn | None, unmet: bool, now: datetime
    ) -> str:
        """Refuse it; where the browser goes. The caller commits.  Raises: RequestNotUsable."""
        pending = _find(session, request_id, now=now)
        standing.client_of(pending, services().registry)
        if unmet or pending.parameters.at_desk:
            error = UNMET if unmet else "access_denied"
            return decision.fail(session, pending, error, settings=services().settings, now=now)
        citizen_id = signed_in.citizen_id if signed_in else None
        return decision.deny(session, pending, citizen_id=citizen_id, settings=services().settings, now=now)


def _find(session: Executor, request_id: str, *, now: datetime) -> PendingRequest:
    pending = service.find(session, request_id, now=now)
    if pending is None:
        raise RequestNotUsable("unknown, expired or decided")
    return pending
