"""Why a barcode can't be used at a desk. To a guesser all causes look alike; the citizen's page says which it was."""

from datetime import datetime

from authz_server.core import clock
from authz_server.core.errors import DomainError


class BarcodeNotUsable(DomainError):
    """OpenID4VCI section 6.3: unknown, another office's, expired, used, replaced, stopped, or the wrong code."""

    code = "invalid_grant"
    public = "The barcode or its one-time code is not usable. The citizen's own page says why."


class DeskLocked(DomainError):
    """A desk has presented too many barcodes that were none; the code is that of RFC 8628 section 3.5."""

    code = "slow_down"
    public = "Too many barcodes were not usable here. Wait before the next."

    def __init__(self, until: datetime, *, now: datetime) -> None:
        super().__init__("the desk is locked")
        self.retry_after_s = clock.seconds_to_wait(until - now)


class CopyNotAllowed(DomainError):
    """RFC 6749 section 4.1.2.1 has the word. Unknown, another desk's, not delivered, or not agreed to: all alike."""

    code = "access_denied"
    public = "This may not be printed or saved here, or was not delivered to this desk."


class InvitationNotUsable(DomainError):
    """Unknown, for somebody else, over, or ended: whoever presents it learns nothing more."""

    code = "invalid_grant"
    public = "The invitation is not usable."


class DelegationNotUsable(DomainError):
    """A step that can't be taken now: the other one has gone on, or the barcode was used or stopped."""

    code = "invalid_request"
    public = "That is not possible any more."


class NamedThemselves(DelegationNotUsable):
    """A citizen named their own national id as that of their agent."""

    public = "That is your own number."


class ClerkNotSignedIn(DomainError):
    """Nobody, or nobody any more, works at this desk by name.

    RFC 8693 section 2.2.2 would say `invalid_request`; but a desk has to tell a clerk whose time is over from a mistake
    of its own, so it is OpenID Connect's word for that (Core section 3.1.2.6). It tells nothing of the barcode, which
    was not looked at.
    """

    code = "login_required"
    public = "A clerk of this office has to sign in at this desk, and may have to do so again."
