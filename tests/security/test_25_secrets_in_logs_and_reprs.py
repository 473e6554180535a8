"""Class 25: secrets in answers, logs, `repr` and traces (authentik CVE-2026-40166).

That no fetched data is left anywhere is for the journey (tests/flows); here: what the authorization server writes.
"""

import logging
from types import SimpleNamespace

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from authz_server.core.logging import JsonLines
from authz_server.database import Base
from authz_server.tokens.leases import Lease
from authz_server.tokens.redemption import Issued
from tests.support.belongings import belongings
from tests.support.platform import PASSWORD, Platform, answer_of, hidden_fields
from tests.support.protocol import dataset_token, everything, one_time_code, opened, refused, services_of, userinfo

PERSON = ["A123456789", "測試市民甲", "citizen1@citizen.example", "1980-01-02"]


def whole_flow(platform: Platform) -> dict[str, str]:
    """Drive the flow, with mistakes on the way, and return every secret of it."""
    bank, citizen = platform.bank, platform.citizen()
    secrets = {"request_uri": bank.push(platform.detail("ris.personal"), scope="openid profile email")}
    page = opened(citizen, bank, secrets["request_uri"])
    secrets["code"] = answer_of(citizen.decide(page))["code"]
    assertion, proof = bank.assertion(), bank.proof("POST", f"{bank.issuer}/token")
    secrets |= {"assertion": assertion, "proof": proof, "verifier": bank.verifier}
    refused(platform.other_bank.redeem("mdc_" + "x" * 43), 400)
    body = bank.redeem(secrets["code"], client_assertion=assertion, headers={"DPoP": proof}).get_json()
    secrets |= {"access_token": body["access_token"], "id_token": body["id_token"]}
    userinfo(bank, body["access_token"])
    userinfo(bank, body["access_token"], scheme="Bearer")
    token = body["authorization_details"][0]["access_token"]
    exchanged = platform.proxy.exchange(token, "ris.personal", jkt=bank.dpop_key.thumbprint).get_json()
    secrets |= {"dataset_token": token, "lease": exchanged["lease"], "ticket": exchanged["access_token"]}
    platform.proxy.report(exchanged["lease"], "delivered")
    platform.proxy.report(exchanged["lease"], "delivered")
    bank.redeem(secrets["code"])
    cookie = citizen.client.get_cookie("__Host-mydata")
    assert cookie is not None
    return secrets | {"session": cookie.value}


def test_no_log_line_at_any_level_holds_a_secret_or_a_person(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = whole_flow(platform)
    stranger = platform.browser()
    fields = hidden_fields(stranger.get("/sign-in").text) | {"action": "sign-in", "username": "citizen9"}
    code = one_time_code(platform.citizen())
    stranger.post("/sign-in", data=fields | {"password": PASSWORD, "one_time_code": code})
    # As a server formats them: other libraries' records are cleaned there.
    lines = "\n".join(JsonLines().format(record) for record in caplog.records if record.name != "asyncio")
    assert lines
    for name, secret in secrets.items():
        assert secret[-40:] not in lines, name
    for value in [*PERSON, PASSWORD]:
        assert value not in lines


def test_our_own_records_hold_no_secret_even_unformatted(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="mydata")
    secrets = whole_flow(platform)
    raw = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records if record.name == "mydata")
    assert "request.refused" in raw
    for name, secret in secrets.items():
        assert secret[-40:] not in raw, name


def test_no_repr_shows_a_secret_a_digest_or_a_person(platform: Platform) -> None:
    secrets = whole_flow(platform)
    with Session(platform.engine) as session:
        for model in (mapper.class_ for mapper in Base.registry.mappers):
            shown = repr(session.scalars(select(model)).all())
            assert "digest" not in shown, model
            assert not [value for value in [*secrets.values(), *PERSON] if value in shown], model
    assert "mda_" not in repr(Issued(access_token="mda_x", dataset_tokens=("mdt_x",)))
    lease = Lease("mdl_x", SimpleNamespace(national_id=PERSON[0]))  # a row of one column
    assert not [value for value in ("mdl_x", *PERSON) if value in repr(lease)]
    services = services_of(platform)
    for thing in (services, services.settings, services.keys, platform.settings):
        assert repr(services.secret) not in repr(thing)
        assert platform.settings.database_url not in repr(thing)
    assert dataset_token(platform).token not in repr(services)


def test_no_column_of_any_table_holds_a_secret(platform: Platform) -> None:
    secrets = whole_flow(platform)
    belongings(platform)
    for table, kept in everything(platform).items():
        for row in kept:
            for column, value in row.items():
                shown = value.decode("latin-1") if isinstance(value, bytes) else str(value)
                found = [name for name, secret in secrets.items() if secret[-40:] in shown]
                assert not found, f"{table}.{column}"
                assert PASSWORD not in shown, f"{table}.{column}"
                assert not [one for one in platform.totp_secrets.values() if one and one in shown], f"{table}.{column}"


def test_an_answer_to_somebody_else_holds_none_of_it(platform: Platform) -> None:
    secrets = whole_flow(platform)
    other = platform.citizen("citizen2")
    answers = [
        *(other.client.get(path).text for path in ("/", "/record", "/sign-out")),
        *(platform.browser().get(path).text for path in ("/jwks", "/catalogue", "/.well-known/openid-configuration")),
    ]
    for text in answers:
        assert not [name for name, secret in secrets.items() if secret in text]
        assert not [value for value in PERSON if value in text]


def test_an_id_token_and_a_consent_page_name_no_national_id(platform: Platform) -> None:
    bank = platform.bank
    page = opened(platform.citizen(), bank, bank.push(platform.detail("ris.personal"), scope="openid profile"))
    assert "A123456789" not in page.text
    body = bank.redeem(platform.code(scope="openid profile email")).get_json()
    assert "A123456789" not in str(userinfo(bank, body["access_token"]).get_json())
