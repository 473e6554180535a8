"""Class 35 of published vulnerabilities: no input is answered by a 5xx, and none gets in by chance."""

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz_server.identity import passwords
from tests.identity.support import Browser

ODD = st.one_of(
    st.text(max_size=80),
    st.sampled_from(["", "\0", "é" * 70, "mds_x", "1" * 300, "%00", "' OR 1=1 --", "../..", "{{7*7}}", "citizen-a"]),
)
NAMES = ["csrf", "method", "request", "return_to", "action", "lang", "username", "password", "one_time_code", "x"]
FORMS = st.dictionaries(st.sampled_from(NAMES), ODD)
QUERIES = st.dictionaries(st.sampled_from(["request", "return_to", "method", "lang", "reauth"]), ODD)
FUZZ = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is hashed does not matter here."""
    monkeypatch.setattr(passwords, "check_password", lambda *_: False)


def answered(status: int) -> bool:
    return status < 500 and status != 303


@FUZZ
@given(form=FORMS)
def test_no_form_breaks_the_sign_in(app: Flask, form: dict[str, str]) -> None:
    browser = Browser(app)
    browser.get("/sign-in")
    status = browser.post("/sign-in", {"csrf": browser.page["csrf"]} | form).status_code
    assert status < 500
    assert browser.cookie("__Host-mydata") is None
    assert answered(status) or form.get("action") == "cancel"


@FUZZ
@given(query=QUERIES, cookie=st.text(st.characters(codec="ascii", exclude_characters=";\0\r\n"), max_size=60))
def test_no_address_or_cookie_breaks_the_page(app: Flask, query: dict[str, str], cookie: str) -> None:
    headers = {"Cookie": f"__Host-mydata={cookie}; __Host-mydata-form={cookie}"}
    for path in ("/sign-in", "/sign-out", "/mine"):
        answer = app.test_client(use_cookies=False).get(path, query_string=query, headers=headers)
        assert answer.status_code < 500
        assert answer.headers.get("Location", "/").startswith("/")


@FUZZ
@given(
    body=st.binary(max_size=200), kind=st.sampled_from(["application/json", "application/x-www-form-urlencoded", "x"])
)
def test_no_body_breaks_the_sign_in(app: Flask, body: bytes, kind: str) -> None:
    for path in ("/sign-in", "/sign-out"):
        answer = app.test_client().post(path, data=body, content_type=kind)
        assert answer.status_code < 500


def test_a_multipart_body_that_is_cut_off_is_just_wrong(app: Flask) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="username"\r\n\r\nx'
    answer = app.test_client().post("/sign-in", data=body, content_type="multipart/form-data; boundary=b")
    assert 400 <= answer.status_code < 500
