"""What the server answers to whom it has no room for: pages for people, JSON for everybody else, made beforehand."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from flask import Flask

from authz_server.core.admission import RETRY_AFTER_S, TRACE_PLACE, ReadyAnswer
from authz_server.core.logging import set_trace_id
from authz_server.portal import errors, locale

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Where nothing is saved by refusing: a fetch that could not be reported was for nothing; to who watches the server a
# refusal would say that it is ill, not busy; and our 503 page needs its style.
ESSENTIAL: Final = ("/outcomes", "/health", "/static/")


def refusal(app: Flask) -> "WSGIApplication":
    """A WSGI application that answers 503 with Retry-After to every request."""
    machines = _answer(app, "/token", locale.DEFAULT)
    pages = {tag: _answer(app, "/", tag) for tag in locale.CATALOGUE_OF}

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"].lstrip("/").partition("/")[0] in errors.MACHINES:
            return machines(environ, start_response)  # most are, and this is all that refusing them costs
        with app.request_context(environ):
            ready = pages[locale.select()] if errors.for_people() else machines
        return ready(environ, start_response)

    return answer


def _answer(app: Flask, path: str, tag: str) -> ReadyAnswer:
    with app.test_request_context(path, headers={"Accept-Language": tag}):
        set_trace_id(TRACE_PLACE)
        response = app.process_response(errors.unavailable(retry_after_s=RETRY_AFTER_S))
        set_trace_id(None)
        return ReadyAnswer(tuple(response.headers.items()), response.get_data())
