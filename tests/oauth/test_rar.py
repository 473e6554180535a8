"""RFC 9396: what a request may ask for. Ceiling, strictness, and never anything but an answer."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.catalogue import loader
from authz_server.clients.document import Context, read_client
from authz_server.clients.model import Client
from authz_server.consent.details import RequestedDataset, check_within_ceiling
from authz_server.core import clock, jose
from authz_server.oauth import rar
from authz_server.oauth.errors import InvalidScope
from authz_server.oauth.rar import InvalidAuthorizationDetails
from tests.clients.documents import bank, jwks, purpose, resource_server

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CATALOGUE = loader.load()
KEY: dict[str, Any] = jwks("ECDH-ES")["keys"][0]


def as_client(document: dict[str, Any]) -> Client:
    return read_client(document, Context(CATALOGUE), registered_on=date(2026, 1, 1))


OTHER_PURPOSE = purpose(
    datasets={
        "ris.personal": {"fields_required": ["name", "national_id"]},
        "bli.benefits": {
            "fields_required": ["name", "national_id", "total_amount"],
            "parameters": {"period": {"months": 12}},
        },
        "land.tax-payment": {
            "fields_required": ["name", "national_id", "state"],
            "parameters": {"county": {"allow": ["臺北市", "新北市"]}},
        },
        "land.cadastre": {
            "fields_required": ["name", "national_id", "parcels"],
            "parameters": {"town": {"allow": ["信義區"]}},
        },
        "fia.house-tax": {
            "fields_required": ["name", "national_id", "state"],
            "parameters": {"tax_year": {"from": "110", "to": "112"}},
        },
    }
)
BANK = as_client(bank(purposes={"loan": purpose(), "subsidy": OTHER_PURPOSE}))
PROXY = as_client(resource_server())
INCOME = {
    "type": "dataset",
    "dataset": "fia.income",
    "purpose": "loan",
    "fields_required": ["total_income", "national_id", "name"],
    "fields_optional": ["payers"],
    "parameters": {"tax_year": "113"},
}


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    with clock.frozen(NOW):
        yield


def parse(*details: Any, scopes: tuple[str, ...] = (), client: Client = BANK) -> tuple[RequestedDataset, ...]:
    raw = json.dumps(details) if details else None
    return rar.parse(raw, scopes, client=client, catalogue=CATALOGUE, key_of_client=lambda: KEY)


def detail(**changes: Any) -> dict[str, Any]:
    """A good entry; `changes` replace members, None drops one."""
    entry: dict[str, Any] = INCOME | changes
    return {name: value for name, value in entry.items() if value is not None}


def subsidy(dataset: str, **parameters: str) -> dict[str, Any]:
    return {"type": "dataset", "dataset": dataset, "purpose": "subsidy", "parameters": parameters}


def test_an_entry_becomes_a_requested_dataset() -> None:
    (requested,) = parse(INCOME)
    assert requested == RequestedDataset(
        dataset_id=CATALOGUE.dataset("fia.income").id,
        purpose_id="loan",
        fields_required=("name", "national_id", "total_income"),
        fields_optional=("payers",),
        parameters=(("tax_year", "113"),),
        recipient_jwk=KEY,
    )
    assert RequestedDataset.from_json(json.loads(json.dumps(requested.to_json()))) == requested


def test_fields_that_are_not_mentioned_are_those_of_the_purpose() -> None:
    (requested,) = parse(detail(fields_required=None, fields_optional=None))
    assert requested.fields_required == ("name", "national_id", "tax_year", "total_income")
    assert requested.fields_optional == ("payers",)
    (requested,) = parse(detail(fields_optional=None))
    assert requested.fields_optional == ()


def test_a_field_registered_as_required_may_be_left_to_the_citizen() -> None:
    (requested,) = parse(detail(fields_required=["name", "national_id"], fields_optional=["total_income"]))
    assert requested.fields_optional == ("total_income",)


def test_a_parameter_is_kept_in_its_normal_form() -> None:
    (requested,) = parse(subsidy("land.tax-payment", county="台北市"))
    assert requested.parameters == (("county", "臺北市"),)


def test_a_scope_asks_for_the_default_of_the_only_purpose() -> None:
    (requested,) = parse(scopes=("ris.personal",), client=as_client(bank()))
    assert requested == RequestedDataset(
        dataset_id=CATALOGUE.dataset("ris.personal").id,
        purpose_id="loan",
        fields_required=("name", "national_id", "birth_date"),
        fields_optional=(),
        parameters=(),
        recipient_jwk=KEY,
    )


SCOPES = {
    "not registered": ("ris.kinship", "not registered"),
    "unknown": ("fia.nothing", "not registered"),
    "several purposes": ("ris.personal", "Several purposes"),
    "needs a parameter": ("fia.income", "needs parameters"),
}


@pytest.mark.parametrize("name", SCOPES)
def test_a_scope_without_one_clear_meaning_is_refused(name: str) -> None:
    scope, message = SCOPES[name]
    with pytest.raises(InvalidScope) as caught:
        parse(scopes=(scope,))
    assert message in caught.value.public


def test_nothing_asked_is_nothing() -> None:
    assert parse() == ()


RSA = jose.public_jwks(jose.parse_private_keys({"keys": [jose.generate_key("RSA-OAEP-256")]}))["keys"][0]


@pytest.mark.parametrize("key", [KEY, RSA], ids=["EC", "RSA"])
def test_a_request_may_bring_its_own_recipient(key: dict[str, Any]) -> None:
    (requested,) = parse(detail(recipient_jwk=key | {"x5u": "https://elsewhere.example"}))
    assert requested.recipient_jwk == key
    bare = {name: value for name, value in key.items() if name not in {"kid", "use", "alg"}}
    (requested,) = parse(detail(recipient_jwk=bare))
    assert requested.recipient_jwk == bare | {"use": "enc", "kid": jose.thumbprint(bare)}


def test_the_registered_key_is_asked_for_only_when_needed_and_once() -> None:
    asked = []

    def key() -> dict[str, Any]:
        asked.append(1)
        return KEY

    raw = json.dumps([detail(recipient_jwk=KEY)])
    rar.parse(raw, [], client=BANK, catalogue=CATALOGUE, key_of_client=key)
    assert not asked
    raw = json.dumps([detail(), detail(parameters={"tax_year": "112"})])
    rar.parse(raw, [], client=BANK, catalogue=CATALOGUE, key_of_client=key)
    assert len(asked) == 1


def test_without_any_key_to_encrypt_to_the_request_is_refused() -> None:
    with pytest.raises(InvalidAuthorizationDetails, match="recipient_jwk is missing"):
        rar.parse(json.dumps([INCOME]), [], client=BANK, catalogue=CATALOGUE, key_of_client=lambda: None)


def key_but(**changes: Any) -> dict[str, Any]:
    return detail(recipient_jwk=KEY | changes)


BAD: dict[str, list[Any]] = {
    "no array": [{}],
    "entry a text": ["dataset"],
    "entry null": [None],
    "no type": [detail(type=None)],
    "other type": [detail(type="payment")],
    "type a list": [detail(type=["dataset"])],
    "unknown member": [detail(locations=["https://elsewhere.example"])],
    "granted member": [detail(fields=["name"])],
    "no dataset": [detail(dataset=None)],
    "dataset a number": [detail(dataset=1)],
    "unknown dataset": [detail(dataset="fia.incomes")],
    "dataset of no purpose": [detail(dataset="ris.kinship", parameters=None)],
    "no purpose": [detail(purpose=None)],
    "unknown purpose": [detail(purpose="marketing")],
    "dataset of another purpose": [detail(dataset="bli.benefits", parameters={"period": "2025-01/2025-02"})],
    "fields a text": [detail(fields_required="name")],
    "field a number": [detail(fields_required=["name", "national_id", 1])],
    "field twice": [detail(fields_required=["name", "national_id", "name"])],
    "field both ways": [detail(fields_optional=["name"])],
    "unknown field": [detail(fields_optional=["shoe_size"])],
    "no field": [detail(fields_required=[], fields_optional=[])],
    "the agency's own field missing": [detail(fields_required=["name", "total_income"])],
    "the agency's own field missing from optional ones": [detail(fields_required=[], fields_optional=["payers"])],
    "field beyond the purpose": [detail(fields_optional=["withheld_tax"])],
    "optional asked as required": [detail(fields_required=["name", "national_id", "payers"], fields_optional=[])],
    "parameters a list": [detail(parameters=["113"])],
    "parameter a number": [detail(parameters={"tax_year": 113})],
    "parameter null": [detail(parameters={"tax_year": None})],
    "parameter missing": [detail(parameters=None)],
    "unknown parameter": [detail(parameters={"tax_year": "113", "month": "1"})],
    "parameter without sense": [detail(parameters={"tax_year": "2024"})],
    "year beyond the range": [detail(parameters={"tax_year": "111"})],
    "year before the range": [subsidy("fia.house-tax", tax_year="109", county="臺北市")],
    "year after the range": [subsidy("fia.house-tax", tax_year="113", county="臺北市")],
    "period too long": [subsidy("bli.benefits", period="2024-01/2025-01")],
    "county not allowed": [subsidy("land.tax-payment", county="高雄市")],
    "town not allowed": [subsidy("land.cadastre", county="臺北市", town="中正區")],
    "limit evaded by leaving the parameter out": [subsidy("land.cadastre", county="臺北市")],
    "same dataset twice": [detail(), detail(fields_optional=[])],
    "same dataset twice in other words": [
        subsidy("land.tax-payment", county="臺北市"),
        subsidy("land.tax-payment", county="台北市"),
    ],
    "two purposes": [detail(), subsidy("ris.personal")],
    "too many": [detail()] * 21,
    "recipient a text": [detail(recipient_jwk="key")],
    "recipient without type": [key_but(kty=None)],
    "recipient private": [detail(recipient_jwk=jose.generate_key("ECDH-ES"))],
    "recipient symmetric": [detail(recipient_jwk={"kty": "oct", "k": "AAAA"})],
    "recipient for signatures": [detail(recipient_jwk=jwks("ES256")["keys"][0])],
    "recipient of a curve for signatures": [detail(recipient_jwk=jwks("EdDSA")["keys"][0])],
    "recipient P-384": [detail(recipient_jwk=jwks("ES384")["keys"][0] | {"use": "enc", "alg": "ECDH-ES"})],
    "recipient not on the curve": [key_but(x=KEY["y"])],
    "recipient RSA too short": [detail(recipient_jwk={"kty": "RSA", "e": "AQAB", "n": "s" * 171})],
    "recipient of RSA1_5": [detail(recipient_jwk=RSA | {"alg": "RSA1_5"})],
    "recipient with an odd kid": [key_but(kid="\ud800")],
    "recipient with an endless kid": [key_but(kid="k" * 201)],
}


@pytest.mark.parametrize("name", BAD)
def test_whatever_is_not_understood_or_too_much_is_refused(name: str) -> None:
    details = BAD[name]
    raw = json.dumps(details[0] if name == "no array" else details)
    with pytest.raises(InvalidAuthorizationDetails) as caught:
        rar.parse(raw, [], client=BANK, catalogue=CATALOGUE, key_of_client=lambda: KEY)
    assert caught.value.code == "invalid_authorization_details"


TEXTS = {
    "nothing": "",
    "not JSON": "[{]",
    "null": "null",
    "number": "1",
    "empty array": "[]",
    "NaN": '[{"type": NaN}]',
    "member twice": '[{"type": "dataset", "type": "dataset"}]',
    "inner member twice": json.dumps([INCOME]).replace('"tax_year"', '"tax_year": "113", "tax_year"'),
    "too long": json.dumps([INCOME]) + " " * 16384,
    "too long in octets": '["' + "字" * 6000 + '"]',
    "too deep": "[" * 16000,
    "too deep and closed": "[" * 8000 + "]" * 8000,
    "endless number": "[" + "1" * 10000 + "]",
    "lone surrogate": "\ud800",
    "byte order mark": "\ufeff[]",
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_not_a_json_array_of_objects_is_refused(name: str) -> None:
    with pytest.raises(InvalidAuthorizationDetails):
        rar.parse(TEXTS[name], [], client=BANK, catalogue=CATALOGUE, key_of_client=lambda: KEY)


def test_a_client_of_another_profile_gets_nothing() -> None:
    with pytest.raises(InvalidAuthorizationDetails):
        parse(INCOME, client=PROXY)
    with pytest.raises(InvalidScope):
        parse(scopes=("ris.personal",), client=PROXY)


def test_a_scope_and_an_entry_for_the_same_dataset_are_twice() -> None:
    client = as_client(bank(purposes={"loan": purpose()}))
    entry = {"type": "dataset", "dataset": "ris.personal", "purpose": "loan"}
    assert len(parse(INCOME, scopes=("ris.personal",), client=client)) == 2
    with pytest.raises(InvalidAuthorizationDetails):
        parse(entry, scopes=("ris.personal",), client=client)


VALUES = st.sampled_from(
    [
        "dataset",
        "fia.income",
        "loan",
        "ris.personal",
        "113",
        "112",
        "2025-01/2025-03",
        "name",
        "",
        None,
        True,
        0,
        1.5,
        KEY,
    ]
)
KEYS = st.sampled_from([*sorted(rar.MEMBERS), "tax_year", "period", "county", "kty", "fields"])
JSON = st.recursive(
    VALUES | st.text(max_size=5) | st.floats() | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
PARAMETERS = {
    "tax_year": ["113", "111", "116"],
    "period": ["2025-01/2025-03", "2020-01/2025-03"],
    "county": ["臺北市", "台北市", "花蓮縣"],
    "town": ["信義區", "中正區"],
    "section": ["臨沂段一小段"],
}


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    """Entries most of which are good, and the others nearly so."""
    purpose_id = draw(st.sampled_from(sorted(BANK.purposes)))
    dataset_id = draw(st.sampled_from(sorted(BANK.purposes[purpose_id].datasets)))
    dataset = CATALOGUE.dataset(dataset_id)
    ceiling = BANK.purposes[purpose_id].datasets[dataset.id]
    places = ["fields_required", "fields_optional", "nowhere"]
    fields: dict[str, list[str]] = {place: [] for place in places}
    whole = "fields_required" if ceiling.fields_required else "fields_optional"
    for name in dataset.field_ids:
        if name in dataset.required_fields:
            fields[draw(st.sampled_from([whole, whole, whole, "fields_optional"]))].append(name)
        elif name in ceiling.fields_required | ceiling.fields_optional or draw(st.integers(0, 20)) == 0:
            fields[draw(st.sampled_from(places))].append(name)
    entry = {
        "type": "dataset",
        "dataset": dataset_id,
        "purpose": purpose_id,
        "parameters": {item.id: draw(st.sampled_from(PARAMETERS[item.id])) for item in dataset.parameters},
        "recipient_jwk": draw(st.sampled_from([KEY, RSA])),
    }
    return entry | {place: fields[place] for place in places[:2] if fields[place]}


@settings(max_examples=500)
@given(
    raw=st.none() | st.text(max_size=200) | JSON.map(json.dumps) | st.lists(entries(), max_size=3).map(json.dumps),
    scopes=st.lists(st.sampled_from(CATALOGUE.scopes) | st.text(max_size=10), max_size=3),
)
def test_any_input_gives_datasets_within_bounds_or_a_documented_error(raw: str | None, scopes: list[str]) -> None:
    try:
        requested = rar.parse(raw, scopes, client=BANK, catalogue=CATALOGUE, key_of_client=lambda: KEY)
    except (InvalidAuthorizationDetails, InvalidScope):
        return
    for item in requested:
        dataset = CATALOGUE.dataset(item.dataset_id)
        ceiling = BANK.purposes[item.purpose_id].datasets[item.dataset_id]
        assert check_within_ceiling(item, ceiling)
        assert {*item.fields_required, *item.fields_optional} <= set(dataset.field_ids)
        assert RequestedDataset.from_json(item.to_json()) == item


def is_a_part(granted: dict[str, Any], requested: RequestedDataset) -> bool:
    """Whether a granted detail is a part of the requested one and of the catalogue: the promise behind every token."""
    dataset = CATALOGUE.find_dataset(granted["dataset"])
    if dataset is None:
        return False
    fields = set(granted["fields"])
    return (
        granted["type"] == "dataset"
        and granted["dataset"] == requested.dataset_id
        and granted["purpose"] == requested.purpose_id
        and granted["parameters"] == dict(requested.parameters)
        and dataset.required_fields <= fields <= set(dataset.field_ids)
        and set(requested.fields_required) <= fields <= {*requested.fields_required, *requested.fields_optional}
    )


@settings(max_examples=300)
@given(entry=entries(), data=st.data())
def test_what_is_granted_is_a_part_of_what_was_asked(entry: dict[str, Any], data: st.DataObject) -> None:
    try:
        (requested,) = parse(entry)
    except InvalidAuthorizationDetails:
        return
    dataset = CATALOGUE.dataset(requested.dataset_id)
    ticked = data.draw(st.lists(st.sampled_from(dataset.field_ids), max_size=8))
    fields = requested.granted_fields(ticked, dataset)
    if not fields:
        assert not requested.fields_required
        assert not set(ticked) & set(requested.fields_optional)
        return
    granted = {
        "type": "dataset",
        "dataset": requested.dataset_id,
        "purpose": requested.purpose_id,
        "fields": list(fields),
        "parameters": dict(requested.parameters),
    }
    assert is_a_part(granted, requested)
    assert set(fields) <= {*requested.fields_required, *ticked, *dataset.required_fields}


def test_what_was_not_asked_is_never_a_part() -> None:
    (requested,) = parse(INCOME)
    good = {
        "type": "dataset",
        "dataset": "fia.income",
        "purpose": "loan",
        "fields": ["name", "national_id", "total_income"],
        "parameters": {"tax_year": "113"},
    }
    assert is_a_part(good, requested)
    changes: tuple[dict[str, Any], ...] = (
        {"type": "other"},
        {"dataset": "fia.nothing"},
        {"dataset": "fia.property"},
        {"purpose": "subsidy"},
        {"fields": [*requested.fields_required, "withheld_tax"]},
        {"fields": ["name", "national_id"]},
        {"fields": []},
        {"parameters": {"tax_year": "112"}},
        {"parameters": {}},
    )
    for change in changes:
        assert not is_a_part(good | change, requested)


def test_an_optional_dataset_is_granted_with_the_agencys_own_fields_or_not_at_all() -> None:
    entry = {
        "type": "dataset",
        "dataset": "nhi.premiums",
        "purpose": "loan",
        "parameters": {"period": "2025-01/2025-12"},
    }
    (requested,) = parse(entry)
    dataset = CATALOGUE.dataset("nhi.premiums")
    assert requested.granted_fields([], dataset) == ()
    assert requested.granted_fields(["total_premium"], dataset) == ()
    assert requested.granted_fields(["arrears"], dataset) == ("name", "national_id", "arrears")
