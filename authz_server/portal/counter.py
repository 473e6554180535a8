"""To a counter: the citizen finds an office, picks one of its services, and says for which year, month or place.

Routes
    GET  /counter                               offices and their services; q: search
    GET  /counter/offices/<client_id>/<purpose> what the service needs, and its parameters
    POST /counter/offices/<client_id>/<purpose> form: csrf, <dataset>/<parameter>; opens the request

From the consent on: `portal.visit`.
"""

from collections.abc import Mapping
from logging import WARNING
from typing import Any, Final

from flask import Blueprint, abort, make_response, redirect, render_template, request
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.wrappers import Response

from authz_server.catalogue.model import Dataset, is_meant
from authz_server.clients.model import Client, Purpose, PurposeDataset
from authz_server.consent.details import RequestedDataset, as_registered
from authz_server.consent.wording import duration, listed
from authz_server.core import clock
from authz_server.core.logging import event
from authz_server.core.outbound_http import FetchError
from authz_server.counter.service import open_request
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import csrf
from authz_server.identity.guard import citizen_required, current
from authz_server.identity.sessions import SignedIn
from authz_server.portal import locale, parameters
from authz_server.portal.availability import availability_of

blueprint = Blueprint("counter", __name__)
LONGEST_SEARCH: Final = 100
NO_KEY_S: Final = 60  # as long as a failure to fetch it is remembered
Asked = list[tuple[Dataset, PurposeDataset]]


@blueprint.get("/counter")
def offices() -> str:
    """Show offices and what they serve, to anybody."""
    signed_in = current()  # first, for it knows the language of the page
    query, spoken = request.args.get("q", "")[:LONGEST_SEARCH].strip(), locale.current()
    found = sorted(
        (one for one in services().registry.clients() if _is_open(one)), key=lambda one: one.name.get(spoken)
    )
    return render_template(
        "counter.html",
        signed_in=signed_in,
        query=query,
        declined="error" in request.args,
        offices=[_office(office) for office in found if _meant(query, office)],
    )


@blueprint.get("/counter/offices/<client_id>/<purpose_id>")
@citizen_required
def service(signed_in: SignedIn, client_id: str, purpose_id: str) -> Response:
    """Show what a service needs, and ask for its parameters."""
    return _page(signed_in, *_found(client_id, purpose_id))


@blueprint.post("/counter/offices/<client_id>/<purpose_id>")
@citizen_required
def ask(signed_in: SignedIn, client_id: str, purpose_id: str) -> Response:
    """Open the request, and lead to its question; or ask again for what is missing."""
    office, purpose = _found(client_id, purpose_id)
    if not csrf.check_form(_action(office, purpose)):
        return _page(signed_in, office, purpose, stale=True)
    if "lang" in request.form:
        return _page(signed_in, office, purpose)
    wanted, errors = _requested(office, purpose)
    if errors:
        return _page(signed_in, office, purpose, errors=errors)
    pending = open_request(
        db.session(),
        office,
        wanted,
        citizen_id=signed_in.citizen_id,
        settings=services().settings,
        now=clock.now(),
    )
    db.session.commit()
    return redirect(f"/consent/{pending.request_id}", code=303)


def _is_open(client: Client) -> bool:
    return bool(client.counters) and bool(client.purposes) and not client.suspended


def _found(client_id: str, purpose_id: str) -> tuple[Client, Purpose]:
    office = services().registry.client(client_id)
    purpose = office.purposes.get(purpose_id) if office and _is_open(office) else None
    if office is None or purpose is None:
        abort(404)
    return office, purpose


def _meant(query: str, office: Client) -> bool:
    """Whether a search finds it, in names, addresses or services."""
    places = [text for counter in office.counters.values() for text in (counter.name, counter.address)]
    texts = [office.name, *places, *(purpose.text for purpose in office.purposes.values())]
    return is_meant(query, office.registered_id, texts)


def _office(office: Client) -> dict[str, Any]:
    spoken = locale.current()
    return {
        "name": office.name.get(spoken),
        "phone": office.contact_phone,
        "counters": [
            {"name": counter.name.get(spoken), "address": counter.address.get(spoken)}
            for counter in office.counters.values()
        ],
        "services": [
            {"text": purpose.text.get(spoken), "url": f"/counter/offices/{office.client_id}/{purpose.id}"}
            for purpose in office.purposes.values()
        ],
    }


def _asked(purpose: Purpose) -> Asked:
    catalogue = services().catalogue
    return [(catalogue.dataset(name), ceiling) for name, ceiling in purpose.datasets.items()]


def _page(
    signed_in: SignedIn,
    office: Client,
    purpose: Purpose,
    *,
    errors: Mapping[str, str] | None = None,
    stale: bool = False,
) -> Response:
    errors, spoken = errors or {}, locale.current()
    page = render_template(
        "counter_service.html",
        signed_in=signed_in,
        office=_office(office),
        purpose=purpose.text.get(spoken),
        address=request.path,
        items=[_item(dataset, ceiling, errors) for dataset, ceiling in _asked(purpose)],
        level=min(dataset.level for dataset, _ in _asked(purpose)),
        problems=parameters.summary_of(errors),
        stale=stale,
        csrf=csrf.form_token(_action(office, purpose)),
    )
    return make_response(page, 403 if stale else 400 if errors else 200)


def _item(dataset: Dataset, ceiling: PurposeDataset, errors: Mapping[str, str]) -> dict[str, Any]:
    spoken = locale.current()
    return {
        "id": dataset.id,
        "name": dataset.name.get(spoken),
        "agency": services().catalogue.agency(dataset.agency_id).name.get(spoken),
        "fields": _names(dataset, ceiling.fields_required),
        "optional": _names(dataset, ceiling.fields_optional),
        "wait": duration(dataset.typical_wait_s, spoken) if dataset.typical_wait_s else None,
        "state": availability_of(dataset),
        "asks": parameters.asks(dataset, errors, ceiling.parameters),
    }


def _names(dataset: Dataset, fields: frozenset[str]) -> str:
    spoken = locale.current()
    return listed([dataset.field(name).name.get(spoken) for name in dataset.in_order(fields)], spoken)


def _requested(office: Client, purpose: Purpose) -> tuple[list[RequestedDataset], Mapping[str, str]]:
    """What the service needs with the parameters of the form, encrypted to the office; and what is wrong, by field."""
    recipient = _recipient(office)
    wanted: list[RequestedDataset] = []
    errors: dict[str, str] = {}
    for dataset, ceiling in _asked(purpose):
        given, wrong = parameters.read(dataset, ceiling.parameters)
        errors |= wrong
        wanted.append(
            as_registered(purpose, ceiling, dataset, parameters=given, recipient_jwk=recipient, actions=office.desk_may)
        )
    return wanted, errors


def _recipient(office: Client) -> dict[str, Any]:
    """The key of the office.  Raises: ServiceUnavailable: nobody is asked to agree to what nothing can come of."""
    try:
        found, why = services().registry.encryption_jwk(office), "no key of use enc"
    except FetchError as error:
        found, why = None, error.detail
    if found is None:
        event("office.without_key", level=WARNING, client_id=office.client_id, detail=why)
        raise ServiceUnavailable(retry_after=NO_KEY_S)
    return found


def _action(office: Client, purpose: Purpose) -> str:
    return f"counter:{office.client_id}:{purpose.id}"
