"""Where the citizen is reached, and the way to change that.

Routes; <kind> is email or phone
    GET  /account/contact                  what is known
    GET  /account/contact/<kind>           the form for a new one
    POST /account/contact/<kind>           form: csrf, value; has a code sent there and leads to where it is typed
    GET  /account/contact/<kind>/code      the form for the code
    POST /account/contact/<kind>/code      form: csrf, code; from then on the new one counts
    GET  /account/contact/<kind>/remove    asks
    POST /account/contact/<kind>/remove    form: csrf; the citizen is reached there no longer

To change something, one must have proved who one is within the last five minutes, by a way of level 3 or stronger.
"""

from dataclasses import dataclass
from typing import Any, Final

from flask import Blueprint, abort, make_response, redirect, render_template, request
from flask_babel import gettext
from werkzeug.wrappers import Response

from authz_server.core import clock
from authz_server.core.errors import DomainError
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import contact, csrf, levels, turns
from authz_server.identity.contact import KINDS, NEEDED_LEVEL, Change, Kind, NotAnAddress, TooManyCodes, WrongCode
from authz_server.identity.enrolment import prove_more_url, unfrozen
from authz_server.identity.guard import citizen_required
from authz_server.identity.sessions import SignedIn
from authz_server.identity.visits import FRESH
from authz_server.notices.channels import kinds
from authz_server.portal.form_problem import too_old
from authz_server.portal.locale import moment

blueprint = Blueprint("contact", __name__)
PATH: Final = "/account/contact"
CHANNEL_OF: Final = {"email": "email", "phone": "sms"}  # which has to be there, for a code to arrive


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way to reach the citizen."""

    kind: Kind
    value: str | None
    verified: str | None  # since when (day and time)
    waiting: bool  # a code was sent to a new one and is not typed yet


@blueprint.get(PATH)
@citizen_required
def show(signed_in: SignedIn) -> str:
    """Show what is known."""
    known = contact.contact_of(db.session(), signed_in.citizen_id)
    return render_template(
        "contact.html",
        signed_in=signed_in,
        rows=[
            Row(
                kind=kind,
                value=getattr(known, kind),
                verified=moment(getattr(known, f"{kind}_verified_at")),
                waiting=_waiting(signed_in, kind) is not None,
            )
            for kind in KINDS
        ],
        done=gettext("Saved.") if "saved" in request.args else None,
    )


@blueprint.get(f"{PATH}/<kind>")
@unfrozen
def ask(signed_in: SignedIn, kind: str) -> Response:
    """Ask for a new one."""
    return _form(signed_in, _kind(kind))


@blueprint.post(f"{PATH}/<kind>")
@unfrozen
def propose(signed_in: SignedIn, kind: str) -> Response:
    """Have a code sent to it."""
    kind, value = _kind(kind), request.form.get("value", "")
    if problem := _not_now(signed_in, kind):
        return _form(signed_in, kind, value=value, error=problem, status=403)
    if "lang" in request.form:
        return _form(signed_in, kind, value=value)
    now, limits = clock.now(), services().settings.limits
    try:
        normal = contact.normal(kind, value)
        turns.hold(db.session(), signed_in)
        contact.propose(db.session(), signed_in.citizen_id, kind, normal, limits=limits, now=now)
    except (NotAnAddress, TooManyCodes) as error:
        status = 400 if isinstance(error, NotAnAddress) else 429
        return _form(signed_in, kind, value=value, error=_words(error, kind), status=status)
    db.session.commit()
    return redirect(f"{PATH}/{kind}/code", code=303)


@blueprint.get(f"{PATH}/<kind>/code")
@unfrozen
def ask_code(signed_in: SignedIn, kind: str) -> Response:
    """Ask for the code."""
    return _code_form(signed_in, _kind(kind))


@blueprint.post(f"{PATH}/<kind>/code")
@unfrozen
def verify(signed_in: SignedIn, kind: str) -> Response:
    """Let the new one count, if the code is right."""
    kind = _kind(kind)
    if problem := _not_now(signed_in, kind):
        return _code_form(signed_in, kind, error=problem, status=403)
    known = services()
    turns.hold(db.session(), signed_in)
    try:
        contact.verify(
            db.session(),
            signed_in.citizen_id,
            kind,
            request.form.get("code", ""),
            server_secret=known.secret,
            limits=known.settings.limits,
            now=clock.now(),
        )
    except WrongCode as error:
        db.session.commit()
        return _code_form(signed_in, kind, error=_words(error, kind), status=400)
    db.session.commit()
    return redirect(f"{PATH}?saved=1", code=303)


@blueprint.get(f"{PATH}/<kind>/remove")
@unfrozen
def ask_to_remove(signed_in: SignedIn, kind: str) -> Response:
    """Ask first."""
    return _remove_form(signed_in, _kind(kind))


@blueprint.post(f"{PATH}/<kind>/remove")
@unfrozen
def remove(signed_in: SignedIn, kind: str) -> Response:
    """Reach the citizen there no longer."""
    kind = _kind(kind)
    if problem := _not_now(signed_in, kind):
        return _remove_form(signed_in, kind, error=problem, status=403)
    turns.hold(db.session(), signed_in)
    contact.remove(db.session(), signed_in.citizen_id, kind, now=clock.now())
    db.session.commit()
    return redirect(f"{PATH}?saved=1", code=303)


def _form(
    signed_in: SignedIn, kind: Kind, *, value: str | None = None, error: str | None = None, status: int = 200
) -> Response:
    waiting = _waiting(signed_in, kind)
    shown = waiting.value if value is None and waiting else value
    return _page("contact_change.html", signed_in, kind, error, status, value=(shown or "")[:254])


def _code_form(signed_in: SignedIn, kind: Kind, *, error: str | None = None, status: int = 200) -> Response:
    waiting = _waiting(signed_in, kind)
    if waiting is None and error is None:
        return redirect(f"{PATH}/{kind}", code=303)
    good_for_s = services().settings.limits.contact_code_ttl_s
    return _page("contact_code.html", signed_in, kind, error, status, waiting=waiting, good_for_s=good_for_s)


def _remove_form(signed_in: SignedIn, kind: Kind, *, error: str | None = None, status: int = 200) -> Response:
    value = getattr(contact.contact_of(db.session(), signed_in.citizen_id), kind)
    if value is None:
        return redirect(PATH, code=303)
    return _page("contact_remove.html", signed_in, kind, error, status, value=value)


def _page(name: str, signed_in: SignedIn, kind: Kind, error: str | None, status: int, **more: Any) -> Response:
    """A form. `lacking`: why the sign-in does not do; `can_send`: codes of this kind can be sent at all."""
    page = render_template(
        name,
        signed_in=signed_in,
        kind=kind,
        lacking=_lack(signed_in),
        sign_in_url=prove_more_url(again=True, second=False),
        can_send=any(channel.id == CHANNEL_OF[kind] for channel in kinds(services().settings)),
        csrf=csrf.form_token(_action(kind)),
        error=error,
        **more,
    )
    return make_response(page, status)


def _not_now(signed_in: SignedIn, kind: Kind) -> str | None:
    """Why nothing may be changed by this form: a text, or None."""
    if not csrf.check_form(_action(kind)):
        return too_old()
    return gettext("Sign in again first.") if _lack(signed_in) else None


def _lack(signed_in: SignedIn) -> levels.Lack | None:
    return levels.lack(signed_in, NEEDED_LEVEL, clock.now() - FRESH)


def _waiting(signed_in: SignedIn, kind: Kind) -> Change | None:
    limits = services().settings.limits
    return contact.find_open(db.session(), signed_in.citizen_id, kind, limits=limits, now=clock.now())


def _words(error: DomainError, kind: Kind) -> str:
    if isinstance(error, TooManyCodes):
        return gettext("No more codes are sent today. Try again tomorrow.")
    if isinstance(error, WrongCode):
        return gettext("The code is not right, or it has expired.")
    if kind == "email":
        return gettext("Enter an e-mail address, as in: name@example.org")
    return gettext("Enter a telephone number, as in: 0900 000 000")


def _kind(text: str) -> Kind:
    if text not in KINDS:
        abort(404)
    return text


def _action(kind: Kind) -> str:
    return f"contact:{kind}"
