"""The offices that a citizen works for, and who works there, for their administrators.

Routes
    GET  /office               what the citizen is, and where
    GET  /office/<client_id>   the people of an office, for its administrators alone
    POST /office/<client_id>   form: csrf, username, name, role: appoints; or csrf, end: ends the appointment of that id

Who may is decided by the statement that does it. The sign-in must be fresh: it is given power over what citizens bring.
"""

from collections.abc import Mapping
from typing import Any, Final

from flask import Blueprint, abort, make_response, redirect, render_template, request, url_for
from flask_babel import gettext, lazy_gettext
from flask_babel.speaklater import LazyString
from werkzeug.wrappers import Response

from authz_server.consent.wording import duration
from authz_server.core import clock
from authz_server.counter import appointments
from authz_server.counter.appointments import ADMINISTRATOR, CLERK, ROLES
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import csrf, turns
from authz_server.identity.enrolment import freshly
from authz_server.identity.errors import SignInLocked
from authz_server.identity.guard import citizen_required
from authz_server.identity.sessions import SignedIn
from authz_server.portal import locale
from authz_server.portal.form_problem import too_old
from authz_server.portal.locale import moment
from authz_server.portal.record import client_name

blueprint = Blueprint("office", __name__)
NAMES: Final[Mapping[str, LazyString]] = {CLERK: lazy_gettext("Clerk"), ADMINISTRATOR: lazy_gettext("Administrator")}
SHOWN_CHARS: Final = 100
DONE: Final = {
    "new": lazy_gettext("The person is appointed, and has been told."),
    "known": lazy_gettext("They have this role here already; nothing was changed."),
    "ended": lazy_gettext("The appointment has ended, as of now."),
    "none": lazy_gettext(
        "Nothing was changed. That appointment had ended before, or it is your own, which only another administrator "
        "or the operator can end."
    ),
}


@blueprint.get("/office")
@citizen_required
def listed(signed_in: SignedIn) -> str:
    """Show where the citizen works, and as what."""
    rows = [
        {
            "office": client_name(one.client_id),
            "role": NAMES[one.role],
            "since": moment(one.appointed_at),
            "url": f"/office/{one.client_id}" if one.role == ADMINISTRATOR else None,
        }
        for one in appointments.held_by(db.session(), signed_in.citizen_id)
    ]
    return render_template("office.html", signed_in=signed_in, rows=rows)


@blueprint.get("/office/<client_id>")
@freshly
def people(signed_in: SignedIn, client_id: str) -> Response:
    """Show who works at the office."""
    return _page(signed_in, client_id, _own(signed_in, client_id))


@blueprint.post("/office/<client_id>")
@freshly
def change(signed_in: SignedIn, client_id: str) -> Response:
    """Appoint somebody, or end an appointment."""
    form, own = request.form, _own(signed_in, client_id)
    if not csrf.check_form(_action(client_id)):
        return _page(signed_in, client_id, own, error=too_old(), status=403)
    if "lang" in form:
        return _page(signed_in, client_id, own, typed=form)
    turns.hold(db.session(), signed_in)
    if "end" in form:
        number = form["end"]
        known = number.isascii() and number.isdigit() and len(number) <= 18
        done = known and appointments.end(db.session(), int(number), office=client_id, by=own, now=clock.now())
        db.session.commit()
        return _back(client_id, "ended" if done else "none")
    return _appoint(signed_in, client_id, own, form)


def _appoint(signed_in: SignedIn, client_id: str, own: int, form: Mapping[str, str]) -> Response:
    role, username, name = (form.get(field, "").strip() for field in ("role", "username", "name"))
    username = username.lower()  # as at the sign-in
    if role not in ROLES or not username or not name:
        error = gettext("Give the user name and the name, and choose the role.")
        return _page(signed_in, client_id, own, error=error, status=400, typed=form)
    try:
        done = appointments.appoint(
            db.session(),
            office=client_id,
            username=username,
            role=role,
            by=own,
            name=name,
            limits=services().settings.limits,
            now=clock.now(),
        )
    except SignInLocked:
        lock = duration(services().settings.limits.sign_in_lock_s, locale.current())
        error, status = (
            gettext("Too many wrong names. For everybody's safety, wait %(duration)s and try again.", duration=lock),
            429,
        )
    else:
        error, status = gettext("Nobody has an account with this user name and this name."), 400
        if done is not None:
            db.session.commit()
            return _back(client_id, "new" if done else "known")
    db.session.commit()
    return _page(signed_in, client_id, own, error=error, status=status, typed=form)


def _own(signed_in: SignedIn, client_id: str) -> int:
    """The citizen's own appointment as an administrator there; 404 for everybody else, as if it were no office."""
    return appointments.find(db.session(), signed_in.citizen_id, office=client_id, role=ADMINISTRATOR) or abort(404)


def _back(client_id: str, done: str) -> Response:
    return redirect(url_for("office.people", client_id=client_id, done=done), code=303)


def _page(
    signed_in: SignedIn,
    client_id: str,
    own: int,
    *,
    error: str | None = None,
    status: int = 200,
    typed: Mapping[str, str] | None = None,
) -> Response:
    done: Any = DONE.get(request.args.get("done", ""))
    page = render_template(
        "office_people.html",
        signed_in=signed_in,
        office=client_name(client_id),
        address=f"/office/{client_id}",
        people=[
            {
                "id": one.id,
                "name": one.name,
                "username": one.username,
                "role": NAMES[one.role],
                "since": moment(one.appointed_at),
                "held": one.held,
                "own": one.id == own,
            }
            for one in appointments.staff(db.session(), client_id)
        ],
        roles=[{"value": role, "text": NAMES[role]} for role in ROLES],
        typed={name: value[:SHOWN_CHARS] for name, value in (typed or {}).items()},
        done=None if error else done,
        error=error,
        csrf=csrf.form_token(_action(client_id)),
    )
    return make_response(page, status)


def _action(client_id: str) -> str:
    return f"office:{client_id}"
