"""A populated authorization server in this process, and its peers: a bank, the proxy, a citizen's browser.

The peers speak the protocol as an outsider does, over Flask's test client; nothing of the server is patched.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import orjson
import pyotp
from flask import Flask
from flask.testing import FlaskClient
from jwcrypto import jwk, jws
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server import config
from authz_server.catalogue.model import Catalogue
from authz_server.clients import service as clients
from authz_server.config import Settings
from authz_server.core import clock, jose
from authz_server.database import new_engine
from authz_server.extensions import Services
from authz_server.identity import csrf, sessions
from authz_server.identity import service as identity
from authz_server.identity.models import Citizen

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
ISSUER = "https://mydata.example"
PROXY_URL = "https://data.mydata.example"
PASSWORD = "correct horse battery"
CALLBACK = "https://bank.example/callback"
PURPOSE = "loan"
REASON = {"zh": "核對您填寫的資料", "en": "To check what you have filled in"}  # what each dataset is needed for


def new_key(alg: str = "ES256") -> jose.Key:
    """A new private key."""
    (key,) = jose.parse_private_keys({"keys": [jose.generate_key(alg)]})
    return key


@cache
def key_of(owner: str, alg: str = "ES256") -> jose.Key:
    """The key of somebody who is registered on every platform of this process."""
    return new_key(alg)


def public(*keys: jose.Key) -> dict[str, Any]:
    """The JWKS that their owner publishes."""
    return {"keys": [key.public_jwk() for key in keys]}


def settings_for(database_url: str, folder: Path) -> Settings:
    """Settings of a server behind https, with its keys in this folder."""
    (folder / "keys.json").write_bytes(orjson.dumps({"keys": [jose.generate_key("ES256")]}))
    (folder / "keys.json").chmod(0o600)
    (folder / "secret").write_bytes(b"s" * 32)
    document = {
        "issuer": ISSUER,
        "database_url": database_url,
        "keys_file": "keys.json",
        "secret_file": "secret",
        "proxy_url": PROXY_URL,
        "sandbox": True,
        "method_levels": {"password_totp": 1, "passkey": 2},
    }
    return config.parse(document, base=folder)


@dataclass
class Peer:
    """Somebody with a client_id and keys."""

    client_id: str
    issuer: str
    browser: FlaskClient
    key: jose.Key = field(default_factory=new_key)

    def assertion(self, **changes: Any) -> str:
        """A client assertion (RFC 7523); `changes` replace claims, None drops one."""
        moment = int(clock.now().timestamp())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.issuer,
            "iat": moment,
            "exp": moment + 60,
            "jti": secrets.token_urlsafe(16),
        } | changes
        return jose.sign({name: value for name, value in claims.items() if value is not None}, self.key)

    def post(self, path: str, form: dict[str, Any], headers: dict[str, str] | None = None) -> TestResponse:
        """POST an authenticated form; None drops a parameter."""
        whole = {
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion() if "client_assertion" not in form else None,
        } | form
        sent = {name: value for name, value in whole.items() if value is not None}
        return self.browser.post(path, data=sent, headers=headers)


@dataclass
class Bank(Peer):
    """A service provider with one DPoP key."""

    dpop_key: jose.Key = field(default_factory=new_key)
    encryption_key: jose.Key = field(default_factory=lambda: new_key("ECDH-ES"))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def proof(
        self, method: str, url: str, *, key: jose.Key | None = None, token: str | None = None, **more: Any
    ) -> str:
        """A DPoP proof (RFC 9449); `more` replaces claims, None drops one."""
        key = key or self.dpop_key
        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": url,
            "iat": int(clock.now().timestamp()),
        }
        if token is not None:
            claims["ath"] = base64url(hashlib.sha256(token.encode()).digest())
        claims = {name: value for name, value in (claims | more).items() if value is not None}
        return sign_with_header(claims, key, {"typ": "dpop+jwt", "alg": "ES256", "jwk": public_members(key)})

    def parameters(self, *details: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """The parameters of a good authorization request."""
        parameters: dict[str, Any] = {
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "scope": "openid",
            "state": "state-of-the-bank",
            "nonce": "nonce-of-the-bank",
            "code_challenge": base64url(hashlib.sha256(self.verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        if details:
            parameters["authorization_details"] = orjson.dumps(details).decode()
        return parameters | changes

    def push(self, *details: dict[str, Any], **changes: Any) -> str:
        """Push a request and return its request_uri."""
        answer = self.post("/par", self.parameters(*details, **changes))
        assert answer.status_code == 201, answer.text
        return str(answer.get_json()["request_uri"])

    def redeem(self, code: str, *, headers: dict[str, str] | None = None, **changes: Any) -> TestResponse:
        """Present a code at the token endpoint."""
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": self.verifier} | changes
        if headers is None:
            headers = {"DPoP": self.proof("POST", f"{self.issuer}/token")}
        return self.post("/token", form, headers)


@dataclass
class Proxy(Peer):
    """The resource proxy as the authorization server sees it."""

    proxy_url: str = ""

    def exchange(self, token: str, dataset: str, *, jkt: str, **changes: Any) -> TestResponse:
        """Swap a dataset token for an agency ticket."""
        form = {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            "resource": f"{self.proxy_url}/data/{dataset}",
            "dpop_jkt": jkt,
            "dpop_jti": base64url(secrets.token_bytes(32)),
        } | changes
        return self.post("/token", form)

    def report(self, lease: str, outcome: str, **more: Any) -> TestResponse:
        """Say how the fetch went."""
        return self.browser.post("/outcomes", data={"lease": lease, "outcome": outcome} | more)


@dataclass
class CitizenBrowser:
    """A citizen's browser: follows forms, keeps cookies."""

    client: FlaskClient
    username: str
    totp_secret: str

    def csrf(self, action: str) -> str:
        """The token of a form of that action, as whoever has the session can make it."""
        cookie = self.client.get_cookie("__Host-mydata")
        assert cookie is not None
        return csrf.csrf_token(cookie.value, action)

    def authorize(self, client_id: str, request_uri: str) -> TestResponse:
        """Open the authorization URL, signing in where that is asked; the consent page (or whatever came instead)."""
        page = self.client.get("/authorize", query_string={"client_id": client_id, "request_uri": request_uri})
        if page.status_code == 303 and page.location.startswith("/sign-in"):
            page = self.sign_in(page.location)
            if page.status_code == 303:
                page = self.client.get(page.location)
        return page

    def sign_in(self, location: str = "/sign-in") -> TestResponse:
        """Fill in the sign-in form."""
        page = self.client.get(location)
        fields = hidden_fields(page.text) | {
            "username": self.username,
            "password": PASSWORD,
            "one_time_code": pyotp.TOTP(self.totp_secret).at(clock.now()),
            "action": "sign-in",
        }
        return self.client.post("/sign-in", data=fields)

    def decide(self, page: TestResponse, decision: str = "approve", optional: tuple[str, ...] = ()) -> TestResponse:
        """Press a button of the consent page."""
        action = re.search(r'<form[^>]*action="(/consent/[^"/]+)"', page.text)
        assert action is not None, page.text
        fields: dict[str, Any] = hidden_fields(page.text) | {"decision": decision, "optional": list(optional)}
        return self.client.post(action[1], data=fields)


class Platform:
    """Everything registered; use it as a context manager.

    Args: totp_secrets: of the citizens of a database where everybody is registered; None: `register` is still to come.
    """

    def __init__(
        self, app: Flask, settings: Settings, catalogue: Catalogue, totp_secrets: Mapping[str, str] | None = None
    ) -> None:
        self.app = app
        self.settings = settings
        self.catalogue = catalogue
        self.engine = new_engine(settings.database_url)
        issuer = settings.issuer
        self.bank, self.other_bank = (
            Bank(name, issuer, self.browser(), key_of(name), encryption_key=key_of(name, "ECDH-ES"))
            for name in ("jia-bank", "yi-bank")
        )
        self.proxy = Proxy("proxy", issuer, self.browser(), key_of("proxy"), proxy_url=settings.proxy_url)
        self.agency_keys = {
            agency.id: (key_of(agency.id), key_of(agency.id, "ECDH-ES")) for agency in catalogue.agencies
        }
        self.totp_secrets = dict(totp_secrets or {})

    def register(self) -> None:
        """Register the banks, the proxy, all agencies and two citizens."""
        services: Services = self.app.extensions["mydata"]
        context = clients.Context(self.catalogue, sandbox=True)
        now = clock.now()
        with Session(self.engine) as session, session.begin():
            for bank in (self.bank, self.other_bank):
                clients.register(session, self.registration(bank), context=context, now=now)
            proxy = {"client_id": "proxy", "profile": "resource_server", "jwks": public(self.proxy.key)}
            proxy["name"] = {"zh": "資料代理", "en": "Resource proxy"}
            clients.register(session, proxy, context=context, now=now)
            for agency_id, keys in self.agency_keys.items():
                document = {"id": agency_id, "connector": "jose", "jwks": public(*keys)}
                clients.register_agency(session, document, context=context, now=now)
            for username, name, national_id in (
                ("citizen1", "測試市民甲", "A123456789"),
                ("citizen2", "測試市民乙", "B123456780"),
            ):
                self.totp_secrets[username] = identity.create_citizen(
                    session,
                    identity.Person(
                        username=username,
                        name=name,
                        national_id=national_id,
                        birthdate=date(1980, 1, 2),
                        email=f"{username}@citizen.example",
                        locale="en",
                    ),
                    password=PASSWORD,
                    server_secret=services.secret,
                    now=now,
                    checked_in_person=True,
                ).totp_secret
        services.registry.reload()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.dispose()

    def browser(self) -> FlaskClient:
        """A browser without cookies. Its Host is not the issuer's: nothing may depend on that header."""
        return self.app.test_client()

    def citizen(self, username: str = "citizen1", *, signed_in: bool = True, level: int = 1) -> CitizenBrowser:
        """A citizen with a new browser.

        Already signed in unless told otherwise: a one-time code is good once, and a test has no 30 seconds to wait.
        """
        citizen = CitizenBrowser(self.browser(), username, self.totp_secrets[username])
        if signed_in:
            now, limits = clock.now(), self.settings.limits
            with Session(self.engine) as session, session.begin():
                citizen_id = session.execute(select(Citizen.id).where(Citizen.username == username)).scalar_one()
                secret = sessions.open_session(
                    session, citizen_id, level=level, amr=("pwd", "otp"), now=now, limits=limits
                )
            citizen.client.set_cookie("__Host-mydata", secret)
        return citizen

    def registration(self, bank: Bank) -> dict[str, Any]:
        """The document that registers a bank: every dataset, its required fields required, the others optional."""
        datasets = {}
        for dataset in (self.catalogue.dataset(name) for name in self.catalogue.scopes):
            required = [item.id for item in dataset.fields if item.required]
            optional = [item.id for item in dataset.fields if not item.required]
            datasets[dataset.id] = {"fields_required": required, "fields_optional": optional, "justification": REASON}
        return {
            "client_id": bank.client_id,
            "name": {"zh": "甲銀行", "en": "First Sample Bank"},
            "registered_id": "00000000",
            "contact_phone": "02-0000-0000",
            "contact_email": "privacy@bank.example",
            "privacy_url": "https://bank.example/privacy",
            "redirect_uris": [CALLBACK],
            "jwks": public(bank.key, bank.encryption_key),
            "purposes": {
                PURPOSE: {
                    "text": {"zh": "審核您的信用貸款申請", "en": "To decide on your loan application"},
                    "use_until_days": 30,
                    "erase_by_days": 90,
                    "datasets": datasets,
                }
            },
        }

    def detail(self, dataset_id: str, optional: tuple[str, ...] = (), **parameters: str) -> dict[str, Any]:
        """An authorization detail that asks for a dataset's required fields."""
        dataset = self.catalogue.dataset(dataset_id)
        return {
            "type": "dataset",
            "dataset": dataset_id,
            "purpose": PURPOSE,
            "fields_required": [item.id for item in dataset.fields if item.required],
            "fields_optional": list(optional),
            "parameters": parameters,
        }

    def code(
        self, *details: dict[str, Any], citizen: CitizenBrowser | None = None, bank: Bank | None = None, **changes: Any
    ) -> str:
        """Push, sign in, approve; the authorization code."""
        citizen, bank = citizen or self.citizen(), bank or self.bank
        page = citizen.authorize(bank.client_id, bank.push(*details, **changes))
        assert page.status_code == 200, page.text
        return answer_of(citizen.decide(page))["code"]

    def tokens(self, *details: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """The whole way to a token response."""
        response = self.bank.redeem(self.code(*details, **changes))
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.get_json()
        return body


def answer_of(response: TestResponse) -> dict[str, str]:
    """The parameters with which a redirect went back to the bank."""
    assert response.status_code == 303, response.text
    assert response.location.startswith(CALLBACK), response.location
    return dict(parse_qsl(urlsplit(response.location).query))


def hidden_fields(html: str) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    fields = {}
    for tag in re.findall(r"<input[^>]*type=\"hidden\"[^>]*>", html):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and value:
            fields[name[1]] = value[1]
    return fields


def base64url(octets: bytes) -> str:
    """Unpadded base64url."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def public_members(key: jose.Key) -> dict[str, Any]:
    """The bare public JWK, as proofs carry it."""
    return {name: value for name, value in key.public_jwk().items() if name in {"kty", "crv", "x", "y", "n", "e"}}


def sign_with_header(claims: dict[str, Any], key: jose.Key, header: dict[str, Any]) -> str:
    """A JWS with a header of one's own, by jwcrypto: the server's JOSE module is not its own judge."""

    token = jws.JWS(orjson.dumps(claims))
    token.add_signature(jwk.JWK(**key.native.as_dict(private=True)), protected=orjson.dumps(header).decode())
    return str(token.serialize(compact=True))
