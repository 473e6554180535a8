"""Errors as people read them: what happened, what became of their data, where to go on; in both languages.

The stable English words of the protocol (`invalid_request_uri`, ...) stay on the page for engineers and tests.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flask import Flask, Response, current_app, jsonify, make_response, render_template, request
from flask_babel import force_locale, lazy_gettext
from flask_babel.speaklater import LazyString
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from authz_server.consent.client_home import Home, home_of
from authz_server.consent.errors import RequestNotPushed, WrongCitizen
from authz_server.consent.service import client_of
from authz_server.core.errors import DomainError
from authz_server.core.logging import current_trace_id, event
from authz_server.database import UNREACHABLE, close_session, db, why
from authz_server.extensions import services
from authz_server.identity.guard import current
from authz_server.identity.sessions import SignedIn
from authz_server.portal import locale

# First parts of the paths of programs. Those of all other routes are pages, and whoever asks elsewhere says by Accept.
MACHINES: Final = frozenset(
    {
        ".well-known",
        "agencies",
        "announce",
        "catalogue",
        "copies",
        "corrections",
        "grants",
        "health",
        "introspect",
        "jwks",
        "outcomes",
        "par",
        "preparations",
        "recipients",
        "revoke",
        "token",
        "userinfo",
    }
)
_PAGES: Final = "mydata.pages"
# Not that of `core.admission`: what is busy is free again in a moment, a database that is away comes back less soon.
DATABASE_AWAY_S: Final = 30


@dataclass(frozen=True)
class Explanation:
    """A heading and what it means for the reader."""

    headline: LazyString
    text: LazyString


NOT_SHOWN = Explanation(
    lazy_gettext("This request can't be shown"),
    lazy_gettext("The site that sent you here made a mistake. Nothing was sent to it. Please tell its operator."),
)
BY_ERROR: Final[Mapping[str, Explanation]] = {
    "invalid_request_uri": Explanation(
        lazy_gettext("This request is over"),
        lazy_gettext(
            "It was decided already, or its time has passed, or it was never made. Nothing more is sent because of it. "
            "To share your data, start again where you came from."
        ),
    ),
    "client_id is unknown": Explanation(
        lazy_gettext("We don't know who sent you here"),
        lazy_gettext(
            "The site that sent you here is not registered with this platform. Nothing was sent to it. "
            "Please tell its operator."
        ),
    ),
    WrongCitizen.public: Explanation(
        lazy_gettext("Somebody else has opened this request"),
        lazy_gettext(
            "Another person began to read this request in this or another browser, so it can't be decided by you. "
            "Nothing was sent. Start again where you came from."
        ),
    ),
}
# Where the stable text alone would explain the wrong thing.
BY_CAUSE: Final[Mapping[type[DomainError], Explanation]] = {
    RequestNotPushed: Explanation(
        lazy_gettext("The site that sent you here left out a step"),
        lazy_gettext(
            "It has to push its request to this platform first, and send you with the request_uri of the answer. "
            "Nothing was sent to it. Please tell its operator."
        ),
    ),
}
BY_STATUS: Final[Mapping[int, Explanation]] = {
    400: NOT_SHOWN,
    403: Explanation(
        lazy_gettext("This is not open to you"),
        lazy_gettext("Nothing was changed. Please start again from the home page."),
    ),
    404: Explanation(
        lazy_gettext("There is no such page"),
        lazy_gettext("Check the address. If you followed a link, its page may be gone."),
    ),
    405: Explanation(
        lazy_gettext("This address can't be opened like that"),
        lazy_gettext("Nothing was changed or sent. Please start again where you came from."),
    ),
    413: Explanation(
        lazy_gettext("That was too much at once"),
        lazy_gettext(
            "What your browser sent is larger than any of our forms. Nothing was changed or sent. "
            "Please go back, and send a smaller file or less text."
        ),
    ),
    429: Explanation(
        lazy_gettext("Too many requests"),
        lazy_gettext("Please wait a minute and try again. Nothing was changed or sent."),
    ),
    500: Explanation(
        lazy_gettext("Something went wrong on our side"),
        lazy_gettext(
            "This platform keeps none of your data, so none of it is left lying here. A decision counts completely or "
            "not at all: if your record does not show that you agreed, nothing was shared. Please try again later."
        ),
    ),
    503: Explanation(
        lazy_gettext("We are busy or under maintenance"),
        lazy_gettext(
            "Nothing was sent, and nothing is lost: a decision that is not on your record was not made. "
            "Please try again in a few minutes."
        ),
    ),
}


def init_app(app: Flask) -> None:
    """Answer every error that no view has answered: with a page for people, with JSON for everybody else.

    Call it when all routes are there.
    """
    places = {rule.rule.split("/")[1] for rule in app.url_map.iter_rules() if rule.endpoint != "static"}
    app.extensions[_PAGES] = places - MACHINES
    app.register_error_handler(DomainError, handle_domain_error)
    app.register_error_handler(HTTPException, handle_http_exception)
    for unreachable in UNREACHABLE:
        app.register_error_handler(unreachable, handle_database_error)


def for_people() -> bool:
    """Whether a person reads the answer: at the addresses of our pages, or when HTML is asked for before JSON."""
    place = request.path.split("/")[1]
    if place in current_app.extensions[_PAGES]:
        return True
    return (
        place not in MACHINES and request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
    )


def page(status: int, *, error: str = "", home: Home | None = None, explanation: Explanation | None = None) -> Response:
    """An error page: HTTP `status`, no redirect, no link to the client's redirect URI.

    Args:
        error: stable English text, "" if the status says enough.
        home: where the citizen can start again, if the client is known.
        explanation: if neither the text nor the status says what it is.
    """
    reader = _reader() if status < 500 else None  # first, for it is their language that counts
    found = explanation or BY_ERROR.get(error) or BY_STATUS.get(status) or BY_STATUS[500 if status >= 500 else 400]
    other = "en" if locale.current() != "en" else locale.DEFAULT
    with force_locale(locale.CATALOGUE_OF[other]):
        in_other = {"lang": locale.HTML_LANG[other], "headline": str(found.headline), "text": str(found.text)}
    return make_response(
        render_template(
            "error.html",
            signed_in=reader,
            counted=False,  # nor does it wait for the database
            status=status,
            error=error,
            headline=str(found.headline),
            text=str(found.text),
            other=in_other,
            client=home,
            trace_id=current_trace_id(),
        ),
        status,
    )


def _reader() -> SignedIn | None:
    """Who is signed in, and so finds their pages here; nobody, while the database is away: that is another error."""
    close_session()
    try:
        return current()
    except UNREACHABLE:
        return None


def handle_domain_error(error: DomainError) -> Response:
    """A request of a browser that can't go on: with the way back to whoever made it, if that is known."""
    close_session()
    event("request.refused", endpoint=request.path, error=error.code, detail=error.detail)
    if not for_people():
        return machine_error(400, error.code, error.public)
    public = error.public if error.public in BY_ERROR else ""
    return page(400, error=public, home=_home_of_client(), explanation=BY_CAUSE.get(type(error)))


def handle_http_exception(error: HTTPException) -> Response:
    """An error of the web framework (404, 405, 413, 500, ...); the headers that it demands are kept."""
    status = error.code or 500
    if for_people():
        response = page(status)
    else:
        code = "server_error" if status >= 500 else "invalid_request"
        response = machine_error(status, code, HTTP_STATUS_CODES.get(status, "Error"))
    for name, value in error.get_headers():
        if name in {"Allow", "Content-Range", "Retry-After"}:
            response.headers[name] = value
    return response


def handle_database_error(error: Exception) -> Response:
    """The database can't be reached or is too busy: nothing was done, and it is worth trying again."""
    event("database.unavailable", level=logging.ERROR, endpoint=request.path, **why(error))
    return unavailable(retry_after_s=DATABASE_AWAY_S)


def unavailable(*, retry_after_s: int) -> Response:
    """503: nothing was done, and it is worth trying again after that time."""
    if for_people():
        response = page(503)
    else:
        response = machine_error(503, "temporarily_unavailable", "The server is busy. Try again.")
    response.headers["Retry-After"] = str(retry_after_s)
    return response


def machine_error(status: int, code: str, description: str) -> Response:
    """The JSON of an error."""
    response = jsonify(error=code, error_description=description)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response


def _home_of_client() -> Home | None:
    client_id = request.args.get("client_id")
    if request_id := (request.view_args or {}).get("request_id") or request.values.get("request"):
        client_id = client_of(db.session(), str(request_id))
    client = services().registry.client(client_id) if client_id else None
    return home_of(client, locale.current()) if client and client.redirect_uris else None
