"""The consent notice: every sentence the citizen reads before deciding, composed once and recorded as it was shown.

`compose` is pure: the same request, client, catalogue and language give the same notice and the same digest, when the
page is shown as well as when the decision arrives. What is displayed = what is recorded = what is enforced.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Final

import orjson

from authz_server.catalogue.model import Catalogue
from authz_server.clients import own
from authz_server.clients.model import Client
from authz_server.config import Limits
from authz_server.consent import question
from authz_server.consent.question import Sentences
from authz_server.consent.request import PendingRequest
from authz_server.consent.wording import say
from authz_server.core.clock import day_of
from authz_server.core.jose.encoding import sha256_of

VERSION: Final = "2026-12.2"
NOTHING: Final[Mapping[str, datetime | None]] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A notice in one language.

    `content` holds every string, and nothing else is shown as part of the question; `unavailable` are the positions
    of requested datasets that are announced as not shared.
    """

    version: str
    locale: str
    content: Sentences
    sha256: str
    use_until: date | None
    erase_by: date | None
    unavailable: tuple[int, ...]

    def to_json(self) -> Sentences:
        """What was hashed; goes into the consent record."""
        return _document(self.content, locale=self.locale)


def compose(
    pending: PendingRequest,
    client: Client,
    catalogue: Catalogue,
    *,
    locale: str,
    suspended: AbstractSet[str] = frozenset(),
    unencrypting: AbstractSet[str] = frozenset(),
    maintenance: Mapping[str, datetime | None] = NOTHING,
    visit_ttl_s: int = Limits.visit_ttl_s,
) -> Notice:
    """The notice for a request, in "zh-TW" or "en".

    Args:
        suspended: ids of agencies that answer nothing at present, and of datasets that are not answered.
        unencrypting: ids of agencies that can't encrypt to the recipient, so that a connector does.
        maintenance: ids of datasets that are under maintenance, and until about when.
        visit_ttl_s: how long a consent for a counter is good.
    """
    asked = pending.parameters
    name = client.name.get(locale)
    purpose = client.purposes[pending.purpose_id] if pending.purpose_id else None
    began = day_of(pending.started_at)
    use_until = began + timedelta(days=purpose.use_until_days) if purpose and purpose.use_until_days else None
    erase_by = began + timedelta(days=purpose.erase_by_days) if purpose and purpose.erase_by_days else None
    items = question.datasets(
        pending, catalogue, purpose, client_name=name, locale=locale, suspended=suspended, maintenance=maintenance
    )
    agencies = {one: catalogue.agency(one).name.get(locale) for one in question.agencies(asked.datasets, catalogue)}
    readers = [agencies[one] for one in agencies if one in unencrypting]
    download = client.client_id == own.CLIENT_ID
    kind = question.DOWNLOAD if download else "" if items else question.IDENTITY
    content: Sentences = {
        "title": say(f"title{kind}", locale, client=name),
        "lead": say("lead_counter" if asked.at_counter else f"lead{kind}", locale, client=name),
        "who": question.who(client, locale=locale),
        "why": {"heading": say("why", locale), "text": purpose.text.get(locale)} if purpose else None,
        # What somebody last took home for themselves is no reason to look twice.
        "changes": None if download else question.changes(pending, catalogue, client_name=name, locale=locale),
        "needed": question.needed(items, locale=locale),
        "optional": question.optional(items, locale=locale),
        "identity": question.identity(asked, client_name=name, locale=locale),
        "route": question.route(agencies.values(), purpose, client_name=name, locale=locale),
        "times": question.times(use_until, erase_by, asked=asked, client_name=name, locale=locale) if items else None,
        "desk": question.desk(asked, locale=locale),
        "never": question.never(readers, client_name=name, locale=locale, kind=kind),
        "stop": question.stop(client, locale=locale, kind=kind),
        "leaving": question.leaving(asked, client_name=name, locale=locale, kind=kind, visit_ttl_s=visit_ttl_s),
        "approve": say(f"approve{kind}", locale),
        "deny": say("deny", locale),
    }
    return Notice(
        version=VERSION,
        locale=locale,
        content=content,
        sha256=_digest(_document(content, locale=locale)),
        use_until=use_until,
        erase_by=erase_by,
        unavailable=tuple(item["position"] for item in items if item["unavailable"]),
    )


def basis(pending: PendingRequest) -> tuple[bytes, date]:
    """What of a request makes its notice, as a key: equal ones give equal notices, all else being equal."""
    asked = pending.parameters
    datasets = [dataset.to_json() for dataset in asked.datasets]
    of_request = [asked.scopes, asked.claims, asked.redirect_uri, datasets, pending.previous]
    return orjson.dumps(of_request), day_of(pending.started_at)


def _document(content: Sentences, *, locale: str) -> Sentences:
    return {"version": VERSION, "locale": locale, "content": content}


def _digest(document: Sentences) -> str:
    return sha256_of(orjson.dumps(document, option=orjson.OPT_SORT_KEYS))
