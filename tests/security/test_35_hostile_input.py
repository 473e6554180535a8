"""Class 35: no input is answered by a server error.

Every endpoint, with what no honest client sends: JSON errors for programs, HTML pages for people, never a 5xx, never a
401 that does not say why.
"""

import json
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.support.platform import Platform
from tests.support.protocol import PUBLIC_TEXT, opened, pushed

BACK_CHANNEL = ("/par", "/token", "/introspect", "/revoke", "/outcomes", "/userinfo")
PAGES = ("/", "/authorize", "/sign-in", "/sign-out", "/record", "/consent/x", "/consent/x/extend", "/consent/x/outcome")
PARAMETERS = (
    "response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge",
    "code_challenge_method", "prompt", "max_age", "acr_values", "claims", "ui_locales", "id_token_hint", "dpop_jkt",
    "authorization_details", "request", "request_uri", "grant_type", "code", "code_verifier", "client_assertion",
    "client_assertion_type", "client_secret", "subject_token", "subject_token_type", "resource", "dpop_jti",
    "token", "token_type_hint", "lease", "outcome", "reason", "retry_after", "decision", "optional",
    "notice", "locale", "csrf", "lang", "username", "password", "one_time_code", "action", "method", "return_to",
    "before", "access_token",
)  # fmt: skip
ODD = (
    "", "\0", "\x7f", "\r\nX: y", "é", "測試", "\U0010ffff", "\ufffd", "%", "%00", "%ff", "'\"<>`", "\\", "null", "[]",
    "{}", "[" * 5000, '{"a":' * 5000, "9" * 5000, "-1", "1e999", "NaN", "٣", "x" * 20_000, "../..", "a.b.c", "....",
    "eyJhbGciOiJub25lIn0.e30.", "urn:ietf:params:oauth:request_uri:", "mdc_", "mdt_" + "x" * 43, "T" * 20,
)  # fmt: skip
odd = st.one_of(st.sampled_from(ODD), st.text(max_size=60))
json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
forms = st.dictionaries(st.sampled_from(PARAMETERS), odd, max_size=8)
header_text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=40)
headers = st.dictionaries(
    st.sampled_from(
        [
            "Authorization",
            "DPoP",
            "Accept",
            "Accept-Language",
            "Content-Type",
            "Cookie",
            "X-FAPI-Interaction-ID",
            "Host",
        ]
    ),
    st.one_of(header_text, st.sampled_from(["Basic \xff\xfe", "Basic !", "DPoP ", "DPoP a b", "Bearer", "a,b", ";=;"])),
    max_size=4,
)
BODIES = (b"\xff=\xff", b"a=%ff", b"a=%", b"=&=&=", b"a=1&a=2", b"&" * 9000, b"--x", b"a=%00")
MEDIA_TYPES = (
    "application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-16", "application/json",
    "multipart/form-data; boundary=x", "multipart/form-data", "text/plain", "", ";", "x/y; charset=\xff",
)  # fmt: skip
MEMBERS = ("type", "dataset", "purpose", "fields_required", "fields_optional", "parameters", "recipient_jwk")
FUZZ = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def answered_properly(answer: TestResponse, *, page: bool) -> None:
    """Check what holds for every answer whatsoever."""
    assert answer.status_code < 500, answer.text
    assert len(answer.headers.getlist("X-FAPI-Interaction-ID")) == 1
    if 300 <= answer.status_code < 400:
        assert answer.location.startswith("/"), answer.location
    elif not answer.data:
        assert answer.status_code in {200, 204, 304} or answer.status_code >= 400  # HEAD and OPTIONS have no body
    elif page:
        assert answer.mimetype in {"text/html", "text/css"}, answer.headers
    else:
        assert answer.mimetype == "application/json", answer.headers
        if answer.status_code >= 400:
            body = answer.get_json()
            assert PUBLIC_TEXT.fullmatch(body["error"])
            assert PUBLIC_TEXT.fullmatch(body["error_description"])
            assert answer.headers["Cache-Control"] == "no-store"


def send(platform: Platform, path: str, **request: Any) -> TestResponse:
    """A request of nobody's; headers that no HTTP library could send are not the point."""
    sent: Mapping[str, str] = request.pop("headers", {})
    if "Host" in sent:
        sent = {**sent, "Host": "".join(sent["Host"].split()) or "x"}
    return platform.browser().open(path, headers=dict(sent), **request)


@FUZZ
@given(st.sampled_from(BACK_CHANNEL), forms, headers)
def test_no_form_breaks_the_back_channel(
    platform: Platform, path: str, form: dict[str, str], headers: dict[str, str]
) -> None:
    answered_properly(send(platform, path, method="POST", data=form, headers=headers), page=False)


@FUZZ
@given(
    st.sampled_from((*BACK_CHANNEL, *PAGES)),
    st.binary(max_size=200) | st.sampled_from(BODIES),
    st.sampled_from(MEDIA_TYPES),
)
def test_no_body_breaks_an_endpoint(platform: Platform, path: str, body: bytes, kind: str) -> None:
    answer = send(platform, path, method="POST", data=body, content_type=kind)
    answered_properly(answer, page=path in PAGES)


@FUZZ
@given(
    st.sampled_from((*PAGES, *BACK_CHANNEL, "/jwks", "/catalogue", "/health")),
    st.dictionaries(st.sampled_from(PARAMETERS), st.one_of(odd.map(lambda text: text[:200])), max_size=4),
    headers,
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "QUERY", "X"]),
)
def test_no_address_breaks_anything(
    platform: Platform, path: str, query: dict[str, str], headers: dict[str, str], method: str
) -> None:
    answer = send(platform, path, method=method, query_string=query, headers=headers)
    answered_properly(answer, page=path in PAGES)


@FUZZ
@given(st.sampled_from([name for name in PARAMETERS if not name.startswith("client_")]), odd)
def test_no_parameter_of_an_authenticated_request_breaks_it(platform: Platform, name: str, value: str) -> None:
    answer = pushed(platform.bank, **{name: value})
    answered_properly(answer, page=False)
    if answer.status_code == 201:
        page = opened(platform.citizen(), platform.bank, answer.get_json()["request_uri"])
        assert page.status_code < 400, page.text


@FUZZ
@given(json_value, st.sampled_from(["claims", "authorization_details"]))
def test_no_json_breaks_a_pushed_request(platform: Platform, value: Any, name: str) -> None:
    text = json.dumps(value)
    answer = pushed(platform.bank, **{name: text})
    answered_properly(answer, page=False)


@FUZZ
@given(
    st.sampled_from(
        ["type", "dataset", "purpose", "fields_required", "fields_optional", "parameters", "recipient_jwk"]
    ),
    json_value,
)
def test_no_member_of_a_detail_breaks_it(platform: Platform, member: str, value: Any) -> None:
    detail = platform.detail("ris.personal") | {member: value}
    answered_properly(pushed(platform.bank, authorization_details=json.dumps([detail])), page=False)


@FUZZ
@given(st.sampled_from(["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "cnf", "x"]), json_value)
def test_no_claim_of_an_assertion_breaks_the_authentication(platform: Platform, claim: str, value: Any) -> None:
    try:
        orjson.dumps(value)
    except TypeError:
        value = str(value).encode("utf-8", "replace").decode()
    answered_properly(pushed(platform.bank, client_assertion=platform.bank.assertion(**{claim: value})), page=False)


@FUZZ
@given(forms)
def test_no_form_breaks_a_signed_in_citizens_pages(platform: Platform, form: dict[str, str]) -> None:
    citizen = platform.citizen()
    page = opened(citizen, platform.bank, platform.bank.push())
    address = page.text.split('action="/consent/')[1].split('"')[0].split("/")[0]
    for path in (f"/consent/{address}", f"/consent/{address}/extend"):
        answered_properly(citizen.client.post(path, data=form), page=True)


@pytest.mark.parametrize("path", [*BACK_CHANNEL, *PAGES])
def test_a_body_beyond_all_bounds_is_refused_unread(platform: Platform, path: str) -> None:
    answer = send(platform, path, method="POST", data=b"a=" + b"x" * 200_000, content_type="text/plain")
    answered_properly(answer, page=path in PAGES)
    form = send(platform, path, method="POST", data={"a": "x" * 200_000})
    answered_properly(form, page=path in PAGES)


@pytest.mark.parametrize("name", ["\0", "x\0y"])
def test_a_nul_in_any_address_or_form_is_just_wrong(platform: Platform, name: str) -> None:
    """PostgreSQL has no NUL in its texts: what is looked up must be refused before."""
    addresses = ["/sign-in", "/authorize", "/record", f"/consent/{name}", f"/consent/{name}/outcome"]
    for client in (platform.browser(), platform.citizen().client):
        for path in addresses:
            for parameter in ("request", "client_id", "request_uri", "return_to", "before", "username", name):
                answered_properly(client.get(path, query_string={parameter: name}), page=True)
                answered_properly(client.post(path, data={parameter: name}), page=True)


def test_a_nul_is_just_wrong_also_to_who_takes_any_kind_of_answer(platform: Platform) -> None:
    citizen = platform.citizen().client
    for part in ("consent", "consents", "counter", "download", "messages", "record"):
        assert citizen.get(f"/{part}/x\0y", headers={"Accept": "*/*"}).status_code in {400, 404}, part
