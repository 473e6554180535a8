"""People, requests and a browser for the tests of the sign-in."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pyotp
import pytest
from flask import Flask, template_rendered
from flask.testing import FlaskClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server.catalogue.model import Text
from authz_server.core.errors import DomainError
from authz_server.identity import browsers, service
from authz_server.identity.service import Enrolment, Person
from authz_server.identity.sessions import SignedIn
from authz_server.identity.waiting import WaitingRequest
from authz_server.prepared import Executor
from tests.support.waiting import locks_waited_for, wait_until

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ORIGIN = "https://id.example"
CALLBACK = "https://bank.example/callback?shop=1"
PASSWORD = "五支紅色的傘 correct"
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
SERVER_SECRET = bytes(range(32))

PERSON = Person(
    username="citizen-a", name="測試市民甲", national_id="A123456789", birthdate=date(1990, 1, 2), locale="en"
)
OTHER_PERSON = Person(username="citizen-b", name="測試市民乙", national_id="B200000004", birthdate=date(1980, 1, 2))


def enrol(
    session: Session, person: Person = PERSON, *, totp_secret: str = TOTP_SECRET, checked_in_person: bool = True
) -> Enrolment:
    """Create an account with the known password and code secret, and commit."""
    enrolment = service.create_citizen(
        session,
        person,
        password=PASSWORD,
        server_secret=SERVER_SECRET,
        now=NOW,
        totp_secret=totp_secret,
        checked_in_person=checked_in_person,
    )
    session.commit()
    return enrolment


def code_at(moment: datetime, totp_secret: str = TOTP_SECRET) -> str:
    """The one-time code that an authenticator app shows at a moment."""
    return pyotp.TOTP(totp_secret).at(moment)


@contextmanager
def in_the_moment_of_a_sign_in(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, act: Callable[[Session], object]
) -> Iterator[None]:
    """Let somebody else do this when the next sign-in has opened its session and not committed it yet."""
    recognise, under_way = browsers.recognise, []

    def commit() -> None:
        with Session(engine) as other, other.begin():
            act(other)

    def slowly(*seen: Any, **more: Any) -> bool:
        monkeypatch.setattr(browsers, "recognise", recognise)
        under_way.append(pool.submit(commit))
        if engine.dialect.name == "postgresql":  # SQLite lets nobody in before the commit
            wait_until(lambda: under_way[0].done() or locks_waited_for(engine), "it waits, or is done")
        return recognise(*seen, **more)

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(browsers, "recognise", slowly)
        yield
        under_way[0].result(30)


class RequestOver(DomainError):
    """The request that a sign-in is for can't be decided."""

    code = "invalid_request_uri"


@dataclass
class KnownRequests:
    """Requests as the consent room would know them."""

    waiting: dict[str, WaitingRequest] = field(default_factory=dict)
    denied: list[tuple[str, SignedIn | None]] = field(default_factory=list)

    def add(
        self,
        request_id: str,
        *,
        needed_level: int | None = 3,
        authenticated_after: datetime | None = None,
        wished_level: int | None = None,
    ) -> WaitingRequest:
        """Let a request wait."""
        self.waiting[request_id] = WaitingRequest(
            request_id=request_id,
            transaction_id="T0000-0000-0000",
            client_name=Text(zh="甲銀行", en="Bank A"),
            redirect_uri=CALLBACK,
            needed_level=needed_level,
            authenticated_after=authenticated_after,
            wished_level=wished_level,
        )
        return self.waiting[request_id]

    def get(self, session: Executor, request_id: str, *, now: datetime) -> WaitingRequest:
        """Find it."""
        if request_id not in self.waiting:
            raise RequestOver("unknown or over")
        return self.waiting[request_id]

    def deny(
        self, session: Executor, request_id: str, *, signed_in: SignedIn | None, unmet: bool, now: datetime
    ) -> str:
        """Refuse it."""
        self.get(session, request_id, now=now)
        del self.waiting[request_id]
        self.denied.append((request_id, signed_in))
        return f"{CALLBACK}&error={'unmet_authentication_requirements' if unmet else 'access_denied'}"


class Browser:
    """One browser: its cookies, and what the last page was given."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()
        self.app = app
        self.page: dict[str, Any] = {}

    def get(self, path: str) -> TestResponse:
        """Open a page."""
        return self._send("GET", path, None)

    def post(self, path: str, form: Mapping[str, Any], **more: Any) -> TestResponse:
        """Send a form."""
        return self._send("POST", path, form, **more)

    def sign_in(self, moment: datetime = NOW, /, *, query: str = "", **changed: Any) -> TestResponse:
        """Open the sign-in page and send it filled in, rightly but for what is changed."""
        self.get(f"/sign-in{query}")
        return self.resend(moment, **changed)

    def resend(self, moment: datetime = NOW, /, **changed: Any) -> TestResponse:
        """Send the form of the page that is open."""
        form = {
            "csrf": self.page.get("csrf", ""),
            **(self.page["visit"].named if "visit" in self.page else {}),
            "method": "password_totp",
            "username": PERSON.username,
            "password": PASSWORD,
            "one_time_code": code_at(moment),
        }
        return self.post("/sign-in", form | changed)

    def cookie(self, name: str) -> str | None:
        """The value of a cookie."""
        found = self.client.get_cookie(name, domain="id.example")
        return found.value if found else None

    def _send(self, verb: str, path: str, form: Mapping[str, Any] | None, **more: Any) -> TestResponse:
        def keep(_app: Flask, *, template: object, context: dict[str, Any], **_rest: object) -> None:
            self.page = context

        with template_rendered.connected_to(keep, self.app):
            return self.client.open(path, method=verb, data=form, base_url=ORIGIN, **more)
