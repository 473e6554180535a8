"""The chain: what is asked of whom, in which order, and what the client gets."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from authz_server.catalogue.model import Catalogue
from authz_server.core import dpop, jose
from resource_proxy import delivery
from resource_proxy.app import create_app
from resource_proxy.authz_client import form_encoded
from resource_proxy.config import ProxySettings
from resource_proxy.connectors.base import CHUNK_BYTES
from tests.resource_proxy.people import (
    AGENCY,
    DATASET,
    LARGE,
    PROXY_URL,
    SEVERAL_CHUNKS,
    TRACE_ID,
    Authz,
    Client,
    encoded,
    looks_sealed,
    new_token,
    opened,
    sealed,
)
from tests.resource_proxy.wire import Peer, Request, json_reply, reply
from tests.support.waiting import wait_until

NO_RECORD = reply(
    404,
    b'{"type":"urn:mydata:problem:no-record","status":404}',
    content_type="application/problem+json; charset=utf-8",
)


def jose_reply(body: bytes) -> bytes:
    return reply(200, body, content_type="application/jose")


def test_a_small_package_is_delivered_after_its_delivery_is_on_record(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    package = sealed(b"synthetic")
    agency.answer = lambda _: jose_reply(package)
    token = new_token()
    answer = http.get(f"/data/{DATASET}", headers=client.headers(token))
    assert (answer.status_code, answer.mimetype) == (200, "application/jose")
    assert opened(answer.data) == b"synthetic"
    assert answer.headers["Content-Length"] == str(len(package))
    assert authz.said == ["delivered"]


def test_the_exchange_is_the_one_of_rfc_8693_with_the_proofs_key_and_jti(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    agency.answer = lambda _: jose_reply(sealed(b"x"))
    token = new_token()
    http.get(f"/data/{DATASET}", headers=client.headers(token, jti="the-jti"))
    form = authz.exchanges[0]
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange"
    assert form["subject_token"] == token
    assert form["subject_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert form["resource"] == f"{PROXY_URL}/data/{DATASET}"
    assert form["dpop_jkt"] == client.key.thumbprint()
    proof = dpop.Proof(jkt=client.key.thumbprint(), jti="the-jti", iat=0, nonce=None)
    assert form["dpop_jti"] == encoded(dpop.replay_key(proof))
    claims = jose.unverified(form["client_assertion"]).claims
    assert claims["iss"] == claims["sub"] == "resource-proxy"
    assert claims["aud"] == authz.peer.url
    assert 0 < claims["exp"] - claims["iat"] <= 60


@given(
    st.dictionaries(st.from_regex(r"[a-z_]{1,9}", fullmatch=True), st.text(st.characters(exclude_categories=["Cs"])))
)
def test_a_form_arrives_as_it_was_meant(form: dict[str, str]) -> None:
    assert dict(parse_qsl(form_encoded(form), keep_blank_values=True)) == form


def test_every_call_has_an_assertion_of_its_own(http: FlaskClient, authz: Authz, agency: Peer, client: Client) -> None:
    agency.answer = lambda _: jose_reply(sealed(b"x"))
    for _ in range(3):
        http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert len({jose.unverified(form["client_assertion"]).claims["jti"] for form in authz.exchanges}) == 3


def test_the_agency_gets_the_ticket_and_the_trace_id_and_never_the_token(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    agency.answer = lambda _: jose_reply(sealed(b"x"))
    token = new_token()
    http.get(f"/data/{DATASET}", headers=client.headers(token))
    (asked,) = agency.requests
    assert (asked.method, asked.path) == ("GET", f"/datasets/{DATASET}")
    assert asked.headers["authorization"] == f"Bearer {authz.ticket}"
    assert asked.headers["x-fapi-interaction-id"] == TRACE_ID
    assert asked.headers["accept-encoding"] == "identity"
    assert token not in str(asked)
    assert all(request.headers["x-fapi-interaction-id"] == TRACE_ID for request in authz.peer.requests)


def test_a_large_package_passes_the_gate_first_and_is_complete(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    package = looks_sealed(SEVERAL_CHUNKS)
    agency.answer = lambda _: jose_reply(package)
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert answer.headers["Content-Length"] == str(len(package)), "an answer that ends early is seen to be incomplete"
    assert answer.data == package
    assert authz.said == ["delivering", "delivered"]


def test_a_package_of_unknown_length_is_delivered_too(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    package = looks_sealed(SEVERAL_CHUNKS)
    head = b"HTTP/1.1 200 Said\r\nContent-Type: application/jose\r\nTransfer-Encoding: chunked\r\n\r\n"
    parts = [package[start : start + 7777] for start in range(0, len(package), 7777)]
    agency.answer = lambda _: head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert answer.data == package
    assert "Content-Length" not in answer.headers
    assert authz.said == ["delivering", "delivered"]


def test_the_last_chunk_is_not_sent_before_the_delivery_is_on_record(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    package = looks_sealed(SEVERAL_CHUNKS)
    agency.answer = lambda _: jose_reply(package)
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()), buffered=False)
    sent = 0
    for piece in answer.iter_encoded():
        sent += len(piece)
        assert (sent == len(package)) == ("delivered" in authz.said)
    assert sent == len(package)
    answer.close()


def test_what_is_held_back_is_at_least_a_whole_chunk(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    authz.outcome_says["delivered"] = 409
    for size in (2 * CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES - 1):
        package = looks_sealed(size)
        agency.answer = lambda _, package=package: jose_reply(package)  # type: ignore[misc]
        answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
        assert 0 < len(answer.data) <= size - CHUNK_BYTES
        assert package.startswith(answer.data)


def test_x01_a_refused_token_is_401_and_no_agency_is_asked(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    for error in ("invalid_request", "invalid_target"):
        authz.exchange_says = lambda _, error=error: json_reply(400, {"error": error})
        answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        assert answer.json is not None
        assert answer.json["trace_id"] == TRACE_ID
    assert agency.requests == []
    assert authz.outcomes == []


def test_x01_a_refusal_at_the_gate_sends_nothing(http: FlaskClient, authz: Authz, agency: Peer, client: Client) -> None:
    authz.outcome_says["delivering"] = 409
    agency.answer = lambda _: jose_reply(looks_sealed(SEVERAL_CHUNKS))
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert [(said["outcome"], said.get("reason")) for said in authz.outcomes] == [
        ("delivering", None),
        ("failed", "consent_ended"),
    ]


def test_x01_a_refused_delivery_of_a_small_package_sends_nothing(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    authz.outcome_says["delivered"] = 409
    agency.answer = lambda _: jose_reply(sealed(b"x"))
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")


@pytest.mark.parametrize("size", [1000, SEVERAL_CHUNKS])
def test_a_lost_report_counts_as_refused_and_gives_the_token_back(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client, size: int
) -> None:
    gate = "delivered" if size == 1000 else "delivering"
    authz.outcome_says[gate] = None
    agency.answer = lambda _: jose_reply(looks_sealed(size))
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    assert answer.headers["Retry-After"] == "5"
    assert [(said["outcome"], said.get("reason")) for said in authz.outcomes] == [
        (gate, None),
        ("failed", None),
    ]


def test_a_lost_report_at_the_end_holds_the_last_chunk_back(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    authz.outcome_says["delivered"] = None
    agency.answer = lambda _: jose_reply(looks_sealed(SEVERAL_CHUNKS))
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert len(answer.data) <= SEVERAL_CHUNKS - CHUNK_BYTES
    assert authz.said == ["delivering", "delivered", "failed"]


def test_a_transfer_that_takes_its_time_asks_whether_it_may_go_on(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ASK_AFTER_S", 0)
    package = looks_sealed(4 * CHUNK_BYTES)
    agency.answer = lambda _: jose_reply(package)
    answer = http.get(f"/data/{LARGE}", headers=client.headers(new_token(), LARGE))
    assert answer.data == package
    assert authz.said == ["delivering", *["continuing"] * 3, "delivered"]


def test_when_the_consent_ends_no_other_part_is_sent(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ASK_AFTER_S", 0)
    agency.answer = lambda _: jose_reply(looks_sealed(4 * CHUNK_BYTES))
    answer = http.get(f"/data/{LARGE}", headers=client.headers(new_token(), LARGE), buffered=False)
    pieces = answer.iter_encoded()
    next(pieces)
    authz.outcome_says["continuing"] = 409
    assert list(pieces) == []
    answer.close()
    assert [(said["outcome"], said.get("reason")) for said in authz.outcomes] == [
        ("delivering", None),
        ("continuing", None),
        ("continuing", None),
        ("failed", "consent_ended"),
    ]


def test_while_nobody_can_be_asked_a_transfer_stands_still_and_then_goes_on(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ASK_AFTER_S", 0)
    package = looks_sealed(4 * CHUNK_BYTES)
    agency.answer = lambda _: jose_reply(package)
    answer = http.get(f"/data/{LARGE}", headers=client.headers(new_token(), LARGE), buffered=False)
    pieces = answer.iter_encoded()
    first = next(pieces)
    authz.outcome_says["continuing"] = 503
    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(next, pieces)
        wait_until(lambda: authz.said.count("continuing") >= 3, "it asks again and again")
        assert not second.done()
        authz.outcome_says["continuing"] = 204
        assert first + second.result() + b"".join(pieces) == package
    answer.close()


def test_a_transfer_that_nobody_permits_to_go_on_is_given_up(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ASK_AFTER_S", 0)
    monkeypatch.setattr(delivery, "PATIENCE_S", 0)
    authz.outcome_says["continuing"] = 503
    agency.answer = lambda _: jose_reply(looks_sealed(4 * CHUNK_BYTES))
    answer = http.get(f"/data/{LARGE}", headers=client.headers(new_token(), LARGE))
    assert answer.data == b""
    assert authz.said == ["delivering", "continuing", "failed"]


def test_a_permission_that_comes_too_late_permits_nothing(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be older than the end of the consent, and the citizen has been told that nothing more leaves."""
    for name in ("ASK_AFTER_S", "PERMITTED_S", "PATIENCE_S"):
        monkeypatch.setattr(delivery, name, 0)
    agency.answer = lambda _: jose_reply(looks_sealed(4 * CHUNK_BYTES))
    answer = http.get(f"/data/{LARGE}", headers=client.headers(new_token(), LARGE))
    assert answer.data == b""
    assert authz.said == ["delivering", "continuing", "failed"]


def test_preparing_is_202_with_the_agencys_time_and_on_record(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    agency.answer = lambda _: reply(202, retry_after="7200")
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert answer.status_code == 202
    assert answer.json == {"status": "preparing", "retry_after_s": 7200}
    assert answer.headers["Retry-After"] == "7200"
    assert [(said["outcome"], said["retry_after"]) for said in authz.outcomes] == [("preparing", "7200")]


def test_asking_before_the_agencys_time_is_202_without_asking_it(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    authz.exchange_says = lambda _: json_reply(400, {"error": "temporarily_unavailable", "retry_after": 30})
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert (answer.status_code, answer.headers["Retry-After"]) == (202, "30")
    assert answer.json == {"status": "preparing", "retry_after_s": 30}
    assert agency.requests == []


@pytest.mark.parametrize("said", ["urn:mydata:acr:level-1", 'urn:mydata:"acr:\r\nlevel-1'])
def test_a_sign_in_that_is_too_weak_by_now_is_a_challenge_that_says_what_to_ask_for(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client, said: str
) -> None:
    error = "insufficient_user_authentication"
    authz.exchange_says = lambda _: json_reply(400, {"error": error, "acr_values": said})
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    challenge = answer.headers["WWW-Authenticate"]  # RFC 9470 section 3
    assert (answer.status_code, challenge.split(", ")[0]) == (401, f'DPoP error="{error}"')
    assert 'acr_values="urn:mydata:acr:level-1"' in challenge
    assert agency.requests == []


def test_of_several_levels_that_would_do_each_is_named(http: FlaskClient, authz: Authz, client: Client) -> None:
    levels = "urn:mydata:acr:level-2 urn:mydata:acr:~3"
    error = {"error": "insufficient_user_authentication", "acr_values": levels}
    authz.exchange_says = lambda _: json_reply(400, error)
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert f'acr_values="{levels}"' in answer.headers["WWW-Authenticate"]


def test_no_record_is_an_answer_of_its_own_and_on_record(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    agency.answer = lambda _: NO_RECORD
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert answer.json is not None
    assert answer.json["type"] == "urn:mydata:problem:no-record"
    assert authz.said == ["no_record"]


@pytest.mark.parametrize("status", [202, 404])
def test_an_answer_without_a_package_leaves_its_place_at_the_agency(
    settings: ProxySettings, real_catalogue: Catalogue, agency: Peer, client: Client, status: int
) -> None:
    of_one_place = replace(settings.agencies["ris"], max_concurrent=1)
    http = create_app(replace(settings, agencies={"ris": of_one_place}), catalogue=real_catalogue).test_client()
    problem = b'{"type":"urn:mydata:problem:no-record"}'
    agency.answer = lambda _: reply(status, problem, content_type="application/problem+json")
    for _ in range(2):
        assert http.get(f"/data/{DATASET}", headers=client.headers(new_token())).status_code == status


@pytest.mark.parametrize("answer_of_agency", ["202", "404"])
def test_an_outcome_that_is_refused_is_401_whatever_the_agency_said(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client, answer_of_agency: str
) -> None:
    authz.outcome_says |= {"preparing": 409, "no_record": 409}
    problem = b'{"type":"urn:mydata:problem:no-record"}'
    agency.answer = lambda _: reply(int(answer_of_agency), problem, content_type="application/problem+json")
    assert http.get(f"/data/{DATASET}", headers=client.headers(new_token())).status_code == 401


def test_a_proof_that_was_seen_before_is_said_to_be_the_proofs_fault(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    authz.exchange_says = lambda _: json_reply(400, {"error": "invalid_dpop_proof"})
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('DPoP error="invalid_dpop_proof", ')
    assert agency.requests == []


REFUSALS = ["temporarily_unavailable", "invalid_request", "insufficient_user_authentication", "invalid_dpop_proof"]


@pytest.mark.parametrize("error", REFUSALS)
def test_what_is_refused_with_another_status_than_400_is_no_refusal(
    http: FlaskClient, authz: Authz, client: Client, error: str
) -> None:
    authz.exchange_says = lambda _: json_reply(500, {"error": error})
    assert http.get(f"/data/{DATASET}", headers=client.headers(new_token())).status_code == 503


@pytest.mark.parametrize("wrong", [{"lease": ""}, {"lease": 7}, {"agency": None}])
def test_a_lease_without_all_its_parts_is_not_used(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client, wrong: dict[str, object]
) -> None:
    authz.overrides = wrong
    assert http.get(f"/data/{DATASET}", headers=client.headers(new_token())).status_code == 503
    assert agency.requests == []


@pytest.mark.parametrize(
    "says",
    [
        lambda _: reply(500),
        lambda _: reply(401, b'{"error":"invalid_client"}'),
        lambda _: json_reply(400, {"error": "invalid_scope"}),
        lambda _: reply(200, b"not json"),
        lambda _: json_reply(200, {"access_token": "ticket"}),
        lambda _: json_reply(200, ["a", "list"]),
        lambda _: reply(200, b"x" * 70_000),
        lambda _: None,
        lambda _: reply(302, location="https://elsewhere.example/"),
        lambda _: b"garbage\r\n\r\n",
    ],
    ids=["500", "401", "400-other", "not-json", "half", "list", "too-long", "hangs-up", "redirect", "garbage"],
)
def test_an_authorization_server_that_fails_is_503_and_is_asked_once(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client, says: object
) -> None:
    authz.exchange_says = says  # type: ignore[assignment]
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert len(authz.exchanges) == 1
    assert agency.requests == []


def test_an_authorization_server_that_is_down_is_503(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    authz.peer.stop()
    assert http.get(f"/data/{DATASET}", headers=client.headers(new_token())).status_code == 503
    assert agency.requests == []


def test_a_lease_for_another_agency_is_not_used(http: FlaskClient, authz: Authz, agency: Peer, client: Client) -> None:
    authz.overrides = {"agency": "bli"}
    assert http.get(f"/data/{DATASET}", headers=client.headers(new_token())).status_code == 502
    assert agency.requests == []
    assert authz.said == ["failed"]


def test_a_failure_is_reported_again_when_the_first_report_is_lost(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    authz.outcome_says["failed"] = None
    agency.answer = lambda _: reply(500)
    assert http.get(f"/data/{DATASET}", headers=client.headers(new_token())).status_code == 503
    assert authz.said == ["failed", "failed"]
    assert len({said["lease"] for said in authz.outcomes}) == 1


def test_a_bug_in_a_connector_gives_the_token_back(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("resource_proxy.connectors.http_answer.judge", broken)
    agency.answer = lambda _: jose_reply(sealed(b"x"))
    answer = http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert [(said["outcome"], said.get("reason")) for said in authz.outcomes] == [("failed", None)]


def test_a_client_that_closes_early_is_reported_once(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    agency.answer = lambda _: jose_reply(looks_sealed(5 * CHUNK_BYTES))
    answer = http.get(f"/data/{LARGE}", headers=client.headers(new_token(), LARGE), buffered=False)
    next(iter(answer.iter_encoded()))
    answer.close()
    answer.close()
    assert [(said["outcome"], said.get("reason")) for said in authz.outcomes] == [
        ("delivering", None),
        ("failed", "client_hung_up"),
    ]


def test_a_body_that_is_never_read_is_reported_as_hung_up(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    agency.answer = lambda _: jose_reply(looks_sealed(SEVERAL_CHUNKS))
    http.get(f"/data/{DATASET}", headers=client.headers(new_token()), buffered=False).close()
    assert authz.said == ["delivering", "failed"]


def test_the_request_body_to_the_authorization_server_is_a_form(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client
) -> None:
    agency.answer = lambda _: jose_reply(sealed(b"x"))
    http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    request: Request = authz.peer.requests[0]
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert all(len(values) == 1 for values in parse_qs(request.body.decode()).values())


def test_a_bug_in_mid_stream_is_not_blamed_on_the_client(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    agency.answer = lambda _: jose_reply(looks_sealed(5 * CHUNK_BYTES))
    answer = http.get(f"/data/{LARGE}", headers=client.headers(new_token(), LARGE), buffered=False)
    pieces = iter(answer.iter_encoded())
    next(pieces)

    def broken(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("resource_proxy.connectors.http_answer.read", broken)
    with pytest.raises(ZeroDivisionError):
        list(pieces)
    answer.close()
    assert [(said["outcome"], said.get("reason")) for said in authz.outcomes] == [
        ("delivering", None),
        ("failed", None),
    ]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (reply(202, retry_after="60"), {"fetch.preparing": {"retry_after_s": 60}}),
        (NO_RECORD, {"fetch.no_record": {}}),
        (reply(500), {"fetch.failed": {"reason": "agency_down"}}),
        (reply(200, looks_sealed(1024), content_type="application/jose"), {"fetch.delivered": {"bytes": 1024}}),
    ],
)
def test_the_log_says_of_each_fetch_how_it_ended(
    http: FlaskClient,
    authz: Authz,
    agency: Peer,
    client: Client,
    caplog: pytest.LogCaptureFixture,
    answer: Any,
    told: dict[str, dict[str, Any]],
) -> None:
    agency.answer = lambda _: answer
    with caplog.at_level(logging.INFO, "mydata"):
        http.get(f"/data/{DATASET}", headers=client.headers(new_token()))
    known = {"transaction_id": "T7K2M-9QXA-4F3C", "agency_id": AGENCY, "dataset_id": DATASET}
    assert fetches_in(caplog) == [(name, known | more) for name, more in told.items()]


def test_the_log_says_when_a_failure_could_not_be_reported(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    agency.answer = lambda _: reply(500)
    authz.outcome_says["failed"] = 503
    with caplog.at_level(logging.INFO, "mydata"):
        assert http.get(f"/data/{DATASET}", headers=client.headers(new_token())).status_code == 503
    assert [(name, more.get("attempt")) for name, more in fetches_in(caplog)] == [
        ("fetch.unreported", 1),
        ("fetch.unreported", 2),
        ("fetch.failed", None),
    ]
    assert authz.said == ["failed", "failed"]


def fetches_in(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    """What the log says of fetches, in order."""
    return [
        (record.message, record.identifiers)  # type: ignore[attr-defined]  # as `logging.event` has it
        for record in caplog.records
        if record.message.startswith("fetch.")
    ]
