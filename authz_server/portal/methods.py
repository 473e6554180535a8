"""The citizen's ways to sign in: what there is, what can be added, and taking one away.

Routes
    GET  /account/methods                what is set up; what can be set up; what needs no setting up
    GET  /account/methods/remove/<id>    asks; the sign-in must be fresh
    POST /account/methods/remove/<id>    form: csrf; removes it and signs out all other browsers
Setting a method up is its own affair: see identity/methods/base.py.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from flask import Blueprint, abort, make_response, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from authz_server.consent.wording import day
from authz_server.core import clock
from authz_server.core.identifiers import LOWEST_LEVEL
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import csrf, enrolment
from authz_server.identity.errors import LastMethod
from authz_server.identity.guard import citizen_required
from authz_server.identity.levels import level_of_method
from authz_server.identity.methods.base import Held, Method
from authz_server.identity.sessions import SignedIn
from authz_server.identity.visits import all_methods
from authz_server.portal import locale
from authz_server.portal.form_problem import too_old

blueprint = Blueprint("methods", __name__)
ACTION: Final = "remove-method"


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to sign in, in the reader's language. `remove_url` None: it can't be removed here."""

    name: str
    label: str
    worth: str
    added: str
    used: str | None
    valid_until: str | None
    note: str | None
    remove_url: str | None
    change_url: str | None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A method that the citizen could use. `url` None: it works without being set up."""

    name: str
    worth: str
    url: str | None


@blueprint.get(enrolment.LIST)
@citizen_required
def listed(signed_in: SignedIn) -> Response:
    """Show the ways to sign in."""
    return _list_page(signed_in)


@blueprint.get(f"{enrolment.LIST}/remove/<int(max=9223372036854775807):credential_id>")
@enrolment.freshly
def ask_to_remove(signed_in: SignedIn, credential_id: int) -> Response:
    """Ask first, and say what it means."""
    return _remove_page(signed_in, credential_id)


@blueprint.post(f"{enrolment.LIST}/remove/<int(max=9223372036854775807):credential_id>")
@enrolment.freshly
def remove(signed_in: SignedIn, credential_id: int) -> Response:
    """Remove it, unless it is the last one."""
    if not csrf.check_form(_action(credential_id)):
        return _remove_page(signed_in, credential_id, error=too_old())
    try:
        removed = enrolment.remove(
            db.session(),
            signed_in,
            credential_id,
            methods=all_methods(),
            settings=services().settings,
            now=clock.now(),
        )
    except LastMethod:
        db.session.rollback()
        last = gettext("This is your last way to sign in. Add another one first.")
        return _remove_page(signed_in, credential_id, error=last, status=409)
    db.session.commit()
    return redirect(url_for("methods.listed", removed=1 if removed else None), code=303)


def _list_page(signed_in: SignedIn) -> Response:
    offered = [method for method in all_methods() if method.offered(services().settings)]
    session = db.session()
    held = [(method, one) for method in offered for one in method.held(session, signed_in.citizen_id)]
    having = {method.id for method, _ in held}
    messages = {"added": gettext("The new way to sign in is ready."), "removed": gettext("It was removed.")}
    page = render_template(
        "methods.html",
        signed_in=signed_in,
        ways=[_way(method, one) for method, one in held],
        choices=[
            Choice(name=method.name.get(locale.current()), worth=_worth(method), url=url_for(method.set_up))
            for method in offered
            if method.set_up is not None and (method.several or method.id not in having)
        ],
        ready=[
            Choice(name=method.name.get(locale.current()), worth=_worth(method), url=None)
            for method in offered
            if method.set_up is None and method.id not in having
        ],
        done=next((text for name, text in messages.items() if name in request.args), None),
    )
    return make_response(page)


def _remove_page(
    signed_in: SignedIn, credential_id: int, *, error: str | None = None, status: int | None = None
) -> Response:
    found = next(
        (
            (method, one)
            for method in all_methods()
            for one in method.held(db.session(), signed_in.citizen_id)
            if one.credential_id == credential_id
        ),
        None,
    )
    if found is None:
        abort(404)
    page = render_template(
        "methods_remove.html",
        signed_in=signed_in,
        way=_way(*found),
        csrf=csrf.form_token(_action(credential_id)),
        error=error,
    )
    return make_response(page, status or (403 if error else 200))


def _way(method: Method, one: Held) -> Way:
    remove_url = None
    if one.credential_id is not None:
        remove_url = url_for("methods.ask_to_remove", credential_id=one.credential_id)
    return Way(
        name=method.name.get(locale.current()),
        label=one.label,
        worth=_worth(method, one),
        added=_day(one.added_at),
        used=_day(one.last_used_at) if one.last_used_at else None,
        valid_until=_day(one.valid_until) if one.valid_until else None,
        note=one.note.get(locale.current()) if one.note else None,
        remove_url=remove_url,
        change_url=url_for(method.change) if method.change else None,
    )


def _worth(method: Method, one: Held | None = None) -> str:
    return worth(one.level if one and one.level else level_of_method(services().settings, method.id))


def worth(level: int) -> str:
    """What a sign-in of this level is good for."""
    if level > LOWEST_LEVEL:
        return gettext("For your own pages only; no data can be shared with it")
    return gettext("Identity level %(level)s", level=level)


def _day(moment: date | datetime) -> str:
    return day(moment, locale.current())


def _action(credential_id: int) -> str:
    return f"{ACTION}:{credential_id}"
