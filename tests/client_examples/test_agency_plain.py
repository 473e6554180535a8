"""The agency that speaks no JOSE, and the ways in which all of them misbehave on demand."""

import io
import json
import re
import tomllib
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from jwcrypto.jws import InvalidJWSSignature
from pypdf import PdfReader

from client_examples.demo_agency.keys import load_or_create, load_or_create_api_key
from client_examples.demo_agency.misbehave import Mode, parse_modes
from client_examples.demo_agency.registration import agency_toml
from tests.client_examples.agency_platform import JIA, World

DATASET = "nhi.premiums"


def test_a_record_comes_as_json_with_a_pdf(world: World) -> None:
    answer = world.by_api_key(DATASET)
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    body = answer.get_json()
    Draft202012Validator(world.datasets[DATASET]["schema"]).validate(body["data"])
    assert (body["data"]["period_from"], body["data"]["period_to"]) == ("2025-01", "2025-12")
    assert JIA in PdfReader(io.BytesIO(b64decode(body["pdf"]))).pages[0].extract_text()


def test_only_the_fields_asked_for_are_sent(world: World) -> None:
    assert list(world.by_api_key(DATASET, fields="arrears,name,national_id").get_json()["data"]) == [
        "name",
        "national_id",
        "arrears",
    ]


@pytest.mark.parametrize("fields", [",", "name,national_id,salary", "name,arrears"])
def test_fields_that_it_does_not_have_are_refused(world: World, fields: str) -> None:
    assert world.by_api_key(DATASET, fields=fields).status_code == 400


@pytest.mark.parametrize("api_key", ["", "wrong", "é"])
def test_without_the_api_key_there_is_nothing(world: World, api_key: str) -> None:
    assert world.by_api_key(DATASET, api_key=api_key).status_code == 401


def test_a_person_without_a_record_is_told_apart(world: World) -> None:
    answer = world.by_api_key(DATASET, citizen="nobody")
    assert (answer.status_code, answer.get_json()["type"]) == (404, "urn:mydata:problem:no-record")


def test_an_agency_with_jose_takes_no_api_key(world: World) -> None:
    assert world.client.get("/bli/records/bli.enrolment", headers={"X-Api-Key": "a-shared-secret"}).status_code == 404


@pytest.mark.parametrize(
    ("mode", "status"),
    [("down", 503), ("hang", 503), ("refuse", 403), ("preparing", 202), ("no-record", 404), ("garbage", 200)],
)
def test_an_agency_can_be_made_to_fail(world: World, mode: str, status: int) -> None:
    assert world.client.put(f"/admin/bli/{mode}").status_code == 204
    assert world.client.put(f"/admin/nhi/{mode}").status_code == 204
    for answer in (world.fetch("bli.enrolment"), world.by_api_key(DATASET)):
        assert answer.status_code == status
        assert ("Retry-After" in answer.headers) == (status in {202, 503})
    assert world.fetch("ris.personal").status_code == 200


def test_an_agency_recovers(world: World) -> None:
    world.client.put("/admin/bli/down")
    world.client.put("/admin/bli/ok")
    assert world.fetch("bli.enrolment").status_code == 200


def test_too_much_does_not_end_soon(world: World) -> None:
    world.client.put("/admin/bli/too-much")
    answer = world.client.get("/bli/datasets/bli.enrolment", buffered=False)
    parts = iter(answer.response)
    assert sum(len(next(parts)) for _ in range(70)) == 70 * 1024 * 1024
    answer.close()


def test_an_answer_can_be_cut_off(world: World) -> None:
    world.client.put("/admin/bli/cut-off")
    answer = world.client.get(
        "/bli/datasets/bli.enrolment",
        headers={"Authorization": f"Bearer {world.ticket(world.claims('bli.enrolment'))}"},
        buffered=False,
    )
    parts = iter(answer.response)
    assert 0 < len(next(parts)) < int(answer.headers["Content-Length"])
    with pytest.raises(ConnectionAbortedError):
        next(parts)


def test_a_wrong_signature_does_not_verify(world: World) -> None:
    world.client.put("/admin/bli/wrong-signature")
    with pytest.raises(InvalidJWSSignature):
        world.manifest(world.open(world.fetch("bli.enrolment").data), "bli")


def test_wrong_data_is_not_valid(world: World) -> None:
    world.client.put("/admin/bli/wrong-schema")
    world.client.put("/admin/nhi/wrong-schema")
    wrong: list[Any] = [json.loads(world.open(world.fetch("bli.enrolment").data)["data.json"])]
    wrong.append(world.by_api_key(DATASET).get_json()["data"])
    for data in wrong:
        with pytest.raises(ValidationError):
            Draft202012Validator(world.datasets["bli.enrolment"]["schema"]).validate(data)


def test_nobody_switches_an_agency_from_afar(world: World) -> None:
    far = {"REMOTE_ADDR": "192.0.2.1"}
    assert world.client.put("/admin/bli/down", environ_overrides=far).status_code == 404
    assert world.client.put("/admin/bli/bad").status_code == 400
    assert world.client.put("/admin/xyz/down").status_code == 404


def test_modes_are_read_from_the_environment() -> None:
    assert parse_modes("ris=down, fia=hang") == {"ris": Mode.DOWN, "fia": Mode.HANG}
    assert parse_modes("") == {}
    with pytest.raises(ValueError, match="asleep"):
        parse_modes("ris=asleep")


def test_keys_are_made_once_and_are_nobody_elses(tmp_path: Path) -> None:
    keys, api_key = load_or_create(tmp_path / "ris"), load_or_create_api_key(tmp_path / "nhi")
    assert load_or_create(tmp_path / "ris").public_jwks() == keys.public_jwks()
    assert load_or_create_api_key(tmp_path / "nhi") == api_key
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_the_registration_holds_the_public_keys_only(tmp_path: Path) -> None:
    keys = load_or_create(tmp_path)
    text = agency_toml("ris", keys.public_jwks(), "http://127.0.0.1:8100")
    assert tomllib.loads(text) == {
        "id": "ris",
        "connector": "jose",
        "correction_endpoint": "http://127.0.0.1:8100/ris/corrections",
        "preparation_endpoint": "http://127.0.0.1:8100/ris/preparations",
        "jwks": keys.public_jwks(),
    }
    assert not re.search(r"\bd = ", text)
