"""Downloads: the citizen's own browser asks, as a client does, and is the recipient.

The code of such a consent is derived from the citizen's session and is never sent anywhere: only the browser that
decided can redeem it, and it is in no address, history or log. It lives as long as a request, for a page has to be
read first, and what is not known when the citizen decides comes with its redemption: the key to encrypt to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from authz_server.clients import own
from authz_server.config import Settings
from authz_server.consent import service
from authz_server.consent.codes import PREFIX, CodeRow, get_code
from authz_server.consent.details import RequestedDataset
from authz_server.consent.errors import CodeNotUsable
from authz_server.consent.request import AuthorizationParameters, PendingRequest
from authz_server.core.secrets import derive, digest
from authz_server.prepared import Executor

MOST_DATASETS: Final = 5
PATH: Final = "/download"


@dataclass(frozen=True)
class Page:
    """The page where a citizen has decided on a download and fetches it, by the session that it belongs to."""

    session_secret: str
    transaction_id: str

    @property
    def code(self) -> str:
        """The code of its consent: nobody without the session's secret can name it."""
        return derive(self.session_secret.encode("utf-8", "surrogatepass"), "download", self.transaction_id)


def open_request(
    session: Session, wanted: Sequence[RequestedDataset], *, citizen_id: int, settings: Settings, now: datetime
) -> PendingRequest:
    """Open a request for these datasets, as a client's is pushed and begun, for this citizen. The caller commits."""
    parameters = AuthorizationParameters(
        redirect_uri=settings.issuer + PATH, scopes=(), datasets=tuple(wanted), code_challenge=""
    )
    request_uri = service.push(session, parameters, client_id=own.CLIENT_ID, spend=(), settings=settings, now=now)
    return service.begin(session, request_uri, own.CLIENT_ID, citizen_id=citizen_id, now=now)


def find_code(session: Executor, page: Page, *, citizen_id: int, jkt: str, now: datetime) -> CodeRow:
    """The code of this page's consent, used or not.

    Raises: CodeNotUsable: another session's, another citizen's, no download's, too late; all look alike.
    """
    code = get_code(session, digest(PREFIX + page.code), jkt=jkt, now=now)
    if code.client_id != own.CLIENT_ID or code.citizen_id != citizen_id:
        raise CodeNotUsable("not a download of this citizen")
    return code
