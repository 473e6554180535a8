"""What a racer can do: one call of a service each, as its view does it; the word returned is how it ended.

`at` is the moment at which the act believes to happen, in seconds: so a race across the end of a time is one that both
sides may win.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from authz_server import config, leaving, retention
from authz_server.catalogue import loader
from authz_server.clients import service as clients
from authz_server.clients.document import Context
from authz_server.clients.registry import Registry
from authz_server.consent import anomalies, correction, decision, erasure, notice
from authz_server.consent import service as consent
from authz_server.consent.codes import get_code
from authz_server.consent.errors import CodeNotUsable, CodeReplayed
from authz_server.consent.models import AuthorizationRequest
from authz_server.consent.request import AuthorizationParameters
from authz_server.core import secrets
from authz_server.core.identifiers import CitizenId
from authz_server.counter import agents, appointments, clerks, codes, delegation, desk
from authz_server.counter.errors import BarcodeNotUsable
from authz_server.counter.models import BARCODE
from authz_server.counter.service import find_visit, show
from authz_server.database import table_of
from authz_server.identity import service as identity
from authz_server.identity import turns
from authz_server.identity.sessions import SignedIn
from authz_server.notices import service as notices
from authz_server.prepared import Executor, Prepared, lone_connection
from authz_server.single_use import identifiers
from authz_server.single_use.identifiers import Identifier
from authz_server.tokens import access_tokens, dataset_tokens, redemption, withdrawal
from tests.races.seeding import CHALLENGE, JKT, LIMITS, jkt_of, session_digest

CATALOGUE = loader.load()
SETTINGS = config.parse(
    {
        "issuer": "https://mydata.example",
        "database_url": "sqlite://",
        "keys_file": "keys.json",
        "secret_file": "secret",
        "proxy_url": "https://data.mydata.example",
    },
    base=Path(),
)


def lease(session: Executor, token: str, dataset: str, at: float, jti: str = "", proof: str = "") -> str:
    """Exchange a dataset token, with identifiers of its own unless some are given."""
    now = _moment(at)
    dataset_tokens.lease(
        session,
        token,
        jkt=JKT,
        needed_level=4,
        dataset_id=dataset,
        resource_server="proxy",
        ttl_s=LIMITS.lease_s,
        spend=[_assertion(jti, now), _proof(proof, now)],
        now=now,
    )
    return "leased"


def report(session: Executor, handle: str, outcome: str, at: float) -> str:
    """Say how a fetch went."""
    told = dataset_tokens.Report(outcome, None, 60 if outcome == "preparing" else 0)
    dataset_tokens.report(
        session,
        handle,
        told,
        limits=LIMITS,
        now=_moment(at),
    )
    return outcome


def revoke(session: Executor, token: str, client_id: str, at: float) -> str:
    """Give up a dataset token."""
    now = _moment(at)
    done = dataset_tokens.revoke(session, token, client_id=client_id, spend=[_assertion("", now)], now=now)
    return "revoked" if done else "nothing to revoke"


def redeem(engine: Engine, code: str, client_id: str, at: float) -> str:
    """Redeem a code; a replay revokes what it was exchanged for (RFC 6749 section 4.1.2)."""
    now = _moment(at)
    spend = [_assertion("", now), _proof("", now)]
    try:
        with lone_connection(engine) as connection:
            row = get_code(connection, secrets.digest(code), jkt=JKT, now=now)
            redemption.redeem(connection, row, jkt=JKT, catalogue=CATALOGUE, limits=LIMITS, spend=spend, now=now)
    except CodeReplayed:
        with Session(engine) as session, session.begin():
            redemption.revoke_replayed(session, row, client_id=client_id, now=now)
        return "replayed"
    return "redeemed"


def announce_barcode(engine: Engine, barcode: str, client_id: str, counter: str, at: float) -> str:
    """Have a one-time code made for a barcode, at a counter of an office."""
    now = _moment(at)
    return _at_desk(
        engine,
        lambda session: desk.announce(
            session,
            barcode,
            desk=desk.Desk(client_id=client_id, counter_id=counter),
            bounds=desk.Bounds(server_secret=bytes(32), limits=LIMITS, now=now),
            spend=[_assertion("", now), _proof("", now)],
        ),
        "announced",
    )


def redeem_barcode(engine: Engine, barcode: str, client_id: str, at: float, code: str = "", clerk: int = 0) -> str:
    """Redeem a barcode with its one-time code, as a desk does that its citizen has told it; or with another code.

    Args: clerk: who does it at a desk with a key of its own, by the number of both their account and appointment.
    """
    now = _moment(at)
    with Session(engine) as session:
        announced = session.execute(
            select(BARCODE.c.digest, BARCODE.c.announced_at).where(BARCODE.c.digest == codes.barcode_digest(barcode))
        ).one()
    return _at_desk(
        engine,
        lambda session: desk.redeem_barcode(
            session,
            barcode,
            code or codes.one_time_code(bytes(32), *announced),
            desk=desk.Desk(client_id=client_id, clerk_id=clerk or None, clerk_citizen_id=clerk or None),
            jkt=jkt_of(clerk),
            catalogue=CATALOGUE,
            bounds=desk.Bounds(server_secret=bytes(32), limits=LIMITS, now=now),
            spend=[_assertion("", now), _proof("", now)],
        ),
        "redeemed",
    )


def _at_desk(engine: Engine, act: Callable[[Session], object], done: str) -> str:
    """What a desk does, with its commit, which comes also after a refusal: that was counted."""
    with Session(engine) as session:
        try:
            act(session)
        except BarcodeNotUsable as refusal:
            session.commit()
            return type(refusal).__name__
        session.commit()
        return done


def show_barcode(session: Session, transaction_id: str, citizen_id: int, at: float) -> str:
    """Show the next barcode, in a session of its own."""
    now = _moment(at)
    visit = find_visit(session, transaction_id, citizen_id=citizen_id, server_secret=bytes(32), now=now)
    assert visit is not None
    own: dict[str, Any] = {"session_secret": secrets.new_secret(""), "server_secret": bytes(32)}
    return "shown" if show(session, visit, limits=LIMITS, now=now, **own) else "over"


def open_invitation(session: Session, invitation: str, agent_id: int, at: float) -> str:
    """Open an invitation to go to a counter for somebody."""
    delegation.open_invitation(
        session, invitation, agent_id=agent_id, server_secret=bytes(32), limits=LIMITS, now=_moment(at)
    )
    return "opened"


def accept_errand(session: Session, transaction_id: str, agent_id: int, at: float) -> str:
    """Accept to go, by the agent."""
    found = agents.find_of_agent(session, transaction_id, agent_id=agent_id)
    assert found is not None
    delegation.accept(session, found, now=_moment(at))
    return "accepted"


def confirm_errand(session: Session, transaction_id: str, citizen_id: int, at: float) -> str:
    """Confirm that the agent goes, by the citizen."""
    found = agents.find_of_citizen(session, transaction_id, citizen_id=citizen_id)
    assert found is not None
    delegation.confirm(session, found, now=_moment(at))
    return "confirmed"


def end_errand(session: Session, transaction_id: str, agent_id: int, by: Literal["citizen", "agent"], at: float) -> str:
    """End it, by either of them."""
    found = agents.find_of_agent(session, transaction_id, agent_id=agent_id)
    assert found is not None
    delegation.end(session, found, actor=by, now=_moment(at))
    return "ended"


def dismiss(session: Session, appointment: int, office: str, by: int, at: float) -> str:
    """End somebody's appointment, by an administrator of the office."""
    return "ended" if appointments.end(session, appointment, office=office, by=by, now=_moment(at)) else "nothing"


def start_work(engine: Engine, code: str, office: str, at: float, desk_key: int = 0) -> str:
    """Redeem the code of a clerk's sign-in at a desk; who may not ends what it opens (RFC 6749 section 4.1.2)."""
    now, jkt = _moment(at), jkt_of(desk_key)
    try:
        with lone_connection(engine) as connection:
            clerks.redeem(
                connection,
                code,
                office=office,
                challenge=CHALLENGE,
                redirect_uri=None,
                jkt=jkt,
                limits=LIMITS,
                spend=[_assertion("", now), _proof("", now)],
                now=now,
            )
    except CodeNotUsable:
        with Session(engine) as session, session.begin():
            clerks.end_of_code(session, code, jkt=jkt, now=now)
        return "misused"
    return "started"


def ask_erasure(session: Session, transaction_id: str, citizen_id: int, at: float) -> str:
    """Ask the recipient of a consent to erase what it has."""
    known: dict[str, Any] = {"citizen_id": citizen_id, "by_mail": True, "now": _moment(at)}
    return "asked" if erasure.ask(session, transaction_id, **known) else "nothing new"


def answer_erasure(session: Session, grant_id: str, said: erasure.Answer, client_id: str, at: float) -> str:
    """Say, as the recipient, what became of it."""
    erasure.answer(session, grant_id, said, client_id=client_id, now=_moment(at))
    return said


def remind_of_erasure(session: Executor, at: float) -> str:
    """What a worker does about recipients that were silent until their day."""
    erasure.remind(session, by_mail=True, now=_moment(at))
    return "reminded"


def ask_correction(session: Session, name: str, wanted: dict[str, Any], at: float) -> str:
    """Ask an agency to correct a field, under this name, as the citizen who asks in a session of theirs."""
    about = correction.Wanted(**wanted)
    now = _moment(at)
    turns.hold(session, _signed_in(about.citizen_id, now))
    return "asked" if correction.request(session, name, about, sealed=f"sealed {name}", now=now) else "open already"


def send_correction(session: Session, name: str, at: float) -> str:
    """What a worker does once the agency has taken it."""
    correction.delivered(session, name, now=_moment(at))
    return "sent"


def give_up_correction(session: Session, name: str, at: float) -> str:
    """What a worker does once the agency will not take it."""
    correction.undelivered(session, name, now=_moment(at))
    return "given up"


def lapse_corrections(session: Executor, at: float) -> str:
    """What a worker does about those whose time is over."""
    correction.lapse(session, now=_moment(at))
    return "lapsed"


def settle_correction(session: Session, name: str, outcome: correction.Outcome, agency_id: str, at: float) -> str:
    """Answer, as the agency."""
    correction.settle(session, name, outcome, agency_id=agency_id, now=_moment(at))
    return outcome


def push(session: Executor, client_id: str, jti: str, at: float) -> str:
    """Push a request, like one that was pushed before."""
    now = _moment(at)
    table = table_of(AuthorizationRequest)
    (known,) = Prepared(select(table.c.parameters).limit(1)).run(session, {})
    parameters = AuthorizationParameters.from_json(known.parameters)
    consent.push(session, parameters, client_id=client_id, spend=[_assertion(jti, now)], settings=SETTINGS, now=now)
    return "pushed"


def userinfo(session: Executor, token: str, proof: str, at: float) -> str:
    """Present an access token with a proof."""
    now = _moment(at)
    return "found" if access_tokens.find(session, token, spend=[_proof(proof, now)], now=now) else "nothing"


def begin(session: Executor, request_uri: str, client_id: str, citizen_id: int, at: float) -> str:
    """Open the authorization URL."""
    consent.begin(session, request_uri, client_id, citizen_id=citizen_id, now=_moment(at))
    return "begun"


def approve(engine: Engine, request_id: str, citizen_id: int, at: float) -> str:
    """Agree to a request that is open."""
    now = _moment(at)
    with lone_connection(engine) as connection:
        pending = consent.open_for(connection, request_id, citizen_id=citizen_id, now=now)
    client = _registry_of(engine).client(pending.client_id)
    assert client is not None
    with lone_connection(engine) as connection:
        decision.approve(
            connection,
            pending,
            {},
            signed_in=_signed_in(citizen_id, now),
            notice=notice.compose(pending, client, CATALOGUE, locale="en"),
            catalogue=CATALOGUE,
            settings=SETTINGS,
            server_secret=bytes(32),
            now=now,
        )
    return "approved"


def deny(engine: Engine, request_id: str, citizen_id: int, at: float) -> str:
    """Refuse a request that is open."""
    now = _moment(at)
    with lone_connection(engine) as connection:
        pending = consent.open_for(connection, request_id, citizen_id=citizen_id, now=now)
    with lone_connection(engine) as connection:
        decision.deny(connection, pending, citizen_id=citizen_id, settings=SETTINGS, now=now)
    return "denied"


def suspend_client(session: Session, name: str, at: float) -> str:
    """Stop a client."""
    clients.suspend(session, name, now=_moment(at))
    return "suspended"


def suspend_agency(session: Session, name: str, at: float) -> str:
    """Stop an agency."""
    clients.suspend_agency(session, name, now=_moment(at))
    return "suspended"


def resume_agency(session: Session, name: str) -> str:
    """Let an agency go on."""
    clients.resume_agency(session, name)
    return "resumed"


def suspend_citizen(session: Session, name: str, at: float) -> str:
    """Stop a citizen."""
    identity.suspend(session, name, now=_moment(at))
    return "suspended"


def freeze(session: Session, citizen_id: int, at: float) -> str:
    """Press the button that stops everything."""
    withdrawal.freeze(session, citizen_id, actor="citizen", reason="by_button", now=_moment(at))
    return "frozen"


def leave(session: Session, citizen_id: int, at: float) -> str:
    """Close a citizen's account."""
    under_way = leaving.leave(session, citizen_id, actor="citizen", settings=SETTINGS, now=_moment(at))
    return "gone already" if under_way is None else "left"


def tidy_tokens(session: Session, at: float) -> str:
    """What a worker does about tokens."""
    dataset_tokens.tidy(session, now=_moment(at))
    return "tidied"


def tidy_requests(session: Session, at: float) -> str:
    """What a worker does about requests."""
    consent.tidy(session, now=_moment(at))
    return "tidied"


def announce(session: Session, at: float) -> str:
    """What a worker does about notices."""
    notices.announce(session, now=_moment(at))
    return "announced"


def watch(session: Session, at: float) -> str:
    """What a worker does about anomalies."""
    place = anomalies.begin(session, before=anomalies.LATEST, now=_moment(at))
    anomalies.watch(session, after=place, limits=LIMITS, now=_moment(at))
    return "watched"


def purge(session: Session, table: str, at: float) -> str:
    """What a worker does about old rows."""
    try:
        retention.purge(session, keep=retention.tables()[table], limits=LIMITS, time=lambda: _moment(at))
    except retention.TableInUse:  # by another worker: later will do
        session.rollback()
    return "purged"


def _signed_in(citizen_id: int, now: datetime) -> SignedIn:
    return SignedIn(
        citizen_id=CitizenId(citizen_id),
        name="測試市民甲",
        birthdate=date(1980, 1, 2),
        locale="en",
        level=1,
        amr=("pwd", "otp"),
        auth_time=now,
        last_seen_at=now,
        idle_until=now + timedelta(minutes=1),
        expires_at=now + timedelta(minutes=1),
        session_digest=session_digest(citizen_id),
        verified_at=now,
    )


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _assertion(jti: str, now: datetime) -> Identifier:
    jti = jti or secrets.new_secret("")
    return identifiers.client_assertion("racer", jti, expires_at=now + timedelta(minutes=1))


def _proof(jti: str, now: datetime) -> Identifier:
    return identifiers.dpop_proof(secrets.digest(jti or secrets.new_secret("")), expires_at=now + timedelta(minutes=1))


@cache
def _registry_of(engine: Engine) -> Registry:
    return Registry(engine, Context(CATALOGUE, sandbox=True), allowed_hosts=frozenset())


ACTS: Mapping[str, Callable[..., str]] = {
    act.__name__: act
    for act in (
        lease, report, revoke, redeem, announce_barcode, redeem_barcode, show_barcode, open_invitation, accept_errand,
        confirm_errand, end_errand, dismiss, start_work, ask_erasure, answer_erasure, remind_of_erasure, ask_correction,
        send_correction, give_up_correction, lapse_corrections, settle_correction, push, userinfo, begin, approve, deny,
        suspend_client, suspend_agency, resume_agency, suspend_citizen, freeze, leave, tidy_tokens, tidy_requests,
        announce, watch, purge,
    )
}  # fmt: skip
# Those whose view takes `lone_connection` once; and those that are more than one transaction, as their views are.
LONE = frozenset({"lease", "report", "revoke", "push", "userinfo", "begin", "remind_of_erasure", "lapse_corrections"})
WHOLE = frozenset({"redeem", "announce_barcode", "redeem_barcode", "start_work", "approve", "deny"})
