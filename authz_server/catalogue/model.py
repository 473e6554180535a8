"""What an agency can deliver, immutable: agencies, datasets, their fields and parameters."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from authz_server.catalogue.parameters import TYPES, ParameterKind
from authz_server.core.identifiers import AgencyId, DatasetId

# For which an agency may put off who asks; then it may do so again, until the limit of its dataset.
LONGEST_WAIT_S = 24 * 3600
Sensitivity = Literal["normal", "sensitive", "special"]


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text for people, in both languages of the pages."""

    zh: str
    en: str

    def get(self, locale: str) -> str:
        """The text for a BCP 47 tag: any `zh` gets the Chinese one, all else the English one."""
        return self.zh if locale.lower().startswith("zh") else self.en

    def to_json(self) -> dict[str, str]:
        return {"zh": self.zh, "en": self.en}


def is_meant(query: str, identifier: str, texts: Iterable[Text]) -> bool:
    """Whether a search finds what is called so: each of its words, in either language."""
    whole = " ".join([identifier, *(f"{text.zh} {text.en}" for text in texts)]).lower()
    return all(word in whole for word in query.lower().split())


@dataclass(frozen=True, kw_only=True)
class Field:
    """One member of a dataset's content, and what a citizen agrees to or not.

    `required`: the agency sends it with whatever else is sent of the dataset, for without it the rest could not be
    told apart (whose record it is). `special`: Personal Data Protection Act, article 6.
    """

    id: str
    name: Text
    description: Text
    required: bool
    sensitivity: Sensitivity


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """What a request says to narrow a dataset down: a year, a period, a place."""

    id: str
    type: ParameterKind
    name: Text
    required: bool

    def parse(self, value: str) -> str:
        """Return the value in its normal form.  Raises: ValueError, for people, without the value."""
        return TYPES[self.type].parse(value)

    def display(self, value: str, locale: str) -> str:
        """The value (as `parse` returned it) the way a citizen reads it."""
        return TYPES[self.type].display(value, locale)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What one token fetches once. Its id is also its scope name.

    Args:
        level: identity level that the agency demands, 1 (highest) to 4.
        typical_wait_s: what a citizen is told; 0 = at once.
        preparing_limit_s: for how long, beyond a token's own time, an agency that prepares may keep it alive.
        large: the package holds a scan of some 20 MB.
        members: what stands inside of fields that hold an object or a list of objects, by name.
        schema: JSON Schema (draft 2020-12) of data.json; its properties are exactly the fields. Not to be changed.
        formats: the files of a package: json, pdf, png.
    """

    id: DatasetId
    agency_id: AgencyId
    name: Text
    description: Text
    fields: tuple[Field, ...]
    parameters: tuple[Parameter, ...]
    level: int
    typical_wait_s: int
    preparing_limit_s: int
    large: bool
    members: Mapping[str, Text] = field(repr=False, hash=False)
    schema: Mapping[str, Any] = field(repr=False, hash=False)
    formats: tuple[str, ...]

    @cached_property
    def field_ids(self) -> tuple[str, ...]:
        return tuple(item.id for item in self.fields)

    @cached_property
    def required_fields(self) -> frozenset[str]:
        """Ids of the fields that go with whatever else is sent."""
        return frozenset(item.id for item in self.fields if item.required)

    def field(self, field_id: str) -> Field:
        """Raises: KeyError."""
        return self._fields[field_id]

    def find_parameter(self, parameter_id: str) -> Parameter | None:
        return next((item for item in self.parameters if item.id == parameter_id), None)

    def in_order(self, field_ids: frozenset[str]) -> tuple[str, ...]:
        """These fields of the dataset in the catalogue's order, so that equal sets read, sign and compare alike."""
        return tuple(item for item in self.field_ids if item in field_ids)

    @cached_property
    def _fields(self) -> Mapping[str, Field]:
        return {item.id: item for item in self.fields}


@dataclass(frozen=True, kw_only=True)
class Agency:
    """Who holds the data and answers for it."""

    id: AgencyId
    name: Text
    phone: str
    url: str
    datasets: tuple[Dataset, ...]


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All agencies, in order of their ids; iterating gives them. `version` changes exactly when a data file does."""

    agencies: tuple[Agency, ...]
    version: str

    def __iter__(self) -> Iterator[Agency]:
        return iter(self.agencies)

    def agency(self, agency_id: str) -> Agency:
        """Raises: KeyError."""
        return self._agencies[agency_id]

    def find_agency(self, agency_id: str) -> Agency | None:
        return self._agencies.get(agency_id)

    def dataset(self, dataset_id: str) -> Dataset:
        """Raises: KeyError."""
        return self._datasets[dataset_id]

    def find_dataset(self, dataset_id: str) -> Dataset | None:
        return self._datasets.get(dataset_id)

    @cached_property
    def scopes(self) -> tuple[str, ...]:
        """A scope per dataset, of the same name."""
        return tuple(self._datasets)

    @cached_property
    def _agencies(self) -> Mapping[str, Agency]:
        return {agency.id: agency for agency in self.agencies}

    @cached_property
    def _datasets(self) -> Mapping[str, Dataset]:
        return {dataset.id: dataset for agency in self.agencies for dataset in agency.datasets}
