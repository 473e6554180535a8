"""The way out by e-mail, against real SMTP servers, the broken ones included."""

import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from socket import socket
from typing import Any

import pytest

from authz_server.core.outbound_mail import MailError, MailPostponed, MailRefused, MailServer, Postman
from tests.core.servers import Answer, drip, say, serving
from tests.support.ports import free_port
from tests.support.self_signed import self_signed
from tests.support.smtp import PASSWORD, USER, PostOffice, post_office

ENVELOPE = {"sender": "notices@id.example", "recipient": "jia@citizen.example"}


def letter(text: str = "您好") -> EmailMessage:
    """A letter that is not ASCII."""
    made = EmailMessage()
    made["Subject"], made["From"], made["To"] = "主旨", ENVELOPE["sender"], ENVELOPE["recipient"]
    made["Message-ID"] = "<1@id.example>"
    made.set_content(text)
    return made


def refused(server: MailServer, kind: type[MailError], *, timeout_s: float = 60) -> str:
    """Try to send and be refused in this way; why, for the log."""
    postman = Postman(server, timeout_s=timeout_s)
    with pytest.raises(kind) as caught:
        postman.send(letter(), **ENVELOPE)
    postman.rest()
    assert type(caught.value) is kind
    assert ENVELOPE["recipient"] not in caught.value.detail
    return caught.value.detail


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The certificate of `localhost`, of which the system's authorities think well."""
    path = self_signed(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with post_office() as made:
        yield made


@pytest.mark.parametrize(("tls", "user", "password"), [("starttls", USER, PASSWORD), ("implicit", None, None)])
def test_a_letter_goes_over_verified_tls(trusted: Path, tls: Any, user: str | None, password: str | None) -> None:
    with post_office(tls=tls, certificate=trusted, with_auth=user is not None) as office:
        postman = Postman(office.server(tls=tls, user=user, password=password))
        postman.send(letter(), **ENVELOPE)
        postman.rest()
    (arrived,) = office.letters
    assert office.recipients == [ENVELOPE["recipient"]]
    assert arrived["Subject"] == "主旨"
    assert arrived.get_content().strip() == "您好"


def test_several_letters_share_a_connection_until_it_is_lost(trusted: Path) -> None:
    with post_office(tls="starttls", certificate=trusted) as office:
        postman = Postman(office.server())
        for _ in range(3):
            postman.send(letter(), **ENVELOPE)
        postman.rest()
        assert office.connections == 1
        office.drop = True
        with pytest.raises(MailPostponed):
            postman.send(letter(), **ENVELOPE)
        office.drop = False
        postman.send(letter(), **ENVELOPE)
        postman.rest()
    assert (office.connections, len(office.letters)) == (3, 4)


def test_a_connection_that_the_server_has_closed_meanwhile_is_opened_again() -> None:
    with post_office() as office:
        postman = Postman(office.server(tls="none"))
        postman.send(letter(), **ENVELOPE)
        office.hang_up()
        postman.send(letter(), **ENVELOPE)
        postman.rest()
    assert len(office.letters) == 2


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_certificate_of_nobody_we_trust_is_refused(tmp_path: Path, tls: Any) -> None:
    with post_office(tls=tls, certificate=self_signed(tmp_path, "localhost")) as office:
        assert "SSL" in refused(office.server(tls=tls), MailPostponed)
    assert office.letters == []


def test_a_certificate_of_another_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = self_signed(tmp_path, "other.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with post_office(tls="starttls", certificate=path) as office:
        assert "SSL" in refused(office.server(), MailPostponed)
    assert office.letters == []


def test_nothing_goes_in_the_clear_to_a_server_that_does_not_offer_tls(office: PostOffice) -> None:
    assert "NotSupported" in refused(office.server(), MailPostponed)
    assert office.letters == []


def test_a_wrong_password_is_the_operators_affair_and_no_reason_to_give_a_letter_up(trusted: Path) -> None:
    with post_office(tls="starttls", certificate=trusted, with_auth=True) as office:
        assert refused(office.server(user=USER, password="wrong"), MailPostponed).endswith("535")
    assert office.letters == []


@pytest.mark.parametrize(
    ("reply", "kind"),
    [("450 4.2.0 busy", MailPostponed), ("421 4.3.0 closing", MailPostponed), ("550 5.1.1 no such user", MailRefused)],
)
@pytest.mark.parametrize("at", ["rcpt", "data"])
def test_a_server_that_says_later_is_asked_later_and_one_that_says_never_is_not(
    office: PostOffice, reply: str, kind: type[MailError], at: str
) -> None:
    setattr(office, at, reply)
    assert reply[:3] in refused(office.server(tls="none"), kind)


def test_after_a_refusal_the_next_letter_goes_by_the_same_connection(office: PostOffice) -> None:
    postman = Postman(office.server(tls="none"))
    office.rcpt = "550 5.1.1 no such user"
    with pytest.raises(MailRefused):
        postman.send(letter(), **ENVELOPE)
    office.rcpt = ""
    postman.send(letter(), **ENVELOPE)
    postman.rest()
    assert (office.connections, len(office.letters)) == (1, 1)


def hold(connection: socket, over: threading.Event) -> None:
    """Say nothing until the test is over."""
    over.wait()


def greet_and_hold(connection: socket, over: threading.Event) -> None:
    """Greet, then say nothing."""
    connection.sendall(b"220 slow.example ESMTP\r\n")
    over.wait()


@pytest.mark.parametrize("answer", [hold, greet_and_hold, drip(b"220", b"-"), drip(b"220-x\r\n", b"220-x\r\n")])
def test_a_server_that_hangs_or_drips_is_left_in_time(answer: Answer) -> None:
    with serving(answer, read=False) as server:
        hanging = MailServer(host="127.0.0.1", port=server.port, tls="none", greeting="id.example")
        refused(hanging, MailPostponed, timeout_s=0.3)


@pytest.mark.parametrize("said", [b"", b"554 go away\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\xff\xfe\r\n", b"2" * 9000])
def test_what_is_no_smtp_server_is_left(said: bytes) -> None:
    with serving(say(said), read=False) as server:
        refused(MailServer(host="127.0.0.1", port=server.port, tls="none", greeting="id.example"), MailPostponed)


def test_a_port_where_nobody_listens_is_left() -> None:
    refused(MailServer(host="127.0.0.1", port=free_port(), tls="none", greeting="id.example"), MailPostponed)


def test_the_password_is_not_in_the_repr() -> None:
    server = MailServer(host="a.example", port=1, tls="starttls", greeting="b.example", user="u", password=PASSWORD)
    assert PASSWORD not in repr(server)
