"""Ways to sign in that citizens add to their accounts and take away again: who may, and what is left on the record."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Final
from urllib.parse import urlencode

from flask import redirect
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from authz_server.audit.service import Entry, record
from authz_server.config import Settings
from authz_server.core import clock
from authz_server.core.identifiers import LOWEST_LEVEL
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import challenges, cookies, credentials, sessions, turns
from authz_server.identity.challenges import Challenge
from authz_server.identity.errors import LastMethod
from authz_server.identity.guard import CitizenView, P, View, citizen_required, present_page
from authz_server.identity.levels import lack, level_of_method
from authz_server.identity.methods.base import Method
from authz_server.identity.sessions import SignedIn
from authz_server.identity.visits import FRESH, demands

LIST: Final = "/account/methods"
ADDED: Final = f"{LIST}?added=1"  # says that it was
UNFREEZE_PATH: Final = "/account/unfreeze"
CHANGE_LEVEL: Final = 3


def may_add(method: Method) -> Callable[[CitizenView[P]], View[P]]:
    """Call the view of a set-up page with the citizen, if they may add this method now; else let them prove more first.

    The session must have a proof of the last five minutes, and be stronger than what is to be added, or rest on two
    different methods: whoever has stolen one of them must not turn it into another that is worth more. An account in
    its first use needs two in any case, else the second proof could be made of the first.
    """

    def decorate(view: CitizenView[P]) -> View[P]:
        @wraps(view)
        def guarded(signed_in: SignedIn, /, *args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            level = level_of_method(services().settings, method.id)
            second = not (method.added_by_any or strong_enough(signed_in, level))
            if second or not fresh(signed_in, clock.now()):
                return redirect(prove_more_url(again=True, second=second), code=303)
            return view(signed_in, *args, **kwargs)

        return unfrozen(guarded)

    return decorate


def may_change(method: Method) -> Callable[[CitizenView[P]], View[P]]:
    """Call the view with the citizen, if they may renew what this method rests on; else let them prove more first.

    The session must have a proof of the last five minutes, of level 3 or better, and be by this very method or as
    strong as it must be to add the method.
    """

    def decorate(view: CitizenView[P]) -> View[P]:
        @wraps(view)
        def guarded(signed_in: SignedIn, /, *args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            level = level_of_method(services().settings, method.id)
            if method.id not in signed_in.methods and not strong_enough(signed_in, level):
                return redirect(prove_more_url(again=True, second=True), code=303)
            return view(signed_in, *args, **kwargs)

        return freshly(guarded)

    return decorate


def unfrozen(view: CitizenView[P]) -> View[P]:
    """Call the view, which changes what protects the citizen, unless the account is frozen: whoever signs in then may
    be the one because of whom it was."""

    @wraps(view)
    def guarded(signed_in: SignedIn, /, *args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if signed_in.frozen_at is not None:
            return redirect(f"{UNFREEZE_PATH}?first=1", code=303)
        return view(signed_in, *args, **kwargs)

    return citizen_required(guarded)


def identified(view: CitizenView[P]) -> View[P]:
    """Call the view, from which data may come to be shared, with a citizen who has proved it at an identity level; a
    code by e-mail alone does not do. Whoever has not is let prove more."""
    return _demanding(view, level=LOWEST_LEVEL)


def strongly(view: CitizenView[P]) -> View[P]:
    """The same for a view that weakens what protects the citizen: level 3 or better."""
    return _demanding(view, level=CHANGE_LEVEL)


def freshly(view: CitizenView[P]) -> View[P]:
    """The same, proved in the last five minutes."""
    return _demanding(view, level=CHANGE_LEVEL, again=True)


def _demanding(view: CitizenView[P], *, level: int, again: bool = False) -> View[P]:
    @wraps(view)
    def guarded(signed_in: SignedIn, /, *args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if lack(signed_in, level, clock.now() - FRESH if again else None):
            return redirect(prove_more_url(level=level, again=again), code=303)
        return view(signed_in, *args, **kwargs)

    return unfrozen(guarded) if level == CHANGE_LEVEL else citizen_required(guarded)


def let_prove_more(signed_in: SignedIn, level: int) -> Response | None:
    """Where a citizen is sent who has not signed in at this level, or is in their first use; None if nothing lacks."""
    lacking = lack(signed_in, level, two_methods=signed_in.first_use)
    return redirect(prove_more_url(level=level, second=lacking == "second"), code=303) if lacking else None


def fresh(signed_in: SignedIn, now: datetime) -> bool:
    """Tell whether the citizen has proved who they are in the last minutes, by a method that opens a fetch."""
    return any(proof.at >= now - FRESH for proof in signed_in.proofs if proof.level <= LOWEST_LEVEL)


def strong_enough(signed_in: SignedIn, level: int) -> bool:
    """Tell whether a credential of this level may be bound: after a stronger method, or two different ones."""
    return len(signed_in.methods) > 1 or (signed_in.level < level and signed_in.verified_at is not None)


def prove_more_url(*, level: int | None = None, again: bool = False, second: bool = False) -> str:
    """Where the citizen proves more, and comes back to the present page."""
    return f"/sign-in?{urlencode({'return_to': present_page(), **demands(level=level, again=again, second=second)})}"


def action(method: Method) -> str:
    """What the forms of a method's set-up page do, for their CSRF token."""
    return f"method:{method.id}"


def challenge(
    signed_in: SignedIn, method: Method, *, kind: str, ttl: timedelta, payload: Mapping[str, Any] | None = None
) -> str:
    """Keep a challenge for the citizen in this session; its handle. The caller commits."""
    return challenges.issue(
        db.session(),
        method=method.id,
        kind=kind,
        browser=cookies.session_secret(),
        payload=payload or {},
        ttl=ttl,
        now=clock.now(),
        citizen_id=signed_in.citizen_id,
    )


def answered(session: Session, method: Method, kind: str, handle: str) -> Challenge | None:
    """Spend the challenge that this session answers; None if it can't be (any more). The caller commits."""
    browser = cookies.session_secret()
    return challenges.spend(session, handle, method=method.id, kind=kind, browser=browser, now=clock.now())


def add(
    session: Session,
    signed_in: SignedIn,
    method: Method,
    *,
    external_id: str,
    label: str,
    data: Mapping[str, Any],
    now: datetime,
    secret: bytes | None = None,
) -> int | None:
    """Bind a credential to the citizen and record it; its id, None if it is bound already, to whomever.

    The caller commits. Args: as of `credentials.add`.  Raises: ShutOut.
    """
    turns.hold(session, signed_in)
    added = credentials.add(
        session,
        signed_in.citizen_id,
        method=method.id,
        external_id=external_id,
        label=label,
        data=data,
        secret=secret,
        now=now,
    )
    if added is not None:
        record(session, entry("method.added", signed_in, method.id, now=now))
    return added


def remove(
    session: Session,
    signed_in: SignedIn,
    credential_id: int,
    *,
    methods: Sequence[Method],
    settings: Settings,
    now: datetime,
) -> bool:
    """Take a credential of the citizen out of force, end all their other sessions and record it; whether there was one.

    The caller commits. Args: methods: of this server.  Raises: LastMethod, ShutOut; then nothing may be committed.
    """
    turns.hold(session, signed_in)  # and of two removals at once the second sees what the first has left
    method_id = credentials.remove(session, signed_in.citizen_id, credential_id, now=now)
    if method_id is None:
        return False
    if not any(
        method.held(session, signed_in.citizen_id)
        for method in methods
        if method.offered(settings) and level_of_method(settings, method.id) <= LOWEST_LEVEL
    ):
        raise LastMethod(method_id)
    sessions.end_all(session, signed_in.citizen_id, now=now, but=signed_in.session_digest)
    record(session, entry("method.removed", signed_in, method_id, now=now))
    return True


def renewed(session: Session, signed_in: SignedIn, event: str, *, now: datetime) -> None:
    """End all other sessions of the citizen, who has renewed what a method rests on, and record it. The caller commits.

    Args: event: what was renewed.  Raises: ShutOut; then nothing may be committed.
    """
    turns.hold(session, signed_in)
    sessions.end_all(session, signed_in.citizen_id, now=now, but=signed_in.session_digest)
    tell(session, signed_in, event, now=now)


def tell(session: Session, signed_in: SignedIn, event: str, *, now: datetime) -> None:
    """Record what the citizen has done to their ways to sign in. The caller commits."""
    record(session, entry(event, signed_in, None, now=now))


def entry(event: str, signed_in: SignedIn, method_id: str | None, *, now: datetime) -> Entry:
    """What the record says of a change to the citizen's ways to sign in."""
    return Entry(at=now, event=event, success=True, actor="citizen", citizen_id=signed_in.citizen_id, reason=method_id)
