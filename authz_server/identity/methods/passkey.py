"""Passkeys: a key on the citizen's device, which opens it for a finger, a face or a PIN (WebAuthn Level 3).

Routes
    POST /sign-in/passkey/challenge             form: as /sign-in; JSON: what the browser asks any passkey of this site
    POST /sign-in/passkey                       form: as /sign-in, and credential, the browser's answer
    GET  /account/methods/passkey               the set-up page
    POST /account/methods/passkey/challenge     form: csrf; JSON: what the browser makes a new passkey of
    POST /account/methods/passkey               form: csrf, credential, label
"""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from flask import Blueprint, jsonify, make_response, redirect, render_template, request
from sqlalchemy import BigInteger, ColumnElement, cast
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from authz_server.catalogue.model import Text
from authz_server.config import Settings
from authz_server.core import clock, json_text
from authz_server.core.identifiers import PLATFORM_NAME, CitizenId
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import credentials, csrf, enrolment, entry, language, turns, webauthn
from authz_server.identity.credentials import Bound
from authz_server.identity.errors import PasskeyCopied, WrongCredentials
from authz_server.identity.levels import level_of_method
from authz_server.identity.methods.base import Accepted, Form, Method
from authz_server.identity.models import CREDENTIAL
from authz_server.identity.sessions import SignedIn
from authz_server.identity.visits import Visit
from authz_server.identity.webauthn import NotVerified, Passkey, Site, Use

blueprint = Blueprint("passkey", __name__)
SIGN_IN: Final = "sign_in"
SET_UP: Final = "set_up"
USER_HANDLE_BYTES: Final = 32
LONGEST_LABEL: Final = 60
UNNAMED: Final = Text(zh="我的通行密鑰", en="My passkey")


class PasskeyMethod(Method):
    """Two factors at once: the key is had, and opened by what the citizen knows or is."""

    id = "passkey"
    name = Text(zh="通行密鑰（指紋、臉部或裝置 PIN 碼）", en="Passkey (finger, face or device PIN)")
    # Of RFC 8176; `amr_of` says which of these a use has. Whether it was a finger or a PIN, the device does not tell.
    amr = ("pop", "user", "mfa")
    refused = Text(
        zh="這把通行密鑰未被接受：可能已從您的帳號移除，或者回應已逾時。沒有發生其他事，請再試一次，或改用其他方式。",
        en="The passkey was not accepted: it may have been removed from your account, or the answer came too late. "
        "Nothing else happened: try again, or use another way.",
    )
    action = "/sign-in/passkey"
    template = "sign_in/passkey.html"
    set_up = "passkey.show_set_up"
    blueprint = blueprint

    def available(self, settings: Settings) -> bool:
        """Whether browsers make passkeys for this server."""
        return webauthn.site_of(settings.issuer) is not None

    def level_of(self, bound: Bound) -> int | None:
        """One that is synced may be worth less than the others."""
        return self.synced_level() if bound.data["backup_eligible"] else None

    def synced_level(self) -> int:
        """What a passkey is worth that can be copied to other devices."""
        settings = services().settings
        return max(settings.synced_passkey_level, level_of_method(settings, self.id))


PASSKEY: Final = PasskeyMethod()


def amr_of(passkey: Passkey) -> tuple[str, ...]:
    """How the citizen has proved who they are (RFC 8176 section 2), and no more than is known.

    A key that can be copied to other devices is one in software: `swk`. Whether one that can't is in hardware, only
    attestation would show: `pop`, which leaves it open (OpenID Connect EAP ACR Values 1.0, section 3), and not `hwk`.
    """
    return ("swk" if passkey.backup_eligible else "pop", "user", "mfa")


@blueprint.post("/sign-in/passkey/challenge")
@entry.received(PASSKEY)
def ask(visit: Visit, _form: Form) -> Response:
    """Ask any passkey of this site."""
    handle = entry.challenge(visit, PASSKEY, kind=SIGN_IN, ttl=webauthn.PATIENCE, now=clock.now())
    db.session.commit()
    return jsonify(webauthn.request_options(_site(), challenge=handle.encode()))


@blueprint.post("/sign-in/passkey")
@entry.received(PASSKEY)
def answer(visit: Visit, form: Form) -> Response:
    """Sign in with what a passkey has answered."""
    told = json_text.object_or_empty(form.get("credential", ""))
    return entry.submit(visit, PASSKEY, account=None, begin=partial(_begin, told=told))


@blueprint.get("/account/methods/passkey")
@enrolment.may_add(PASSKEY)
def show_set_up(signed_in: SignedIn) -> Response:
    """Show the set-up page."""
    return _set_up_page(signed_in)


@blueprint.post("/account/methods/passkey/challenge")
@enrolment.may_add(PASSKEY)
def ask_for_new(signed_in: SignedIn) -> Response:
    """Ask for a new passkey, on an authenticator that has none of the citizen's."""
    if not csrf.check_form(enrolment.action(PASSKEY)):
        return _set_up_page(signed_in, error="form", status=403)
    known = [_passkey(bound) for bound in credentials.of_citizen(db.session(), signed_in.citizen_id, method=PASSKEY.id)]
    # One handle for all of a citizen's passkeys: by it an authenticator knows that it has one already. It is random,
    # because authenticators give it to whoever holds them, and says nothing of the account (section 14.6.1).
    user_handle = known[0].user_handle if known else secrets.token_urlsafe(USER_HANDLE_BYTES)
    payload = {"user_handle": user_handle}
    handle = enrolment.challenge(signed_in, PASSKEY, kind=SET_UP, ttl=webauthn.PATIENCE, payload=payload)
    db.session.commit()
    return jsonify(
        webauthn.creation_options(
            _site(),
            rp_name=PLATFORM_NAME,
            user_name=signed_in.name,
            user_handle=user_handle,
            challenge=handle.encode(),
            known=known,
        )
    )


@blueprint.post("/account/methods/passkey")
@enrolment.may_add(PASSKEY)
def add(signed_in: SignedIn) -> Response:
    """Bind the new passkey to the account."""
    label = " ".join(request.form.get("label", "").replace("\0", "").split())[:LONGEST_LABEL]
    if "lang" in request.form:  # the language was switched in the middle of typing
        return _set_up_page(signed_in, label=label)
    if not csrf.check_form(enrolment.action(PASSKEY)):
        return _set_up_page(signed_in, error="form", status=403, label=label)
    told, now = json_text.object_or_empty(request.form.get("credential", "")), clock.now()
    try:
        passkey = _made(signed_in, told)
    except NotVerified:
        db.session.commit()  # what was answered stays answered
        return _set_up_page(signed_in, error="refused", status=400, label=label)
    added = enrolment.add(
        db.session(),
        signed_in,
        PASSKEY,
        external_id=passkey.credential_id,
        label=label or UNNAMED.get(language.current()),
        data=_data(passkey),
        now=now,
    )
    db.session.commit()
    if added is None:
        return _set_up_page(signed_in, error="known", status=409, label=label)
    return redirect(enrolment.ADDED, code=303)


@dataclass(kw_only=True)
class PasskeyAttempt:
    """An answer, and what is known of the passkey that it claims to be from."""

    told: Mapping[str, Any] = field(repr=False)
    challenge: str | None = field(repr=False)  # None: nothing that this browser was asked lately
    bound: Bound | None
    site: Site
    used: Use | None = field(default=None, init=False)
    now: datetime | None = field(default=None, init=False)

    @property
    def citizen_id(self) -> CitizenId | None:
        """Whose passkey it claims to be."""
        return CitizenId(self.bound.citizen_id) if self.bound else None

    def prove(self, *, now: datetime) -> None:
        """Verify the signature and what is signed."""
        if self.bound is None:
            raise WrongCredentials("unknown_passkey")
        if self.challenge is None:
            raise WrongCredentials("stale_challenge")
        try:
            self.used = webauthn.verify_use(
                self.told, _passkey(self.bound), site=self.site, challenge=self.challenge.encode()
            )
        except NotVerified:
            raise WrongCredentials("wrong_answer") from None
        self.now = now

    def accept(self, session: Session) -> Accepted:
        """Keep what the device has counted, if it is more than at all uses before (section 7.2, step 22)."""
        if self.bound is None or self.used is None or self.now is None:
            raise WrongCredentials("not_proved")
        passkey = _passkey(self.bound)
        data = _data(replace(passkey, sign_count=self.used.sign_count, backed_up=self.used.backed_up))
        further = _counted_further(self.used.sign_count)
        citizen_id = credentials.use(session, self.bound.id, now=self.now, data=data, only_if=further)
        if citizen_id is None:
            if credentials.find(session, method=PASSKEY.id, external_id=self.bound.external_id) is None:
                raise WrongCredentials("unknown_passkey")
            raise PasskeyCopied("count_went_back")
        return Accepted(citizen_id=CitizenId(citizen_id), amr=amr_of(passkey), level=PASSKEY.level_of(self.bound))


def _counted_further(count: int) -> ColumnElement[bool]:
    before = cast(CREDENTIAL.c.data["sign_count"].as_string(), BigInteger)
    return before < count if count else before == 0  # a device that does not count always says 0


def _begin(session: Session, *, told: Mapping[str, Any]) -> PasskeyAttempt:
    handle = webauthn.unverified_challenge(told)
    return PasskeyAttempt(
        told=told,
        challenge=handle if entry.answered(session, PASSKEY, SIGN_IN, handle) else None,
        bound=credentials.find(session, method=PASSKEY.id, external_id=webauthn.unverified_id(told)),
        site=_site(),
    )


def _made(signed_in: SignedIn, told: Mapping[str, Any]) -> Passkey:
    handle = webauthn.unverified_challenge(told)
    turns.hold(db.session(), signed_in)  # before the challenge: whoever leaves takes them in this order
    asked = enrolment.answered(db.session(), PASSKEY, SET_UP, handle)
    if asked is None or asked.citizen_id != signed_in.citizen_id:
        raise NotVerified("nothing that this browser was asked lately")
    return webauthn.verify_new(told, site=_site(), challenge=handle.encode(), user_handle=asked.payload["user_handle"])


def _site() -> Site:
    site = webauthn.site_of(services().settings.issuer)
    if site is None:
        raise LookupError("browsers make no passkeys for this server, so `available` offers none")
    return site


def _data(passkey: Passkey) -> Mapping[str, Any]:
    return {name: value for name, value in asdict(passkey).items() if name != "credential_id"}


def _passkey(bound: Bound) -> Passkey:
    return Passkey(credential_id=bound.external_id, **bound.data)


def _set_up_page(signed_in: SignedIn, *, error: str | None = None, status: int = 200, label: str = "") -> Response:
    page = render_template(
        "methods/passkey.html",
        signed_in=signed_in,
        error=error,
        label=label,
        level=level_of_method(services().settings, PASSKEY.id),
        synced_level=PASSKEY.synced_level(),
        csrf=csrf.form_token(enrolment.action(PASSKEY)),
    )
    return make_response(page, status)
