"""The citizen certificate: a signature over a text of ours, or the certificate of the browser's TLS connection.

Routes; those of the set-up page are in `certificate_set_up`
    POST /sign-in/certificate/challenge     a text to sign, which only this browser may hand in, once, in five minutes
    POST /sign-in/certificate/text          that text as a file; nothing is read or written
    POST /sign-in/certificate               the signature: form field `pasted` or file `signature` (multipart)
    GET  /sign-in/certificate/tls           which certificate the connection has; POST: sign in with it

A TLS connection has a certificate only at a port of its own, where a proxy asks for one (docs/deploy.md). That proxy
proves itself by a secret; where it is not between us and the browser, the routes under /tls lead there.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, abort, current_app, g, make_response, redirect, request
from flask.blueprints import BlueprintSetupState
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from authz_server.catalogue.model import Text
from authz_server.config import Settings
from authz_server.core import clock
from authz_server.database import db
from authz_server.extensions import services, services_of
from authz_server.identity import challenges, entry, visits
from authz_server.identity.certificates import client_cert, cms, holder
from authz_server.identity.certificates.errors import UNREADABLE, CertificateRefused
from authz_server.identity.certificates.trust import Presented
from authz_server.identity.certificates.verifier import Verifier
from authz_server.identity.credentials import Bound
from authz_server.identity.methods import certificate_proof as proof
from authz_server.identity.methods.base import Form, Held, Method
from authz_server.identity.methods.certificate_proof import CertificateAttempt, Problem
from authz_server.identity.visits import Visit, singles

use = Blueprint("certificate", __name__)
TTL: Final = timedelta(minutes=5)
# What a text is for stands in it, and in the row of its handle: one signed for one purpose is of no use for the other.
PURPOSES: Final = {"sign_in": "sign-in", "add": "add-certificate"}
FILE_NAME: Final = "mydata-challenge.txt"
_VERIFIER: Final = "mydata.certificates"
_HANDLE: Final = re.compile(re.escape(challenges.PREFIX) + r"[\w-]{43}", re.ASCII)


class Certificate(Method):
    """Something had (a card, or a file) and, for a card, something known (its PIN)."""

    id = proof.ID
    name = Text(zh="自然人憑證", en="Citizen Digital Certificate")
    amr = ("pop",)  # RFC 8176; `on_card` in the settings says more
    refused = Text(
        zh="沒有接受這張憑證或簽章。請取得新的文字再試一次。",
        en="The certificate or the signature was not accepted. Get a new text and try again.",
    )
    action = "/sign-in/certificate/challenge"
    template = "sign_in/certificate.html"
    set_up = "certificate.set_up"
    blueprint = use
    added_by_any = True  # if it names the citizen: see certificate_set_up

    def available(self, settings: Settings) -> bool:
        """Whether somebody's certificates are trusted here."""
        return settings.certificate is not None

    def shown_again(self, form: Form) -> dict[str, Any]:
        """The text that is being signed, or the certificate that is about to be used."""
        if form.get("presented"):
            return presented_shown()
        return text_shown("sign_in", form.get("handle", ""))

    def shown_as(self, bound: Bound) -> Held:
        """With its last day, by which of two cards the older one is known."""
        until = bound.data.get("not_valid_after")
        return replace(super().shown_as(bound), valid_until=date.fromisoformat(until) if until else None)

    @property
    def by_connection(self) -> bool:
        """Whether a proxy asks browsers for certificates; for the template."""
        certificate = services().settings.certificate
        return certificate is not None and certificate.tls_url is not None


CERTIFICATE = Certificate()


@use.record_once
def load(state: BlueprintSetupState) -> None:
    """Read whom we trust when the server starts.  Raises: SettingsError."""
    settings = services_of(state.app).settings
    if settings.certificate is not None:
        hosts = frozenset(settings.allowed_outbound_hosts)
        state.app.extensions[_VERIFIER] = Verifier.load(settings.certificate, allowed_hosts=hosts)


@use.post("/sign-in/certificate/challenge")
@entry.received(CERTIFICATE)
def ask(visit: Visit, _form: Form) -> Response:
    """Give out a text to sign."""
    handle = entry.challenge(visit, CERTIFICATE, kind="sign_in", ttl=TTL, now=clock.now())
    db.session.commit()
    return entry.page(visit, CERTIFICATE, shown=text_shown("sign_in", handle))


@use.post("/sign-in/certificate/text")
@entry.received(CERTIFICATE)
def download(visit: Visit, form: Form) -> Response:
    """The text as a file, made of its handle alone."""
    handle = form.get("handle", "")
    known = text_shown("sign_in", handle)
    return text_file("sign_in", handle) if known else entry.page(visit, CERTIFICATE, status=400)


@use.post("/sign-in/certificate")
@entry.received(CERTIFICATE)
def answer(visit: Visit, form: Form) -> Response:
    """Sign in by a signature."""
    handle, signature = form.get("handle", ""), message(form)
    if not signature.strip():
        again = text_shown("sign_in", handle)
        return entry.page(visit, CERTIFICATE, error="wrong", told=proof.NO_SIGNATURE, shown=again, status=400)

    def begin(session: Session) -> CertificateAttempt:
        spent = entry.answered(session, CERTIFICATE, "sign_in", handle)
        return _attempt(session, lambda: cms.signer(signature, text("sign_in", handle)) if spent else "used_text")

    return entry.submit(visit, CERTIFICATE, account=None, begin=begin)


@use.get("/sign-in/certificate/tls")
def show_connection() -> Response:
    """Show which certificate the connection has, before anything is done with it."""
    visit = visits.visit_of(singles(request.args))
    if CERTIFICATE not in visit.methods:
        return entry.page(visit, status=400)
    if (to := elsewhere()) is not None:
        return to
    shown = presented_shown()
    told = shown.get("told")
    return entry.page(visit, CERTIFICATE, shown=shown, error="wrong" if told else None, told=told)


@use.post("/sign-in/certificate/tls")
@entry.received(CERTIFICATE)
def sign_in_by_connection(visit: Visit, _form: Form) -> Response:
    """Sign in by the certificate of the connection: its key was proved in the handshake."""
    shown = presented_shown()  # it may be tried again, at once
    return entry.submit(
        visit, CERTIFICATE, account=None, begin=lambda session: _attempt(session, of_connection), shown=shown
    )


@use.after_request
def lead_home(response: Response) -> Response:
    """At the port where certificates are asked for there is nothing else: the way on is the issuer's."""
    if _VERIFIER in current_app.extensions and _by_proxy():
        issuer = services().settings.issuer
        g.form_action_uris = (*g.get("form_action_uris", ()), issuer)
        if response.location and response.location.startswith("/"):
            response.location = issuer + response.location
    return response


def text(kind: str, handle: str) -> str:
    """What is signed: one line that says for whom, for what, and once."""
    return f"mydata {PURPOSES[kind]} {services().settings.issuer} {handle}"


def text_shown(kind: str, handle: str) -> dict[str, Any]:
    """What a page shows that asks for a signature; nothing if that can't be a handle."""
    return {"handle": handle, "text": text(kind, handle)} if _HANDLE.fullmatch(handle) else {}


def text_file(kind: str, handle: str) -> Response:
    """The text to sign as a file, without an end of line, for card software that takes files."""
    response = make_response(text(kind, handle))
    response.mimetype = "text/plain"
    response.headers["Content-Disposition"] = f'attachment; filename="{FILE_NAME}"'
    return response


def message(form: Form) -> bytes:
    """The signature: the file if one was chosen, else what was pasted."""
    file = request.files.get("signature")
    uploaded = file.read(cms.MAX_BYTES + 1) if file else b""
    return uploaded or form.get("pasted", "").encode("utf-8", "surrogatepass")


def verifier() -> Verifier:
    """Whom we trust and whom we ask."""
    found: Verifier = current_app.extensions[_VERIFIER]
    return found


def of_connection() -> Presented | Problem:
    """The certificate of the connection, or that it has none.  Raises: CertificateRefused."""
    return client_cert.read(dict(request.headers), hop_secret=verifier().hop_secret) or "no_certificate"


def presented_shown() -> dict[str, Any]:
    """What a page shows of the certificate of the connection, or `told`: what is wrong with it."""
    try:
        found = of_connection()
        if isinstance(found, Presented):
            return {
                "presented": proof.described(found.certificate),
                "holder": holder.named(found.certificate).name,
                "until": proof.last_day(found.certificate),
            }
    except CertificateRefused as refused:
        found = refused.reason
    except UNREADABLE:  # names are read when they are asked for
        found = "malformed"
    return {"told": proof.TOLD[found]}


def elsewhere() -> Response | None:
    """Lead a browser to the port where a proxy asks for certificates; None if it came through that proxy."""
    certificate = services().settings.certificate
    url = certificate.tls_url if certificate else None
    if _by_proxy():
        return None
    if url is None or "there" in request.args:  # it has been led there, and that proxy does not prove itself
        abort(404)
    return redirect(f"{url}{request.path}?{urlencode({**singles(request.args), 'there': '1'})}", code=303)


def _by_proxy() -> bool:
    return client_cert.is_trusted(dict(request.headers), hop_secret=verifier().hop_secret)


def _attempt(session: Session, present: Callable[[], Presented | Problem]) -> CertificateAttempt:
    settings = services().settings.certificate
    return proof.attempt(session, verifier(), present, on_card=settings is not None and settings.on_card)
