"""What is still possible after the last byte is out: the citizen asks the recipient to erase.

Routes, both by reference number
    GET  /consent/<reference>/erase   what was delivered, and what is asked; once it is done, how far it has come
    POST /consent/<reference>/erase   form: csrf; asks, and leads to the page of the consent
"""

from typing import Any

from flask import Blueprint, make_response, redirect, render_template
from flask_babel import gettext
from werkzeug.wrappers import Response

from authz_server.consent import erasure
from authz_server.consent.fetches import DELIVERED
from authz_server.consent.outcome import Decided
from authz_server.consent.wording import day
from authz_server.core import clock
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import csrf, turns
from authz_server.identity.guard import citizen_required
from authz_server.identity.sessions import SignedIn
from authz_server.notices.channels.email import EmailToClient
from authz_server.portal import locale
from authz_server.portal.locale import moment
from authz_server.portal.outcome import approved, client_facts, fetches_of
from authz_server.portal.record_wording import REASONS

blueprint = Blueprint("erasure", __name__)


@blueprint.get("/consent/<transaction_id>/erase")
@citizen_required
def ask(signed_in: SignedIn, transaction_id: str) -> Response:
    """Ask first: a link must not ask anything of anybody."""
    return _question(signed_in, approved(signed_in, transaction_id))


@blueprint.post("/consent/<transaction_id>/erase")
@citizen_required
def request_erasure(signed_in: SignedIn, transaction_id: str) -> Response:
    """Ask the recipient. A second time, and where nothing was delivered, it leads to the same page."""
    found = approved(signed_in, transaction_id)
    if not csrf.check_form(_action(transaction_id)):
        return _question(signed_in, found, stale=True)
    if found.elsewhere:
        turns.hold(db.session(), signed_in, frozen=True)
        citizen_id, now = signed_in.citizen_id, clock.now()
        erasure.ask(db.session(), transaction_id, citizen_id=citizen_id, by_mail=_by_mail(), now=now)
        db.session.commit()
    return redirect(f"/consents/{transaction_id}#erasure", code=303)


def erasure_facts(decided: Decided) -> dict[str, Any] | None:
    """How far it has come, for erasure.html; None if nobody asked and nobody answered.

    state (requested, overdue, erased, refused); told: bool, else they have to be called; requested, answered, erase_by,
    why: texts or none.
    """
    known = decided.erasure
    if known is None:
        return None
    overdue = decided.erase_by is not None and decided.erase_by < clock.day_of(clock.now())
    states = {True: "refused" if known.refusal else "erased", False: "overdue" if overdue else "requested"}
    reason = REASONS.get(known.refusal) if known.refusal else None
    return {
        "state": states[known.answered_at is not None],
        "told": known.told,
        "requested": moment(known.requested_at),
        "answered": moment(known.answered_at),
        "erase_by": day(decided.erase_by, locale.current()) if decided.erase_by else None,
        "why": str(reason) if reason else known.refusal,
    }


def _question(signed_in: SignedIn, found: Decided, *, stale: bool = False) -> Response:
    client = client_facts(found)
    offered = found.erasable
    if offered:
        heading = gettext("Ask %(client)s to erase your data?", client=client["name"])
    elif found.erasure:
        heading = gettext("Your request to erase")
    else:
        heading = gettext("There is nothing to erase")
    page = render_template(
        "erase.html",
        signed_in=signed_in,
        transaction_id=found.transaction_id,
        heading=heading,
        client=client,
        offered=offered,
        told=erasure.is_reachable(services().registry.client(found.client_id), by_mail=_by_mail()),
        delivered=[fetch for fetch in fetches_of(found) if fetch["state"] in DELIVERED],
        stoppable=found.stoppable,
        erase_by=day(found.erase_by, locale.current()) if found.erase_by else None,
        erasure=erasure_facts(found),
        csrf=csrf.form_token(_action(found.transaction_id)),
        stale=stale and offered,
    )
    return make_response(page, 403 if stale else 200)


def _by_mail() -> bool:
    return EmailToClient.is_on(services().settings)


def _action(transaction_id: str) -> str:
    return f"erase:{transaction_id}"
