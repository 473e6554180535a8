"""A clerk signs in at a desk of an office: nothing is consented to, and no data of anybody is asked for.

Routes
    GET  /office/desk/<request_id>   what it means to work there; or why this person can't
    POST /office/desk/<request_id>   form: csrf, decision=start|cancel; leads back to the desk

What follows is on the record under the clerk's number. The computer is one of several people, so the session that was
opened for this ends with the answer, whichever it is, and the clerk's own pages with it.
"""

from typing import Final

from flask import Blueprint, abort, g, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from authz_server.consent import service as consent
from authz_server.consent import standing
from authz_server.consent.decision import SOMEBODY_ELSE, fail, require_identity
from authz_server.consent.errors import IdentityNotSufficient
from authz_server.consent.request import PendingRequest
from authz_server.core import clock
from authz_server.counter import appointments, clerks
from authz_server.counter.appointments import ADMINISTRATOR, CLERK
from authz_server.counter.masking import masked
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import cookies, csrf, sign_in
from authz_server.identity.guard import citizen_required
from authz_server.identity.levels import Stated
from authz_server.identity.sessions import SignedIn
from authz_server.portal.record import client_name

blueprint = Blueprint("desk", __name__)
PATH: Final = "/office/desk"


@blueprint.get(f"{PATH}/<request_id>")
@citizen_required
def page(signed_in: SignedIn, request_id: str) -> Response:
    """Ask, for the record is about to name somebody; or first the sign-in that it demands."""
    pending = _open(signed_in, request_id)
    signed_in_for_it = _stated(pending, signed_in) is not None
    if not standing.is_for(pending, signed_in.citizen_id, server_secret=services().secret):
        location = _failed(pending, SOMEBODY_ELSE)
        if signed_in_for_it:
            return _leave(signed_in, location)
        db.session.commit()  # a link must not end a session that it did not open
        return redirect(location, code=303)
    return _page(signed_in, pending) if signed_in_for_it else _sign_in(request_id)


@blueprint.post(f"{PATH}/<request_id>")
@citizen_required
def start(signed_in: SignedIn, request_id: str) -> Response:
    """Send the clerk to work, or whoever it is back to the desk."""
    form, now = request.form, clock.now()
    pending = _open(signed_in, request_id)
    if not csrf.check_form(_action(request_id)):
        return _page(signed_in, pending, stale=True)
    if form.get("decision") == "cancel":
        return _leave(signed_in, _failed(pending, "access_denied"))
    if not standing.is_for(pending, signed_in.citizen_id, server_secret=services().secret):
        return _leave(signed_in, _failed(pending, SOMEBODY_ELSE))
    stated, appointment_id = _stated(pending, signed_in), _appointment(pending, signed_in, CLERK)
    if stated is None:
        return _sign_in(request_id)
    if "lang" in form or form.get("decision") != "start" or appointment_id is None:
        return _page(signed_in, pending)
    location = clerks.begin(
        db.session(),
        pending,
        appointment_id,
        stated=stated,
        signed_in=signed_in,
        settings=services().settings,
        now=now,
    )
    return _leave(signed_in, location)


def _open(signed_in: SignedIn, request_id: str) -> PendingRequest:
    pending = consent.open_for(db.session(), request_id, citizen_id=signed_in.citizen_id, now=clock.now())
    db.session.commit()
    if not pending.parameters.at_desk:
        abort(404)
    standing.client_of(pending, services().registry)
    return pending


def _failed(pending: PendingRequest, error: str) -> str:
    """End it; where that leads. The caller commits."""
    return fail(db.session(), pending, error, settings=services().settings, now=clock.now())


def _leave(signed_in: SignedIn, location: str) -> Response:
    """Sign out, commit, and lead back to the desk."""
    sign_in.leave(db.session(), signed_in, now=clock.now())
    db.session.commit()
    response = redirect(location, code=303)
    cookies.delete_session(response)
    return response


def _stated(pending: PendingRequest, signed_in: SignedIn) -> Stated | None:
    try:
        return require_identity(pending, signed_in, catalogue=services().catalogue)
    except IdentityNotSufficient:
        return None


def _sign_in(request_id: str) -> Response:
    return redirect(f"/sign-in?request={request_id}", code=303)


def _appointment(pending: PendingRequest, signed_in: SignedIn, role: str) -> int | None:
    return appointments.find(db.session(), signed_in.citizen_id, office=pending.client_id, role=role)


def _page(signed_in: SignedIn, pending: PendingRequest, *, stale: bool = False) -> Response:
    g.citizen_locale = signed_in.locale
    g.ui_locales = " ".join(pending.parameters.ui_locales)
    g.form_action_uris = (pending.parameters.redirect_uri,)
    may = _appointment(pending, signed_in, CLERK) is not None
    page = render_template(
        "desk.html",
        signed_in=signed_in,
        office=client_name(pending.client_id),
        may=may,
        frozen=signed_in.frozen_at is not None,
        administers=_appointment(pending, signed_in, ADMINISTRATOR) is not None,
        shown_as=masked(signed_in.name),
        request_id=pending.request_id,
        reference=pending.transaction_id,
        csrf=csrf.form_token(_action(pending.request_id)),
        stale=stale,
    )
    return make_response(page, 403 if stale or not may else 200)


def _action(request_id: str) -> str:
    return f"desk:{request_id}"
