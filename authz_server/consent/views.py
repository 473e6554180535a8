"""The consent page: the question, the answer, and more time for it. What came of it: `portal.outcome`.

Routes
    GET  /consent/<request_id>              the question
    POST /consent/<request_id>              form: csrf, notice (digest of what was read), locale (its language),
                                            optional=<position>/<field> (any number), decision=approve|deny;
                                            or lang=zh-TW|en: the question again in that language, ticks kept
    POST /consent/<request_id>/extend       the same form: the question again, with the full time
    GET  /consent/<request_id>/extend       leads to the question: that address stays in the browser after the form
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal

from flask import Blueprint, g, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from authz_server.clients import own
from authz_server.clients.service import Client
from authz_server.consent import service, standing
from authz_server.consent.decision import SOMEBODY_ELSE, agrees_alone, approve, deny, fail, require_identity
from authz_server.consent.errors import IdentityNotSufficient, RequestNotUsable
from authz_server.consent.notice import Notice, basis, compose
from authz_server.consent.remembered import Remembered, Slotted, slots
from authz_server.consent.request import PendingRequest
from authz_server.consent.wording import time_of_day
from authz_server.core import clock, secrets
from authz_server.database import db
from authz_server.extensions import services
from authz_server.identity import cookies, csrf, language
from authz_server.identity.guard import citizen_required, sign_in_url
from authz_server.identity.sessions import SignedIn
from authz_server.prepared import lone_connection

blueprint = Blueprint("consent", __name__)
Problem = Literal["changed", "form"]
Hindrance = Literal["frozen", "minor"]
# Nothing of a citizen is in them but what changed since they last agreed.
_NOTICES: Remembered[tuple[Client, Notice]] = Remembered()
_PAGES: Remembered[Slotted] = Remembered()


@blueprint.get("/consent/<request_id>")
@citizen_required
def page(signed_in: SignedIn, request_id: str) -> Response:
    """Show the question, or first the sign-in that it demands."""
    pending = _open(signed_in, request_id)
    if pending.parameters.at_desk:  # nothing is consented to there
        return redirect(f"/office/desk/{request_id}", code=303)
    if not standing.is_for(pending, signed_in.citizen_id, server_secret=services().secret):
        with lone_connection() as connection:
            location = fail(connection, pending, SOMEBODY_ELSE, settings=services().settings, now=clock.now())
        return redirect(location, code=303)
    if hindrance(pending, signed_in) is None:
        try:
            require_identity(pending, signed_in, catalogue=services().catalogue)
        except IdentityNotSufficient:
            return redirect(sign_in_url(), code=303)
    return show(pending, signed_in)


@blueprint.post("/consent/<request_id>")
@citizen_required
def decide(signed_in: SignedIn, request_id: str) -> Response:
    """Take the decision and send the citizen back to the client; or show the question again, with what was ticked."""
    form = request.form
    pending = _asked(signed_in, request_id)
    ticked = form.getlist("optional")
    if not csrf.check_form(_action(request_id)):
        return show(pending, signed_in, problem="form", status=403)
    decision = form.get("decision")
    if decision == "approve" and hindrance(pending, signed_in) is None:
        return _approve(pending, signed_in, form, ticked)
    if decision == "deny":
        with lone_connection() as connection:
            location = deny(
                connection,
                pending,
                citizen_id=signed_in.citizen_id,
                settings=services().settings,
                now=clock.now(),
            )
        return redirect(location, code=303)
    if "lang" in form:
        return show(pending, signed_in, ticked=ticked)
    return show(pending, signed_in, ticked=ticked, problem="form", status=400)


@blueprint.get("/consent/<request_id>/extend")
def extended(request_id: str) -> Response:
    """Lead who opens the address of the form again, by typing, from a tab or the history, to the question."""
    return redirect(f"/consent/{request_id}", code=303)


@blueprint.post("/consent/<request_id>/extend")
@citizen_required
def extend(signed_in: SignedIn, request_id: str) -> Response:
    """Give a slow reader the full time again, and the same page with what was ticked."""
    pending = _asked(signed_in, request_id)
    if not csrf.check_form(_action(request_id)):
        return show(pending, signed_in, problem="form", status=403)
    deadline_at = service.extend(
        db.session(), request_id, citizen_id=signed_in.citizen_id, settings=services().settings, now=clock.now()
    )
    db.session.commit()
    if deadline_at is None:
        raise RequestNotUsable("expired or decided meanwhile")
    return show(replace(pending, deadline_at=deadline_at), signed_in, ticked=request.form.getlist("optional"))


def show(
    pending: PendingRequest,
    signed_in: SignedIn,
    *,
    ticked: Collection[str] = (),
    problem: Problem | None = None,
    status: int = 200,
) -> Response:
    """The page with the question, or why it can't be answered now.

    Args: ticked: optional fields to show as ticked; problem: what to say on top.
    """
    _prepare(pending, signed_in)
    if (why := hindrance(pending, signed_in)) is not None:
        return _hindered(pending, signed_in, why)
    notice = notice_of(pending, _client(pending), language.current())
    now = clock.now()
    minutes_left = max(0, int((pending.deadline_at - now).total_seconds() // 60))
    words = {
        "name": signed_in.name,
        "csrf": csrf.form_token(_action(pending.request_id)),
        "request_id": pending.request_id,
        "transaction_id": pending.transaction_id,
        "deadline": time_of_day(pending.deadline_at),
    }
    kind = {
        "warn_after": max(0, min(minutes_left - 2, 20)),
        "can_extend": _can_extend(pending, now),
        "nothing_left": _nothing_left(pending, notice),
        "error": problem,
        "own": pending.client_id == own.CLIENT_ID,
        "ticked": frozenset(ticked),
    }

    def make() -> Slotted:
        named = slots(*words)
        return Slotted(render_template("consent.html", shown=notice, signed_in=named, **named, **kind))

    # Unticked it is the same for everybody who is asked the same. What somebody ticked is theirs, and may be anything.
    slotted = make() if ticked or problem else _PAGES.get((notice.sha256, *kind.values()), make)
    return make_response(slotted.fill(words), status)


def _prepare(pending: PendingRequest, signed_in: SignedIn) -> None:
    """Tell the page its languages and where its form may lead."""
    g.citizen_locale = signed_in.locale
    g.ui_locales = " ".join(pending.parameters.ui_locales)
    g.form_action_uris = (pending.parameters.redirect_uri,)
    g.form_goes_on = True


def hindrance(pending: PendingRequest, signed_in: SignedIn) -> Hindrance | None:
    """Why this citizen can agree to nothing, however they prove who they are: so it is said before that is asked."""
    if pending.parameters.at_desk:  # nothing is consented to there
        return None
    if signed_in.frozen_at is not None:
        return "frozen"
    is_free = agrees_alone(pending, signed_in, settings=services().settings, now=clock.now())
    return None if is_free else "minor"


def _hindered(pending: PendingRequest, signed_in: SignedIn, why: Hindrance) -> Response:
    """Who can't agree can refuse, or do what is left to them."""
    page = render_template(
        "consent_hindered.html",
        hindrance=why,
        adult_years=services().settings.limits.adult_years,
        signed_in=signed_in,
        request_id=pending.request_id,
        transaction_id=pending.transaction_id,
        client_name=_client(pending).name.get(language.current()),
        own=pending.client_id == own.CLIENT_ID,
        at_counter=pending.parameters.at_counter,
        csrf=csrf.form_token(_action(pending.request_id)),
    )
    return make_response(page, 403)


def notice_of(pending: PendingRequest, client: Client, locale: str) -> Notice:
    """The notice as it stands now: an agency or a dataset that was suspended meanwhile makes it another."""
    known = services()
    plain = {
        agency.id
        for agency in known.catalogue
        if (registered := known.registry.agency(agency.id)) and registered.connector == "plain"
    }
    suspended = known.registry.suspended_agencies() | known.registry.suspended_datasets()

    maintenance = known.registry.maintenance()

    def make() -> tuple[Client, Notice]:
        made = compose(
            pending,
            client,
            known.catalogue,
            locale=locale,
            suspended=suspended,
            unencrypting=plain,
            maintenance=maintenance,
            visit_ttl_s=known.settings.limits.visit_ttl_s,
        )
        return client, made  # the client lives as long as its notice: a newer one has another id

    return _NOTICES.get(
        (id(client), *basis(pending), locale, suspended, frozenset(plain), (*maintenance.items(),)), make
    )[1]


def chosen(ticked: Collection[str]) -> Mapping[int, list[str]]:
    """The ticked fields by position of their dataset; what is not `<position>/<field>` counts for nothing."""
    fields: dict[int, list[str]] = defaultdict(list)
    for value in ticked:
        position, _, field = value.partition("/")
        if position.isascii() and position.isdigit() and len(position) <= 2:
            fields[int(position)].append(field)
    return fields


def _approve(
    pending: PendingRequest, signed_in: SignedIn, form: Mapping[str, str], ticked: Collection[str]
) -> Response:
    # Composed again in the language that was read, and compared: what was displayed is what is recorded.
    locale = form.get("locale")
    notice = notice_of(pending, _client(pending), locale if locale in language.LOCALES else language.current())
    if not secrets.equal(notice.sha256, form.get("notice", "")) or _nothing_left(pending, notice):
        return show(pending, signed_in, ticked=ticked, problem="changed", status=409)
    try:
        with lone_connection() as connection:
            location = approve(
                connection,
                pending,
                chosen(ticked),
                signed_in=signed_in,
                notice=notice,
                catalogue=services().catalogue,
                settings=services().settings,
                server_secret=services().secret,
                now=clock.now(),
                session_secret=cookies.session_secret() or "",
                agency_of=services().registry.agency,
            )
    except IdentityNotSufficient:
        return redirect(sign_in_url(), code=303)
    except RequestNotUsable:
        # Over, stopped or signed out in this very moment: the question's own page knows which.
        return redirect(f"/consent/{pending.request_id}", code=303)
    return redirect(location, code=303)


def _open(signed_in: SignedIn, request_id: str) -> PendingRequest:
    with lone_connection() as connection:
        pending = service.open_for(connection, request_id, citizen_id=signed_in.citizen_id, now=clock.now())
    _client(pending)
    return pending


def _asked(signed_in: SignedIn, request_id: str) -> PendingRequest:
    """The same, if it asks for a consent."""
    pending = _open(signed_in, request_id)
    if pending.parameters.at_desk:
        raise RequestNotUsable("a clerk signs in by it")
    return pending


def _client(pending: PendingRequest) -> Client:
    return standing.client_of(pending, services().registry)


def _nothing_left(pending: PendingRequest, notice: Notice) -> bool:
    """Whether everything that was asked for is unavailable."""
    datasets = pending.parameters.datasets
    return bool(datasets) and len(notice.unavailable) == len(datasets)


def _can_extend(pending: PendingRequest, now: datetime) -> bool:
    extended = service.extended_deadline(pending.pushed_at, settings=services().settings, now=now)
    return extended > pending.deadline_at


def _action(request_id: str) -> str:
    return f"consent:{request_id}"
