"""The sandbox's mailbox: takes what the platform sends, shows it, each message once."""

from collections.abc import Iterator
from email.message import EmailMessage

import pytest
from flask.testing import FlaskClient

from authz_server.core.outbound_mail import MailServer, Postman
from client_examples.mailbox.app import create_app
from client_examples.mailbox.letters import Letters, serve_smtp
from tests.support.ports import free_port

TOKEN = {"Authorization": "Bearer t"}


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
def pages(letters: Letters) -> FlaskClient:
    return create_app(letters, token="t").test_client()


@pytest.fixture
def postman(letters: Letters) -> Iterator[Postman]:
    """Somebody who brings letters by SMTP."""
    port = free_port()
    controller = serve_smtp(letters, "127.0.0.1", port)
    postman = Postman(MailServer(host="127.0.0.1", port=port, tls="none", greeting="id.example"))
    yield postman
    postman.rest()
    controller.stop()


def letter(subject: str, message_id: str) -> EmailMessage:
    made = EmailMessage()
    made["Subject"], made["Message-ID"] = subject, message_id
    made.set_content("看 https://id.example/record <script>alert(1)</script>")
    return made


def test_a_letter_is_shown_once_however_often_it_comes(postman: Postman, pages: FlaskClient) -> None:
    for message_id in ("<1@id.example>", "<1@id.example>", "<2@id.example>"):
        postman.send(letter("主旨 <b>", message_id), sender="a@id.example", recipient="jia@example.org")
    assert pages.get("/").text.count("主旨 &lt;b&gt;") == 2
    page = pages.get("/letters/1").text
    assert "it came 2 times and is shown once" in page
    assert '<a href="https://id.example/record"' in page
    assert "<script>" not in page
    first, second = pages.get("/letters.json?to=jia@example.org").get_json()
    assert (first["number"], second["copies"]) == (2, 2)
    assert pages.get("/letters.json?to=yi@example.org").get_json() == []


def test_text_messages_come_by_the_gateway(pages: FlaskClient) -> None:
    message = {"to": "0900000001", "text": "【MyData】您的帳號已凍結。"}
    for _ in range(2):
        assert pages.post("/messages", json=message, headers=TOKEN | {"Idempotency-Key": "k"}).status_code == 202
    (shown,) = pages.get("/letters.json").get_json()
    assert (shown["kind"], shown["to"], shown["copies"]) == ("sms", "0900000001", 2)


def test_the_gateway_refuses_strangers_and_nonsense(pages: FlaskClient) -> None:
    assert pages.post("/messages", json={"to": "1", "text": "x"}).status_code == 401
    assert pages.post("/messages", data="x", headers=TOKEN).status_code == 422
    assert pages.post("/messages", json={"to": 1, "text": "x"}, headers=TOKEN).status_code == 422
    assert pages.get("/letters.json").get_json() == []
    assert pages.get("/letters/1").status_code == 404
