"""docs/agency.md is true: what an agency builds by it is what this server sends, and takes."""

import json
import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from authz_server.catalogue.views import MAX_AGE_S
from authz_server.clients.document import Context, read_agency
from authz_server.clients.registry import CHECK_EVERY, OLDEST
from authz_server.core import clock, jose
from client_examples.sandbox.sandbox import Sandbox
from client_examples.sandbox.settings import AGENCIES
from resource_proxy.connectors import base, plain_agency
from tests.client_examples.agency_platform import World, catalogue_document
from tests.clients.documents import jwks
from tests.portal.test_preparation import AGENCY, DATASET, Scene
from tests.support.platform import Platform
from tests.support.protocol import Fetch, services_of
from tests.support.receiver import receiving
from tests.support.tree import ROOT

GUIDE = (ROOT / "docs" / "agency.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL))
BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WRITTEN_AT = 1795860000  # the moment of its examples


def example(section: str) -> str:
    """The one example of a section."""
    (found,) = BLOCK.findall(SECTIONS[section])
    return str(found)


def sent(platform: Platform, path: str, text: str, *, typ: str, **header: Any) -> int:
    """Post what an example says as the agency, now and to this server; the status of the answer."""
    now = int(clock.now().timestamp())
    claims = json.loads(text.replace("<issuer>", platform.settings.issuer))
    claims = {name: value - WRITTEN_AT + now if type(value) is int else value for name, value in claims.items()}
    token = jose.sign(claims, platform.agency_keys[AGENCY][0], typ=typ)
    assert header.keys() <= jose.unverified(token).header.keys()
    return platform.browser().post(path, data=token, content_type="application/jwt").status_code


def named_in(text: str) -> set[str]:
    return {
        name for cell in re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    }


def test_its_sandbox_has_the_agency_in_place_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[tuple[object, ...]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.input", lambda: "")
    monkeypatch.setattr("client_examples.sandbox.__main__.show", lambda _sandbox: None)
    for step in ("_start_neighbours", "_register", "_start_platform"):
        monkeypatch.setattr(Sandbox, step, lambda _sandbox: None)
    monkeypatch.setattr(Sandbox, "commands", lambda _sandbox, *given: commands.extend(map(tuple, given)))
    (tmp_path / "try_it.py").write_text(example("Try it"), encoding="utf-8")
    runpy.run_path("try_it.py")
    assert commands == [("agency", "add", "--replace", tmp_path / "agency.toml")]
    proxy, server = (
        tomllib.loads((tmp_path / "sandbox" / file).read_text(encoding="utf-8"))
        for file in ("proxy/mydata-proxy.toml", "server/mydata.toml")
    )
    assert proxy["agencies"]["fia"] == {"url": "http://127.0.0.1:9000", "connector": "jose"}
    assert set(proxy["agencies"]) == set(AGENCIES), "the others are the sandbox's own"
    *own, outside = server["allowed_outbound_hosts"]
    assert outside == "127.0.0.1:9000"
    ours = "the sandbox's authority, bank and agencies, and the bank of whoever follows docs/integrate.md"
    assert (len(own), own[-1]) == (4, "127.0.0.1:8009"), ours


def test_its_registration_is_one(platform: Platform) -> None:
    document = tomllib.loads(example("1. Register"))
    assert document.pop("jwks_file") == "jwks.json"
    document["jwks"] = {"keys": [key.public_jwk() for key in platform.agency_keys[AGENCY]]}
    registered = read_agency(document, Context(platform.catalogue, sandbox=False))
    assert registered.id == AGENCY
    assert registered.preparation_endpoint == "https://fia.example/preparations"
    assert registered.correction_endpoint == "https://fia.example/corrections"


def test_its_way_to_new_keys_keeps_what_the_old_ones_signed(platform: Platform) -> None:
    assert "new keys **before** the old ones" in SECTIONS["Replace your keys"]
    assert "Five minutes and five seconds later" in SECTIONS["Replace your keys"]
    assert platform.browser().get("/catalogue").cache_control.max_age == 5 * 60, "for so long it may be an old one"
    new, old = jwks("ES256", "ECDH-ES")["keys"], [key.public_jwk() for key in platform.agency_keys[AGENCY]]
    document = {"id": AGENCY, "connector": "jose", "jwks": {"keys": [*new, *old]}}
    registered = read_agency(document, Context(platform.catalogue))
    assert registered.encryption_key.kid == new[1]["kid"]
    assert [key["kid"] for key in registered.signing_jwks["keys"]] == [new[0]["kid"], old[0]["kid"]]


def test_its_limits_are_those_of_the_proxy() -> None:
    limits = f"{base.SMALL_LIMIT_BYTES >> 20} MiB at most, {base.LARGE_LIMIT_BYTES >> 20} MiB"
    assert limits in SECTIONS["2. Answer a ticket"].replace("\n", " ")
    assert f"{plain_agency.LIMIT_BYTES >> 20} MiB at most" in SECTIONS["Without JOSE"]


def test_its_claims_are_those_of_a_ticket(platform: Platform) -> None:
    (granted,) = platform.tokens(platform.detail(DATASET, tax_year="113"))["authorization_details"]
    sealed = Fetch(platform, granted["access_token"], DATASET).exchange().get_json()["access_token"]
    ticket = jose.unverified(jose.decrypt(sealed, platform.agency_keys[AGENCY][1]).decode()).claims
    (table,) = re.findall(r"^\| claim \|.*?\n\n", SECTIONS["2. Answer a ticket"], re.MULTILINE | re.DOTALL)
    assert named_in(table) == ticket.keys() | {"act"}, "which is there at a counter alone"


def test_its_manifest_has_what_the_demo_agency_signs() -> None:
    world = World(catalogue_document())
    manifest = world.manifest(world.open(world.fetch("fia.property").data), AGENCY)  # which needs no time
    shown = json.loads(example("2. Answer a ticket"))
    assert shown.keys() == manifest.keys()
    assert shown["files"][0].keys() == manifest["files"][0].keys()


def test_what_it_says_of_a_preparation_is_taken(own_platform: Platform) -> None:
    with receiving() as receiver:
        scene = Scene(own_platform, receiver)
        scene.carry()
    asked = scene.opened(0)["jti"]
    request, header, claims = example("3. Prepare what is slow").splitlines()
    named = json.loads(claims)["preparation"]
    assert request == f"POST /preparations/{named}"
    answer = sent(own_platform, f"/preparations/{asked}", claims.replace(named, asked), **json.loads(header))
    assert answer == 204
    assert "Ready at about" in scene.visit.page().text


def test_what_it_says_of_maintenance_is_taken(own_platform: Platform) -> None:
    text = example("4. Say how you are")
    assert sent(own_platform, f"/agencies/{AGENCY}/heartbeat", text, typ="mydata-heartbeat+jwt") == 204
    services_of(own_platform).registry.reload()
    agencies = own_platform.browser().get("/catalogue").get_json()["agencies"]
    (described,) = (agency for agency in agencies if agency["id"] == AGENCY)
    assert described["maintenance"]["datasets"] == json.loads(text)["datasets"]


def test_how_long_to_wait_before_the_new_key_signs_is_said() -> None:
    said = SECTIONS["Replace your keys"].partition("\n2. ")[2].partition("\n3. ")[0]
    assert (CHECK_EVERY.total_seconds(), OLDEST.total_seconds(), MAX_AGE_S) == (1, 5, 5 * 60)
    for words in ("For up to 5 s", "once a second", "for 5 min"):
        assert words in said
