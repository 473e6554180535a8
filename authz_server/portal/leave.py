"""Closing an account. It asks twice, and wants a fresh sign-in of level 3 or better before the second time.

Routes
    GET  /account/leave           what would end, what is erased, what stays and why
    GET  /account/leave/confirm   the last question, or what this session lacks for it
    POST /account/leave/confirm   form: csrf; closes the account
    GET  /account/left            what was done, for whoever has no account any more
"""

from typing import Final

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from authz_server import leaving
from authz_server.core import clock, transfers
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import cookies, csrf, enrolment, levels, turns
from authz_server.identity.guard import current
from authz_server.identity.sessions import SignedIn
from authz_server.identity.visits import FRESH
from authz_server.portal import locale
from authz_server.portal.record import client_name
from authz_server.tokens import withdrawal

blueprint = Blueprint("leave", __name__)
ACTION: Final = "leave"
DAYS_OF_A_YEAR: Final = 365


@blueprint.get("/account/leave")
@enrolment.unfrozen
def consequences(signed_in: SignedIn) -> str:
    """Say what it means; nothing can be closed from here."""
    recipients = withdrawal.recipients(db.session(), signed_in.citizen_id, now=clock.now())
    return render_template(
        "leave.html",
        signed_in=signed_in,
        recipients=[client_name(client_id) for client_id in recipients],
        **_kept(),
    )


@blueprint.get("/account/leave/confirm")
@enrolment.unfrozen
def ask(signed_in: SignedIn) -> Response:
    """Ask a last time, whoever has just proved who they are."""
    return _question(signed_in)


@blueprint.post("/account/leave/confirm")
@enrolment.unfrozen
def leave(signed_in: SignedIn) -> Response:
    """Close the account, and forget the browser."""
    if not csrf.check_form(ACTION):
        return _question(signed_in, stale=True)
    if _lack(signed_in) is not None:
        return _question(signed_in)
    turns.hold(db.session(), signed_in)
    under_way = leaving.leave(
        db.session(), signed_in.citizen_id, actor="citizen", settings=services().settings, now=clock.now()
    )
    transfers.commit_end(db.session(), under_way=bool(under_way), environ=request.environ)
    response = redirect(url_for("leave.left", lang=locale.current()), code=303)
    cookies.delete_session(response)
    return response


@blueprint.get("/account/left")
def left() -> str | Response:
    """Say that it was done. Who opens this by chance reads nothing of anybody; who has an account is led there."""
    if current() is not None:
        return redirect("/account", code=303)
    return render_template("left.html", **_kept())


def _question(signed_in: SignedIn, *, stale: bool = False) -> Response:
    lacking = _lack(signed_in)
    page = render_template(
        "leave_confirm.html",
        signed_in=signed_in,
        needed=lacking,
        prove_url=enrolment.prove_more_url(level=leaving.LEAVE_LEVEL, again=True),
        csrf=csrf.form_token(ACTION),
        stale=stale,
    )
    return make_response(page, 403 if stale or (lacking and request.method == "POST") else 200)


def _lack(signed_in: SignedIn) -> levels.Lack | None:
    return levels.lack(signed_in, leaving.LEAVE_LEVEL, clock.now() - FRESH)


def _kept() -> dict[str, int]:
    """How long the record is kept: in whole years if it is two or more of these, else in days."""
    days = services().settings.limits.record_days
    years, more = divmod(days, DAYS_OF_A_YEAR)
    return {"years": years if years > 1 and not more else 0, "days": days}
