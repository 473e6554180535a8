"""Signing in and out.

Routes
    GET  /sign-in?request=<id>|return_to=<path>   the form; straight on, where the session already satisfies the request
    POST /sign-in     form: csrf, method, request|return_to, the method's fields, or action=cancel
    GET  /sign-out    asks only (a link must not sign anybody out)
    POST /sign-out    form: csrf

Templates and what they are given
    sign_in.html
        method              the Method whose form is shown, or None when no method of this server reaches `needed_level`
                            (then: say so, and offer only cancel). `.id`, `.name` (Text), `.fields`, a tuple of
                            Field(name, label: Text, hint: Text | None, input_type, autocomplete, inputmode, max_length)
        methods             all methods that suffice here, in the order of the registry (`method` is one of them);
                            another one is chosen by GET with &method=<id>
        pending             the WaitingRequest, or None when nobody but the citizen asked for the sign-in:
                            `.request_id`, `.transaction_id`, `.client_name` (Text)
        needed_level        1..4, or None; the level that the pending request demands
        reason              why a signed-in citizen sees this page: "level" (the session's level does not suffice),
                            "again" (the request demands a fresh sign-in), or None
        signed_in           SignedIn or None
        error               None, or one of: "wrong" (user name, password or code: never which), "locked", "busy" (503),
                            "form" (stale or foreign form, cookies off: try again), "suspended" (the operator was asked)
        locked_minutes      whole minutes, at least 1, when error is "locked", else None
        username            what was typed, to fill in again; passwords and codes are never repeated
        request_id          for the hidden field `request`, "" if none
        return_to           for the hidden field `return_to`, "/" if none; already validated as local
        csrf                for the hidden field `csrf`
        sandbox             bool: say that the level is the sandbox's
      The form posts to /sign-in; hidden: csrf, request, return_to, method. Buttons: `login-submit`
      (name=action value=sign-in) and `login-cancel` (name=action value=cancel, formnovalidate).
    sign_out.html
        csrf, signed_in     form posts to /sign-out; ids `logout-confirm`, `logout-cancel` (a link to /)

Answers: 303 when done; 400 wrong, 403 form, 403 suspended, 429 locked and 503 busy (both with Retry-After).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast

from flask import Blueprint, Flask, abort, current_app, g, make_response, redirect, render_template, request
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from authz_server.core import clock
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import cookies, csrf, levels, sign_in
from authz_server.identity.errors import CitizenSuspended, PasswordHashingBusy, SignInLocked, SignInRefused
from authz_server.identity.guard import citizen_required, current
from authz_server.identity.methods import sufficient
from authz_server.identity.methods.base import Method
from authz_server.identity.returns import HOME, local_path
from authz_server.identity.sessions import SignedIn
from authz_server.identity.waiting import WaitingRequest, WaitingRequests

__all__ = ["blueprint", "citizen_required", "current", "init_app"]

blueprint = Blueprint("identity", __name__)
SIGN_IN: Final = "sign-in"
SIGN_OUT: Final = "sign-out"
_WAITING: Final = "mydata.waiting_requests"
_USERNAME_SHOWN: Final = 64  # whatever was sent, no more of it is repeated


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a sign-in is for. Only its name travels with the browser; everything else is looked up each time."""

    waiting: WaitingRequest | None
    return_to: str
    signed_in: SignedIn | None

    @property
    def needed_level(self) -> int | None:
        """The level to be reached; None: any."""
        return self.waiting.needed_level if self.waiting else None

    @property
    def reason(self) -> str | None:
        """Why a signed-in citizen must sign in again: "level", "again", or None."""
        if self.signed_in is None or self.waiting is None:
            return None
        if not levels.reached(self.signed_in.level, self.needed_level):
            return "level"
        return None if levels.fresh(self.signed_in, self.waiting.authenticated_after) else "again"

    @property
    def next_url(self) -> str:
        """Where to go on when it is done."""
        return f"/consent/{self.waiting.request_id}" if self.waiting else self.return_to


def init_app(app: Flask, waiting: WaitingRequests) -> None:
    """Add the routes. Args: waiting: who knows the authorization requests that sign-ins are for."""
    app.extensions[_WAITING] = waiting
    app.register_blueprint(blueprint)


@blueprint.get("/sign-in")
def show_sign_in() -> Response:
    """Show the form, unless the session does already."""
    visit = _visit(_singles(request.args))
    if visit.signed_in is not None and visit.reason is None:
        return redirect(visit.next_url, code=303)
    return _sign_in_page(visit, method_id=request.args.get("method"))


@blueprint.post("/sign-in")
def submit_sign_in() -> Response:
    """Try to sign in, or cancel."""
    form = _singles(request.form)
    visit = _visit(form)
    if "lang" in form and "action" not in form:  # the language was switched in the middle of typing
        return _sign_in_page(visit, method_id=form.get("method"), username=form.get("username", ""))
    if not csrf.check(cookies.form_secret(), SIGN_IN, form.get("csrf")):
        return _sign_in_page(visit, error="form", status=403, username=form.get("username", ""))
    if form.get("action") == "cancel":
        return _cancel(visit)
    method = _chosen(sufficient(services().settings, visit.needed_level), form.get("method"))
    if method is None:
        return _sign_in_page(visit, status=400)
    return _try(visit, method, form)


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
        if not csrf.check(cookies.session_secret(), SIGN_OUT, request.form.get("csrf")):
            return _sign_out_page(signed_in, status=403)
        sign_in.leave(db.session(), signed_in, now=clock.now())
        db.session.commit()
    response = redirect(HOME, code=303)
    cookies.delete_session(response)
    return response


def _visit(values: Mapping[str, str]) -> Visit:
    waiting = None
    if request_id := values.get("request"):
        waiting = _requests().get(db.session(), request_id, now=clock.now())
        g.form_action_uris = (waiting.redirect_uri,)
        g.ui_locales = " ".join(waiting.ui_locales)
    return Visit(waiting=waiting, return_to=local_path(values.get("return_to")), signed_in=current())


def _try(visit: Visit, method: Method, form: Mapping[str, str]) -> Response:
    known, now = services(), clock.now()
    try:
        tried = sign_in.begin(
            db.session(),
            method,
            form,
            address=request.remote_addr,
            settings=known.settings,
            server_secret=known.secret,
            now=now,
        )
    except SignInLocked as locked:
        db.session.commit()
        return _locked_page(visit, method, locked.until, now=now, username=form.get("username", ""))
    # The count stands whatever comes; and no transaction is open while a password is hashed.
    db.session.commit()
    try:
        tried.attempt.prove(now=now)
        secret = sign_in.complete(
            db.session(), tried, settings=known.settings, replaces=cookies.session_secret(), now=now
        )
    except PasswordHashingBusy as busy:
        sign_in.give_up(db.session(), tried)
        response = _sign_in_page(visit, method_id=method.id, error="busy", status=503)
        response.headers["Retry-After"] = str(busy.retry_after_s)
    except SignInRefused as refused:
        sign_in.fail(db.session(), tried, refused, now=now)
        response = _refused_page(visit, tried, refused, now=now, username=form.get("username", ""))
    else:
        response = redirect(visit.next_url, code=303)
        cookies.set_session(response, secret)
    db.session.commit()
    return response


def _cancel(visit: Visit) -> Response:
    if visit.waiting is None:
        return redirect(HOME, code=303)
    location = _requests().deny(db.session(), visit.waiting.request_id, signed_in=visit.signed_in, now=clock.now())
    db.session.commit()
    return redirect(location, code=303)


def _refused_page(
    visit: Visit, tried: sign_in.Try, refused: SignInRefused, *, now: datetime, username: str
) -> Response:
    if isinstance(refused, CitizenSuspended):
        return _sign_in_page(visit, method_id=tried.method.id, error="suspended", status=403)
    if tried.last:
        until = now + timedelta(seconds=services().settings.limits.sign_in_lock_s)
        return _locked_page(visit, tried.method, until, now=now, username=username)
    return _sign_in_page(visit, method_id=tried.method.id, error="wrong", status=400, username=username)


def _locked_page(visit: Visit, method: Method, until: datetime, *, now: datetime, username: str) -> Response:
    wait_s = max(1, math.ceil((until - now).total_seconds()))
    response = _sign_in_page(
        visit,
        method_id=method.id,
        error="locked",
        status=429,
        locked_minutes=math.ceil(wait_s / 60),
        username=username,
    )
    response.headers["Retry-After"] = str(wait_s)
    return response


def _sign_in_page(
    visit: Visit,
    *,
    method_id: str | None = None,
    error: str | None = None,
    status: int = 200,
    locked_minutes: int | None = None,
    username: str = "",
) -> Response:
    settings = services().settings
    methods = sufficient(settings, visit.needed_level)
    known = cookies.form_secret()
    secret = known or cookies.new_form_secret()
    page = render_template(
        "sign_in.html",
        method=_chosen(methods, method_id) or next(iter(methods), None),
        methods=methods,
        pending=visit.waiting,
        needed_level=visit.needed_level,
        reason=visit.reason,
        signed_in=visit.signed_in,
        error=error,
        locked_minutes=locked_minutes,
        username=username[:_USERNAME_SHOWN],
        request_id=visit.waiting.request_id if visit.waiting else "",
        return_to=visit.return_to,
        csrf=csrf.csrf_token(secret, SIGN_IN),
        sandbox=settings.sandbox,
    )
    response = make_response(page, status)
    if known is None:
        cookies.set_form_secret(response, secret)
    return response


def _sign_out_page(signed_in: SignedIn, *, status: int = 200) -> Response:
    secret = cookies.session_secret() or ""
    page = render_template("sign_out.html", csrf=csrf.csrf_token(secret, SIGN_OUT), signed_in=signed_in)
    return make_response(page, status)


def _chosen(methods: Sequence[Method], method_id: str | None) -> Method | None:
    if method_id is None:
        return next(iter(methods), None)
    return next((method for method in methods if method.id == method_id), None)


def _singles(values: MultiDict[str, str]) -> Mapping[str, str]:
    # Two readers of a doubled parameter may read different ones, so that there is no right one.
    if any(len(values.getlist(name)) > 1 for name in values):
        abort(400)
    return values.to_dict()


def _requests() -> WaitingRequests:
    return cast(WaitingRequests, current_app.extensions[_WAITING])
