"""What another OpenID Provider has answered, and whose account that opens."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from authz_server.catalogue.model import Text
from authz_server.core import clock
from authz_server.core.identifiers import CitizenId
from authz_server.core.logging import event
from authz_server.identity import credentials, turns
from authz_server.identity.errors import WrongCredentials
from authz_server.identity.methods.base import Accepted
from authz_server.identity.peer import PeerUnavailable
from authz_server.identity.upstream_id_token import AnswerRefused, Journey, Person
from authz_server.identity.upstream_provider import Provider

METHOD: Final = "upstream"
# RFC 6749 section 4.1.2.1: the provider says that it can't at the moment.
_AWAY: Final = frozenset({"server_error", "temporarily_unavailable"})
TOLD: Final = {
    "upstream_denied": Text(
        zh="您在對方那裡取消了，或對方沒有讓您登入。沒有發生其他事，請再試一次，或改用其他方式。",
        en="You cancelled there, or were not let in there. Nothing else happened: try again, or use another way.",
    ),
    "upstream_acr": Text(
        zh="您在對方那裡使用的登入方式，本平臺不接受。請在那裡改用更安全的方式，或改用其他方式登入本平臺。",
        en="The way in which you signed in there does not count here. Use a safer one there, or another way here.",
    ),
    "upstream_unknown": Text(
        zh="您在對方那裡的帳號尚未連結本平臺的帳號。請先用其他方式登入，再到「登入方式」新增。",
        en='Your account there is not connected with one here. Sign in another way, then add it at "Ways to sign in".',
    ),
}


@dataclass(kw_only=True)
class UpstreamAttempt:
    """An answer, and the journey that it is an answer to. `began`: the provider that the journey went to."""

    provider: Provider
    began: str
    journey: Journey
    answer: Mapping[str, str] = field(repr=False)
    citizen_id: CitizenId | None = field(default=None, init=False)
    person: Person | None = field(default=None, init=False)

    def prove(self, *, now: datetime) -> None:
        """Look at the answer, and swap its code for an ID token."""
        try:
            self.person = self._person()
        except AnswerRefused as refused:
            detail = refused.detail
            event("upstream.refused", level=logging.WARNING, connector=self.provider.id, detail=detail)
            raise WrongCredentials(refused.reason, told=TOLD.get(refused.reason)) from None

    def _person(self) -> Person:
        if self.began != self.provider.id:  # RFC 9700 section 4.4.2.2: each provider has a redirect URI of its own
            raise AnswerRefused("state of a journey to another provider")
        self.provider.check_origin(self.answer)
        error, code = self.answer.get("error"), self.answer.get("code")
        if error in _AWAY:
            raise PeerUnavailable("it says that it is away")
        if error is not None:
            reason = "upstream_denied" if error == "access_denied" else "upstream_answer"
            raise AnswerRefused("it answers with an error", reason=reason)
        if not code:
            raise AnswerRefused("neither a code nor an error")
        return self.provider.redeem(code, self.journey)

    def accept(self, session: Session) -> Accepted:
        """Find whose account it is. Code and state are spent already, so that nothing is left to spend."""
        if self.person is None:
            raise WrongCredentials("not_proved")
        bound = credentials.find(session, method=METHOD, external_id=self.person.external_id)
        if bound is not None:
            turns.take(session, bound.citizen_id)  # as in `sign_in.complete`, where nobody knew yet who it is
        used = credentials.use(session, bound.id, now=clock.now()) if bound else None
        if used is None:
            raise WrongCredentials("upstream_unknown", told=TOLD["upstream_unknown"])
        return Accepted(citizen_id=CitizenId(used), level=self.person.level)
