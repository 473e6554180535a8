"""Ways to sign in that citizens add to their accounts and take away again: who may, and what is left on the record."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec
from urllib.parse import urlencode

from flask import redirect, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from authz_server.audit.service import Entry, record
from authz_server.core import clock
from authz_server.core.identifiers import LOWEST_LEVEL
from authz_server.extensions import services
from authz_server.identity import credentials
from authz_server.identity.guard import citizen_required
from authz_server.identity.levels import level_of_method
from authz_server.identity.methods.base import Method
from authz_server.identity.returns import local_path
from authz_server.identity.sessions import SignedIn
from authz_server.identity.visits import FRESH

P = ParamSpec("P")
LIST: Final = "/account/methods"


def may_add(
    method: Method,
) -> Callable[
    [Callable[Concatenate[SignedIn, P], ResponseReturnValue]],
    Callable[P, ResponseReturnValue],
]:
    """Call the view of a set-up page with the citizen, if they may add this method now; else let them prove more first.

    The session must have a proof of the last five minutes, and be stronger than what is to be added, or rest on two
    different methods: whoever has stolen one of them must not turn it into another that is worth more.
    """

    def decorate(
        view: Callable[Concatenate[SignedIn, P], ResponseReturnValue],
    ) -> Callable[P, ResponseReturnValue]:
        @wraps(view)
        def guarded(signed_in: SignedIn, /, *args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            level = level_of_method(services().settings, method.id)
            lacking = {
                "again": not fresh(signed_in, clock.now()),
                "second": not (method.added_by_any or strong_enough(signed_in, level)),
            }
            if any(lacking.values()):
                return redirect(prove_more_url(**lacking), code=303)
            return view(signed_in, *args, **kwargs)

        return citizen_required(guarded)

    return decorate


def fresh(signed_in: SignedIn, now: datetime) -> bool:
    """Tell whether the citizen has proved who they are in the last minutes, by a method that opens a fetch."""
    return any(proof.at >= now - FRESH for proof in signed_in.proofs if proof.level <= LOWEST_LEVEL)


def strong_enough(signed_in: SignedIn, level: int) -> bool:
    """Tell whether a credential of this level may be bound: after a stronger method, or two different ones."""
    proofs = [proof for proof in signed_in.proofs if proof.level <= LOWEST_LEVEL]
    return signed_in.level < level or len({proof.method for proof in proofs}) > 1


def prove_more_url(*, again: bool, second: bool) -> str:
    """Where the citizen proves more, and comes back to the present page."""
    marks = {name: "1" for name, lacking in (("again", again), ("second", second)) if lacking}
    return f"/sign-in?{urlencode({'return_to': local_path(request.full_path.rstrip('?'))} | marks)}"


def action(method: Method) -> str:
    """What the forms of a method's set-up page do, for their CSRF token."""
    return f"method:{method.id}"


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

    The caller commits. Args: as of `credentials.add`.
    """
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


def entry(event: str, signed_in: SignedIn, method_id: str, *, now: datetime) -> Entry:
    """What the record says of a change to the citizen's ways to sign in."""
    return Entry(at=now, event=event, success=True, actor="citizen", citizen_id=signed_in.citizen_id, reason=method_id)
