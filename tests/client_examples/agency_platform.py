"""The platform as one demo agency sees it: signing keys, catalogue, and tickets minted with an independent library."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from joserfc.jwk import ECKey
from jwcrypto import jwe, jwk, jws
from werkzeug.test import TestResponse

from authz_server.catalogue import loader
from authz_server.catalogue.views import create_blueprint
from client_examples.demo_agency.answers import Office
from client_examples.demo_agency.app import Agencies, create_app
from client_examples.demo_agency.keys import AgencyKeys
from client_examples.demo_agency.misbehave import Switches
from client_examples.demo_agency.platform import Platform
from client_examples.demo_agency.slow import Queue
from client_examples.demo_agency.ticket import UsedTickets, Verifier

ISSUER = "https://mydata.example"
JIA, YI = "A123456789", "B223456782"  # with and without a pension
NOW = 1_780_000_000
SLOW_S = 7200
SCAN = b"\x89PNG a small one"
API_KEY = "a-shared-secret"
JOSE_AGENCIES = ("ris", "bli", "land", "fia")
PARAMETERS = {"tax_year": "113", "period": "2025-01/2025-12", "county": "臺北市"}


def catalogue_document() -> dict[str, Any]:
    """What GET /catalogue answers, without keys."""
    app = Flask("catalogue")
    app.register_blueprint(create_blueprint(loader.load(), lambda _: {"keys": []}))
    return dict(app.test_client().get("/catalogue").get_json())


class OfflinePlatform(Platform):
    """A platform whose documents are here; `requested` has the URLs that were asked for."""

    def __init__(self, documents: dict[str, Any]) -> None:
        super().__init__(ISSUER)
        self.documents = documents
        self.requested: list[str] = []

    def _get(self, url: str) -> dict[str, Any]:
        self.requested.append(url)
        return dict(self.documents[url])


class World:
    """One demo agency program, the platform's signing key, one recipient, and a clock that tests set."""

    def __init__(self, catalogue: dict[str, Any], *, canary: str = "", remembered: int = 1000) -> None:
        self.now = NOW
        self.platform_key = jwk.JWK.generate(kty="EC", crv="P-256", kid="platform-1")
        self.recipient = jwk.JWK.generate(kty="EC", crv="P-256", kid="bank-enc", use="enc", alg="ECDH-ES")
        self.keys = {name: AgencyKeys(ECKey.generate_key("P-256", auto_kid=True), new_enc()) for name in JOSE_AGENCIES}
        self.datasets = {item["id"]: item for agency in catalogue["agencies"] for item in agency["datasets"]}
        self.platform = OfflinePlatform(
            {
                f"{ISSUER}/.well-known/oauth-authorization-server": {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks"},
                f"{ISSUER}/jwks": {"keys": [self.platform_key.export_public(as_dict=True)]},
                f"{ISSUER}/catalogue": catalogue,
            }
        )
        self.switches = Switches({}, hang_s=0)
        self.queue = Queue(SLOW_S)
        office = Office(self.switches, self.queue, lambda: self.now, canary=canary)
        used = UsedTickets(started_at=NOW - 1000, limit=remembered)
        jose = {
            name: (keys, Verifier(name, ISSUER, keys.decryption, self.platform.signing_key, used))
            for name, keys in self.keys.items()
        }
        app = create_app(Agencies(self.platform, office, jose, {"nhi": API_KEY}, SCAN, admin=True))
        self.client: FlaskClient = app.test_client()
        self._tickets = 0

    def claims(self, dataset: str = "bli.enrolment", **changes: Any) -> dict[str, Any]:
        """The members of a good ticket for all fields of the dataset, with changes; None leaves a member out."""
        self._tickets += 1
        described = self.datasets[dataset]
        claims = {
            "iss": ISSUER,
            "aud": dataset.partition(".")[0],
            "iat": self.now,
            "exp": self.now + 60,
            "jti": f"ticket-{self._tickets}",
            "txn": "T7K2M-9QXA-4F3C",
            "sub": JIA,
            "client_id": "first-bank-of-samples",
            "client_name": {"zh": "甲銀行", "en": "First Bank of Samples"},
            "dataset": dataset,
            "fields": [item["id"] for item in described["fields"]],
            "parameters": {item["id"]: PARAMETERS[item["id"]] for item in described["parameters"] if item["required"]},
            "purpose": "credit-card",
            "grant_id": 7,
            "acr": "urn:mydata:acr:level-1",
            "auth_time": self.now - 30,
            "recipient_jwk": self.recipient.export_public(as_dict=True),
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def ticket(self, claims: dict[str, Any]) -> str:
        """Sign the claims as the platform does, and encrypt them to the agency that holds the dataset."""
        return self.sealed(self.signed(claims), str(claims["dataset"]).partition(".")[0])

    def signed(self, claims: dict[str, Any] | bytes, *, key: jwk.JWK | None = None, **header: Any) -> str:
        """The inner JWS."""
        token = jws.JWS(claims if isinstance(claims, bytes) else json.dumps(claims).encode())
        protected = {"alg": "ES256", "typ": "at+jwt", "kid": "platform-1"} | header
        token.add_signature(key or self.platform_key, None, json.dumps(protected))
        return str(token.serialize(compact=True))

    def sealed(self, content: str, agency_id: str, **header: Any) -> str:
        """The outer JWE."""
        public = self.keys[agency_id].decryption.as_dict(private=False)
        protected = {"alg": "ECDH-ES", "enc": "A256GCM", "cty": "JWT", "kid": public["kid"]} | header
        token = jwe.JWE(content.encode(), json.dumps(protected))
        token.add_recipient(jwk.JWK(**public))
        return str(token.serialize(compact=True))

    def ask(self, dataset: str, ticket: str, *, agency_id: str = "") -> TestResponse:
        """Present a ticket as the platform's proxy does."""
        path = f"/{agency_id or dataset.partition('.')[0]}/datasets/{dataset}"
        return self.client.get(path, headers={"Authorization": f"Bearer {ticket}"})

    def fetch(self, dataset: str, **changes: Any) -> TestResponse:
        """Present a good ticket, or one with changes."""
        return self.ask(dataset, self.ticket(self.claims(dataset, **changes)))

    def open(self, package: bytes) -> dict[str, bytes]:
        """The files of a package, opened with an independent library."""
        token = jwe.JWE()
        token.deserialize(package.decode(), self.recipient)
        with zipfile.ZipFile(io.BytesIO(token.payload)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def manifest(self, files: dict[str, bytes], agency_id: str) -> dict[str, Any]:
        """The manifest of a package, its signature verified with the agency's published key."""
        token = jws.JWS()
        token.deserialize(
            files["manifest.jws"].decode(), jwk.JWK(**self.keys[agency_id].signing.as_dict(private=False))
        )
        assert token.jose_header["typ"] == "mydata-manifest+jwt"
        assert token.jose_header["kid"] == self.keys[agency_id].signing.kid
        return dict(json.loads(token.payload))

    def by_api_key(self, dataset: str, *, api_key: str = API_KEY, citizen: str = JIA, fields: str = "") -> TestResponse:
        """Ask the agency that speaks no JOSE, as the platform's plain connector does."""
        asked = fields or ",".join(item["id"] for item in self.datasets[dataset]["fields"])
        headers = {"X-Api-Key": api_key, "X-Citizen-Id": citizen, "X-Transaction-Id": "T7K2M-9QXA-4F3C"}
        query = {"fields": asked, "period": PARAMETERS["period"]}
        return self.client.get(f"/nhi/records/{dataset}", headers=headers, query_string=query)


def new_enc() -> ECKey:
    """A decryption key of an agency."""
    return ECKey.generate_key("P-256", {"use": "enc", "alg": "ECDH-ES"}, auto_kid=True)


EXAMPLES = Path(__file__).parents[2] / "client_examples"
