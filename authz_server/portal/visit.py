"""A citizen's page of a visit to a counter: the barcode, the one-time code, what the office did, and the way to stop.

Routes, all by reference number
    GET  /counter/<reference>               the page
    POST /counter/<reference>               form: csrf; shows a (new) barcode; the one before is worth nothing then
    GET  /counter/<reference>/state         JSON: a text that changes when the page does; the page's script asks for it
    GET  /counter/<reference>/<picture>     qr.svg, bars.svg, barcode.png, barcode.pdf: for the session it was shown to

A barcode and its code open a fetch, so the session must be as strong as its datasets demand: not only the one in which
it was agreed to, for a visit is open for hours.
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final

from flask import Blueprint, abort, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from werkzeug.wrappers import Response

from authz_server.audit.service import entries_of
from authz_server.consent.fetches import STOPPABLE
from authz_server.consent.wording import time_of_day
from authz_server.core import clock
from authz_server.core.identifiers import LOWEST_LEVEL
from authz_server.counter import agents
from authz_server.counter.codes import Face, one_time_code
from authz_server.counter.desk import REDEEMED, Desk, tries_left
from authz_server.counter.masking import masked
from authz_server.counter.service import Visit, find_visit, show
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import cookies, csrf, turns
from authz_server.identity.enrolment import identified, let_prove_more
from authz_server.identity.sessions import SignedIn
from authz_server.oauth.responses import json_response
from authz_server.portal import barcode, locale, pdf
from authz_server.portal.locale import moment
from authz_server.portal.not_accepted import said_of
from authz_server.portal.outcome import client_facts, decided_of, fetches_of, preparations_of
from authz_server.portal.record import actor_name, line_of

blueprint = Blueprint("visit", __name__)
STEPS: Final = 30
ACCEPTED: Final = (REDEEMED, f"{agents.OF_CITIZEN}redeemed")


def _visitor_required(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """Call the view with the citizen and their visit; 404 for everybody else. Whoever is too weak proves more first."""

    @wraps(view)
    def guarded(signed_in: SignedIn, reference: str, **more: str) -> ResponseReturnValue:
        visit = visit_of(signed_in.citizen_id, reference)
        return let_prove_more(signed_in, _needed_level(visit)) or view(signed_in, visit, **more)

    return identified(guarded)


@blueprint.get("/counter/<reference>")
@_visitor_required
def page(signed_in: SignedIn, visit: Visit) -> Response:
    """Show how the visit stands."""
    return _page(signed_in, visit)


@blueprint.post("/counter/<reference>")
@_visitor_required
def show_barcode(signed_in: SignedIn, visit: Visit) -> Response:
    """Show a barcode, for the next twenty minutes."""
    reference = visit.transaction_id
    if not csrf.check_form(_action(reference)):
        return _page(signed_in, visit, stale=True)
    if "lang" not in request.form:
        turns.hold(db.session(), signed_in, frozen=True)
        show_anew(visit)
        db.session.commit()
    return redirect(f"/counter/{reference}", code=303)


@blueprint.get("/counter/<reference>/state")
@_visitor_required
def state(_signed_in: SignedIn, visit: Visit) -> Response:
    """Tell the page's script whether there is anything new."""
    return json_response({"state": state_of(visit)})


@blueprint.get("/counter/<reference>/<picture>")
@_visitor_required
def picture(_signed_in: SignedIn, visit: Visit, picture: str) -> Response:
    """The barcode as a picture. Nothing of it is kept anywhere."""
    return drawn(visit, picture)


def drawn(visit: Visit, picture: str) -> Response:
    """A picture of the barcode that this session was shown; 404 if there is none."""
    face = face_of(visit)
    if face is None or picture not in PICTURES:
        abort(404)
    mimetype, draw = PICTURES[picture]
    answer = make_response(draw(visit, face))
    answer.mimetype = mimetype
    answer.headers["Cache-Control"] = "no-store"
    if not picture.endswith(".svg"):
        name = f"{visit.transaction_id}.{picture.rpartition('.')[2]}"
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _as_pdf(visit: Visit, face: Face) -> bytes:
    office, spoken = services().registry.client(visit.client_id), locale.current()
    name = office.name.get(spoken) if office else visit.client_id
    return pdf.render(
        gettext("Barcode for %(office)s", office=name),
        gettext("No data is in it. Show it at the counter, with the one-time code that you get there."),
        [
            pdf.Part(
                heading=gettext(
                    "Good until %(time)s", time=moment(visit.barcode.expires_at if visit.barcode else None)
                ),
                facts=[
                    (gettext("To be typed"), face.grouped),
                    (gettext("Reference number"), visit.transaction_id),
                ],
                pictures=[
                    barcode.Printed(barcode.qr(face.digits), module_pt=5),
                    barcode.Printed(barcode.bars(face.digits), module_pt=1.5),
                ],
            )
        ],
        foot=f"{services().settings.issuer} – {visit.transaction_id}",
        lang=locale.HTML_LANG[spoken],
    )


PICTURES: Final[Mapping[str, tuple[str, Callable[[Visit, Face], bytes]]]] = {
    "qr.svg": ("image/svg+xml", lambda _visit, face: barcode.qr(face.digits).svg()),
    "bars.svg": ("image/svg+xml", lambda _visit, face: barcode.bars(face.digits).svg()),
    "barcode.png": ("image/png", lambda _visit, face: barcode.png(face.digits)),
    "barcode.pdf": ("application/pdf", _as_pdf),
}


def _page(signed_in: SignedIn, visit: Visit, *, stale: bool = False) -> Response:
    outcome = decided_of(signed_in, visit.transaction_id)
    steps = entries_of(db.session(), signed_in.citizen_id, transaction_id=visit.transaction_id, limit=STEPS)
    awaited = {one.dataset_id for one in outcome.fetches if one.state in STOPPABLE}
    prepared = preparations_of(signed_in.citizen_id, visit.transaction_id)
    ahead = [one for one in prepared if one["dataset_id"] in awaited]
    asked = {one["dataset_id"] for one in ahead}
    find = services().catalogue.find_dataset
    unasked = [find(one.dataset_id) for one in outcome.fetches if one.dataset_id not in asked]
    agent, code = _agent(visit), code_of(visit)
    brings = agent is None or agent["stage"] != "in_force"
    # The barcode's row is kept for a day, the record for years.
    used_at = visit.used_at or next((entry.at for entry in steps if entry.event in ACCEPTED), None)
    said, locked = said_of(visit, steps, has_code=code is not None, brings=brings)
    text = render_template(
        "visit.html",
        signed_in=signed_in,
        reference=visit.transaction_id,
        client=client_facts(outcome),
        open_until=moment(visit.open_until),
        barcode_good_for_s=services().settings.limits.barcode_ttl_s,
        used=moment(used_at),
        face=face_of(visit),
        good_until=time_of_day(visit.barcode.expires_at) if visit.barcode else None,
        shown_before=shown_before(visit),
        agent=agent,
        agent_url=f"/counter/{visit.transaction_id}/agent",
        code=code,
        said=said,
        locked=locked,
        slow=any(dataset.typical_wait_s for dataset in unasked if dataset),
        withdrawn=moment(outcome.withdrawn_at),
        stoppable=outcome.stoppable,
        fetches=fetches_of(outcome),
        steps=[line_of(entry) for entry in steps],
        counters=counters_of(visit.client_id),
        ahead=ahead,
        state=state_of(visit),
        stale=stale,
        csrf=csrf.form_token(_action(visit.transaction_id)),
    )
    return make_response(text, 403 if stale else 200)


def _agent(visit: Visit) -> dict[str, str] | None:
    """Who goes instead of the citizen, and how far that has come."""
    row = agents.find_of_citizen(db.session(), visit.transaction_id, citizen_id=visit.citizen_id)
    stage = agents.stage(row, now=clock.now())
    return (
        None if row is None or stage in {"ended", "lapsed"} else {"stage": stage, "name": masked(row.agent_name or "")}
    )


def _needed_level(visit: Visit) -> int:
    """What the strictest of the datasets demands now; of those that the catalogue still has."""
    datasets = map(services().catalogue.find_dataset, visit.dataset_ids)
    return min((dataset.level for dataset in datasets if dataset), default=LOWEST_LEVEL)


def visit_of(citizen_id: int, reference: str) -> Visit:
    """This citizen's visit; 404 if there is none."""
    here, now = services(), clock.now()
    visit = find_visit(db.session(), reference, citizen_id=citizen_id, server_secret=here.secret, now=now)
    if visit is None:
        abort(404)
    return visit


def show_anew(visit: Visit, agent_id: int | None = None) -> None:
    """Give this session a barcode. The caller commits. Args: agent_id: whose page it is, if not the citizen's."""
    here = services()
    show(
        db.session(),
        visit,
        session_secret=cookies.session_secret() or "",
        server_secret=here.secret,
        limits=here.settings.limits,
        now=clock.now(),
        agent_id=agent_id,
    )


def shown_before(visit: Visit) -> bool:
    """Whether a barcode was shown to whom it now is to be shown; see `delegation` for those that nobody was shown."""
    return visit.barcode is not None and visit.barcode.expires_at > visit.barcode.shown_at


def face_of(visit: Visit) -> Face | None:
    """The barcode that this session was shown and that still counts."""
    return visit.face(cookies.session_secret() or "", now=clock.now())


def code_of(visit: Visit, agent_id: int | None = None) -> dict[str, str] | None:
    """The one-time code that is to be told, by whom it was asked for, and until when; none while the visit is locked.

    Args: agent_id: whose page it is, if not the citizen's: only whoever has the barcode has its code.
    """
    row, here, now = visit.barcode, services(), clock.now()
    if (
        row is None
        or row.agent_id != agent_id
        or visit.open_until is None
        or row.announced_at is None
        or row.code_expires_at is None
        or row.code_expires_at <= now
        or tries_left(db.session(), visit.consent_id, limits=here.settings.limits, now=now)[1] is not None
    ):
        return None
    desk = Desk(client_id=visit.client_id, counter_id=row.counter_id, clerk_id=row.clerk_id)
    return {
        "digits": one_time_code(here.secret, row.digest, row.announced_at),
        "desk": actor_name(desk.actor),
        "until": time_of_day(row.code_expires_at),
    }


def counters_of(client_id: str) -> list[dict[str, Any]]:
    """Where an office is."""
    office, spoken = services().registry.client(client_id), locale.current()
    counters = office.counters.values() if office else ()
    return [{"name": one.name.get(spoken), "address": one.address.get(spoken)} for one in counters]


def state_of(visit: Visit, agent_id: int | None = None) -> str:
    """What of the page may change without its reader: entries, what is prepared, what runs out. It says nothing."""
    reader = visit.citizen_id if agent_id is None else agent_id
    newest = entries_of(db.session(), reader, transaction_id=visit.transaction_id, limit=1)
    ahead = preparations_of(visit.citizen_id, visit.transaction_id)
    said = hashlib.sha256("".join(one["text"] for one in ahead).encode()).hexdigest()[:8]
    runs_out = f"{face_of(visit) is not None:d}{code_of(visit, agent_id) is not None:d}"
    return f"{newest[0].id if newest else 0}-{runs_out}-{said}"


def _action(reference: str) -> str:
    return f"visit:{reference}"
