"""Flask without what no request needs: a session of its own, async views, a look at the Host, answers to OPTIONS."""

import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response
from flask.sessions import NullSession, SessionInterface, SessionMixin
from werkzeug.datastructures import ImmutableDict
from werkzeug.routing import MapAdapter

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_NOTHING = NullSession()


class NoSessions(SessionInterface):
    """Citizens' sessions are rows (identity/sessions.py); Flask's signed cookie is never read or set."""

    def open_session(self, app: Flask, request: Request) -> SessionMixin:
        return _NOTHING

    def save_session(self, app: Flask, session: SessionMixin, response: Any) -> None:
        """Nothing to save."""


class LeanRequest(Request):
    """A request whose files lie in memory: nothing that somebody sends may come to lie on a disk."""

    def _get_file_stream(self, *_: object, **__: object) -> io.BytesIO:
        # How much that can be, `MAX_CONTENT_LENGTH` says.
        return io.BytesIO()


class LeanResponse(Response):
    """A response whose body, if it is there as a whole, is handed over as a list.

    Granian sends a list at once, together with the head. Of anything else it fetches piece by piece, each of which goes
    from thread to thread, and asks a last time whether there is more. What was to be done at a body's end is then done
    before it is sent.
    """

    def get_app_iter(self, environ: "WSGIEnvironment") -> Iterable[bytes]:
        body = super().get_app_iter(environ)
        if not self.is_sequence:
            return body
        try:
            return list(body)
        finally:
            self.close()


class LeanFlask(Flask):
    """The application class."""

    request_class = LeanRequest
    response_class = LeanResponse
    session_interface = NoSessions()
    # OPTIONS is a method that an address does not have, as any other: 405, with those that it has. Flask would answer
    # it by itself, wherever a view does not forbid that.
    default_config = ImmutableDict(Flask.default_config | {"PROVIDE_AUTOMATIC_OPTIONS": False})

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """All views are plain functions: Flask would look for a coroutine at each call of each."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Routes depend on path and method alone: scheme and host come from the settings."""
        if request is None:
            return None
        environ = request.environ
        return self.url_map.bind(
            "localhost",
            script_name=environ.get("SCRIPT_NAME", ""),
            path_info=request.path,
            default_method=environ["REQUEST_METHOD"],
            query_args=environ.get("QUERY_STRING", ""),
        )
