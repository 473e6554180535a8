"""What a sign-in must know about the authorization request that waits for it.

Requests are the business of `consent`, which stands above this room; the application hands in who knows them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from authz_server.catalogue.model import Text
from authz_server.identity.sessions import SignedIn
from authz_server.prepared import Executor


@dataclass(frozen=True, kw_only=True)
class WaitingRequest:
    """An authorization request that was begun and is not decided; all of it comes from the request's row.

    Args:
        needed_level: 1..4, the strictest of what its datasets and its client demand; None: any.
        demanded_by: names of the datasets that demand this level; none where it is the client that does.
        wished_level: a level that the client would like and does not demand, or None.
        authenticated_after: `prompt=login` and `max_age` (OpenID Connect Core section 3.1.2.1): the sign-in must not be
            older than this moment; None: any age.
        own: the citizen asks, for themselves (a download).
        at_counter: the citizen asks, for what they take to a counter of the client.
        at_desk: a clerk is to sign in at a desk of the client, an office.
        redirect_uri: where cancelling leads; pages allow their forms to end there.
    """

    request_id: str
    transaction_id: str
    client_name: Text
    redirect_uri: str
    needed_level: int | None
    authenticated_after: datetime | None
    ui_locales: tuple[str, ...] = ()
    demanded_by: tuple[Text, ...] = ()
    wished_level: int | None = None
    own: bool = False
    at_counter: bool = False
    at_desk: bool = False


class WaitingRequests(Protocol):
    """Who knows the requests."""

    def get(self, session: Executor, request_id: str, *, now: datetime) -> WaitingRequest:
        """The request.  Raises: a DomainError, which the application shows, if it can't be decided (any more)."""

    def deny(
        self, session: Executor, request_id: str, *, signed_in: SignedIn | None, unmet: bool, now: datetime
    ) -> str:
        """Refuse it and return where the browser goes, with `access_denied`. The caller commits.

        Args: unmet: it was not the citizen's will, but nothing here is as strong as the request demands.

        Raises: as `get`.
        """
