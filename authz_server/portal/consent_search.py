"""What the citizen looks for among their consents: read from the address, and turned into what the database knows.

Names stand in the catalogue and the registry, so a text is looked up there, and the database is asked for ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from flask import abort, request

from authz_server.catalogue.model import Catalogue, Text
from authz_server.consent.history import KINDS, Kind, Search, Wanted
from authz_server.extensions import services
from authz_server.portal.paging import Period, period

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
    period: Period

    def url(self, **changes: str) -> str:
        """The address of the same search, but for the changes."""
        names = {"state": self.state, "q": self.q, "party": self.party, "source": self.source}
        asked = names | {"from": self.period.first, "to": self.period.last} | changes
        return f"/consents?{urlencode({name: value for name, value in asked.items() if value})}"

    @property
    def narrowed(self) -> bool:
        """Whether more than the state is asked for."""
        return any((self.q, self.party, self.source, self.period.first, self.period.last))

    def wanted(self) -> Wanted:
        """The same for the database."""
        catalogue = services().catalogue
        return Wanted(
            kind=self.state,
            client_id=self.party or None,
            dataset_ids=_datasets(self.source, catalogue) if self.source else None,
            since=self.period.since,
            until=self.period.until,
            search=_search(self.q, catalogue) if self.q else None,
        )


def query() -> tuple[Query, dict[str, str]]:
    """What the address asks for, and what of it is no day: a text for each such field, which then counts as empty."""
    asked = {name: request.args.get(name, "").strip()[:LONGEST] for name in ("q", "party", "source")}
    state = request.args.get("state", KINDS[0])
    kind = next((kind for kind in KINDS if kind == state), None)
    if kind is None:
        abort(404)
    days, problems = period()
    return Query(state=kind, q=asked["q"], party=asked["party"], source=asked["source"], period=days), problems


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
