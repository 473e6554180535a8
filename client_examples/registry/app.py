"""One endpoint: a sealed question in, a signed yes or no out. What the registry knows never leaves it."""

import base64
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, Response, request
from joserfc import jws
from joserfc.jwk import ECKey

from client_examples.demo_agency.people import is_national_id
from client_examples.demo_agency.platform import PlatformUnavailable
from client_examples.demo_agency.problems import problem, retry_later
from client_examples.demo_agency.ticket import Refused, TooBusy

from .books import documents_of
from .question import Question, Reader

ANSWER_TYPE = "registry-answer+jwt"
ANSWER_LIFE_S = 60
# How much a yes is worth, as an identity level: 1 is the highest, 4 the lowest.
ASSURANCE = {"health_card": 3, "two_documents": 4}

log = logging.getLogger("registry")


@dataclass(frozen=True)
class Registry:
    """All that the route needs."""

    reader: Reader
    signing_key: ECKey
    now: Callable[[], int] = lambda: int(time.time())


def create_app(registry: Registry) -> Flask:
    """Return the WSGI application."""
    app = Flask(__name__)

    @app.post("/verifications")
    def verify() -> Response:
        raw = request.get_data()
        question = registry.reader.read(raw, now=registry.now())
        if question.check not in ASSURANCE:
            return problem(400, "a check that is not made here")
        answer = signed_answer(registry, raw, question, verified=holds(question))
        return Response(answer, mimetype="application/jwt", headers={"Cache-Control": "no-store"})

    @app.get("/health")
    def health() -> Response:
        return Response("ok\n", mimetype="text/plain")

    app.register_error_handler(Refused, refused)
    app.register_error_handler(TooBusy, lambda _: retry_later("too many questions at once"))
    app.register_error_handler(PlatformUnavailable, lambda _: retry_later("the platform cannot be reached"))
    return app


def holds(question: Question) -> bool:
    """Whether everything is right. All of it is compared, whatever was wrong before, also for people that nobody is."""
    national_id = question.evidence.get("national_id", "")
    expected = documents_of(national_id).evidence(question.check)
    right = [equal(question.evidence.get(name, ""), value) for name, value in expected.items()]
    return all(right) and set(question.evidence) == set(expected) and is_national_id(national_id)


def equal(given: str, known: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), known.encode())


def signed_answer(registry: Registry, raw: bytes, question: Question, *, verified: bool) -> str:
    """Yes or no, to this very question and for this platform alone. No value of the books is in it."""
    now = registry.now()
    claims = {
        "iss": registry.reader.registry_id,
        "aud": registry.reader.issuer,
        "iat": now,
        "exp": now + ANSWER_LIFE_S,
        "jti": secrets.token_urlsafe(16),
        "question_hash": base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode(),
        "verified": verified,
        "assurance": ASSURANCE[question.check],
    }
    header = {"alg": "ES256", "typ": ANSWER_TYPE, "kid": registry.signing_key.kid}
    return jws.serialize_compact(header, json.dumps(claims).encode(), registry.signing_key, algorithms=["ES256"])


def refused(error: Refused) -> Response:
    """One answer for every bad question; the reason is for this registry's log."""
    log.warning("question refused: %s", error)
    return problem(400, "the question was refused")
