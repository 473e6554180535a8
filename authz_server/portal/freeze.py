"""Everything stopped by one button, and opened again. It stands beside `outcome`, because it ends tokens as that does.

Routes
    GET  /account/freeze      what it would do; once it is done, what holds since then
    POST /account/freeze      form: csrf; by any signed-in citizen, at once
    GET  /account/unfreeze    what that means, and what this session lacks for it
    POST /account/unfreeze    form: csrf; opens the account, or leads to a new sign-in and back
Both of the latter with `request`, by whom an authorization request met the frozen account: it leads back to that.
"""

from typing import Final
from urllib.parse import urlencode

from flask import Blueprint, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from authz_server.consent.errors import IdentityNotSufficient
from authz_server.consent.service import find
from authz_server.core import clock, transfers
from authz_server.database import db
from authz_server.identity import csrf, levels, turns
from authz_server.identity.enrolment import UNFREEZE_PATH, prove_more_url
from authz_server.identity.guard import citizen_required
from authz_server.identity.sessions import SignedIn
from authz_server.portal.locale import moment
from authz_server.portal.record import client_name
from authz_server.tokens import withdrawal

blueprint = Blueprint("freeze", __name__)
FREEZE: Final = "freeze"
UNFREEZE: Final = "unfreeze"
FREEZE_PATH: Final = "/account/freeze"
OPENED: Final = "/account?unfrozen"


@blueprint.get(FREEZE_PATH)
@citizen_required
def ask_to_freeze(signed_in: SignedIn) -> Response:
    """Ask first: a link must not stop anything. Once it is done, say since when and what holds."""
    return _freeze_page(signed_in)


@blueprint.post(FREEZE_PATH)
@citizen_required
def freeze(signed_in: SignedIn) -> Response:
    """Stop everything. A second time changes nothing."""
    if not csrf.check_form(FREEZE):
        return _freeze_page(signed_in, stale=True)
    under_way = withdrawal.freeze(
        db.session(),
        signed_in.citizen_id,
        actor="citizen",
        reason="by_button",
        keep_session=signed_in.session_digest,
        now=clock.now(),
    )
    transfers.commit_end(db.session(), under_way=under_way, environ=request.environ)
    return redirect(FREEZE_PATH, code=303)


@blueprint.get(UNFREEZE_PATH)
@citizen_required
def ask_to_unfreeze(signed_in: SignedIn) -> Response:
    """Ask first, and say what is needed for it."""
    if signed_in.frozen_at is None:
        return redirect(_onward(), code=303)
    return _unfreeze_page(signed_in)


@blueprint.post(UNFREEZE_PATH)
@citizen_required
def unfreeze(signed_in: SignedIn) -> Response:
    """Open the account again, if the sign-in is strong and fresh enough; else let the citizen prove more first."""
    if not csrf.check_form(UNFREEZE):
        return _unfreeze_page(signed_in, stale=True)
    turns.hold(db.session(), signed_in, frozen=True)  # who opens it may be the one because of whom "not me" was pressed
    try:
        withdrawal.unfreeze(db.session(), signed_in, now=clock.now())
    except IdentityNotSufficient:
        second = _needed(signed_in) == "second"
        return redirect(prove_more_url(again=True, level=withdrawal.UNFREEZE_LEVEL, second=second), code=303)
    db.session.commit()
    return redirect(_onward(), code=303)


def _onward() -> str:
    """Where one goes on once the account is open: to the request that met it frozen, if that is not over."""
    request_id = request.args.get("request", "")
    return f"/consent/{request_id}" if find(db.session(), request_id, now=clock.now()) else OPENED


def _freeze_page(signed_in: SignedIn, *, stale: bool = False) -> Response:
    is_open = signed_in.frozen_at is None
    recipients = withdrawal.recipients(db.session(), signed_in.citizen_id, now=clock.now()) if is_open else ()
    page = render_template(
        "freeze.html",
        signed_in=signed_in,
        frozen=moment(signed_in.frozen_at),
        recipients=[client_name(client_id) for client_id in recipients],
        csrf=csrf.form_token(FREEZE),
        stale=stale,
    )
    return make_response(page, 403 if stale else 200)


def _unfreeze_page(signed_in: SignedIn, *, stale: bool = False) -> Response:
    met = request.args.get("request")
    page = render_template(
        "unfreeze.html",
        signed_in=signed_in,
        needed=_needed(signed_in),
        first="first" in request.args,
        address=f"{UNFREEZE_PATH}?{urlencode({'request': met})}" if met else UNFREEZE_PATH,
        csrf=csrf.form_token(UNFREEZE),
        stale=stale,
    )
    return make_response(page, 403 if stale else 200)


def _needed(signed_in: SignedIn) -> levels.Lack | None:
    return withdrawal.lack_to_unfreeze(signed_in, now=clock.now())
