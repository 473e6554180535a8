"""What is told in other words if the recipient is the citizen's own browser, and how every event is told."""

from collections.abc import Mapping
from typing import Final

from authz_server.audit.models import AuditEntry
from authz_server.clients import own
from authz_server.notices.told import Told, safe, told
from authz_server.notices.wording import IF_NOT_YOU, TOLD

DOWNLOADED: Final[Mapping[str, Told]] = {
    "consent.approved": told(
        "您同意下載自己的資料",
        "You agreed to download your data",
        "只有您開著的那一頁能取，每一項只能取一次。",
        "Only the page that you have open can fetch it, each dataset once.",
    ),
    "consent.denied": told(
        "您沒有同意下載自己的資料",
        "You did not agree to download your data",
        "什麼都沒有取得。",
        "Nothing was fetched.",
    ),
    "consent.withdrawn": told(
        "您的下載已停止",
        "Your download was stopped",
        "不會再因此取得任何資料。已經存下來的，由您自己保管。",
        "Nothing more is fetched because of it. What you have saved is in your own keeping.",
    ),
    "token.delivered": told(
        "「{dataset}」已下載到您自己的瀏覽器",
        '"{dataset}" was downloaded to your own browser',
        "資料是加密給那個瀏覽器的，別人打不開。",
        "It was encrypted for that browser: nobody else can open it.",
    ),
    "preparation.ready": told(
        "「{dataset}」準備好了",
        '"{dataset}" is ready',
        "下載的頁面如果還開著，會自己取得。如果已經關掉了，請從下面的連結再要一次，通常很快就好。",
        "The page of your download gets it by itself if it is still open. If you have closed it, ask again by the link "
        "below; it usually comes at once then.",
    ),
    "anomaly.again": safe(
        "您在短時間內再次同意下載自己的資料",
        "You agreed to download your data again within a short time",
        "如果這是您要的，您不必做什麼。" + IF_NOT_YOU[0],
        "If you meant to, you do not need to do anything. " + IF_NOT_YOU[1],
    ),
    "anomaly.unusual_hour": safe(
        "您在不尋常的時段同意下載自己的資料",
        "You agreed to download your data at an unusual hour",
        "如果這是您要的，您不必做什麼。" + IF_NOT_YOU[0],
        "If you meant to, you do not need to do anything. " + IF_NOT_YOU[1],
    ),
}


def told_of(entry: AuditEntry) -> Told | None:
    """How an event is told; None if it is not."""
    of_download = DOWNLOADED.get(entry.event) if entry.client_id == own.CLIENT_ID else None
    return of_download or TOLD.get(entry.event)
