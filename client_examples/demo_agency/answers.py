"""What an agency answers to a request that has been found good, whichever way it came in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response
from jsonschema import Draft202012Validator

from .misbehave import Mode, Switches
from .platform import Dataset
from .problems import NO_RECORD, preparing, problem
from .records import find_record
from .slow import Queue, prepared

SLOW = "fia.income"


@dataclass(frozen=True)
class Wanted:
    """One person's dataset, asked for in one transaction."""

    agency_id: str
    transaction: str
    subject: str
    fields: Sequence[str]
    parameters: dict[str, str]


@dataclass(frozen=True)
class Office:
    """What all agencies of this program share."""

    switches: Switches
    queue: Queue
    now: Callable[[], int]
    canary: str = ""

    def look_up(self, dataset: Dataset, wanted: Wanted) -> Response | dict[str, Any]:
        """The data, with the granted fields only; or the answer that stands in its place."""
        mode = self.switches.mode(wanted.agency_id)
        if not set(dataset.schema["required"]) <= set(wanted.fields) <= set(dataset.field_names):
            return problem(400, "fields that this dataset does not have, or cannot do without")
        wait_s = 1 if mode is Mode.PREPARING else 0
        what = prepared(wanted.subject, dataset.id, wanted.parameters)
        if dataset.id == SLOW and not self.queue.is_kept(what, now=self.now()):
            wait_s = wait_s or self.queue.wait_s(wanted.transaction, dataset.id, now=self.now())
        if wait_s:
            return preparing(wait_s)
        record = find_record(dataset, wanted.subject, wanted.parameters, canary=self.canary)
        if record is None or mode is Mode.NO_RECORD:
            return problem(404, "this person has no record here", NO_RECORD)
        if mode is Mode.WRONG_SCHEMA:
            return {"surprise": ["not", 1, "of the agreed fields"]}
        data = {name: value for name, value in record.items() if name in wanted.fields}
        Draft202012Validator(dataset.schema).validate(data)  # who signs should know what
        return data
