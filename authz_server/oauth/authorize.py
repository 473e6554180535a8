"""The authorization endpoint (RFC 6749 section 3.1), for pushed requests only."""

from flask import Request, redirect
from werkzeug.wrappers import Response

from authz_server.consent import decision, standing
from authz_server.consent import service as consent
from authz_server.consent import views as consent_views
from authz_server.consent.errors import IdentityNotSufficient, RequestNotPushed
from authz_server.consent.request import PendingRequest
from authz_server.core import clock
from authz_server.extensions import services
from authz_server.identity import guard, levels
from authz_server.identity.sessions import SignedIn
from authz_server.oauth.errors import InvalidRequest
from authz_server.oauth.params import FORM
from authz_server.prepared import lone_connection


class UnknownClient(InvalidRequest):
    """There is nobody to send the browser back to: the page must say so itself."""

    public = "client_id is unknown"


def authorize(request: Request) -> Response:
    """Show the consent page, or first the sign-in.

    Raises: UnknownClient, RequestNotPushed, RequestNotUsable, WrongCitizen: pages without any way to a redirect URI.
    """
    client_id, request_uri = _named(request, "client_id"), _named(request, "request_uri")
    client = services().registry.client(client_id) if client_id else None
    if client is None or client.suspended:
        raise UnknownClient
    if not (request_uri or "").startswith(consent.REQUEST_URI_PREFIX):
        raise RequestNotPushed("not pushed")
    now = clock.now()
    signed_in = guard.current()
    citizen_id = signed_in.citizen_id if signed_in else None
    with lone_connection() as connection:
        pending = consent.begin(connection, request_uri or "", client.client_id, citizen_id=citizen_id, now=now)
        standing.client_of(pending, services().registry)
        error = _silent_error(pending, signed_in)
        if error:
            location = decision.fail(connection, pending, error, settings=services().settings, now=now)
            return redirect(location, 303)
    if not signed_in:
        return redirect(f"/sign-in?request={pending.request_id}", 303)
    if consent_views.hindrance(pending, signed_in) is not None:
        return consent_views.show(pending, signed_in)
    if _not_sufficient(pending, signed_in):
        return redirect(f"/sign-in?request={pending.request_id}", 303)
    if not levels.reached(signed_in.level, pending.wished_level):
        # Straight on to the question, if nothing here is that strong; and whoever does not want to, can go on as well.
        return redirect(f"/sign-in?request={pending.request_id}&wish=1", 303)
    if pending.parameters.at_desk:
        return redirect(f"/office/desk/{pending.request_id}", 303)
    return consent_views.show(pending, signed_in)


def _named(request: Request, name: str) -> str | None:
    """The one value of a parameter; all others are ignored, they were pushed (RFC 9126 section 4)."""
    source = request.form if request.method == "POST" and request.mimetype == FORM else request.args
    values = source.getlist(name)
    return values[0] if len(values) == 1 else None


def _silent_error(pending: PendingRequest, signed_in: SignedIn | None) -> str | None:
    """The error that answers a request at once, without any page."""
    asked = pending.parameters
    if signed_in and not standing.is_for(pending, signed_in.citizen_id, server_secret=services().secret):
        return decision.SOMEBODY_ELSE
    if "none" in asked.prompt:
        if signed_in is None or _not_sufficient(pending, signed_in):
            return "login_required"
        # A consent is given each time, and never without being asked.
        return "consent_required"
    return None


def _not_sufficient(pending: PendingRequest, signed_in: SignedIn) -> bool:
    try:
        decision.require_identity(pending, signed_in, catalogue=services().catalogue)
    except IdentityNotSufficient:
        return True
    return False
