"""Further clients and citizens on the shared platform, and how answers are read."""

import itertools
import math
import re
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyotp
import pytest
from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from authz_server.clients import service as clients
from authz_server.core import clock
from authz_server.database import Base, table_of
from authz_server.extensions import Services
from authz_server.identity import guard, national_id, sessions
from authz_server.identity.models import Citizen
from authz_server.identity.sessions import SignedIn
from tests.support.platform import Bank, CitizenBrowser, Platform, new_key

# One after the other: of a thousand drawn by lot, two are soon the same. From anywhere: other processes make some too.
_NUMBERS = itertools.count(secrets.randbelow(5_000_000))
_NATIONAL_IDS = filter(national_id.check, map("Z29{:07}".format, _NUMBERS))
WAYS_TO_SHUT_OUT = ("frozen", "suspended", "signed out")
PUBLIC_TEXT = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749 section 5.2


@contextmanager
def writing(platform: Platform) -> Iterator[Session]:
    """A session beside the application's, committed at the end; the registry has read the change afterwards."""
    with Session(platform.engine) as session, session.begin():
        yield session
    services_of(platform).registry.reload()


def shut_out(platform: Platform, username: str, how: str) -> None:
    """Shut a citizen out of the account, in one of the ways that there are."""
    with Session(platform.engine) as session, session.begin():
        citizen_id = session.scalars(select(Citizen.id).where(Citizen.username == username)).one()
        if how == "signed out":
            sessions.end_all(session, citizen_id, now=clock.now())
        else:
            moment = {"frozen": Citizen.frozen_at, "suspended": Citizen.suspended_at}[how]
            session.execute(update(Citizen).where(Citizen.id == citizen_id).values({moment: clock.now()}))


def shut_out_once_seen(patch: pytest.MonkeyPatch, platform: Platform, username: str, how: str) -> list[object]:
    """Shut a citizen out as soon as the next request has found who is asking; the rows of all tables as of then."""
    look_up, before = guard.current, list[object]()

    def seen() -> SignedIn | None:
        signed_in = look_up()
        if not before:
            shut_out(platform, username, how)
            before.append(everything(platform))
        return signed_in

    patch.setattr(guard, "current", seen)
    return before


def services_of(platform: Platform) -> Services:
    services: Services = platform.app.extensions["mydata"]
    return services


def new_bank(platform: Platform, key: Any = None, **changes: Any) -> Bank:
    """A client of the test's own, registered like the others but for `changes` (None: left out)."""
    name = f"bank-{secrets.token_hex(6)}"
    bank = Bank(name, platform.settings.issuer, platform.browser(), key=key or new_key())
    with writing(platform) as session:
        context = clients.Context(platform.catalogue, sandbox=True)
        document = {key: value for key, value in (platform.registration(bank) | changes).items() if value is not None}
        clients.register(session, document, context=context, now=clock.now())
    return bank


def new_citizen(platform: Platform, *, birthdate: date = date(1990, 1, 2)) -> str:
    """The user name of a citizen of the test's own."""
    username = f"citizen-{secrets.token_hex(6)}"
    # Straight into the table: nobody signs in with a password, so none has to be hashed.
    person = Citizen(
        username=username, name="測試市民丙", national_id=next(_NATIONAL_IDS), birthdate=birthdate, locale="en",
        created_at=clock.now(), verified_at=clock.now(),
    )  # fmt: skip
    with writing(platform) as session:
        session.add(person)
    platform.totp_secrets[username] = ""
    return username


def rows(platform: Platform, model: type[Base], **where: Any) -> list[Row[Any]]:
    """Rows of a table, as they are now, in the order of their keys."""
    table = table_of(model)
    found = select(table).where(*(table.c[name] == value for name, value in where.items()))
    found = found.order_by(*table.primary_key)
    with Session(platform.engine) as session:
        return list(session.execute(found).all())


def everything(platform: Platform) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables."""
    with Session(platform.engine) as session:
        return {
            table.name: [row._asdict() for row in session.execute(select(table).order_by(*table.primary_key))]
            for table in Base.metadata.sorted_tables
        }


def another(code: str) -> str:
    """A wrong code of as many digits."""
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"


@dataclass
class Fetch:
    """A granted dataset and the exchange that spends its token."""

    platform: Platform
    token: str
    dataset: str = "ris.personal"

    def exchange(self, **changes: Any) -> TestResponse:
        jkt = changes.pop("dpop_jkt", self.platform.bank.dpop_key.thumbprint)
        return self.platform.proxy.exchange(self.token, self.dataset, jkt=jkt, **changes)

    def deliver(self, **changes: Any) -> None:
        """Exchange it, and say that the last byte was delivered."""
        lease = self.exchange(**changes).get_json()["lease"]
        assert self.platform.proxy.report(lease, "delivered").status_code == 204


def dataset_token(platform: Platform, **changes: Any) -> Fetch:
    """A fresh dataset token."""
    (granted,) = platform.tokens(platform.detail("ris.personal"), **changes)["authorization_details"]
    return Fetch(platform, granted["access_token"])


def userinfo(
    bank: Bank, token: str, *, method: str = "GET", scheme: str = "DPoP", proof: Any = None, **more: Any
) -> TestResponse:
    """Call UserInfo. Args: proof: a proof of one's own; `more` goes into the request."""
    proof = bank.proof(method, f"{bank.issuer}/userinfo", token=token) if proof is None else proof
    headers = {"Authorization": f"{scheme} {token}", "DPoP": proof} | more.pop("headers", {})
    sent = {name: value for name, value in headers.items() if value}
    return bank.browser.open("/userinfo", method=method, headers=sent, **more)


def refused(answer: TestResponse, status: int | set[int], *errors: str) -> dict[str, Any]:
    """Check an error of a back-channel endpoint: status, code, form; its body."""
    assert answer.status_code in ({status} if isinstance(status, int) else status), answer.text
    assert answer.mimetype == "application/json", answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    body: dict[str, Any] = answer.get_json()
    assert not errors or body["error"] in errors, body
    assert PUBLIC_TEXT.fullmatch(body["error"])
    assert PUBLIC_TEXT.fullmatch(body["error_description"])
    return body


def error_page(answer: TestResponse, text: str = "") -> str:
    """Check an error page: HTML, no Location, nothing of the client's in it; its text."""
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.mimetype == "text/html"
    assert "Location" not in answer.headers
    assert "/callback" not in answer.text
    assert text in answer.text, answer.text
    return answer.text


def pushed(bank: Bank, **changes: Any) -> TestResponse:
    """Push a request that is good but for `changes` (None: left out)."""
    parameters = bank.parameters() | changes
    return bank.post("/par", {name: value for name, value in parameters.items() if value is not None})


def opened(citizen: CitizenBrowser, bank: Bank, request_uri: str, **query: Any) -> TestResponse:
    """Open the authorization URL in the citizen's browser and follow nothing."""
    return citizen.client.get(
        "/authorize", query_string={"client_id": bank.client_id, "request_uri": request_uri} | query
    )


def entropy(text: str) -> float:
    """Shannon's estimate, in bits, as the conformance suite computes it."""
    counts = Counter(text)
    return -sum(count * math.log2(count / len(text)) for count in counts.values())


def one_time_code(citizen: CitizenBrowser) -> str:
    return pyotp.TOTP(citizen.totp_secret).at(clock.now())
