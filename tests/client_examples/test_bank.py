"""The Python bank: small, independent of both servers, and distrustful of what it is sent."""

import ast
import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from jwcrypto import jwe, jwk, jws
from requests import PreparedRequest, Response, TooManyRedirects
from requests.adapters import BaseAdapter

from client_examples.bank_web import package
from client_examples.bank_web.app import create_app, load_or_create_keys
from client_examples.bank_web.client import Client, Refused, client_assertion, dpop_proof
from client_examples.bank_web.package import BadPackage, open_package, s256
from tests.client_examples.agency_platform import EXAMPLES, ISSUER, World

DATASET = "bli.enrolment"


def test_the_bank_has_fewer_than_300_lines_but_for_what_comes_after() -> None:
    sources = [path for path in (EXAMPLES / "bank_web").glob("*.py") if path.name != "events.py"]
    assert sum(len(path.read_text().splitlines()) for path in sources) < 300


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*.py")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_example_imports_a_server(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    assert not [name for name in names if name.split(".")[0] in {"authz_server", "resource_proxy"}]


def opened(world: World, files: dict[str, bytes] | None = None, **granted: Any) -> package.Package:
    """Let the bank open a package for DATASET; `files` replaces what the agency put into it, `granted` the grant's."""
    claims = world.claims(DATASET)
    answer = world.ask(DATASET, world.ticket(claims))
    jose = answer.data if files is None else sealed(world, files)
    agency = {"id": "bli", "jwks": {"keys": [world.keys["bli"].signing.as_dict(private=False)]}}
    grant = {"transaction": claims["txn"], "dataset": DATASET, "fields": claims["fields"], "parameters": {}} | granted
    recipient = grant.pop("client_id", claims["client_id"])
    key = ECKey.import_key(world.recipient.export_private(as_dict=True))
    return open_package(jose, key, agency, world.datasets[DATASET], grant, recipient)


def sealed(world: World, files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, content in files.items():
            writer.writestr(name, content)
    token = jwe.JWE(archive.getvalue(), json.dumps({"alg": "ECDH-ES", "enc": "A256GCM"}))
    token.add_recipient(world.recipient)
    return str(token.serialize(compact=True)).encode()


def good_files(world: World) -> dict[str, bytes]:
    return world.open(world.fetch(DATASET).data)


def test_a_good_package_is_opened(world: World) -> None:
    got = opened(world)
    assert got.data["national_id"] == "A123456789"
    assert set(got.files) == {"data.json", "document.pdf"}


@pytest.mark.parametrize(
    "granted",
    [
        {"client_id": "another-bank"},
        {"transaction": "T000-0000-0000"},  # which may be somebody else's
        {"dataset": "bli.pension"},
        {"fields": ["name"]},
        {"parameters": {"tax_year": "113"}},
    ],
    ids=str,
)
def test_a_package_made_for_another_request_is_refused(world: World, granted: dict[str, Any]) -> None:
    with pytest.raises(BadPackage):
        opened(world, **granted)


def resigned(
    world: World, content: dict[str, bytes], typ: str = "mydata-manifest+jwt", **changes: Any
) -> dict[str, bytes]:
    """The package with a manifest for its present content and with changes, rightly signed by the agency."""
    listed = [{"name": name, "sha256": s256(part)} for name, part in content.items() if name != "manifest.jws"]
    token = jws.JWS(json.dumps(world.manifest(content, "bli") | {"files": listed} | changes).encode())
    header = json.dumps({"alg": "ES256", "typ": typ, "kid": world.keys["bli"].signing.kid})
    token.add_signature(jwk.JWK(**world.keys["bli"].signing.as_dict(private=True)), None, header)
    return content | {"manifest.jws": str(token.serialize(compact=True)).encode()}


TAMPERED: dict[str, Callable[[World, dict[str, bytes]], dict[str, bytes]]] = {
    "data changed": lambda world, files: files | {"data.json": files["data.json"].replace(b"A1234", b"A1235")},
    "document changed": lambda world, files: files | {"document.pdf": b"%PDF"},
    "file added": lambda world, files: files | {"more.txt": b""},
    "file missing": lambda world, files: {name: files[name] for name in files if name != "document.pdf"},
    "no manifest": lambda world, files: {name: files[name] for name in files if name != "manifest.jws"},
    "manifest not signed": lambda world, files: files | {"manifest.jws": b"e30.e30."},
    "manifest of another type": lambda world, files: resigned(world, files, typ="at+jwt"),
    "manifest of another agency": lambda world, files: resigned(world, files, iss="ris"),
    "manifest without files": lambda world, files: resigned(world, files, files=None),
    "data not as agreed": lambda world, files: resigned(world, files | {"data.json": b"{}"}),
    "data that is no JSON": lambda world, files: resigned(world, files | {"data.json": b"\xff"}),
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED)
def test_a_package_that_was_tampered_with_is_refused(
    world: World, tamper: Callable[[World, dict[str, bytes]], dict[str, bytes]]
) -> None:
    assert opened(world, resigned(world, good_files(world))), "packed and signed again it is still good"
    with pytest.raises(BadPackage):
        opened(world, tamper(world, good_files(world)))


@pytest.mark.parametrize("mode", ["wrong-signature", "wrong-schema"])
def test_what_a_misbehaving_agency_sends_is_refused(world: World, mode: str) -> None:
    world.client.put(f"/admin/bli/{mode}")
    with pytest.raises(BadPackage):
        opened(world)


def test_a_package_that_grows_too_large_is_not_unpacked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "MAX_BYTES", 5000)
    with pytest.raises(BadPackage, match="larger than agreed"):
        opened(world, good_files(world) | {"zeros": bytes(100_000)})


def test_a_package_for_somebody_else_cannot_be_opened(world: World) -> None:
    with pytest.raises(BadPackage):
        open_package(world.fetch(DATASET).data, ECKey.generate_key("P-256"), {"jwks": {"keys": []}}, {}, {}, "bank")


def test_the_assertion_says_who_asks_and_is_new_each_time() -> None:
    key = ECKey.generate_key("P-256", auto_kid=True)
    fields = [client_assertion("jia-bank", ISSUER, key) for _ in range(2)]
    claims = []
    for form in fields:
        token = jws.JWS()
        token.deserialize(form["client_assertion"], jwk.JWK(**key.as_dict(private=False)))
        claims.append(json.loads(token.payload))
        assert token.jose_header["kid"] == key.kid
    assert {(claim["iss"], claim["sub"], claim["aud"]) for claim in claims} == {("jia-bank", "jia-bank", ISSUER)}
    assert claims[0]["jti"] != claims[1]["jti"]
    assert 0 <= claims[0]["exp"] - claims[0]["iat"] - 60 <= 1  # whoever wants `iat` finds it (RFC 7523 section 3)


class Platform(BaseAdapter):
    """All that the bank reaches by HTTP: JSON documents by path."""

    def __init__(self, **metadata: str) -> None:
        super().__init__()
        self.key = ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True)
        self.asked, self.moved = list[str](), ""
        endpoints = {"pushed_authorization_request_endpoint": "/par", "authorization_endpoint": "/authorize"}
        endpoints |= {"token_endpoint": "/token", "jwks_uri": "/jwks"}
        told = {"issuer": ISSUER} | {name: ISSUER + path for name, path in endpoints.items()} | metadata
        self.documents: dict[str, Any] = {
            "/.well-known/openid-configuration": told,
            "/jwks": {"keys": [self.key.as_dict(private=False)]},
            "/par": {"request_uri": "urn:ietf:params:oauth:request_uri:1"},
        }
        keys = [ECKey.generate_key("P-256", auto_kid=True) for _ in range(2)]
        self.bank = Client(ISSUER, "bank", "https://bank.example/callback", keys)
        self.bank.http.mount(ISSUER, self)

    def send(self, request: PreparedRequest, *_: Any, **__: Any) -> Response:
        response = Response()
        response.status_code, path = 200, urlsplit(str(request.url)).path
        self.asked.append(str(request.url))
        if path == self.moved:
            response.status_code, response.request = 307, request
            response.headers["Location"] = f"{ISSUER}/elsewhere"
        response.raw = io.BytesIO(json.dumps(self.documents.get(path)).encode())
        return response

    def close(self) -> None:
        """It holds no connections."""

    def journey(self, **said: Any) -> dict[str, Any]:
        """The claims that the bank takes from an ID token which says these, and what is right otherwise."""
        journey, _ = self.bank.start([], "en")
        right = {"iss": ISSUER, "aud": "bank", "nonce": journey.nonce, "exp": int(time.time()) + 60}
        id_token = jwt.encode({"alg": "ES256", "kid": self.key.kid}, right | said, self.key)
        self.documents["/token"] = {"id_token": id_token, "access_token": "mda_1"}
        return self.bank.finish(journey, {"code": "mdc_1", "state": journey.state, "iss": ISSUER})


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/par", "/token", "/jwks"])
def test_what_the_bank_says_goes_to_whom_it_is_for_and_nowhere_else(path: str) -> None:
    platform = Platform()
    platform.moved = path
    with pytest.raises(TooManyRedirects):
        platform.journey()
    assert platform.asked[-1] == ISSUER + path


def test_metadata_that_another_issuer_wrote_is_refused() -> None:
    with pytest.raises(Refused, match="another issuer"):
        Platform(issuer="https://another.example").journey()


def test_the_metadata_of_an_issuer_that_ends_in_a_slash_are_found() -> None:
    platform = Platform(issuer=f"{ISSUER}/")
    keys = platform.bank.signing_key, platform.bank.decryption_key
    platform.bank = Client(f"{ISSUER}/", "bank", "https://bank.example/callback", keys)
    platform.bank.http.mount(ISSUER, platform)
    platform.bank.start([], "en")  # OpenID Connect Discovery section 4.1
    assert platform.asked[0] == f"{ISSUER}/.well-known/openid-configuration"


@pytest.mark.parametrize("said", [{}, {"aud": ["bank"]}], ids=str)
def test_an_id_token_for_the_bank_is_taken(said: dict[str, Any]) -> None:
    assert Platform().journey(**said)["iss"] == ISSUER


@pytest.mark.parametrize(
    "said",
    [
        {"aud": ["bank", "another-bank"]},  # OpenID Connect Core section 3.1.3.7, item 3
        {"aud": "another-bank"},
        {"aud": None},
        {"iss": "https://another.example"},
        {"iss": None},
        {"nonce": "of-another-request"},
        {"nonce": None},
        {"exp": 1},
        {"exp": None},
    ],
    ids=str,
)
def test_an_id_token_that_is_not_for_this_request_alone_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises((Refused, JoseError)):
        Platform().journey(**said)


def test_the_proof_holds_the_public_key_and_the_digest_of_the_token() -> None:
    key = ECKey.generate_key("P-256")
    token = jws.JWS()
    proof = dpop_proof(key, "GET", "https://data.example/data/x", access_token="mdt_1", nonce="n")
    token.deserialize(proof, jwk.JWK(**key.as_dict(private=False)))
    claims = json.loads(token.payload)
    assert claims | {"htm": "GET", "htu": "https://data.example/data/x", "nonce": "n"} == claims
    assert claims["ath"] == s256(b"mdt_1")
    assert "d" not in token.jose_header["jwk"]


def test_keys_are_made_once_and_are_nobody_elses(tmp_path: Path) -> None:
    signing, decryption = load_or_create_keys(tmp_path / "bank")
    assert [key.kid for key in load_or_create_keys(tmp_path / "bank")] == [signing.kid, decryption.kid]
    assert (tmp_path / "bank" / "keys.json").stat().st_mode & 0o777 == 0o600
    public = json.loads((tmp_path / "bank" / "jwks.json").read_text())["keys"]
    assert [key["use"] for key in public] == ["sig", "enc"]
    assert not any("d" in key for key in public)


@pytest.fixture
def site(tmp_path: Path) -> FlaskClient:
    """The bank's web site, of which no platform is reachable."""
    keys = load_or_create_keys(tmp_path)
    client = Client("http://127.0.0.1:9", "first-bank-of-samples", "http://127.0.0.1:8003/callback", keys)
    text = {"zh": "辦卡", "en": "A card"}
    document = {"purposes": {"credit-card": {"text": text, "datasets": {DATASET: {}}}}}
    return create_app(client, document, {"credit-card": [{"type": "dataset"}]}).test_client()


def test_the_start_page_comes_in_both_languages(site: FlaskClient) -> None:
    assert "以 MyData 申請" in site.get("/").text
    assert "Apply with MyData" in site.get("/?lang=en").text
    assert "Apply with MyData" in site.get("/").text, "the choice is kept"


@pytest.mark.parametrize(
    ("path", "status", "title"),
    [("/none", 404, "There is no such page"), ("/apply/x", 405, "There is no such page"), ("/result", 400, "no data")],
)
def test_what_is_not_there_is_a_page_with_a_way_on(site: FlaskClient, path: str, status: int, title: str) -> None:
    answer = site.get(f"{path}?lang=en")
    assert (answer.status_code, title in answer.text, "Start again" in answer.text) == (status, True, True)


def test_a_callback_that_nobody_asked_for_is_refused(site: FlaskClient) -> None:
    assert site.get(f"/callback?code=x&state=y&iss={ISSUER}").status_code == 400
    assert site.get("/result").status_code == 400
    assert site.post("/apply/nothing").status_code == 404


def test_a_platform_that_cannot_be_reached_is_a_page(site: FlaskClient) -> None:
    answer = site.post("/apply/credit-card")
    assert answer.status_code == 400
    assert "沒有取得任何資料" in answer.text
