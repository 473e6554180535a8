"""Rich authorization requests (RFC 9396): from `authorization_details` and dataset scopes to what is really asked.

    [{"type": "dataset", "dataset": "fia.income", "purpose": "loan-application",
      "fields_required": ["name", "national_id", "total_income"], "fields_optional": ["payers"],
      "parameters": {"tax_year": "113"}, "recipient_jwk": {...}}]

Fields that are left out altogether are those of the registered purpose. Nothing is passed over: a member, type or
value that is not known refuses the whole request, for a citizen must not agree to what was only half understood.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from authz_server.catalogue.model import Catalogue, Dataset
from authz_server.clients.keys import RECIPIENTS, recipient_jwk
from authz_server.clients.model import Client, PurposeDataset
from authz_server.consent.details import DETAILS_TYPE, RequestedDataset, as_registered, check_within_ceiling
from authz_server.core.jose import BadKey
from authz_server.oauth.errors import InvalidRequest, InvalidScope

MAX_BYTES = 16 * 1024
MAX_DETAILS = 20
MEMBERS = frozenset(
    {"type", "dataset", "purpose", "fields_required", "fields_optional", "parameters", "recipient_jwk"}
)  # fmt: skip

Detail = dict[str, Any]
KeyOfClient = Callable[[], dict[str, Any] | None]


class InvalidAuthorizationDetails(InvalidRequest):
    """RFC 9396 section 5. The description is made of constants of ours; it never repeats what was sent."""

    code = "invalid_authorization_details"
    public = "authorization_details is not valid."


def parse(
    raw: str | None, scopes: Sequence[str], *, client: Client, catalogue: Catalogue, key_of_client: KeyOfClient
) -> tuple[RequestedDataset, ...]:
    """What the request asks for: its details in their order, then its dataset scopes.

    Args: scopes: those that name a dataset, each once; a scope asks for the default of the client's only purpose with
        that dataset. key_of_client: the client's registered encryption key, called at most once, only if needed.
    Raises: InvalidAuthorizationDetails, InvalidScope; and as `key_of_client`.
    """
    if raw is not None and not client.policy.may_ask_for_datasets:
        raise InvalidAuthorizationDetails("This client may not ask for datasets.")
    key = _Once(key_of_client)
    details = _load(raw) if raw is not None else []
    requested = [_requested(detail, client, catalogue, key) for detail in details]
    requested += [_default(scope, client, catalogue, key) for scope in scopes]
    _check_together(requested)
    return tuple(requested)


def _load(raw: str) -> list[Detail]:
    """Read the JSON; a member that is there twice means one thing to us and another to the next reader."""
    if len(raw) > MAX_BYTES or len(raw.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise InvalidAuthorizationDetails(f"authorization_details is longer than {MAX_BYTES // 1024} KiB.")
    try:
        details = STRICT.decode(raw)
    except (ValueError, RecursionError):
        raise InvalidAuthorizationDetails("authorization_details is not JSON, or has a member twice.") from None
    if not isinstance(details, list) or not all(isinstance(detail, dict) for detail in details):
        raise InvalidAuthorizationDetails("authorization_details is not an array of objects.")
    if not 0 < len(details) <= MAX_DETAILS:
        raise InvalidAuthorizationDetails(f"authorization_details must have 1 to {MAX_DETAILS} entries.")
    return details


def _requested(detail: Detail, client: Client, catalogue: Catalogue, key: "_Once") -> RequestedDataset:
    if detail.get("type") != DETAILS_TYPE:
        raise InvalidAuthorizationDetails(f"The only known type is {DETAILS_TYPE}.")
    if not detail.keys() <= MEMBERS:
        raise InvalidAuthorizationDetails("An entry has a member that is not known.")
    dataset = catalogue.find_dataset(_text(detail, "dataset"))
    if dataset is None:
        raise InvalidAuthorizationDetails("The dataset is not in the catalogue.")
    purpose = client.purposes.get(_text(detail, "purpose"))
    ceiling = purpose.datasets.get(dataset.id) if purpose else None
    if purpose is None or ceiling is None:
        raise InvalidAuthorizationDetails("The dataset is not registered for this purpose of the client.")
    required, optional = _fields(detail, dataset, ceiling)
    requested = RequestedDataset(
        dataset_id=dataset.id,
        purpose_id=purpose.id,
        fields_required=dataset.in_order(required),
        fields_optional=dataset.in_order(optional),
        parameters=_parameters(detail, dataset),
        recipient_jwk=_recipient(detail, key),
    )
    if not check_within_ceiling(requested, ceiling):
        raise InvalidAuthorizationDetails("More fields or other parameters than the registered purpose allows.")
    return requested


def _default(scope: str, client: Client, catalogue: Catalogue, key: "_Once") -> RequestedDataset:
    """What a bare scope asks for: all that the purpose registered, of a dataset that needs no parameter."""
    dataset = catalogue.find_dataset(scope)
    purposes = [purpose for purpose in client.purposes.values() if scope in purpose.datasets]
    if dataset is None or not purposes:
        raise InvalidScope
    if len(purposes) > 1:
        raise InvalidScope("Several purposes have this dataset: name one in authorization_details.")
    ceiling = purposes[0].datasets[dataset.id]
    if ceiling.parameters or any(parameter.required for parameter in dataset.parameters):
        raise InvalidScope("This dataset needs parameters: ask for it in authorization_details.")
    return as_registered(purposes[0], ceiling, dataset, parameters=(), recipient_jwk=key.get())


def _check_together(requested: list[RequestedDataset]) -> None:
    """What no single entry shows."""
    if len(requested) > MAX_DETAILS:
        raise InvalidAuthorizationDetails(f"A request names at most {MAX_DETAILS} datasets.")
    # One page asks for one purpose: with two, agreeing would mean to tell apart which data is for which.
    if len({item.purpose_id for item in requested}) > 1:
        raise InvalidAuthorizationDetails("All datasets of a request must be for one purpose.")
    if len({(item.dataset_id, item.parameters) for item in requested}) < len(requested):
        raise InvalidAuthorizationDetails("A dataset is asked for twice with the same parameters.")


def _fields(detail: Detail, dataset: Dataset, ceiling: PurposeDataset) -> tuple[frozenset[str], frozenset[str]]:
    """The required and the optional fields; the purpose's own if the entry mentions neither."""
    if "fields_required" not in detail and "fields_optional" not in detail:
        return ceiling.fields_required, ceiling.fields_optional
    required, optional = (_names(detail, key, dataset) for key in ("fields_required", "fields_optional"))
    if not required | optional:
        raise InvalidAuthorizationDetails("An entry asks for no field.")
    if required & optional:
        raise InvalidAuthorizationDetails("A field is both required and optional.")
    if not dataset.required_fields <= (required or optional):
        raise InvalidAuthorizationDetails("A field that the catalogue calls required is missing.")
    return required, optional


def _names(detail: Detail, key: str, dataset: Dataset) -> frozenset[str]:
    names = detail.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidAuthorizationDetails("fields_required and fields_optional are arrays of strings.")
    unique = frozenset(names)
    if len(unique) < len(names):
        raise InvalidAuthorizationDetails("A field is named twice.")
    if not unique <= set(dataset.field_ids):
        raise InvalidAuthorizationDetails("A field is not in the catalogue.")
    return unique


def _parameters(detail: Detail, dataset: Dataset) -> tuple[tuple[str, str], ...]:
    given = detail.get("parameters", {})
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise InvalidAuthorizationDetails("parameters is an object of strings.")
    known = {parameter.id: parameter for parameter in dataset.parameters}
    if not given.keys() <= known.keys():
        raise InvalidAuthorizationDetails("The dataset has no such parameter.")
    if any(parameter.required and parameter.id not in given for parameter in dataset.parameters):
        raise InvalidAuthorizationDetails("A parameter that the dataset needs is missing.")
    try:
        return tuple(sorted((name, known[name].parse(value)) for name, value in given.items()))
    except ValueError:
        raise InvalidAuthorizationDetails("The value of a parameter is not valid.") from None


def _recipient(detail: Detail, key: "_Once") -> dict[str, Any]:
    if "recipient_jwk" not in detail:
        return key.get()
    try:
        return recipient_jwk(detail["recipient_jwk"])
    except BadKey:
        raise InvalidAuthorizationDetails(
            f"recipient_jwk is not a public key that packages are encrypted to: {RECIPIENTS}."
        ) from None


def _text(detail: Detail, key: str) -> str:
    value = detail.get(key)
    if not isinstance(value, str):
        raise InvalidAuthorizationDetails("dataset and purpose are strings, and neither may be missing.")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member twice")
    return members


def _no_constant(_name: str) -> None:
    raise ValueError("NaN and Infinity are not JSON")


STRICT = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)


class _Once:
    """The client's registered key, asked for when an entry first needs it: it may have to be fetched."""

    def __init__(self, key_of_client: KeyOfClient) -> None:
        self._key_of_client = key_of_client
        self._key: dict[str, Any] | None = None

    def get(self) -> dict[str, Any]:
        if self._key is None:
            self._key = self._key_of_client()
        if self._key is None:
            raise InvalidAuthorizationDetails(
                "recipient_jwk is missing, and the client has no key of use enc that packages are encrypted to."
            )
        return self._key
