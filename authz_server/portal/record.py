"""The citizen's own record, newest first. Not in `audit`: a page has to know who is signed in, which that does not."""

from dataclasses import dataclass
from itertools import groupby
from typing import Final

from flask import Blueprint, g, render_template
from flask_babel import gettext

from authz_server.audit.models import DECISIONS, AuditEntry
from authz_server.audit.service import NEWEST, Position, entries_of
from authz_server.clients import own
from authz_server.consent.outcome import WITHDRAWN
from authz_server.consent.wording import day, moment, time_of_day
from authz_server.core.clock import LOCAL_TIME
from authz_server.counter import clerks
from authz_server.counter.naming import desk_name
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity.guard import citizen_required
from authz_server.identity.sessions import SignedIn
from authz_server.identity.visits import method_named
from authz_server.portal import locale
from authz_server.portal.paging import position
from authz_server.portal.record_wording import REASONS, sentence_of

blueprint = Blueprint("audit", __name__)
PER_PAGE: Final = 20

# Of these the reader learns in one word that it did not work; the others say so in their sentence.
DELIVERIES: Final = frozenset({"token.failed", "token.exhausted", "token.spent_unknown"})
ABOUT_CONSENTS: Final = frozenset({*DECISIONS, WITHDRAWN})


@dataclass(frozen=True, kw_only=True)
class Line:
    """One entry, in the reader's language. No fetched value is in it, for none is on the record."""

    day: str
    time: str
    moment: str
    at: str
    sentence: str
    who: str
    failed: bool
    reason: str | None
    reference: str | None
    consent_url: str | None


@blueprint.get("/record")
@citizen_required
def record(signed_in: SignedIn) -> str:
    """Show the citizen their own record, a page at a time."""
    before = position()
    found = entries_of(db.session(), signed_in.citizen_id, before=before, limit=PER_PAGE + 1)
    lines = [line_of(entry) for entry in found[:PER_PAGE]]
    last = found[PER_PAGE - 1] if len(found) > PER_PAGE else None
    return render_template(
        "record.html",
        signed_in=signed_in,
        days=[(name, list(of_day)) for name, of_day in groupby(lines, key=lambda line: line.day)],
        older=f"/record?before={Position(last.at, last.id)}" if last else None,
        newest="/record" if before != NEWEST else None,
    )


def line_of(entry: AuditEntry) -> Line:
    """Put an entry into words."""
    sentence = sentence_of(entry)
    reason = REASONS.get(entry.reason) if entry.reason else None
    client = own.name_within(str(sentence or ""), "%(client)s", client_name(entry.client_id))
    names = {"client": client, "dataset": dataset_name(entry.dataset_id), "method": method_name(entry.reason)}
    return Line(
        day=day(entry.at, locale.current()),
        time=time_of_day(entry.at),
        moment=moment(entry.at, locale.current()),
        at=entry.at.astimezone(LOCAL_TIME).isoformat(timespec="seconds"),
        sentence=str(sentence) % names if sentence is not None else entry.event,
        who=actor_name(entry.actor),
        failed=entry.event in DELIVERIES and not entry.success,
        reason=str(reason) if reason is not None else None,
        reference=entry.transaction_id,
        consent_url=f"/consents/{entry.transaction_id}" if entry.event in ABOUT_CONSENTS else None,
    )


def client_name(client_id: str | None) -> str:
    """What a client is called; its id, if it is registered no longer."""
    client = services().registry.client(client_id) if client_id else None
    return client.name.get(locale.current()) if client else client_id or gettext("somebody")


def dataset_name(dataset_id: str | None) -> str:
    """What a dataset is called; its id, if the catalogue has it no longer."""
    dataset = services().catalogue.find_dataset(dataset_id) if dataset_id else None
    return dataset.name.get(locale.current()) if dataset else dataset_id or ""


def method_name(method_id: str | None) -> str:
    """What an identity method is called; its id, if this server has it no longer."""
    method = method_named(method_id)
    return method.name.get(locale.current()) if method else method_id or ""


def actor_name(actor: str) -> str:
    """Who did it."""
    kind, _, named = actor.partition(":")
    if kind == "client" and not _is_ours(named):
        return client_name(named)
    if kind == "agency":
        agency = services().catalogue.find_agency(named)
        return agency.name.get(locale.current()) if agency else named
    if kind == "desk":
        return desk_name(actor, services().registry, locale.current(), clerk=_clerk_name(actor))
    names = {"citizen": gettext("You"), "agent": gettext("Your agent"), "stranger": gettext("Somebody")}
    names |= {"operator": gettext("The operator of this platform"), "principal": gettext("The person you go for")}
    return names.get(kind) or gettext("This platform")


def _clerk_name(actor: str) -> str:
    """What a citizen reads of the clerk's name; looked up once for a page."""
    known: dict[str, str] = g.setdefault("clerk_names", {})
    return known.get(actor) or known.setdefault(actor, clerks.name_behind(db.session(), actor))


def _is_ours(client_id: str) -> bool:
    """Whether it is a resource server: a part of the platform, which citizens have never heard of."""
    client = services().registry.client(client_id)
    return client is not None and not client.policy.may_ask_for_datasets
