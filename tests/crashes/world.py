"""A sandbox with a relay in front of every server, a client that counts its deliveries, and a look at the record."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import requests
from joserfc import jwe
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from authz_server.audit.models import AuditEntry
from authz_server.database import new_engine, table_of
from authz_server.tokens.models import DatasetToken
from client_examples.bank_web.client import Journey, dpop_proof
from client_examples.bank_web.package import LIMITS
from client_examples.sandbox import promises
from client_examples.sandbox.browser import Browser, Page
from client_examples.sandbox.checker import LARGE
from client_examples.sandbox.processes import choose_ports
from client_examples.sandbox.sandbox import Sandbox
from tests.crashes.relay import LIMIT_S, Relay
from tests.support.waiting import wait_until

SMALL = "ris.personal"
SERVERS = ("server", "proxy", "agency")
TOKEN = table_of(DatasetToken)
ENTRY = table_of(AuditEntry)


@dataclass
class Token:
    """A dataset token in its client's hands, and what came of it."""

    journey: Journey = field(repr=False)
    secret: str = field(repr=False)
    dataset: str
    url: str
    transaction: str
    trace: str = field(default_factory=lambda: str(uuid4()))
    complete: int = 0  # packages that could be decrypted to the end

    @property
    def mark(self) -> bytes:
        """What every request of its fetch carries, on all links."""
        return self.trace.encode()


@dataclass
class World:
    """Everything that a test of crashes needs."""

    sandbox: Sandbox
    relays: dict[str, Relay]
    ports: dict[str, int]  # behind the relays
    engine: Engine
    browser: Browser
    pool: ThreadPoolExecutor

    def ask(self, *datasets: str) -> tuple[Journey, Page]:
        """Push a request for these datasets and open it; the consent page."""
        asked, address = self.sandbox.checker.ask(*datasets, locale="en")
        return asked, promises.arrive(self.browser, address, self.sandbox.citizens[0], lambda _step: None)

    def agree(self, page: Page) -> dict[str, str]:
        """Press the button of the consent page; the parameters that come back to the client."""
        self.browser.submit(page, "consent-approve")
        return dict(parse_qsl(urlsplit(self.browser.stopped_at).query))

    def tokens(self, *datasets: str) -> list[Token]:
        """Fresh tokens for these datasets."""
        asked, page = self.ask(*datasets)
        self.sandbox.checker.client.finish(asked, self.agree(page))
        return tokens_of(asked)

    def pairs(self, count: int) -> list[Token]:
        """Fresh tokens: so many for the large dataset, and as many for the small one."""
        return [token for _ in range(count) for token in self.tokens(LARGE, SMALL)]

    def fetch(self, token: Token) -> int | None:
        """Use a token; the status of the answer, None if it broke off. Counts what could be decrypted."""
        proof = dpop_proof(token.journey.dpop_key, "GET", token.url, access_token=token.secret)
        headers = {"Authorization": f"DPoP {token.secret}", "DPoP": proof, "X-FAPI-Interaction-ID": token.trace}
        try:
            answer = requests.get(token.url, headers=headers, timeout=LIMIT_S)
        except requests.RequestException:
            return None
        if answer.status_code == 200:
            jwe.decrypt_compact(answer.content, self.sandbox.checker.client.decryption_key, registry=LIMITS)
            token.complete += 1
        return answer.status_code

    def begin_fetch(self, token: Token) -> Future[int | None]:
        """Fetch in another thread."""
        return self.pool.submit(self.fetch, token)

    def record(self, token: Token) -> Counter[str]:
        """What the record says of a token: how often which event."""
        with Session(self.engine) as session:
            told = select(ENTRY.c.event).where(
                ENTRY.c.transaction_id == token.transaction, ENTRY.c.dataset_id == token.dataset
            )
            return Counter(event.removeprefix("token.") for event in session.scalars(told))

    def events(self, transaction: str) -> Counter[str]:
        """What the record says of a transaction, but for what the worker finds unusual in it, sooner or later."""
        told = select(ENTRY.c.event).where(ENTRY.c.transaction_id == transaction, ~ENTRY.c.event.startswith("anomaly."))
        with Session(self.engine) as session:
            return Counter(session.scalars(told))

    def let_leases_run_out(self) -> None:
        """Let the time of all leases be over, and wait until the worker has seen it."""
        past = datetime.now(UTC) - timedelta(seconds=1)
        with Session(self.engine) as session, session.begin():
            session.execute(update(TOKEN).where(TOKEN.c.state == "leased").values(lease_expires_at=past))
        until(self._nothing_leased, "the worker does not record leases that ran out")

    def _nothing_leased(self) -> bool:
        with Session(self.engine) as session:
            return session.execute(select(TOKEN.c.digest).where(TOKEN.c.state == "leased").limit(1)).first() is None


def until(holds: Callable[[], bool], complaint: str) -> None:
    """Look again and again until it holds.  Raises: AssertionError after a minute."""
    wait_until(holds, complaint, limit_s=LIMIT_S)


def tokens_of(asked: Journey) -> list[Token]:
    """The tokens that a journey has brought."""
    return [
        Token(asked, grant["access_token"], grant["dataset"], grant["locations"][0], grant["transaction"])
        for grant in (fetch.grant for fetch in asked.fetches)
    ]


@contextmanager
def open_world(db: str) -> Iterator[World]:
    """Start everything; two workers for each server, so that nothing holds by being alone."""
    ports = dict(zip(SERVERS, choose_ports(None, len(SERVERS)), strict=True))
    binds = {name: {"bind": f"127.0.0.1:{port}"} for name, port in ports.items()}
    sandbox = Sandbox(
        db=db,
        # The code of a visit is good for long: a busy machine needs more than its two minutes for all visits of a test.
        server=binds["server"] | {"workers": 2, "limits": {"visit_code_ttl_s": 900}},
        proxy=binds["proxy"] | {"workers": 2},
        agency=binds["agency"],
        banks=("desk",),
        named_clerks=False,  # else each of the many desks had to wait for another one-time code
    )
    public = {"server": sandbox.issuer, "proxy": sandbox.proxy_url, "agency": sandbox.agency_url}
    with ExitStack() as stack:
        relays = {
            name: stack.enter_context(Relay(urlsplit(url).port or 0, ports[name])) for name, url in public.items()
        }
        stack.enter_context(sandbox)
        pool = stack.enter_context(ThreadPoolExecutor(32))
        engine = new_engine(sandbox.database_url)
        stack.callback(engine.dispose)
        browser = Browser("en", stop_at=sandbox.checker.redirect_uri)
        yield World(sandbox, relays, ports, engine, browser, pool)
