"""Class 12: more is issued than was consented to, on another grant or in another format.

Where it happened: authentik CVE-2024-52287, Keycloak CVE-2026-9792.
"""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz_server.catalogue import loader
from authz_server.core import jose
from tests.support.platform import Platform, answer_of
from tests.support.protocol import opened, userinfo

CATALOGUE = loader.load()
WITHOUT_PARAMETERS = [
    name for name in CATALOGUE.scopes if not any(item.required for item in CATALOGUE.dataset(name).parameters)
]


@st.composite
def asked(draw: st.DrawFn) -> tuple[list[dict[str, Any]], set[str]]:
    """Details of a request, and what the citizen (or whoever forged the form) ticks."""
    details, ticks = [], set()
    for position, name in enumerate(draw(st.lists(st.sampled_from(WITHOUT_PARAMETERS), max_size=4, unique=True))):
        dataset = CATALOGUE.dataset(name)
        optional = [item.id for item in dataset.fields if not item.required]
        offered = draw(st.lists(st.sampled_from(optional), unique=True)) if optional else []
        required = [item.id for item in dataset.fields if item.required]
        details.append(
            {
                "type": "dataset",
                "dataset": name,
                "purpose": "loan",
                "fields_required": required,
                "fields_optional": offered,
            }
        )
        ticked = draw(st.lists(st.sampled_from([item.id for item in dataset.fields]), unique=True))
        ticks |= {f"{position}/{field}" for field in ticked}
    return details, ticks


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=asked(), scope=st.sampled_from(["openid", "openid profile", "openid email phone"]))
def test_whatever_is_issued_was_asked_ticked_and_registered(
    platform: Platform, request: tuple[list[dict[str, Any]], set[str]], scope: str
) -> None:
    details, ticks = request
    citizen, bank, proxy = platform.citizen(), platform.bank, platform.proxy
    page = opened(citizen, bank, bank.push(*details, scope=scope))
    code = answer_of(citizen.decide(page, "approve", tuple(ticks)))["code"]
    body = bank.redeem(code).get_json()

    assert set(body["scope"].split()) == set(scope.split())
    claims = set(userinfo(bank, body["access_token"]).get_json())
    assert claims <= {"sub"} | ({"name", "birthdate", "locale"} if "profile" in scope else set()) | (
        {"email", "phone_number"} if "email" in scope else set()
    )
    granted = body.get("authorization_details", [])
    assert [item["dataset"] for item in granted] == [item["dataset"] for item in details]
    for position, (item, wanted) in enumerate(zip(granted, details, strict=True)):
        ticked = {tick.partition("/")[2] for tick in ticks if tick.startswith(f"{position}/")}
        allowed = set(wanted["fields_required"]) | (set(wanted["fields_optional"]) & ticked)
        assert set(item["fields"]) == allowed
        exchanged = proxy.exchange(item["access_token"], item["dataset"], jkt=bank.dpop_key.thumbprint).get_json()
        agency_key = platform.agency_keys[exchanged["agency"]][1]
        ticket = jose.unverified(jose.decrypt(exchanged["access_token"], agency_key).decode()).claims
        assert ticket["dataset"] == item["dataset"]
        assert ticket["fields"] == item["fields"]
        assert ticket["client_id"] == bank.client_id
