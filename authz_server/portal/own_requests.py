"""For whoever writes a client: what it has asked lately, and how that was answered, each with its trace id.

Routes
    GET  /developer/requests   the form
    POST /developer/requests   form: csrf, assertion (a client assertion made now, which is used up); the list, and for
                               an hour, in the same browser: csrf, client, until, pass instead

There only where the settings have requests kept (`client_requests_s`). A request that proved no client is on no list.
"""

from datetime import datetime, timedelta
from typing import Final

from flask import Blueprint, abort, make_response, render_template, request
from flask_babel import gettext
from werkzeug.wrappers import Response

from authz_server.clients import own_requests, standing
from authz_server.clients.model import Client
from authz_server.core import clock
from authz_server.core.secrets import derive, equal
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import cookies, csrf
from authz_server.identity.guard import current
from authz_server.oauth.client_auth import PrivateKeyJwt
from authz_server.oauth.errors import InvalidClient
from authz_server.portal import form_problem
from authz_server.single_use.identifiers import AssertionReplayed

blueprint = Blueprint("own_requests", __name__)
ACTION: Final = "own-requests"
LOOKS_FOR: Final = timedelta(hours=1)


@blueprint.before_request
def look_whether_any_are_kept() -> None:
    """Answer 404 where none are."""
    if not services().settings.limits.client_requests_s:
        abort(404)


@blueprint.get("/developer/requests")
def ask() -> Response:
    """Show the form."""
    return _page()


@blueprint.post("/developer/requests")
def show() -> Response:
    """Show the requests of the client that the assertion proves, or that was proved in this browser lately."""
    secret, now = cookies.form_secret(), clock.now()
    if not secret or not csrf.check(secret, ACTION, request.form.get("csrf")):
        return _page(error=form_problem.of_nobody(), status=403)
    until = request.form.get("until", "")
    if (client := _passed(secret, until, now=now)) is not None:
        return _page(client=client, until=until)
    assertion = request.form.get("assertion", "").strip()
    if not assertion:
        error = None if "lang" in request.form else gettext("Paste a client assertion first.")
        return _page(error=error, status=200 if error is None else 400)
    try:
        client = _proved(assertion, now=now)
    except AssertionReplayed:
        return _page(error=gettext("This assertion was used before. Make a new one."), status=400)
    except InvalidClient as wrong:
        return _page(error=gettext("This assertion is refused."), check=wrong.detail, status=400)
    db.session.commit()
    return _page(client=client, until=str(int((now + LOOKS_FOR).timestamp())))


def _proved(assertion: str, *, now: datetime) -> Client:
    """The client, and its assertion spent. The caller commits.  Raises: InvalidClient, AssertionReplayed."""
    known = services()
    client, identifier = PrivateKeyJwt(known.settings.issuer, known.registry).judge(assertion, now=now)
    if not standing.check(db.session(), client.client_id, spend=[identifier]):
        raise InvalidClient("unknown or suspended client")
    return client


def _passed(secret: str, until: str, *, now: datetime) -> Client | None:
    """The client that was proved in this browser, until then."""
    client = services().registry.client(request.form.get("client", ""))
    if client is None or client.suspended or not equal(request.form.get("pass", ""), _pass(secret, client, until)):
        return None
    return client if int(until) > now.timestamp() else None


def _pass(secret: str, client: Client, until: str) -> str:
    """What this browser gets so that its developer need not make an assertion for each look."""
    return derive(services().secret, ACTION, secret, client.client_id, until)


def _page(
    *, client: Client | None = None, until: str = "", error: str | None = None, check: str = "", status: int = 200
) -> Response:
    secret = cookies.form_secret() or cookies.new_form_secret()
    kept_s = services().settings.limits.client_requests_s
    found = own_requests.newest(db.session(), client.client_id, kept_s=kept_s, now=clock.now()) if client else ()
    response = make_response(
        render_template(
            "own_requests.html",
            signed_in=current(),
            client=client,
            requests=found,
            most=own_requests.MOST_SHOWN,
            until=until,
            proof=_pass(secret, client, until) if client else "",
            error=error,
            check=check,
            csrf=csrf.csrf_token(secret, ACTION),
        ),
        status,
    )
    cookies.keep_form_secret(response, secret)
    return response
