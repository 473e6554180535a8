"""Signing in and out.

Routes
    GET  /sign-in?request=<id>|return_to=<path>&method=<id>   the form; straight on, where the session suffices already
    POST /sign-in     form: csrf, method, request|return_to, the method's fields, or action=cancel
    GET  /sign-out    asks only (a link must not sign anybody out)
    POST /sign-out    form: csrf
Methods have further ones: see methods/base.py.

Templates and what they are given
    sign_in.html
        method              the Method whose form is shown, or None when no method of this server suffices (then say so
                            and offer only cancel). Its template, `method.template`, is what stands in the form
        methods, levels     all methods that suffice here, in the order of the registry (`method` is one of them), and
                            the level of each by its id; another one is chosen by GET with &method=<id>
        visit               the Visit; `visit.named` are its hidden fields
        pending             the WaitingRequest, or None when nobody but the citizen asked for the sign-in
        needed_level        1..4, or None; the level that the pending request demands
        reason              why a signed-in citizen sees this page: "level" (the session's level does not suffice),
                            "second" (one more method is demanded), "again" (a fresh sign-in is), "wish" (the client
                            would like a stronger one), or None
        signed_in           SignedIn or None
        error               None, or one of: "wrong" (`told`, else `method.refused`), "fields" (`shown.problems` says by
                            field what can't be right), "locked", "closed" (to everybody, by what many did), "busy"
                            (503), "unavailable" (503), "form" (stale or foreign form, cookies off: try again),
                            "suspended" (by the operator), "other" (the proof of another citizen than the signed-in one)
        told                Text or None: what of it was wrong, where only who was asked learns from it
        locked_minutes      whole minutes, at least 1, when error is "locked" or "closed", else None
        typed               by name of the field, what was typed and may be repeated; no password, no code
        shown               what the method's own routes give to its template
        csrf                for the hidden field `csrf`
        in_sandbox_only     bool: the method stands for a stronger one here
      The form posts to `method.action`. Buttons: `login-submit` (name=action value=sign-in) and `login-cancel`
      (name=action value=cancel, formnovalidate).
    sign_out.html
        csrf, signed_in     form posts to /sign-out; ids `logout-confirm`, `logout-cancel` (a link to /)

Answers: 303 when done; 400 wrong, 403 form, suspended and other, 429 locked and closed, 503 busy and unavailable
(these four with Retry-After).
"""

from functools import partial
from typing import Final

from flask import Blueprint, Flask, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from authz_server.core import clock
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import cookies, csrf, entry, sign_in, visits
from authz_server.identity.guard import citizen_required, current
from authz_server.identity.methods.base import FormMethod
from authz_server.identity.methods.registry import METHODS
from authz_server.identity.returns import HOME
from authz_server.identity.sessions import SignedIn
from authz_server.identity.waiting import WaitingRequests

__all__ = ["blueprint", "citizen_required", "current", "init_app"]

blueprint = Blueprint("identity", __name__)
SIGN_OUT: Final = "sign-out"


def init_app(app: Flask, waiting: WaitingRequests) -> None:
    """Add the routes. Args: waiting: who knows the authorization requests that sign-ins are for."""
    visits.init_app(app, waiting, METHODS)
    app.register_blueprint(blueprint)
    for method in METHODS:
        if method.blueprint is not None:
            app.register_blueprint(method.blueprint)


@blueprint.get("/sign-in")
def show_sign_in() -> Response:
    """Show the form, unless the session does already."""
    visit = visits.visit_of(visits.singles(request.args))
    if visit.signed_in is not None and visit.reason is None:
        return redirect(visit.next_url, code=303)
    return entry.page(visit, visits.method_named(request.args.get("method")))


@blueprint.post("/sign-in")
def submit_sign_in() -> Response:
    """Try to sign in by a method that is one form, or cancel."""
    form = visits.singles(request.form)
    visit = visits.visit_of(form)
    method = visits.method_named(form.get("method"))
    if (refusal := entry.refusal(visit, form, method)) is not None:
        return refusal
    if not isinstance(method, FormMethod):  # one with routes of its own is not tried here
        return entry.page(visit, method, status=400)
    begin = partial(method.begin, form=form, server_secret=services().secret)
    return entry.submit(visit, method, account=method.account(form), begin=begin, typed=form)


@blueprint.get("/sign-out")
def ask_sign_out() -> Response:
    """Ask; a link on somebody's page must not sign anybody out."""
    if (signed_in := current()) is None:
        return redirect(HOME, code=303)
    return _sign_out_page(signed_in)


@blueprint.post("/sign-out")
def submit_sign_out() -> Response:
    """End the session."""
    signed_in = current()
    if signed_in is not None:
        if "lang" in request.form:  # the language was switched, nothing decided
            return _sign_out_page(signed_in)
        if not csrf.check_form(SIGN_OUT):
            return _sign_out_page(signed_in, status=403)
        sign_in.leave(db.session(), signed_in, now=clock.now())
        db.session.commit()
    response = redirect(HOME, code=303)
    cookies.delete_session(response)
    return response


def _sign_out_page(signed_in: SignedIn, *, status: int = 200) -> Response:
    page = render_template("sign_out.html", csrf=csrf.form_token(SIGN_OUT), signed_in=signed_in)
    return make_response(page, status)
