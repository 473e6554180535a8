"""A registry at the wire: the sandbox's own program in a thread, or answers of the test's choice in its place."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from joserfc.jwk import Key
from jwcrypto import jwe, jwk, jws
from werkzeug.serving import make_server

from authz_server.core import clock, jose
from client_examples.demo_agency.keys import AgencyKeys, load_or_create
from client_examples.demo_agency.ticket import UsedTickets
from client_examples.registry.app import Registry, create_app
from client_examples.registry.question import Reader
from tests.support.listening import listening

REGISTRY_ID = "registry"
Answering = Callable[[bytes], Response]


@dataclass
class RunningRegistry:
    """A registry that listens. `answer_with` replaces its answers; `questions` are the bodies that came."""

    url: str
    keys: AgencyKeys
    jwks_file: Path
    answer_with: Answering | None = None
    questions: list[bytes] = field(default_factory=list)

    def opened(self, question: bytes) -> dict[str, Any]:
        """The claims of a question, opened by another library than that which made it."""
        key = jwk.JWK.from_json(json.dumps(self.keys.decryption.as_dict(private=True)))
        token = jwe.JWE()
        token.deserialize(question.decode(), key)
        signed = jws.JWS()
        signed.deserialize(token.payload.decode())
        return dict(json.loads(signed.objects["payload"]))

    def settings(self) -> dict[str, Any]:
        """The table that names this registry in the server's settings."""
        return {"id": REGISTRY_ID, "url": self.url, "jwks_file": str(self.jwks_file)}


@contextmanager
def running_registry(folder: Path, *, issuer: str, platform_keys: jose.KeySet) -> Iterator[RunningRegistry]:
    """Serve until the block ends, with the time of the test."""
    keys = load_or_create(folder / "registry")
    jwks_file = folder / "registry.jwks.json"
    jwks_file.write_text(json.dumps(keys.public_jwks()))

    def platform_key(kid: str) -> Key | None:
        found = platform_keys.find(kid)
        return found.native if found else None

    reader = Reader(REGISTRY_ID, issuer, keys.decryption, platform_key, UsedTickets(started_at=0))
    app = create_app(Registry(reader, keys.signing, now=lambda: int(clock.now().timestamp())))
    running = RunningRegistry("", keys, jwks_file)
    _listen_in(app, running)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    running.url = f"http://127.0.0.1:{server.server_port}"
    with listening(server):
        yield running


def _listen_in(app: Flask, running: RunningRegistry) -> None:
    @app.before_request
    def instead() -> Response | None:
        running.questions.append(request.get_data())
        return running.answer_with(request.get_data()) if running.answer_with else None
