"""The one way in: what a sign-in is for, its page, and the end that all methods share (see methods/base.py)."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Final

from flask import make_response, redirect, render_template, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from authz_server.catalogue.model import Text
from authz_server.config import BEST_LEVELS
from authz_server.core import clock
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import challenges, cookies, csrf, sign_in
from authz_server.identity.challenges import Challenge
from authz_server.identity.errors import (
    AnotherCitizen,
    CitizenSuspended,
    MethodUnavailable,
    PasswordHashingBusy,
    SignInLocked,
    SignInRefused,
    WrongCredentials,
)
from authz_server.identity.guard import current
from authz_server.identity.levels import level_of_method
from authz_server.identity.methods.base import Attempt, Form, Method
from authz_server.identity.returns import HOME
from authz_server.identity.visits import Visit, singles, visit_of, waiting_requests

SIGN_IN: Final = "sign-in"
_SHOWN_CHARS: Final = 64  # whatever was typed, no more of it is repeated


def received(method: Method) -> Callable[[Callable[[Visit, Form], Response]], Callable[[], Response]]:
    """Call the view of a method's POST with its visit and its form, once the form is known to be ours.

    Switching the language, cancelling, a stale form and a method that does not suffice here are answered before.
    """

    def decorate(view: Callable[[Visit, Form], Response]) -> Callable[[], Response]:
        @wraps(view)
        def answer() -> Response:
            form = singles(request.form)
            visit = visit_of(form)
            return refusal(visit, form, method) or view(visit, form)

        return answer

    return decorate


def refusal(visit: Visit, form: Form, method: Method | None) -> Response | None:
    """What answers a form before its method sees it; None if nothing does."""
    if "lang" in form and "action" not in form:  # the language was switched in the middle of typing
        return page(visit, method, typed=form)
    if not csrf.check(cookies.form_secret(), SIGN_IN, form.get("csrf")):
        return page(visit, method, error="form", status=403, typed=form)
    if form.get("action") == "cancel":
        return _cancel(visit)
    return None if method in visit.methods else page(visit, status=400)


def submit(
    visit: Visit,
    method: Method,
    *,
    account: str | None,
    begin: Callable[[Session], Attempt],
    typed: Form | None = None,
    shown: Mapping[str, Any] | None = None,
) -> Response:
    """Try to sign in and commit; the way on with the session's cookie, or the page that says why not.

    Args: account, begin: as in `sign_in.begin`; typed, shown: as in `page`, if it has to be shown again.
    """
    settings, now = services().settings, clock.now()
    again: dict[str, Any] = {"typed": typed, "shown": shown}
    address = request.remote_addr
    try:
        tried = sign_in.begin(db.session(), method, begin, account=account, address=address, settings=settings, now=now)
    except SignInLocked as locked:
        db.session.commit()
        error = "closed" if locked.everybody else "locked"
        return _locked_page(visit, method, locked.until, now=now, error=error, **again)
    # The count stands whatever comes; and no transaction is open while a password is hashed or a server asked.
    db.session.commit()
    # Whoever steps up stays who they are: the request in the middle is theirs.
    only = visit.signed_in.citizen_id if visit.signed_in and visit.reason else None
    browser = cookies.browser()
    try:
        tried.attempt.prove(now=now)
        secret = sign_in.complete(
            db.session(),
            tried,
            settings=settings,
            browser=browser,
            replaces=cookies.session_secret(),
            now=now,
            only=only,
        )
    except (PasswordHashingBusy, MethodUnavailable) as away:
        sign_in.give_up(db.session(), tried)
        error = "busy" if isinstance(away, PasswordHashingBusy) else "unavailable"
        response = page(visit, method, error=error, status=503, **again)
        response.headers["Retry-After"] = str(away.retry_after_s)
    except SignInRefused as refused:
        sign_in.fail(db.session(), tried, refused, now=now)
        response = _refused_page(visit, tried, refused, now=now, **again)
    else:
        response = redirect(visit.next_url, code=303)
        cookies.set_session(response, secret)
        cookies.set_browser(response, browser)
    db.session.commit()
    return response


def page(
    visit: Visit,
    method: Method | None = None,
    *,
    error: str | None = None,
    status: int = 200,
    typed: Form | None = None,
    shown: Mapping[str, Any] | None = None,
    told: Text | None = None,
    locked_minutes: int | None = None,
) -> Response:
    """The sign-in page. Its template is described in views.py.

    Args: method: whose form is shown, the first that suffices otherwise; typed: what of the form may be repeated is;
        shown: what the method's own template is given, as `shown`; told: instead of the method's `refused`.
    """
    settings, methods = services().settings, visit.methods
    chosen = method if method in methods else next(iter(methods), None)
    secret = cookies.form_secret() or cookies.new_form_secret()
    body = render_template(
        "sign_in.html",
        method=chosen,
        methods=methods,
        levels={method.id: level_of_method(settings, method.id) for method in methods},
        visit=visit,
        pending=visit.waiting,
        needed_level=visit.needed_level,
        reason=visit.reason,
        signed_in=visit.signed_in,
        error=error,
        told=told,
        locked_minutes=locked_minutes,
        typed=_repeatable(chosen, typed or {}),
        shown=_shown(chosen, visit, typed=typed, shown=shown),
        csrf=csrf.csrf_token(secret, SIGN_IN),
        in_sandbox_only=_in_sandbox_only(chosen, visit),
    )
    response = make_response(body, status)
    cookies.keep_form_secret(response, secret)
    return response


def _in_sandbox_only(method: Method | None, visit: Visit) -> bool:
    """Whether this method suffices only because the sandbox lets it stand for a stronger one."""
    if method is None or visit.needed_level is None or not services().settings.sandbox:
        return False
    return BEST_LEVELS[method.id] > visit.needed_level


def challenge(
    visit: Visit,
    method: Method,
    *,
    kind: str,
    ttl: timedelta,
    now: datetime,
    payload: Mapping[str, Any] | None = None,
    citizen_id: int | None = None,
) -> str:
    """Keep a challenge for this browser, which remembers the visit; its handle. The caller commits.

    Args: now: when it was made; citizen_id: who alone can answer it, if that is known.
    """
    return challenges.issue(
        db.session(),
        method=method.id,
        kind=kind,
        browser=cookies.form_secret(),
        payload={"visit": dict(visit.named), **(payload or {})},
        ttl=ttl,
        now=now,
        citizen_id=citizen_id,
    )


def answered(session: Session, method: Method, kind: str, handle: str) -> Challenge | None:
    """Spend the challenge that this browser answers; None if it can't be (any more). The caller commits."""
    browser = cookies.form_secret()
    return challenges.spend(session, handle, method=method.id, kind=kind, browser=browser, now=clock.now())


def returned(session: Session, method: Method, kind: str, handle: str) -> tuple[Visit, Challenge] | None:
    """As `answered`, for a browser that comes back from elsewhere: with the visit that the challenge remembers."""
    spent = answered(session, method, kind, handle)
    return (visit_of(spent.payload["visit"]), spent) if spent else None


def returned_again(session: Session, method: Method, kind: str, handle: str) -> Visit | None:
    """The visit of a challenge that was answered before, for who is signed in by the method since then; else None.

    Whoever goes back in their browser sends it again, from where the sign-in took the cookie away that it was bound to.
    Nothing is accepted by it: they are only led to where a link could lead them, too.
    """
    signed_in = current()
    found = challenges.find_spent(session, handle, method=method.id, kind=kind) if signed_in else None
    if signed_in is None or found is None:
        return None
    payload, spent_at = found
    since = any(proof.method == method.id and proof.at >= spent_at for proof in signed_in.proofs)
    return visit_of(payload["visit"]) if since else None


def _shown(
    method: Method | None, visit: Visit, *, typed: Form | None, shown: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    if method is None:
        return {}
    always = method.shown(services().settings, needed_level=visit.needed_level)
    return {**always, **(shown or (method.shown_again(typed) if typed else {}))}


def _cancel(visit: Visit) -> Response:
    if visit.waiting is None:
        return redirect(HOME, code=303)
    location = waiting_requests().deny(
        db.session(),
        visit.waiting.request_id,
        signed_in=visit.signed_in,
        unmet=not visit.methods,
        now=clock.now(),
    )
    response = redirect(location, code=303)
    if visit.waiting.at_desk and visit.signed_in:  # one more proof was demanded; its computer is one of several people
        sign_in.leave(db.session(), visit.signed_in, now=clock.now())
        cookies.delete_session(response)
    db.session.commit()
    return response


def _refused_page(visit: Visit, tried: sign_in.Try, refused: SignInRefused, *, now: datetime, **again: Any) -> Response:
    if isinstance(refused, CitizenSuspended):
        return page(visit, tried.method, error="suspended", status=403)
    if isinstance(refused, AnotherCitizen):
        return page(visit, tried.method, error="other", status=403)
    if tried.locked_until:
        return _locked_page(visit, tried.method, tried.locked_until, now=now, error="locked", **again)
    told = refused.told if isinstance(refused, WrongCredentials) else None
    return page(visit, tried.method, error="wrong", status=400, told=told, **again)


def _locked_page(visit: Visit, method: Method, until: datetime, *, now: datetime, error: str, **again: Any) -> Response:
    wait_s = max(1, math.ceil((until - now).total_seconds()))
    response = page(visit, method, error=error, status=429, locked_minutes=math.ceil(wait_s / 60), **again)
    response.headers["Retry-After"] = str(wait_s)
    return response


def _repeatable(method: Method | None, typed: Form) -> Form:
    fields = method.fields if method else ()
    return {field.name: typed.get(field.name, "")[:_SHOWN_CHARS] for field in fields if field.repeated}
