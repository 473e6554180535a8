"""Who is asking: the citizen of the present request, and the decorator that lets nobody else in."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec, TypeAlias, cast
from urllib.parse import urlencode

from flask import current_app, g, redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from authz_server.core import clock
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import cookies, sessions
from authz_server.identity.errors import ShutOut
from authz_server.identity.returns import HOME, local_path
from authz_server.identity.sessions import SignedIn
from authz_server.prepared import lone_connection

P = ParamSpec("P")
View: TypeAlias = Callable[P, ResponseReturnValue]
CitizenView: TypeAlias = Callable[Concatenate[SignedIn, P], ResponseReturnValue]
# With the request, not with Flask's `g`: a test that holds an application context open would carry one citizen over.
_FOUND: Final = "mydata.signed_in"
UNATTENDED: Final = "unattended"


def current() -> SignedIn | None:
    """The citizen who is signed in, looked up once per request. Also tells the pages which language the account has.

    Once a minute it pushes the session's idle limit back, and commits: call it before anything is written. What a page
    asks by itself, with `?unattended`, is no sign of anybody, and keeps no session alive.
    """
    if _FOUND not in request.environ:
        request.environ[_FOUND] = _look_up()
    signed_in = cast(SignedIn | None, request.environ[_FOUND])
    g.citizen_locale = signed_in.locale if signed_in else None
    return signed_in


def _look_up() -> SignedIn | None:
    cookie, now = cookies.session_secret(), clock.now()
    if cookie is None:
        return None
    with lone_connection(read_only=True) as connection:
        found = sessions.find(connection, cookie, now=now)
    if found is not None and found.touch_due(now) and UNATTENDED not in request.args:
        with lone_connection() as connection:
            sessions.touch(connection, found, now=now, limits=services().settings.limits)
    return found


def citizen_required(view: CitizenView[P]) -> View[P]:
    """Call the view with the signed-in citizen as its first argument; send everybody else to sign in, and back.

    Whoever is shut out before the view has changed anything comes back to its page, where they are told.
    """

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        signed_in = current()
        if signed_in is None:
            return redirect(sign_in_url(), code=303)
        try:
            return view(signed_in, *args, **kwargs)
        except ShutOut:
            db.session.rollback()
            return redirect(present_page(), code=303)

    return guarded


def sign_in_url() -> str:
    """Where to sign in for the present request.

    A URL with a `request_id` belongs to an authorization request, so the sign-in page can say whose; others come back
    to the same address if it can be read (after an expired session a POST returns to its form).
    """
    if request_id := (request.view_args or {}).get("request_id"):
        return f"/sign-in?{urlencode({'request': request_id})}"
    return f"/sign-in?{urlencode({'return_to': present_page()})}"


def present_page() -> str:
    """The address of the present page, to come back to; home, if it can't be opened by its address."""
    return local_path(request.full_path.rstrip("?")) if _readable() else HOME


def _readable() -> bool:
    if request.method in {"GET", "HEAD"}:
        return True
    adapter = current_app.create_url_adapter(request)
    if adapter is None:
        return False
    try:
        adapter.match(request.path, method="GET")
    except HTTPException:
        return False
    return True
