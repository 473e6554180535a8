"""Somebody else goes to the counter for a citizen: the citizen's page of that. The agent's: `portal.agent`.

Routes, by reference number of the visit
    GET  /counter/<reference>/agent   how far it has come, and what can be done
    POST /counter/<reference>/agent   form: csrf, step: invite (with national_id); confirm, end (with shown)
"""

from typing import Final

from flask import Blueprint, Response, make_response, redirect, render_template, request
from flask_babel import gettext, lazy_gettext
from werkzeug.wrappers import Response as BaseResponse

from authz_server.core import clock
from authz_server.counter import agents, delegation
from authz_server.counter.codes import grouped
from authz_server.counter.errors import DelegationNotUsable, NamedThemselves
from authz_server.counter.masking import masked
from authz_server.counter.service import Visit
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import cookies, csrf, national_id, turns
from authz_server.identity.enrolment import identified, let_prove_more
from authz_server.identity.sessions import SignedIn
from authz_server.portal.form_problem import FormProblem, too_old
from authz_server.portal.locale import moment
from authz_server.portal.record import client_name
from authz_server.portal.visit import state_of, visit_of

blueprint = Blueprint("delegation", __name__)
FIELD: Final = "national_id"
MEANWHILE: Final = lazy_gettext(
    "Something happened in the meantime, so nothing was changed. This is how it stands now."
)


@blueprint.get("/counter/<reference>/agent")
@identified
def page(signed_in: SignedIn, reference: str) -> BaseResponse:
    """Show how far it has come."""
    return _page(signed_in, visit_of(signed_in.citizen_id, reference))


@blueprint.post("/counter/<reference>/agent")
@identified
def take_step(signed_in: SignedIn, reference: str) -> BaseResponse:
    """Take a step, and show what it led to; or why it can't be taken."""
    visit = visit_of(signed_in.citizen_id, reference)
    if not csrf.check_form(_action(reference)):
        return _page(signed_in, visit, problem=too_old(), status=403)
    step = request.form.get("step")
    if "lang" in request.form:
        return _page(signed_in, visit, typed=request.form.get(FIELD, ""))
    if step == "invite":
        return _invite(signed_in, visit)
    row = _row(visit)
    if row is not None and request.form.get("shown") != _shown(row):
        return _too_late(signed_in, visit)
    if row is not None and step == "confirm" and (answer := let_prove_more(signed_in, row.level)):
        return answer
    turns.hold(db.session(), signed_in, frozen=True)
    try:
        if row is not None and step == "confirm":
            delegation.confirm(db.session(), row, now=clock.now())
        elif row is not None and step == "end":
            delegation.end(db.session(), row, actor="citizen", now=clock.now())
    except DelegationNotUsable:
        return _too_late(signed_in, visit)
    db.session.commit()
    return redirect(request.path, code=303)


def _invite(signed_in: SignedIn, visit: Visit) -> BaseResponse:
    typed = request.form.get(FIELD, "")
    number = "".join(typed.split()).upper()
    if not national_id.check(number):
        problem = gettext("Type the whole number: a letter and nine digits, as on the identity card.")
        return _page(signed_in, visit, problem=problem, typed=typed, status=400)
    here = services()
    turns.hold(db.session(), signed_in, frozen=True)
    try:
        delegation.invite(
            db.session(),
            visit.owner,
            number,
            session_secret=cookies.session_secret() or "",
            server_secret=here.secret,
            limits=here.settings.limits,
            now=clock.now(),
        )
    except NamedThemselves:
        db.session.rollback()
        problem = gettext("That is your own number. Type the number of the person who goes for you.")
        return _page(signed_in, visit, problem=problem, typed=typed, status=400)
    except DelegationNotUsable:
        return _too_late(signed_in, visit)
    db.session.commit()
    return redirect(request.path, code=303)


def _too_late(signed_in: SignedIn, visit: Visit) -> BaseResponse:
    """It has gone on while the page was read; show how it stands."""
    db.session.rollback()
    now = visit_of(signed_in.citizen_id, visit.transaction_id)
    return _page(signed_in, now, problem=FormProblem(MEANWHILE), status=409)


def _page(
    signed_in: SignedIn, visit: Visit, *, problem: str | None = None, typed: str = "", status: int = 200
) -> Response:
    row = _row(visit)
    stage = agents.stage(row, now=clock.now())
    text = render_template(
        "delegation.html",
        signed_in=signed_in,
        reference=visit.transaction_id,
        client=client_name(visit.client_id),
        open_until=moment(visit.open_until),
        stage=stage,
        agent=masked(row.agent_name or "") if row is not None else "",
        shown=_shown(row) if row is not None else "",
        invitation=_invitation(row) if row is not None and stage == "invited" else None,
        invited_until=moment(row.expires_at) if row is not None else None,
        agents_url=f"{services().settings.issuer}/agent",
        state=state_of(visit),
        problem=problem,
        typed=typed,
        csrf=csrf.form_token(_action(visit.transaction_id)),
    )
    return make_response(text, status)


def _invitation(row: agents.Delegated) -> str | None:
    short = delegation.find_invitation(row, cookies.session_secret() or "", services().secret)
    return grouped(short) if short else None


def _shown(row: agents.Delegated) -> str:
    """Which delegation a page speaks of, for its buttons: they must not decide on another one, with another agent."""
    return row.invited_at.isoformat()


def _row(visit: Visit) -> agents.Delegated | None:
    return agents.find_of_citizen(db.session(), visit.transaction_id, citizen_id=visit.citizen_id)


def _action(reference: str) -> str:
    return f"delegation:{reference}"
