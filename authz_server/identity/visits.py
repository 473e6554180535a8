"""What a sign-in is for: read from a form or an address, looked up each time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, cast

from flask import Flask, abort, current_app, g
from werkzeug.datastructures import MultiDict

from authz_server.core import clock
from authz_server.core.identifiers import HIGHEST_LEVEL, LOWEST_LEVEL
from authz_server.extensions import services
from authz_server.identity.guard import current
from authz_server.identity.levels import lack, level_of_method, reached
from authz_server.identity.methods.base import Form, Method
from authz_server.identity.returns import local_path
from authz_server.identity.sessions import SignedIn
from authz_server.identity.waiting import WaitingRequest, WaitingRequests
from authz_server.prepared import lone_connection

FRESH: Final = timedelta(minutes=5)  # how old a proof may be where a page demands a fresh one
_LEVELS: Final = {str(level): level for level in range(HIGHEST_LEVEL, LOWEST_LEVEL + 1)}
_WAITING: Final = "mydata.waiting_requests"
_METHODS: Final = "mydata.identity_methods"


def init_app(app: Flask, waiting: WaitingRequests, methods: Sequence[Method]) -> None:
    """Tell the pages which methods there are, and who knows the requests that sign-ins are for."""
    app.extensions[_WAITING] = waiting
    app.extensions[_METHODS] = methods


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a sign-in is for. Only its name travels with the browser; everything else is looked up each time.

    Args:
        waiting: the authorization request that waits, or None.
        return_to: where to go on without one; a path of ours.
        level, again, second: the page there demands this level, a fresh proof, or two different methods. It checks that
            itself; here it only means that the form is shown to who is signed in, and which methods are offered.
        wish: the stronger proof that the client of the request would like, and does not demand, is offered.
    """

    waiting: WaitingRequest | None
    return_to: str
    signed_in: SignedIn | None
    level: int | None = None
    again: bool = False
    second: bool = False
    wish: bool = False

    @property
    def named(self) -> Mapping[str, str]:
        """What travels with the browser, in forms and addresses."""
        if self.waiting:
            return {"request": self.waiting.request_id, **({"wish": "1"} if self.wish else {})}
        return {"return_to": self.return_to, **demands(level=self.level, again=self.again, second=self.second)}

    @property
    def needed_level(self) -> int | None:
        """The level to be reached; None: any, also what only opens the member area."""
        if self.waiting:
            return self.waiting.needed_level
        return self.level or (LOWEST_LEVEL if self.again or self.second else None)

    @property
    def reason(self) -> str | None:
        """Why a signed-in citizen must prove it again: "level", "second" (by another method), "again"; None: no need.

        "wish": they need not.
        """
        if self.signed_in is None:
            return None
        after = self.waiting.authenticated_after if self.waiting else None
        if self.again:
            after = clock.now() - FRESH
        lacking = lack(self.signed_in, self.needed_level, after, two_methods=self.second or self.first_use)
        if lacking is None and self.wish and self.waiting and self._reaching(self.waiting.wished_level):
            return None if reached(self.signed_in.level, self.waiting.wished_level) else "wish"
        return lacking

    @property
    def first_use(self) -> bool:
        """Whether a request waits for somebody who has never proved who they are by two different methods."""
        return self.waiting is not None and self.signed_in is not None and self.signed_in.first_use

    @property
    def methods(self) -> Sequence[Method]:
        """Those that suffice here, in the order of the registry."""
        reason = self.reason
        if self.signed_in and reason == "second":
            return [method for method in self._reaching(LOWEST_LEVEL) if method.id not in self.signed_in.methods]
        if self.waiting and reason == "wish":
            return self._reaching(self.waiting.wished_level)
        return self._reaching(self.needed_level)

    def _reaching(self, level: int | None) -> Sequence[Method]:
        settings = services().settings
        return [
            method
            for method in all_methods()
            if method.offered(settings) and reached(level_of_method(settings, method.id), level)
        ]

    @property
    def next_url(self) -> str:
        """Where to go on when it is done."""
        return f"/consent/{self.waiting.request_id}" if self.waiting else self.return_to


def demands(*, level: int | None, again: bool, second: bool) -> Mapping[str, str]:
    """The parameters of a sign-in from which a page demands something: see `Visit`."""
    marks = {"level": str(level) if level else "", "again": "1" if again else "", "second": "1" if second else ""}
    return {name: value for name, value in marks.items() if value}


def visit_of(values: Mapping[str, str]) -> Visit:
    """The visit that these parameters name.  Raises: as `WaitingRequests.get`."""
    waiting = None
    if request_id := values.get("request"):
        with lone_connection(read_only=True) as connection:
            waiting = waiting_requests().get(connection, request_id, now=clock.now())
        g.form_action_uris = (waiting.redirect_uri,)
        g.ui_locales = " ".join(waiting.ui_locales)
    return Visit(
        waiting=waiting,
        return_to=local_path(values.get("return_to")),
        signed_in=current(),
        level=_LEVELS.get(values.get("level", "")),
        again=values.get("again") == "1",
        second=values.get("second") == "1",
        wish=values.get("wish") == "1",
    )


def singles(values: MultiDict[str, str]) -> Form:
    """The parameters. Two readers of a doubled one may read different ones, so that there is no right one: refused."""
    if any(len(values.getlist(name)) > 1 for name in values):
        abort(400)
    return values.to_dict()


def all_methods() -> Sequence[Method]:
    """Every method of the registry, offered here or not."""
    return cast(Sequence[Method], current_app.extensions[_METHODS])


def method_named(method_id: str | None) -> Method | None:
    """The method of this id."""
    return next((method for method in all_methods() if method.id == method_id), None)


def waiting_requests() -> WaitingRequests:
    """Who knows the requests."""
    return cast(WaitingRequests, current_app.extensions[_WAITING])
