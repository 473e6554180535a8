"""For whoever writes a client: a request for data, made of what they choose in the catalogue, to register and to send.

Routes
    GET  /developer/datasets   what can be asked for; dataset (any number): what is ticked
    GET  /developer/request    dataset (1 to 20): the form
    POST /developer/request    dataset; form: csrf, client_id, purpose, redirect_uri, field/<dataset>/<field> (required,
                               optional or empty), <dataset>/<parameter>; the lines to register, and curl and Python

Nothing is sent, registered or kept: what is shown is the developer's to copy.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, make_response, render_template, request
from flask_babel import gettext
from werkzeug.wrappers import Response

from authz_server.catalogue.model import Dataset
from authz_server.clients.document import CLIENT_ID
from authz_server.clients.purposes import PURPOSE_ID
from authz_server.clients.uris import redirect_uri_problem
from authz_server.consent.details import DETAILS_TYPE
from authz_server.extensions import services
from authz_server.identity import cookies, csrf
from authz_server.identity.guard import current
from authz_server.oauth.rar import MAX_DETAILS
from authz_server.portal import form_problem, locale, parameters

blueprint = Blueprint("request_builder", __name__)
ACTION: Final = "request-builder"
# What stands in the form at first.
FIRST: Final[Mapping[str, str]] = {
    "client_id": "my-bank",
    "purpose": "my-purpose",
    "redirect_uri": "https://my-bank.example/callback",
}
REQUIRED, OPTIONAL = "required", "optional"
# What is made, in the order in which it is needed; a template in developer/ is the text itself.
TEXTS: Final = ("purpose.toml", "push.py", "push.sh")


@dataclass(frozen=True)
class Made:
    """The texts, by the names of their templates; or what is wrong, by the names of the form's fields."""

    texts: Mapping[str, str]
    errors: Mapping[str, str]


@blueprint.get("/developer/datasets")
def choose() -> Response:
    """Show what can be asked for."""
    return _catalogue(_ticked())


@blueprint.get("/developer/request")
def ask() -> Response:
    """Show the form for what was chosen."""
    datasets = _ticked()
    problem = _problem(datasets)
    return _catalogue(datasets, error=problem) if problem else _form(datasets)


@blueprint.post("/developer/request")
def make() -> Response:
    """Show what comes of the form, or what is wrong with it."""
    datasets = _ticked()
    stale = not csrf.check(cookies.form_secret(), ACTION, request.form.get("csrf"))
    if problem := _problem(datasets):
        return _catalogue(datasets, error=problem, status=403 if stale else 400)
    if stale:
        return _form(datasets, stale=True)
    if "lang" in request.form:
        return _form(datasets)
    return _form(datasets, made=_made(datasets))


def _ticked() -> tuple[Dataset, ...]:
    named = dict.fromkeys(request.args.getlist("dataset"))
    return tuple(dataset for dataset in map(services().catalogue.find_dataset, named) if dataset)


def _problem(datasets: Sequence[Dataset]) -> str | None:
    if not datasets:
        return gettext("Choose the data that you want to ask for.")
    if len(datasets) > MAX_DETAILS:
        return gettext("Choose at most %(count)s at a time.", count=MAX_DETAILS)
    return None


def _made(datasets: Sequence[Dataset]) -> Made:
    given = {name: request.form.get(name, "").strip() for name in FIRST}
    errors = _wrong(given)
    details = []
    for dataset in datasets:
        detail, problems = _detail(dataset, given["purpose"])
        details.append(detail)
        errors |= problems
    if errors:
        return Made({}, errors)
    values = {**given, "issuer": services().settings.issuer, "details": details}
    return Made({name: render_template(f"developer/{name}.txt", **values) for name in TEXTS}, {})


def _wrong(given: Mapping[str, str]) -> dict[str, str]:
    errors = {}
    if not CLIENT_ID.fullmatch(given["client_id"]):
        errors["client_id"] = gettext("client_id: 3 to 64 small letters, digits and hyphens.")
    if not PURPOSE_ID.fullmatch(given["purpose"]):
        errors["purpose"] = gettext("Purpose: small letters, digits and hyphens.")
    if redirect_uri_problem(given["redirect_uri"], sandbox=services().settings.sandbox):
        errors["redirect_uri"] = gettext("redirect_uri: a whole https address, without a fragment.")
    return errors


def _detail(dataset: Dataset, purpose: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The entry of `authorization_details`, see oauth/rar.py; and what is wrong with it."""
    chosen = {name: request.form.get(field_name(dataset, name)) for name in dataset.field_ids}
    required = dataset.required_fields | {name for name, choice in chosen.items() if choice == REQUIRED}
    optional = {name for name, choice in chosen.items() if choice == OPTIONAL} - required
    values, errors = parameters.read(dataset)
    if not required | optional:
        error = gettext("%(name)s: choose a field.", name=dataset.name.get(locale.current()))
        errors[field_name(dataset, dataset.field_ids[0])] = error
    detail: dict[str, Any] = {
        "type": DETAILS_TYPE,
        "dataset": dataset.id,
        "purpose": purpose,
        "fields_required": dataset.in_order(frozenset(required)),
        "fields_optional": dataset.in_order(frozenset(optional)),
    }
    return detail | ({"parameters": dict(values)} if values else {}), errors


def field_name(dataset: Dataset, field_id: str) -> str:
    """What the form calls a field of a dataset; parameters may be called the same as fields."""
    return f"field/{dataset.id}/{field_id}"


def _catalogue(ticked: Sequence[Dataset], *, error: str | None = None, status: int = 400) -> Response:
    spoken = locale.current()
    page = render_template(
        "developer_datasets.html",
        signed_in=current(),
        agencies=[
            (agency.name.get(spoken), [(dataset.id, dataset.name.get(spoken)) for dataset in agency.datasets])
            for agency in services().catalogue
        ],
        ticked={dataset.id for dataset in ticked},
        error=error,
    )
    return make_response(page, status if error else 200)


def _form(datasets: Sequence[Dataset], *, made: Made | None = None, stale: bool = False) -> Response:
    errors = made.errors if made else {}
    secret = cookies.form_secret() or cookies.new_form_secret()
    address = urlencode([("dataset", dataset.id) for dataset in datasets])
    response = make_response(
        render_template(
            "developer_request.html",
            signed_in=current(),
            texts=made.texts if made else {},
            problems=_problems(errors),
            errors=errors,
            error=form_problem.of_nobody() if stale else None,
            given={name: request.form.get(name, first) for name, first in FIRST.items()},
            items=[_item(dataset, errors) for dataset in datasets],
            address=f"/developer/request?{address}",
            back=f"/developer/datasets?{address}",
            csrf=csrf.csrf_token(secret, ACTION),
        ),
        403 if stale else 400 if errors else 200,
    )
    cookies.keep_form_secret(response, secret)
    return response


def _problems(errors: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"text": text, "href": f"#{name}"} for name, text in errors.items()]


def _item(dataset: Dataset, errors: Mapping[str, str]) -> dict[str, Any]:
    """A dataset as the form asks of it: the fields that go always, and the others with what was chosen."""
    spoken = locale.current()
    return {
        "id": dataset.id,
        "name": dataset.name.get(spoken),
        "always": [(field.id, field.name.get(spoken)) for field in dataset.fields if field.required],
        "fields": [
            {
                "id": field.id,
                "name": field_name(dataset, field.id),
                "label": field.name.get(spoken),
                "value": request.form.get(field_name(dataset, field.id), ""),
                "error": errors.get(field_name(dataset, field.id)),
            }
            for field in dataset.fields
            if not field.required
        ],
        "asks": parameters.asks(dataset, errors),
    }


def _as_json(value: Any) -> str:
    """One line that JSON, Python and TOML read alike: there are texts and lists of them alone."""
    return json.dumps(value, ensure_ascii=False)


def _as_lines(details: Sequence[Any]) -> str:
    """The same, an entry to a line."""
    return "[\n" + ",\n".join(f"  {_as_json(detail)}" for detail in details) + "\n]"


blueprint.add_app_template_filter(_as_json, "as_json")
blueprint.add_app_template_filter(_as_lines, "as_lines")
blueprint.add_app_template_filter(shlex.quote, "as_shell")
