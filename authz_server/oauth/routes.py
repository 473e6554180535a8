"""Every protocol URL, a line each."""

import re
from collections.abc import Callable
from functools import wraps

from authlib.oauth2 import OAuth2Error
from flask import Flask, Response, request
from werkzeug.wrappers import Response as BaseResponse

from authz_server.consent.errors import CodeReplayed
from authz_server.core import jose
from authz_server.core.errors import DomainError
from authz_server.core.logging import event
from authz_server.counter.errors import BarcodeNotUsable
from authz_server.database import db
from authz_server.extensions import Services, services
from authz_server.oauth import (
    authorize,
    client_access,
    copies,
    corrections,
    grant_management,
    heartbeats,
    metadata,
    outcomes,
    preparations,
    requester,
    userinfo,
)
from authz_server.oauth.errors import CodeMisused, InvalidRequest, challenge, error_response
from authz_server.oauth.responses import json_response, public_json, silent
from authz_server.oauth.server import ConsentServer

# A refused request changes nothing, except where refusing is not enough: a stolen code stays spent, a guess is counted.
KEPT = (CodeMisused, CodeReplayed, BarcodeNotUsable)

View = Callable[[], BaseResponse]
ID = re.compile(r"[A-Za-z0-9_-]{1,40}")


def init_app(app: Flask, services: Services) -> None:
    """Register the protocol's routes."""
    server = ConsentServer(services)
    document = metadata.document(services)
    keys = jose.public_jwks(services.keys)

    def route(rule: str, name: str, view: View, *methods: str) -> None:
        app.add_url_rule(rule, f"oauth.{name}", view, methods=methods)

    back = back_channel
    route("/.well-known/openid-configuration", "discovery", lambda: public_json(document), "GET")
    route(
        "/.well-known/oauth-authorization-server", "authorization_server_metadata", lambda: public_json(document), "GET"
    )
    route("/jwks", "jwks", lambda: public_json(keys), "GET")
    route("/par", "par", back(lambda: server.create_endpoint_response("par", request)), "POST")
    route("/authorize", "authorize", lambda: authorize.authorize(request), "GET", "POST")
    route("/token", "token", back(lambda: server.create_token_response(request)), "POST")
    route("/introspect", "introspect", back(lambda: server.create_endpoint_response("introspection", request)), "POST")
    route("/revoke", "revoke", back(lambda: server.create_endpoint_response("revocation", request)), "POST")
    route("/announce", "announce", back(lambda: server.create_endpoint_response("announcement", request)), "POST")
    route("/copies", "report_copy", back(silent(lambda: copies.report(request, server))), "POST")
    route("/outcomes", "outcomes", back(silent(lambda: outcomes.report(request))), "POST")
    _add_agencies(route)
    resource = protected_resource(jose.SIGNING)
    route(
        "/userinfo", "userinfo", resource(lambda: json_response(userinfo.answer(request, server.dpop))), "GET", "POST"
    )
    grant = f"{client_access.PATH}/<grant_id>"
    route(
        grant,
        "query_grant",
        resource(lambda: json_response(grant_management.query(request, server.dpop, _named("grant_id")))),
        "GET",
    )
    route(
        grant,
        "revoke_grant",
        resource(silent(lambda: grant_management.revoke(request, server.dpop, _named("grant_id")))),
        "DELETE",
    )
    route(
        f"{grant}/erasure",
        "query_erasure",
        resource(lambda: json_response(grant_management.query_erasure(request, server.dpop, _named("grant_id")))),
        "GET",
    )
    route(
        f"{grant}/erasure",
        "answer_erasure",
        resource(silent(lambda: grant_management.answer_erasure(request, server.dpop, _named("grant_id")))),
        "POST",
    )


def _add_agencies(route: Callable[[str, str, View, str], None]) -> None:
    """What agencies answer, and how they are."""
    route(
        "/corrections/<correction_id>",
        "answer_correction",
        back_channel(silent(lambda: corrections.answer(request, _named("correction_id")))),
        "POST",
    )
    route(
        "/preparations/<preparation_id>",
        "answer_preparation",
        back_channel(silent(lambda: preparations.answer(request, _named("preparation_id")))),
        "POST",
    )
    route(
        "/agencies/<agency_id>/heartbeat",
        "heartbeat",
        back_channel(silent(lambda: heartbeats.take(request, _named("agency_id")))),
        "POST",
    )


def _named(part: str) -> str:
    """A part of the address. What is no id at all becomes one that nobody has."""
    named = str((request.view_args or {})[part])
    return named if ID.fullmatch(named) else ""


def back_channel(view: View) -> View:
    """One transaction: committed when the view answers, undone when it raises; errors become JSON."""

    @wraps(view)
    def answer(**_path: str) -> BaseResponse:
        return _in_transaction(view, error_response)

    return answer


def protected_resource(algorithms: tuple[str, ...]) -> Callable[[View], View]:
    """As `back_channel`, with the errors of a resource: a challenge in `WWW-Authenticate`."""

    def decorate(view: View) -> View:
        @wraps(view)
        def answer(**_path: str) -> BaseResponse:
            return _in_transaction(view, lambda error: challenge(error, algorithms))

        return answer

    return decorate


def _in_transaction(view: View, on_error: Callable[[DomainError], Response]) -> BaseResponse:
    try:
        response = view()
    except DomainError as error:
        _end(commit=isinstance(error, KEPT))
        return _refused(error, on_error)
    except OAuth2Error as error:
        # What Authlib itself refuses; its texts are free, ours are not.
        _end(commit=False)
        ours = InvalidRequest()
        ours.detail = str(error.error)
        return _refused(ours, on_error)
    _end(commit=True)
    return _listed(response)


def _refused(error: DomainError, on_error: Callable[[DomainError], Response]) -> BaseResponse:
    client_id = requester.client_id()
    event("request.refused", endpoint=request.path, client_id=client_id, error=error.code, detail=error.detail)
    return _listed(on_error(error), error)


def _listed(response: BaseResponse, refusal: DomainError | None = None) -> BaseResponse:
    """The answer, which the client's developer can look up, if any can."""
    client_id = requester.client_id()
    if client_id and services().settings.limits.client_requests_s:
        requester.keep_answer(client_id, response.status_code, refusal)
    return response


def _end(*, commit: bool) -> None:
    """End the session's transaction, where one was begun: most requests take their one decision without a session."""
    if db.session.registry.has():
        (db.session.commit if commit else db.session.rollback)()
