"""An OpenID Provider at the wire, which answers as a test wants it to; what it signs is signed by another library."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask, Response, jsonify, request
from jwcrypto import jwk, jws
from werkzeug.serving import make_server

from authz_server.core import clock
from tests.support.listening import listening

SUBJECT = "5-subject"


@dataclass
class RunningProvider:
    """A provider that listens.

    `claims` and `header` change what its ID tokens say (None: leave it out), `metadata` what its metadata says;
    `token_status` is what its token endpoint answers; `signing` is the key that it signs with.
    """

    issuer: str = ""
    key: jwk.JWK = field(
        default_factory=lambda: jwk.JWK.generate(kty="EC", crv="P-256", kid="1", use="sig", alg="ES256")
    )
    signing: jwk.JWK | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    token: dict[str, Any] = field(default_factory=dict)
    token_status: int = 200
    acr: str = "high"
    asked: list[dict[str, str]] = field(default_factory=list)  # the forms that came to its token endpoint
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, url: str) -> dict[str, str]:
        """Sign in there, at the URL that the browser was sent to; the parameters of the way back."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        code = f"code-{len(self._codes)}"
        self._codes[code] = query
        return {"code": code, "state": query["state"], "iss": self.issuer}

    def id_token(self, query: dict[str, str], access_token: str) -> str:
        """The ID token for an authorization request."""
        now = int(clock.now().timestamp())
        header = {"alg": "ES256", "kid": "1"} | self.header
        # OpenID Connect Core section 3.1.3.6
        whole = hashlib.new("sha512" if header["alg"] in {"EdDSA", "Ed25519"} else "sha256", access_token.encode())
        half = whole.digest()[: whole.digest_size // 2]
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": SUBJECT,
            "aud": query["client_id"],
            "nonce": query["nonce"],
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "acr": self.acr,
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
        }
        said = {name: value for name, value in (claims | self.claims).items() if value is not None}
        if header["alg"] == "none":
            parts = [
                base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in (header, said)
            ]
            return ".".join([*parts, ""])
        signed = jws.JWS(json.dumps(said))
        signed.allowed_algs = [header["alg"]]
        signed.add_signature(self.signing or self.key, protected=json.dumps(header))
        return str(signed.serialize(compact=True))


@contextmanager
def running_provider() -> Iterator[RunningProvider]:
    """Serve until the block ends, with the time of the test."""
    running = RunningProvider()
    server = make_server("127.0.0.1", 0, _app(running), threaded=True)
    running.issuer = f"http://127.0.0.1:{server.server_port}"
    with listening(server):
        yield running


def _app(running: RunningProvider) -> Flask:
    app = Flask("provider")

    @app.get("/.well-known/openid-configuration")
    def metadata() -> Response:
        issuer = running.issuer
        document = {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return jsonify(document | running.metadata)

    @app.get("/jwks")
    def jwks() -> Response:
        return jsonify({"keys": [running.key.export_public(as_dict=True)]})

    @app.post("/token")
    def token() -> tuple[Response, int]:
        form = request.form.to_dict()
        running.asked.append(form | {"authorization": request.headers.get("Authorization", "")})
        query = running._codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        fits = query is not None and query["code_challenge"] == challenge.rstrip(b"=").decode()
        if query is None or not fits or query["redirect_uri"] != form["redirect_uri"]:
            return jsonify({"error": "invalid_grant"}), 400
        answer = {"access_token": "at", "token_type": "Bearer", "id_token": running.id_token(query, "at")}
        return jsonify({name: value for name, value in (answer | running.token).items() if value}), running.token_status

    return app
