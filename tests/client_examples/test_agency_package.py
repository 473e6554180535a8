"""What the demo agency hands out: exactly what was granted, signed, for the recipient's machines and people."""

import hashlib
import io
import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from jwcrypto import jwe, jwk
from pypdf import PdfReader

from client_examples.demo_agency import scan
from client_examples.demo_agency.people import find_person, invented_national_id, is_national_id, seeded
from client_examples.demo_agency.platform import parse_catalogue
from client_examples.demo_agency.records import find_record
from tests.client_examples.agency_platform import (
    JIA,
    JOSE_AGENCIES,
    NOW,
    PARAMETERS,
    SCAN,
    SLOW_S,
    YI,
    World,
    catalogue_document,
)

DATASETS = parse_catalogue(catalogue_document())
PEOPLE = [JIA, YI, "C187654325", *(invented_national_id(seeded("people", str(number))) for number in range(6))]
CANARY = "CANARYb1946ac92492d234"


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.id)
def test_every_record_of_every_person_is_valid_and_always_the_same(dataset: Any) -> None:
    validator = Draft202012Validator(dataset.schema, format_checker=FormatChecker())
    records = [find_record(dataset, person, PARAMETERS) for person in PEOPLE]
    assert records == [find_record(dataset, person, PARAMETERS) for person in PEOPLE]
    for record in [*records, *(find_record(dataset, person, PARAMETERS, canary=CANARY) for person in PEOPLE)]:
        if record is None:
            assert dataset.id == "bli.pension"
        else:
            validator.validate(record)
            assert set(record) == set(dataset.field_names)


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.id)
def test_the_canary_is_in_every_record(dataset: Any) -> None:
    assert CANARY in str(find_record(dataset, JIA, PARAMETERS, canary=CANARY))


def test_two_datasets_of_one_person_agree() -> None:
    records = [find_record(dataset, YI, PARAMETERS) or {} for dataset in DATASETS.values()]
    assert {record["name"] for record in records if record} == {"測試市民乙"}
    assert {record["birth_date"] for record in records if "birth_date" in record} == {"1992-07-15"}


def test_everybody_has_a_valid_national_id_that_is_made_up() -> None:
    assert all(is_national_id(person) for person in PEOPLE)
    assert not any(map(is_national_id, ["A123456780", "a123456789", "A12345678", "1123456789", "A12345678９", ""]))


def granted(world: World, dataset: str, **changes: Any) -> dict[str, bytes]:
    answer = world.fetch(dataset, **changes)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return world.open(answer.data)


@pytest.mark.parametrize(
    "dataset", [name for agency, name in DATASETS if agency in JOSE_AGENCIES and name != "fia.income"]
)
def test_the_package_holds_what_the_manifest_says(world: World, dataset: str) -> None:
    claims = world.claims(dataset)
    files = world.open(world.ask(dataset, world.ticket(claims)).data)
    manifest = world.manifest(files, claims["aud"])
    assert {name: manifest[name] for name in ("iss", "aud", "iat", "txn", "dataset", "fields", "parameters")} == {
        "iss": claims["aud"],
        "aud": claims["client_id"],
        "iat": NOW,
        **{name: claims[name] for name in ("txn", "dataset", "fields", "parameters")},
    }
    assert {file["name"] for file in manifest["files"]} == set(files) - {"manifest.jws"}
    for file in manifest["files"]:
        content = files[file["name"]]
        digest = urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        assert (file["size_bytes"], file["sha256"]) == (len(content), digest)
    Draft202012Validator(world.datasets[dataset]["schema"]).validate(json.loads(files["data.json"]))


def test_only_the_granted_fields_are_in_the_package(world: World) -> None:
    files = granted(world, "bli.enrolment", fields=["national_id", "name", "unit_name"])
    data = json.loads(files["data.json"])
    assert list(data) == ["name", "national_id", "unit_name"]
    assert "1980-02-29" not in PdfReader(io.BytesIO(files["document.pdf"])).pages[0].extract_text()


def test_the_scan_is_there_only_if_it_was_granted(world: World) -> None:
    assert granted(world, "ris.id-card-image")["scan.png"] == SCAN
    assert "scan.png" not in granted(world, "ris.id-card-image", fields=["name", "national_id"])


def test_the_scan_is_a_picture_of_some_20_mb() -> None:
    picture = scan.specimen_png()
    assert picture.startswith(b"\x89PNG\r\n")
    assert 20_000_000 <= len(picture) <= 22_000_000


def test_the_pdf_says_the_same_as_the_data(world: World) -> None:
    files = granted(world, "ris.personal")
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(files["document.pdf"])).pages)
    squeezed = "".join(text.split())
    today = "2026-05-29"  # in Taiwan, where it is after midnight
    for value in ("個人戶籍資料", "內政部戶政司", "甲銀行", "T7K2M-9QXA-4F3C", today, "測試市民甲", JIA, "1980-02-29"):
        assert value in squeezed
    assert find_person(JIA).address in squeezed


def test_the_pdf_names_the_character_map_of_its_font(world: World) -> None:
    page = PdfReader(io.BytesIO(granted(world, "ris.personal")["document.pdf"])).pages[0]
    fonts = [font.get_object() for font in page["/Resources"]["/Font"].values()]  # type: ignore[index]
    (han,) = (font for font in fonts if font["/Subtype"] == "/Type0")
    assert han["/Encoding"] == "/UniCNS-UTF16-H"
    assert han["/DescendantFonts"][0].get_object()["/CIDSystemInfo"]["/Ordering"] == "CNS1"


def test_a_package_can_be_encrypted_to_an_rsa_key(world: World) -> None:
    world.recipient = jwk.JWK.generate(kty="RSA", size=2048, kid="rsa-enc", use="enc")
    assert json.loads(granted(world, "bli.enrolment")["data.json"])["national_id"] == JIA


@pytest.mark.parametrize("alg", ["ECDH-ES", "ECDH-ES+A256KW", None])
def test_a_package_is_encrypted_as_the_key_itself_says(world: World, alg: str | None) -> None:
    named = {} if alg is None else {"alg": alg}
    world.recipient = jwk.JWK.generate(kty="EC", crv="P-256", kid="bank-enc", use="enc", **named)
    answer = world.fetch("bli.enrolment")
    assert "data.json" in world.open(answer.data)
    package = jwe.JWE()
    package.deserialize(answer.get_data(as_text=True))
    assert package.jose_header["alg"] == (alg or "ECDH-ES")


def test_somebody_else_cannot_open_the_package(world: World) -> None:
    package = world.fetch("bli.enrolment").data
    world.recipient = jwk.JWK.generate(kty="EC", crv="P-256")
    with pytest.raises(Exception, match="No recipient matched"):
        world.open(package)


def test_a_person_without_a_record_is_told_apart(world: World) -> None:
    answer = world.fetch("bli.pension", sub=YI)
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert answer.get_json()["type"] == "urn:mydata:problem:no-record"
    assert world.fetch("bli.pension", sub=JIA).status_code == 200


@pytest.mark.parametrize("nobody", ["A123456780", "", "x" * 200])
def test_nobody_has_no_record(world: World, nobody: str) -> None:
    assert world.fetch("bli.enrolment", sub=nobody).status_code in {401, 404}


def test_a_slow_dataset_is_prepared_once_per_transaction(world: World) -> None:
    first = world.fetch("fia.income", txn="T1")
    assert (first.status_code, first.headers["Retry-After"]) == (202, str(SLOW_S))
    assert first.get_json() == {"status": "preparing", "retry_after_s": SLOW_S}
    world.now += SLOW_S - 1
    assert world.fetch("fia.income", txn="T1").headers["Retry-After"] == "1"
    assert world.fetch("fia.income", txn="T2").headers["Retry-After"] == str(SLOW_S)
    world.now += 1
    assert world.fetch("fia.income", txn="T1").status_code == 200


def test_a_dataset_that_the_agency_does_not_have_is_not_found(world: World) -> None:
    ticket = world.ticket(world.claims("bli.enrolment"))
    assert world.ask("bli.enrolment", ticket, agency_id="ris").status_code == 404
    assert world.ask("bli.enrolment", ticket, agency_id="nhi").status_code == 404
    assert world.client.get("/bli/datasets/bli.nothing").status_code == 404


def test_the_trace_id_comes_back(world: World) -> None:
    trace_id = "6f0b6a0e-6e0f-4d0e-9d3b-9a2a0f1d2c3b"
    answer = world.client.get("/bli/datasets/bli.enrolment", headers={"X-FAPI-Interaction-ID": trace_id})
    assert answer.headers["X-FAPI-Interaction-ID"] == trace_id
