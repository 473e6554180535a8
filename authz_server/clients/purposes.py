"""Reads a purpose of a registration against the catalogue: what it may ask is settled here, before any request."""

import re
from types import MappingProxyType

from authz_server.catalogue.document import Table
from authz_server.catalogue.model import Catalogue, Dataset
from authz_server.clients import ranges
from authz_server.clients.model import Purpose, PurposeDataset
from authz_server.core.identifiers import DatasetId

PURPOSE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_LONGEST_USE_DAYS = 3660
_MOST_FIELDS = 100
_LONGEST_TEXT = 500


def read_purpose(name: str, table: Table, catalogue: Catalogue) -> Purpose:
    """The purpose in `table`; problems are noted in the table."""
    if not PURPOSE_ID.fullmatch(name):
        table.note("a purpose's id is small letters, digits and hyphens")
    use_until_days = table.whole("use_until_days", 1, _LONGEST_USE_DAYS)
    erase_by_days = table.whole("erase_by_days", 1, _LONGEST_USE_DAYS)
    if use_until_days > erase_by_days:
        table.note("must not be before the last day of use", "erase_by_days")
    purpose = Purpose(
        id=name,
        text=table.localized("text", longest=_LONGEST_TEXT),
        datasets=_datasets(table, catalogue),
        use_until_days=use_until_days,
        erase_by_days=erase_by_days,
        passed_on_to=tuple(item.as_text() for item in table.tables("passed_on_to")),
    )
    table.done()
    return purpose


def _datasets(table: Table, catalogue: Catalogue) -> MappingProxyType[DatasetId, PurposeDataset]:
    ceilings: dict[DatasetId, PurposeDataset] = {}
    datasets = table.table("datasets")
    for dataset_id, ceiling in datasets.items() if datasets else ():
        dataset = catalogue.find_dataset(dataset_id)
        if dataset is None:
            unquoted = "" if "." in dataset_id else '; ids have a dot and stand in quotes, as in datasets."fia.income"'
            ceiling.note(f"is not in the catalogue{unquoted}")
        else:
            ceilings[dataset.id] = _ceiling(ceiling, dataset)
    if datasets and not list(datasets.items()):
        datasets.note("names no dataset")
    return MappingProxyType(ceilings)


def _ceiling(table: Table, dataset: Dataset) -> PurposeDataset:
    required = _fields(table, "fields_required", dataset)
    optional = _fields(table, "fields_optional", dataset)
    for twice in dataset.in_order(required & optional):
        table.note(f"{twice} is required as well", "fields_optional")
    # Where nothing is required the dataset as a whole is optional; if it is chosen, these go along.
    key = "fields_required" if required else "fields_optional"
    for absent in dataset.in_order(dataset.required_fields - (required or optional)):
        table.note(f"must have {absent}, without which the agency sends nothing", key)
    parameters = table.table("parameters", optional=True)
    limits: dict[str, ranges.Range] = {}
    for name, limit in parameters.items() if parameters else ():
        parameter = dataset.find_parameter(name)
        if parameter is None:
            limit.note(f"is no parameter of {dataset.id}")
        else:
            limits[name] = ranges.read(limit, parameter)
    justification = table.localized("justification", longest=_LONGEST_TEXT) if "justification" in table else None
    table.done()
    return PurposeDataset(
        fields_required=required,
        fields_optional=optional,
        parameters=MappingProxyType(limits),
        justification=justification,
    )


def _fields(table: Table, key: str, dataset: Dataset) -> frozenset[str]:
    names = table.texts(key, most=_MOST_FIELDS)
    known = frozenset(dataset.field_ids)
    for index, name in enumerate(names):
        if name not in known:
            table.note(f"is no field of {dataset.id}", key, index)
    return frozenset(names) & known
