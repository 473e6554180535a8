"""Every URL of the proxy."""

from collections.abc import Mapping

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import MethodNotAllowed

from authz_server.core import clock, dpop, identifiers, logging
from authz_server.core.identifiers import TRACE_HEADER
from authz_server.core.serving import HSTS
from resource_proxy.connectors.base import NoRecord, Preparing
from resource_proxy.errors import problem
from resource_proxy.metadata import METADATA_PATH
from resource_proxy.one_shot_fetch import Asked, DatasetUnknown, Delivery, Proxy, fetch

# What a page that fetches may send and read (Fetch Standard, section 3.2: CORS protocol), besides what all may.
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET",
    "Access-Control-Allow-Headers": f"Authorization, DPoP, {TRACE_HEADER}",
    "Access-Control-Max-Age": "600",
}
EXPOSED = f"Retry-After, DPoP-Nonce, WWW-Authenticate, {TRACE_HEADER}"


def register(app: Flask, proxy: Proxy, *, metadata: Mapping[str, bytes], secure: bool, origin: str) -> None:
    """Add the routes, and what every answer of them has in common.

    Args: metadata: the documents by the path of their resource, "" for the proxy itself.
        origin: whose pages may fetch by a script; no cookie is involved.
    """

    @app.get("/data/<dataset_id>")
    def data(dataset_id: str) -> Response:
        asked = Asked(
            dataset_id=dataset_id,
            method=request.method,
            query=request.args,
            authorization=request.headers.get("Authorization"),
            proof=request.headers.get("DPoP"),
            trace_id=identifiers.TraceId(logging.current_trace_id() or ""),
        )
        return respond(fetch(asked, proxy))

    @app.route("/data/<dataset_id>", methods=["OPTIONS"])
    def preflight(dataset_id: str) -> Response:
        del dataset_id  # which there are, the catalogue says
        if request.headers.get("Origin") != origin or "Access-Control-Request-Method" not in request.headers:
            raise MethodNotAllowed(valid_methods=["GET"])
        response = Response(status=204, headers=PREFLIGHT)
        del response.headers["Content-Type"]  # of a body that there is not
        return response

    # The resource's path comes after the well-known one (RFC 9728 section 3.1).
    @app.get(METADATA_PATH)
    @app.get(f"{METADATA_PATH}/data/<dataset_id>")
    def protected_resource(dataset_id: str = "") -> Response:
        return describe(metadata.get(f"/data/{dataset_id}" if dataset_id else ""))

    @app.get("/health")
    def health() -> Response:
        return Response(b'{"status":"ok"}', mimetype="application/json")

    @app.before_request
    def begin() -> None:
        logging.set_trace_id(identifiers.trace_id(request.headers.get(TRACE_HEADER)))
        if request.method == "HEAD" and request.path.startswith("/data/"):
            # Flask answers HEAD wherever it answers GET; here that would use the token up and send nothing.
            raise MethodNotAllowed(valid_methods=["GET"])

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers[TRACE_HEADER] = logging.current_trace_id() or ""
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Content-Type-Options"] = "nosniff"
        if request.endpoint == "data" and (nonce := fresh_nonce(proxy)):
            response.headers["DPoP-Nonce"] = nonce  # RFC 9449 section 8.2: also with success, for the next request
        if request.path.startswith("/data/") and request.headers.get("Origin") == origin:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = EXPOSED
        if secure:
            response.headers["Strict-Transport-Security"] = HSTS
        return response


def describe(document: bytes | None) -> Response:
    """The metadata of a resource.  Raises: DatasetUnknown, where there is none."""
    if document is None:
        raise DatasetUnknown("no dataset that is served here")
    response = Response(document, mimetype="application/json")
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


def fresh_nonce(proxy: Proxy) -> str | None:
    """The nonce to hand out, None where none is demanded."""
    return None if proxy.nonce_secret is None else dpop.issue_nonce(proxy.nonce_secret, clock.now())


def respond(answer: Delivery | Preparing | NoRecord) -> Response:
    """The HTTP form of what a fetch came to."""
    if isinstance(answer, Preparing):
        body = orjson.dumps({"status": "preparing", "retry_after_s": answer.retry_after_s})
        response = Response(body, status=202, mimetype="application/json")
        response.headers["Retry-After"] = str(answer.retry_after_s)
        return response
    if isinstance(answer, NoRecord):
        return problem(404, "no_record", "The agency holds no record.")
    response = Response(answer.body, mimetype="application/jose", direct_passthrough=True)
    if answer.size_bytes is not None:
        # With its length announced, an answer that ends early is seen to be incomplete: the connection is aborted.
        response.headers["Content-Length"] = str(answer.size_bytes)
    return response
