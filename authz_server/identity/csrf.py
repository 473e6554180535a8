"""Tokens that prove a form came from a page that this server gave to this browser. Nothing is stored."""

from flask import request

from authz_server.core import secrets
from authz_server.identity import cookies


def form_token(action: str) -> str:
    """Return the token for a form on a page of this browser's session."""
    return csrf_token(cookies.session_secret() or "", action)


def check_form(action: str) -> bool:
    """Tell whether the form of the present request came from a page of this browser's session."""
    return check(cookies.session_secret(), action, request.form.get("csrf"))


def csrf_token(cookie_secret: str, action: str) -> str:
    """Return the token for one action of the browser that holds this cookie.

    Args:
        cookie_secret: value of the session cookie, or of the pre-session cookie where nobody has signed in yet. It has
            256 random bits and no script can read it, so it is the key; a second key of the server would add nothing.
        action: what the form does, with its object: ``consent:<request_id>``, ``sign-out``.
    """
    return secrets.derive(cookie_secret.encode("utf-8", "surrogatepass"), "csrf", action)


def check(cookie_secret: str | None, action: str, token: str | None) -> bool:
    """Tell whether `token` was made for this cookie and this action; a missing one of the two never matches."""
    if not cookie_secret or not token:
        return False
    return secrets.equal(csrf_token(cookie_secret, action), token)
