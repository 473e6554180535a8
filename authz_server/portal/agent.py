"""Going to a counter for somebody else: the agent's pages. The citizen's: `portal.delegation`.

Routes; <errand>: the reference number of a visit whose invitation the agent has opened
    GET  /agent                         whom one goes for, and the form for an invitation
    POST /agent                         form: csrf, invitation; opens it
    GET  /agent/<errand>                what it is about; then the barcode, the one-time code, what the office did; in
                                        the end what the agent's record has of it
    POST /agent/<errand>                form: csrf, step: accept, end (also: decline, give back), show
    GET  /agent/<errand>/state          as of a visit
    GET  /agent/<errand>/<picture>      as of a visit

Nothing of the data is shown here, only which data it is about. A sign-in must be as strong as the citizen's was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_babel.speaklater import LazyString
from werkzeug.wrappers import Response as BaseResponse

from authz_server.audit.service import entries_of
from authz_server.consent.wording import listed, time_of_day
from authz_server.core import clock
from authz_server.counter import agents, delegation
from authz_server.counter.errors import DelegationNotUsable, InvitationNotUsable
from authz_server.counter.masking import masked
from authz_server.counter.service import Visit
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import csrf, turns
from authz_server.identity.enrolment import identified, let_prove_more
from authz_server.identity.errors import SignInLocked
from authz_server.identity.sessions import SignedIn
from authz_server.oauth.responses import json_response
from authz_server.portal import locale
from authz_server.portal.delegation import MEANWHILE
from authz_server.portal.form_problem import too_old
from authz_server.portal.locale import moment
from authz_server.portal.not_accepted import said_of
from authz_server.portal.outcome import preparations_of
from authz_server.portal.record import client_name, dataset_name, line_of
from authz_server.portal.visit import STEPS, code_of, counters_of, drawn, face_of, show_anew, state_of, visit_of

blueprint = Blueprint("agent", __name__)
ACTION: Final = "agent"


@dataclass(frozen=True)
class Errand:
    """What the signed-in agent is to do for somebody. `stage`: how far it has come."""

    agent: SignedIn
    row: agents.Delegated
    visit: Visit
    stage: agents.Stage

    @property
    def agent_id(self) -> int:
        return self.agent.citizen_id


def agent_required(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """Call the view with what the signed-in agent has opened; 410 if only their record tells of it, 404 for others."""

    @wraps(view)
    def guarded(signed_in: SignedIn, errand: str, **more: str) -> ResponseReturnValue:
        found = _find(signed_in, errand)
        if found is None:
            return _over(signed_in, errand)
        return let_prove_more(signed_in, found.row.level) or view(found, **more)

    return identified(guarded)


def _find(signed_in: SignedIn, reference: str) -> Errand | None:
    row = agents.find_of_agent(db.session(), reference, agent_id=signed_in.citizen_id)
    if row is None:
        return None
    return Errand(signed_in, row, visit_of(row.citizen_id, reference), agents.stage(row, now=clock.now()))


@blueprint.get("/agent")
@identified
def start(signed_in: SignedIn) -> BaseResponse:
    """Show whom one goes for, and ask for an invitation."""
    return _start(signed_in)


@blueprint.post("/agent")
@identified
def open_invitation(signed_in: SignedIn) -> BaseResponse:
    """Open an invitation and lead to what it is about; or say that it can't be used, whatever is wrong."""
    typed = request.form.get("invitation", "")
    if not csrf.check_form(ACTION):
        return _start(signed_in, problem=too_old(), typed=typed, status=403)
    if "lang" in request.form:
        return _start(signed_in, typed=typed)
    here = services()
    turns.hold(db.session(), signed_in, frozen=True)
    try:
        reference = delegation.open_invitation(
            db.session(),
            typed,
            agent_id=signed_in.citizen_id,
            server_secret=here.secret,
            limits=here.settings.limits,
            now=clock.now(),
        )
    except InvitationNotUsable:
        db.session.commit()  # it was counted
        problem = gettext(
            "This invitation can't be used by you. Compare it with what you were given; if it is right, its time is "
            "over or it was made for somebody else: ask for a new one."
        )
        return _start(signed_in, problem=problem, typed=typed, status=400)
    except SignInLocked as locked:
        db.session.rollback()
        problem = gettext("Too many invitations were wrong. Try again after %(time)s.", time=time_of_day(locked.until))
        return _start(signed_in, problem=problem, typed=typed, status=429)
    db.session.commit()
    return redirect(f"/agent/{reference}", code=303)


@blueprint.get("/agent/<errand>")
@agent_required
def page(errand: Errand) -> BaseResponse:
    """Show how it stands."""
    return _page(errand)


@blueprint.post("/agent/<errand>")
@agent_required
def take_step(errand: Errand) -> BaseResponse:
    """Take a step, and show what it led to; or how it stands, if it can't be taken any more."""
    row, step, now = errand.row, request.form.get("step"), clock.now()
    if not csrf.check_form(_action(errand)):
        return _page(errand, problem=too_old(), status=403)
    turns.hold(db.session(), errand.agent, frozen=True)
    try:
        if step == "accept":
            delegation.accept(db.session(), row, now=now)
        elif step == "end":
            delegation.end(db.session(), row, actor="agent", now=now)
        elif step == "show":
            show_anew(errand.visit, errand.agent_id)
    except DelegationNotUsable:
        db.session.rollback()
        as_it_stands = _find(errand.agent, row.transaction_id) or errand
        return _page(as_it_stands, problem=MEANWHILE, status=409)
    db.session.commit()
    return redirect(request.path, code=303)


@blueprint.get("/agent/<errand>/state")
@agent_required
def state(errand: Errand) -> BaseResponse:
    """Tell the page's script whether there is anything new."""
    return json_response({"state": state_of(errand.visit, errand.agent_id)})


@blueprint.get("/agent/<errand>/<picture>")
@agent_required
def picture(errand: Errand, picture: str) -> BaseResponse:
    """The barcode as a picture."""
    return drawn(errand.visit, picture)


def _start(signed_in: SignedIn, *, problem: str | None = None, typed: str = "", status: int = 200) -> Response:
    now = clock.now()
    text = render_template(
        "agents.html",
        signed_in=signed_in,
        errands=[
            {
                "reference": row.transaction_id,
                "name": masked(row.citizen_name),
                "client": client_name(row.client_id),
                "stage": agents.stage(row, now=now),
            }
            for row in agents.all_of_agent(db.session(), signed_in.citizen_id)
        ],
        problem=problem,
        typed=typed,
        csrf=csrf.form_token(ACTION),
    )
    return make_response(text, status)


def _over(signed_in: SignedIn, reference: str) -> Response:
    """What is left of an errand a day later, when messages still lead to it."""
    steps = entries_of(db.session(), signed_in.citizen_id, transaction_id=reference, limit=STEPS)
    if not any(entry.event.startswith(agents.OF_AGENT) for entry in steps):
        abort(404)
    text = render_template(
        "agent_over.html",
        signed_in=signed_in,
        reference=reference,
        client=client_name(steps[-1].client_id),  # the newest may be what an office refused that it was not for
        steps=[line_of(entry) for entry in steps],
    )
    return make_response(text, 410)


def _page(errand: Errand, *, problem: str | LazyString | None = None, status: int = 200) -> Response:
    row, visit = errand.row, errand.visit
    steps = entries_of(db.session(), errand.agent_id, transaction_id=row.transaction_id, limit=STEPS)
    in_force = errand.stage == "in_force" and visit.open_until is not None
    face = face_of(visit) if in_force else None
    code = code_of(visit, errand.agent_id) if in_force else None
    said, locked = said_of(visit, steps, has_code=code is not None) if in_force else ([], False)
    text = render_template(
        "agent.html",
        signed_in=errand.agent,
        reference=row.transaction_id,
        stage=errand.stage,
        citizen=masked(row.citizen_name),
        client=client_name(row.client_id),
        purpose=_purpose(row),
        datasets=[_dataset(detail) for detail in row.granted],
        counters=counters_of(row.client_id),
        open_until=moment(visit.open_until),
        barcode_good_for_s=services().settings.limits.barcode_ttl_s,
        used=moment(visit.used_at) if visit.barcode is not None and visit.barcode.agent_id == errand.agent_id else None,
        face=face,
        good_until=time_of_day(visit.barcode.expires_at) if face and visit.barcode else None,
        code=code,
        said=said,
        locked=locked,
        ahead=preparations_of(row.citizen_id, row.transaction_id),
        steps=[line_of(entry) for entry in steps],
        state=state_of(visit, errand.agent_id),
        problem=problem,
        csrf=csrf.form_token(_action(errand)),
    )
    return make_response(text, status)


def _purpose(row: agents.Delegated) -> str:
    office = services().registry.client(row.client_id)
    purpose = office.purposes.get(row.purpose_id or "") if office else None
    return purpose.text.get(locale.current()) if purpose else row.purpose_id or ""


def _dataset(detail: dict[str, Any]) -> dict[str, str]:
    """Which data, without what it was narrowed down to: a parcel of land, say."""
    dataset, spoken = services().catalogue.find_dataset(detail["dataset"]), locale.current()
    names = {field.id: field.name.get(spoken) for field in dataset.fields} if dataset else {}
    fields = [names.get(name, name) for name in detail["fields"]]
    return {"name": dataset_name(detail["dataset"]), "fields": listed(fields, spoken)}


def _action(errand: Errand) -> str:
    return f"agent:{errand.row.transaction_id}"
