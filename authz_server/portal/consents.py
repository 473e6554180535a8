"""The citizen's consents: what is in use, what is over, what was refused or came to nothing; and each of them whole.

Routes
    GET /consents               a page of them, newest first; query: state (see consent.history.Kind), q, party, source
                                (agency:<id> or a dataset's id), from and to (days), before
    GET /consents/<reference>   one: the receipt, what happened to each dataset and when, what can be done
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flask import Blueprint, abort, make_response, render_template, url_for
from flask_babel import force_locale, gettext, lazy_gettext
from flask_babel.speaklater import LazyString
from werkzeug.wrappers import Response

from authz_server.audit.service import NEWEST, entries_of
from authz_server.consent.correction import REQUESTED
from authz_server.consent.history import KINDS, Kind, Listed, clients_of, find_listed, look_through
from authz_server.consent.outcome import Decided
from authz_server.consent.receipt import find_consent
from authz_server.consent.wording import day
from authz_server.core import clock
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity.guard import citizen_required
from authz_server.identity.sessions import SignedIn
from authz_server.portal import locale
from authz_server.portal.consent_search import AGENCY, query
from authz_server.portal.correction import corrections_facts
from authz_server.portal.erasure import erasure_facts
from authz_server.portal.locale import moment
from authz_server.portal.outcome import client_facts, fetches_of, last_days, stopped_by
from authz_server.portal.paging import position
from authz_server.portal.receipt_pdf import parts_of
from authz_server.portal.record import Line, client_name, dataset_name, line_of

blueprint = Blueprint("consents", __name__)
MOST_STEPS: Final = 200


@dataclass(frozen=True)
class Action:
    """What a citizen can do about a consent: a page that takes its reference number, and when it is offered."""

    endpoint: str
    title: LazyString
    line: LazyString
    offered: Callable[[Decided], bool]
    takes: str = "transaction_id"  # how the page calls that number

    def url(self, transaction_id: str) -> str:
        """Of the page for this consent."""
        values: dict[str, Any] = {self.takes: transaction_id}
        return url_for(self.endpoint, **values)


ACTIONS: Final = (
    Action(
        "visit.page",
        lazy_gettext("Barcode for the counter"),
        lazy_gettext("Show it there, or see what has happened to it."),
        lambda decided: decided.at_counter and decided.stoppable,
        takes="reference",
    ),
    Action(
        "outcome.ask_to_stop",
        lazy_gettext("Stop this consent"),
        lazy_gettext("What has not been delivered yet can be stopped here, at once."),
        lambda decided: decided.stoppable,
    ),
    Action(
        "erasure.ask",
        lazy_gettext("Ask them to erase your data"),
        lazy_gettext("What was delivered can't be taken back. The recipient is asked to erase it, and has to answer."),
        lambda decided: decided.erasable,
    ),
    Action(
        "correction.ask",
        lazy_gettext("Ask the agency to correct your data"),
        lazy_gettext("If something is wrong in what was delivered, the agency that holds it can set it right."),
        lambda decided: decided.delivered,
    ),
    Action(
        "report.prepare",
        lazy_gettext("Report the recipient to the authority"),
        lazy_gettext(
            "If you think that it asks for too much or breaks its word: one page has all that you need for a report."
        ),
        lambda decided: decided.decision != "expired" and not decided.is_download,
    ),
)
TABS: Final[Mapping[Kind, LazyString]] = {
    "active": lazy_gettext("Active"),
    "history": lazy_gettext("History"),
    "none": lazy_gettext("Refused or failed"),
}


@blueprint.get("/consents")
@citizen_required
def index(signed_in: SignedIn) -> Response:
    """List the citizen's consents, a page at a time."""
    session, before = db.session(), position()
    asked, problems = query()
    page = look_through(
        session, signed_in.citizen_id, asked.wanted(), limits=services().settings.limits, now=clock.now(), before=before
    )
    text = render_template(
        "consents.html",
        signed_in=signed_in,
        query=asked,
        errors=problems,
        problem_list=[{"text": text, "href": f"#{name}"} for name, text in problems.items()],
        tabs=[(asked.url(state=kind), TABS[kind], kind == asked.state) for kind in KINDS],
        parties=_parties(clients_of(session, signed_in.citizen_id), asked.party),
        sources=_sources(),
        rows=[_row(listed) for listed in page.rows],
        looked_to=day(page.looked_to, locale.current()) if page.looked_to else None,
        older=asked.url(before=str(page.next)) if page.next else None,
        newest=asked.url() if before != NEWEST else None,
    )
    return make_response(text, 400 if problems else 200)


@blueprint.get("/consents/<transaction_id>")
@citizen_required
def show(signed_in: SignedIn, transaction_id: str) -> str:
    """Show one consent, or one request that did not become one."""
    session, citizen_id, limits = db.session(), signed_in.citizen_id, services().settings.limits
    listed = find_listed(session, transaction_id, citizen_id=citizen_id, limits=limits, now=clock.now())
    if listed is None:
        abort(404)
    entries = entries_of(session, citizen_id, transaction_id=transaction_id, limit=MOST_STEPS + 1)
    asked = any(entry.event == REQUESTED for entry in entries)
    steps = [(entry.dataset_id, line_of(entry)) for entry in entries[:MOST_STEPS]]  # newest first, as on the record
    return render_template(
        "consent_detail.html",
        signed_in=signed_in,
        row=_row(listed),
        client=client_facts(listed.outcome),
        actions=[(action.url(transaction_id), action) for action in ACTIONS if action.offered(listed.outcome)],
        steps=_steps_of(None, steps),
        fetches=fetches_of(listed.outcome),
        steps_of={fetch.dataset_id: _steps_of(fetch.dataset_id, steps) for fetch in listed.outcome.fetches},
        cut_off=len(entries) > MOST_STEPS,
        erasure=erasure_facts(listed.outcome),
        corrections=corrections_facts(signed_in, listed.outcome) if asked else [],
        receipt=_receipt(signed_in, listed.outcome),
    )


def _parties(client_ids: Sequence[str], chosen: str) -> list[tuple[str, str]]:
    """The parties to choose from, by name."""
    known = dict.fromkeys([*client_ids, *([chosen] if services().registry.client(chosen) else [])])
    return sorted(((client_id, client_name(client_id)) for client_id in known), key=lambda party: party[1])


def _sources() -> list[tuple[str, list[tuple[str, str]]]]:
    """The agencies, each with what can be chosen of it."""
    spoken = locale.current()
    return [
        (
            agency.name.get(spoken),
            [
                (f"{AGENCY}{agency.id}", gettext("Everything from %(agency)s", agency=agency.name.get(spoken))),
                *((str(dataset.id), dataset.name.get(spoken)) for dataset in agency.datasets),
            ],
        )
        for agency in services().catalogue
    ]


def _row(listed: Listed) -> dict[str, Any]:
    """A consent as lists show it, in the language of the page; `purpose` in the language `lang`."""
    decided = listed.outcome
    state, mark = _state(listed)
    purpose, lang = _purpose(decided)
    asked = decided.asked.dataset_ids if decided.asked else [fetch.dataset_id for fetch in decided.fetches]
    return {
        "reference": decided.transaction_id,
        "url": f"/consents/{decided.transaction_id}",
        "party": client_name(decided.client_id),
        "purpose": purpose,
        "lang": lang,
        "datasets": [dataset_name(name) for name in dict.fromkeys(asked)],
        "approved": decided.decision == "approved",
        "state": state,
        "mark": mark,
        "decided": moment(decided.decided_at),
        "used": moment(decided.used_at),
        **last_days(decided),
        "withdrawn": moment(decided.withdrawn_at),
    }


def _purpose(decided: Decided) -> tuple[str | None, str | None]:
    """Why it was asked, as it was read, or is registered where nothing was agreed to; and in which language."""
    client, spoken = services().registry.client(decided.client_id), locale.current()
    purposes = client.purposes if client else {}
    if decided.asked is None or decided.asked.purpose_id is None:
        # In the page's language, if what was read is still registered; else as it was read.
        read, spoken_then = decided.purpose, decided.locale or spoken
        same = {known.text.get(spoken) for known in purposes.values() if known.text.get(spoken_then) == read}
        return (same.pop(), locale.HTML_LANG[spoken]) if len(same) == 1 else (read, locale.HTML_LANG[spoken_then])
    purpose = purposes.get(decided.asked.purpose_id)
    return (purpose.text.get(spoken), locale.HTML_LANG[spoken]) if purpose else (None, None)


def _state(listed: Listed) -> tuple[str, str]:
    """What became of it in a word or three, and how that is marked: open, used, over or none."""
    decided = listed.outcome
    if decided.decision == "denied":
        return gettext("Refused"), "none"
    if decided.decision == "expired":
        return gettext("Not decided in time"), "none"
    if decided.withdrawn_at is not None:
        return stopped_by(decided.withdrawn_by), "over"
    if listed.kind == "none":
        return gettext("Nothing was delivered"), "none"
    if listed.kind == "history":
        return gettext("Erased, as they say") if decided.erased else gettext("Over"), "over"
    if decided.stoppable:
        return gettext("May be fetched"), "open"
    if decided.use_until is not None and decided.use_until < clock.day_of(clock.now()):
        return gettext("Has to be erased"), "used"
    return gettext("In use"), "used"


def _steps_of(dataset_id: str | None, steps: Sequence[tuple[str | None, Line]]) -> list[Line]:
    """What happened to a dataset, or to the consent itself (None)."""
    return [line for of_dataset, line in steps if of_dataset == dataset_id]


def _receipt(signed_in: SignedIn, decided: Decided) -> dict[str, Any] | None:
    """The receipt in words, in the language of the consent; None if there was none."""
    known = services()
    consent = find_consent(db.session(), decided.transaction_id, citizen_id=signed_in.citizen_id)
    if consent is None:
        return None
    with force_locale(locale.CATALOGUE_OF[consent.notice_locale]):
        parts = parts_of(
            consent, known.registry.client(consent.client_id), known.catalogue, issuer=known.settings.issuer
        )
    return {"lang": locale.HTML_LANG[consent.notice_locale], "parts": parts}
