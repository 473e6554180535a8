"""What was decided and what came of it, and the way to stop it. It stands here and not in `consent`, because stopping
ends tokens, and `tokens` is above `consent`.

Routes, all by reference number
    GET  /consent/<reference>/outcome   what was decided, and how far each dataset has come
    GET  /consent/<reference>/stop      what would be stopped, and what can't be any more; changes nothing
    POST /consent/<reference>/stop      form: csrf; stops it and leads to the outcome
"""

from typing import Any

from flask import Blueprint, abort, make_response, redirect, render_template, request
from flask_babel import gettext
from werkzeug.wrappers import Response

from authz_server.consent import preparation
from authz_server.consent.client_home import home_of
from authz_server.consent.fetches import DELIVERED, STOPPABLE
from authz_server.consent.outcome import Decided, find_outcome
from authz_server.consent.wording import day, duration, time_of_day
from authz_server.core import clock, transfers
from authz_server.core.clock import day_of
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import csrf
from authz_server.identity.guard import citizen_required
from authz_server.identity.sessions import SignedIn
from authz_server.portal import locale
from authz_server.portal.locale import moment
from authz_server.portal.record import dataset_name
from authz_server.tokens.withdrawal import withdraw

blueprint = Blueprint("outcome", __name__)


@blueprint.get("/consent/<transaction_id>/outcome")
@citizen_required
def show(signed_in: SignedIn, transaction_id: str) -> str:
    """Show what was decided, what came of it, and what happens next."""
    found = decided_of(signed_in, transaction_id)
    return render_template(
        "outcome.html",
        signed_in=signed_in,
        outcome={
            "decision": found.decision,
            "at_counter": found.at_counter,
            "own": found.is_download,
            "transaction_id": found.transaction_id,
            "withdrawn": moment(found.withdrawn_at),
            "withdrawn_by": stopped_by(found.withdrawn_by),
            "by_citizen": found.withdrawn_by == "citizen",
            "stoppable": found.stoppable,
            "delivered": found.delivered,
            "erasable": found.erasable,
            "fetches": fetches_of(found),
            **last_days(found),
        },
        client=client_facts(found),
        decided=moment(found.decided_at),
    )


@blueprint.get("/consent/<transaction_id>/stop")
@citizen_required
def ask_to_stop(signed_in: SignedIn, transaction_id: str) -> Response:
    """Ask first: a link must not stop anything."""
    found = approved(signed_in, transaction_id)
    if found.withdrawn_at is not None:
        return redirect(f"/consent/{transaction_id}/outcome", code=303)
    return _question(signed_in, found)


@blueprint.post("/consent/<transaction_id>/stop")
@citizen_required
def stop(signed_in: SignedIn, transaction_id: str) -> Response:
    """Stop it and show what came of it. A second time leads to the same page."""
    found = approved(signed_in, transaction_id)
    if not csrf.check_form(_action(transaction_id)):
        return _question(signed_in, found, stale=True)
    under_way = withdraw(db.session(), transaction_id, citizen_id=signed_in.citizen_id, now=clock.now())
    transfers.commit_end(db.session(), under_way=under_way, environ=request.environ)
    return redirect(f"/consent/{transaction_id}/outcome", code=303)


def _question(signed_in: SignedIn, found: Decided, *, stale: bool = False) -> Response:
    fetches = fetches_of(found)
    return make_response(
        render_template(
            "stop.html",
            signed_in=signed_in,
            transaction_id=found.transaction_id,
            client=client_facts(found),
            own=found.is_download,
            at_counter=found.at_counter,
            stoppable=found.stoppable,
            delivered=found.delivered,
            erasable=found.erasable,
            to_stop=[fetch for fetch in fetches if fetch["state"] in STOPPABLE],
            too_late=[fetch for fetch in fetches if fetch["state"] not in STOPPABLE],
            csrf=csrf.form_token(_action(found.transaction_id)),
            stale=stale,
        ),
        403 if stale else 200,
    )


def decided_of(signed_in: SignedIn, transaction_id: str) -> Decided:
    """What the citizen decided, or left undecided; 404 if there is nothing of theirs."""
    limits = services().settings.limits
    found = find_outcome(db.session(), transaction_id, citizen_id=signed_in.citizen_id, limits=limits, now=clock.now())
    if found is None:
        abort(404)
    return found


def approved(signed_in: SignedIn, transaction_id: str) -> Decided:
    """The outcome of the citizen's own consent; 404 if there is none."""
    found = decided_of(signed_in, transaction_id)
    if found.decision != "approved":
        abort(404)
    return found


def client_facts(found: Decided) -> dict[str, Any]:
    """Whom to call; little more than an id if the client is registered no longer."""
    client = services().registry.client(found.client_id)
    home = home_of(client, locale.current()) if client else None
    return {
        "name": home.name if home else found.client_id,
        "home": home.home if home else None,
        "phone": client.contact_phone if client else "",
        "email": client.contact_email if client else "",
    }


def last_days(found: Decided) -> dict[str, str | None]:
    """use_until and erase_by, in words; both None where the recipient has nothing and can receive nothing any more."""
    days = {"use_until": found.use_until, "erase_by": found.erase_by}
    return {name: day(at, locale.current()) if at and found.usable else None for name, at in days.items()}


def fetches_of(found: Decided) -> list[dict[str, Any]]:
    """The granted datasets for fetches.html: dataset_id, name, agency, state (see `consent.outcome`), at (or None),
    by_citizen (bool: whether they ended the consent)."""
    known, spoken = services().catalogue, locale.current()
    fetches: list[dict[str, Any]] = []
    for fetch in found.fetches:
        dataset = known.find_dataset(fetch.dataset_id)
        names = {
            "name": dataset_name(fetch.dataset_id),
            "agency": known.agency(dataset.agency_id).name.get(spoken) if dataset else "",
        }
        told = {"dataset_id": fetch.dataset_id, "state": fetch.state, "at": moment(fetch.at)}
        fetches.append(names | told | {"by_citizen": found.withdrawn_by == "citizen"})
    return fetches


def preparations_of(citizen_id: int, transaction_id: str) -> list[dict[str, Any]]:
    """The slow datasets that agencies were asked to have ready: dataset_id, name, ready (bool), text (when)."""
    known, spoken, now = services().catalogue, locale.current(), clock.now()
    found = preparation.preparations_of(db.session(), transaction_id, citizen_id=citizen_id)
    facts = []
    for row in found:
        dataset = known.find_dataset(row.dataset_id)
        wait = duration(dataset.typical_wait_s, spoken) if dataset and dataset.typical_wait_s else ""
        if row.ready_at:
            text = gettext("Ready.")
        elif row.refused_at:
            text = gettext("The agency prepares it only once it is fetched. That takes about %(wait)s.", wait=wait)
        elif row.expected_at is None:
            text = gettext("The agency was asked to prepare it. That takes about %(wait)s.", wait=wait)
        elif row.expected_at <= now:
            text = gettext("It should be ready about now. The agency has not said so yet.")
        elif day_of(row.expected_at) == day_of(now):
            text = gettext("Ready at about %(time)s: go then.", time=time_of_day(row.expected_at))
        else:
            text = gettext("Ready at about %(time)s: go then.", time=moment(row.expected_at))
        name = dataset_name(row.dataset_id)
        facts.append({"dataset_id": row.dataset_id, "name": name, "ready": row.ready_at is not None, "text": text})
    return facts


def ahead_of(signed_in: SignedIn, found: Decided) -> list[dict[str, Any]]:
    """Of `preparations_of` those that somebody may still come for."""
    awaited = {fetch.dataset_id for fetch in found.fetches if fetch.state not in DELIVERED}
    if found.withdrawn_at is not None:
        return []
    return [one for one in preparations_of(signed_in.citizen_id, found.transaction_id) if one["dataset_id"] in awaited]


def stopped_by(actor: str | None) -> str:
    """Who stopped a consent, in words for its citizen. Args: actor: as the record has it; None: it does not say."""
    kind = (actor or "").partition(":")[0]
    words = {
        "citizen": gettext("Stopped by you"),
        "operator": gettext("Ended by the operator of this platform"),
        "client": gettext("Ended by the recipient"),
    }
    return words.get(kind) or gettext("Stopped")


def _action(transaction_id: str) -> str:
    return f"stop:{transaction_id}"
