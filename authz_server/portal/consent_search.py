"""What the citizen looks for among their consents: read from the address, and turned into what the database knows.

Names stand in the catalogue and the registry, so a text is looked up there, and the database is asked for ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from urllib.parse import urlencode

from flask import abort, request
from flask_babel import gettext

from authz_server.catalogue.model import Catalogue, Text
from authz_server.consent.history import KINDS, Kind, Search, Wanted
from authz_server.core.clock import LOCAL_TIME
from authz_server.extensions import services

LONGEST: Final = 100
MOST_MEANINGS: Final = 100  # of a text, of each kind
AGENCY: Final = "agency:"


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is looked for, as it stands in the address."""

    state: Kind
    q: str
    party: str
    source: str
    since: str
    until: str

    def url(self, **changes: str) -> str:
        """The address of the same search, but for the changes."""
        names = {"state": self.state, "q": self.q, "party": self.party, "source": self.source}
        asked = names | {"from": self.since, "to": self.until} | changes
        return f"/consents?{urlencode({name: value for name, value in asked.items() if value})}"

    @property
    def narrowed(self) -> bool:
        """Whether more than the state is asked for."""
        return any((self.q, self.party, self.source, self.since, self.until))

    def wanted(self) -> Wanted:
        """The same for the database."""
        catalogue = services().catalogue
        until = _day(self.until)
        return Wanted(
            kind=self.state,
            client_id=self.party or None,
            dataset_ids=_datasets(self.source, catalogue) if self.source else None,
            since=_midnight(_day(self.since)),
            until=_midnight(until + timedelta(days=1)) if until else None,
            search=_search(self.q, catalogue) if self.q else None,
        )


def query() -> tuple[Query, dict[str, str]]:
    """What the address asks for, and what of it is no day: a text for each such field, which then counts as empty."""
    asked = {name: request.args.get(name, "").strip()[:LONGEST] for name in ("q", "party", "source", "from", "to")}
    state = request.args.get("state", KINDS[0])
    kind = next((kind for kind in KINDS if kind == state), None)
    if kind is None:
        abort(404)
    problems = {
        name: gettext("Enter a day as year-month-day, such as 2026-11-23.")
        for name in ("from", "to")
        if asked[name] and _day(asked[name]) is None
    }
    asked |= dict.fromkeys(problems, "")
    found = Query(
        state=kind, q=asked["q"], party=asked["party"], source=asked["source"], since=asked["from"], until=asked["to"]
    )
    return found, problems


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if 2000 <= found.year < 3000 else None


def _midnight(found: date | None) -> datetime | None:
    return datetime.combine(found, time(), LOCAL_TIME) if found else None


def _datasets(source: str, catalogue: Catalogue) -> Sequence[str]:
    """The datasets of an agency (`agency:<id>`), or the one of this id; none if the catalogue does not have it."""
    if source.startswith(AGENCY):
        agency = catalogue.find_agency(source.removeprefix(AGENCY))
        return [dataset.id for dataset in agency.datasets] if agency else []
    dataset = catalogue.find_dataset(source)
    return [dataset.id] if dataset else []


def _search(text: str, catalogue: Catalogue) -> Search:
    """What a text may mean: a reference number, or a part of the name of a party, a purpose, an agency or a dataset."""
    sought = text.casefold()

    def has(*names: Text) -> bool:
        return any(sought in spoken.casefold() for name in names for spoken in (name.zh, name.en))

    clients = list(services().registry.clients())
    purposes = [
        (client.client_id, purpose.id)
        for client in clients
        for purpose in client.purposes.values()
        if has(purpose.text)
    ]
    datasets = [dataset.id for agency in catalogue for dataset in agency.datasets if has(agency.name, dataset.name)]
    return Search(
        reference=text.upper(),
        client_ids=[client.client_id for client in clients if has(client.name)][:MOST_MEANINGS],
        purposes=purposes[:MOST_MEANINGS],
        dataset_ids=datasets[:MOST_MEANINGS],
    )
