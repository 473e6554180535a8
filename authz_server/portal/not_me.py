"""The "not me" link of every message: stops everything of a citizen, without a sign-in.

Routes
    GET  /not-me?key=...   what it would do, or that it was done; changes nothing, for programs follow links in mails
    POST /not-me           form: csrf, key; stops everything, once, and leads to the same page
"""

from typing import Final

from flask import Blueprint, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from authz_server.core import clock, transfers
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import cookies, csrf
from authz_server.notices import not_me
from authz_server.notices.not_me import Link, NoSuchLink
from authz_server.portal.locale import moment

blueprint = Blueprint("not_me", __name__)
ACTION: Final = "not-me"


@blueprint.get("/not-me")
def ask() -> Response:
    """Ask, or tell that it was done."""
    return _page(request.args.get("key", ""))


@blueprint.post("/not-me")
def stop() -> Response:
    """Stop everything. A second time leads to the page that says so."""
    key = request.form.get("key", "")
    if not csrf.check(cookies.form_secret(), ACTION, request.form.get("csrf")):
        return _page(key, stale=True)
    if "lang" in request.form:
        return _page(key)
    try:
        stopped = not_me.use(db.session(), _link(key), now=clock.now())
    except NoSuchLink:
        return _page(key)
    transfers.commit_end(db.session(), under_way=stopped, environ=request.environ)
    return redirect(url_for("not_me.ask", key=key), code=303)


def _link(key: str) -> Link:
    return not_me.verify(key, services().secret)


def _page(key: str, *, stale: bool = False) -> Response:
    state, status = None, 403 if stale else 200
    try:
        state = not_me.get_state(db.session(), _link(key), now=clock.now())
        g.citizen_locale = state.locale
    except NoSuchLink:
        status = 404
    secret = cookies.form_secret() or cookies.new_form_secret()
    page = render_template(
        "not_me.html",
        key=key,
        usable=state is not None and state.used_at is None and not state.over,
        used=moment(state.used_at) if state else None,
        over=state is not None and state.over,
        frozen=moment(state.frozen_at) if state else None,
        csrf=csrf.csrf_token(secret, ACTION),
        stale=stale,
    )
    response = make_response(page, status)
    cookies.keep_form_secret(response, secret)
    return response
