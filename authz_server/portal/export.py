"""The citizen's record to take home: signed, for programs, with the receipt of each consent; or as a table.

Routes, all with a period (`from` and `to`, days) and a place to begin (`before`)
    GET /record/export        the period, and what it is cut into: a file holds so many entries
    GET /record/export.json   {record: claims, jws: the same claims signed, jwks_uri}
    GET /record/export.csv    the same entries in words, for spreadsheets

No fetched value is in either, for none is on the record.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, make_response, render_template
from flask_babel import gettext

from authz_server.audit.models import AuditEntry
from authz_server.audit.service import NEWEST, Position, entries_of, places_of
from authz_server.consent.receipt import ended_by, find_consents
from authz_server.consent.wording import day
from authz_server.core import clock, documents
from authz_server.core.jose import OWN_ALG
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity.guard import citizen_required
from authz_server.identity.sessions import SignedIn
from authz_server.identity.subjects import pairwise_subject
from authz_server.portal import locale
from authz_server.portal.paging import Period, period, position
from authz_server.portal.receipts import claims_of, file
from authz_server.portal.record import client_name, dataset_name, line_of

blueprint = Blueprint("export", __name__)
SCHEMA: Final = "mydata-record 1"
PER_FILE: Final = 500  # with the receipts of their consents within what `/verify` takes, in all likelihood
MOST_PARTS: Final = 12
# What a spreadsheet takes for a formula (CWE-1236), in the forms of both widths.
FORMULA: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
BOM: Final = "\ufeff"  # by which Excel knows UTF-8


@dataclass(frozen=True)
class Part:
    """What one file holds: the addresses of both kinds, and from which day to which."""

    json_url: str
    csv_url: str
    newest: str | None  # None: to the end of the period
    oldest: str | None


@blueprint.get("/record/export")
@citizen_required
def page(signed_in: SignedIn) -> Response:
    """Let the citizen choose the period and the kind of file."""
    asked, problems = period()
    before = asked.end or NEWEST
    places = places_of(
        db.session(), signed_in.citizen_id, since=asked.since, before=before, every=PER_FILE, at_most=MOST_PARTS
    )
    text = render_template(
        "export.html",
        signed_in=signed_in,
        period=asked,
        errors=problems,
        problem_list=[{"text": text, "href": f"#{name}"} for name, text in problems.items()],
        parts=_parts(asked, places),
        more=len(places) == MOST_PARTS,
    )
    return make_response(text, 400 if problems else 200)


@blueprint.get("/record/export.json")
@citizen_required
def as_json(signed_in: SignedIn) -> Response:
    """A part of the record, signed."""
    known, asked = services(), _period()
    entries, rest = _entries(signed_in, asked)
    approved = [entry.transaction_id for entry in entries if entry.event == "consent.approved" and entry.transaction_id]
    consents = find_consents(db.session(), approved, citizen_id=signed_in.citizen_id)
    issuer, now, actors = known.settings.issuer, clock.now(), ended_by(db.session(), consents)
    claims = {
        "iss": issuer,
        "iat": int(now.timestamp()),
        "schema_version": SCHEMA,
        "pii_principal_id": pairwise_subject(known.secret, issuer, signed_in.citizen_id),
        "from": asked.first or None,
        "to": asked.last or None,
        "older_entries": rest,
        "entries": [_entry(entry) for entry in entries],
        "receipts": [claims_of(consent, actors) for consent in consents],
    }
    octets = documents.seal("record", claims, known.keys.get(OWN_ALG))
    return file(octets, "application/json", f"record-{clock.day_of(now):%Y%m%d}.json")


@blueprint.get("/record/export.csv")
@citizen_required
def as_csv(signed_in: SignedIn) -> Response:
    """A part of the record in words, in the language of the page."""
    entries, _ = _entries(signed_in, _period())
    rows = [_row(entry) for entry in entries]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180
    writer.writerow(_headings())
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    octets = (BOM + text.getvalue()).encode("utf-8")
    return file(octets, "text/csv; charset=utf-8", f"record-{clock.day_of(clock.now()):%Y%m%d}.csv")


def harmless(cell: str) -> str:
    """The text of a cell, such that no spreadsheet takes it for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _period() -> Period:
    asked, problems = period()
    if problems:
        abort(404)
    return asked


def _entries(signed_in: SignedIn, asked: Period) -> tuple[Sequence[AuditEntry], bool]:
    """The entries of a part, newest first, and whether there are older ones in the period."""
    before = position()
    if asked.end is not None and (before == NEWEST or before > asked.end):
        before = asked.end
    found = entries_of(db.session(), signed_in.citizen_id, since=asked.since, before=before, limit=PER_FILE + 1)
    return found[:PER_FILE], len(found) > PER_FILE


def _parts(asked: Period, places: Sequence[Position]) -> list[Part]:
    starts: list[Position | None] = [None, *places]
    ends: list[Position | None] = [*places, None]
    if len(places) == MOST_PARTS:
        starts, ends = starts[:-1], ends[:-1]  # how far the last one would go is not known
    spoken = locale.current()
    return [
        Part(
            json_url=_url("json", asked, start),
            csv_url=_url("csv", asked, start),
            newest=day(start.at, spoken) if start else None,
            oldest=day(end.at, spoken) if end else None,
        )
        for start, end in zip(starts, ends, strict=True)
    ]


def _url(kind: str, asked: Period, start: Position | None) -> str:
    query = {"from": asked.first, "to": asked.last, "before": str(start) if start else ""}
    given = urlencode({name: value for name, value in query.items() if value})
    return f"/record/export.{kind}" + (f"?{given}" if given else "")


def _entry(entry: AuditEntry) -> Mapping[str, Any]:
    """An entry as it stands on the record, but for what is the platform's own affair."""
    return {
        "at": entry.at.isoformat(),
        "event": entry.event,
        "success": entry.success,
        "actor": entry.actor,
        "reference": entry.transaction_id,
        "client_id": entry.client_id,
        "agency_id": entry.agency_id,
        "dataset": entry.dataset_id,
        "reason": entry.reason,
    }


def _headings() -> tuple[str, ...]:
    return (
        gettext("Time (Taiwan)"),
        gettext("What happened"),
        gettext("By whom"),
        gettext("Party"),
        gettext("Dataset"),
        gettext("Reference number"),
        gettext("Done"),
        gettext("Reason"),
        gettext("Event, for programs"),
    )


def _row(entry: AuditEntry) -> tuple[str, ...]:
    line = line_of(entry)
    return (
        f"{entry.at.astimezone(clock.LOCAL_TIME):%Y-%m-%d %H:%M:%S}",
        line.sentence,
        line.who,
        client_name(entry.client_id) if entry.client_id else "",
        dataset_name(entry.dataset_id),
        entry.transaction_id or "",
        gettext("yes") if entry.success else gettext("no"),
        line.reason or "",
        entry.event,
    )
