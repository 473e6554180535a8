"""The parts of the consent notice, each a pure function from what was asked to sentences in one language."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from authz_server.catalogue.model import Catalogue, Dataset, Field
from authz_server.clients import own
from authz_server.clients.model import COPYING, Client, Purpose
from authz_server.consent.details import RequestedDataset
from authz_server.consent.request import AuthorizationParameters, PendingRequest
from authz_server.consent.wording import day, duration, listed, moment, say

# OpenID Connect Core section 5.4: what a scope asks for, which is what is released (`oauth.scopes`).
CLAIMS_OF_SCOPE: Final[Mapping[str, tuple[str, ...]]] = {
    "profile": ("name", "birthdate", "locale"),
    "email": ("email",),
    "phone": ("phone_number",),
}
CLAIMS: Final = tuple(claim for claims in CLAIMS_OF_SCOPE.values() for claim in claims)

# The kinds of notices that have sentences of their own.
DOWNLOAD: Final = "_download"
IDENTITY: Final = "_identity"

Sentences = dict[str, Any]  # JSON: strings, lists and objects of them


def agencies(datasets: Sequence[RequestedDataset], catalogue: Catalogue) -> list[str]:
    """Ids of the agencies that are asked, each once, in the order of the request."""
    return list(dict.fromkeys(catalogue.dataset(wanted.dataset_id).agency_id for wanted in datasets))


def datasets(
    pending: PendingRequest,
    catalogue: Catalogue,
    purpose: Purpose | None,
    *,
    client_name: str,
    locale: str,
    suspended: AbstractSet[str],
    maintenance: Mapping[str, datetime | None],
) -> list[Sentences]:
    """What is asked, a part per dataset, in the order of the request."""
    previous = _previous(pending)
    own_download = pending.client_id == own.CLIENT_ID
    wait = "wait_counter" if pending.parameters.at_counter else "wait_download" if own_download else "wait"
    return [
        _dataset(position, wanted, catalogue, client_name=client_name, locale=locale, suspended=suspended, wait=wait)
        | {"new": say("mark_new", locale) if previous and wanted.dataset_id not in previous else None}
        | {"why": _why(purpose, wanted, locale)}
        | ({"wait": _maintenance(maintenance[wanted.dataset_id], locale)} if wanted.dataset_id in maintenance else {})
        for position, wanted in enumerate(pending.parameters.datasets)
    ]


def _dataset(
    position: int,
    wanted: RequestedDataset,
    catalogue: Catalogue,
    *,
    client_name: str,
    locale: str,
    suspended: AbstractSet[str],
    wait: str,
) -> Sentences:
    dataset = catalogue.dataset(wanted.dataset_id)
    name = dataset.name.get(locale)
    agency = catalogue.agency(dataset.agency_id).name.get(locale)
    required = [_field(dataset.field(field), locale) for field in wanted.fields_required]
    # Where nothing is required, what the agency sends with whatever else it sends is no choice of its own.
    free = [field for field in wanted.fields_optional if field not in dataset.required_fields]
    always = None
    if free and not required and len(free) < len(wanted.fields_optional):
        names = [dataset.field(field).name.get(locale) for field in wanted.fields_optional if field not in free]
        always = say("optional_always", locale, fields=listed(names, locale))
    takes = dataset.typical_wait_s
    return {
        "position": position,
        "name": name,
        "more_of": say("optional_more", locale, dataset=name) if required else name,
        "description": dataset.description.get(locale),
        "agency": say("from_agency", locale, agency=agency),
        "parameters": _parameters(dataset, wanted.parameters, locale),
        "summary": say("fields_one" if len(required) == 1 else "fields", locale, count=len(required)),
        "fields": required,
        "optional_fields": [_field(dataset.field(field), locale) for field in free or wanted.fields_optional],
        "always": always,
        "wait": say(wait, locale, duration=duration(takes, locale), client=client_name) if takes else None,
        "unavailable": _unavailable(dataset, suspended, agency, locale),
    }


def _why(purpose: Purpose | None, wanted: RequestedDataset, locale: str) -> str | None:
    """What the client registered that it needs this for, if it did."""
    registered = purpose.datasets.get(wanted.dataset_id) if purpose else None
    if registered is None or registered.justification is None:
        return None
    return say("why_dataset", locale, text=registered.justification.get(locale))


def _maintenance(until: datetime | None, locale: str) -> str:
    if until is None:
        return say("maintenance", locale)
    return say("maintenance_until", locale, when=moment(until, locale))


def _unavailable(dataset: Dataset, suspended: AbstractSet[str], agency: str, locale: str) -> str | None:
    if dataset.agency_id in suspended:
        return say("unavailable", locale, agency=agency)
    return say("unavailable_dataset", locale) if dataset.id in suspended else None


def _field(field: Field, locale: str) -> Sentences:
    return {
        "id": field.id,
        "name": field.name.get(locale),
        "description": field.description.get(locale),
        "sensitivity": None if field.sensitivity == "normal" else say(field.sensitivity, locale),
    }


def _parameters(dataset: Dataset, values: Sequence[tuple[str, str]], locale: str) -> list[list[str]]:
    """The parameters in the order of the catalogue, as pairs of name and value for people."""
    given = dict(values)
    return [
        [parameter.name.get(locale), parameter.display(given[parameter.id], locale)]
        for parameter in dataset.parameters
        if parameter.id in given
    ]


def needed(items: Sequence[Sentences], *, locale: str) -> Sentences:
    """What can't be done without."""
    return {"heading": say("needed", locale), "datasets": [item for item in items if item["fields"]]}


def optional(items: Sequence[Sentences], *, locale: str) -> Sentences:
    """What the citizen may add."""
    return {
        "heading": say("optional", locale),
        "hint": say("optional_hint", locale),
        "datasets": [item for item in items if item["optional_fields"]],
    }


def who(client: Client, *, locale: str) -> Sentences:
    """Who is asking, by what the operator has verified."""
    name = client.name.get(locale)
    if client.client_id == own.CLIENT_ID:
        return {"heading": say("who_download", locale), "name": name, "facts": [], "privacy": None}
    return {
        "heading": say("who", locale),
        "name": name,
        "facts": [
            [say("registered_id", locale), client.registered_id],
            [say("registered_on", locale), day(client.registered_on, locale)],
            [say("phone", locale), client.contact_phone],
        ],
        "privacy": {"text": say("privacy", locale, client=name), "url": client.privacy_url},
    }


def changes(pending: PendingRequest, catalogue: Catalogue, *, client_name: str, locale: str) -> Sentences | None:
    """What differs from the last grant to this client: more, other parameters, no longer asked; None the first time."""
    previous = _previous(pending)
    if not previous:
        return None
    lines = []
    for wanted in pending.parameters.datasets:
        lines += _changes_of(wanted, previous.get(wanted.dataset_id), catalogue.dataset(wanted.dataset_id), locale)
    asked = {wanted.dataset_id for wanted in pending.parameters.datasets}
    for dataset_id in previous:
        gone = catalogue.find_dataset(dataset_id)
        if gone is not None and dataset_id not in asked:
            lines.append(say("changed_gone", locale, dataset=gone.name.get(locale)))
    return {
        "heading": say("changed", locale),
        "intro": say("changed_intro", locale, client=client_name),
        "lines": lines or [say("changed_nothing", locale)],
    }


def _changes_of(wanted: RequestedDataset, before: Mapping[str, Any] | None, dataset: Dataset, locale: str) -> list[str]:
    name = dataset.name.get(locale)
    if before is None:
        return [say("changed_dataset", locale, dataset=name)]
    lines = []
    if more := [field for field in wanted.fields_required if field not in before["fields"]]:
        fields = listed([dataset.field(field).name.get(locale) for field in more], locale)
        lines.append(say("changed_fields", locale, dataset=name, fields=fields))
    if dict(wanted.parameters) != before["parameters"]:
        values = listed([value for _, value in _parameters(dataset, wanted.parameters, locale)], locale)
        lines.append(
            say("changed_parameters" if values else "changed_no_parameters", locale, dataset=name, parameters=values)
        )
    return lines


def _previous(pending: PendingRequest) -> dict[str, Mapping[str, Any]]:
    return {grant["dataset"]: grant for grant in pending.previous or ()}


def identity(asked: AuthorizationParameters, *, client_name: str, locale: str) -> Sentences | None:
    """What the client learns about who the citizen is; None if it asked for data alone."""
    if "openid" not in asked.scopes:
        return None
    claims = {claim for scope in asked.scopes for claim in CLAIMS_OF_SCOPE.get(scope, ())}
    claims.update(*asked.claims.values())  # whatever the place
    return {
        "heading": say("identity", locale),
        "lines": [
            say("identity_sub", locale, client=client_name),
            *(say(f"claim_{claim}", locale) for claim in CLAIMS if claim in claims),
        ],
    }


def route(names: Iterable[str], purpose: Purpose | None, *, client_name: str, locale: str) -> Sentences:
    """From which agencies, to whom, and on to whom. Args: names: of the agencies."""
    onward = [text.get(locale) for text in purpose.passed_on_to] if purpose else []
    return {
        "heading": say("route", locale),
        "lines": [
            [say("route_from", locale), list(names)],
            [say("route_to", locale), [client_name]],
            [say("route_onward", locale), onward or [say("route_nobody", locale)]],
        ],
    }


def times(
    use_until: date | None, erase_by: date | None, *, asked: AuthorizationParameters, client_name: str, locale: str
) -> Sentences:
    """How long, in three lines; in one where it is for good."""
    lines = [say("fetch_once_counter" if asked.at_counter else "fetch_once", locale)]
    if use_until is not None:
        lines.append(say("use_until", locale, client=client_name, date=day(use_until, locale)))
    if erase_by is not None:
        lines.append(say("erase_by", locale, client=client_name, date=day(erase_by, locale)))
    return {"heading": say("times", locale), "lines": lines}


def desk(asked: AuthorizationParameters, *, locale: str) -> Sentences | None:
    """What the clerk may do with it beside looking at it; of all datasets the same, for it is the office's."""
    if not asked.at_counter:
        return None
    allowed = {action for dataset in asked.datasets for action in dataset.actions}
    lines = [say(f"desk_{action}" if action in allowed else f"desk_no_{action}", locale) for action in COPYING]
    return {"heading": say("desk", locale), "lines": lines + ([say("desk_recorded", locale)] if allowed else [])}


def never(unencrypting: Sequence[str], *, client_name: str, locale: str, kind: str) -> Sentences:
    """What will not happen. Args: unencrypting: names of the agencies for which the platform encrypts."""
    lines = []
    if kind == DOWNLOAD:
        client_name = say("own_browser", locale)
        lines = [say("never_others", locale)]
    if kind != IDENTITY:
        read = "never_read_except" if unencrypting else "never_read"
        lines += [
            say("never_keep", locale),
            say("never_again", locale),
            say(read, locale, client=client_name, agencies=listed(unencrypting, locale)),
        ]
    if kind != DOWNLOAD:
        lines.append(say("never_password", locale, client=client_name))
    return {"heading": say("never", locale), "lines": lines}


def stop(client: Client, *, locale: str, kind: str) -> Sentences:
    """How to stop it afterwards, in one line."""
    sentence = f"stop{kind}" if kind else "stop_text"
    text = say(sentence, locale, client=client.name.get(locale), phone=client.contact_phone)
    return {"heading": say("stop", locale), "text": text}


def leaving(asked: AuthorizationParameters, *, client_name: str, locale: str, kind: str, visit_ttl_s: int) -> str:
    """Where the citizen goes next, whatever the decision.

    Args: visit_ttl_s: how long a consent for a counter is good.
    """
    if kind == DOWNLOAD:
        return say("leaving_download", locale)
    if asked.at_counter:
        good_for = duration(visit_ttl_s, locale)
        return say("leaving_counter", locale, client=client_name, duration=good_for)
    parts = urlsplit(asked.redirect_uri)
    if parts.scheme in {"http", "https"}:
        return say("leaving", locale, client=client_name, place=parts.netloc)
    return say("leaving_app", locale, client=client_name)
