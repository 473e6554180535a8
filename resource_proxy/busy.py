"""What the proxy answers to whom it has no room for, made beforehand."""

from typing import Final

from flask import Flask

from authz_server.core import logging
from authz_server.core.admission import RETRY_AFTER_S, TRACE_PLACE, ReadyAnswer
from resource_proxy.errors import problem

ESSENTIAL: Final = ("/health",)  # to who watches the proxy a refusal would say that it is ill, not busy


def refusal(app: Flask, *, origin: str) -> ReadyAnswer:
    """A WSGI application that answers 503 with Retry-After; the token that came with the request is untouched.

    Args: origin: whose pages may read it: they wait, and come again.
    """
    with app.test_request_context("/data/-", headers={"Origin": origin}):
        logging.set_trace_id(TRACE_PLACE)
        made = problem(503, "server_busy", "The server is busy. Try again.")
        made.headers["Retry-After"] = str(RETRY_AFTER_S)
        response = app.process_response(made)
        logging.set_trace_id(None)
        return ReadyAnswer(tuple(response.headers.items()), response.get_data())
