"""Adding a citizen certificate to an account.

Routes
    GET  /account/methods/certificate       POST: `step` is `challenge`, `text` or `add`, as on the sign-in page
    GET  /account/methods/certificate/tls   the certificate of the connection; POST: add it

A certificate that names the citizen, by name and the last four characters of the national id, may be added by whoever
is signed in as them. One that says less is added after two different methods only, and one that names somebody else
never: the account would be open to them at the highest level.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from flask import abort, make_response, redirect, render_template, request
from sqlalchemy import select
from werkzeug.wrappers import Response

from authz_server.catalogue.model import Text
from authz_server.core import clock
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import csrf, enrolment
from authz_server.identity.certificates import cms, holder
from authz_server.identity.certificates.errors import CertificateRefused
from authz_server.identity.certificates.trust import Presented
from authz_server.identity.errors import MethodUnavailable, WrongCredentials
from authz_server.identity.levels import level_of_method
from authz_server.identity.methods import certificate as method
from authz_server.identity.methods import certificate_proof as proof
from authz_server.identity.methods.certificate import CERTIFICATE, TTL, use
from authz_server.identity.methods.certificate_proof import Problem
from authz_server.identity.models import CITIZEN
from authz_server.identity.sessions import SignedIn
from authz_server.identity.visits import singles

__all__ = ["CERTIFICATE"]

PATH: Final = "/account/methods/certificate"
ADD: Final = "add"
_TAIL: Final = 4
Naming = Literal["them", "somebody_else", "nobody"]


@use.route(PATH, methods=["GET", "POST"])
@enrolment.may_add(CERTIFICATE)
def set_up(signed_in: SignedIn) -> Response:
    """Add a certificate by a signature."""
    _check_available()
    form = singles(request.form)
    handle = form.get("handle", "")
    shown = method.text_shown(ADD, handle)
    if request.method == "GET" or "lang" in form:
        return _page(signed_in, shown)
    if not csrf.check_form(enrolment.action(CERTIFICATE)):
        return _page(signed_in, shown, error="form", status=403)
    step = form.get("step")
    if step == "challenge":
        return _page(signed_in, method.text_shown(ADD, _issue(signed_in)))
    if step == "text" and shown:
        return method.text_file(ADD, handle)
    if step != "add" or not shown:
        return _page(signed_in, shown, status=400)
    signature = method.message(form)
    if not signature.strip():
        return _page(signed_in, shown, told=proof.NO_SIGNATURE, status=400)
    spent = _spend(handle)
    return _add(signed_in, lambda: cms.signer(signature, method.text(ADD, handle)) if spent else "used_text")


@use.route(f"{PATH}/tls", methods=["GET", "POST"])
@enrolment.may_add(CERTIFICATE)
def set_up_by_connection(signed_in: SignedIn) -> Response:
    """Add the certificate of the connection."""
    _check_available()
    form = singles(request.form)
    if request.method == "GET" and (to := method.elsewhere()) is not None:
        return to
    shown = method.presented_shown()
    if request.method == "GET" or "lang" in form:
        return _page(signed_in, shown, told=shown.get("told"))
    if not csrf.check_form(enrolment.action(CERTIFICATE)):
        return _page(signed_in, shown, error="form", status=403)
    return _add(signed_in, method.of_connection)


def _check_available() -> None:
    if not CERTIFICATE.available(services().settings):
        abort(404)


def _add(signed_in: SignedIn, present: Callable[[], Presented | Problem]) -> Response:
    """Bind what is presented, if it can be verified and may be this citizen's."""
    now = clock.now()
    try:
        presented = _verified(present)
    except WrongCredentials as wrong:
        return _page(signed_in, told=wrong.told, status=400)
    except MethodUnavailable as away:
        response = _page(signed_in, error="unavailable", status=503)
        response.headers["Retry-After"] = str(away.retry_after_s)
        return response
    naming = _naming(signed_in, holder.named(presented.certificate))
    if naming == "somebody_else":
        return _page(signed_in, error="somebody_else", status=403)
    if naming == "nobody" and not enrolment.strong_enough(signed_in, _level()):
        return redirect(enrolment.prove_more_url(again=False, second=True), code=303)
    bound = proof.described(presented.certificate)
    added = enrolment.add(
        db.session(),
        signed_in,
        CERTIFICATE,
        external_id=bound.external_id,
        label=bound.label,
        data=bound.data,
        now=now,
    )
    db.session.commit()
    return redirect(enrolment.ADDED, code=303) if added else _page(signed_in, error="taken", status=409)


def _verified(present: Callable[[], Presented | Problem]) -> Presented:
    """Raises: WrongCredentials, MethodUnavailable."""
    try:
        shown = present()
    except CertificateRefused as refused:
        raise proof.wrong(refused.reason) from None
    if not isinstance(shown, Presented):
        raise proof.wrong(shown)
    proof.vouch(lambda: method.verifier().check(shown, now=clock.now()))
    return shown


def _naming(signed_in: SignedIn, named: holder.Holder) -> Naming:
    ours = db.session.execute(select(CITIZEN.c.name, CITIZEN.c.national_id).where(CITIZEN.c.id == signed_in.citizen_id))
    citizen = ours.one()
    db.session.rollback()
    if named.id_tail is not None and named.id_tail != citizen.national_id[-_TAIL:]:
        return "somebody_else"
    return "them" if named.id_tail is not None and named.name == citizen.name else "nobody"


def _level() -> int:
    return level_of_method(services().settings, CERTIFICATE.id)


def _issue(signed_in: SignedIn) -> str:
    handle = enrolment.challenge(signed_in, CERTIFICATE, kind=ADD, ttl=TTL)
    db.session.commit()
    return handle


def _spend(handle: str) -> bool:
    spent = enrolment.answered(db.session(), CERTIFICATE, ADD, handle)
    db.session.commit()
    return spent is not None


def _page(
    signed_in: SignedIn,
    shown: Mapping[str, Any] | None = None,
    *,
    told: Text | None = None,
    error: str | None = None,
    status: int = 200,
) -> Response:
    page = render_template(
        "methods/certificate.html",
        signed_in=signed_in,
        method=CERTIFICATE,
        shown=shown or {},
        told=told,
        error=error,
        csrf=csrf.form_token(enrolment.action(CERTIFICATE)),
    )
    return make_response(page, status)
