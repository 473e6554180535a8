"""Class 26: another's object is read, changed or revoked by whoever knows its name.

Where it happened: django-oauth-toolkit #727, Authlib 1.9.1. For citizens: test_11.
"""

from tests.support.platform import Platform, answer_of
from tests.support.protocol import dataset_token, error_page, opened, refused, userinfo


def test_another_client_can_do_nothing_with_what_it_found(platform: Platform) -> None:
    mine, other, citizen = platform.bank, platform.other_bank, platform.citizen()
    request_uri = mine.push()
    error_page(opened(citizen, other, request_uri), "invalid_request_uri")
    code = answer_of(citizen.decide(opened(citizen, mine, request_uri)))["code"]
    refused(other.redeem(code), 400, "invalid_grant")

    fetch, token = dataset_token(platform), platform.tokens()["access_token"]
    refused(userinfo(other, token), 401)
    for secret in (fetch.token, token):
        assert other.post("/revoke", {"token": secret}).status_code == 200
        refused(other.post("/introspect", {"token": secret}), 400, "unauthorized_client")
    exchange = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": fetch.token}
    refused(other.post("/token", exchange), 400, "unauthorized_client")
    assert fetch.exchange().status_code == 200, "nothing of the above has touched it"
    assert userinfo(mine, token).status_code == 200


def test_a_resource_server_is_no_client(platform: Platform) -> None:
    proxy, bank = platform.proxy, platform.bank
    refused(proxy.post("/par", bank.parameters()), 400, "unauthorized_client")
    token = platform.tokens()["access_token"]
    assert proxy.post("/revoke", {"token": token}).status_code == 200
    assert userinfo(bank, token).status_code == 200


def test_a_lease_is_its_holders_and_over_when_it_is_over(platform: Platform) -> None:
    lease = dataset_token(platform).exchange().get_json()["lease"]
    for guess in (lease[:-1], lease + "x", lease.upper(), "mdl_" + "x" * 43):
        refused(platform.proxy.report(guess, "delivered"), 409, "lease_not_usable")
    assert platform.proxy.report(lease, "delivered").status_code == 204
    for outcome in ("delivered", "failed", "delivering", "no_record"):
        refused(platform.proxy.report(lease, outcome), 409, "lease_not_usable")
