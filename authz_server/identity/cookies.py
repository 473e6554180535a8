"""The two cookies: the session, and the secret that forms are tied to before anybody has signed in."""

from typing import Final

from flask import request
from werkzeug.wrappers import Response

from authz_server.core.secrets import new_secret
from authz_server.extensions import services

SESSION: Final = "mydata"
FORM: Final = "mydata-form"
_FORM_PREFIX: Final = "mdf_"
_FORM_LENGTH: Final = len(_FORM_PREFIX) + 43


def session_secret() -> str | None:
    """What the browser sent as its session, whatever it is worth."""
    return request.cookies.get(_name(SESSION))


def form_secret() -> str | None:
    """The secret for forms before the sign-in, if the browser sent one that can be ours."""
    value = request.cookies.get(_name(FORM))
    return value if value and value.startswith(_FORM_PREFIX) and len(value) == _FORM_LENGTH else None


def new_form_secret() -> str:
    """A secret for `set_form_secret`."""
    return new_secret(_FORM_PREFIX)


def set_session(response: Response, secret: str) -> None:
    """Give the browser its session, and take the secret away that forms had before."""
    _set(response, SESSION, secret)
    _delete(response, FORM)


def delete_session(response: Response) -> None:
    """Take the session away."""
    _delete(response, SESSION)


def set_form_secret(response: Response, secret: str) -> None:
    """Give the browser the secret that its sign-in form is tied to."""
    _set(response, FORM, secret)


def _set(response: Response, name: str, value: str) -> None:
    # Lax, not Strict: the citizen arrives by a redirect from the client, and must arrive signed in.
    response.set_cookie(_name(name), value, secure=services().settings.secure, httponly=True, samesite="Lax", path="/")


def _delete(response: Response, name: str) -> None:
    response.delete_cookie(_name(name), secure=services().settings.secure, httponly=True, samesite="Lax", path="/")


def _name(name: str) -> str:
    # RFC 6265bis section 4.1.3.2: no other host, and no page on http, can set a cookie of this name.
    return f"__Host-{name}" if services().settings.secure else name
