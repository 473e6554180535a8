"""JSON answers of the protocol edge: never cached, never sniffed."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from flask import Response


def json_response(body: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON answer that no cache may keep (RFC 6749 section 5.1)."""
    response = Response(orjson.dumps(body), status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    return response


def public_json(body: Mapping[str, Any]) -> Response:
    """A JSON answer for anyone, which may be cached for less time than a retired key stays published."""
    response = Response(orjson.dumps(body), content_type="application/json")
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


def silent(act: Callable[[], None]) -> Callable[[], Response]:
    """A view that does what it is asked, and says nothing but that."""

    def answer() -> Response:
        act()
        response = Response(status=204)
        # Without a body there is no media type either. Flask would say HTML, and what is for pages alone would be done.
        response.headers["Cache-Control"] = "no-store"
        del response.headers["Content-Type"]
        return response

    return answer
