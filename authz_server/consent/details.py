"""A dataset that a client asks for: `authorization_details` (RFC 9396) after it was parsed and found within bounds."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from authz_server.catalogue.model import Dataset
from authz_server.clients.model import Purpose, PurposeDataset
from authz_server.core.identifiers import DatasetId

DETAILS_TYPE = "dataset"
# What is told of a granted dataset: all but whom it is encrypted to.
TOLD = ("type", "dataset", "purpose", "fields", "parameters")


@dataclass(frozen=True, kw_only=True)
class RequestedDataset:
    """One dataset of a request: what is needed of it, what is welcome besides, and whom it is encrypted to.

    Fields are in the catalogue's order, parameters sorted by name and in their normal form. A dataset of which nothing
    is required is optional as a whole.
    """

    dataset_id: DatasetId
    purpose_id: str
    fields_required: tuple[str, ...]
    fields_optional: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...]
    recipient_jwk: dict[str, Any] | None = field(hash=False, repr=False)  # None: whoever redeems says it
    actions: tuple[str, ...] = ()  # what may be done with it beside (RFC 9396 section 2.2); no client can ask for any

    def to_json(self) -> dict[str, Any]:
        """For storage; `from_json` gives an equal object back."""
        return {
            "dataset": self.dataset_id,
            "purpose": self.purpose_id,
            "fields_required": list(self.fields_required),
            "fields_optional": list(self.fields_optional),
            "parameters": dict(self.parameters),
            "recipient_jwk": self.recipient_jwk,
            **({"actions": list(self.actions)} if self.actions else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RequestedDataset":
        return cls(
            dataset_id=DatasetId(value["dataset"]),
            purpose_id=value["purpose"],
            fields_required=tuple(value["fields_required"]),
            fields_optional=tuple(value["fields_optional"]),
            parameters=tuple(sorted(value["parameters"].items())),
            recipient_jwk=value["recipient_jwk"],
            actions=tuple(value.get("actions", ())),
        )

    def granted_fields(self, ticked: Collection[str], dataset: Dataset) -> tuple[str, ...]:
        """The fields that a decision grants, in the catalogue's order; none if the dataset is not granted.

        What was ticked but not asked for counts for nothing. If anything is granted, so is what the agency sends with
        whatever else it sends (`Dataset.required_fields`), which every request has among its fields.
        """
        chosen = {*self.fields_required, *(name for name in self.fields_optional if name in ticked)}
        if not chosen:
            return ()
        asked = {*self.fields_required, *self.fields_optional}
        return dataset.in_order(frozenset(chosen | (dataset.required_fields & asked)))


def as_registered(purpose: Purpose, ceiling: PurposeDataset, dataset: Dataset, **more: Any) -> RequestedDataset:
    """What a purpose asks of a dataset: all that it registered. Args: more: parameters, recipient_jwk, actions."""
    return RequestedDataset(
        dataset_id=dataset.id,
        purpose_id=purpose.id,
        fields_required=dataset.in_order(ceiling.fields_required),
        fields_optional=dataset.in_order(ceiling.fields_optional),
        **more,
    )


def check_within_ceiling(requested: RequestedDataset, ceiling: PurposeDataset) -> bool:
    """Whether the request stays within what the purpose registered.

    A field that was registered as required may be asked for as an optional one, for that leaves the choice to the
    citizen; never the other way round. A parameter that was limited has to be given: left out, it limits nothing.
    """
    required, optional = set(requested.fields_required), set(requested.fields_optional)
    given = dict(requested.parameters)
    return (
        required <= ceiling.fields_required
        and optional <= ceiling.fields_required | ceiling.fields_optional
        and all(name in given and limit.allows(given[name]) for name, limit in ceiling.parameters.items())
    )
