"""Where the citizen is signed in, and signing out there from here.

Routes
    GET  /account/sessions   every session that is not over, the one of this browser marked
    POST /account/sessions   form: csrf, end: the name of a session, or `others` for all but this one's; at once

Ending a session needs no fresh proof: it takes away what somebody else may have, and gives nothing.
"""

from dataclasses import dataclass
from typing import Final

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from authz_server.core import clock
from authz_server.database import db
from authz_server.identity import csrf, sign_in
from authz_server.identity.guard import citizen_required
from authz_server.identity.open_sessions import Open, open_sessions
from authz_server.identity.sessions import SignedIn
from authz_server.identity.visits import singles
from authz_server.portal.form_problem import too_old
from authz_server.portal.locale import moment
from authz_server.portal.methods import worth
from authz_server.portal.record import method_name

blueprint = Blueprint("sessions", __name__)
PATH: Final = "/account/sessions"
ACTION: Final = "sessions"
OTHERS: Final = "others"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One session, in the reader's language."""

    name: str
    browser: str
    since: str | None
    used: str | None
    methods: tuple[str, ...]
    worth: str
    here: bool  # the one of this browser


@blueprint.get(PATH)
@citizen_required
def listed(signed_in: SignedIn) -> Response:
    """Show where the citizen is signed in."""
    return _page(signed_in)


@blueprint.post(PATH)
@citizen_required
def end(signed_in: SignedIn) -> Response:
    """Sign out somewhere else. A name that is nobody's, or somebody else's, is one of a session that is over."""
    form = singles(request.form)
    if not csrf.check_form(ACTION):
        return _page(signed_in, error=too_old(), status=403)
    name = form.get("end", "")
    ended = sign_in.end_others(db.session(), signed_in, name=None if name == OTHERS else name, now=clock.now())
    db.session.commit()
    return redirect(url_for("sessions.listed", ended=int(ended)), code=303)


def _page(signed_in: SignedIn, *, error: str | None = None, status: int = 200) -> Response:
    found = open_sessions(db.session(), signed_in.citizen_id, now=clock.now())
    here = [one for one in found if one.session_digest == signed_in.session_digest]
    others = [one for one in found if one not in here]
    told = {"1": gettext("Signed out there."), "0": gettext("Nobody was signed in there any more.")}
    page = render_template(
        "sessions.html",
        signed_in=signed_in,
        rows=[_row(one, here=one in here) for one in [*here, *others]],
        others=len(others),
        csrf=csrf.form_token(ACTION),
        done=told.get(request.args.get("ended", "")),
        error=error,
    )
    return make_response(page, status)


def _row(one: Open, *, here: bool) -> Row:
    return Row(
        name=one.name,
        browser=_browser(one.browser_kind),
        since=moment(one.since),
        used=moment(one.last_seen_at),
        methods=tuple(method_name(method) for method in one.methods),
        worth=worth(one.level),
        here=here,
    )


def _browser(kind: str) -> str:
    name, _, system = kind.partition("/")
    if name and system:
        return gettext("%(browser)s on %(system)s", browser=name, system=system)
    return name or system or gettext("A browser of unknown kind")
