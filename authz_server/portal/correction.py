"""Ask the agency to correct a field of what was delivered. What it should say is sealed to the agency in this very
request; nothing here keeps it in a form that anybody else could read. Who asks must have signed in as strongly as a
fetch of these datasets demands, for the agency is told that the citizen says it.

Routes, both by reference number
    GET  /consent/<reference>/correct   which field, and what it should say; for other agencies, whom to ask
    POST /consent/<reference>/correct   form: csrf, field (dataset/field), value; sends it, and leads to the consent

What the agency gets is a JWE to its key, in it a JWT of type mydata-correction+jwt, signed like a ticket:
    iss, aud (the agency), iat, jti (of the request), txn, sub (the national id), dataset, parameters, field, claimed
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from flask import Blueprint, Response, make_response, redirect, render_template, request
from flask_babel import gettext
from werkzeug.wrappers import Response as BaseResponse

from authz_server.catalogue.model import Dataset
from authz_server.clients import keys
from authz_server.clients.model import RegisteredAgency
from authz_server.consent import correction
from authz_server.consent.fetches import DELIVERED
from authz_server.consent.outcome import Decided
from authz_server.core import clock
from authz_server.core.jose import OWN_ALG
from authz_server.core.secrets import new_id
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import csrf, turns
from authz_server.identity.enrolment import identified, let_prove_more
from authz_server.identity.models import Citizen
from authz_server.identity.sessions import SignedIn
from authz_server.portal import locale
from authz_server.portal.form_problem import too_old
from authz_server.portal.locale import moment
from authz_server.portal.outcome import approved, client_facts
from authz_server.portal.receipts import own_consent
from authz_server.portal.record import dataset_name
from authz_server.portal.record_wording import REASONS

blueprint = Blueprint("correction", __name__)
TYPE: Final = "mydata-correction+jwt"
MOST_CHARS: Final = 500


@dataclass(frozen=True)
class Offer:
    """A delivered dataset whose agency takes requests; `detail`: as it was granted."""

    dataset: Dataset
    detail: Mapping[str, Any]
    agency: RegisteredAgency

    def items(self) -> list[dict[str, str]]:
        """The granted fields, for a select."""
        spoken = locale.current()
        known = [self.dataset.field(name) for name in self.detail["fields"] if name in self.dataset.field_ids]
        return [{"value": f"{self.dataset.id}/{field.id}", "text": field.name.get(spoken)} for field in known]


@blueprint.get("/consent/<transaction_id>/correct")
@identified
def ask(signed_in: SignedIn, transaction_id: str) -> BaseResponse:
    """Ask which field, and what it should say."""
    found = approved(signed_in, transaction_id)
    return _let_prove_more(signed_in, found) or _form(signed_in, found)


@blueprint.post("/consent/<transaction_id>/correct")
@identified
def send(signed_in: SignedIn, transaction_id: str) -> BaseResponse:
    """Seal it for the agency, and have it sent."""
    found = approved(signed_in, transaction_id)
    if answer := _let_prove_more(signed_in, found):
        return answer
    if not csrf.check_form(_action(transaction_id)):
        return _form(signed_in, found, {"csrf": too_old()}, status=403)
    if "lang" in request.form:
        return _form(signed_in, found)
    if signed_in.frozen_at is not None:
        problem = gettext("Your account is frozen, so nothing of yours is sent. Unfreeze it first.")
        return _form(signed_in, found, {"csrf": problem}, status=403)
    field, value = request.form.get("field", ""), " ".join(request.form.get("value", "").split())
    offers = {item["value"]: offer for offer in _offers(signed_in, found) for item in offer.items()}
    problems = {}
    if field not in offers:
        problems["field"] = gettext("Choose the field that is wrong.")
    if not 0 < len(value) <= MOST_CHARS or not value.isprintable():
        problems["value"] = gettext("Write what it should say, in 500 characters at most.")
    if problems:
        return _form(signed_in, found, problems, status=400)
    turns.hold(db.session(), signed_in)
    now, correction_id, offer = clock.now(), new_id(), offers[field]
    wanted = _wanted(signed_in, found, offer, field.partition("/")[2])
    if correction.asked_before(db.session(), wanted) >= correction.MOST:
        problem = gettext("The agency has answered about this field already. Call it, and quote the reference number.")
        return _form(signed_in, found, {"field": problem}, status=409)
    sealed = _seal(wanted, offer, value, correction_id=correction_id, now=now)
    if not correction.request(db.session(), correction_id, wanted, sealed=sealed, now=now):
        problem = gettext("You have asked for this already, and the agency has not answered yet.")
        return _form(signed_in, found, {"field": problem}, status=409)
    db.session.commit()
    return redirect(f"/consents/{transaction_id}#corrections", code=303)


def _let_prove_more(signed_in: SignedIn, found: Decided) -> BaseResponse | None:
    levels = [offer.dataset.level for offer in _offers(signed_in, found)]
    return let_prove_more(signed_in, min(levels)) if levels else None


def corrections_facts(signed_in: SignedIn, decided: Decided) -> list[dict[str, Any]]:
    """What was asked about a consent, for the page of it: dataset, field, requested, state (texts)."""
    now, find = clock.now(), partial(correction.corrections_of, db.session(), citizen_id=signed_in.citizen_id)
    found = find(decided.transaction_id)
    if any(correction.has_lapsed(row, now=now) for row in found):
        correction.lapse(db.session(), now=now)
        db.session.commit()
        found = find(decided.transaction_id)
    return [_facts(row) for row in found]


def _facts(row: Any) -> dict[str, Any]:
    dataset, spoken = services().catalogue.find_dataset(row.dataset_id), locale.current()
    known = dataset is not None and row.field_id in dataset.field_ids
    if row.outcome:
        reason = REASONS.get(row.outcome)
        state = f"{moment(row.settled_at)} {reason}" if reason else row.outcome
    elif row.delivered_at:
        state = gettext("The agency has it, and has not answered yet.")
    else:
        state = gettext("On its way to the agency.")
    return {
        "dataset": dataset_name(row.dataset_id),
        "field": dataset.field(row.field_id).name.get(spoken) if dataset and known else row.field_id,
        "requested": moment(row.requested_at),
        "state": state,
    }


def _delivered(signed_in: SignedIn, found: Decided) -> Iterator[tuple[Dataset, Mapping[str, Any]]]:
    """The granted datasets that were delivered, or may have been, with what was granted of each."""
    known, ids = services().catalogue, {fetch.dataset_id for fetch in found.fetches if fetch.state in DELIVERED}
    for detail in own_consent(signed_in, found.transaction_id).granted:
        dataset = known.find_dataset(detail["dataset"])
        if dataset is not None and detail["dataset"] in ids:
            yield dataset, detail


def _offers(signed_in: SignedIn, found: Decided) -> list[Offer]:
    agency_of = services().registry.agency
    pairs = ((dataset, detail, agency_of(dataset.agency_id)) for dataset, detail in _delivered(signed_in, found))
    return [
        Offer(dataset, detail, agency)
        for dataset, detail, agency in pairs
        if agency and agency.correction_endpoint and not agency.suspended
    ]


def _elsewhere(signed_in: SignedIn, found: Decided, offers: list[Offer]) -> list[dict[str, str]]:
    """The agencies that are asked by telephone: name, phone, url."""
    asked_here = {offer.dataset.agency_id for offer in offers}
    ids = dict.fromkeys(dataset.agency_id for dataset, _ in _delivered(signed_in, found))
    agencies = [services().catalogue.agency(agency_id) for agency_id in ids if agency_id not in asked_here]
    return [{"name": each.name.get(locale.current()), "phone": each.phone, "url": each.url} for each in agencies]


def _wanted(signed_in: SignedIn, found: Decided, offer: Offer, field_id: str) -> correction.Wanted:
    return correction.Wanted(
        transaction_id=found.transaction_id,
        citizen_id=signed_in.citizen_id,
        client_id=found.client_id,
        consent_id=own_consent(signed_in, found.transaction_id).id,
        agency_id=offer.agency.id,
        dataset_id=offer.dataset.id,
        field_id=field_id,
    )


def _seal(wanted: correction.Wanted, offer: Offer, value: str, *, correction_id: str, now: datetime) -> str:
    here, citizen = services(), db.session().get_one(Citizen, wanted.citizen_id)
    claims = {
        "iss": here.settings.issuer,
        "aud": wanted.agency_id,
        "iat": int(now.timestamp()),
        "jti": correction_id,
        "txn": wanted.transaction_id,
        "sub": citizen.national_id,
        "dataset": wanted.dataset_id,
        "parameters": offer.detail["parameters"],
        "field": wanted.field_id,
        "claimed": value,
    }
    return keys.seal(claims, offer.agency, here.keys.get(OWN_ALG), typ=TYPE)


def _form(
    signed_in: SignedIn, found: Decided, problems: Mapping[str, str] | None = None, *, status: int = 200
) -> Response:
    offers = _offers(signed_in, found)
    page = render_template(
        "correct.html",
        signed_in=signed_in,
        transaction_id=found.transaction_id,
        client=client_facts(found),
        groups=[(offer.dataset.name.get(locale.current()), offer.items()) for offer in offers],
        elsewhere=_elsewhere(signed_in, found, offers),
        chosen=request.form.get("field", ""),
        value=request.form.get("value", ""),
        errors=problems or {},
        csrf=csrf.form_token(_action(found.transaction_id)),
    )
    return make_response(page, status)


def _action(transaction_id: str) -> str:
    return f"correct:{transaction_id}"
