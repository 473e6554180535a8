"""The proxy has nowhere to put data, says no secret in its log, and answers every input without falling over."""

import io
import logging as levels
import os
import string
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz_server.core import logging
from tests.resource_proxy.people import CANARY, DATASET, Authz, Client, looks_sealed, new_token
from tests.resource_proxy.wire import Peer, reply

# A body that is looked for afterwards.
PACKAGE = looks_sealed(400_000) + CANARY.encode()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the log handler of production writes, at the level of an operator who looks for trouble."""
    stream = io.StringIO()
    handler = levels.StreamHandler(stream)
    handler.setFormatter(logging.JsonLines())
    root, library = levels.getLogger(), levels.getLogger("urllib3")
    before = root.level, library.level
    root.addHandler(handler)
    root.setLevel(levels.DEBUG)
    library.setLevel(levels.INFO)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before[0])
    library.setLevel(before[1])


def test_no_secret_and_no_data_is_in_the_log(
    http: FlaskClient, authz: Authz, agency: Peer, client: Client, *, log: io.StringIO
) -> None:
    said = [
        reply(200, PACKAGE, content_type="application/jose"),
        reply(500, CANARY.encode()),
        reply(200, PACKAGE),
        None,
    ]
    token = new_token()
    headers = client.headers(token)
    for answer in said:
        agency.answer = lambda _, answer=answer: answer  # type: ignore[misc]
        http.get(f"/data/{DATASET}", headers=client.headers(token)).get_data()
    http.get(f"/data/{DATASET}?access_token={token}", headers=headers)
    http.get(f"/data/{DATASET}", headers=headers | {"DPoP": "x"})
    authz.outcome_says |= {"delivering": None, "failed": None}
    http.get(f"/data/{DATASET}", headers=client.headers(token))
    text = log.getvalue()
    assert "fetch.delivered" in text
    assert "T7K2M-9QXA-4F3C" in text
    leases = [outcome["lease"] for outcome in authz.outcomes]
    assertions = [form["client_assertion"] for form in authz.exchanges]
    for secret in (CANARY, token, headers["DPoP"], authz.ticket, *leases, *assertions):
        assert secret not in text


def test_no_file_is_written_and_no_database_is_there(
    http: FlaskClient, agency: Peer, client: Client, tmp_path: Path, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    watching = True

    def watch(event: str, args: tuple[object, ...]) -> None:
        if not watching:
            return
        writes = event == "open" and (str(args[1])[:1] in "wax+" or int(str(args[2] or 0)) & (os.O_WRONLY | os.O_RDWR))
        if writes or event.startswith(("tempfile.", "sqlite3.", "shutil.")):
            opened.append(f"{event} {args[0]}")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    sys.addaudithook(watch)
    agency.answer = lambda _: reply(200, PACKAGE, content_type="application/jose")
    assert http.get(f"/data/{DATASET}", headers=client.headers(new_token())).data == PACKAGE
    watching = False
    assert opened == []
    assert list(tmp_path.iterdir()) == []


def test_the_proxy_does_not_import_the_server_it_talks_to() -> None:
    for path in (Path(__file__).parents[2] / "resource_proxy").rglob("*.py"):
        for line in path.read_text().splitlines():
            if line.startswith(("from authz_server", "import authz_server")):
                assert line.split()[1].startswith(("authz_server.core", "authz_server.catalogue")), f"{path}: {line}"


HEADER_TEXT = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=200)
TOKEN_TEXT = st.text(string.ascii_letters + string.digits + '-_.,= é"', max_size=120)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"]),
    path=st.one_of(
        st.sampled_from([f"/data/{DATASET}", "/.well-known/oauth-protected-resource", "/health", "/data/"]),
        st.text(st.characters(codec="utf-8", exclude_characters="?#"), max_size=80).map(lambda text: f"/data/{text}"),
        st.text(st.characters(codec="utf-8", exclude_characters="?#"), max_size=80).map(lambda text: f"/{text}"),
    ),
    query=st.text(st.characters(codec="latin-1", exclude_characters="#"), max_size=100),
    authorization=st.one_of(HEADER_TEXT, TOKEN_TEXT.map(lambda text: f"DPoP {text}")),
    proof=st.one_of(HEADER_TEXT, TOKEN_TEXT),
    trace=HEADER_TEXT,
    body=st.binary(max_size=200),
)
def test_no_input_makes_a_5xx(
    app: Flask, *, method: str, path: str, query: str, authorization: str, proof: str, trace: str, body: bytes
) -> None:
    headers = {"Authorization": authorization, "DPoP": proof, "X-FAPI-Interaction-ID": trace}
    answer = app.test_client().open(
        path, base_url="http://127.0.0.1", method=method, query_string=query, headers=headers, data=body
    )
    assert answer.status_code < 500
    assert answer.headers["X-FAPI-Interaction-ID"]
    if answer.status_code >= 400 and method != "HEAD":
        assert answer.mimetype == "application/problem+json"
