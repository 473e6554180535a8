"""The one table from domain errors to what a client sees: problem+json (RFC 9457) with a trace id."""

import http
import logging as levels
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

from authz_server.core import dpop, jose, logging
from authz_server.core.circuit import CircuitOpen, PeerBusy
from authz_server.core.errors import DomainError
from resource_proxy.authz_client import (
    AuthorizationServerDown,
    OutcomeRefused,
    ProofReplayed,
    StepUpNeeded,
    TokenRefused,
)
from resource_proxy.connectors.base import (
    AgencyDown,
    AgencyGarbage,
    AgencyRefused,
    AgencyTimeout,
    AgencyTooLarge,
    BadSignature,
)
from resource_proxy.metadata import METADATA_PATH
from resource_proxy.one_shot_fetch import DatasetUnknown, NonceNeeded, Proxy, TokenMalformed, TokenMissing

PROBLEM_TYPE = "urn:mydata:problem:"


@dataclass(frozen=True)
class Edge:
    """How a kind of error looks from outside. `retry_after_s`: of kinds that don't say it themselves."""

    status: int
    retry_after_s: int | None = None


UNAUTHORIZED = Edge(401)
BAD_GATEWAY = Edge(502)
TABLE: Mapping[type[DomainError], Edge] = {
    TokenMissing: UNAUTHORIZED,
    TokenMalformed: UNAUTHORIZED,
    TokenRefused: UNAUTHORIZED,
    OutcomeRefused: UNAUTHORIZED,  # withdrawn, frozen or expired between the exchange and the first byte
    dpop.BadProof: UNAUTHORIZED,
    ProofReplayed: UNAUTHORIZED,
    NonceNeeded: UNAUTHORIZED,
    StepUpNeeded: UNAUTHORIZED,
    DatasetUnknown: Edge(404),
    AgencyRefused: BAD_GATEWAY,
    AgencyGarbage: BAD_GATEWAY,
    AgencyTooLarge: BAD_GATEWAY,
    BadSignature: BAD_GATEWAY,
    AgencyDown: Edge(503),
    PeerBusy: Edge(503, 1),
    CircuitOpen: Edge(503),
    AuthorizationServerDown: Edge(503, 5),
    AgencyTimeout: Edge(504),
}


def register(app: Flask, proxy: Proxy, *, described: Collection[str]) -> None:
    """Let every error of every route leave as problem+json.

    Args: described: paths of the resources that have metadata of their own.
    """

    @app.errorhandler(DomainError)
    def domain_error(error: DomainError) -> Response:
        edge = TABLE.get(type(error), Edge(500))
        logging.event(
            "request.refused",
            level=levels.ERROR if edge.status == 500 else levels.INFO,
            error=error.code,
            status=edge.status,
            detail=error.detail,
        )
        response = problem(edge.status, error.code, error.public)
        retry_after_s = getattr(error, "retry_after_s", None) or edge.retry_after_s
        if retry_after_s is not None:
            response.headers["Retry-After"] = str(retry_after_s)
        if edge is UNAUTHORIZED:
            # Of who asks for what there is not, the token is looked at first.
            metadata_url = proxy.url + METADATA_PATH + (request.path if request.path in described else "")
            response.headers["WWW-Authenticate"] = challenge(error, metadata_url)
        return response

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = http.HTTPStatus(error.code or 500)
        response = problem(status, f"http_{status}", status.phrase)
        if valid_methods := getattr(error, "valid_methods", None):
            # Of a fetch there is no HEAD, and its OPTIONS is for a page's browser alone: see `routes`.
            hidden = {"HEAD", "OPTIONS"} if request.path.startswith("/data/") else set()
            response.headers["Allow"] = ", ".join(sorted(set(valid_methods) - hidden))
        return response

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        current_app.logger.error("request.failed", exc_info=error)
        return problem(500, "server_error", DomainError.public)


def problem(status: int, code: str, title: str) -> Response:
    """An RFC 9457 answer; texts are constants, the trace id leads to the log."""
    document: dict[str, Any] = {"type": PROBLEM_TYPE + code.replace("_", "-"), "title": title, "status": int(status)}
    document["trace_id"] = logging.current_trace_id()
    return Response(orjson.dumps(document), status=int(status), mimetype="application/problem+json")


def challenge(error: DomainError, metadata_url: str) -> str:
    """RFC 9449 section 7.1 and RFC 9728 section 5.1: what went wrong, which proofs we take, where our metadata is."""
    more = {"resource_metadata": metadata_url}
    if isinstance(error, StepUpNeeded):
        more["acr_values"] = error.acr_values  # RFC 9470 section 3
    return dpop.challenge(None if isinstance(error, TokenMissing) else error, jose.SIGNING, **more)
