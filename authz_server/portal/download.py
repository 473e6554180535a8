"""Downloads, to the consent: what can be had, what the citizen takes of it, and with which parameters.

Routes
    GET  /download           the catalogue for people; q: search, dataset (any number): what is ticked
    GET  /download/basket    dataset (1 to 5): what was chosen, with the parameters that it needs
    POST /download/basket    dataset; form: csrf, <dataset>/<parameter>; opens the request and leads to its question

What was chosen stands in the address, so that nothing has to be kept, and the way back and a new sign-in work. What
parameters say, which may be a parcel of land, is posted. From the consent on: `portal.fetching`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, make_response, redirect, render_template, request
from flask_babel import gettext
from werkzeug.wrappers import Response

from authz_server.catalogue.model import Agency, Dataset, is_meant
from authz_server.clients import own
from authz_server.consent.details import RequestedDataset
from authz_server.consent.download import MOST_DATASETS, open_request
from authz_server.consent.wording import duration, listed
from authz_server.core import clock
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import csrf
from authz_server.identity.guard import citizen_required, current
from authz_server.identity.sessions import SignedIn
from authz_server.portal import locale, parameters
from authz_server.portal.availability import availability_of

blueprint = Blueprint("download", __name__)
ACTION: Final = "download"
LONGEST_SEARCH: Final = 100


@dataclass(frozen=True)
class Chosen:
    """What is ticked, in the order of the catalogue, and what is wrong with that."""

    datasets: tuple[Dataset, ...]
    error: str | None


@blueprint.get("/download")
def catalogue() -> Response:
    """Show what can be had, to anybody."""
    return _catalogue(_ticked())


@blueprint.get("/download/basket")
@citizen_required
def basket(signed_in: SignedIn) -> Response:
    """Show what was chosen, and ask for its parameters."""
    chosen = _chosen()
    if chosen.error:
        return _catalogue(chosen.datasets, error=chosen.error)
    return _basket(signed_in, chosen.datasets)


@blueprint.post("/download/basket")
@citizen_required
def ask(signed_in: SignedIn) -> Response:
    """Open the request, and lead to its question; or ask again for what is missing."""
    chosen = _chosen()
    stale = not csrf.check_form(ACTION)
    if chosen.error:
        return _catalogue(chosen.datasets, error=chosen.error, status=403 if stale else 400)
    if stale:
        return _basket(signed_in, chosen.datasets, stale=True)
    if "lang" in request.form:
        return _basket(signed_in, chosen.datasets)
    wanted, errors = _requested(chosen.datasets)
    if errors:
        return _basket(signed_in, chosen.datasets, errors=errors)
    known = services()
    pending = open_request(
        db.session(), wanted, citizen_id=signed_in.citizen_id, settings=known.settings, now=clock.now()
    )
    db.session.commit()
    return redirect(f"/consent/{pending.request_id}", code=303)


def catalogue_url(ticked: Sequence[Dataset]) -> str:
    """The address of the catalogue with these ticked."""
    return f"/download?{_named(ticked)}"


def _named(datasets: Sequence[Dataset]) -> str:
    """The part of an address that names these."""
    return urlencode([("dataset", dataset.id) for dataset in datasets])


def _ticked() -> tuple[Dataset, ...]:
    named = request.args.getlist("dataset")
    found = (services().catalogue.find_dataset(name) for name in dict.fromkeys(named))
    return tuple(dataset for dataset in found if dataset)


def _chosen() -> Chosen:
    datasets = _ticked()
    error = None
    if not datasets:
        error = gettext("Choose what you want to download.")
    elif len(datasets) > MOST_DATASETS:
        error = gettext("Choose at most %(count)s at a time; get the others afterwards.", count=MOST_DATASETS)
    elif closed := [dataset.name.get(locale.current()) for dataset in datasets if availability_of(dataset).closed]:
        names = listed(closed, locale.current())
        error = gettext("Not available at present: %(names)s. Choose without them, or come back later.", names=names)
    return Chosen(datasets, error)


def _catalogue(ticked: Sequence[Dataset], *, error: str | None = None, status: int = 400) -> Response:
    query = request.args.get("q", "")[:LONGEST_SEARCH].strip()
    shown = [
        (agency, [one for one in agency.datasets if _meant(query, agency, one)]) for agency in services().catalogue
    ]
    seen = {dataset.id for _, datasets in shown for dataset in datasets}
    page = render_template(
        "download.html",
        signed_in=current(),
        agencies=[(agency.name.get(locale.current()), list(map(_card, found))) for agency, found in shown if found],
        kept=[_card(dataset) for dataset in ticked if dataset.id not in seen],
        ticked={dataset.id for dataset in ticked},
        query=query,
        most=MOST_DATASETS,
        error=error,
        declined="error" in request.args,
    )
    return make_response(page, status if error else 200)


def _meant(query: str, agency: Agency, dataset: Dataset) -> bool:
    """Whether a search finds it, in the names or the description."""
    texts = [agency.name, dataset.name, dataset.description, *(field.name for field in dataset.fields)]
    return is_meant(query, dataset.id, texts)


def _card(dataset: Dataset) -> dict[str, Any]:
    spoken = locale.current()
    return {
        "id": dataset.id,
        "name": dataset.name.get(spoken),
        "description": dataset.description.get(spoken),
        "fields": [field.name.get(spoken) for field in dataset.fields],
        "parameters": [parameter.name.get(spoken) for parameter in dataset.parameters],
        "level": dataset.level,
        "wait": duration(dataset.typical_wait_s, spoken) if dataset.typical_wait_s else None,
        "formats": [name.upper() for name in dataset.formats],
        "large": dataset.large,
        "state": availability_of(dataset),
    }


def _basket(
    signed_in: SignedIn,
    datasets: Sequence[Dataset],
    *,
    errors: Mapping[str, str] | None = None,
    stale: bool = False,
) -> Response:
    errors, agency = errors or {}, services().catalogue.agency
    page = render_template(
        "download_basket.html",
        signed_in=signed_in,
        items=[
            _card(dataset)
            | {
                "agency": agency(dataset.agency_id).name.get(locale.current()),
                "asks": parameters.asks(dataset, errors),
            }
            for dataset in datasets
        ],
        level=min(dataset.level for dataset in datasets),
        address=f"/download/basket?{_named(datasets)}",
        back=catalogue_url(datasets),
        problems=parameters.summary_of(errors),
        stale=stale,
        csrf=csrf.form_token(ACTION),
    )
    return make_response(page, 403 if stale else 400 if errors else 200)


def _requested(datasets: Sequence[Dataset]) -> tuple[list[RequestedDataset], Mapping[str, str]]:
    """What the form asks for, whole datasets; and what is wrong with it, by field."""
    wanted: list[RequestedDataset] = []
    errors: dict[str, str] = {}
    for dataset in datasets:
        given, problems = parameters.read(dataset)
        errors |= problems
        wanted.append(
            RequestedDataset(
                dataset_id=dataset.id,
                purpose_id=own.PURPOSE_ID,
                fields_required=dataset.field_ids,
                fields_optional=(),
                parameters=given,
                recipient_jwk=None,
            )
        )
    return wanted, errors
