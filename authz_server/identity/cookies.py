"""The three cookies: the session, the secret of forms before a sign-in, and the one by which a browser is known."""

from datetime import timedelta
from typing import Final

from flask import request
from werkzeug.wrappers import Response

from authz_server.core.secrets import SECRET_CHARS, new_secret
from authz_server.extensions import services
from authz_server.identity import browsers
from authz_server.identity.browsers import Browser

SESSION: Final = "mydata"
FORM: Final = "mydata-form"
BROWSER: Final = "mydata-browser"
_FORM_PREFIX: Final = "mdf_"


def session_secret() -> str | None:
    """What the browser sent as its session, whatever it is worth."""
    return request.cookies.get(_name(SESSION))


def form_secret() -> str | None:
    """The secret for forms before the sign-in, if the browser sent one that can be ours."""
    return _ours(FORM, _FORM_PREFIX)


def new_form_secret() -> str:
    """A secret for `keep_form_secret`."""
    return new_secret(_FORM_PREFIX)


def browser() -> Browser:
    """The browser of this request; one that sent no cookie that can be ours is a new one."""
    secret = _ours(BROWSER, browsers.PREFIX) or new_secret(browsers.PREFIX)
    return Browser(secret=secret, user_agent=request.headers.get("User-Agent", ""))


def set_browser(response: Response, known: Browser) -> None:
    """Let the browser be known again, also after a sign-out, and for as long as it is kept."""
    _set(response, BROWSER, known.secret, max_age=browsers.KEPT)


def set_session(response: Response, secret: str) -> None:
    """Give the browser its session, and take the secret away that forms had before."""
    _set(response, SESSION, secret)
    _delete(response, FORM)


def delete_session(response: Response) -> None:
    """Take the session away."""
    _delete(response, SESSION)


def keep_form_secret(response: Response, secret: str) -> None:
    """Give the browser the secret that its form is tied to, unless it has it."""
    if form_secret() != secret:
        _set(response, FORM, secret)


def _ours(name: str, prefix: str) -> str | None:
    value = request.cookies.get(_name(name))
    return value if value and value.startswith(prefix) and len(value) == len(prefix) + SECRET_CHARS else None


def _set(response: Response, name: str, value: str, *, max_age: timedelta | None = None) -> None:
    # Lax, not Strict: the citizen arrives by a redirect from the client, and must arrive signed in.
    secure = services().settings.secure
    response.set_cookie(_name(name), value, max_age, secure=secure, httponly=True, samesite="Lax", path="/")


def _delete(response: Response, name: str) -> None:
    response.delete_cookie(_name(name), secure=services().settings.secure, httponly=True, samesite="Lax", path="/")


def _name(name: str) -> str:
    # RFC 6265bis section 4.1.3.2: no other host, and no page on http, can set a cookie of this name.
    return f"__Host-{name}" if services().settings.secure else name
