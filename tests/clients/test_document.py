"""Registration documents: a good one, and a table of everything that is refused."""

from datetime import date
from typing import Any

import pytest

from authz_server.catalogue.model import Catalogue
from authz_server.clients.document import Context, RegistrationError, read_agency, read_client
from authz_server.clients.policy import POLICIES
from authz_server.core import jose
from tests.clients.documents import agency, bank, income, jwks, purpose, resource_server

TODAY = date(2026, 3, 1)


@pytest.fixture
def context(catalogue: Catalogue) -> Context:
    return Context(catalogue)


def problems_of(document: dict[str, Any], context: Context) -> list[str]:
    """What is said about a client's document."""
    with pytest.raises(RegistrationError) as caught:
        read_client(document, context, registered_on=TODAY)
    return [str(problem) for problem in caught.value.problems]


def test_a_good_document_becomes_a_client(context: Context) -> None:
    client = read_client(bank(), context, registered_on=TODAY)
    assert client.client_id == "jia-bank"
    assert client.name.get("zh-TW") == "甲銀行"
    assert client.policy is POLICIES["fapi2"]
    assert client.redirect_uris == ("https://jia-bank.example/callback",)
    assert client.registered_on == TODAY
    assert not client.suspended
    loan = client.purposes["loan"]
    assert (loan.use_until_days, loan.erase_by_days) == (30, 90)
    assert [recipient.en for recipient in loan.passed_on_to] == ["Sample Credit Bureau"]
    ceiling = loan.datasets[next(iter(loan.datasets))]
    assert ceiling.fields_required == {"name", "national_id", "tax_year", "total_income"}
    assert ceiling.fields_optional == {"payers"}
    assert ceiling.justification is None


def test_what_a_dataset_is_needed_for_may_be_registered(context: Context) -> None:
    said = {"zh": "核對您的還款能力", "en": "To see what you can pay back"}
    client = read_client(of_income(justification=said), context, registered_on=TODAY)
    (income,) = client.purposes["loan"].datasets.values()
    assert income.justification is not None
    assert income.justification.to_json() == said


def test_a_resource_server_needs_keys_and_nothing_else(context: Context) -> None:
    client = read_client(resource_server(), context, registered_on=TODAY)
    assert client.policy is POLICIES["resource_server"]
    assert client.name.en == "proxy"
    assert client.redirect_uris == ()
    assert not client.purposes
    assert not client.policy.may_ask_for_datasets


def private(alg: str) -> dict[str, Any]:
    return {"keys": [jose.generate_key(alg)]}


def purposes(**changes: Any) -> dict[str, Any]:
    return bank(purposes={"loan": purpose(**changes)})


def of_income(**changes: Any) -> dict[str, Any]:
    return purposes(datasets={"fia.income": income(**changes)})


def ranged(dataset: str, **parameters: Any) -> dict[str, Any]:
    required = ["name", "national_id"]
    return purposes(datasets={dataset: {"fields_required": required, "parameters": parameters}})


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no client_id": (bank(client_id=None), "client_id: is missing"),
    "client_id with a space": (bank(client_id="jia bank"), "client_id: must be 3 to 64"),
    "client_id with capitals": (bank(client_id="Jia-Bank"), "client_id: must be 3 to 64"),
    "client_id a number": (bank(client_id=5), "client_id: must be a text"),
    "unknown profile": (bank(profile="oauth"), "profile: must be one of fapi2, resource_server"),
    "unknown member": (bank(colour="red"), "colour: is not known here"),
    "name a text": (bank(name="Jia"), "name: must be a table"),
    "name in one language": (bank(name={"en": "Jia"}), "name.zh: is missing"),
    "name that reads backwards": (bank(name={"zh": "甲", "en": "\u202eknaB"}), "name.en: must be a text"),
    "name too long": (bank(name={"zh": "甲" * 101, "en": "J"}), "name.zh: must be a text of 1 to 100"),
    "no registered id": (bank(registered_id=None), "registered_id: is missing"),
    "phone with letters": (bank(contact_phone="call us"), "contact_phone: must be a telephone number"),
    "no e-mail address": (bank(contact_email="jia-bank.example"), "contact_email: must be an e-mail address"),
    "privacy over http": (bank(privacy_url="http://jia-bank.example/"), "privacy_url: must be https"),
    "privacy by script": (bank(privacy_url="javascript:alert(1)"), "privacy_url: must have a host"),
    "no redirect URI": (bank(redirect_uris=[]), "redirect_uris: names no URI"),
    "redirect URIs a text": (bank(redirect_uris="https://a.example"), "redirect_uris: must be a list"),
    "redirect URI a number": (bank(redirect_uris=[1]), "redirect_uris[0]: must be a text"),
    "redirect URI twice": (bank(redirect_uris=["https://a.example/"] * 2), "redirect_uris[1]: is there twice"),
    "redirect URI with fragment": (bank(redirect_uris=["https://a.example/#x"]), "redirect_uris[0]: has characters"),
    "too many redirect URIs": (
        bank(redirect_uris=[f"https://a.example/{number}" for number in range(21)]),
        "redirect_uris: must have at most 20",
    ),
    "no keys": (bank(jwks=None), "jwks: is missing"),
    "events over http": (
        bank(security_event_endpoint="http://jia-bank.example/events"),
        "security_event_endpoint: must be https",
    ),
    "events of a number": (bank(security_event_endpoint=1), "security_event_endpoint: "),
    "keys and their address": (bank(jwks_uri="https://a.example/jwks"), "jwks_uri: jwks or jwks_uri, not both"),
    "keys under http": (bank(jwks=None, jwks_uri="http://a.example/jwks"), "jwks_uri: must be https"),
    "private key": (bank(jwks=private("ES256")), "jwks: keys[0]: private or symmetric key"),
    "symmetric key": (bank(jwks={"keys": [{"kty": "oct", "k": "AAAA"}]}), "jwks: keys[0]: private or symmetric key"),
    "keys a list": (bank(jwks=[]), "jwks: a JWKS is an object"),
    "no key to sign with": (bank(jwks=jwks("ECDH-ES")), "jwks: has no key for the client's assertions"),
    "a purpose by number": (bank(purposes={"loan": 1}), "purposes.loan: must be a table"),
    "purpose with an odd id": (bank(purposes={"Loan 1": purpose()}), 'purposes."Loan 1": a purpose\'s id'),
    "purpose without text": (purposes(text={}), "purposes.loan.text.zh: is missing"),
    "use without end": (purposes(use_until_days=0), "purposes.loan.use_until_days: must be 1 to"),
    "erased before used": (purposes(use_until_days=91), "purposes.loan.erase_by_days: must not be before"),
    "passed on to a text": (purposes(passed_on_to=["X"]), "purposes.loan.passed_on_to[0]: must be a table"),
    "purpose without datasets": (purposes(datasets={}), "purposes.loan.datasets: names no dataset"),
    "unknown dataset": (purposes(datasets={"fia.x": {}}), 'purposes.loan.datasets."fia.x": is not in the catalogue'),
    "unknown field": (
        of_income(fields_optional=["shoe_size"]),
        'purposes.loan.datasets."fia.income".fields_optional[0]: is no field of fia.income',
    ),
    "needed for a text": (of_income(justification="X"), '"fia.income".justification: must be a table'),
    "needed for in one language": (of_income(justification={"zh": "X"}), '"fia.income".justification.en: is missing'),
    "needed for too much": (
        of_income(justification={"zh": "X", "en": "x" * 501}),
        '"fia.income".justification.en: must be a text of 1 to 500 visible characters',
    ),
    "field both ways": (of_income(fields_optional=["name"]), "fields_optional: name is required as well"),
    "agency's own field left out": (of_income(fields_required=["name"]), "fields_required: must have national_id"),
    "nothing required, nor the agency's own": (
        of_income(fields_required=[], fields_optional=["payers", "name"]),
        "fields_optional: must have national_id",
    ),
    "no fields": (of_income(fields_required=[], fields_optional=[]), "fields_optional: must have name"),
    "unknown parameter": (of_income(parameters={"month": {"last": 1}}), "parameters.month: is no parameter of"),
    "parameter not a table": (of_income(parameters={"tax_year": 113}), "parameters.tax_year: must be a table"),
    "range without limits": (ranged("fia.income", tax_year={}), "parameters.tax_year.from: is missing"),
    "range of a year unheard of": (
        ranged("fia.income", tax_year={"from": "1999", "to": "113"}),
        "parameters.tax_year.from: must be a year of the ROC calendar",
    ),
    "range upside down": (ranged("fia.income", tax_year={"from": "113", "to": "112"}), "tax_year.to: ends before"),
    "range both ways": (
        ranged("fia.income", tax_year={"last": 2, "from": "113"}),
        "tax_year.from: is not known here",
    ),
    "range too long": (ranged("bli.benefits", period={"months": 61}), "period.months: must be 1 to 60"),
    "county unheard of": (ranged("land.tax-payment", county={"allow": ["臺北"]}), "county.allow[0]: a county is"),
    "a desk that may do what nobody has heard of": (
        bank(counters={}, desk_may=["sell"]),
        "desk_may: must be of print, save",
    ),
    "a desk of no office": (bank(desk_may=["print"]), "desk_may: is for offices"),
    "no county": (ranged("land.tax-payment", county={"allow": []}), "county.allow: names no place"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_document_is_refused_and_the_place_named(name: str, context: Context) -> None:
    document, problem = BAD[name]
    found = problems_of(document, context)
    assert any(problem in line for line in found), found
    assert len(found) <= 3, found


def test_a_range_may_end_in_a_year_to_come(context: Context) -> None:
    document = ranged("fia.income", tax_year={"from": "113", "to": "199"})
    client = read_client(document, context, registered_on=TODAY)
    (ceiling,) = client.purposes["loan"].datasets.values()
    assert [ceiling.parameters["tax_year"].allows(year) for year in ("112", "113", "199")] == [False, True, True]


def test_every_problem_is_listed(context: Context) -> None:
    assert len(problems_of({}, context)) == 8
    found = problems_of(bank(client_id="X", privacy_url="http://a.example", colour="red"), context)
    assert [line.split(":")[0] for line in found] == ["client_id", "privacy_url", "colour"]


def test_a_resource_server_with_purposes_or_redirects_is_refused(context: Context) -> None:
    document = resource_server(purposes={}, redirect_uris=["https://a.example/"])
    assert problems_of(document, context) == ["purposes: is not known here", "redirect_uris: is not known here"]


def test_http_is_for_loopback_in_the_sandbox(context: Context, catalogue: Catalogue) -> None:
    local = bank(
        redirect_uris=["http://127.0.0.1:5000/callback"],
        privacy_url="http://localhost/privacy",
        security_event_endpoint="http://127.0.0.1:5000/events",
    )
    assert problems_of(local, context)
    client = read_client(local, Context(catalogue, sandbox=True), registered_on=TODAY)
    assert client.redirect_uris == ("http://127.0.0.1:5000/callback",)
    elsewhere = bank(redirect_uris=["http://bank.example/callback"])
    assert problems_of(elsewhere, Context(catalogue, sandbox=True))


BAD_AGENCIES: dict[str, tuple[dict[str, Any], str]] = {
    "not in the catalogue": (agency(id="nobody"), "id: is not in the catalogue"),
    "unknown connector": (agency(connector="ftp"), "connector: must be one of jose, plain"),
    "private key": (agency(jwks=private("ES256")), "jwks: keys[0]: private or symmetric key"),
    "nothing to encrypt to": (agency(jwks=jwks("ES256")), "jwks: has no key of use enc"),
    "nothing to sign with": (agency(jwks=jwks("ECDH-ES")), "jwks: has no key of use sig"),
    "an address": (agency(url="https://agency.example"), "url: is not known here"),
    "nothing": ({}, "id: is missing"),
}


@pytest.mark.parametrize("name", BAD_AGENCIES)
def test_a_bad_agency_is_refused(name: str, context: Context) -> None:
    document, problem = BAD_AGENCIES[name]
    with pytest.raises(RegistrationError) as caught:
        read_agency(document, context)
    assert problem in [str(item)[: len(problem)] for item in caught.value.problems]


def test_an_agency_shows_its_signing_keys_only(context: Context) -> None:
    registered = read_agency(agency(), context)
    assert [key["use"] for key in registered.signing_jwks["keys"]] == ["sig"]
    assert registered.encryption_key.use == "enc"
    assert not registered.encryption_key.is_private
