"""Report a recipient to the authority: what the citizen needs for it, on one page. This platform sends nothing.

Routes, both by reference number, of any request that was decided, but for downloads, whose recipient is the citizen
    GET  /consent/<reference>/report   whom to write to, and what to say; once it is done, when that was
    POST /consent/<reference>/report   form: csrf; puts on the record that it was reported, and nothing of what was said
"""

from datetime import datetime

from flask import Blueprint, abort, make_response, redirect, render_template
from sqlalchemy import select
from werkzeug.wrappers import Response

from authz_server.audit.models import AuditEntry
from authz_server.audit.service import Entry, record
from authz_server.consent.outcome import Decided
from authz_server.core import clock
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import csrf, turns
from authz_server.identity.guard import citizen_required
from authz_server.identity.sessions import SignedIn
from authz_server.portal import locale
from authz_server.portal.locale import moment
from authz_server.portal.outcome import client_facts, decided_of, fetches_of

blueprint = Blueprint("report", __name__)
REPORTED = "consent.reported"


@blueprint.get("/consent/<transaction_id>/report")
@citizen_required
def prepare(signed_in: SignedIn, transaction_id: str) -> Response:
    """Show what is needed."""
    return _page(signed_in, _asked(signed_in, transaction_id))


@blueprint.post("/consent/<transaction_id>/report")
@citizen_required
def report(signed_in: SignedIn, transaction_id: str) -> Response:
    """Put it on the record, once."""
    found = _asked(signed_in, transaction_id)
    if not csrf.check_form(_action(transaction_id)):
        return _page(signed_in, found, stale=True)
    # Pressed twice in one moment: the second waits here, and then finds what the first has written.
    turns.take(db.session(), signed_in.citizen_id)
    if _reported_at(signed_in, transaction_id) is None:
        entry = Entry(
            at=clock.now(),
            event=REPORTED,
            success=True,
            actor="citizen",
            transaction_id=transaction_id,
            citizen_id=signed_in.citizen_id,
            client_id=found.client_id,
        )
        record(db.session(), entry)
        db.session.commit()
    return redirect(f"/consent/{transaction_id}/report", code=303)


def _asked(signed_in: SignedIn, transaction_id: str) -> Decided:
    found = decided_of(signed_in, transaction_id)
    if found.is_download:
        abort(404)
    return found


def _reported_at(signed_in: SignedIn, transaction_id: str) -> datetime | None:
    of_transaction = (AuditEntry.transaction_id == transaction_id, AuditEntry.citizen_id == signed_in.citizen_id)
    return db.session().scalar(select(AuditEntry.at).where(*of_transaction, AuditEntry.event == REPORTED).limit(1))


def _page(signed_in: SignedIn, found: Decided, *, stale: bool = False) -> Response:
    known = services()
    client = known.registry.client(found.client_id)
    authority = known.settings.authority
    reported = moment(_reported_at(signed_in, found.transaction_id))
    page = render_template(
        "report.html",
        signed_in=signed_in,
        transaction_id=found.transaction_id,
        authority={"name": authority.name.get(locale.current()), "url": authority.url, "phone": authority.phone},
        client=client_facts(found) | {"registered_id": client.registered_id if client else ""},
        decision=found.decision,
        decided=moment(found.decided_at),
        withdrawn=moment(found.withdrawn_at),
        fetches=fetches_of(found),
        reported=reported,
        csrf=csrf.form_token(_action(found.transaction_id)),
        stale=stale and not reported,
    )
    return make_response(page, 403 if stale else 200)


def _action(transaction_id: str) -> str:
    return f"report:{transaction_id}"
