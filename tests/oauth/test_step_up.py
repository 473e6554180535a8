"""A stronger proof that a client demands or wishes, and one that a dataset has come to demand since (RFC 9470)."""

import json
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from sqlalchemy import select, update

from authz_server.config import Settings
from authz_server.consent.models import AuthorizationRequest, Consent
from authz_server.core import clock
from authz_server.core.secrets import digest
from authz_server.tokens.models import DatasetToken
from tests.conformance.test_id_token import read
from tests.support.platform import Platform, answer_of, hidden_fields
from tests.support.protocol import Fetch, dataset_token, opened, refused, writing

LEVEL = "urn:mydata:acr:level-"


def demanding(level: int) -> str:
    return json.dumps({"id_token": {"acr": {"essential": True, "value": f"{LEVEL}{level}"}}})


def weaken(platform: Platform, fetch: Fetch, level: int) -> None:
    """Let the consent rest on a sign-in of this level, as if its dataset had demanded no more at that time."""
    consent_id = select(DatasetToken.consent_id).where(DatasetToken.digest == digest(fetch.token)).scalar_subquery()
    with writing(platform) as session:
        session.execute(update(Consent).where(Consent.id == consent_id).values(level=level))


def test_a_demanded_level_is_proved_in_mid_flow_and_the_same_request_goes_on(own_platform: Platform) -> None:
    bank, citizen = own_platform.bank, own_platform.citizen("citizen2", level=4)
    before = citizen.client.get_cookie("__Host-mydata")
    asked = opened(citizen, bank, bank.push(claims=demanding(1)))
    assert asked.location.startswith("/sign-in?request=")
    request_id = dict(parse_qsl(urlsplit(asked.location).query))["request"]
    proved = citizen.sign_in(asked.location)
    assert proved.location == f"/consent/{request_id}"
    after = citizen.client.get_cookie("__Host-mydata")
    assert before
    assert after
    assert before.value != after.value
    answer = bank.redeem(answer_of(citizen.decide(citizen.client.get(proved.location)))["code"])
    assert read(own_platform, answer.get_json()["id_token"])[1]["acr"] == f"{LEVEL}1"


def test_a_wished_level_is_offered_once_and_whoever_goes_on_without_it_is_told_as_they_are(platform: Platform) -> None:
    bank, citizen = platform.bank, platform.citizen(level=3)
    asked = opened(citizen, bank, bank.push(acr_values=f"{LEVEL}1"))
    assert asked.location.endswith("&wish=1")
    page = citizen.client.get(asked.location)
    assert "does not demand it" in page.text
    request_id = dict(parse_qsl(urlsplit(asked.location).query))["request"]
    assert f'id="go-on" href="/consent/{request_id}"' in page.text
    answer = bank.redeem(answer_of(citizen.decide(citizen.client.get(f"/consent/{request_id}")))["code"])
    assert read(platform, answer.get_json()["id_token"])[1]["acr"] == f"{LEVEL}3"


class TestWhereNothingIsThatStrong:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Settings of a server where nobody can prove more than level 3."""
        return replace(settings, method_levels={"password_totp": 3})

    def test_a_demand_ends_with_the_error_that_says_so(self, own_platform: Platform) -> None:
        bank, citizen = own_platform.bank, own_platform.citizen(level=3)
        asked = opened(citizen, bank, bank.push(claims=demanding(2)))
        page = citizen.client.get(asked.location)
        assert "strong enough" in page.text
        fields = hidden_fields(page.text) | {"action": "cancel"}
        answer = answer_of(citizen.client.post("/sign-in", data=fields))
        assert answer["error"] == "unmet_authentication_requirements"
        assert (answer["state"], answer["iss"]) == ("state-of-the-bank", own_platform.settings.issuer)
        assert citizen.client.get("/record").status_code == 200, "signed in, as before"


def test_a_dataset_that_demands_more_by_now_says_so_and_nothing_is_spent(platform: Platform) -> None:
    fetch = dataset_token(platform)
    weaken(platform, fetch, 3)
    body = refused(fetch.exchange(), 400, "insufficient_user_authentication")
    assert body["acr_values"] == f"{LEVEL}2"
    # Who holds another key learns nothing of it.
    refused(fetch.exchange(dpop_jkt=platform.other_bank.dpop_key.thumbprint), 400, "invalid_request")
    weaken(platform, fetch, 2)
    assert fetch.exchange().status_code == 200


def test_a_dataset_that_demands_more_once_it_was_waited_for_says_so(platform: Platform) -> None:
    fetch = dataset_token(platform)
    with clock.frozen(clock.now()):
        lease = fetch.exchange().get_json()["lease"]
        assert platform.proxy.report(lease, "preparing", retry_after="60").status_code == 204
        weaken(platform, fetch, 3)
        refused(fetch.exchange(), 400, "temporarily_unavailable")
        clock.advance(timedelta(seconds=60))
        refused(fetch.exchange(), 400, "insufficient_user_authentication")


def test_introspection_tells_how_the_citizen_signed_in(platform: Platform) -> None:
    fetch = dataset_token(platform)
    told = platform.proxy.post("/introspect", {"token": fetch.token}).get_json()
    assert (told["active"], told["acr"]) == (True, f"{LEVEL}1")
    assert told["auth_time"] <= told["iat"]


def hint_of(platform: Platform) -> str:
    """An id_token that the bank has of the first citizen."""
    token: str = platform.tokens()["id_token"]
    return token


def test_who_signs_in_for_a_request_is_held_against_its_hint_as_who_was_signed_in_before(
    own_platform: Platform,
) -> None:
    bank, request_uri = own_platform.bank, own_platform.bank.push(id_token_hint=hint_of(own_platform))
    other = own_platform.citizen("citizen2", signed_in=False)
    proved = other.sign_in(opened(other, bank, request_uri).location)
    answer = answer_of(other.client.get(proved.location))
    assert answer == {
        "error": "login_required",
        "state": "state-of-the-bank",
        "iss": own_platform.settings.issuer,
    }


def test_whom_the_hint_names_signs_in_and_goes_on(own_platform: Platform) -> None:
    bank, hint = own_platform.bank, hint_of(own_platform)
    citizen = own_platform.citizen(signed_in=False)
    proved = citizen.sign_in(opened(citizen, bank, bank.push(id_token_hint=hint)).location)
    assert answer_of(citizen.decide(citizen.client.get(proved.location)))["code"]


def test_a_decision_is_not_taken_from_somebody_else_than_the_hint_names(own_platform: Platform) -> None:
    """Not even where the question was shown, as an older version did; its client is told."""
    bank, other = own_platform.bank, own_platform.citizen("citizen2")
    page = opened(other, bank, bank.push())
    with writing(own_platform) as session:
        (request,) = session.scalars(select(AuthorizationRequest).where(AuthorizationRequest.decided_at.is_(None)))
        request.parameters = request.parameters | {"hinted_subject": "somebody"}
    answer = answer_of(other.client.get(other.decide(page).location))
    assert answer["error"] == "login_required"
