"""Another OpenID Provider that vouches for the citizen: their bank's, or the national one.

Routes
    POST /sign-in/provider                  form: as /sign-in, and provider; leads to that provider
    GET  /sign-in/provider/<provider_id>    what the provider answers, to a sign-in or to a set-up
    GET  /account/methods/provider          the set-up page; POST: csrf, provider

The state of a journey is the handle of a challenge: for the browser that began it, once, for minutes. What else the
journey is known by is made of that and the server's secret, so that the database has nothing to steal.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from flask import Blueprint, abort, current_app, make_response, redirect, render_template, request
from flask.blueprints import BlueprintSetupState
from werkzeug.wrappers import Response

from authz_server.catalogue.model import Text
from authz_server.config import Settings
from authz_server.core import clock, secrets
from authz_server.database import db
from authz_server.extensions import services, services_of
from authz_server.identity import csrf, enrolment, entry, language
from authz_server.identity.challenges import Challenge
from authz_server.identity.errors import MethodUnavailable, ShutOut, WrongCredentials
from authz_server.identity.guard import current
from authz_server.identity.levels import level_of_method, reached
from authz_server.identity.methods.base import Form, Method
from authz_server.identity.methods.upstream_proof import METHOD, UpstreamAttempt
from authz_server.identity.peer import PeerUnavailable
from authz_server.identity.sessions import SignedIn
from authz_server.identity.upstream_id_token import Journey
from authz_server.identity.upstream_provider import Provider
from authz_server.identity.visits import Visit, singles, visit_of

use = Blueprint("upstream", __name__)
TTL: Final = timedelta(minutes=10)
SIGN_IN: Final = "sign_in"
ADD: Final = "add"
_PROVIDERS: Final = "mydata.upstream_providers"
STALE: Final = Text(
    zh="這個回應已經用過、逾時，或不是由這個瀏覽器開始的。沒有發生其他事，請重新開始。",
    en="That answer was used before, came too late, or belongs to another browser. Nothing else happened: begin again.",
)


class Upstream(Method):
    """What somebody else has verified. How well, its `acr` says, as the settings translate it."""

    id = METHOD
    name = Text(zh="銀行或其他身分驗證服務", en="Your bank or another identity provider")
    amr = ()  # what was done there is known by its level only
    refused = Text(
        zh="沒有接受對方的回應。沒有發生其他事，請再試一次，或改用其他方式。",
        en="The answer of the other provider was not accepted. Nothing else happened: try again, or use another way.",
    )
    action = "/sign-in/provider"
    template = "sign_in/upstream.html"
    set_up = "upstream.set_up"
    blueprint = use

    def available(self, settings: Settings) -> bool:
        """Whether there is a provider to go to."""
        return bool(settings.upstream)

    def shown(self, settings: Settings, *, needed_level: int | None) -> Mapping[str, Any]:
        """The providers that can say something that suffices."""
        return {"providers": [each for each in _providers().values() if _acr_values(each, settings, needed_level)]}


UPSTREAM: Final = Upstream()


@use.record_once
def load(state: BlueprintSetupState) -> None:
    """Read our credentials at each provider when the server starts.  Raises: BadKey, SettingsError."""
    settings = services_of(state.app).settings
    hosts = frozenset(settings.allowed_outbound_hosts)
    state.app.extensions[_PROVIDERS] = {
        name: Provider(name, each, allowed_hosts=hosts) for name, each in settings.upstream.items()
    }


@use.post("/sign-in/provider")
@entry.received(UPSTREAM)
def ask(visit: Visit, form: Form) -> Response:
    """Send the browser to the provider."""
    provider = _providers().get(form.get("provider", ""))
    acr_values = _acr_values(provider, services().settings, visit.needed_level) if provider else ()
    if provider is None or not acr_values:
        return entry.page(visit, UPSTREAM, status=400)
    try:
        provider.metadata()
        handle = entry.challenge(visit, UPSTREAM, kind=SIGN_IN, ttl=TTL, payload=_remembered(provider), now=clock.now())
        url = provider.authorization_url(_journey(provider, handle, begun_at=clock.now()), acr_values=acr_values)
    except PeerUnavailable as away:
        db.session.rollback()
        return _later(entry.page(visit, UPSTREAM, error="unavailable", status=503), away)
    db.session.commit()
    return _leave(provider, url)


@use.get("/sign-in/provider/<provider_id>")
def returned(provider_id: str) -> Response:
    """Take the provider's answer. What it is the answer to, only the state says."""
    args, provider = singles(request.args), _providers().get(provider_id)
    if provider is None:
        abort(404)
    state = args.get("state", "")
    adding = enrolment.answered(db.session(), UPSTREAM, ADD, state)
    found = None if adding else entry.returned(db.session(), UPSTREAM, SIGN_IN, state)
    db.session.commit()  # spent, whatever comes
    if adding is not None:
        return _add(_attempt(provider, args, adding), adding)
    if found is None:
        back = entry.returned_again(db.session(), UPSTREAM, SIGN_IN, state)
        if back is not None:
            return redirect(back.next_url, code=303)
        return entry.page(visit_of({}), UPSTREAM, error="wrong", status=400, told=STALE)
    visit, spent = found
    if UPSTREAM not in visit.methods:
        return entry.page(visit, status=400)
    attempt = _attempt(provider, args, spent)
    return entry.submit(visit, UPSTREAM, account=None, begin=lambda _session: attempt)


@use.route("/account/methods/provider", methods=["GET", "POST"])
@enrolment.may_add(UPSTREAM)
def set_up(signed_in: SignedIn) -> Response:
    """Connect an account at a provider with the one here."""
    if not UPSTREAM.offered(services().settings):
        abort(404)
    form = singles(request.form)
    if request.method == "GET" or "lang" in form:
        return _page(signed_in)
    if not csrf.check_form(enrolment.action(UPSTREAM)):
        return _page(signed_in, error="form", status=403)
    provider = _providers().get(form.get("provider", ""))
    if provider is None:
        return _page(signed_in, status=400)
    try:
        provider.metadata()
        handle = enrolment.challenge(signed_in, UPSTREAM, kind=ADD, ttl=TTL, payload=_remembered(provider))
        acr_values = tuple(provider.settings.acr)
        url = provider.authorization_url(_journey(provider, handle, begun_at=clock.now()), acr_values=acr_values)
    except PeerUnavailable as away:
        db.session.rollback()
        return _later(_page(signed_in, error="unavailable", status=503), away)
    db.session.commit()
    return _leave(provider, url)


def _add(attempt: UpstreamAttempt, asked: Challenge) -> Response:
    """Bind whom the provider has named, if the citizen who asked is still here and may still add it."""
    signed_in, now = current(), clock.now()
    if signed_in is None or signed_in.citizen_id != asked.citizen_id or not _may_still_add(signed_in):
        return redirect("/account/methods/provider", code=303)
    try:
        attempt.prove(now=now)
    except MethodUnavailable as away:
        return _later(_page(signed_in, error="unavailable", status=503), away)
    except WrongCredentials as wrong:
        return _page(signed_in, told=wrong.told or UPSTREAM.refused, status=400)
    if attempt.person is None:
        raise LookupError("what was proved names somebody")
    try:
        added = enrolment.add(
            db.session(),
            signed_in,
            UPSTREAM,
            external_id=attempt.person.external_id,
            label=attempt.provider.settings.name.get(language.current()),
            data={"provider": attempt.provider.id},
            now=now,
        )
    except ShutOut:
        db.session.rollback()
        return redirect("/account/methods/provider", code=303)
    db.session.commit()
    return redirect(enrolment.ADDED, code=303) if added else _page(signed_in, error="taken", status=409)


def _may_still_add(signed_in: SignedIn) -> bool:
    return signed_in.frozen_at is None and enrolment.strong_enough(
        signed_in, level_of_method(services().settings, UPSTREAM.id)
    )


def _attempt(provider: Provider, answer: Mapping[str, str], spent: Challenge) -> UpstreamAttempt:
    begun_at = datetime.fromtimestamp(spent.payload["begun_at"], UTC)
    journey = _journey(provider, spent.handle, begun_at=begun_at)
    return UpstreamAttempt(provider=provider, began=spent.payload["provider"], journey=journey, answer=answer)


def _journey(provider: Provider, state: str, *, begun_at: datetime) -> Journey:
    secret = services().secret
    return Journey(
        state=state,
        nonce=secrets.derive(secret, "upstream", "nonce", state),
        code_verifier=secrets.derive(secret, "upstream", "code_verifier", state),
        redirect_uri=f"{services().settings.issuer}/sign-in/provider/{provider.id}",
        begun_at=begun_at,
    )


def _remembered(provider: Provider) -> Mapping[str, Any]:
    return {"provider": provider.id, "begun_at": int(clock.now().timestamp())}


def _acr_values(provider: Provider, settings: Settings, needed_level: int | None) -> tuple[str, ...]:
    """What this provider may say that suffices; a level is never better than the one that the method has here."""
    ceiling = level_of_method(settings, UPSTREAM.id)
    fit = (acr for acr, level in provider.settings.acr.items() if reached(max(level, ceiling), needed_level))
    return tuple(fit)


def _providers() -> Mapping[str, Provider]:
    found: Mapping[str, Provider] = current_app.extensions[_PROVIDERS]
    return found


def _leave(provider: Provider, url: str) -> Response:
    """A page that leads on by itself. Not a redirect: Chromium holds a form's `form-action` against all that follow,
    and where the provider sends the browser on its own ways is not known here."""
    response = make_response(render_template("sign_in/upstream_leave.html", name=provider.settings.name, url=url))
    response.headers["Refresh"] = f"0; url={url}"
    return response


def _later(response: Response, away: MethodUnavailable) -> Response:
    response.headers["Retry-After"] = str(away.retry_after_s)
    return response


def _page(signed_in: SignedIn, *, told: Text | None = None, error: str | None = None, status: int = 200) -> Response:
    page = render_template(
        "methods/upstream.html",
        signed_in=signed_in,
        providers=list(_providers().values()),
        told=told,
        error=error,
        csrf=csrf.form_token(enrolment.action(UPSTREAM)),
    )
    return make_response(page, status)
