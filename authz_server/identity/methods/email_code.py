"""A one-time code by e-mail: it opens the citizen's own pages, and never a fetch.

Routes
    POST /sign-in/email-code    form: as /sign-in, and username: a code is sent, if there is somebody to send it to;
                                with handle and code: signs in; with `action=another`: one more code is sent

The page is the same whether or not there is an account. Wrong codes lock the account for this method, as of any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from flask import Blueprint, request
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from authz_server.catalogue.model import Text
from authz_server.config import Settings
from authz_server.core import clock, secrets
from authz_server.core.identifiers import CitizenId
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import challenges, cookies, entry, sign_in_codes
from authz_server.identity.errors import CitizenSuspended, SignInLocked, WrongCredentials
from authz_server.identity.methods.base import Accepted, Form, Method
from authz_server.identity.methods.password_totp import USERNAME_FIELD
from authz_server.identity.models import CITIZEN
from authz_server.identity.sign_in_codes import SignInCode
from authz_server.identity.visits import Visit

use = Blueprint("email_code", __name__)
NO_MORE: Final = Text(
    zh="暫時不再寄出驗證碼。每次要隔一會兒，一天也只能寄幾次。如果您已經收到，請直接輸入。",
    en="No further code is sent now: there is a pause after each, and only a few are sent in a day. If you have one, "
    "type it.",
)


class EmailCode(Method):
    """Whoever reads the citizen's mail."""

    id = sign_in_codes.METHOD
    name = Text(zh="寄到電子郵件的驗證碼", en="Code by e-mail")
    amr = ("otp",)
    refused = Text(
        zh="驗證碼不正確、已經用過或已過期。沒有發生其他事，請檢查後再試一次，或再寄一次。",
        en="The code is not right, was used before, or has expired. Nothing else happened: check it and try "
        "again, or have another one sent.",
    )
    fields = (USERNAME_FIELD,)
    action = "/sign-in/email-code"
    template = "sign_in/email_code.html"
    blueprint = use

    def available(self, settings: Settings) -> bool:
        """Whether e-mail leaves this server."""
        return settings.mail is not None

    def shown(self, settings: Settings, *, needed_level: int | None) -> Mapping[str, Any]:
        """How long a code is good."""
        return {"good_for_s": settings.limits.email_code_ttl_s}

    def shown_again(self, form: Form) -> Mapping[str, Any]:
        """The code may still be typed."""
        return _typing(form.get("handle", ""))


EMAIL_CODE = EmailCode()


@use.post("/sign-in/email-code")
@entry.received(EMAIL_CODE)
def submit(visit: Visit, form: Form) -> Response:
    """Have a code sent, or sign in by it."""
    handle = form.get("handle", "")
    if not handle or form.get("action") == "another":
        return _send(visit, form)
    with_code = sign_in_codes.find(db.session(), handle, browser=cookies.form_secret(), now=clock.now())
    return entry.submit(
        visit,
        EMAIL_CODE,
        account=with_code.account if with_code else None,
        begin=lambda _: EmailCodeAttempt(asked=with_code, handle=handle, typed="".join(form.get("code", "").split())),
        typed=form,
        shown=_typing(handle),
    )


def _send(visit: Visit, form: Form) -> Response:
    username = form.get("username", "").strip().lower()
    session, limits, now = db.session(), services().settings.limits, clock.now()
    page = partial(entry.page, visit, EMAIL_CODE, typed=form)
    try:
        asked = sign_in_codes.ask(session, username, address=request.remote_addr, limits=limits, now=now)
    except SignInLocked:
        session.commit()
        return page(error="wrong", told=NO_MORE, status=429, shown=_typing(form.get("handle", "")))
    handle = entry.challenge(
        visit,
        EMAIL_CODE,
        kind=sign_in_codes.KIND,
        ttl=timedelta(seconds=limits.email_code_ttl_s),
        now=now,  # that of its entry, by which the worker finds it
        payload=asked.payload,
        citizen_id=asked.citizen_id,
    )
    session.commit()
    return page(shown=_typing(handle))


def _typing(handle: str) -> Mapping[str, str]:
    """What the template is given where the code is typed."""
    return {"handle": handle, "first": "code"} if handle else {}


@dataclass(kw_only=True)
class EmailCodeAttempt:
    """What was typed, and the code that it should be."""

    asked: SignInCode | None
    handle: str = field(repr=False)
    typed: str = field(repr=False)
    now: datetime | None = field(default=None, init=False)

    @property
    def citizen_id(self) -> CitizenId | None:
        """Whose code it is."""
        return CitizenId(self.asked.citizen_id) if self.asked and self.asked.citizen_id else None

    def prove(self, *, now: datetime) -> None:
        """Compare, also with the code that was sent to nobody."""
        if self.asked is None:
            raise WrongCredentials("no_code")
        right = secrets.equal(self.asked.digits(services().secret), self.typed)
        if self.citizen_id is None:
            raise WrongCredentials("unknown_account")
        if not right:
            raise WrongCredentials("wrong_code")
        self.now = now

    def accept(self, session: Session) -> Accepted:
        """Spend the code; one that went to an address that is not the citizen's any more is worth nothing.

        Raises: as `Attempt.accept`.
        """
        if self.now is None or self.asked is None or self.citizen_id is None:
            raise WrongCredentials("not_proved")
        spent = challenges.spend(
            session,
            self.handle,
            method=EMAIL_CODE.id,
            kind=sign_in_codes.KIND,
            browser=cookies.form_secret(),
            now=self.now,
        )
        if spent is None:
            raise WrongCredentials("used_code")
        known = select(CITIZEN.c.suspended_at, CITIZEN.c.email_verified_at).where(CITIZEN.c.id == self.citizen_id)
        row = session.execute(known).one()
        if not self.asked.is_of(row.email_verified_at):
            raise WrongCredentials("address_changed")
        if row.suspended_at is not None:
            raise CitizenSuspended("suspended")
        return Accepted(citizen_id=self.citizen_id)
