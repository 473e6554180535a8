"""docs/openapi.yaml describes every route for programs of both servers, and nothing else; its examples are valid."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from flask import Flask

import authz_server
from authz_server.catalogue.model import Catalogue
from authz_server.consent.erasure import REFUSALS
from authz_server.core import jose
from authz_server.oauth.client_access import SCOPES
from authz_server.oauth.outcomes import REASONS
from authz_server.oauth.rar import MEMBERS
from authz_server.portal.errors import MACHINES
from authz_server.tokens.dataset_tokens import OUTCOMES
from resource_proxy.app import create_app
from resource_proxy.config import ProxySettings
from tests.support import openapi
from tests.support.tree import ROOT

PROXY = "https://data.mydata.example"
# Routes for programs; all others are pages, or the files of pages.
PUBLIC = ("catalogue.show", "portal.health", "verify.recipients")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document()


def described(*, at_proxy: bool) -> set[tuple[str, str]]:
    """Methods and paths that the document has of one server."""
    document = openapi.document()
    found = set()
    for method, path in openapi.operations():
        servers = {server["url"] for server in document["paths"][path].get("servers", document["servers"])}
        if (PROXY in servers) if at_proxy else (servers != {PROXY}):
            found.add((method, path))
    return found


def routed(app: Flask, endpoints: set[str]) -> set[tuple[str, str]]:
    return {
        (
            method,
            rule.rule.replace("<dataset_id>", "{dataset}")
            .replace("<grant_id>", "{grant_id}")
            .replace("<correction_id>", "{correction_id}")
            .replace("<preparation_id>", "{preparation_id}")
            .replace("<agency_id>", "{agency_id}"),
        )
        for rule in app.url_map.iter_rules()
        if rule.endpoint in endpoints
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def for_programs(app: Flask) -> set[tuple[str, str]]:
    protocol = {rule.endpoint for rule in app.url_map.iter_rules() if rule.endpoint.startswith("oauth.")}
    return routed(app, {*PUBLIC, *protocol})


def test_the_authorization_server_has_the_routes_that_are_described(app: Flask) -> None:
    assert described(at_proxy=False) == for_programs(app)


def test_whoever_asks_at_a_route_for_programs_gets_no_page(app: Flask) -> None:
    places = {path.split("/")[1] for _, path in for_programs(app)}
    assert places == MACHINES | {"authorize"}, "to which programs send people"


def test_the_proxy_has_the_routes_that_are_described(tmp_path: Path, catalogue: Catalogue) -> None:
    keys = tmp_path / "keys.json"
    keys.touch(mode=0o600)
    keys.write_bytes(orjson.dumps({"keys": [jose.generate_key("ES256")]}))
    settings = ProxySettings(url=PROXY, issuer="https://mydata.example", client_id="proxy", keys_file=keys)
    proxy = create_app(settings, catalogue=catalogue)
    endpoints = {rule.endpoint for rule in proxy.url_map.iter_rules()}
    assert described(at_proxy=True) == routed(proxy, endpoints)


def test_lists_in_the_document_are_those_of_the_code(document: dict[str, Any]) -> None:
    form = document["paths"]["/outcomes"]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]
    assert set(form["schema"]["properties"]["outcome"]["enum"]) == set(OUTCOMES)
    assert set(form["schema"]["properties"]["reason"]["enum"]) == REASONS
    assert set(document["components"]["schemas"]["Erasure"]["properties"]["reason"]["enum"]) == set(REFUSALS)
    assert set(document["components"]["schemas"]["RequestedDetail"]["properties"]) == MEMBERS
    scope = document["components"]["schemas"]["ClientCredentials"]["properties"]["scope"]
    assert all(re.fullmatch(scope["pattern"], asked) for asked in (*SCOPES, " ".join(SCOPES)))
    assert document["info"]["version"] == authz_server.__version__


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/outcomes", {"lease": "mdl_x", "outcome": "preparing"}),  # when to come again
        ("/grants/{grant_id}/erasure", {"status": "refused"}),  # why
        ("/grants/{grant_id}/erasure", {"status": "erased", "reason": "contract"}),
    ],
)
def test_members_that_go_together_do_so_in_the_document(
    document: dict[str, Any], path: str, form: dict[str, str]
) -> None:
    """A body that the schema allows is one that the server takes, and these it refuses."""
    body = document["paths"][path]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]
    assert not jsonschema.Draft202012Validator(body["schema"]).is_valid(form)


def test_whoever_may_name_a_clerk_is_told_of_the_proof_that_goes_with_it(document: dict[str, Any]) -> None:
    posts = {path: item["post"] for path, item in document["paths"].items() if "post" in item}
    named = {path for path, post in posts.items() if "actor_token" in str(post.get("requestBody"))}
    proved = {path for path, post in posts.items() if "Proof" in str(post.get("parameters"))}
    assert {"/announce", "/copies"} <= named <= proved


def test_no_sentence_is_cut_off_at_its_comma(document: dict[str, Any]) -> None:
    """What follows a comma in braces, without quotes, is a member of its own to YAML: one without a value."""

    def cut(node: Any, path: str) -> Iterator[str]:
        if isinstance(node, dict | list):
            for name, value in node.items() if isinstance(node, dict) else enumerate(node):
                if value is None and isinstance(node, dict):
                    yield f"{path}: {name}"
                yield from cut(value, f"{path}/{name}")

    assert list(cut(document, "")) == []


def test_no_word_is_a_truth_value_to_some_readers() -> None:
    """To YAML 1.1, which many programs still read, a bare yes, no, on or off is one, and the document no OpenAPI."""
    text = (ROOT / "docs" / "openapi.yaml").read_text(encoding="utf-8")
    assert re.findall(r"[:,\[-] *(?:yes|no|on|off) *(?:[,}\]]|$)", text, re.IGNORECASE | re.MULTILINE) == []


def test_every_operation_may_answer_that_the_server_is_busy(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in {"get", "post", "put", "delete"}:
                assert "503" in operation["responses"], f"{method} {path}"


def examples(node: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Every schema that has an example beside it, with the example."""
    if isinstance(node, dict):
        if "schema" in node:
            if "example" in node:
                yield node["schema"], node["example"]
            for example in node.get("examples", {}).values():
                yield node["schema"], example["value"]
        for child in node.values():
            yield from examples(child)
    elif isinstance(node, list):
        for child in node:
            yield from examples(child)


def test_every_example_is_valid(document: dict[str, Any]) -> None:
    found = list(examples(document))
    assert len(found) > 10
    for schema, example in found:
        whole = {"components": document["components"], "allOf": [schema]}
        jsonschema.Draft202012Validator(whole).validate(example)
