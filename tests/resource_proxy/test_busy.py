"""What the proxy answers when it has no room."""

from uuid import uuid4

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import Client as Caller

from resource_proxy import busy
from resource_proxy.config import ProxySettings

TRACE_HEADER = "X-FAPI-Interaction-ID"


def test_a_client_is_told_by_a_problem_document_when_to_come_back(app: Flask, settings: ProxySettings) -> None:
    trace_id = str(uuid4())
    answer = Caller(busy.refusal(app, origin=settings.allowed_origin)).get(
        "/data/ris.personal", headers={TRACE_HEADER: trace_id}
    )
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.mimetype == "application/problem+json"
    assert answer.get_json() == {
        "type": "urn:mydata:problem:server-busy",
        "title": "The server is busy. Try again.",
        "status": 503,
        "trace_id": trace_id,
    }


def test_a_refusal_has_the_headers_of_every_answer(app: Flask, http: FlaskClient, settings: ProxySettings) -> None:
    origin = settings.allowed_origin
    refused = Caller(busy.refusal(app, origin=origin)).get("/data/ris.personal")
    answered = http.get("/data/nowhere", headers={"Origin": origin}).headers
    assert set(refused.headers.keys()) == {*answered.keys(), "Retry-After"} - {"DPoP-Nonce", "WWW-Authenticate"}
    assert refused.headers["Access-Control-Allow-Origin"] == origin, "a page that fetches may read when to come back"
