"""What citizens renew by themselves: the password, the authenticator app, the recovery codes.

Routes
    GET  /account/methods/password_totp                  the three, and how many recovery codes are left
    GET  /account/methods/password_totp/password         the form; POST: csrf, password, again
    GET  /account/methods/password_totp/authenticator    a new secret; POST: csrf, handle, one_time_code of the new app
    GET  /account/methods/password_totp/recovery-codes   asks; POST: csrf; makes new ones and shows them, this once

All but the first demand a fresh proof: see `enrolment.may_change`. The old one goes in the commit that brings the new
one. The secret of a new authenticator is derived from the handle of a challenge, so that it rests nowhere until it is
confirmed.
"""

import base64
from datetime import timedelta
from typing import Any, Final

from flask import abort, make_response, redirect, render_template, request, url_for
from qrcode.main import QRCode
from sqlalchemy import select
from werkzeug.wrappers import Response

from authz_server.core import clock, secrets
from authz_server.core.identifiers import PLATFORM_NAME
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import challenges, csrf, enrolment, passwords, recovery, totp, turns
from authz_server.identity.errors import PasswordHashingBusy
from authz_server.identity.guard import citizen_required
from authz_server.identity.methods.password_totp import PASSWORD_TOTP, set_password, set_totp, use
from authz_server.identity.models import CITIZEN
from authz_server.identity.sessions import SignedIn
from authz_server.identity.visits import singles

__all__ = ["PASSWORD_TOTP"]

PATH: Final = "/account/methods/password_totp"
NEW_AUTHENTICATOR: Final = "new_authenticator"
PATIENCE: Final = timedelta(minutes=15)
_HANDLE_CHARS: Final = len(challenges.PREFIX) + secrets.SECRET_CHARS


@use.get(PATH)
@citizen_required
def overview(signed_in: SignedIn) -> Response:
    """Show what can be renewed."""
    _demand_held(signed_in)
    left = recovery.left(db.session(), signed_in.citizen_id)
    done = next((name for name in ("password", "authenticator") if name in request.args), None)
    return _page("password_totp", signed_in, count=left.count, done_with=done)


@use.route(f"{PATH}/password", methods=["GET", "POST"])
@enrolment.may_change(PASSWORD_TOTP)
def change_password(signed_in: SignedIn) -> Response:
    """Take a new password."""
    form = singles(request.form)
    password, again = form.get("password", ""), form.get("again", "")
    if request.method == "GET" or "lang" in form:
        _demand_held(signed_in)
        return _password_page(signed_in)
    if not csrf.check_form(enrolment.action(PASSWORD_TOTP)):
        return _password_page(signed_in, error="form", status=403)
    if not passwords.acceptable(password):
        return _password_page(signed_in, error="length", status=400)
    if password != again:
        return _password_page(signed_in, error="differ", status=400)
    try:
        hashed = passwords.hash_password(password)
    except PasswordHashingBusy:
        return _password_page(signed_in, error="busy", status=503)
    _demand_held(signed_in)
    set_password(db.session(), signed_in.citizen_id, hashed)
    enrolment.renewed(db.session(), signed_in, "password.changed", now=clock.now())
    db.session.commit()
    return redirect(url_for("password_totp.overview", password=1), code=303)


@use.route(f"{PATH}/authenticator", methods=["GET", "POST"])
@enrolment.may_change(PASSWORD_TOTP)
def change_authenticator(signed_in: SignedIn) -> Response:
    """Take a new authenticator app, once it shows the right code."""
    form = singles(request.form)
    handle = form.get("handle", "")
    if request.method == "GET":
        _demand_held(signed_in)
        return _authenticator_page(signed_in, _issue(signed_in))
    if "lang" in form and len(handle) == _HANDLE_CHARS:
        return _authenticator_page(signed_in, handle)
    if not csrf.check_form(enrolment.action(PASSWORD_TOTP)):
        return _authenticator_page(signed_in, handle, error="form", status=403)
    known, now = services(), clock.now()
    secret = _secret(signed_in, handle)
    step = totp.matching_step(secret, "".join(form.get("one_time_code", "").split()), now)
    if step is None:
        return _authenticator_page(signed_in, handle, error="wrong", status=400)
    session = db.session()
    turns.hold(session, signed_in)  # before the challenge: whoever leaves takes them in this order
    spent = enrolment.answered(session, PASSWORD_TOTP, NEW_AUTHENTICATOR, handle)
    if spent is None or spent.citizen_id != signed_in.citizen_id:
        return _authenticator_page(signed_in, _issue(signed_in), error="form", status=400)
    encrypted = totp.encrypt(secret, known.secret, signed_in.citizen_id)
    set_totp(session, signed_in.citizen_id, encrypted, step=step)
    enrolment.renewed(session, signed_in, "authenticator.changed", now=now)
    session.commit()
    return redirect(url_for("password_totp.overview", authenticator=1), code=303)


@use.route(f"{PATH}/recovery-codes", methods=["GET", "POST"])
@enrolment.may_change(PASSWORD_TOTP)
def renew_recovery_codes(signed_in: SignedIn) -> Response:
    """Make new recovery codes and show them. In another language they are shown to whoever sends them."""
    session, secret, now = db.session(), services().secret, clock.now()
    form = singles(request.form)
    if request.method == "GET":
        _demand_held(signed_in)
        return _codes_page(signed_in)
    if "lang" in form:
        shown = form.get("codes", "").split(",")
        known = recovery.all_in_force(session, signed_in.citizen_id, shown, server_secret=secret)
        return _codes_page(signed_in, codes=tuple(shown[: recovery.COUNT]) if known else ())
    if not csrf.check_form(enrolment.action(PASSWORD_TOTP)):
        return _codes_page(signed_in, error="form", status=403)
    _demand_held(signed_in)
    turns.hold(session, signed_in)
    codes = recovery.renew(session, signed_in.citizen_id, server_secret=secret, now=now)
    # The other sessions stay: whoever has the codes needs the password besides.
    enrolment.tell(session, signed_in, "recovery.renewed", now=now)
    session.commit()
    return _codes_page(signed_in, codes=tuple(codes))


def _issue(signed_in: SignedIn) -> str:
    handle = enrolment.challenge(signed_in, PASSWORD_TOTP, kind=NEW_AUTHENTICATOR, ttl=PATIENCE)
    db.session.commit()
    return handle


def _secret(signed_in: SignedIn, handle: str) -> str:
    """The secret that the new authenticator gets: base32 of 160 bits (RFC 4226 section 4, R6)."""
    derived = secrets.derive(services().secret, "new-authenticator", str(signed_in.citizen_id), handle)
    return base64.b32encode(base64.urlsafe_b64decode(f"{derived}=")[:20]).decode("ascii")


def _password_page(signed_in: SignedIn, *, error: str | None = None, status: int = 200) -> Response:
    lengths = {"least": passwords.MIN_LENGTH, "most": passwords.MAX_LENGTH}
    return _page("change_password", signed_in, error=error, status=status, **lengths)


def _authenticator_page(signed_in: SignedIn, handle: str, *, error: str | None = None, status: int = 200) -> Response:
    secret = _secret(signed_in, handle)
    found = select(CITIZEN.c.username).where(CITIZEN.c.id == signed_in.citizen_id)
    username = db.session().scalars(found).one()
    code: Any = QRCode(border=4)  # its own annotations stop half-way
    code.add_data(totp.otpauth_uri(secret, username, PLATFORM_NAME))
    modules = code.get_matrix()
    dark = "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(modules) for x, is_dark in enumerate(row) if is_dark)
    grouped = " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
    words = {"handle": handle, "secret": grouped, "size": len(modules), "dark": dark}
    return _page("change_authenticator", signed_in, error=error, status=status, **words)


def _codes_page(
    signed_in: SignedIn, *, codes: tuple[str, ...] = (), error: str | None = None, status: int = 200
) -> Response:
    left = recovery.left(db.session(), signed_in.citizen_id)
    return _page(
        "recovery_codes", signed_in, error=error, status=status, codes=codes, count=left.count, all=recovery.COUNT
    )


def _page(name: str, signed_in: SignedIn, *, error: str | None = None, status: int = 200, **more: Any) -> Response:
    token = csrf.form_token(enrolment.action(PASSWORD_TOTP))
    page = render_template(f"methods/{name}.html", signed_in=signed_in, csrf=token, error=error, **more)
    return make_response(page, status)


def _demand_held(signed_in: SignedIn) -> None:
    """Who has none can't renew it."""
    if not PASSWORD_TOTP.held(db.session(), signed_in.citizen_id):
        abort(404)
